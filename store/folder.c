/* SPDX-License-Identifier: Apache-2.0
 * folder: looks at, and syncs, the folder of a path.
 */
#include "store/folder.h"

#include "store/log.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* dirname(3) writes into what it is given. */
static int folder_of(const char *path, char ret_folder[static PATH_MAX])
{
	char copy[PATH_MAX];

	if (snprintf(copy, sizeof(copy), "%s", path) >= (int)sizeof(copy)) {
		log_error("%s: the path is too long", path);
		return -ENAMETOOLONG;
	}
	strcpy(ret_folder, dirname(copy));
	return 0;
}

int folder_of_file(const char *path, char ret_path[static PATH_MAX])
{
	struct stat st;

	if (lstat(path, &st) == 0 && S_ISLNK(st.st_mode) && realpath(path, ret_path))
		return 0;
	if (snprintf(ret_path, PATH_MAX, "%s", path) < PATH_MAX)
		return 0;
	log_error("%s: the path is too long", path);
	return -ENAMETOOLONG;
}

int folder_check(const char *path)
{
	char folder[PATH_MAX];
	struct stat st;
	int r;

	r = folder_of(path, folder);
	if (r < 0)
		return r;
	if (stat(folder, &st) < 0) {
		r = -errno;
		log_error("%s: cannot reach the folder of the store: %s%s", folder, log_reason(-r),
			  r == -ENOENT ? "; mkdir it first" : "");
		return r;
	}
	if (st.st_uid != geteuid() && st.st_uid != 0) {
		log_error("%s: the folder of the store belongs to user %u: use one that is yours", folder, st.st_uid);
		return -EPERM;
	}
	if (st.st_mode & S_IWOTH) {
		log_error("%s: everybody may write to the folder of the store: use one that is yours alone (chmod o-w)",
			  folder);
		return -EPERM;
	}
	return 0;
}

int folder_place(const char *from, const char *path)
{
	int r;

	if (renameat2(AT_FDCWD, from, AT_FDCWD, path, RENAME_NOREPLACE) == 0)
		return 0;
	if (errno != EINVAL && errno != ENOSYS)
		return -errno;
	/* NFS, ZFS, sshfs and others know no such flag; but links, which replace nothing either */
	if (link(from, path) < 0)
		return -errno;
	if (unlink(from) == 0)
		return 0;
	r = -errno;
	unlink(path);
	return r;
}

bool folder_same(const char *path, const char *other)
{
	char folder[PATH_MAX], other_folder[PATH_MAX];
	struct stat one, two;

	return folder_of(path, folder) == 0 && folder_of(other, other_folder) == 0 && stat(folder, &one) == 0 &&
	       stat(other_folder, &two) == 0 && one.st_dev == two.st_dev && one.st_ino == two.st_ino;
}

int folder_give(const char *path, const char *like)
{
	struct stat st;
	int fd, r;

	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	r = fd < 0 || stat(like, &st) < 0 || fchown(fd, st.st_uid, st.st_gid) < 0 || fchmod(fd, st.st_mode & 07777) < 0 ||
			    fsync(fd) < 0
		    ? -errno
		    : 0;
	if (fd >= 0)
		close(fd);
	if (r < 0)
		log_error("%s: cannot give it the owner and the mode of %s: %s", path, like, log_reason(-r));
	return r;
}

int folder_open(const char *path)
{
	char folder[PATH_MAX];
	int fd, r;

	r = folder_of(path, folder);
	if (r < 0)
		return r;
	fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	return fd;
}

int folder_sync(const char *path)
{
	int fd = folder_open(path);
	int r;

	if (fd < 0)
		return fd;
	r = fsync(fd) < 0 ? -errno : 0;
	close(fd);
	return r;
}
