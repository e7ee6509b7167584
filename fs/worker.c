/* SPDX-License-Identifier: Apache-2.0
 * worker: the order of start, and of ending. See channel.h for what the keeper has to say in it.
 *
 * The store and the connection are had by one worker at a time; what the one before it left unfinished is in the ledger.
 */
#include "fs/worker.h"

#include "fs/channel.h"
#include "fs/helper.h"
#include "fs/loop.h"
#include "fs/ops.h"
#include "fs/options.h"
#include "fs/sandbox.h"
#include "fs/writer.h"
#include "store/anchor.h"
#include "store/log.h"
#include "store/secmem.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <pthread.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#define WORKER_GRACE_MS 10000 /* after SIGTERM, for what is open */
#define WORKER_FORGET_SECONDS 5
#define WORKER_YIELD_MS 3000  /* before another worker takes over, for what is open to write */
#define WORKER_HANDLES 40     /* bits of the numbers that one worker gives to open files */

enum { WORKER_STOP, WORKER_CHANNEL }; /* what the loop watches */

/* Everything that ends with the worker. */
struct worker {
	struct options options;
	unsigned number;
	uid_t mounter_uid, uid; /* who has started it, and who it becomes */
	gid_t mounter_gid, gid;
	struct anchor *anchor; /* or NULL */
	struct store *store;
	struct ops_context context;
	struct loop *loop;
	struct loop_events events;
	bool answered; /* the keeper knows that a request was */
	pthread_mutex_t lock;
	pthread_cond_t heard;
	bool forgotten; /* has the keeper, since it was told of a lock? Under the lock */
};

/* What is in the arena besides what is staged: the request, keys, and values that are sealed, opened or joined. */
static size_t worker_other_bytes(const struct options *options, size_t values)
{
	return 2u * 1024 * 1024 + values * options->store_options.value_bytes;
}

/* Editors write about as much beside a file as the file has, and twice that for the largest. */
static size_t worker_scratch_bytes(const struct options *options)
{
	size_t bytes = options->max_staged / 4, twice = 2 * options->store_options.value_bytes;

	bytes = bytes > twice ? bytes : twice;
	return bytes > SCRATCH_BYTES_LEAST ? bytes : SCRATCH_BYTES_LEAST;
}

/* Unless told how much may be staged: as much as usual, or as fits into the memory that this user may lock; then staged
 * and scratch files share that, and whoever comes too late is told so. A buffer that grows is there twice for a moment. */
static int worker_memory(struct options *options, bool first)
{
	size_t other = worker_other_bytes(options, 8), least = worker_other_bytes(options, 3), bytes;
	bool told = options->max_staged != 0;
	struct rlimit lockable;
	int r;

	crypto_init();
	if (!told)
		options->max_staged = STAGE_BYTES_DEFAULT;
	options->max_scratch = worker_scratch_bytes(options);
	bytes = 2 * (options->max_staged + options->max_scratch) + other;
	r = secmem_init(bytes);
	if (r == 1 && !told && getrlimit(RLIMIT_MEMLOCK, &lockable) == 0 &&
	    lockable.rlim_cur >= least + 2 * options->store_options.value_bytes) {
		secmem_deinit();
		options->max_staged = options->max_scratch = (lockable.rlim_cur - least) / 2;
		r = secmem_init(2 * options->max_staged + least);
	}
	if (r == 1 && !options->allow_swap) {
		if (!told)
			bytes = least + 2 * options->store_options.value_bytes;
		log_error("secrets in memory could be swapped out: %zu KiB can't be locked; raise the limit (ulimit -l, in a unit "
			  "LimitMEMLOCK=), lower -o %s, or allow it with -o allow_swap",
			  bytes / 1024, told ? "max_staged" : "max_size");
		return -EPERM;
	}
	if (r == 1 && first)
		log_warning("secrets in memory could be swapped out: %zu KiB can't be locked", bytes / 1024);
	return r < 0 ? r : 0;
}

