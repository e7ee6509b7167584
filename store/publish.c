/* SPDX-License-Identifier: Apache-2.0
 * publish: from a batch to one commit, and from the commit to what readers see.
 *
 * In order: run each transaction on the log; add the removal of versions nobody needs; have ready all memory that
 * publishing takes; seal; write rows and manifest in one engine commit; have the anchor know it; publish under the lock. Nothing after
 * the engine's commit can fail but the anchor, and nothing before it is seen by a reader.
 *
 * A version goes only when no reader can come to hold it any more, which for the current one is after its successor
 * was published: what it leaves behind is removed with the next commit (commit_prune_later).
 */
#include "store/batch.h"

#include "store/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PUBLISH_UNANCHORED 1

bool batch_version_is_spent(const struct store *store, const struct resource *resource, const struct version *version,
			    unsigned newer)
{
	if (version->pins || (resource->exists && version == resource->versions))
		return false;
	return version->doomed || newer > store->options.history;
}

/* After the last transaction: mark the states that count, and drop what was written for a resource and then removed. */
static void publish_settle(struct batch *batch)
{
	size_t kept = 0;

	for (size_t i = 0; i < batch->n_states; i++) {
		struct batch_state *state = &batch->states[i];

		state->newest = batch_newest(batch, state->node) == (int)i;
		state->was = state->live && state->live->exists;
		state->written = 0;
	}
	for (size_t i = 0; i < batch->n_values; i++) {
		struct batch_value *v = &batch->values[i];
		struct batch_state *state = &batch->states[batch_newest(batch, v->node)];

		if (state->exists && v->generation >= state->record.created) {
			batch->values[kept++] = *v;
			state->written++;
		} else {
			free(v->row.data);
			free(v->version);
		}
	}
	batch->n_values = kept;
}

/* Push the removal of the live versions that nobody will need after this batch, which writes @newer. With the lock. */
static int publish_prune(struct batch *batch, const struct resource *live, unsigned newer)
{
	int r = 0;

	for (struct version *v = live->versions; v && r == 0; v = v->older, newer++) {
		struct batch_value removal = {
			.id = live->id, .node = resource_node(live), .generation = v->generation, .version = v};

		if (batch_version_is_spent(batch->store, live, v, newer))
			r = batch_push_value(batch, &removal);
	}
	return r;
}

