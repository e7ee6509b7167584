/* SPDX-License-Identifier: Apache-2.0
 * loop: receive, serve, wipe. One thread.
 *
 * The descriptor is non-blocking: after a request the loop looks for the next one for a short while before it sleeps,
 * since a client's calls come in rows and waking a sleeper costs more than serving a request. Not after one that waits for a commit: its client
 * asks nothing meanwhile, and the processor is for those that make the commit ready.
 */
#include "fs/loop.h"

#include "store/clock.h"
#include "store/log.h"
#include "store/secmem.h"

#include <errno.h>
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <linux/fuse.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#define LOOP_SPIN_NS 20000
#define LOOP_WATCH_NS 5000000  /* under load, how often the other descriptors are looked at */
#define LOOP_NOTIFY_RESEND 7   /* FUSE_NOTIFY_RESEND; Debian 12's headers are older */
#define LOOP_PAGES 256 /* libfuse's own bound on a request (FUSE_MAX_MAX_PAGES), and a page for its head */

static _Thread_local bool loop_answered; /* has this thread, since it began with a request? */

struct loop {
	struct fuse_session *session;
	struct ops_context *context;
	struct fuse_buf buffer;
	size_t buffer_bytes;
	bool unmounted; /* the kernel has let go of the connection */
	bool ending;
	int64_t deadline_ns; /* when it ends; only if @ending */
	const char *warning; /* to be said then; NULL: nothing */
};

/* libfuse's own words, one line each. */
__attribute__((format(printf, 2, 0))) static void loop_log(enum fuse_log_level level, const char *format, va_list args)
{
	char line[512];
	size_t size;

	vsnprintf(line, sizeof(line), format, args);
	size = strlen(line);
	while (size && line[size - 1] == '\n')
		line[--size] = '\0';
	if (level <= FUSE_LOG_ERR)
		log_error("%s", line);
	else if (level <= FUSE_LOG_WARNING)
		log_warning("%s", line);
}

int loop_new(struct ops_context *context, struct loop **ret_loop)
{
	struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
	struct loop *loop = calloc(1, sizeof(*loop));

	fuse_set_log_func(loop_log);
	if (!loop)
		return log_no_memory("to serve the mount");
	loop->context = context;
	loop->buffer_bytes = (LOOP_PAGES + 1) * (size_t)sysconf(_SC_PAGESIZE);
	loop->buffer.mem = secmem_alloc(loop->buffer_bytes);
	if (loop->buffer.mem && fuse_opt_add_arg(&args, "hushfs") == 0)
		loop->session = fuse_session_new(&args, ops_table(), sizeof(*ops_table()), context);
	fuse_opt_free_args(&args);
	if (!loop->session) /* libfuse doesn't always say so */
		log_no_memory("to serve the mount");
	context->notify = loop->session ? notify_new(loop->session) : NULL;
	if (!context->notify) {
		loop_free(loop);
		return -ENOMEM;
	}
	*ret_loop = loop;
	return 0;
}

/* A connection that was aborted, as it may be while it is unmounted, is one that has ended. Else libfuse would say so with perror(3), and that calls
 * dup(2), which the sandbox does not foresee. */
static ssize_t loop_io_read(int fd, void *buffer, size_t size, void *userdata)
{
	ssize_t n = read(fd, buffer, size);

	(void)userdata;
	if (n < 0 && errno == ECONNABORTED)
		errno = ENODEV;
	return n;
}

static ssize_t loop_io_writev(int fd, struct iovec *parts, int count, void *userdata)
{
	const struct ops_context *context = userdata;
	size_t size = 0;

	loop_answered = true;
	if (!context->muted)
		return writev(fd, parts, count);
	for (int i = 0; i < count; i++)
		size += parts[i].iov_len;
	return (ssize_t)size;
}

int loop_attach(struct loop *loop, int fd)
{
	static const struct fuse_custom_io io = {.read = loop_io_read, .writev = loop_io_writev};
	int r = fuse_session_custom_io(loop->session, &io, fd); /* libfuse says why not */

	if (r < 0)
		return r;
	notify_attached(loop->context->notify);
	fcntl(fd, F_SETFL, O_NONBLOCK);
	return 0;
}

void loop_take_over(struct loop *loop, const void *init, size_t size, bool answer)
{
	memcpy(loop->buffer.mem, init, size);
	loop->buffer.size = size;
	loop->context->muted = !answer;
	fuse_session_process_buf(loop->session, &loop->buffer);
	loop->context->muted = false;
	secmem_wipe(loop->buffer.mem, size);
}