/* SIGTERM and SIGINT are read by the loop; a terminal that hangs up or a reader that goes away is no reason to end. */
static int worker_signals(struct worker *worker)
{
	sigset_t stop;

	signal(SIGHUP, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&stop);
	sigaddset(&stop, SIGTERM);
	sigaddset(&stop, SIGINT);
	sigprocmask(SIG_BLOCK, &stop, NULL);
	worker->events.fds[WORKER_STOP] = signalfd(-1, &stop, SFD_CLOEXEC | SFD_NONBLOCK);
	if (worker->events.fds[WORKER_STOP] < 0)
		log_error("cannot wait for signals: %s", log_reason(errno));
	return worker->events.fds[WORKER_STOP] < 0 ? -errno : 0;
}

/* --- while it serves -------------------------------------------------------------------------------------------- */

static int *worker_channel(struct worker *worker)
{
	return &worker->events.fds[WORKER_CHANNEL];
}

static void worker_end(struct worker *worker)
{
	loop_end(worker->loop, WORKER_GRACE_MS,
		 "still in use 10 seconds after the signal to end; what was being written is dropped");
}

/* SIGTERM. To unmount is the keeper's, if there is one. */
static void worker_stop(struct worker *worker)
{
	struct signalfd_siginfo info;

	if (read(worker->events.fds[WORKER_STOP], &info, sizeof(info)) != sizeof(info))
		return;
	if (*worker_channel(worker) >= 0 && channel_say(*worker_channel(worker), CHANNEL_END_ASKED) == 0)
		return;
	announce_detach(worker->context.announce);
	worker_end(worker);
}

/* Has nobody anything open that the next worker would not have? */
static bool worker_is_idle(struct worker *worker)
{
	size_t files, bytes;

	scratch_usage(worker->context.scratch, &files, &bytes);
	return files == 0 && stage_entries(worker->context.stage) == 0 && !control_in_use(worker->context.control);
}

/* Not while it is locked: when the keeper hears of that, it ends who was to take over. */
static void worker_yield(struct worker *worker)
{
	if (!control_yield(worker->context.control))
		return;
	worker->context.yielding = true;
	loop_end(worker->loop, worker_is_idle(worker) ? 0 : WORKER_YIELD_MS,
		 worker_is_idle(worker) ? NULL : "open for writing, or in a scratch file, when another worker took over: it is lost");
}

/* The keeper has no key any more. */
static void worker_forgotten(struct worker *worker)
{
	pthread_mutex_lock(&worker->lock);
	worker->forgotten = true;
	pthread_cond_signal(&worker->heard);
	pthread_mutex_unlock(&worker->lock);
}

static void worker_hear(struct worker *worker)
{
	struct channel_message message;
	int r = channel_receive(*worker_channel(worker), &message, NULL);

	if (r == 0 && message.kind == CHANNEL_END) {
		worker_end(worker);
	} else if (r == 0 && message.kind == CHANNEL_YIELD) {
		worker_yield(worker);
	} else if (r == 0 && message.kind == CHANNEL_STAYED) {
		worker->context.failed_upgrades++;
	} else if (r == 0 && message.kind == CHANNEL_ADOPTED) {
		worker->context.keeper = (pid_t)message.keeper;
	} else if (r == 0 && message.kind == CHANNEL_FORGOTTEN) {
		worker_forgotten(worker);
	} else if (r < 0) {
		log_error("%s: the keeper is gone: if this process ends, so does the mount. Unmount and mount again when it suits; SIGTERM to %d "
			  "unmounts",
			  worker->options.mountpoint, getpid());
		close(*worker_channel(worker));
		*worker_channel(worker) = -1;
		worker->context.keeper = 0;
		worker_forgotten(worker);
	}
}

static void worker_readable(void *context, size_t which)
{
	struct worker *worker = context;

	if (which == WORKER_STOP)
		worker_stop(worker);
	else
		worker_hear(worker);
}

