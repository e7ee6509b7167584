/* SPDX-License-Identifier: Apache-2.0
 * kernel: plays the kernel's side of FUSE over a socket pair, so that fs/ is tested where nothing can be mounted.
 *
 * One request at a time: each call sends one and waits for its answer. Errors are the kernel's: 0 or -errno.
 */
#ifndef TESTS_KERNEL_H
#define TESTS_KERNEL_H

#include "fs/ops.h"

#include <linux/fuse.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct loop;

struct kernel {
	struct ops_context context;
	struct loop *loop;
	pthread_t thread; /* serves, */
	int served;       /* and how that has ended */
	int fd;           /* our end */
	uint64_t unique;
	uint32_t pid, uid; /* who the next requests come from; the caller's own at first */
	struct fuse_init_out init;
	uint8_t answer[2 * 1024 * 1024]; /* of the last call, without its head */
	size_t answer_size;
	struct kernel_notice {
		uint64_t ino;   /* whose attributes are to be dropped, or a name in it */
		char name[300]; /* "" */
	} notices[256]; /* since it was last set to none; more are passed over */
	size_t n_notices;
};

/* kernel_start - serve @store to a new kernel; the caller frees it with kernel_stop, which leaves the store closed and returns what loop_run did. */
struct kernel *kernel_start(struct store *store, size_t max_staged);
int kernel_stop(struct kernel *kernel);

/* kernel_call - a request of @opcode for @node with a body of two parts, each of which may be empty. */
int kernel_call(struct kernel *kernel, uint32_t opcode, uint64_t node, const void *first, size_t first_size,
		const void *second, size_t second_size);

/* The operations that tests use most. Strings go with their NUL. Outputs may be NULL. */
int kernel_lookup(struct kernel *kernel, uint64_t parent, const char *name, struct fuse_entry_out *ret_entry);
uint64_t kernel_walk(struct kernel *kernel, const char *path); /* the node of a path that is there; 0 if it isn't */
int kernel_getattr(struct kernel *kernel, uint64_t node, uint64_t handle, struct fuse_attr *ret_attr);
int kernel_setattr(struct kernel *kernel, uint64_t node, const struct fuse_setattr_in *in, struct fuse_attr *ret_attr);
int kernel_create(struct kernel *kernel, uint64_t parent, const char *name, uint32_t flags, uint64_t *ret_node,
		  uint64_t *ret_handle);
int kernel_open(struct kernel *kernel, uint64_t node, uint32_t flags, uint64_t *ret_handle);
int kernel_read(struct kernel *kernel, uint64_t node, uint64_t handle, uint64_t offset, uint32_t size);
int kernel_write(struct kernel *kernel, uint64_t node, uint64_t handle, uint64_t offset, uint32_t flags,
		 const void *data, uint32_t size);
int kernel_flush(struct kernel *kernel, uint64_t node, uint64_t handle);
int kernel_fsync(struct kernel *kernel, uint64_t node, uint64_t handle);
int kernel_release(struct kernel *kernel, uint64_t node, uint64_t handle);
int kernel_name(struct kernel *kernel, uint32_t opcode, uint64_t parent, const char *name); /* UNLINK, RMDIR */
int kernel_mkdir(struct kernel *kernel, uint64_t parent, const char *name);
int kernel_rename(struct kernel *kernel, uint64_t parent, const char *name, uint64_t to_parent, const char *to,
		  uint32_t flags);

/* kernel_list - the names of a folder, each followed by a blank, in answers of at most @size bytes. */
int kernel_list(struct kernel *kernel, uint64_t node, uint32_t size, bool plus, char *ret_names, size_t names_size);

/* kernel_put - create or replace as open, write, flush, release do. kernel_holds - does opening and reading give this? */
int kernel_put(struct kernel *kernel, uint64_t parent, const char *name, const char *value);
bool kernel_holds(struct kernel *kernel, uint64_t parent, const char *name, const char *value);

#endif
