/* SPDX-License-Identifier: Apache-2.0
 * batch: changes that become one commit. A log of states over the index, which readers don't see yet.
 *
 * Operations (ops.c) ask for a resource's state and push a new one; the newest state of a resource is what the next
 * operation sees. A transaction that fails is undone by cutting the log back to where it began.
 */
#ifndef STORE_BATCH_H
#define STORE_BATCH_H

#include "store/internal.h"

/* A resource as a transaction of this batch left it. */
struct batch_state {
	struct seal_id id;
	uint64_t node;
	struct resource *live; /* as readers see it; NULL if it is new */
	bool exists;
	struct record record;
	uint64_t mesh_node;

	int older; /* index of the state before in the same bucket, or -1 */

	/* for publish.c */
	bool newest;            /* no later state of the same resource */
	bool was;               /* it existed before this batch */
	unsigned written;       /* how many values this batch writes for it, of the newest */
	struct resource *fresh; /* what will enter the index if live is NULL; owned until then */
	struct record_packed *packed; /* the record as the index will have it; owned until then */
	uint8_t hash[CRYPTO_HASH_BYTES]; /* of the record's new row */
};

/* A value row to be written, or (@row.data NULL) removed. */
struct batch_value {
	struct seal_id id;
	uint64_t node;
	uint64_t generation;
	struct seal_row row;
	struct version *version; /* to be added, owned until then; or to be removed, borrowed */
};

struct batch {
	struct store *store;
	const struct store_txn *txns; /* that are in it: those of @results 0; borrowed */
	const int *results;
	struct timespec now;
	struct seal_manifest manifest; /* as it will be */
	const struct header *header;   /* and the header, if key slots change; else NULL. Borrowed from its transaction */
	uint8_t header_hash[CRYPTO_HASH_BYTES];
	struct batch_state *states;
	size_t n_states, states_capacity;
	struct batch_value *values;
	size_t n_values, values_capacity;
	int *buckets; /* index of the newest state, or -1 */
	size_t n_buckets;
};

void batch_init(struct batch *batch, struct store *store);
void batch_deinit(struct batch *batch);

/* batch_cut - undo everything after the first @n_states states and @n_values values. */
void batch_cut(struct batch *batch, size_t n_states, size_t n_values);

/* batch_newest - the index of the newest state of @node, or -1. */
int batch_newest(const struct batch *batch, uint64_t node);

/* batch_get - the state of @name as of now, whether it exists or not. -EIO if two names share a node. */
int batch_get(const struct batch *batch, const struct name *name, struct batch_state *ret_state);

/* batch_push - from now on this is its state. -ENOMEM. */
int batch_push(struct batch *batch, const struct batch_state *state);

/* batch_push_value - takes the row and the version over when it succeeds. -ENOMEM. */
int batch_push_value(struct batch *batch, const struct batch_value *value);

/* batch_read - the current value of an existing resource. -EIO, -ENOMEM. */
int batch_read(const struct batch *batch, const struct batch_state *state, struct secbuf *ret_value);

/* batch_write - seal @value as the new current value in @state (not pushed): generation, size, hash, times. @hash: its
 * seal_value_hash. -ENOMEM. */
int batch_write(struct batch *batch, struct batch_state *state, const struct secbuf *value,
		const uint8_t hash[static CRYPTO_HASH_BYTES], uid_t writer, const struct timespec *mtime);

/* batch_set_removed - attributes of what was removed and is still open: they are in memory only, and at once. -ENOENT if it isn't. */
int batch_set_removed(const struct batch *batch, const struct batch_state *state, enum record_inode inode, unsigned set,
		      const struct record_attributes *attributes);

/* batch_has_secrets - does the mesh have a secret as of now? */
bool batch_has_secrets(const struct batch *batch, const struct batch_state *mesh);

/* ops_run - carry out one transaction on @batch. 0 or the first failure; what it pushed is then for the caller to undo. */
int ops_run(struct batch *batch, struct store_txn *txn);

#endif
