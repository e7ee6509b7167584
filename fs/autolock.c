/* SPDX-License-Identifier: Apache-2.0
 * autolock: one point in time. The lock itself is carried out by a thread of control.c.
 */
#include "fs/autolock.h"

#include "store/log.h"

#include <time.h>

static int64_t autolock_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void autolock_used(struct autolock *autolock)
{
	if (autolock->seconds)
		autolock->used_ms = autolock_now_ms();
}

int autolock_tend(struct autolock *autolock, struct store *store, struct control *control)
{
	int64_t limit_ms = (int64_t)autolock->seconds * 1000, left_ms;
	bool locked;

	if (!autolock->seconds)
		return -1;
	locked = store_is_locked(store);
	if (locked || autolock->was_locked)
		autolock_used(autolock); /* the time begins with the unlock */
	autolock->was_locked = locked;
	left_ms = autolock->used_ms + limit_ms - autolock_now_ms();
	if (left_ms <= 0) {
		log_info("nothing was read or written for %u seconds", autolock->seconds);
		control_lock(control);
		autolock_used(autolock);
		left_ms = limit_ms;
	}
	return (int)left_ms + 1;
}
