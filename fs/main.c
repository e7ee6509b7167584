/* SPDX-License-Identifier: Apache-2.0
 * hushfs: mounts a store. The order of start, and of ending.
 *
 * The fork to the background comes first: locks on memory, threads and SQLite's locks don't survive one. The parent
 * waits for the child's word that the mount answers, or that it failed (which the child has said on the same stderr).
 */
#include "fs/loop.h"
#include "fs/ops.h"
#include "fs/options.h"
#include "fs/place.h"
#include "store/log.h"
#include "store/secmem.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

/* Everything that ends with the daemon. */
struct daemon {
	struct options options;
	char store_path[PATH_MAX];
	char mountpoint[PATH_MAX];
	struct store *store;
	struct ops_context context;
	struct loop *loop;
	int stop_fd;  /* signalfd of SIGTERM and SIGINT */
	int ready_fd; /* where to say that the mount answers; -1 in front */
};

/* What is in the arena besides what is staged: the request, keys, and values that are sealed, opened or joined. */
static size_t daemon_other_bytes(const struct options *options, size_t values)
{
	return 2u * 1024 * 1024 + values * options->store_options.value_bytes;
}

static void daemon_mount_options(const struct options *options, char *ret_text, size_t bytes)
{
	snprintf(ret_text, bytes, "default_permissions,nosuid,nodev,noexec,noatime,fsname=hushfs,subtype=hushfs%s%s",
		 options->allow_other ? ",allow_other" : "", options->read_only ? ",ro" : "");
}

/* The mount answers: let the parent go, and from here on log to syslog. */
static void daemon_ready(void *context)
{
	struct daemon *daemon = context;
	int null;

	log_info("%s: mounted on %s", daemon->store_path, daemon->mountpoint);
	if (daemon->ready_fd < 0)
		return;
	log_to_syslog();
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	for (int fd = 0; fd <= 2 && null >= 0; fd++)
		dup2(null, fd);
	if (null > 2)
		close(null);
	if (write(daemon->ready_fd, "", 1) < 0)
		log_warning("the process that started this one is gone");
	close(daemon->ready_fd);
	daemon->ready_fd = -1;
}

/* SIGTERM and SIGINT are read by the loop; a terminal that hangs up or a reader that goes away is no reason to end. */
static int daemon_signals(struct daemon *daemon)
{
	sigset_t stop;

	signal(SIGHUP, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&stop);
	sigaddset(&stop, SIGTERM);
	sigaddset(&stop, SIGINT);
	sigprocmask(SIG_BLOCK, &stop, NULL);
	daemon->stop_fd = signalfd(-1, &stop, SFD_CLOEXEC | SFD_NONBLOCK);
	if (daemon->stop_fd < 0)
		log_error("signalfd: %s", strerror(errno));
	return daemon->stop_fd < 0 ? -errno : 0;
}

/* Editors write about as much beside a file as the file has, and twice that for the largest. */
static size_t daemon_scratch_bytes(const struct options *options)
{
	size_t bytes = options->max_staged / 4, twice = 2 * options->store_options.value_bytes;

	bytes = bytes > twice ? bytes : twice;
	return bytes > SCRATCH_BYTES_LEAST ? bytes : SCRATCH_BYTES_LEAST;
}

/* Unless told how much may be staged: as much as usual, or as fits into the memory that this user may lock; then staged
 * and scratch files share that, and whoever comes too late is told so. A buffer that grows is there twice for a moment. */
static int daemon_memory(struct options *options)
{
	const struct rlimit none = {0, 0};
	size_t other = daemon_other_bytes(options, 8), least = daemon_other_bytes(options, 3), bytes;
	bool told = options->max_staged != 0;
	struct rlimit lockable;
	int r = crypto_init();

	if (r < 0)
		return r;
	setrlimit(RLIMIT_CORE, &none);
	if (!told)
		options->max_staged = STAGE_BYTES_DEFAULT;
	options->max_scratch = daemon_scratch_bytes(options);
	bytes = 2 * (options->max_staged + options->max_scratch) + other;
	r = secmem_init(bytes);
	if (r == 1 && !told && getrlimit(RLIMIT_MEMLOCK, &lockable) == 0 &&
	    lockable.rlim_cur >= least + 2 * options->store_options.value_bytes) {
		secmem_deinit();
		options->max_staged = options->max_scratch = (lockable.rlim_cur - least) / 2;
		r = secmem_init(2 * options->max_staged + least);
	}
	if (r == 1)
		log_warning("secrets in memory could be swapped out: %zu KiB can't be locked; raise the limit (ulimit "
			    "-l, LimitMEMLOCK=) or lower -o max_staged",
			    bytes / 1024);
	return r < 0 ? r : 0;
}

