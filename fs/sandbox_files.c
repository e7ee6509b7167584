/* SPDX-License-Identifier: Apache-2.0
 * sandbox_files: Landlock. Kernels know more of it from version to version, and headers less than kernels: what is asked for is
 * everything that the running kernel knows, and what is allowed is a short list.
 */
#include "fs/sandbox_internal.h"

#include "store/log.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Debian 12's headers end with version 2. */
#define SANDBOX_TRUNCATE (UINT64_C(1) << 14)  /* since version 3 */
#define SANDBOX_IOCTL_DEV (UINT64_C(1) << 15) /* 5 */
#define SANDBOX_NET UINT64_C(3)               /* 4: binding and connecting TCP */
#define SANDBOX_SCOPES UINT64_C(1)            /* 6: abstract sockets. Not signals (2): the kernel's own at the end of a parent would be held back */

struct sandbox_ruleset {
	uint64_t files;
	uint64_t net;
	uint64_t scopes;
};

/* All that can be forbidden; an older kernel takes the struct for as long as it knows it, if the rest is zero. */
static struct sandbox_ruleset sandbox_everything(int version)
{
	struct sandbox_ruleset all = {.files = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1};

	if (version >= 2)
		all.files |= LANDLOCK_ACCESS_FS_REFER;
	if (version >= 3)
		all.files |= SANDBOX_TRUNCATE;
	if (version >= 4)
		all.net = SANDBOX_NET;
	if (version >= 5)
		all.files |= SANDBOX_IOCTL_DEV;
	if (version >= 6)
		all.scopes = SANDBOX_SCOPES;
	return all;
}

static int sandbox_allow(int ruleset, const char *folder, uint64_t known)
{
	struct landlock_path_beneath_attr rule = {
		.allowed_access = known & (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | SANDBOX_TRUNCATE |
					   LANDLOCK_ACCESS_FS_READ_DIR | LANDLOCK_ACCESS_FS_MAKE_REG |
					   LANDLOCK_ACCESS_FS_REMOVE_FILE),
		.parent_fd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC)};
	int r = 0;

	if (rule.parent_fd < 0)
		return -errno;
	if (syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0)
		r = -errno;
	close(rule.parent_fd);
	return r;
}

int sandbox_files(const char *folder, int *ret_version)
{
	long version = SANDBOX_CONFINES ? syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION) : 0;
	struct sandbox_ruleset all = sandbox_everything((int)version);
	int ruleset, r;

	if (version <= 0) {
		*ret_version = 0;
		return 0;
	}
	ruleset = (int)syscall(SYS_landlock_create_ruleset, &all, sizeof(all), 0);
	r = ruleset < 0 ? -errno : sandbox_allow(ruleset, folder, all.files);
	if (r == 0 && syscall(SYS_landlock_restrict_self, ruleset, 0) < 0)
		r = -errno;
	if (ruleset >= 0)
		close(ruleset);
	if (r < 0) {
		log_error("%s: cannot be made the only folder to be used (Landlock): %s", folder, strerror(-r));
		return r;
	}
	*ret_version = (int)version;
	return 0;
}
