/* SPDX-License-Identifier: Apache-2.0
 * sandbox: the order in which rights are given up, and those that go with the user.
 */
#include "fs/sandbox.h"

#include "fs/sandbox_internal.h"
#include "store/log.h"

#include <cap-ng.h>
#include <errno.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

static int sandbox_failed(const char *what, int error)
{
	log_error("cannot give up rights (%s): %s; is there a filter of system calls (in a unit SystemCallFilter=)?", what, strerror(error));
	return -error;
}

/* Also root's own store is served without a capability. Who isn't root has none to give up, as a rule, and can't empty the bounding set, which
 * no_new_privs makes worthless. */
static int sandbox_become(uid_t uid, gid_t gid)
{
	bool root = geteuid() == 0;
	int r;

	capng_clear(CAPNG_SELECT_ALL);
	errno = 0;
	if (root)
		r = capng_change_id((int)uid, (int)gid, CAPNG_DROP_SUPP_GRP | CAPNG_CLEAR_BOUNDING | CAPNG_CLEAR_AMBIENT);
	else
		r = capng_apply(CAPNG_SELECT_CAPS);
	if (r >= 0)
		return 0;
	r = errno ? -errno : -EPERM;
	if (!root)
		return sandbox_failed("capabilities", -r);
	log_error("cannot give up the rights of root: %s; it takes CAP_SETUID, CAP_SETGID and CAP_SETPCAP, in a container docker run --cap-add",
		  strerror(-r));
	return r;
}

int sandbox_enter(const char *folder, uid_t uid, gid_t gid, struct sandbox *ret_sandbox)
{
	const struct rlimit none = {0, 0};
	int r;

	if (setrlimit(RLIMIT_CORE, &none) < 0)
		return sandbox_failed("core files", errno);
	r = sandbox_become(uid, gid);
	if (r < 0)
		return r;
	/* becoming another user makes it dumpable again */
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return sandbox_failed("prctl", errno);
	ret_sandbox->uid = geteuid();
	r = sandbox_files(folder, &ret_sandbox->landlock);
	if (r == 0)
		r = sandbox_calls(&ret_sandbox->seccomp);
	return r;
}
