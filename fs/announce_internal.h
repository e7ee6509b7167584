/* SPDX-License-Identifier: Apache-2.0
 * announce_internal: what announce.c tells its helper (announce_walk.c). Nobody else includes it.
 */
#ifndef FS_ANNOUNCE_INTERNAL_H
#define FS_ANNOUNCE_INTERNAL_H

#include "fs/announce.h"

/* One message; the answer is 0 or -errno, an int. The helper has more rights than who tells it this: it knows by itself where to walk, and trusts
 * nothing in here. */
struct announce_order {
	enum { ANNOUNCE_BEGIN, ANNOUNCE_CHANGE, ANNOUNCE_END, ANNOUNCE_DETACH /* not answered */ } kind;
	dev_t device;                  /* BEGIN: of what is mounted */
	struct announce_change change; /* CHANGE */
};

/* announce_walk - for helper_start. @mountpoint: an absolute path. */
void announce_walk(int channel, const void *mountpoint);

#endif
