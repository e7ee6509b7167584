/* SPDX-License-Identifier: Apache-2.0
 * cache: a list of rows, each of which its version points to; no second index.
 */
#include "store/cache.h"

#include <stdlib.h>

void cache_init(struct cache *cache, size_t limit_bytes)
{
	TAILQ_INIT(&cache->list);
	cache->bytes = 0;
	cache->limit_bytes = limit_bytes;
}

void cache_row_free(struct cache_row *row)
{
	if (row)
		free(row->sealed.data);
	free(row);
}

void cache_forget(struct cache *cache, struct version *version)
{
	struct cache_row *row = version->cached;

	if (row) {
		TAILQ_REMOVE(&cache->list, row, link);
		cache->bytes -= row->sealed.size;
		cache_row_free(row);
		version->cached = NULL;
	}
}

void cache_put(struct cache *cache, struct version *version, struct seal_row sealed)
{
	struct cache_row *row = malloc(sizeof(*row));

	cache_forget(cache, version);
	if (!row) {
		free(sealed.data);
		return;
	}
	*row = (struct cache_row){.version = version, .sealed = sealed};
	version->cached = row;
	TAILQ_INSERT_HEAD(&cache->list, row, link);
	cache->bytes += sealed.size;
	while (cache->bytes > cache->limit_bytes)
		cache_forget(cache, TAILQ_LAST(&cache->list, cache_list)->version);
}

void cache_touch(struct cache *cache, struct version *version)
{
	TAILQ_REMOVE(&cache->list, version->cached, link);
	TAILQ_INSERT_HEAD(&cache->list, version->cached, link);
}
