/* SPDX-License-Identifier: Apache-2.0
 * announce_internal: what announce.c tells its helper (announce_walk.c). Nobody else includes it.
 */
#ifndef FS_ANNOUNCE_INTERNAL_H
#define FS_ANNOUNCE_INTERNAL_H

#include "fs/announce.h"

#include <limits.h>

/* One message; the answer is 0 or -errno, an int. */
struct announce_order {
	enum { ANNOUNCE_BEGIN, ANNOUNCE_CHANGE, ANNOUNCE_END } kind;
	dev_t device; /* BEGIN: of what is mounted on @mountpoint */
	char mountpoint[PATH_MAX];
	struct announce_change change; /* CHANGE */
};

/* announce_walk - for helper_start. */
void announce_walk(int channel);

#endif
