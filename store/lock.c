/* SPDX-License-Identifier: Apache-2.0
 * lock: an open store without its keys.
 *
 * Whoever uses the keys is counted, so that they can be wiped when nobody does; once the store is locked nobody begins
 * to. The key of row ids stays: a name is found by its hash. It is derived from the root key by a one-way function, so
 * it opens nothing; with it and the store's file one can find out whether a name that one guesses is in the store, and
 * the names are in memory anyway.
 */
#include "store/internal.h"

#include <errno.h>

int lock_enter(struct store *store)
{
	int r;

	pthread_mutex_lock(&store->lock);
	r = store->locked ? -ENOKEY : 0;
	if (r == 0)
		store->key_users++;
	pthread_mutex_unlock(&store->lock);
	return r;
}

void lock_leave(struct store *store)
{
	pthread_mutex_lock(&store->lock);
	if (--store->key_users == 0)
		pthread_cond_signal(&store->keys_unused);
	pthread_mutex_unlock(&store->lock);
}

bool store_is_locked(struct store *store)
{
	bool locked;

	pthread_mutex_lock(&store->lock);
	locked = store->locked;
	pthread_mutex_unlock(&store->lock);
	return locked;
}

int store_lock(struct store *store)
{
	struct store_txn *last = store_txn_new(0);

	if (!last)
		return -ENOMEM;
	pthread_mutex_lock(&store->slots_lock);
	pthread_mutex_lock(&store->lock);
	store->locked = true;
	pthread_mutex_unlock(&store->lock);
	store_run(store, last); /* when it is answered, so is what was submitted before it */
	pthread_mutex_lock(&store->lock);
	while (store->key_users)
		pthread_cond_wait(&store->keys_unused, &store->lock);
	opened_wipe(store);
	header_forget_keys(store->keys);
	pthread_mutex_unlock(&store->lock);
	pthread_mutex_unlock(&store->slots_lock);
	store_txn_free(last);
	return 0;
}

int store_unlock(struct store *store, const struct key *key)
{
	struct header_keys *keys;
	unsigned slot;
	int r;

	pthread_mutex_lock(&store->slots_lock);
	/* it is the header of the store in memory, so what it opens to is the same root key */
	r = header_open(&store->header, key, store->path, &keys, &slot);
	if (r == 0) {
		pthread_mutex_lock(&store->lock);
		if (store->locked)
			header_recall_keys(store->keys, keys);
		store->slot = slot;
		store->locked = false;
		pthread_cond_signal(&store->wake);
		pthread_mutex_unlock(&store->lock);
		secmem_free(keys);
	}
	pthread_mutex_unlock(&store->slots_lock);
	return r;
}