static int daemon_open_store(struct daemon *daemon)
{
	struct key *key = NULL;
	int r = key_read(&daemon->options.key, &key);

	if (r == 0)
		r = store_open(daemon->store_path, key, &daemon->options.store_options, &daemon->store);
	key_free(key);
	return r;
}

static int daemon_mount(struct daemon *daemon)
{
	char mount_options[256];
	int r;

	tree_init(&daemon->context.tree, daemon->store, geteuid(), getegid());
	daemon->context.stage = stage_new(&daemon->context.tree, daemon->options.max_staged);
	daemon->context.scratch = scratch_new(daemon->options.max_scratch,
					      daemon->options.store_options.value_bytes, SCRATCH_SECONDS);
	daemon->context.announce = announce_new(&daemon->context.tree);
	if (daemon->context.stage && daemon->context.scratch && daemon->context.announce)
		daemon->context.control = control_new(&daemon->context.tree, daemon->context.stage,
						      daemon->context.scratch, daemon->context.announce);
	if (!daemon->context.control)
		return -ENOMEM;
	daemon->context.autolock.seconds = daemon->options.lock_after;
	autolock_used(&daemon->context.autolock);
	daemon_mount_options(&daemon->options, mount_options, sizeof(mount_options));
	r = loop_new(&daemon->context, mount_options, &daemon->loop);
	if (r == 0) {
		control_set_notify(daemon->context.control, daemon->context.notify);
		r = loop_mount(daemon->loop, daemon->mountpoint);
	}
	if (r == 0)
		announce_mounted(daemon->context.announce, daemon->mountpoint);
	return r;
}

/* The whole life of the process that serves. */
static int daemon_serve(struct daemon *daemon)
{
	int r;

	r = place_check(daemon->options.store, daemon->options.mountpoint, daemon->store_path, daemon->mountpoint);
	if (r == 0)
		r = daemon_memory(&daemon->options);
	if (r == 0)
		r = daemon_signals(daemon); /* before there are threads, which inherit what is blocked */
	if (r == 0)
		r = daemon_open_store(daemon);
	if (r == 0 && daemon->ready_fd >= 0)
		setsid(); /* not before: a passphrase may have been asked for */
	if (r == 0)
		r = daemon_mount(daemon);
	if (r == 0 && chdir("/") == 0)
		r = loop_run(daemon->loop, daemon->stop_fd, daemon_ready, daemon);
	if (!control_stop(daemon->context.control))
		_exit(r < 0 ? EXIT_FAILURE : EXIT_SUCCESS); /* its thread goes on using all of this */
	store_stop(daemon->store); /* commits what waits; the answers still need stage and session */
	control_free(daemon->context.control);
	announce_free(daemon->context.announce);
	stage_free(daemon->context.stage);
	scratch_free(daemon->context.scratch);
	store_close(daemon->store);
	loop_free(daemon->loop);
	secmem_deinit();
	return r;
}

/* In the parent: what became of the child? */
static int daemon_wait(pid_t child, int ready_fd)
{
	char byte;
	int status;

	if (read(ready_fd, &byte, 1) == 1)
		return EXIT_SUCCESS;
	waitpid(child, &status, 0);
	if (WIFSIGNALED(status))
		log_error("the daemon was ended by signal %d before it was ready", WTERMSIG(status));
	return EXIT_FAILURE;
}

int main(int argc, char **argv)
{
	struct daemon daemon = {.stop_fd = -1, .ready_fd = -1};
	int ready[2];
	pid_t child;
	int r;

	log_init("hushfs");
	r = options_parse(&daemon.options, argc, argv);
	if (r != 0)
		return r < 0 ? 2 : EXIT_SUCCESS;
	if (daemon.options.foreground)
		return daemon_serve(&daemon) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
	if (pipe2(ready, O_CLOEXEC) < 0) {
		log_error("pipe: %s", strerror(errno));
		return EXIT_FAILURE;
	}
	child = fork();
	if (child < 0) {
		log_error("fork: %s", strerror(errno));
		return EXIT_FAILURE;
	}
	if (child > 0) {
		close(ready[1]);
		return daemon_wait(child, ready[0]);
	}
	close(ready[0]);
	daemon.ready_fd = ready[1];
	return daemon_serve(&daemon) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