bool loop_resend(struct loop *loop)
{
	const struct fuse_out_header notification = {.len = sizeof(notification), .error = LOOP_NOTIFY_RESEND};

	return write(fuse_session_fd(loop->session), &notification, sizeof(notification)) == sizeof(notification);
}

void loop_end(struct loop *loop, int ms, const char *warning)
{
	loop->ending = true;
	loop->deadline_ns = clock_now_ns() + ms * CLOCK_MS;
	loop->warning = warning;
}

/* Is the time over? */
static bool loop_is_over(const struct loop *loop)
{
	if (!loop->ending || clock_now_ns() < loop->deadline_ns)
		return false;
	if (loop->warning)
		log_warning("%s", loop->warning);
	return true;
}

/* Of two times in ms; negative: never. */
static int loop_sooner(int a, int b)
{
	return a < 0 || (b >= 0 && b < a) ? b : a;
}

/* How many ms until somebody wants to be seen to; -1: never. */
static int loop_tend(struct ops_context *context)
{
	int scratch_ms = scratch_tend(context->scratch);
	int lock_ms = autolock_tend(&context->autolock, context->tree.store, context->control);
	int store_ms = store_tend(context->tree.store);

	return loop_sooner(loop_sooner(scratch_ms, lock_ms), store_ms);
}

/* How long to sleep: until a scratch file has to be seen to, or the end. */
static int loop_timeout_ms(const struct loop *loop)
{
	int timeout_ms = loop_tend(loop->context);

	if (loop->ending) {
		int64_t left_ms = (loop->deadline_ns - clock_now_ns()) / CLOCK_MS + 1;

		if (left_ms < 0)
			left_ms = 0;
		if (timeout_ms < 0 || timeout_ms > left_ms)
			timeout_ms = (int)left_ms;
	}
	return timeout_ms;
}

/* See to @events; with @sleep wait until there is a request or one of them, or time is up. */
static void loop_wait(struct loop *loop, struct loop_events *events, bool sleep)
{
	struct pollfd polled[1 + LOOP_WATCHED] = {{.fd = fuse_session_fd(loop->session), .events = POLLIN}};

	for (size_t i = 0; i < LOOP_WATCHED; i++)
		polled[1 + i] = (struct pollfd){.fd = events ? events->fds[i] : -1, .events = POLLIN};
	if (poll(polled, 1 + LOOP_WATCHED, sleep ? loop_timeout_ms(loop) : 0) <= 0)
		return;
	for (size_t i = 0; i < LOOP_WATCHED; i++)
		if (polled[1 + i].revents)
			events->readable(events->context, i);
}

/* True if it was a request that wants an answer. */
static bool loop_serve(struct loop *loop, size_t size)
{
	const struct fuse_in_header *header = loop->buffer.mem;
	uint32_t opcode = size < sizeof(*header) ? FUSE_FORGET : header->opcode;

	if (size >= sizeof(*header))
		ops_begin(loop->context, header->unique, opcode, (pid_t)header->pid);
	loop_answered = false;
	fuse_session_process_buf(loop->session, &loop->buffer);
	secmem_wipe(loop->buffer.mem, size);
	return opcode != FUSE_FORGET && opcode != FUSE_BATCH_FORGET && opcode != FUSE_INTERRUPT;
}

int loop_run(struct loop *loop, struct loop_events *events)
{
	int64_t served_ns = 0, watched_ns = 0, spin_until_ns = 0;

	while (!loop->unmounted && !loop_is_over(loop)) {
		int r;

		loop->buffer.size = 0;
		r = fuse_session_receive_buf(loop->session, &loop->buffer);
		if (r > 0) {
			bool wanted = loop_serve(loop, (size_t)r);

			served_ns = clock_now_ns();
			spin_until_ns = loop_answered ? served_ns + LOOP_SPIN_NS : 0;
			if (events && wanted)
				events->served(events->context);
			if (served_ns - watched_ns < LOOP_WATCH_NS)
				continue;
			/* under load it never sleeps */
			watched_ns = served_ns;
			loop_wait(loop, events, false);
		} else if (r == -EAGAIN) {
			if (clock_now_ns() >= spin_until_ns)
				loop_wait(loop, events, true);
		} else if (r == 0) {
			loop->unmounted = true;
		} else if (r != -EINTR) {
			return r;
		}
	}
	return 0;
}

struct loop *loop_free(struct loop *loop)
{
	if (loop) {
		if (loop->session) {
			loop->context->notify = notify_free(loop->context->notify);
			fuse_session_destroy(loop->session);
		}
		secmem_free(loop->buffer.mem);
		free(loop);
	}
	return NULL;
}
