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

#define LOOP_WATCHED 2

/* What else the serving thread sees to. */
struct loop_events {
	int fds[LOOP_WATCHED]; /* descriptors to be polled; -1: none */
	void (*readable)(void *context, size_t which);
	void (*served)(void *context); /* after each request that wants an answer */
	void *context;
};

/* loop_new - a session without a connection. 0, -ENOMEM (logged). @context must live as long. */
int loop_new(struct ops_context *context, struct loop **ret_loop);

/* loop_attach - serve @fd, a connection to the kernel (or whoever plays it); takes @fd over. -ENOMEM (logged). */
int loop_attach(struct loop *loop, int fd);

/* loop_take_over - let the session know of the request INIT, which was read from the connection before. @size: CHANNEL_INIT_BYTES at
 * most. @answer: nobody has answered it yet. */
void loop_take_over(struct loop *loop, const void *init, size_t size, bool answer);

/* loop_resend - have the kernel send again what it has handed out and has no answer to. False if it can't (before Linux 6.9). */
bool loop_resend(struct loop *loop);

/* loop_run - serve until the filesystem is unmounted, the other end hangs up, or loop_end. @events may be NULL.
 * 0 or -errno (logged). */
int loop_run(struct loop *loop, struct loop_events *events);

/* loop_end - loop_run returns after @ms milliseconds at the most (0: now), and says with @warning that it did; NULL: it doesn't. */
void loop_end(struct loop *loop, int ms, const char *warning);

/* loop_free - NULL is allowed. Returns NULL.
 * Requests that wait for the commit thread must have been answered: close the store first. */
struct loop *loop_free(struct loop *loop);

#endif
