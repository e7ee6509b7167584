/* SPDX-License-Identifier: Apache-2.0
 * loop: receive, serve, wipe. One thread.
 *
 * The descriptor is non-blocking: after a request the loop looks for the next one for a short while before it sleeps,
 * since a client's calls come in rows and waking a sleeper costs more than serving a request.
 */
#include "fs/loop.h"

#include "store/log.h"
#include "store/secmem.h"

#include <errno.h>
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <poll.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LOOP_SPIN_NS 20000
#define LOOP_PAGES 256 /* libfuse's own bound on a request (FUSE_MAX_MAX_PAGES), and a page for its head */

struct loop {
	struct fuse_session *session;
	struct ops_context *context;
	struct fuse_buf buffer;
	size_t buffer_bytes;
	char *mountpoint; /* NULL if attached, or taken from the tree: what is mounted there then is not ours */
	bool unmounted;   /* the kernel has let go of the connection */
};

/* libfuse's own words, one line each. */
static void loop_log(enum fuse_log_level level, const char *format, va_list args)
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

int loop_new(struct ops_context *context, const char *mount_options, struct loop **ret_loop)
{
	struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
	struct loop *loop = calloc(1, sizeof(*loop));
	int r = -ENOMEM;

	fuse_set_log_func(loop_log);
	if (loop) {
		loop->context = context;
		loop->buffer_bytes = (LOOP_PAGES + 1) * (size_t)sysconf(_SC_PAGESIZE);
		loop->buffer.mem = secmem_alloc(loop->buffer_bytes);
	}
	if (loop && loop->buffer.mem && fuse_opt_add_arg(&args, "hushfs") == 0 &&
	    fuse_opt_add_arg(&args, "-o") == 0 && fuse_opt_add_arg(&args, mount_options) == 0) {
		loop->session = fuse_session_new(&args, ops_table(), sizeof(*ops_table()), context);
		context->notify = loop->session ? notify_new(loop->session) : NULL;
		r = context->notify ? 0 : -EINVAL;
	}
	fuse_opt_free_args(&args);
	if (r < 0) {
		log_error("cannot make a FUSE session with the options \"%s\": %s", mount_options, strerror(-r));
		loop_free(loop);
		return r;
	}
	*ret_loop = loop;
	return 0;
}

static int loop_set_nonblocking(struct loop *loop)
{
	int fd = fuse_session_fd(loop->session);
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0) {
		log_error("cannot set up the FUSE descriptor: %s", strerror(errno));
		return -EIO;
	}
	return 0;
}

int loop_mount(struct loop *loop, const char *mountpoint)
{
	loop->mountpoint = strdup(mountpoint);
	if (!loop->mountpoint)
		return -ENOMEM;
	if (fuse_session_mount(loop->session, mountpoint) != 0) {
		log_error("%s: cannot mount here", mountpoint);
		free(loop->mountpoint);
		loop->mountpoint = NULL;
		return -EIO;
	}
	return loop_set_nonblocking(loop);
}

static ssize_t loop_io_read(int fd, void *buffer, size_t size, void *userdata)
{
	(void)userdata;
	return read(fd, buffer, size);
}

static ssize_t loop_io_writev(int fd, struct iovec *parts, int count, void *userdata)
{
	(void)userdata;
	return writev(fd, parts, count);
}

int loop_attach(struct loop *loop, int fd)
{
	static const struct fuse_custom_io io = {.read = loop_io_read, .writev = loop_io_writev};
	int r = fuse_session_custom_io(loop->session, &io, fd);

	if (r < 0) {
		log_error("cannot serve descriptor %d: %s", fd, strerror(-r));
		return r;
	}
	return loop_set_nonblocking(loop);
}

/* Take the mount out of the tree: nothing can be opened any more, what is open goes on.
 * Not fuse_session_unmount, which closes the connection first. */
static void loop_detach(struct loop *loop)
{
	char *const arguments[] = {"fusermount3", "-u", "-q", "-z", "--", loop->mountpoint, NULL};
	pid_t pid;

	if (umount2(loop->mountpoint, MNT_DETACH | UMOUNT_NOFOLLOW) < 0 &&
	    posix_spawnp(&pid, "fusermount3", NULL, NULL, arguments, (char *const[]){NULL}) == 0)
		waitpid(pid, NULL, 0);
	free(loop->mountpoint);
	loop->mountpoint = NULL;
}

static int64_t loop_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* How many ms until somebody wants to be seen to; -1: never. */
static int loop_tend(struct ops_context *context)
{
	int scratch_ms = scratch_tend(context->scratch);
	int lock_ms = autolock_tend(&context->autolock, context->tree.store, context->control);

	return scratch_ms < 0 || (lock_ms >= 0 && lock_ms < scratch_ms) ? lock_ms : scratch_ms;
}

/* Sleep until there is a request, a signal, or something to be seen to. False when the grace period is over. */
static bool loop_wait(struct loop *loop, int *stop_fd, int64_t *deadline_ns)
{
	struct pollfd polled[] = {{.fd = fuse_session_fd(loop->session), .events = POLLIN},
				  {.fd = *stop_fd, .events = POLLIN}};
	int timeout_ms = loop_tend(loop->context);

	if (*deadline_ns) {
		int64_t left_ns = *deadline_ns - loop_now_ns();

		if (left_ns <= 0)
			return false;
		if (timeout_ms < 0 || timeout_ms > left_ns / 1000000)
			timeout_ms = (int)(left_ns / 1000000) + 1;
	}
	poll(polled, 2, timeout_ms);
	if (polled[1].revents & POLLIN) {
		*stop_fd = -1;
		if (!loop->mountpoint)
			return false;
		*deadline_ns = loop_now_ns() + LOOP_GRACE_SECONDS * INT64_C(1000000000);
		loop_detach(loop);
	}
	return true;
}

int loop_run(struct loop *loop, int stop_fd, void (*ready)(void *context), void *ready_context)
{
	int64_t deadline_ns = 0, served_ns = 0;

	while (!loop->unmounted) {
		int r;

		loop->buffer.size = 0;
		r = fuse_session_receive_buf(loop->session, &loop->buffer);
		if (r > 0) {
			fuse_session_process_buf(loop->session, &loop->buffer);
			secmem_wipe(loop->buffer.mem, (size_t)r);
			served_ns = loop_now_ns();
			if (ready)
				ready(ready_context);
			ready = NULL;
		} else if (r == -EAGAIN) {
			if (loop_now_ns() - served_ns < LOOP_SPIN_NS)
				continue;
			if (!loop_wait(loop, &stop_fd, &deadline_ns)) {
				if (deadline_ns)
					log_warning("still in use %d seconds after the signal to end; what was being "
						    "written is dropped",
						    LOOP_GRACE_SECONDS);
				return 0;
			}
		} else if (r == 0) {
			loop->unmounted = true;
		} else if (r != -EINTR) {
			return loop->mountpoint ? r : 0; /* an attached client hung up */
		}
	}
	return 0;
}

struct loop *loop_free(struct loop *loop)
{
	if (loop) {
		if (loop->session && !notify_free(loop->context->notify))
			return NULL; /* the process ends, and with it the connection that holds that thread */
		if (loop->session) {
			/* of a connection that is gone, libfuse only frees what it knows */
			if (loop->mountpoint || loop->unmounted)
				fuse_session_unmount(loop->session);
			fuse_session_destroy(loop->session);
		}
		secmem_free(loop->buffer.mem);
		free(loop->mountpoint);
		free(loop);
	}
	return NULL;
}
