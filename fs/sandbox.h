/* SPDX-License-Identifier: Apache-2.0
 * sandbox: what the process that reads requests gives up, so that there is nothing to gain by taking it over.
 *
 * After it the process has no capability and can't get one, can't be traced or leave a core file, opens and changes files
 * in one folder only, and makes no system calls but those that serving takes. Descriptors that are open stay.
 */
#ifndef FS_SANDBOX_H
#define FS_SANDBOX_H

#include <stdbool.h>
#include <sys/types.h>

/* What is in force. */
struct sandbox {
	uid_t uid;
	int landlock; /* the version of its interface that the kernel has; 0: not confined to the folder */
	bool seccomp; /* system calls are limited */
};

/* sandbox_enter - become @uid and @gid if this is root, and give up everything but @folder. For good, and before there are threads. What this
 * kernel or build can't do is left out, and can be seen in @ret_sandbox. -errno (logged): then the process must not go on. */
int sandbox_enter(const char *folder, uid_t uid, gid_t gid, struct sandbox *ret_sandbox);

#endif
