/* SPDX-License-Identifier: Apache-2.0
 * cache: a list through the versions themselves; no second index.
 */
#include "store/cache.h"

#include <stdlib.h>

void cache_init(struct cache *cache, size_t limit_bytes)
{
	TAILQ_INIT(&cache->list);
	cache->bytes = 0;
	cache->limit_bytes = limit_bytes;
}

void cache_forget(struct cache *cache, struct version *version)
{
	if (version->sealed.data) {
		TAILQ_REMOVE(&cache->list, version, cached);
		cache->bytes -= version->sealed.size;
		free(version->sealed.data);
		version->sealed = (struct seal_row){0};
	}
}

void cache_put(struct cache *cache, struct version *version, struct seal_row row)
{
	cache_forget(cache, version);
	version->sealed = row;
	TAILQ_INSERT_HEAD(&cache->list, version, cached);
	cache->bytes += row.size;
	while (cache->bytes > cache->limit_bytes)
		cache_forget(cache, TAILQ_LAST(&cache->list, cache_list));
}

void cache_touch(struct cache *cache, struct version *version)
{
	TAILQ_REMOVE(&cache->list, version, cached);
	TAILQ_INSERT_HEAD(&cache->list, version, cached);
}
