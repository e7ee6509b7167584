/* SPDX-License-Identifier: Apache-2.0
 * keeper: mounts, holds the connection to the kernel, and sees to it that a worker serves it.
 *
 * It has one thread and one place to wait, knows the store's key and the kernel's first request, and reads nothing else that
 * comes from outside: no store, no request, no file of the mount. What a worker says are the kinds of channel.h. As long as
 * it holds the connection, requests wait when a worker dies, and the next worker gets those, too, that the dead one had
 * taken (the kernel sends them again). Workers are programs of their own, so that another version can go on.
 */
#include "fs/keeper_internal.h"

#include "fs/mount.h"
#include "fs/service.h"
#include "store/clock.h"
#include "store/log.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define KEEPER_READ_BYTES (256 * 1024) /* the least that the kernel hands a request over in is 8 KiB */
#define KEEPER_DEATHS 10               /* in a row without a request answered; then it gives up */
#define KEEPER_PAUSE_MS 10             /* after the second of these, or the second crash, then doubled */
#define KEEPER_PAUSE_MS_MOST 5000
#define KEEPER_QUICK_MS 1000           /* who crashes sooner after the start makes the next wait longer */
#define KEEPER_READY_MS 5000           /* how long the worker of an upgrade may take to get ready */
#define KEEPER_END_MS 30000            /* how long one may take to end: 10 s for what is open, 5 s for what is asked for in /.hush, and it closes the store */
#define KEEPER_MOUNT_OPTIONS_BYTES (256 + 2 * PATH_MAX)

static int64_t keeper_now_ms(void)
{
	return clock_now_ns() / CLOCK_MS;
}

/* Nobody is to go on where this one ends. */
static void keeper_end(struct keeper *keeper, int status)
{
	keeper_withdraw();
	keeper->ended = true;
	keeper->status = status;
}

/* --- starting workers ------------------------------------------------------------------------------------------ */

/* A worker needs nothing of the environment; a sanitizer has its options there. */
#if defined(HUSHFS_INSTRUMENTED)
#define KEEPER_ENVIRONMENT environ
#else
#define KEEPER_ENVIRONMENT ((char *[]){NULL})
#endif

/* In the child: become a worker. */
static void keeper_become_worker(struct keeper *keeper, int program, int channel, unsigned number)
{
	char flag[32];
	sigset_t none;

	program = fcntl(program, F_DUPFD_CLOEXEC, CHANNEL_FD + 1); /* out of the way */
	snprintf(flag, sizeof(flag), "--worker=%u", number);
	keeper->argv[1] = flag;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (program >= 0 && dup2(channel, CHANNEL_FD) >= 0 && (channel != CHANNEL_FD || fcntl(channel, F_SETFD, 0) == 0))
		execveat(program, "", keeper->argv, KEEPER_ENVIRONMENT, AT_EMPTY_PATH);
	log_error("%s: cannot be executed: %s", keeper->program_path, log_reason(errno));
	_exit(127);
}

/* Start @program, which is taken over, as a worker and hand it the key. */
static int keeper_start(struct keeper *keeper, int program, struct keeper_worker *ret_worker)
{
	int channel, theirs, r;
	pid_t pid;

	r = channel_new(&channel, &theirs);
	if (r < 0) {
		close(program);
		return r;
	}
	keeper->kept->started++;
	pid = fork();
	if (pid == 0)
		keeper_become_worker(keeper, program, theirs, keeper->kept->started);
	r = pid < 0 ? -errno : 0;
	close(theirs);
	if (r < 0) {
		log_error("cannot start a process: %s; is there a limit (ulimit -u, in a unit TasksMax=)?", strerror(-r));
		close(channel);
		close(program);
		return r;
	}
	*ret_worker = (struct keeper_worker){
		.phase = KEEPER_STARTING, .pid = pid, .channel = channel, .program = program, .process = -1, .since_ms = keeper_now_ms()};
	channel_send_key(channel, keeper->key); /* if it is gone, its end says so */
	return 0;
}

/* Start one with the program that served last. If that can't be, a mount is worth waiting for; without one it has failed. */
void keeper_start_again(struct keeper *keeper)
{
	int program = fcntl(keeper->program, F_DUPFD_CLOEXEC, 0);
	int r = program < 0 ? -errno : 0;

	keeper->start_ms = 0;
	if (r < 0)
		log_error("%s: cannot be started: %s", keeper->program_path, log_reason(-r));
	else
		r = keeper_start(keeper, program, &keeper->worker);
	if (r < 0 && keeper->fuse < 0)
		keeper_end(keeper, EXIT_FAILURE);
	else if (r < 0)
		keeper->start_ms = keeper_now_ms() + 1000;
}

