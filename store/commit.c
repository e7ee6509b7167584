/* SPDX-License-Identifier: Apache-2.0
 * commit: one thread takes all that waits, has it committed with one sync, and answers all.
 *
 * While a commit syncs, the next transactions gather; that is the whole of group commit. Nobody holds a lock
 * over a sync, and what a transaction's end calls (done) runs here, without the store's lock.
 */
#include "store/internal.h"

#include "store/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define COMMIT_BATCH 256 /* transactions at most in one commit */
#define COMMIT_COMPANY_MS 20 /* what is to be pruned waits so long for a transaction to go with */

/* Cut up to COMMIT_BATCH transactions off the queue. With the lock. */
static struct store_txn *commit_take(struct store *store, size_t *ret_count)
{
	struct store_txn *first = store->first;
	struct store_txn **end = &store->first;

	*ret_count = 0;
	while (*end && *ret_count < COMMIT_BATCH) {
		end = &(*end)->next;
		(*ret_count)++;
	}
	store->first = *end;
	*end = NULL;
	if (!store->first)
		store->last = &store->first;
	return *ret_count ? first : NULL;
}

/* With the lock. What is to be pruned waits while the store is locked. */
static bool commit_has_work(const struct store *store)
{
	return store->first || (store->prune_now && !store->locked);
}

/* Pruning is in no hurry, and a commit of its own would be in the way of the next transaction, which takes it along. With the lock. */
static void commit_wait_for_company(struct store *store)
{
	struct timespec until;
	int r = 0;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += COMMIT_COMPANY_MS * 1000000L;
	until.tv_sec += until.tv_nsec / 1000000000L;
	until.tv_nsec %= 1000000000L;
	while (!store->first && !store->stopping && r == 0)
		r = pthread_cond_clockwait(&store->wake, &store->lock, CLOCK_MONOTONIC, &until);
}

/* Until there is something to do, or nothing ever again. With the lock. */
static void commit_wait_for_work(struct store *store)
{
	do {
		while (!commit_has_work(store) && !store->stopping)
			pthread_cond_wait(&store->wake, &store->lock);
		commit_wait_for_company(store);
	} while (!commit_has_work(store) && !store->stopping); /* locked meanwhile. GCOVR_EXCL_BR_LINE: that it is just then is chance */
}

/* Without keys nothing can be sealed. */
static void commit_run(struct store *store, struct store_txn *first, size_t count, int *results)
{
	if (lock_enter(store) == 0) {
		batch_run(store, first, results);
		lock_leave(store);
		return;
	}
	for (size_t i = 0; i < count; i++, first = first->next) {
		if (first->ready)
			first->ready(first);
		results[i] = -ENOKEY;
	}
}

static void *commit_thread(void *context)
{
	struct store *store = context;
	int results[COMMIT_BATCH];

	for (;;) {
		struct store_txn *txn, *next;
		size_t count;

		pthread_mutex_lock(&store->lock);
		commit_wait_for_work(store);
		if (!commit_has_work(store)) {
			pthread_mutex_unlock(&store->lock);
			return NULL;
		}
		txn = commit_take(store, &count);
		pthread_mutex_unlock(&store->lock);

		commit_run(store, txn, count, results);
		for (size_t i = 0; i < count; i++, txn = next) {
			next = txn->next;
			if (store->watcher.committed)
				store->watcher.committed(store->watcher.context, txn);
			txn->done(txn, results[i]);
		}
	}
}

int commit_start(struct store *store)
{
	int r;

	store->last = &store->first;
	store->stopping = false;
	r = -pthread_create(&store->thread, NULL, commit_thread, store);
	if (r < 0)
		log_error("%s: cannot start a thread: %s; is there a limit (ulimit -u, in a unit TasksMax=)?", store->path, strerror(-r));
	store->running = r == 0;
	return r;
}

void commit_stop(struct store *store)
{
	if (!store->running)
		return;
	pthread_mutex_lock(&store->lock);
	store->stopping = true;
	pthread_cond_signal(&store->wake);
	pthread_mutex_unlock(&store->lock);
	pthread_join(store->thread, NULL);
	store->running = false;
}

void commit_prune_later(struct store *store, const struct resource *resource)
{
	unsigned newer = 0;

	for (const struct version *v = resource->versions; v; v = v->older, newer++) {
		if (!batch_version_is_spent(store, resource, v, newer))
			continue;
		if (store->n_prune == store->prune_capacity) {
			size_t capacity = store->prune_capacity ? store->prune_capacity * 2 : 64;
			uint64_t *nodes = reallocarray(store->prune, capacity, sizeof(*nodes));

			if (!nodes)
				return; /* the row stays until the resource changes again or the store is opened */
			store->prune = nodes;
			store->prune_capacity = capacity;
		}
		store->prune[store->n_prune++] = resource_node(resource);
		store->prune_now = true;
		pthread_cond_signal(&store->wake);
		return;
	}
}

struct store_txn *store_txn_new(size_t n_ops)
{
	struct store_txn *txn = calloc(1, sizeof(*txn) + n_ops * sizeof(txn->ops[0]));

	if (txn)
		txn->n_ops = n_ops;
	return txn;
}

struct store_txn *store_txn_free(struct store_txn *txn)
{
	if (txn) {
		for (size_t i = 0; i < txn->n_ops; i++)
			secbuf_deinit(&txn->ops[i].value);
		free(txn);
	}
	return NULL;
}

void store_submit(struct store *store, struct store_txn *txn)
{
	txn->next = NULL;
	pthread_mutex_lock(&store->lock);
	*store->last = txn;
	store->last = &txn->next;
	pthread_mutex_unlock(&store->lock);
	pthread_cond_signal(&store->wake); /* who wakes up with the lock taken would sleep once more */
}

int commit_header(struct store *store, const struct header *header, const char *for_what)
{
	struct store_txn *txn = store_txn_new(0);
	int r;

	if (!txn)
		return log_no_memory(for_what);
	txn->header = header;
	r = store_run(store, txn);
	store_txn_free(txn);
	return r;
}

struct commit_wait {
	pthread_mutex_t lock;
	pthread_cond_t wake;
	bool done;
	int result;
};

static void commit_wait_done(struct store_txn *txn, int result)
{
	struct commit_wait *wait = txn->context;

	pthread_mutex_lock(&wait->lock);
	wait->result = result;
	wait->done = true;
	pthread_cond_signal(&wait->wake);
	pthread_mutex_unlock(&wait->lock);
}

int store_run(struct store *store, struct store_txn *txn)
{
	struct commit_wait wait = {.lock = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER};
	const struct store_watcher *watcher = &store->watcher;

	if (watcher->running)
		watcher->running(watcher->context, txn, false);
	txn->done = commit_wait_done;
	txn->context = &wait;
	store_submit(store, txn);
	pthread_mutex_lock(&wait.lock);
	while (!wait.done)
		pthread_cond_wait(&wait.wake, &wait.lock);
	pthread_mutex_unlock(&wait.lock);
	if (watcher->running)
		watcher->running(watcher->context, txn, true);
	return wait.result;
}