static int publish_order(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* The resources of this batch, and those that were left for it. With the lock. */
static int publish_prune_all(struct batch *batch, uint64_t *nodes, size_t n_nodes)
{
	int r = 0;

	for (size_t i = 0; i < batch->n_states && r == 0; i++)
		if (batch->states[i].newest && batch->states[i].live)
			r = publish_prune(batch, batch->states[i].live, batch->states[i].written);
	if (n_nodes > 1)
		qsort(nodes, n_nodes, sizeof(nodes[0]), publish_order);
	for (size_t i = 0; i < n_nodes && r == 0; i++) {
		const struct resource *live = index_find(&batch->store->index, nodes[i]);

		if (live && batch_newest(batch, nodes[i]) < 0 && (i == 0 || nodes[i] != nodes[i - 1]))
			r = publish_prune(batch, live, 0);
	}
	return r;
}

/* Have all memory that publishing takes. With the lock, since readers look at what is reallocated.
 * Whatever enters or leaves a folder has touched the folder's owner, so that one is among the states. */
static int publish_prepare(struct batch *batch)
{
	struct index *index = &batch->store->index;
	int r = index_reserve(index, batch->n_states);

	for (size_t i = 0; i < batch->n_states && r == 0; i++) {
		struct batch_state *state = &batch->states[i];

		if (!state->newest || !state->exists)
			continue;
		state->packed = record_pack(&state->record);
		if (!state->live)
			state->fresh = calloc(1, sizeof(*state->fresh));
		if (!state->packed || (!state->live && !state->fresh))
			return -ENOMEM;
		if (state->record.name.kind == NAME_MESH)
			r = index_mesh_reserve(state->live ? state->live : state->fresh, batch->n_states);
		if (state->record.name.kind == NAME_ROOT)
			r = index_folder_reserve(&index->meshes, batch->n_states);
		if (state->record.name.kind == NAME_ROOT && r == 0)
			r = index_folder_reserve(&index->globals, batch->n_states);
	}
	return r;
}

/* The rows of one engine commit. */
struct rows {
	struct engine_change *changes;
	struct seal_key *keys;
	size_t count;
	struct seal_row *sealed; /* records and manifest, owned; values belong to the batch */
	size_t n_sealed;
};

static void rows_deinit(struct rows *rows)
{
	for (size_t i = 0; i < rows->n_sealed; i++)
		free(rows->sealed[i].data);
	free(rows->sealed);
	free(rows->keys);
	free(rows->changes);
}

/* @row NULL removes. */
static void rows_add(struct rows *rows, const struct seal_key *key, const struct seal_row *row)
{
	struct seal_key *kept = &rows->keys[rows->count];

	*kept = *key;
	rows->changes[rows->count++] = (struct engine_change){.key = kept->bytes,
							      .key_size = kept->size,
							      .data = row ? row->data : NULL,
							      .size = row ? row->size : 0};
}

static void publish_count_added(struct batch *batch, const uint8_t *hash)
{
	crypto_set_add(batch->manifest.sum, hash);
	batch->manifest.rows++;
}

static void publish_count_removed(struct batch *batch, const uint8_t *hash)
{
	crypto_set_remove(batch->manifest.sum, hash);
	batch->manifest.rows--;
}

/* The row of a resource's record, sealed anew or removed. */
static int publish_seal_state(struct batch *batch, struct batch_state *state, struct rows *rows)
{
	const struct seal *seal = &batch->store->seal;
	struct seal_key key = seal_key(SEAL_RECORD, &state->id, 0);
	struct seal_row *row = &rows->sealed[rows->n_sealed];
	int r;

	if (state->was)
		publish_count_removed(batch, state->live->hash);
	if (!state->exists) {
		if (state->was)
			rows_add(rows, &key, NULL);
		return 0;
	}
	r = seal_record(seal, &state->id, batch->manifest.generation, &state->record, row);
	if (r < 0)
		return r;
	rows->n_sealed++;
	seal_row_hash(seal, &key, row->data, row->size, state->hash);
	publish_count_added(batch, state->hash);
	rows_add(rows, &key, row);
	return 0;
}

static void publish_seal_value(struct batch *batch, const struct batch_value *value, struct rows *rows)
{
	struct seal_key key = seal_key(SEAL_VALUE, &value->id, value->generation);

	if (value->row.data) {
		publish_count_added(batch, value->version->hash);
		rows_add(rows, &key, &value->row);
	} else {
		publish_count_removed(batch, value->version->hash);
		rows_add(rows, &key, NULL);
	}
}

/* Each that goes right before a new one, which then may take its place in the file (engine_commit). New ones are first in the batch. */
static void publish_seal_values(struct batch *batch, struct rows *rows)
{
	size_t n_new = 0;

	while (n_new < batch->n_values && batch->values[n_new].row.data)
		n_new++;
	for (size_t i = 0; i < batch->n_values; i++) {
		if (n_new + i < batch->n_values)
			publish_seal_value(batch, &batch->values[n_new + i], rows);
		if (i < n_new)
			publish_seal_value(batch, &batch->values[i], rows);
	}
}

static void publish_seal_header(struct batch *batch, struct rows *rows)
{
	struct seal_key key = seal_key(SEAL_HEADER, NULL, 0);
	const struct seal_row row = {(uint8_t *)batch->header->bytes, sizeof(batch->header->bytes)};

	seal_row_hash(&batch->store->seal, &key, row.data, row.size, batch->header_hash);
	publish_count_removed(batch, batch->store->header_hash);
	publish_count_added(batch, batch->header_hash);
	rows_add(rows, &key, &row);
}

static int publish_seal(struct batch *batch, struct rows *rows)
{
	size_t most = batch->n_states + batch->n_values + 2;
	struct seal_key key = seal_key(SEAL_MANIFEST, NULL, 0);
	int r = 0;

	rows->changes = calloc(most, sizeof(*rows->changes));
	rows->keys = calloc(most, sizeof(*rows->keys));
	rows->sealed = calloc(most, sizeof(*rows->sealed));
	if (!rows->changes || !rows->keys || !rows->sealed)
		return -ENOMEM;
	for (size_t i = 0; i < batch->n_states && r == 0; i++)
		if (batch->states[i].newest)
			r = publish_seal_state(batch, &batch->states[i], rows);
	publish_seal_values(batch, rows);
	if (batch->header)
		publish_seal_header(batch, rows);
	if (r == 0)
		r = seal_manifest(&batch->store->seal, &batch->manifest, &rows->sealed[rows->n_sealed]);
	if (r < 0)
		return r;
	rows_add(rows, &key, &rows->sealed[rows->n_sealed++]);
	return 0;
}

/* Let readers see a resource as it is now; its folder is seen to apart. */
static void publish_state(struct store *store, struct batch_state *state)
{
	struct resource *live = state->live;

	if (!live && !state->exists)
		return;
	if (!live) {
		live = state->live = state->fresh;
		state->fresh = NULL; /* transferred */
		live->id = state->id;
		index_add(&store->index, live);
	}
	if (state->was && (!state->exists || state->record.created != live->record->created))
		for (struct version *v = live->versions; v; v = v->older)
			v->doomed = true;
	if (state->exists) {
		free(live->record);
		live->record = state->packed;
		state->packed = NULL; /* transferred */
		memcpy(live->hash, state->hash, sizeof(live->hash));
	}
	live->exists = state->exists;
	if (state->record.name.kind == NAME_SECRET)
		store->index.secrets += (size_t)state->exists - (size_t)state->was;
}

static void publish_value(struct store *store, struct batch_value *value)
{
	struct resource *live = index_find(&store->index, value->node);
	struct version **at = &live->versions;

	if (value->row.data) {
		value->version->older = live->versions;
		live->versions = value->version;
		cache_put(&store->cache, value->version, value->row);
		value->row.data = NULL; /* transferred, as the version */
		return;
	}
	while (*at != value->version)
		at = &(*at)->older;
	*at = value->version->older;
	cache_forget(&store->cache, value->version);
	free(value->version);
}

static struct index_folder *publish_folder(struct store *store, const struct batch_state *state)
{
	return index_folder(&store->index, state->record.name.kind, state->mesh_node);
}

/* Everything is on disk: let readers see it. With the lock; cannot fail. What goes leaves its folder before the
 * folder's mesh may go; what comes is listed after its mesh has come. */
static void publish_all(struct batch *batch)
{
	struct store *store = batch->store;

	for (size_t i = 0; i < batch->n_states; i++) {
		const struct batch_state *state = &batch->states[i];

		if (state->newest && state->was && !state->exists)
			index_folder_remove(publish_folder(store, state), state->live);
	}
	for (size_t i = 0; i < batch->n_states; i++)
		if (batch->states[i].newest)
			publish_state(store, &batch->states[i]);
	for (size_t i = 0; i < batch->n_states; i++) {
		const struct batch_state *state = &batch->states[i];

		if (state->newest && !state->was && state->exists && state->record.name.kind != NAME_ROOT)
			index_folder_add(publish_folder(store, state), state->live);
	}
	for (size_t i = 0; i < batch->n_values; i++)
		publish_value(store, &batch->values[i]);
	if (batch->header) {
		store->header = *batch->header;
		memcpy(store->header_hash, batch->header_hash, sizeof(store->header_hash));
	}
	store->manifest = batch->manifest;
}

/* Forget what is gone for good, and note what the next commit has to remove. With the lock. */
static void publish_tidy(struct store *store, uint64_t node)
{
	struct resource *live = index_find(&store->index, node);

	if (live && !live->exists && !live->versions)
		index_drop(&store->index, live);
	else if (live)
		commit_prune_later(store, live);
}

/* Say which requests are about to be committed; with 0 that they were not. */
static void publish_say(const struct batch *batch, uint64_t generation)
{
	const struct store_options *options = &batch->store->options;
	size_t i = 0;

	for (const struct store_txn *txn = batch->txns; txn && options->committing; txn = txn->next, i++)
		if (txn->request && batch->results[i] == 0)
			options->committing(options->context, txn->request, generation);
}

/* Does it remove resources, and write nothing but what goes with that? */
static bool publish_only_removes(const struct batch *batch)
{
	bool removes = false;

	for (size_t i = 0; i < batch->n_values; i++)
		if (batch->values[i].row.data)
			return false;
	for (size_t i = 0; i < batch->n_states; i++)
		removes |= batch->states[i].newest && batch->states[i].was && !batch->states[i].exists;
	return removes;
}

/* What a program is told that can't know of the file behind its own (Bad message, Too many open files): the log has the reason. */
static int publish_told(int r)
{
	return r == 0 || r == -ENOSPC || r == -EROFS || r == -ENOMEM ? r : -EIO;
}

static int publish_write(const struct batch *batch, const struct rows *rows)
{
	struct store *store = batch->store;
	int r = engine_commit(store->engine, rows->changes, rows->count);

	if (r == -ENOSPC && publish_only_removes(batch)) {
		reserve_give(&store->reserve);
		r = engine_commit_lean(store->engine, rows->changes, rows->count);
	}
	if (r == 0 && reserve_missing(&store->reserve))
		reserve_take(&store->reserve, engine_room(store->engine));
	return publish_told(r);
}

/* What is on disk now is the newest state. If the anchor can't be told, this has been the last commit. */
static bool publish_anchor(struct batch *batch)
{
	struct store *store = batch->store;
	const struct store_options *options = &store->options;
	bool known = !options->anchor || options->anchor_later ||
		     anchor_write(options->anchor, &store->seal, &batch->manifest) == 0;

	if (known)
		return true;
	log_error("%s: nothing is changed any more until it is opened again: without its anchor, what was written could be taken "
		  "back by an older copy of the store",
		  store->path);
	return false;
}

/* One commit of what the log holds. 0; PUBLISH_UNANCHORED if it is on disk and to be seen, and not safe; or -errno and nothing has changed. */
static int publish_commit(struct batch *batch, uint64_t *prune, size_t n_prune)
{
	struct store *store = batch->store;
	struct rows rows = {0};
	bool anchored;
	int r;

	publish_settle(batch);
	pthread_mutex_lock(&store->lock);
	r = publish_prune_all(batch, prune, n_prune);
	if (r == 0)
		r = publish_prepare(batch);
	pthread_mutex_unlock(&store->lock);
	if (r == 0 && batch->n_states + batch->n_values == 0 && !batch->header)
		return 0;
	if (store->anchor_failed)
		return -EROFS;
	if (batch->manifest.generation == store->manifest.generation)
		batch->manifest.generation++; /* only prunes, or a header: no two states of the store have the same generation */
	if (r == 0)
		r = publish_seal(batch, &rows);
	if (r == -ENOMEM)
		log_error("%s: no memory to commit", store->path);
	if (r == 0) {
		publish_say(batch, batch->manifest.generation);
		r = publish_write(batch, &rows);
		if (r < 0)
			publish_say(batch, 0); /* another commit may get this generation */
	}
	rows_deinit(&rows);
	if (r < 0)
		return r;
	anchored = publish_anchor(batch);
	store->anchor_failed = !anchored;
	pthread_mutex_lock(&store->lock);
	publish_all(batch);
	for (size_t i = 0; i < batch->n_states; i++)
		if (batch->states[i].newest)
			publish_tidy(store, batch->states[i].node);
	for (size_t i = 0; i < n_prune; i++)
		publish_tidy(store, prune[i]);
	pthread_mutex_unlock(&store->lock);
	return anchored ? 0 : PUBLISH_UNANCHORED;
}

/* One transaction on the log; if it fails it leaves no trace. */
static int publish_run(struct batch *batch, struct store_txn *txn)
{
	size_t n_states = batch->n_states, n_values = batch->n_values;
	int r = ops_run(batch, txn), ready = txn->ready ? txn->ready(txn) : 0;

	if (r == 0)
		r = ready;
	if (r < 0)
		batch_cut(batch, n_states, n_values);
	else if (txn->header)
		batch->header = txn->header;
	return r;
}

/* Each transaction as a batch of its own, in order. */
static void publish_one_by_one(struct store *store, struct store_txn *first, int *results)
{
	size_t i = 0;

	for (struct store_txn *txn = first; txn; txn = txn->next, i++) {
		struct store_txn *next = txn->next;
		struct batch batch;

		batch_init(&batch, store);
		batch.txns = txn;
		batch.results = &results[i];
		txn->next = NULL;
		results[i] = publish_run(&batch, txn);
		if (results[i] == 0)
			results[i] = publish_commit(&batch, NULL, 0);
		if (results[i] == PUBLISH_UNANCHORED)
			results[i] = -EIO;
		batch_deinit(&batch);
		txn->next = next;
	}
}

/* What could not be removed is tried again with the next commit; nobody is woken for it, as it may fail for long. */
static void publish_keep_prune(struct store *store, uint64_t *nodes, size_t n_nodes)
{
	pthread_mutex_lock(&store->lock);
	if (!store->n_prune) {
		free(store->prune);
		store->prune = nodes;
		store->n_prune = store->prune_capacity = n_nodes;
		nodes = NULL; /* transferred */
	} else { /* readers have left something meanwhile, and woken it */
		for (size_t i = 0; i < n_nodes; i++)
			publish_tidy(store, nodes[i]);
	}
	pthread_mutex_unlock(&store->lock);
	free(nodes);
}

void batch_run(struct store *store, struct store_txn *first, int *results)
{
	size_t n_prune, i = 0, good = 0;
	struct batch batch;
	uint64_t *prune;
	int r;

	pthread_mutex_lock(&store->lock);
	prune = store->prune;
	n_prune = store->n_prune;
	store->prune = NULL;
	store->n_prune = store->prune_capacity = 0;
	store->prune_now = false;
	pthread_mutex_unlock(&store->lock);

	batch_init(&batch, store);
	batch.txns = first;
	batch.results = results;
	for (struct store_txn *txn = first; txn; txn = txn->next, i++) {
		results[i] = publish_run(&batch, txn);
		good += results[i] == 0;
	}
	r = publish_commit(&batch, prune, n_prune);
	batch_deinit(&batch);
	if (r >= 0) {
		free(prune);
		for (size_t j = 0; j < i && r == PUBLISH_UNANCHORED; j++)
			results[j] = results[j] < 0 ? results[j] : -EIO;
		return;
	}
	publish_keep_prune(store, prune, n_prune);
	/* another one, or what was to be pruned, may be to blame; but not if the disk has failed just now */
	if ((good > 1 || n_prune) && (r == -EROFS || !engine_is_read_only(store->engine))) {
		publish_one_by_one(store, first, results);
		return;
	}
	while (i--)
		if (results[i] == 0)
			results[i] = r;
}
