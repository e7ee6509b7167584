/* SPDX-License-Identifier: Apache-2.0
 * cache: sealed values kept in memory, so that a read usually asks no database. Least recently used goes first.
 *
 * It holds ciphertext only. Not locked: the store's lock guards it.
 */
#ifndef STORE_CACHE_H
#define STORE_CACHE_H

#include "store/index.h"

#include <sys/queue.h>

struct cache_row {
	TAILQ_ENTRY(cache_row) link;
	struct version *version; /* whose it is */
	struct seal_row sealed;
};

struct cache {
	TAILQ_HEAD(cache_list, cache_row) list; /* most recently used first */
	size_t bytes;
	size_t limit_bytes;
};

void cache_init(struct cache *cache, size_t limit_bytes);

/* cache_put - keep @sealed for @version, and take ownership of it; others may be forgotten, and without memory or room this one. */
void cache_put(struct cache *cache, struct version *version, struct seal_row sealed);

/* cache_touch - @version, which is cached, was used. */
void cache_touch(struct cache *cache, struct version *version);

/* cache_forget - free what is kept for @version, if anything. To be called before a version is freed. */
void cache_forget(struct cache *cache, struct version *version);

/* cache_row_free - of a version that is freed when there is no cache any more. NULL is allowed. */
void cache_row_free(struct cache_row *row);

#endif