/* SIGHUP: start what is installed now; it takes over when it is ready. */
static void keeper_upgrade(struct keeper *keeper)
{
	int program, r = -EOPNOTSUPP;

	keeper->upgrade_asked = keeper->next.phase || keeper->worker.phase != KEEPER_SERVING; /* then after that */
	if (keeper->upgrade_asked || keeper->stopping)
		return;
	if (!keeper->key) {
		log_warning("the store is locked, so no other worker can open it: unlock it first (hushctl unlock)");
	} else if (!keeper->kept->serve.resend) {
		log_warning("this kernel can't send requests again (Linux 6.9 can), so nothing can take over: unmount, and mount again");
	} else {
		program = open(keeper->program_path, O_PATH | O_CLOEXEC);
		r = program < 0 ? -errno : keeper_start(keeper, program, &keeper->next);
		if (program < 0)
			log_error("%s: %s; the running version goes on", keeper->program_path, log_reason(-r));
	}
	if (r == 0)
		keeper->next_until_ms = keeper_now_ms() + KEEPER_READY_MS;
	else
		channel_say(keeper->worker.channel, CHANNEL_STAYED);
}

/* --- what a worker says ---------------------------------------------------------------------------------------- */

/* As what is mounted (fsname) the kernel tells the store's path: by that and the mount point mount(8) knows which lines of /etc/fstab are mounted. */
static void keeper_mount_options(const struct keeper *keeper, char ret_text[static KEEPER_MOUNT_OPTIONS_BYTES])
{
	size_t used = (size_t)sprintf(ret_text, "default_permissions,nosuid,nodev,noexec,noatime,subtype=hushfs%s%s,fsname=",
				      keeper->options.allow_other ? ",allow_other" : "", keeper->options.read_only ? ",ro" : "");

	for (const char *path = keeper->store_path; *path; path++) {
		if (*path == ',' || *path == '\\')
			ret_text[used++] = '\\';
		ret_text[used++] = *path;
	}
	ret_text[used] = '\0';
}

/* Mount, and read the kernel's first request: each worker is given it, the kernel sends it only once. */
static int keeper_mount(struct keeper *keeper)
{
	char mount_options[KEEPER_MOUNT_OPTIONS_BYTES];
	char *request = malloc(KEEPER_READ_BYTES);
	ssize_t n;
	int r;

	if (!request)
		return log_no_memory("to mount");
	keeper_mount_options(keeper, mount_options);
	r = mount_new(keeper->mountpoint, mount_options, &keeper->fuse);
	if (r == 0) {
		n = read(keeper->fuse, request, KEEPER_READ_BYTES);
		r = n < 0 ? -errno : n > CHANNEL_INIT_BYTES ? -EPROTO : 0;
		if (r < 0)
			log_error("%s: the kernel does not begin to use the mount: %s", keeper->mountpoint, strerror(-r));
	}
	if (r == 0) {
		keeper->kept->serve = (struct channel_message){.kind = CHANNEL_SERVE,
							 .init_size = (uint32_t)n,
							 .device = mount_device(keeper->mountpoint),
							 .first = true,
							 .resend = !keeper->options.no_resend};
		memcpy(keeper->kept->serve.init, request, (size_t)n);
		keeper_entrust(keeper);
	}
	free(request);
	return r;
}

/* The mount answers: let the parent go, and from here on log to syslog. */
static void keeper_ready(struct keeper *keeper)
{
	int null;

	log_info("%s: mounted on %s", keeper->store_path, keeper->mountpoint);
	service_say("READY=1");
	if (keeper->ready_fd < 0)
		return;
	log_to_syslog();
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	for (int fd = 0; fd <= 2 && null >= 0; fd++)
		dup2(null, fd);
	if (null > 2)
		close(null);
	if (write(keeper->ready_fd, "", 1) < 0)
		log_warning("%s: mounted, but the process that waited for it is gone", keeper->mountpoint);
	close(keeper->ready_fd);
	keeper->ready_fd = -1;
}

static void keeper_say_open(struct keeper *keeper)
{
	const struct channel_message open = {.kind = CHANNEL_OPEN, .restarts = keeper->kept->restarts};

	keeper->worker.phase = KEEPER_OPENING;
	channel_send(keeper->worker.channel, &open, keeper->ledger);
}

