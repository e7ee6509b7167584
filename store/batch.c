/* SPDX-License-Identifier: Apache-2.0
 * batch: the log of states, looked up through a hash table whose chains run from newest to oldest.
 */
#include "store/batch.h"

#include "store/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void batch_init(struct batch *batch, struct store *store)
{
	memset(batch, 0, sizeof(*batch));
	batch->store = store;
	batch->manifest = store->manifest;
	clock_gettime(CLOCK_REALTIME, &batch->now);
}

static int *batch_bucket(const struct batch *batch, uint64_t node)
{
	return &batch->buckets[node % batch->n_buckets];
}

void batch_cut(struct batch *batch, size_t n_states, size_t n_values)
{
	while (batch->n_states > n_states) {
		struct batch_state *state = &batch->states[--batch->n_states];

		*batch_bucket(batch, state->node) = state->older;
		resource_free(state->fresh);
		free(state->packed);
	}
	while (batch->n_values > n_values) {
		struct batch_value *value = &batch->values[--batch->n_values];

		if (value->row.data) {
			free(value->row.data);
			free(value->version);
		}
	}
}

void batch_deinit(struct batch *batch)
{
	batch_cut(batch, 0, 0);
	free(batch->states);
	free(batch->buckets);
	free(batch->values);
}

int batch_newest(const struct batch *batch, uint64_t node)
{
	int at = batch->n_buckets ? *batch_bucket(batch, node) : -1;

	while (at >= 0 && batch->states[at].node != node)
		at = batch->states[at].older;
	return at;
}

int batch_get(const struct batch *batch, const struct name *name, struct batch_state *ret_state)
{
	struct batch_state state = {.id = seal_id(&batch->store->seal, name)};
	int at;

	state.node = index_node(&state.id);
	at = batch_newest(batch, state.node);
	if (at >= 0) {
		state = batch->states[at];
		state.fresh = NULL;
	} else {
		state.live = index_find(&batch->store->index, state.node);
		if (state.live) {
			state.exists = state.live->exists;
			resource_record(state.live, &state.record);
		}
		if (!state.exists)
			state.record.name = *name;
		if (name->kind == NAME_SECRET) {
			const struct name mesh = name_mesh(name);

			state.mesh_node = store_node(batch->store, &mesh);
		}
	}
	if (state.exists && !name_equal(&state.record.name, name)) {
		log_error("%s: \"%s\" and \"%s\" have the same number: choose another name", batch->store->path,
			  name->name, state.record.name.name);
		return -EIO;
	}
	*ret_state = state;
	return 0;
}

static int batch_grow(void **array, size_t *capacity, size_t count, size_t element)
{
	size_t wanted = *capacity ? *capacity * 2 : 8;
	void *grown;

	if (count < *capacity)
		return 0;
	grown = reallocarray(*array, wanted, element);
	if (!grown)
		return -ENOMEM;
	*array = grown;
	*capacity = wanted;
	return 0;
}

/* The first of its chain is now the state at @at. */
static void batch_link(struct batch *batch, size_t at)
{
	struct batch_state *state = &batch->states[at];
	int *bucket = batch_bucket(batch, state->node);

	state->older = *bucket;
	*bucket = (int)at;
}

/* As many buckets as there is room for states. */
static int batch_rehash(struct batch *batch)
{
	int *buckets = reallocarray(NULL, batch->states_capacity, sizeof(*buckets));

	if (!buckets)
		return -ENOMEM;
	memset(buckets, -1, batch->states_capacity * sizeof(*buckets));
	free(batch->buckets);
	batch->buckets = buckets;
	batch->n_buckets = batch->states_capacity;
	for (size_t i = 0; i < batch->n_states; i++)
		batch_link(batch, i);
	return 0;
}

int batch_push(struct batch *batch, const struct batch_state *state)
{
	struct batch_state *pushed;
	int r;

	r = batch_grow((void **)&batch->states, &batch->states_capacity, batch->n_states, sizeof(*state));
	if (r == 0 && batch->n_buckets < batch->states_capacity)
		r = batch_rehash(batch);
	if (r < 0)
		return r;
	pushed = &batch->states[batch->n_states];
	*pushed = *state;
	pushed->fresh = NULL;
	pushed->packed = NULL;
	batch_link(batch, batch->n_states++);
	return 0;
}

