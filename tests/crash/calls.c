/* SPDX-License-Identifier: Apache-2.0
 * calls: the system calls that store/ makes besides SQLite's, whose calls fail and are told as fault.h has it. The linker puts these in
 * their place (--wrap, in the Makefile).
 */
#include "tests/crash/fault.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
int __real_fsync(int fd);
int __wrap_fsync(int fd);
int __real_unlink(const char *path);
int __wrap_unlink(const char *path);
int __real_rename(const char *from, const char *to);
int __wrap_rename(const char *from, const char *to);
int __real_renameat2(int from_folder, const char *from, int to_folder, const char *to, unsigned flags);
int __wrap_renameat2(int from_folder, const char *from, int to_folder, const char *to, unsigned flags);
int __real_fallocate(int fd, int mode, off_t offset, off_t size);
int __wrap_fallocate(int fd, int mode, off_t offset, off_t size);
int __real_posix_fallocate(int fd, off_t offset, off_t size);
int __wrap_posix_fallocate(int fd, off_t offset, off_t size);
ssize_t __real_pread(int fd, void *ret_bytes, size_t size, off_t offset);
ssize_t __wrap_pread(int fd, void *ret_bytes, size_t size, off_t offset);
int __real_stat(const char *path, struct stat *ret_st);
int __wrap_stat(const char *path, struct stat *ret_st);
int __real_fstat(int fd, struct stat *ret_st);
int __wrap_fstat(int fd, struct stat *ret_st);
int __real_statvfs(const char *path, struct statvfs *ret_st);
int __wrap_statvfs(const char *path, struct statvfs *ret_st);

/* Count the call; true: it is to fail, and errno says so. */
static bool calls_fail(enum fault_call call)
{
	enum fault_how how;

	if (!fault_is_due(call, &how))
		return false;
	errno = fault_errno(how);
	return true;
}

int __wrap_open(const char *path, int flags, ...)
{
	bool is_new = (flags & O_CREAT) && access(path, F_OK) < 0;
	mode_t mode = 0;
	va_list args;
	int fd;

	if (flags & O_CREAT) {
		va_start(args, flags);
		mode = va_arg(args, mode_t);
		va_end(args);
	}
	if (calls_fail(FAULT_OPEN))
		return -1;
	fd = __real_open(path, flags, mode);
	if (fd >= 0 && is_new)
		fault_tell(&(struct fault_event){.change = FAULT_CREATED, .path = path});
	return fd;
}

static void calls_path(int fd, char ret_path[static PATH_MAX])
{
	char link[64];
	ssize_t size;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	size = readlink(link, ret_path, PATH_MAX - 1);
	ret_path[size < 0 ? 0 : size] = 0;
}

int __wrap_fsync(int fd)
{
	char path[PATH_MAX];
	struct stat st;

	if (calls_fail(FAULT_SYNC))
		return -1;
	if (__real_fstat(fd, &st) < 0)
		return -1;
	calls_path(fd, path);
	fault_tell(&(struct fault_event){.change = S_ISDIR(st.st_mode) ? FAULT_FOLDER_SYNCED : FAULT_SYNCED, .path = path});
	return 0;
}

int __wrap_unlink(const char *path)
{
	int r;

	if (calls_fail(FAULT_DELETE))
		return -1;
	r = __real_unlink(path);
	if (r == 0)
		fault_tell(&(struct fault_event){.change = FAULT_DELETED, .path = path});
	return r;
}

int __wrap_rename(const char *from, const char *to)
{
	int r;

	if (calls_fail(FAULT_RENAME))
		return -1;
	r = __real_rename(from, to);
	if (r == 0)
		fault_tell(&(struct fault_event){.change = FAULT_RENAMED, .path = from, .to = to});
	return r;
}

int __wrap_renameat2(int from_folder, const char *from, int to_folder, const char *to, unsigned flags)
{
	int r;

	if (calls_fail(FAULT_RENAME))
		return -1;
	r = __real_renameat2(from_folder, from, to_folder, to, flags);
	if (r == 0)
		fault_tell(&(struct fault_event){.change = FAULT_RENAMED, .path = from, .to = to});
	return r;
}

static void calls_tell_size(int fd, off_t size)
{
	char path[PATH_MAX];

	calls_path(fd, path);
	fault_tell(&(struct fault_event){.change = FAULT_RESIZED, .path = path, .offset = (uint64_t)size});
}

int __wrap_fallocate(int fd, int mode, off_t offset, off_t size)
{
	int r;

	if (calls_fail(FAULT_RESIZE))
		return -1;
	r = __real_fallocate(fd, mode, offset, size);
	if (r == 0)
		calls_tell_size(fd, offset + size);
	return r;
}

int __wrap_posix_fallocate(int fd, off_t offset, off_t size)
{
	int r;

	if (calls_fail(FAULT_RESIZE))
		return errno;
	r = __real_posix_fallocate(fd, offset, size);
	if (r == 0)
		calls_tell_size(fd, offset + size);
	return r;
}

ssize_t __wrap_pread(int fd, void *ret_bytes, size_t size, off_t offset)
{
	return calls_fail(FAULT_READ) ? -1 : __real_pread(fd, ret_bytes, size, offset);
}

int __wrap_stat(const char *path, struct stat *ret_st)
{
	return calls_fail(FAULT_LOOK) ? -1 : __real_stat(path, ret_st);
}

int __wrap_fstat(int fd, struct stat *ret_st)
{
	return calls_fail(FAULT_LOOK) ? -1 : __real_fstat(fd, ret_st);
}

int __wrap_statvfs(const char *path, struct statvfs *ret_st)
{
	return calls_fail(FAULT_LOOK) ? -1 : __real_statvfs(path, ret_st);
}