static void keeper_say_serve(struct keeper *keeper)
{
	if (keeper->fuse < 0 && keeper_mount(keeper) < 0) {
		keeper_end(keeper, EXIT_FAILURE);
		return;
	}
	keeper->worker.phase = KEEPER_TAKING_OVER;
	channel_send(keeper->worker.channel, &keeper->kept->serve, keeper->fuse);
}

/* What it runs has shown that it can serve. */
static void keeper_serving(struct keeper *keeper, bool resend)
{
	struct keeper_worker *worker = &keeper->worker;

	worker->phase = KEEPER_SERVING;
	keeper->kept->worker = worker->pid;
	keeper_entrust_worker(worker);
	if (worker->program >= 0) {
		close(keeper->program);
		keeper->program = worker->program;
		worker->program = -1; /* transferred */
	}
	if (keeper->kept->serve.first) {
		keeper->kept->serve.first = false;
		keeper->kept->serve.resend = resend;
		keeper_ready(keeper);
	}
	if (keeper->upgrade_asked)
		keeper_upgrade(keeper);
}

/* SIGTERM: take the mount from the tree, and let the worker end when what is open in it is closed. One that isn't serving yet has
 * nothing to lose. */
static void keeper_stop(struct keeper *keeper)
{
	if (keeper->stopping)
		return;
	keeper->stopping = true;
	service_say("STOPPING=1");
	if (keeper->fuse >= 0)
		mount_detach(keeper->mountpoint);
	if (keeper->next.phase)
		kill(keeper->next.pid, SIGKILL);
	keeper->end_until_ms = keeper_now_ms() + KEEPER_END_MS;
	if (keeper->worker.phase == KEEPER_SERVING)
		channel_say(keeper->worker.channel, CHANNEL_END);
	else if (keeper->worker.phase)
		kill(keeper->worker.pid, SIGKILL);
	else
		keeper_end(keeper, EXIT_SUCCESS);
}

/* Not if the store was locked meanwhile: it has a key, and is being ended. */
static void keeper_next_ready(struct keeper *keeper)
{
	if (!keeper->key)
		return;
	keeper->next.phase = KEEPER_READY;
	channel_say(keeper->worker.channel, CHANNEL_YIELD);
}

/* The key comes back to where it was wiped. */
static int keeper_unlocked(struct keeper *keeper, struct keeper_worker *from)
{
	struct key *key;
	int r = channel_receive_unlocked(from->channel, &key);

	if (r == 0) {
		key_free(keeper->key);
		keeper->key = key;
		keeper->kept->locked = false;
	}
	return r;
}

/* Nobody is to open it now, or to have a key: not who was to take over, either. */
static void keeper_locked(struct keeper *keeper, const struct keeper_worker *from)
{
	keeper->key = key_free(keeper->key);
	keeper->kept->locked = true;
	if (keeper->next.phase) {
		log_warning("the store was locked, so no other worker can open it: unlock it first (hushctl unlock)");
		kill(keeper->next.pid, SIGKILL);
	}
	channel_say(from->channel, CHANNEL_FORGOTTEN);
}

static void keeper_kill(const struct keeper_worker *worker)
{
	if (worker->adopted)
		pidfd_send_signal(worker->process, SIGKILL, NULL, 0);
	else
		kill(worker->pid, SIGKILL);
}

static void keeper_hear(struct keeper *keeper, struct keeper_worker *from)
{
	struct channel_message message = {0};
	int r = channel_kind(from->channel) == CHANNEL_UNLOCKED ? keeper_unlocked(keeper, from)
								 : channel_receive(from->channel, &message, NULL);

	if (r < 0) { /* it ends, or isn't what it ought to be */
		close(from->channel);
		from->channel = -1;
		if (r != -EPIPE)
			keeper_kill(from);
		return;
	}
	if (message.kind == CHANNEL_READY && from->phase == KEEPER_STARTING)
		from == &keeper->worker ? keeper_say_open(keeper) : keeper_next_ready(keeper);
	else if (message.kind == CHANNEL_OPENED && from->phase == KEEPER_OPENING)
		keeper_say_serve(keeper);
	else if (message.kind == CHANNEL_SERVING && from->phase == KEEPER_TAKING_OVER)
		keeper_serving(keeper, message.resend);
	else if (message.kind == CHANNEL_ANSWERED)
		from->answered = true;
	else if (message.kind == CHANNEL_END_ASKED)
		keeper_stop(keeper);
	else if (message.kind == CHANNEL_LOCKED)
		keeper_locked(keeper, from);
}

/* --- the end of a worker --------------------------------------------------------------------------------------- */