int batch_push_value(struct batch *batch, const struct batch_value *value)
{
	int r = batch_grow((void **)&batch->values, &batch->values_capacity, batch->n_values, sizeof(*value));

	if (r == 0)
		batch->values[batch->n_values++] = *value;
	return r;
}

int batch_read(const struct batch *batch, const struct batch_state *state, struct secbuf *ret_value)
{
	for (size_t i = batch->n_values; i-- > 0;) {
		const struct batch_value *v = &batch->values[i];
		struct seal_value_info info;

		if (v->generation == state->record.generation)
			return seal_open_value(&batch->store->seal, &v->id, v->generation, v->row.data, v->row.size,
					       ret_value, &info);
	}
	return store_read(batch->store, state->node, state->record.generation, ret_value);
}

int batch_write(struct batch *batch, struct batch_state *state, const struct secbuf *value,
		const uint8_t hash[static CRYPTO_HASH_BYTES], uid_t writer, const struct timespec *mtime)
{
	struct batch_value v = {.id = state->id, .node = state->node, .generation = ++batch->manifest.generation};
	const struct seal *seal = &batch->store->seal;
	struct seal_value_info info = {.size = (uint32_t)value->size, .uid = writer, .mtime = *mtime};
	enum record_inode inode;
	int r;

	v.version = calloc(1, sizeof(*v.version));
	r = v.version ? seal_value(seal, &v.id, v.generation, value->data, hash, &info, &v.row) : -ENOMEM;
	if (r == 0) {
		struct seal_key key = seal_key(SEAL_VALUE, &v.id, v.generation);

		v.version->generation = v.generation;
		v.version->mark = seal_row_mark(v.row.data, v.row.size);
		seal_row_hash(seal, &key, v.row.data, v.row.size, v.version->hash);
		r = batch_push_value(batch, &v);
	}
	if (r < 0) {
		free(v.row.data);
		free(v.version);
		return r;
	}
	state->record.generation = v.generation;
	state->record.size = (uint32_t)value->size;
	memcpy(state->record.value_hash, hash, CRYPTO_HASH_BYTES);
	inode = record_file(state->record.name.kind);
	state->record.inodes[inode].mtime = *mtime;
	state->record.inodes[inode].ctime = batch->now;
	return 0;
}

int batch_set_removed(const struct batch *batch, const struct batch_state *state, enum record_inode inode, unsigned set,
		      const struct record_attributes *attributes)
{
	struct record_packed *packed = NULL;
	struct record record;
	bool pinned = false;
	int r = -ENOENT;

	if (!state->live || state->live->exists)
		return -ENOENT;
	pthread_mutex_lock(&batch->store->lock);
	for (const struct version *v = state->live->versions; v && !pinned; v = v->older)
		pinned = v->pins > 0;
	if (pinned) {
		resource_record(state->live, &record);
		record_set_attributes(&record.inodes[inode], set, attributes);
		record.inodes[inode].ctime = batch->now;
		packed = record_pack(&record);
		r = packed ? 0 : -ENOMEM;
	}
	if (r == 0) {
		free(state->live->record);
		state->live->record = packed;
	}
	pthread_mutex_unlock(&batch->store->lock);
	return r;
}

bool batch_has_secrets(const struct batch *batch, const struct batch_state *mesh)
{
	const struct index_folder *folder = mesh->live ? mesh->live->secrets : NULL;

	/* those in the index that this batch did not remove, and those that this batch made */
	for (size_t i = 0; folder && i < folder->count; i++) {
		int at = batch_newest(batch, resource_node(folder->entries[i]));

		if (at < 0 || batch->states[at].exists)
			return true;
	}
	for (size_t i = 0; i < batch->n_states; i++)
		if (batch->states[i].mesh_node == mesh->node && batch->states[i].exists &&
		    batch_newest(batch, batch->states[i].node) == (int)i)
			return true;
	return false;
}
