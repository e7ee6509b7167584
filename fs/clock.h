/* SPDX-License-Identifier: Apache-2.0
 * clock: nanoseconds, for who looks for something before it sleeps.
 */
#ifndef FS_CLOCK_H
#define FS_CLOCK_H

#include <stdint.h>
#include <time.h>

/* clock_now_ns - nanoseconds since some moment; nobody sets it. */
static inline int64_t clock_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

#endif
