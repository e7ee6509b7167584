/* SPDX-License-Identifier: Apache-2.0
 * mlock2: valgrind 3.19 doesn't know this system call, but the one that locks at once.
 */
#include <stddef.h>
#include <sys/mman.h>

int __wrap_mlock2(const void *start, size_t bytes, unsigned flags);

int __wrap_mlock2(const void *start, size_t bytes, unsigned flags)
{
	(void)flags;
	return mlock(start, bytes);
}
