/* SPDX-License-Identifier: Apache-2.0
 * place: finds out beforehand what would go wrong, because mount(2) and fusermount3 say less.
 */
#include "fs/place.h"

#include "fs/mount.h"
#include "store/anchor.h"
#include "store/log.h"

#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#define PLACE_STALE 8 /* mounts of dead daemons, one on the other, that are taken away at most */

static int place_resolve(const char *path, const char *what, const char *hint, char ret_path[static PATH_MAX])
{
	int r;

	if (realpath(path, ret_path))
		return 0;
	r = -errno;
	if (r == -ENOENT)
		log_error("%s: there is no such %s; %s", path, what, hint);
	else
		log_error("%s: cannot reach the %s: %s", path, what, strerror(-r));
	return r;
}

/* The second is said to who asked while it ended. */
static bool place_is_dead(int error)
{
	return error == ENOTCONN || error == ECONNABORTED;
}

/* Does anybody serve what is mounted there? That can't be known from attributes, which the kernel keeps for a while. */
static int place_answers(const char *path)
{
	struct statfs st;

	return statfs(path, &st) < 0 ? -errno : 0;
}

/* A daemon that was killed leaves its mount behind, which nobody can use: it is taken away. */
static DIR *place_open(const char *path)
{
	int r = place_answers(path);

	for (int i = 0; i < PLACE_STALE && place_is_dead(-r) && mount_is_ours(path); i++) {
		log_warning("%s: the mount of a daemon that is gone is replaced", path);
		mount_detach(path);
		r = place_answers(path);
	}
	errno = -r;
	return r < 0 ? NULL : opendir(path);
}

static int place_check_empty(const char *path)
{
	DIR *folder = place_open(path);
	struct dirent *entry;
	bool empty = true;
	int r;

	if (!folder) {
		r = -errno;
		if (r == -ENOTCONN)
			log_error("%s: a program that ended left its mount here: fusermount3 -u %s", path, path);
		else if (r == -ENOTDIR)
			log_error("%s: the mount point is no folder: give an empty folder of yours", path);
		else
			log_error("%s: cannot mount here: %s; give an empty folder of yours", path, strerror(-r));
		return r;
	}
	while (empty && (entry = readdir(folder)))
		empty = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
	closedir(folder);
	if (!empty) {
		if (mount_is_ours(path))
			log_error("%s: a hushfs is mounted here already: use it, or unmount it first (fusermount3 -u %s)", path, path);
		else
			log_error("%s: the mount point is not empty: give an empty folder of yours", path);
		return -ENOTEMPTY;
	}
	return 0;
}

static int place_check_fuse(void)
{
	int r;

	if (access("/dev/fuse", R_OK | W_OK) == 0)
		return 0;
	r = -errno;
	if (r == -ENOENT)
		log_error("/dev/fuse: this system has no FUSE: modprobe fuse, or into a container docker run --device /dev/fuse");
	else
		log_error("/dev/fuse: %s: run it as root, or have root let your user open it (chmod 666 /dev/fuse)", strerror(-r));
	return r;
}

static bool place_is_below(const char *path, const char *folder)
{
	size_t size = strlen(folder);

	return strncmp(path, folder, size) == 0 && (path[size] == '/' || size == 1);
}

int place_check(const char *store, const char *mountpoint, char ret_store[static PATH_MAX],
		char ret_mountpoint[static PATH_MAX])
{
	int r;

	r = place_resolve(store, "store", "make one with: hushctl init --key-file FILE STORE", ret_store);
	if (r == 0)
		r = place_resolve(mountpoint, "mount point", "mkdir it first", ret_mountpoint);
	if (r < 0)
		return r;
	if (place_is_below(ret_store, ret_mountpoint)) {
		log_error("%s: the store lies below its own mount point %s: choose another mount point", ret_store,
			  ret_mountpoint);
		return -EINVAL;
	}
	r = place_check_empty(ret_mountpoint);
	return r < 0 ? r : place_check_fuse();
}

int place_anchor(const char *path, const char *store, const char *mountpoint, char ret_anchor[static PATH_MAX])
{
	const char *slash = strrchr(path, '/');
	const char *name = slash ? slash + 1 : path;
	char folder[PATH_MAX], resolved[PATH_MAX];
	int r = 0;

	snprintf(folder, sizeof(folder), "%.*s", slash ? (int)(name - path) : 1, slash ? path : ".");
	if (!place_is_below(path, mountpoint)) /* which may be mounted already, and not be served yet */
		r = place_resolve(folder, "folder for the anchor", "mkdir it first", resolved);
	else
		snprintf(resolved, sizeof(resolved), "%s", mountpoint);
	if (r < 0)
		return r;
	if (snprintf(ret_anchor, PATH_MAX, "%s/%s", resolved[1] ? resolved : "", name) >= PATH_MAX ||
	    place_is_below(ret_anchor, mountpoint) || strchr(ret_anchor, ',') || strcmp(ret_anchor, store) == 0) {
		log_error("%s: the anchor has to be a file of its own outside of the mount, with a path that is not too long and has no comma in it",
			  ret_anchor);
		return -EINVAL;
	}
	anchor_say_place(ret_anchor, store);
	return 0;
}