static void keeper_forget(struct keeper_worker *worker)
{
	if (worker->channel >= 0)
		close(worker->channel);
	if (worker->program >= 0)
		close(worker->program);
	if (worker->process >= 0)
		close(worker->process);
	*worker = (struct keeper_worker){.channel = -1, .program = -1, .process = -1};
}

/* Has the kernel let go of the connection? */
static bool keeper_is_unmounted(const struct keeper *keeper)
{
	struct pollfd polled = {.fd = keeper->fuse};

	return poll(&polled, 1, 0) == 1 && (polled.revents & POLLERR);
}

static const char *keeper_how(int status, char ret_text[static 64])
{
	if (status == KEEPER_UNKNOWN)
		snprintf(ret_text, 64, "as a child of the keeper before");
	else if (WIFSIGNALED(status))
		snprintf(ret_text, 64, "signal %d", WTERMSIG(status));
	else
		snprintf(ret_text, 64, "status %d", WEXITSTATUS(status));
	return ret_text;
}

/* Nothing can go on: what waits for an answer is told by the kernel, when this process has ended. */
static void keeper_give_up(struct keeper *keeper)
{
	mount_detach(keeper->mountpoint);
	keeper_end(keeper, EXIT_FAILURE);
}

/* How long the next worker waits. Who was killed from outside (or for want of memory) is no reason to. */
static int keeper_pause_ms(const struct keeper *keeper)
{
	unsigned n = keeper->deaths > keeper->crashes ? keeper->deaths : keeper->crashes;
	int ms = n < 2 ? 0 : KEEPER_PAUSE_MS << (n < 12 ? n - 2 : 10);

	return ms < KEEPER_PAUSE_MS_MOST ? ms : KEEPER_PAUSE_MS_MOST;
}

/* It has served, or was about to, and ended without being told to. @was: as it was. */
void keeper_worker_died(struct keeper *keeper, int status, const struct keeper_worker *was)
{
	bool killed = status == KEEPER_UNKNOWN || (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	int pause_ms;
	char how[64];

	keeper_how(status, how);
	if (!keeper->kept->serve.resend) {
		log_error("%s: the worker ended (%s), and this kernel can't send again what it had taken (Linux 6.9 can): unmounted",
			  keeper->mountpoint, how);
		keeper_give_up(keeper);
		return;
	}
	if (!keeper->key) {
		log_error("%s: the worker ended (%s) while the store was locked, and nobody else has a key: unmounted; mount it again",
			  keeper->mountpoint, how);
		keeper_give_up(keeper);
		return;
	}
	keeper->deaths = was->answered ? 0 : keeper->deaths + 1;
	keeper->crashes = killed || keeper_now_ms() - was->since_ms > KEEPER_QUICK_MS ? 0 : keeper->crashes + 1;
	if (keeper->deaths >= KEEPER_DEATHS) {
		log_error("%s: the worker ended %u times without answering a request (%s): unmounted", keeper->mountpoint,
			  keeper->deaths, how);
		keeper_give_up(keeper);
		return;
	}
	keeper->kept->restarts++;
	log_warning("%s: the worker ended (%s); another one goes on", keeper->mountpoint, how);
	pause_ms = keeper_pause_ms(keeper);
	if (pause_ms)
		keeper->start_ms = keeper_now_ms() + pause_ms;
	else
		keeper_start_again(keeper);
}

static void keeper_worker_ended(struct keeper *keeper, int status)
{
	const struct keeper_worker was = keeper->worker;
	char how[64];

	keeper_forget(&keeper->worker);
	keeper_entrust_worker(NULL);
	if (keeper->fuse < 0 || keeper->kept->serve.first) { /* of the first, which has said why */
		if (WIFSIGNALED(status) && !keeper->stopping)
			log_error("the worker was ended by %s before it was ready; dmesg may say why", keeper_how(status, how));
		if (keeper->fuse >= 0)
			mount_detach(keeper->mountpoint);
		keeper_end(keeper, EXIT_FAILURE);
	} else if (keeper->stopping || keeper_is_unmounted(keeper)) {
		keeper_end(keeper, status == KEEPER_UNKNOWN ? EXIT_SUCCESS : WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_FAILURE);
	} else if (keeper->next.phase) {
		keeper->worker = keeper->next;
		keeper->next = (struct keeper_worker){.channel = -1, .program = -1, .process = -1}; /* transferred */
		if (keeper->worker.phase == KEEPER_READY)
			keeper_say_open(keeper);
	} else {
		keeper_worker_died(keeper, status, &was);
	}
}

static void keeper_next_ended(struct keeper *keeper, int status)
{
	char how[64];

	keeper_forget(&keeper->next);
	if (keeper->worker.channel >= 0)
		channel_say(keeper->worker.channel, CHANNEL_STAYED);
	if (!keeper->stopping)
		log_error("%s: ended (%s) before it could take over; the running version goes on", keeper->program_path,
			  keeper_how(status, how));
	if (keeper->upgrade_asked)
		keeper_upgrade(keeper);
}

static bool keeper_has_said(const struct keeper_worker *worker)
{
	struct pollfd polled = {.fd = worker->channel, .events = POLLIN};

	return poll(&polled, 1, 0) == 1;
}

/* An adopted worker has ended. */
static void keeper_reap_adopted(struct keeper *keeper)
{
	while (keeper->worker.channel >= 0 && keeper_has_said(&keeper->worker))
		keeper_hear(keeper, &keeper->worker);
	keeper_worker_ended(keeper, KEEPER_UNKNOWN);
}

static void keeper_reap(struct keeper *keeper)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		struct keeper_worker *worker = keeper->next.phase && pid == keeper->next.pid ? &keeper->next : &keeper->worker;

		while (worker->phase && pid == worker->pid && keeper_has_said(worker)) /* its last words */
			keeper_hear(keeper, worker);
		if (keeper->worker.phase && pid == keeper->worker.pid)
			keeper_worker_ended(keeper, status);
		else if (keeper->next.phase && pid == keeper->next.pid)
			keeper_next_ended(keeper, status);
	}
}

