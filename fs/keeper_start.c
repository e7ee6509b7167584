/* SPDX-License-Identifier: Apache-2.0
 * keeper_start: from the command line to the first worker.
 *
 * The fork to the background comes first: locks on memory don't survive one. The parent waits for the child's word that
 * the mount answers, or that it failed (which the child has said on the same stderr).
 */
#include "fs/keeper.h"

#include "fs/keeper_internal.h"
#include "fs/place.h"
#include "fs/service.h"
#include "store/log.h"
#include "store/secmem.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define KEEPER_ARENA_BYTES (64 * 1024) /* for the key, and what it takes to read it */

/* A reader that goes away is no reason to end. */
static int keeper_signals(struct keeper *keeper)
{
	static const int numbers[] = {SIGTERM, SIGINT, SIGHUP, SIGCHLD};
	sigset_t set;

	prctl(PR_SET_CHILD_SUBREAPER, 1); /* of what a dead worker leaves */
	signal(SIGPIPE, SIG_IGN);
	signal(SIGCHLD, SIG_DFL);
	signal(SIGHUP, SIG_DFL);
	sigemptyset(&set);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		sigaddset(&set, numbers[i]);
	sigprocmask(SIG_BLOCK, &set, NULL);
	keeper->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (keeper->signals < 0)
		log_error("cannot wait for signals: %s", log_reason(errno));
	return keeper->signals < 0 ? -errno : 0;
}

/* What is run now, and where the one is found that will be installed next. */
static int keeper_program(struct keeper *keeper)
{
	static const char deleted[] = " (deleted)";
	ssize_t size = readlink("/proc/self/exe", keeper->program_path, sizeof(keeper->program_path) - 1);
	size_t tail = sizeof(deleted) - 1;

	keeper->program = open("/proc/self/exe", O_PATH | O_CLOEXEC);
	if (size < 0 || keeper->program < 0) {
		log_error("/proc/self/exe: %s%s", log_reason(errno), errno == ENOENT ? "; /proc must be mounted" : "");
		return -errno;
	}
	keeper->program_path[size] = '\0';
	if ((size_t)size > tail && strcmp(keeper->program_path + size - tail, deleted) == 0)
		keeper->program_path[(size_t)size - tail] = '\0';
	return 0;
}

static int keeper_key(struct keeper *keeper)
{
	const struct rlimit none = {0, 0};
	int r;

	setrlimit(RLIMIT_CORE, &none);
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0); /* not to be traced by others of its user */
	crypto_init();
	r = secmem_init(KEEPER_ARENA_BYTES);
	return r < 0 || keeper->kept->locked ? r : key_read(&keeper->options.key, &keeper->key);
}

/* A place for a new mount. */
static int keeper_begin(struct keeper *keeper)
{
	int r = place_check(keeper->options.store, keeper->options.mountpoint, keeper->store_path, keeper->mountpoint);

	return r < 0 ? r : keeper_keep(keeper);
}

/* Where the anchor is, also when this folder has been left. */
static int keeper_anchor(struct keeper *keeper)
{
	char anchor[PATH_MAX];
	int r;

	if (!keeper->options.anchor)
		return 0;
	r = place_anchor(keeper->options.anchor, keeper->store_path, keeper->mountpoint, anchor);
	if (r == 0)
		snprintf(keeper->anchor_option, sizeof(keeper->anchor_option), KEEPER_ANCHOR "%s", anchor);
	return r;
}

/* The whole life of the process that stays. */
static int keeper_run(struct keeper *keeper)
{
	bool resumed;
	int r;

	if (keeper->options.foreground)
		service_init();
	resumed = keeper_resume(keeper);
	r = resumed ? 0 : keeper_begin(keeper);
	if (r == 0)
		r = keeper_anchor(keeper);
	if (r == 0)
		r = keeper_key(keeper);
	if (r == 0)
		r = keeper_signals(keeper);
	if (r == 0)
		r = keeper_program(keeper);
	if (r == 0 && keeper->ready_fd >= 0)
		setsid(); /* not before: a passphrase may have been asked for */
	if (r == 0 && chdir("/") == 0)
		resumed ? keeper_adopt(keeper) : keeper_start_again(keeper);
	if (r == 0)
		keeper_loop(keeper);
	key_free(keeper->key);
	secmem_deinit();
	return r < 0 ? EXIT_FAILURE : keeper->status;
}

