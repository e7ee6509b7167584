/* SPDX-License-Identifier: Apache-2.0
 * mount: libfuse knows how to mount, with and without fusermount3; of its session only the descriptor is used. What both say on stderr
 * meanwhile is kept, and becomes a part of the one line that says why there is no mount.
 */
#include "fs/mount.h"

#include "store/log.h"

#include <errno.h>
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

/* A session that is mounted; NULL if it can't be: libfuse or fusermount3 has said why. */
static struct fuse_session *mount_session(const char *mountpoint, const char *options)
{
	static const struct fuse_lowlevel_ops none;
	struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
	struct fuse_session *session = NULL;

	if (fuse_opt_add_arg(&args, "hushfs") == 0 && fuse_opt_add_arg(&args, "-o") == 0 &&
	    fuse_opt_add_arg(&args, options) == 0)
		session = fuse_session_new(&args, &none, sizeof(none), NULL);
	fuse_opt_free_args(&args);
	if (session && fuse_session_mount(session, mountpoint) != 0) {
		fuse_session_destroy(session);
		session = NULL;
	}
	return session;
}

/* From here on what is written to stderr is kept. The descriptor of what stderr was, or -errno. */
static int mount_listen(int *ret_kept)
{
	int before = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0);
	int kept = before < 0 ? -1 : memfd_create("stderr", MFD_CLOEXEC);

	if (kept < 0 || dup2(kept, STDERR_FILENO) < 0) {
		int r = -errno;

		if (before >= 0)
			close(before);
		if (kept >= 0)
			close(kept);
		return r;
	}
	*ret_kept = kept;
	return before;
}

/* stderr is what it was; the lines that were written meanwhile, as one. */
static void mount_heard(int before, int kept, char *ret_text, size_t bytes)
{
	ssize_t size;

	dup2(before, STDERR_FILENO);
	close(before);
	size = pread(kept, ret_text, bytes - 1, 0);
	close(kept);
	while (size > 0 && ret_text[size - 1] == '\n')
		size--;
	ret_text[size > 0 ? size : 0] = '\0';
	for (char *end = ret_text; (end = strchr(end, '\n'));)
		*end = ';';
}

/* What to do, where neither libfuse nor fusermount3 says it. */
static const char *mount_hint(const char *said)
{
	bool root = geteuid() == 0;

	if (!said[0])
		return "neither libfuse nor fusermount3 says why; is there memory left?";
	if (strstr(said, "failed to exec"))
		return "; it is in the package fuse3";
	if (strstr(said, strerror(EMFILE)))
		return "; raise the limit (ulimit -n)";
	if (strstr(said, "no write access"))
		return "; give an empty folder of yours";
	if (strstr(said, "Operation not permitted"))
		return root ? "; it takes CAP_SYS_ADMIN, in a container docker run --cap-add SYS_ADMIN"
			    : "; fusermount3 has to be set-user-id root";
	return "";
}

int mount_new(const char *mountpoint, const char *options, int *ret_fd)
{
	static struct fuse_session *session; /* it can't be freed without unmounting */
	int kept = -1, before = mount_listen(&kept);
	char said[512];

	if (before < 0) {
		log_error("%s: cannot mount here: %s", mountpoint, log_reason(-before));
		return before;
	}
	session = mount_session(mountpoint, options);
	mount_heard(before, kept, said, sizeof(said));
	if (!session) {
		log_error("%s: cannot mount here: %s%s", mountpoint, said, mount_hint(said));
		return -EIO;
	}
	if (said[0])
		log_warning("%s: %s", mountpoint, said);
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
