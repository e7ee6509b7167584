/* SPDX-License-Identifier: Apache-2.0
 * target_internal: what a mount and a store file each do in a way of their own. For the target_*.c alone.
 *
 * Errors are as in target.h.
 */
#ifndef TOOLS_TARGET_INTERNAL_H
#define TOOLS_TARGET_INTERNAL_H

#include "tools/target.h"

#include <limits.h>

/* A list that grows. */
struct target_entries {
	struct target_entry *items; /* owned */
	size_t n, capacity;
};

/* target_entries_add - -ENOMEM. */
int target_entries_add(struct target_entries *entries, const struct target_entry *entry);

struct target_calls {
	/* Append to @entries, in any order. */
	int (*list)(struct target *target, enum name_kind kind, const char *mesh, struct target_entries *entries);
	int (*find)(struct target *target, const struct name *name, struct target_entry *ret_entry);
	bool (*can_read)(struct target *target, const struct name *name);
	int (*read)(struct target *target, const struct name *name, struct secbuf *ret_value);
	int (*apply)(struct target *target, struct bundle *bundle, struct bundle_error *ret_error);
	int (*remove)(struct target *target, const struct name *names, size_t n, struct bundle_error *ret_error);
	int (*status)(struct target *target, FILE *out);
	int (*check)(struct target *target, struct store_checked *ret_checked);
	/* Into the new file @path, mode 0600; on disk when it returns. What is there after a failure is taken away by
	 * others. */
	int (*copy)(struct target *target, const char *path);
	void (*close)(struct target *target);
};

struct target {
	const struct target_calls *calls;
	char *path;	     /* of the mount, or NULL; owned */
	struct store *store; /* or NULL; owned */
	struct anchor *anchor; /* of the store, or NULL; owned */
};

extern const struct target_calls target_mount_calls, target_store_calls;

/* target_mount_open, target_store_open - fill in @target. */
int target_mount_open(const char *mount, struct target *target);
int target_store_open(const struct target_options *options, struct target *target);

/* target_mount_failed - say in one line that this @error came of @path; what to do too, where that is known. Returns
 * -error. */
int target_mount_failed(const struct target *target, const char *path, int error);

#define TARGET_PATH_BYTES (PATH_MAX + 512)

/* target_control_open - a file in /.hush, whose path is filled in. -errno, said. target_control_said - what the report on @fd says of a
 * request that @error ended, in one line. */
int target_control_open(const struct target *target, const char *file, int flags, char ret_path[static TARGET_PATH_BYTES]);
void target_control_said(struct target *target, const char *path, int fd, int error);

/* The calls that go through the control files (target_control.c). */
int target_control_apply(struct target *target, struct bundle *bundle, struct bundle_error *ret_error);
int target_control_remove(struct target *target, const struct name *names, size_t n, struct bundle_error *ret_error);
int target_control_status(struct target *target, FILE *out);
int target_control_check(struct target *target, struct store_checked *ret_checked);
int target_control_copy(struct target *target, const char *path);

/* target_missing - fill in that @name is not there. Returns -ENOENT. */
int target_missing(const struct name *name, struct bundle_error *ret_error);

#endif
