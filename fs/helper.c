/* SPDX-License-Identifier: Apache-2.0
 * helper: fork, and let go of all that was inherited.
 */
#include "fs/helper.h"

#include "fs/channel.h"
#include "store/clock.h"
#include "store/log.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define HELPER_SPIN_NS 40000

static uid_t helper_parent_uid = (uid_t)-1; /* as setresuid has it: none */

void helper_for(uid_t uid)
{
	helper_parent_uid = uid;
}

/* The signal at the parent's end comes only if that may send signals here: its user is taken for the saved one, which counts for that. Nobody
 * else is to look into what comes over the channel. */
static void helper_bind(pid_t parent)
{
	if (geteuid() == 0 && setresuid((uid_t)-1, (uid_t)-1, helper_parent_uid) < 0)
		_exit(EXIT_FAILURE);
	prctl(PR_SET_DUMPABLE, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(EXIT_SUCCESS);
}

static void helper_become(int channel, pid_t parent)
{
	static const int ignored[] = {SIGTERM, SIGINT, SIGHUP, SIGPIPE};
	int null;

	prctl(PR_SET_NAME, "hushfs-helper");
	helper_bind(parent);
	for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
		signal(ignored[i], SIG_IGN); /* they are for the worker, whose end ends this one */
	null = open("/dev/null", O_RDWR);
	for (int fd = 0; fd <= 2; fd++)
		dup2(null, fd);
	dup2(channel, CHANNEL_FD);
	close_range(CHANNEL_FD + 1, ~0u, 0);
}

int helper_start(void (*serve)(int channel, const void *context), const void *context, struct helper *ret_helper)
{
	pid_t parent = getpid(), pid;
	int ours, theirs;
	int r = channel_new(&ours, &theirs);

	if (r < 0)
		return r;
	pid = fork();
	if (pid == 0) {
		helper_become(theirs, parent);
		serve(CHANNEL_FD, context);
		_exit(EXIT_SUCCESS);
	}
	r = pid < 0 ? -errno : 0;
	close(theirs);
	if (r < 0) {
		log_error("cannot start a process: %s; is there a limit (ulimit -u, in a unit TasksMax=)?", strerror(-r));
		close(ours);
		return r;
	}
	*ret_helper = (struct helper){.pid = pid, .channel = ours};
	return 0;
}

__attribute__((noreturn)) static void helper_lost(const struct helper *helper)
{
	log_error("the helper process %d is gone, without which this worker can't go on", helper->pid);
	_exit(EXIT_FAILURE);
}

/* Wait until @channel takes it. */
static ssize_t helper_send(int channel, const void *bytes, size_t size)
{
	struct pollfd polled = {.fd = channel, .events = POLLOUT};
	ssize_t n;

	while ((n = channel_send_bytes(channel, bytes, size, -1)) == -EAGAIN)
		poll(&polled, 1, -1);
	return n;
}

void helper_ask(const struct helper *helper, const void *question, size_t question_size, void *ret_answer, size_t answer_size)
{
	if (helper_send(helper->channel, question, question_size) < 0)
		helper_lost(helper);
	helper_hear(helper, ret_answer, answer_size);
}

bool helper_tell(const struct helper *helper, const void *question, size_t question_size)
{
	ssize_t n = channel_send_bytes(helper->channel, question, question_size, -1);

	if (n < 0 && n != -EAGAIN)
		helper_lost(helper);
	return n >= 0;
}

/* Most answers come soon, and being woken takes longer than that. */
static void helper_spin(const struct helper *helper)
{
	struct pollfd polled = {.fd = helper->channel, .events = POLLIN};
	int64_t end_ns = clock_now_ns() + HELPER_SPIN_NS;

	while (poll(&polled, 1, 0) == 0 && clock_now_ns() < end_ns)
		;
}

void helper_hear(const struct helper *helper, void *ret_answer, size_t answer_size)
{
	helper_spin(helper);
	if (channel_receive_bytes(helper->channel, ret_answer, answer_size, NULL) != (ssize_t)answer_size)
		helper_lost(helper);
}

void helper_answer(int channel, const void *answer, size_t size)
{
	helper_send(channel, answer, size);
}

void helper_stop(struct helper *helper)
{
	if (helper->channel >= 0)
		close(helper->channel);
	if (helper->pid > 0)
		waitpid(helper->pid, NULL, WNOHANG); /* it may be waiting for what this process does not answer any more */
	*helper = (struct helper){.channel = -1};
}
