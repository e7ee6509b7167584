/* SPDX-License-Identifier: Apache-2.0
 * unknown: system calls that valgrind 3.19 doesn't know, by one that does nearly the same.
 *
 * Linked into the programs of that build in front of libc's.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Locks at once, not on the first use. Under its own name: a program may wrap it for itself. */
int mlock2(const void *start, size_t bytes, unsigned flags)
{
	(void)flags;
	return mlock(start, bytes);
}

/* openat2 follows what it must not; there is no seccomp. */
long syscall(long number, ...)
{
	long (*real)(long number, ...) = (long (*)(long number, ...))dlsym(RTLD_NEXT, "syscall");
	long arguments[6];
	va_list list;

	va_start(list, number);
	for (int i = 0; i < 6; i++)
		arguments[i] = va_arg(list, long);
	va_end(list);
	if (number == SYS_openat2) {
		const struct open_how *how = (const struct open_how *)arguments[2];

		return openat((int)arguments[0], (const char *)arguments[1], (int)how->flags, (mode_t)how->mode);
	}
	if (number == SYS_seccomp) {
		errno = ENOSYS;
		return -1;
	}
	return real(number, arguments[0], arguments[1], arguments[2], arguments[3], arguments[4], arguments[5]);
}
