/* SPDX-License-Identifier: Apache-2.0
 * stage_lock: what becomes of what is being written when the store is locked: it is wiped.
 *
 * The store is locked first. Whoever asks with the stage's lock (stage_lock_check) sees that before it puts anything
 * into an entry, so what is there when the stage's lock is taken to drop it is all there will be.
 */
#include "fs/stage_internal.h"

#include <errno.h>

int stage_lock_check(const struct stage *stage, const struct staged *entry)
{
	return (entry && entry->failed == -ENOKEY) || store_is_locked(stage->tree->store) ? -ENOKEY : 0;
}

/* Who has only opened it loses nothing. With the lock. */
static void staged_drop(struct stage *stage, struct staged *entry)
{
	if (staged_is_pending(entry))
		entry->failed = -ENOKEY;
	draft_wipe(&stage->drafts, &entry->draft);
}

void stage_lock_drop(struct stage *stage)
{
	struct staged *entry;

	pthread_mutex_lock(&stage->lock);
	entry = LIST_FIRST(&stage->entries);
	while (entry) {
		if (entry->in_flight) {
			pthread_cond_wait(&stage->landed, &stage->lock);
			entry = LIST_FIRST(&stage->entries); /* they may be others now */
		} else {
			staged_drop(stage, entry);
			entry = LIST_NEXT(entry, link);
		}
	}
	pthread_mutex_unlock(&stage->lock);
}
