/* SPDX-License-Identifier: Apache-2.0
 * helper: fork, and let go of all that was inherited.
 */
#include "fs/helper.h"

#include "fs/channel.h"
#include "store/log.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static void helper_become(void (*serve)(int channel), int channel, pid_t parent)
{
	static const int ignored[] = {SIGTERM, SIGINT, SIGHUP, SIGPIPE};
	int null;

	prctl(PR_SET_NAME, "hushfs-helper");
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(0);
	for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
		signal(ignored[i], SIG_IGN); /* they are for the worker, whose end ends this one */
	null = open("/dev/null", O_RDWR);
	for (int fd = 0; fd <= 2; fd++)
		dup2(null, fd);
	dup2(channel, 3);
	close_range(4, ~0u, 0);
	serve(3);
	_exit(0);
}

int helper_start(void (*serve)(int channel), struct helper *ret_helper)
{
	pid_t parent = getpid(), pid;
	int ours, theirs;
	int r = channel_new(&ours, &theirs);

	if (r < 0)
		return r;
	pid = fork();
	if (pid == 0)
		helper_become(serve, theirs, parent);
	r = pid < 0 ? -errno : 0;
	close(theirs);
	if (r < 0) {
		log_error("fork: %s", strerror(-r));
		close(ours);
		return r;
	}
	*ret_helper = (struct helper){.pid = pid, .channel = ours};
	return 0;
}

void helper_stop(struct helper *helper)
{
	if (helper->channel >= 0)
		close(helper->channel);
	if (helper->pid > 0)
		waitpid(helper->pid, NULL, WNOHANG); /* it may be waiting for what this process does not answer any more */
	*helper = (struct helper){.channel = -1};
}
