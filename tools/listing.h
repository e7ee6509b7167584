/* SPDX-License-Identifier: Apache-2.0
 * listing: resources as a table's rows.
 */
#ifndef TOOLS_LISTING_H
#define TOOLS_LISTING_H

#include "tools/table.h"
#include "tools/target.h"

#include <stdbool.h>
#include <time.h>

struct listing {
	struct target *target; /* borrowed */
	enum name_kind kind;
	bool kubernetes; /* as kubectl prints Secrets */
	struct timespec now;
	struct table table;
};

/* listing_begin - with the headers as the first row. listing_add - a resource; listing_add_removed - one that is gone.
 * -ENOMEM, and what reading a Mesh fails with, all said. listing_print - what was added since the last time. -errno,
 * said. */
int listing_begin(struct listing *listing);
int listing_add(struct listing *listing, const struct target_entry *entry);
int listing_add_removed(struct listing *listing, const struct name *name);
int listing_print(struct listing *listing);

void listing_deinit(struct listing *listing);

#define LISTING_AUTO __attribute__((cleanup(listing_deinit))) struct listing

#define LISTING_AGE_BYTES 48

/* listing_age - how long ago that was, as kumactl writes it: 59s, 3m, 2h, 5d, 1y. @fine: as kubectl does, which has a second unit where
 * there are few of the first: 3m12s, 5h20m, 2d3h. */
void listing_age(const struct timespec *then, const struct timespec *now, bool fine, char ret_age[static LISTING_AGE_BYTES]);

#endif
