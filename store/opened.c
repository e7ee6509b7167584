/* SPDX-License-Identifier: Apache-2.0
 * opened: a long value stays open while somebody reads it in parts, since it can be opened as a whole only.
 *
 * It is in locked memory, and one at a time: so it takes no more of that than opening it for each part would. What is read in one
 * piece, or to its end, is never here.
 */
#include "store/clock.h"
#include "store/internal.h"

#define OPENED_MS 1000

void opened_wipe(struct store *store)
{
	secbuf_deinit(&store->opened.value);
}

bool opened_take(struct store *store, uint64_t generation, struct secbuf *ret_value)
{
	struct opened *opened = &store->opened;

	if (!opened->value.data || opened->generation != generation) {
		opened_wipe(store);
		return false;
	}
	*ret_value = opened->value;
	opened->value = (struct secbuf){0}; /* transferred */
	return true;
}

void store_keep(struct store *store, uint64_t generation, struct secbuf *value)
{
	pthread_mutex_lock(&store->lock);
	opened_wipe(store);
	if (!store->locked) {
		store->opened = (struct opened){.generation = generation, .value = *value, .until_ms = clock_now_ns() / CLOCK_MS + OPENED_MS};
		*value = (struct secbuf){0}; /* transferred */
	}
	pthread_mutex_unlock(&store->lock);
	secbuf_deinit(value);
}

int store_tend(struct store *store)
{
	int64_t left_ms = -1;

	pthread_mutex_lock(&store->lock);
	if (store->opened.value.data) {
		left_ms = store->opened.until_ms - clock_now_ns() / CLOCK_MS;
		if (left_ms <= 0)
			opened_wipe(store);
		left_ms = left_ms > 0 ? left_ms : -1;
	}
	pthread_mutex_unlock(&store->lock);
	return (int)left_ms;
}
