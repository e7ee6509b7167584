/* SPDX-License-Identifier: Apache-2.0
 * mount: libfuse knows how to mount, with and without fusermount3; of its session only the descriptor is used.
 */
#include "fs/mount.h"

#include "store/log.h"

#include <errno.h>
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

static int mount_session(const char *options, struct fuse_session **ret_session)
{
	static const struct fuse_lowlevel_ops none;
	struct fuse_args args = FUSE_ARGS_INIT(0, NULL);

	*ret_session = NULL;
	if (fuse_opt_add_arg(&args, "hushfs") == 0 && fuse_opt_add_arg(&args, "-o") == 0 &&
	    fuse_opt_add_arg(&args, options) == 0)
		*ret_session = fuse_session_new(&args, &none, sizeof(none), NULL);
	fuse_opt_free_args(&args);
	if (*ret_session)
		return 0;
	log_error("cannot mount with the options \"%s\"", options);
	return -EINVAL;
}

int mount_new(const char *mountpoint, const char *options, int *ret_fd)
{
	static struct fuse_session *session; /* it can't be freed without unmounting */
	int r = mount_session(options, &session);

	if (r < 0)
		return r;
	if (fuse_session_mount(session, mountpoint) != 0) {
		fuse_session_destroy(session);
		log_error("%s: cannot mount here; the line before says why", mountpoint);
		return -EIO;
	}
	*ret_fd = fuse_session_fd(session);
	return 0;
}

uint64_t mount_device(const char *mountpoint)
{
	struct statx st;

	if (statx(AT_FDCWD, mountpoint, AT_STATX_DONT_SYNC | AT_SYMLINK_NOFOLLOW, STATX_TYPE, &st) < 0)
		return 0;
	return makedev(st.stx_dev_major, st.stx_dev_minor);
}

/* Not fuse_session_unmount, which closes the connection first. */
void mount_detach(const char *mountpoint)
{
	char *const arguments[] = {"fusermount3", "-u", "-q", "-z", "--", (char *)mountpoint, NULL};
	pid_t pid;

	if (umount2(mountpoint, MNT_DETACH | UMOUNT_NOFOLLOW) < 0 &&
	    posix_spawnp(&pid, "fusermount3", NULL, NULL, arguments, (char *const[]){NULL}) == 0)
		waitpid(pid, NULL, 0);
}

/* The path of a mount as /proc/self/mountinfo has it: blanks, tabs, newlines and backslashes are octal there. */
static void mount_escape(const char *path, char *ret_text, size_t bytes)
{
	size_t used = 0;

	for (; *path && used + 5 < bytes; path++)
		if (strchr(" \t\n\\", *path))
			used += (size_t)sprintf(ret_text + used, "\\%03o", (unsigned char)*path);
		else
			ret_text[used++] = *path;
	ret_text[used] = '\0';
}

/* What was mounted last on a path is the last line that has it. */
bool mount_is_ours(const char *mountpoint)
{
	FILE *file = fopen("/proc/self/mountinfo", "re");
	char wanted[4 * 4096 + 8], path[4 * 4096 + 8];
	size_t capacity = 0;
	char *line = NULL;
	bool ours = false;

	mount_escape(mountpoint, wanted, sizeof(wanted));
	while (file && getline(&line, &capacity, file) > 0)
		if (sscanf(line, "%*s %*s %*s %*s %16391s", path) == 1 && strcmp(path, wanted) == 0)
			ours = strstr(line, " - fuse.hushfs ") != NULL;
	free(line);
	if (file)
		fclose(file);
	return ours;
}
