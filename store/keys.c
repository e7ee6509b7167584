/* SPDX-License-Identifier: Apache-2.0
 * keys: changing which keys open an open store.
 *
 * The header is a row like others, so a change of its slots is a commit like others: the new header goes through the
 * queue with a transaction of its own, and a crash leaves the old one or the new one. What takes long (Argon2id) is
 * done before, on the caller's thread. The root key stays, so nothing else is sealed anew. Of a key that goes nothing is left in the file
 * when that is told.
 */
#include "store/internal.h"
#include "store/log.h"

#include <errno.h>

_Static_assert(STORE_KEY_SLOTS == HEADER_SLOTS, "the header's slots are those that store.h speaks of");

/* Put @key (NULL: nothing) in @slot. With the lock of slots, and so with the header as it was when the caller looked. */
static int keys_set(struct store *store, unsigned slot, const struct key *key)
{
	struct header header = store->header;
	int r = lock_enter(store);

	if (r < 0)
		return r;
	r = header_set_slot(&header, slot, store->keys, key);
	if (r == 0)
		r = commit_header(store, &header, "to change the keys");
	lock_leave(store);
	return r;
}

/* The header before is in the file until the journal is moved into it: whoever drops the journal would open that with a key that is gone. 1: so
 * it is still. */
static int keys_forget(struct store *store)
{
	rekey_say_left(store->path);
	if (engine_flush(store->engine) == 0)
		return 0;
	log_error("%s: the key no longer opens the store, but the older state that is still in its file: see to the disk (dmesg), and have "
		  "hushctl check open it again",
		  store->path);
	return 1;
}

static bool keys_has(const struct store *store, unsigned slot)
{
	return slot < STORE_KEY_SLOTS && header_slot_kind(&store->header, slot);
}

void store_keys(struct store *store, uint8_t ret_kinds[static STORE_KEY_SLOTS], unsigned *ret_current)
{
	pthread_mutex_lock(&store->lock);
	for (unsigned i = 0; i < STORE_KEY_SLOTS; i++)
		ret_kinds[i] = header_slot_kind(&store->header, i);
	*ret_current = store->slot;
	pthread_mutex_unlock(&store->lock);
}

int store_key_slot(struct store *store, const struct key *key, unsigned *ret_slot)
{
	int r;

	pthread_mutex_lock(&store->slots_lock);
	r = header_slot_of(&store->header, key, ret_slot);
	pthread_mutex_unlock(&store->slots_lock);
	return r;
}

/* The slot that @key opens already: -EEXIST; else 0. */
static int keys_must_not_open(const struct store *store, const struct key *key, unsigned *ret_slot)
{
	int r = header_slot_of(&store->header, key, ret_slot);

	return r == 0 ? -EEXIST : r == -EKEYREJECTED ? 0 : r;
}

int store_key_add(struct store *store, const struct key *key, unsigned *ret_slot)
{
	unsigned slot = 0, same;
	int r;

	pthread_mutex_lock(&store->slots_lock);
	r = keys_must_not_open(store, key, &same);
	while (slot < STORE_KEY_SLOTS && keys_has(store, slot))
		slot++;
	if (r == 0 && slot == STORE_KEY_SLOTS)
		r = -ENOSPC;
	if (r == 0)
		r = keys_set(store, slot, key);
	pthread_mutex_unlock(&store->slots_lock);
	if (r == 0)
		*ret_slot = slot;
	return r;
}

int store_key_remove(struct store *store, unsigned slot)
{
	unsigned used = 0;
	int r;

	pthread_mutex_lock(&store->slots_lock);
	for (unsigned i = 0; i < STORE_KEY_SLOTS; i++)
		used += keys_has(store, i);
	if (!keys_has(store, slot))
		r = -ENOENT;
	else if (used == 1)
		r = -EBUSY;
	else
		r = keys_set(store, slot, NULL);
	if (r == 0) {
		pthread_mutex_lock(&store->lock);
		if (store->slot == slot)
			store->slot = STORE_KEY_SLOTS;
		pthread_mutex_unlock(&store->lock);
		r = keys_forget(store);
	}
	pthread_mutex_unlock(&store->slots_lock);
	return r;
}

int store_key_replace(struct store *store, unsigned slot, const struct key *key)
{
	unsigned same = slot;
	int r = -ENOENT;

	pthread_mutex_lock(&store->slots_lock);
	if (keys_has(store, slot))
		r = keys_must_not_open(store, key, &same);
	if (r == -EEXIST && same == slot)
		r = 0;
	if (r == 0)
		r = keys_set(store, slot, key);
	if (r == 0)
		r = keys_forget(store);
	pthread_mutex_unlock(&store->slots_lock);
	return r;
}