static void worker_served(void *context)
{
	struct worker *worker = context;

	if (!worker->answered && *worker_channel(worker) >= 0)
		channel_say(*worker_channel(worker), CHANNEL_ANSWERED);
	worker->answered = true;
	if (worker->context.yielding && worker_is_idle(worker))
		loop_end(worker->loop, 0, NULL);
}

/* --- start ------------------------------------------------------------------------------------------------------ */

/* Wait for what the keeper says next. -EPIPE if that isn't @kind: it has ended, or begun to. */
static int worker_wait(struct worker *worker, enum channel_kind kind, struct channel_message *ret_message, int *ret_passed)
{
	int r = channel_receive(*worker_channel(worker), ret_message, ret_passed);

	return r == 0 && (ret_message->kind != (uint32_t)kind || *ret_passed < 0) ? -EPIPE : r;
}

/* Who it is to become: root's worker the owner of the store, unless told otherwise. */
static int worker_user(struct worker *worker)
{
	const char *run_as = worker->options.run_as;
	const struct passwd *user;
	struct stat st;

	worker->uid = worker->mounter_uid = geteuid();
	worker->gid = worker->mounter_gid = getegid();
	if (worker->uid != 0 && run_as)
		log_error("-o run_as=%s: that takes root to start it", run_as);
	if (worker->uid != 0)
		return run_as ? -EPERM : 0;
	user = run_as ? getpwnam(run_as) : NULL;
	if (run_as && !user) {
		log_error("-o run_as=%s: there is no such user", run_as);
		return -EINVAL;
	}
	if (!user && stat(worker->options.store, &st) < 0) {
		log_error("%s: cannot reach the store: %s; has it been moved?", worker->options.store, strerror(errno));
		return -errno;
	}
	worker->uid = user ? user->pw_uid : st.st_uid;
	worker->gid = user ? user->pw_gid : st.st_gid;
	return 0;
}

/* They keep the rights that this process gives up. */
static int worker_helpers(struct worker *worker)
{
	int r;

	helper_for(worker->uid);
	r = writer_start();
	if (r < 0)
		return r;
	worker->context.announce = announce_new(&worker->context.tree, worker->options.mountpoint);
	return worker->context.announce ? loop_new(&worker->context, &worker->loop) : -ENOMEM;
}

/* May the user that it is now use the store? SQLite would say less. */
static int worker_check_store(const struct worker *worker, const char *folder)
{
	const char *store = worker->options.store;
	const char *what = access(folder, R_OK | W_OK | X_OK) < 0 ? folder : access(store, R_OK | W_OK) < 0 ? store : NULL;

	if (!what)
		return 0;
	log_error("%s: user %u, who is to serve it, can't write here: %s; %s", what, worker->uid, strerror(errno),
		  errno == EROFS		? "a store opens only where it can be written to"
		  : errno == ENOENT		? "has it been moved?"
		  : worker->mounter_uid == 0	? "give it to that user (chown), or name another with -o run_as"
						: "use a store that is yours");
	return -EACCES;
}

static void worker_say_missing(const struct sandbox *sandbox)
{
	if (!sandbox->landlock)
		log_warning("the worker is not confined to the folder of the store: no Landlock in this kernel or build");
	if (!sandbox->seccomp)
		log_warning("the worker's system calls are not limited: no seccomp in this kernel or build");
}

/* What is open now stays, as do the helpers. From here on it has the folder of the store and what the keeper hands to it. */
static int worker_confine(struct worker *worker)
{
	struct sandbox *sandbox = &worker->context.sandbox;
	char path[PATH_MAX];
	const char *folder;
	int r;

	snprintf(path, sizeof(path), "%s", worker->options.store);
	folder = dirname(path);
	if (!worker->options.foreground)
		log_connect();
	r = sandbox_enter(folder, worker->uid, worker->gid, sandbox);
	if (r == 0)
		r = worker_check_store(worker, folder);
	return r;
}

