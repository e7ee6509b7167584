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

#endif
