/* SPDX-License-Identifier: Apache-2.0
 * loop: one connection to the kernel, and the thread that serves it.
 *
 * It is ours because libfuse's loops free their buffers unwiped: here every request is read into one buffer in locked
 * memory, which is wiped when the request is answered or handed on.
 */
#ifndef FS_LOOP_H
#define FS_LOOP_H

#include "fs/ops.h"

struct loop;

/* loop_new - a session without a connection. @mount_options: as mount -o has them. 0, -EINVAL for options that
 * libfuse refuses, -ENOMEM (logged). @context must live as long. */
int loop_new(struct ops_context *context, const char *mount_options, struct loop **ret_loop);

/* loop_mount - mount on @mountpoint, with mount(2) as root and through fusermount3 otherwise. -EIO (logged). */
int loop_mount(struct loop *loop, const char *mountpoint);

/* loop_attach - serve @fd, which has a FUSE client at its other end already; takes @fd over. -errno (logged). */
int loop_attach(struct loop *loop, int fd);

/* loop_run - serve until the filesystem is unmounted, or the client hangs up.
 * @ready is called when the first request (the kernel's INIT) was answered.
 * When @stop_fd is readable (a signalfd), the mount is taken from the tree, and served on until what is open in it is
 * closed, LOOP_GRACE_SECONDS at the most. 0 or -errno (logged). */
#define LOOP_GRACE_SECONDS 10
int loop_run(struct loop *loop, int stop_fd, void (*ready)(void *context), void *ready_context);

/* loop_free - unmount if need be. NULL is allowed. Returns NULL.
 * Requests that wait for the commit thread must have been answered: close the store first. */
struct loop *loop_free(struct loop *loop);

#endif
