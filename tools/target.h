/* SPDX-License-Identifier: Apache-2.0
 * target: where the resources are that a command is about: a mount, or a store file that is not mounted.
 *
 * On a mount everything goes through files, so with the rights of who runs the command; what the tree has no call for goes through the control
 * files in /.hush. Functions return 0 or -errno after saying in one line what failed, except where said.
 */
#ifndef TOOLS_TARGET_H
#define TOOLS_TARGET_H

#include "store/bundle.h"
#include "store/key.h"
#include "store/name.h"
#include "store/secmem.h"
#include "store/store.h"
#include "tools/flags.h"

#include <stdint.h>
#include <stdio.h>
#include <time.h>

/* What every command takes; TARGET_FLAGS(options) goes into its table of flags. */
struct target_options {
	const char *mount;       /* --mount; else $HUSH_MOUNT; else the only hushfs in /proc/self/mountinfo */
	const char *store;       /* --store */
	struct key_source key;   /* --key-file, --passphrase-file */
	const char *anchor;      /* --anchor */
	bool changes;            /* the command changes resources, so that of a store older versions go, as those of a mount do. Who only looks removes none */
	bool accept_rollback;    /* --accept-rollback, of check alone: the anchor neither refuses the store nor is written to before target_accept */
};

#define TARGET_FLAGS(o)                                                                                                \
	{.name = "mount", .text = &(o).mount}, {.name = "store", .text = &(o).store},                                  \
		{.name = "key-file", .text = &(o).key.key_file},                                                       \
		{.name = "passphrase-file", .text = &(o).key.passphrase_file},                                         \
	{                                                                                                              \
		.name = "anchor", .text = &(o).anchor                                                                  \
	}

#define TARGET_MOUNT_USAGE "  --mount DIR          the mount (else $HUSH_MOUNT, else the only hushfs that is mounted)\n"

#define TARGET_USAGE                                                                                                   \
	TARGET_MOUNT_USAGE                                                                                             \
	"  --store FILE         a store that is not mounted, with\n"                                                   \
	"  --key-file F, --passphrase-file F  what opens it (else a systemd credential, else it is asked for)\n"          \
	"  --anchor F           and what it is mounted with as -o anchor: an older copy of it is refused\n" FLAGS_USAGE

struct target;

struct target_entry {
	struct name name;
	uint64_t size; /* bytes of its value */
	struct timespec created, modified;
};

/* target_open - COMMAND_DONE, or what the command is to end with: COMMAND_USAGE for a command line that can't be, else COMMAND_FAILED. Arena and
 * crypto are set up. */
int target_open(const struct target_options *options, struct target **ret_target);

/* target_begin - the whole beginning of a command that takes a target and @n_words words, which end up in argv[1] and on; @wanted says what to
 * give if they are not as many (NULL if there are to be none). False if the command is to end: with *@ret_status. */
bool target_begin(int argc, char **argv, const char *usage, int n_words, const char *wanted, struct target **ret_target,
		  int *ret_status);

/* target_close - NULL is allowed. Returns NULL. */
struct target *target_close(struct target *target);
void target_closep(struct target **target);

/* target_path - the mount's folder; NULL for a store. */
const char *target_path(const struct target *target);

/* target_ask - does somebody still serve the mount? 0; -ENOTCONN, logged. */
int target_ask(const struct target *target);

/* target_list - the resources of a kind (of NAME_SECRET those of @mesh, or of all meshes if it is NULL), sorted by mesh and name; the
 * caller frees with free(). -ENOENT if @mesh does not exist, which it does not say. */
int target_list(struct target *target, enum name_kind kind, const char *mesh, struct target_entry **ret_entries,
		size_t *ret_n);

/* target_find - one resource. -ENOENT, which it does not say. */
int target_find(struct target *target, const struct name *name, struct target_entry *ret_entry);

/* target_can_read - may its value be read by this user and at this moment? Says nothing if not. */
bool target_can_read(struct target *target, const struct name *name);

/* target_read - its value; the caller frees. -ENOENT, which it does not say. */
int target_read(struct target *target, const struct name *name, struct secbuf *ret_value);

/* target_apply - all of @bundle or nothing. Fills in the outcomes. -errno with *@ret_error, which it does not say: document and line are those of
 * the item to blame (0: none). */
int target_apply(struct target *target, struct bundle *bundle, struct bundle_error *ret_error);

/* target_remove - all of @names or none (secrets on a mount of somebody else: in their order); a mesh goes with its secrets. -errno with
 * *@ret_error, which it does not say. */
int target_remove(struct target *target, const struct name *names, size_t n, struct bundle_error *ret_error);

/* target_status - print it. target_check - verify the whole store, with progress on a terminal. target_backup - a copy in the new file @path. */
int target_status(struct target *target, FILE *out);
int target_check(struct target *target, struct store_checked *ret_checked);
int target_backup(struct target *target, const char *path);

/* target_accept - the store becomes what its anchor knows. Of one that was opened with accept_rollback. */
int target_accept(struct target *target, struct store_accepted *ret_accepted);

/* target_lock, target_unlock - a mount. */
int target_lock(struct target *target);
int target_unlock(struct target *target, const struct key *key);

#endif