/* All that needs no store: so nothing of it keeps others waiting while a worker takes over. */
static int worker_prepare(struct worker *worker, struct key **ret_key)
{
	int r = worker_memory(&worker->options, worker->number == 1);

	if (r == 0)
		r = worker_signals(worker); /* before there are threads, which inherit what is blocked */
	if (r == 0)
		r = worker_user(worker);
	if (r == 0)
		r = worker_helpers(worker);
	if (r == 0 && worker->options.anchor) /* not for the helpers; and with the rights of who mounts: others need not reach it */
		r = anchor_open(worker->options.anchor, worker->options.read_only, &worker->anchor);
	if (r == 0)
		r = worker_confine(worker);
	if (r == 0)
		r = channel_receive_key(*worker_channel(worker), ret_key);
	if (r == 0 && worker->anchor)
		anchor_suggest_key(worker->anchor, &worker->options.key, (*ret_key)->kind);
	if (r == 0)
		r = channel_say(*worker_channel(worker), CHANNEL_READY);
	return r;
}

static void worker_committing(void *context, uint64_t request, uint64_t generation)
{
	ledger_committing(context, request, generation);
}

/* The store, with what the worker before this one had open of it. */
static int worker_open(struct worker *worker, const struct key *key)
{
	struct store_options *options = &worker->options.store_options;
	struct channel_message message;
	struct store_status status;
	struct store_held *held;
	int ledger;
	int r = worker_wait(worker, CHANNEL_OPEN, &message, &ledger);

	if (r < 0)
		return r;
	worker->context.restarts = message.restarts;
	r = ledger_open(ledger, &worker->context.ledger);
	close(ledger);
	if (r < 0)
		return r;
	held = ledger_pins(worker->context.ledger, &options->n_held);
	options->held = held;
	options->anchor = worker->anchor;
	options->committing = worker_committing;
	options->context = worker->context.ledger;
	r = store_open(worker->options.store, key, options, &worker->store);
	free(held);
	if (r < 0)
		return r;
	store_get_status(worker->store, &status);
	ledger_opened(worker->context.ledger, status.generation);
	ledger_helper(worker->context.ledger, announce_helper(worker->context.announce));
	return channel_say(*worker_channel(worker), CHANNEL_OPENED);
}

/* A lock is answered when nobody has the key any more. For the thread that locks; it is the serving thread that hears. */
static void worker_have_forgotten(struct worker *worker)
{
	struct timespec until;
	int r = 0;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += WORKER_FORGET_SECONDS;
	pthread_mutex_lock(&worker->lock);
	worker->forgotten = false;
	if (channel_say(*worker_channel(worker), CHANNEL_LOCKED) < 0)
		r = EPIPE; /* with the keeper its key is gone */
	while (!worker->forgotten && r == 0)
		r = pthread_cond_clockwait(&worker->heard, &worker->lock, CLOCK_MONOTONIC, &until);
	pthread_mutex_unlock(&worker->lock);
	if (r == ETIMEDOUT)
		log_warning("the keeper has not said within %d seconds that it has forgotten the key: it may still be in its memory", WORKER_FORGET_SECONDS);
}

/* The keeper has the key for the next worker; not while the store is locked. */
static void worker_key_holder(void *context, const struct key *key)
{
	struct worker *worker = context;

	if (*worker_channel(worker) < 0)
		return;
	if (key)
		channel_send_unlocked(*worker_channel(worker), key);
	else
		worker_have_forgotten(worker);
}