/* Who starts it without standard descriptors must not have them become something else. */
static void keeper_fill_standard(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
}

/* In the parent: what became of the child? */
static int keeper_wait(pid_t child, int ready_fd)
{
	char byte;
	int status;

	if (read(ready_fd, &byte, 1) == 1)
		return EXIT_SUCCESS;
	waitpid(child, &status, 0);
	if (WIFSIGNALED(status))
		log_error("the daemon was ended by signal %d before it was ready; dmesg may say why", WTERMSIG(status));
	return EXIT_FAILURE;
}

static int keeper_background(struct keeper *keeper)
{
	int ready[2];
	pid_t child;

	if (pipe2(ready, O_CLOEXEC) < 0) {
		log_error("cannot make a pipe: %s", log_reason(errno));
		return EXIT_FAILURE;
	}
	child = fork();
	if (child < 0) {
		log_error("cannot start a process: %s; is there a limit (ulimit -u, in a unit TasksMax=)?", strerror(errno));
		return EXIT_FAILURE;
	}
	if (child > 0) {
		close(ready[1]);
		return keeper_wait(child, ready[0]);
	}
	close(ready[0]);
	keeper->ready_fd = ready[1];
	return keeper_run(keeper);
}

/* Parsing options cuts up what it is given, so a worker's are copies, kept until the process ends. NULL without memory. */
static char **keeper_copy(int argc, char **argv)
{
	char **copy = calloc((size_t)argc + 1, sizeof(*copy));

	for (int i = 0; copy && i < argc; i++) {
		copy[i] = strdup(argv[i]);
		if (!copy[i])
			return NULL; /* NOLINT(clang-analyzer-unix.Malloc): the process ends */
	}
	return copy;
}

/* The command line of a worker: this one, with the paths as place_check will find them, a first argument of its own, and the anchor's path as
 * the last flag, which counts. @given: argv before it was parsed, @copies: what it had. NULL without memory. */
static char **keeper_worker_argv(struct keeper *keeper, int argc, char **given, char **copies)
{
	char **worker = calloc((size_t)argc + 4, sizeof(*worker));
	bool anchor = keeper->options.anchor;
	int n = 2;

	if (!worker)
		return NULL;
	worker[0] = copies[0];
	for (int i = 1; i <= argc; i++) {
		if (anchor && (i == argc || strcmp(copies[i], "--") == 0)) {
			worker[n++] = "-o";
			worker[n++] = keeper->anchor_option;
			anchor = false;
		}
		if (i == argc)
			break;
		if (given[i] == keeper->options.store)
			worker[n++] = keeper->store_path;
		else
			worker[n++] = given[i] == keeper->options.mountpoint ? keeper->mountpoint : copies[i];
	}
	return worker;
}

int keeper_main(int argc, char **argv)
{
	static struct keeper keeper = {.worker = {.channel = -1, .program = -1, .process = -1},
				       .next = {.channel = -1, .program = -1, .process = -1},
				       .fuse = -1,
				       .ledger = -1,
				       .kept_fd = -1,
				       .ready_fd = -1};
	char **given = calloc((size_t)argc + 1, sizeof(*given));
	int r;

	keeper_fill_standard();
	keeper.copies = keeper_copy(argc, argv);
	if (!given || !keeper.copies) {
		free(given);
		log_no_memory("to begin");
		return EXIT_FAILURE;
	}
	memcpy(given, argv, (size_t)argc * sizeof(*given));
	r = options_parse(&keeper.options, argc, argv);
	if (r != 0) {
		free(given);
		return r < 0 ? 2 : EXIT_SUCCESS;
	}
	keeper.argv = keeper_worker_argv(&keeper, argc, given, keeper.copies);
	free(given);
	if (!keeper.argv) {
		log_no_memory("to begin");
		return EXIT_FAILURE;
	}
	return keeper.options.foreground ? keeper_run(&keeper) : keeper_background(&keeper);
}
