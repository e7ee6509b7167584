/* SPDX-License-Identifier: Apache-2.0
 * internal: what the files of store/ share about an open store. Not for fs/ or tools/.
 *
 * Who may touch what: the index and the cache are changed under the lock. The commit thread alone changes
 * records and the manifest, so it may read those without the lock; pins and the cache change under anybody's hand.
 */
#ifndef STORE_INTERNAL_H
#define STORE_INTERNAL_H

#include "store/anchor.h"
#include "store/cache.h"
#include "store/engine.h"
#include "store/header.h"
#include "store/index.h"
#include "store/reserve.h"
#include "store/seal.h"
#include "store/store.h"

#include <pthread.h>
#include <stdatomic.h>

/* The value of a version, opened: see store_keep. */
struct opened {
	uint64_t generation; /* which no two values share */
	struct secbuf value; /* empty if there is none */
	int64_t until_ms;
};

struct store {
	char *path;
	struct engine *engine;
	struct reserve reserve;
	struct header_keys *keys;
	struct seal seal;
	struct store_options options;
	struct store_watcher watcher; /* zeroed: nobody */
	pthread_mutex_t slots_lock; /* one change of key slots at a time, and of locked; taken before the other */

	pthread_mutex_t lock;
	struct header header;
	uint8_t header_hash[CRYPTO_HASH_BYTES]; /* what its row adds to the manifest's sum */
	unsigned slot;                          /* which opened it; STORE_KEY_SLOTS: removed since */
	struct index index;
	struct cache cache;
	struct opened opened;
	struct seal_manifest manifest;
	enum anchor_verdict verdict;   /* of the anchor, with anchor_later, when the store was opened; */
	uint64_t anchor_generation;    /* and the generation that it had seen */
	atomic_bool anchor_failed;     /* it could not be written: nothing is committed any more */
	bool locked;        /* nobody may use the keys any more; row_id is for all, always */
	unsigned key_users; /* who does at the moment, see lock_enter */
	pthread_cond_t keys_unused;
	uint64_t *prune; /* nodes that have versions to be removed with the next commit; owned array */
	size_t n_prune, prune_capacity;
	bool prune_now; /* the commit thread is to see to them without being asked for anything else */

	/* the queue; under the lock as well */
	pthread_cond_t wake;
	struct store_txn *first, **last;
	bool stopping;
	bool running;
	pthread_t thread;
};

/* store_load - as store_open, but without a commit thread: nothing is changed in the store. */
int store_load(const char *given, const struct key *key, const struct store_options *options, struct store **ret_store);

/* rekey_say_left - log if a rekey of the store @path that was cut off has left its new file, which a key may open that the store no longer knows. */
void rekey_say_left(const char *path);

/* store_make - a new file @path with nothing but @header and a manifest of @generation; open, without a commit thread. Takes @keys
 * over, also when it fails. */
int store_make(const char *path, const struct header *header, struct header_keys *keys, uint64_t generation,
	       struct store **ret_store);

/* store_read_header - the header of the open file @path, if it is one. -EBADMSG, or as header_check (logged). */
int store_read_header(struct engine *engine, const char *path, struct header *ret_header);

/* store_fetch - a version from the file: its row, and what is in it. The caller frees @ret_row->data and @ret_value. -EIO if the file does not
 * have it or it does not open; -ENOMEM. */
int store_fetch(struct store *store, const struct version_row *wanted, struct seal_row *ret_row, struct secbuf *ret_value,
		struct seal_value_info *ret_info);

/* opened_take - hand over what is kept, if it is this version's; else wipe it. opened_wipe - also if there is none. With the lock. */
bool opened_take(struct store *store, uint64_t generation, struct secbuf *ret_value);
void opened_wipe(struct store *store);

/* lock_enter - the keys are there until lock_leave; -ENOKEY if the store is locked. Without the lock. May be nested, and the inner
 * one may fail. */
int lock_enter(struct store *store);
void lock_leave(struct store *store);

/* commit_start - start the commit thread. commit_stop - let it finish what waits, and end it. */
int commit_start(struct store *store);
void commit_stop(struct store *store);

/* commit_header - a commit of its own, after what was submitted before: @header becomes the store's; NULL: of nothing, it only waits for those.
 * -ENOMEM, logged with what it was for; else as store_run. */
int commit_header(struct store *store, const struct header *header, const char *for_what);

/* commit_prune_later - @resource may have versions to remove: see to it with the next commit. With the lock. */
void commit_prune_later(struct store *store, const struct resource *resource);

/* batch_run - carry out the transactions of a list as one commit, and set their results (in @results, in order).
 * If the engine refuses the batch, each is tried alone, so that one that is too large for the disk takes no
 * other with it; unless the disk has failed. Prunes too. Only the commit thread calls this. */
void batch_run(struct store *store, struct store_txn *first, int *results);

/* batch_version_is_spent - nobody needs this version, which has @newer newer ones. With the lock. */
bool batch_version_is_spent(const struct store *store, const struct resource *resource, const struct version *version,
			    unsigned newer);

#endif