static int worker_make(struct worker *worker)
{
	struct ops_context *context = &worker->context;
	const struct options *options = &worker->options;

	aside_init(&context->aside);
	tree_init(&context->tree, worker->store, worker->mounter_uid, worker->mounter_gid);
	context->tree.handles = (uint64_t)worker->number << WORKER_HANDLES;
	kept_init(&context->kept, &context->tree, context->notify);
	context->stage = stage_new(&context->tree, &context->kept, options->max_staged);
	context->scratch = scratch_new(options->max_scratch, options->store_options.value_bytes, SCRATCH_SECONDS);
	if (context->stage && context->scratch)
		context->control = control_new(&context->tree, context->stage, context->scratch, context->announce);
	if (!context->control)
		return log_no_memory("to serve the mount");
	control_set_status(context->control, context);
	control_set_key_holder(context->control, worker_key_holder, worker);
	control_set_kept(context->control, &context->kept);
	context->autolock.seconds = options->lock_after;
	autolock_used(&context->autolock);
	return 0;
}

/* To syslog from here on, unless it is in front. */
static void worker_log(const struct worker *worker)
{
	if (worker->options.foreground)
		return;
	log_to_syslog();
	dup2(STDIN_FILENO, STDERR_FILENO);
}

/* The connection, from the worker before or from the start. */
static int worker_take_over(struct worker *worker)
{
	struct channel_message message, serving = {.kind = CHANNEL_SERVING};
	int fuse;
	int r = worker_wait(worker, CHANNEL_SERVE, &message, &fuse);

	if (r < 0)
		return r;
	announce_mounted(worker->context.announce, (dev_t)message.device);
	r = loop_attach(worker->loop, fuse);
	if (r < 0)
		return r;
	loop_take_over(worker->loop, message.init, message.init_size, message.first);
	if (worker->number > 1)
		kept_drop_all(&worker->context.kept);
	serving.resend = message.resend && loop_resend(worker->loop);
	if (worker->number == 1) {
		worker_say_missing(&worker->context.sandbox); /* not before: what can't be served says why, in one line */
		worker_log(worker);
	}
	return channel_send(*worker_channel(worker), &serving, -1);
}

static int worker_start(struct worker *worker)
{
	struct key *key = NULL;
	int r = worker_prepare(worker, &key);

	if (r == 0)
		r = worker_open(worker, key);
	key_free(key);
	if (r == 0)
		r = worker_make(worker);
	if (r == 0)
		r = worker_take_over(worker);
	return r;
}

static void worker_free(struct worker *worker)
{
	struct ops_context *context = &worker->context;

	control_free(context->control);
	announce_free(context->announce);
	writer_stop();
	stage_free(context->stage);
	scratch_free(context->scratch);
	store_close(worker->store);
	anchor_close(worker->anchor);
	loop_free(worker->loop);
	ledger_free(context->ledger);
	secmem_deinit();
}

/* Of those that it was started with, the channel and stderr. */
static void worker_descriptors(void)
{
	int null;

	close_range(CHANNEL_FD + 1, ~0u, 0);
	fcntl(CHANNEL_FD, F_SETFD, FD_CLOEXEC);
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null >= 0) {
		dup2(null, STDIN_FILENO);
		dup2(null, STDOUT_FILENO);
	}
	if (null > STDERR_FILENO)
		close(null);
}

int worker_main(unsigned number, int argc, char **argv)
{
	static struct worker worker;
	int r;

	prctl(PR_SET_NAME, "hushfs");
	worker_descriptors();
	worker.number = number;
	pthread_mutex_init(&worker.lock, NULL);
	pthread_cond_init(&worker.heard, NULL);
	worker.context.keeper = getppid();
	worker.events = (struct loop_events){
		.fds = {-1, CHANNEL_FD}, .readable = worker_readable, .served = worker_served, .context = &worker};
	if (options_parse(&worker.options, argc, argv) != 0)
		return EXIT_FAILURE;
	if (number > 1)
		worker_log(&worker);
	r = worker_start(&worker);
	if (r == 0)
		r = loop_run(worker.loop, &worker.events);
	if (!control_stop(worker.context.control))
		_exit(r < 0 ? EXIT_FAILURE : EXIT_SUCCESS); /* its thread goes on using all of this */
	store_stop(worker.store); /* commits what waits; the answers still need stage and session */
	worker_free(&worker);
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