/* --- the loop -------------------------------------------------------------------------------------------------- */

static void keeper_signal(struct keeper *keeper)
{
	struct signalfd_siginfo info;

	if (read(keeper->signals, &info, sizeof(info)) != sizeof(info))
		return;
	if (info.ssi_signo == SIGCHLD)
		keeper_reap(keeper);
	else if (info.ssi_signo == SIGHUP)
		keeper_upgrade(keeper);
	else
		keeper_stop(keeper);
}

/* One that hangs does not hear that it is to end. */
static void keeper_end_worker(struct keeper *keeper)
{
	log_error("%s: the worker has not ended %d s after it was told to, so it is killed", keeper->mountpoint, KEEPER_END_MS / 1000);
	keeper_kill(&keeper->worker);
	keeper->end_until_ms = keeper_now_ms() + KEEPER_END_MS;
}

/* Of two points in time; 0: never. */
static int64_t keeper_sooner(int64_t a, int64_t b)
{
	return !a || (b && b < a) ? b : a;
}

/* What is due, and how long to wait for the next such thing. */
static int keeper_timeout(struct keeper *keeper)
{
	int64_t now_ms = keeper_now_ms(), until_ms;

	if (keeper->start_ms && keeper->start_ms <= now_ms && !keeper->stopping)
		keeper_start_again(keeper);
	if (keeper->next.phase == KEEPER_STARTING && keeper->next_until_ms <= now_ms) {
		log_error("%s: not ready after %d ms, so it is ended", keeper->program_path, KEEPER_READY_MS);
		kill(keeper->next.pid, SIGKILL);
		keeper->next_until_ms = now_ms + 1000;
	}
	if (keeper->worker.phase && keeper->end_until_ms && keeper->end_until_ms <= now_ms)
		keeper_end_worker(keeper);
	until_ms = keeper_sooner(keeper->start_ms, keeper->worker.phase ? keeper->end_until_ms : 0);
	if (keeper->next.phase == KEEPER_STARTING)
		until_ms = keeper_sooner(until_ms, keeper->next_until_ms);
	return !until_ms ? -1 : until_ms <= now_ms ? 0 : (int)(until_ms - now_ms);
}

void keeper_loop(struct keeper *keeper)
{
	while (!keeper->ended) {
		int timeout_ms = keeper_timeout(keeper);
		struct pollfd polled[] = {{.fd = keeper->signals, .events = POLLIN},
					  {.fd = keeper->worker.phase ? keeper->worker.channel : -1, .events = POLLIN},
					  {.fd = keeper->next.phase ? keeper->next.channel : -1, .events = POLLIN},
					  {.fd = keeper->worker.adopted ? keeper->worker.process : -1, .events = POLLIN}};

		if (poll(polled, 4, timeout_ms) <= 0)
			continue;
		if (polled[1].revents)
			keeper_hear(keeper, &keeper->worker);
		if (polled[2].revents)
			keeper_hear(keeper, &keeper->next);
		if (polled[0].revents) /* these are last: they may change who the others are */
			keeper_signal(keeper);
		if (polled[3].revents)
			keeper_reap_adopted(keeper);
	}
}
