/* SPDX-License-Identifier: Apache-2.0
 * autolock: locks the store when no value was read or written for a while. Looking and listing don't count.
 *
 * The serving thread alone calls these.
 */
#ifndef FS_AUTOLOCK_H
#define FS_AUTOLOCK_H

#include "fs/control.h"

#include <stdbool.h>
#include <stdint.h>

struct autolock {
	unsigned seconds; /* 0: never */
	int64_t used_ms;  /* CLOCK_BOOTTIME, which goes on while the machine sleeps */
	bool was_locked;
};

/* autolock_used - a value is being read or written. Also to begin with. */
void autolock_used(struct autolock *autolock);

/* autolock_tend - lock if it is time. How many ms until it wants to be called again; -1: never. */
int autolock_tend(struct autolock *autolock, struct store *store, struct control *control);

#endif
