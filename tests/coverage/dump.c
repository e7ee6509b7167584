/* SPDX-License-Identifier: Apache-2.0
 * dump: a process that ends without exit() writes its counts first.
 *
 * Linked into the programs of `make coverage` in front of these calls of libc. gcc does the same for fork() and the exec
 * functions that it knows.
 */
#include <signal.h>
#include <stdarg.h>
#include <sys/prctl.h>

/* libgcov's; its header is gcc's alone */
void __gcov_dump(void);
void __gcov_reset(void);

_Noreturn void __wrap__exit(int status);
_Noreturn void __real__exit(int status);
int __wrap_execveat(int folder, const char *path, char *const argv[], char *const environment[], int flags);
int __real_execveat(int folder, const char *path, char *const argv[], char *const environment[], int flags);
int __wrap_prctl(int option, ...);
int __real_prctl(int option, ...);

static volatile sig_atomic_t dump_begun;

void __wrap__exit(int status)
{
	dump_begun = 1;
	/* NOLINTBEGIN(bugprone-signal-handler,cert-sig30-c): an orphan is interrupted where it waits, and this is not begun twice */
	__gcov_dump();
	__real__exit(status);
	/* NOLINTEND(bugprone-signal-handler,cert-sig30-c) */
}

int __wrap_execveat(int folder, const char *path, char *const argv[], char *const environment[], int flags)
{
	__gcov_dump();
	__gcov_reset();
	return __real_execveat(folder, path, argv, environment, flags);
}

static void dump_when_orphaned(int number)
{
	(void)number;
	if (!dump_begun)
		__wrap__exit(0);
}

/* A helper is killed when its worker ends: here by a signal that lets it write. */
int __wrap_prctl(int option, ...)
{
	unsigned long arguments[4];
	va_list list;

	va_start(list, option);
	for (int i = 0; i < 4; i++)
		arguments[i] = va_arg(list, unsigned long);
	va_end(list);
	if (option == PR_SET_PDEATHSIG) {
		signal(SIGUSR2, dump_when_orphaned);
		arguments[0] = SIGUSR2;
	}
	return __real_prctl(option, arguments[0], arguments[1], arguments[2], arguments[3]);
}
