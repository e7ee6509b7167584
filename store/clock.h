/* SPDX-License-Identifier: Apache-2.0
 * clock: time that nobody sets, in nanoseconds.
 */
#ifndef STORE_CLOCK_H
#define STORE_CLOCK_H

#include <stdint.h>
#include <time.h>

#define CLOCK_MS INT64_C(1000000) /* a millisecond */

/* clock_now_ns - since some moment. */
static inline int64_t clock_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

#endif
