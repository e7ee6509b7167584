/* SPDX-License-Identifier: Apache-2.0
 * load: every row is hashed into a sum that must be the manifest's, every record is opened, and every value's tag verified.
 *
 * Values stay sealed, unless the caller opens them (check.c): that they are what was stored follows from tag and sum. Rows come
 * in any order, as the file is read fastest so; what depends on another row waits until all are there (load_link). A value without a
 * resource is what a reader still had open when its resource was
 * removed and the daemon ended: it is ours (the sum says so), and goes with the next commit, as do versions from
 * before the resource was last created.
 *
 * Hashing and opening take most of the time, and need nothing but the row and the keys: the thread that reads the file has
 * helpers do it, in batches, and does itself what they don't come to. The index is its own.
 */
#include "store/load.h"

#include "store/log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#define LOAD_HELPERS 3 /* with more, reading the file takes longer than the rest */
#define LOAD_BATCHES (LOAD_HELPERS + 3)
#define LOAD_BATCH_ROWS 256
#define LOAD_BATCH_BYTES (512u * 1024)
#define LOAD_LONG_BYTES (LOAD_BATCH_BYTES / 8) /* a row that is not worth copying */

/* A row, and what came of it. */
struct load_row {
	enum seal_table table; /* SEAL_RECORD or SEAL_VALUE */
	struct seal_id id;
	uint64_t generation;
	uint64_t place; /* in the engine */
	const uint8_t *data; /* borrowed */
	size_t size;
	uint8_t hash[CRYPTO_HASH_BYTES];
	struct record record; /* of a record */
};

struct load_batch {
	SLIST_ENTRY(load_batch) next;
	struct load_row rows[LOAD_BATCH_ROWS];
	size_t n_rows;
	size_t used;
	uint8_t bytes[LOAD_BATCH_BYTES]; /* of the rows' data */
};
SLIST_HEAD(load_list, load_batch);

struct load {
	const struct store *store;
	struct index *index;
	load_visit *visit;
	void *context;
	struct seal_manifest manifest, seen;
	bool has_manifest;
	atomic_int result; /* the first failure, which alone is logged */
	struct load_batch *batch; /* that is being filled */
	struct load_list spares;
	pthread_t helpers[LOAD_HELPERS];
	size_t n_helpers;

	pthread_mutex_t lock; /* over what follows */
	pthread_cond_t wake;
	struct load_batch *waiting; /* for a helper; or NULL */
	struct load_list opened;    /* by a helper */
	bool over;
};

/* --- refusing */

/* True if it is the first failure. */
static bool load_fail(struct load *load, int r)
{
	int none = 0;

	return atomic_compare_exchange_strong(&load->result, &none, r);
}

static int load_refuse(struct load *load, const char *what)
{
	if (load_fail(load, -EBADMSG)) /* GCOVR_EXCL_BR_LINE: that another thread was faster is chance */
		log_error("%s: %s: the store was changed without the key and is refused; restore it from a backup",
			  load->store->path, what);
	return -EBADMSG;
}

static int load_refuse_record(struct load *load, const struct seal_id *id, const char *what)
{
	if (load_fail(load, -EBADMSG)) /* GCOVR_EXCL_BR_LINE: that another thread was faster is chance */
		log_error("%s: the metadata record of resource %014" PRIx64
			  " %s: the store was changed without the key and is refused; restore it from a backup",
			  load->store->path, index_node(id), what);
	return -EBADMSG;
}

static int load_refuse_value(struct load *load, const struct load_row *row)
{
	if (load_fail(load, -EBADMSG)) /* GCOVR_EXCL_BR_LINE: as above */
		log_error("%s: version %" PRIu64 " of resource %014" PRIx64
			  " does not open: the store was changed without the key and is refused; restore it from a backup",
			  load->store->path, row->generation, index_node(&row->id));
	return -EBADMSG;
}

static int load_refuse_newer(struct load *load, const struct seal_id *id)
{
	if (load_fail(load, -EPROTONOSUPPORT)) /* GCOVR_EXCL_BR_LINE: as above */
		log_error("%s: the metadata record of resource %014" PRIx64 " is of a newer version: use the newer hushfs",
			  load->store->path, index_node(id));
	return -EPROTONOSUPPORT;
}

/* --- on any thread */

static int load_open_record(struct load *load, struct load_row *row)
{
	const struct seal *seal = &load->store->seal;
	struct seal_id expected = {0};
	int r = seal_open_record(seal, &row->id, row->data, row->size, &row->record);

	if (r == -EPROTONOSUPPORT)
		return load_refuse_newer(load, &row->id);
	if (r == 0)
		expected = seal_id(seal, &row->record.name);
	if (r < 0 || memcmp(&expected, &row->id, sizeof(expected)) != 0)
		return load_refuse_record(load, &row->id, "does not open");
	return 0;
}

/* A visitor opens it. */
static int load_verify_value(struct load *load, const struct load_row *row)
{
	if (load->visit || seal_verify_value(&load->store->seal, &row->id, row->generation, row->data, row->size) == 0)
		return 0;
	return load_refuse_value(load, row);
}

static void load_open(struct load *load, struct load_row *rows, size_t n)
{
	for (size_t i = 0; i < n && load->result == 0; i++) {
		struct seal_key key = seal_key(rows[i].table, &rows[i].id, rows[i].generation);

		seal_row_hash(&load->store->seal, &key, rows[i].data, rows[i].size, rows[i].hash);
		if (rows[i].table == SEAL_RECORD)
			load_open_record(load, &rows[i]);
		else
			load_verify_value(load, &rows[i]);
	}
}

static void *load_help(void *context)
{
	struct load *load = context;

	pthread_mutex_lock(&load->lock);
	while (load->waiting || !load->over) {
		struct load_batch *batch = load->waiting;

		if (!batch) {
			pthread_cond_wait(&load->wake, &load->lock);
			continue;
		}
		load->waiting = NULL;
		pthread_mutex_unlock(&load->lock);
		load_open(load, batch->rows, batch->n_rows);
		pthread_mutex_lock(&load->lock);
		SLIST_INSERT_HEAD(&load->opened, batch, next);
	}
	pthread_mutex_unlock(&load->lock);
	crypto_wipe_stack(); /* which is kept for the next thread */
	return NULL;
}

/* --- into the index */

/* Newest first. */
static int load_add_version(struct resource *resource, const struct load_row *row)
{
	struct version *version = calloc(1, sizeof(*version));
	struct version **at = &resource->versions;

	if (!version)
		return -ENOMEM;
	version->generation = row->generation;
	version->mark = seal_row_mark(row->data, row->size);
	version->place = row->place <= UINT32_MAX ? (uint32_t)row->place : 0;
	memcpy(version->hash, row->hash, sizeof(version->hash));
	while (*at && (*at)->generation > version->generation)
		at = &(*at)->older;
	version->older = *at;
	*at = version;
	return 0;
}

static int load_add_record(struct load *load, struct resource *resource, const struct load_row *row)
{
	if (resource->exists)
		return load_refuse_record(load, &row->id, "comes twice");
	resource->record = record_pack(&row->record);
	if (!resource->record)
		return -ENOMEM;
	memcpy(resource->hash, row->hash, sizeof(resource->hash));
	resource->exists = true;
	return 0;
}

/* A resource is there as soon as a row of it has come, with what that says. */
static int load_insert(struct load *load, const struct load_row *row)
{
	struct resource *resource = index_find(load->index, index_node(&row->id));

	crypto_set_add(load->seen.sum, row->hash);
	load->seen.rows++;
	if (!resource) {
		resource = index_reserve(load->index, 1) == 0 ? calloc(1, sizeof(*resource)) : NULL;
		if (!resource)
			return -ENOMEM;
		resource->id = row->id;
		index_add(load->index, resource);
	}
	return row->table == SEAL_RECORD ? load_add_record(load, resource, row) : load_add_version(resource, row);
}

/* Rows that were opened, unless something failed. */
static void load_insert_all(struct load *load, const struct load_row *rows, size_t n)
{
	for (size_t i = 0; i < n && load->result == 0; i++) {
		int r = load_insert(load, &rows[i]);

		if (r < 0)
			load_fail(load, r);
	}
}

static void load_do(struct load *load, struct load_row *rows, size_t n)
{
	load_open(load, rows, n);
	load_insert_all(load, rows, n);
}

/* --- batches */

static struct load_batch *load_take(struct load_list *list)
{
	struct load_batch *batch = SLIST_FIRST(list);

	if (batch)
		SLIST_REMOVE_HEAD(list, next);
	return batch;
}

/* As many helpers as can be had, and batches for them to be busy with; it works without. */
static void load_start_helpers(struct load *load)
{
	for (int i = 1; i < LOAD_BATCHES; i++) {
		struct load_batch *batch = calloc(1, sizeof(*batch));

		if (!batch)
			return;
		SLIST_INSERT_HEAD(&load->spares, batch, next);
	}
	while (load->n_helpers < LOAD_HELPERS && pthread_create(&load->helpers[load->n_helpers], NULL, load_help, load) == 0)
		load->n_helpers++;
}

/* What helpers have opened goes into the index. */
static void load_collect(struct load *load)
{
	struct load_list opened;
	struct load_batch *batch;

	pthread_mutex_lock(&load->lock);
	opened = load->opened;
	SLIST_INIT(&load->opened);
	pthread_mutex_unlock(&load->lock);
	while ((batch = load_take(&opened))) {
		load_insert_all(load, batch->rows, batch->n_rows);
		batch->n_rows = batch->used = 0;
		SLIST_INSERT_HEAD(&load->spares, batch, next);
	}
}

/* The batch is full: a helper's, if none waits for one already, else ours. */
static void load_pass_on(struct load *load)
{
	struct load_batch *spare;
	bool given = false;

	if (!load->n_helpers && SLIST_EMPTY(&load->spares))
		load_start_helpers(load);
	load_collect(load);
	spare = SLIST_FIRST(&load->spares);
	pthread_mutex_lock(&load->lock);
	if (load->n_helpers && spare && !load->waiting) { /* GCOVR_EXCL_BR_LINE: how busy they are is chance */
		load->waiting = load->batch;
		pthread_cond_signal(&load->wake);
		given = true;
	}
	pthread_mutex_unlock(&load->lock);
	if (given) {
		load->batch = load_take(&load->spares);
	} else {
		load_do(load, load->batch->rows, load->batch->n_rows);
		load->batch->n_rows = load->batch->used = 0;
	}
}

static void load_end(struct load *load)
{
	struct load_batch *batch;

	pthread_mutex_lock(&load->lock);
	load->over = true;
	pthread_cond_broadcast(&load->wake);
	pthread_mutex_unlock(&load->lock);
	for (size_t i = 0; i < load->n_helpers; i++)
		pthread_join(load->helpers[i], NULL);
	load_collect(load);
	while ((batch = load_take(&load->spares)))
		free(batch);
	free(load->batch);
}

/* --- the scan */

static int load_header(struct load *load, const uint8_t *data, size_t size)
{
	struct seal_key key = seal_key(SEAL_HEADER, NULL, 0);
	uint8_t hash[CRYPTO_HASH_BYTES];
	struct header header;

	if (size != sizeof(header.bytes))
		return load_refuse(load, "the header has another size");
	memcpy(header.bytes, data, sizeof(header.bytes));
	if (header_verify(&header, load->store->keys) < 0)
		return load_refuse(load, "the header does not open");
	seal_row_hash(&load->store->seal, &key, data, size, hash);
	crypto_set_add(load->seen.sum, hash);
	load->seen.rows++;
	return 0;
}

static int load_manifest(struct load *load, const uint8_t *data, size_t size)
{
	if (load->has_manifest)
		return load_refuse(load, "the manifest comes twice");
	if (seal_open_manifest(&load->store->seal, data, size, &load->manifest) < 0)
		return load_refuse(load, "the manifest does not open");
	load->has_manifest = true;
	return 0;
}

/* A visitor sees rows in their order, so nobody else has any. */
static int load_at_once(struct load *load, struct load_row *row)
{
	load_do(load, row, 1);
	if (load->result < 0 || row->table != SEAL_VALUE || !load->visit)
		return load->result;
	return load->visit(load->context, index_find(load->index, index_node(&row->id)), row->generation, row->data, row->size);
}

static int load_row(void *context, const uint8_t *key, size_t key_size, const uint8_t *data, size_t size, uint64_t place)
{
	struct load *load = context;
	struct load_batch *batch = load->batch;
	struct load_row row = {.place = place, .data = data, .size = size};

	if (seal_key_parse(key, key_size, &row.table, &row.id, &row.generation) < 0)
		return load_refuse(load, "there is a row that is not ours");
	if (row.table == SEAL_MANIFEST)
		return load_manifest(load, data, size);
	if (row.table == SEAL_HEADER)
		return load_header(load, data, size);
	if (load->visit || size > LOAD_LONG_BYTES)
		return load_at_once(load, &row);
	if (batch->n_rows == LOAD_BATCH_ROWS || size > LOAD_BATCH_BYTES - batch->used) {
		load_pass_on(load);
		batch = load->batch;
	}
	row.data = batch->bytes + batch->used;
	if (size)
		memcpy(batch->bytes + batch->used, data, size);
	batch->used += size;
	batch->rows[batch->n_rows++] = row;
	return load->result;
}

/* --- when all rows have come */

static int load_make_folder(struct resource *resource)
{
	return resource->exists && resource->record->kind == NAME_MESH ? index_mesh_reserve(resource, 0) : 0;
}

/* Put a resource in its folder, and see that it is whole. @mesh: the one of the secret before, and its number. */
static int load_link(struct load *load, struct resource *resource, struct name *mesh, uint64_t *mesh_node)
{
	struct index_folder *folder;
	struct record record;

	for (struct version *v = resource->versions; v; v = v->older)
		v->doomed = !resource->exists || v->generation < resource->record->created;
	if (!resource->exists)
		return 0;
	if (!resource->versions || resource->versions->generation != resource->record->generation) {
		log_error("%s: the current value (version %" PRIu64 ") of resource %014" PRIx64
			  " is missing: the store was changed without the key and is refused; restore it from a backup",
			  load->store->path, resource->record->generation, resource_node(resource));
		return -EBADMSG;
	}
	resource_record(resource, &record);
	if (record.name.kind == NAME_ROOT)
		return 0;
	if (record.name.kind == NAME_SECRET && strcmp(record.name.mesh, mesh->name) != 0) {
		*mesh = name_mesh(&record.name);
		*mesh_node = store_node(load->store, mesh);
	}
	folder = index_folder(load->index, record.name.kind, *mesh_node);
	if (!folder)
		return load_refuse_record(load, &resource->id, "names a mesh that is missing");
	if (index_folder_reserve(folder, 1) < 0)
		return -ENOMEM;
	index_folder_add(folder, resource);
	load->index->secrets += record.name.kind == NAME_SECRET;
	return 0;
}

static int load_link_all(struct load *load)
{
	struct name mesh = {0};
	uint64_t mesh_node = 0;
	int r = 0;

	for (struct resource *one = index_first(load->index); one && r == 0; one = index_next(load->index, one))
		r = load_make_folder(one);
	for (struct resource *one = index_first(load->index); one && r == 0; one = index_next(load->index, one))
		r = load_link(load, one, &mesh, &mesh_node);
	return r;
}

static int load_scan(struct load *load)
{
	int r;

	load->batch = calloc(1, sizeof(*load->batch));
	if (!load->batch)
		return -ENOMEM;
	r = engine_scan(load->store->engine, load->visit ? ENGINE_BY_KEY : ENGINE_STORED, load_row, load);
	if (r == 0)
		load_do(load, load->batch->rows, load->batch->n_rows);
	load_end(load);
	return r == 0 ? load->result : r;
}

static int load_rows(struct load *load)
{
	int r;

	pthread_mutex_init(&load->lock, NULL);
	pthread_cond_init(&load->wake, NULL);
	SLIST_INIT(&load->spares);
	SLIST_INIT(&load->opened);
	r = load_scan(load);
	if (r == 0 && !load->has_manifest)
		r = load_refuse(load, "the manifest is missing");
	if (r == 0)
		r = load_link_all(load);
	if (r == 0 && (load->seen.rows != load->manifest.rows ||
		       !crypto_equal(load->seen.sum, load->manifest.sum, CRYPTO_HASH_BYTES)))
		r = load_refuse(load, "the rows are not those of the manifest");
	if (r == -ENOMEM)
		log_error("%s: no memory to read the store; is there a limit (ulimit -l, ulimit -v)?", load->store->path);
	pthread_cond_destroy(&load->wake);
	pthread_mutex_destroy(&load->lock);
	return r;
}

int load_index(const struct store *store, load_visit *visit, void *context, struct index *index,
	       struct seal_manifest *ret_manifest)
{
	struct load load = {.store = store, .index = index, .visit = visit, .context = context};
	int r = load_rows(&load);

	if (r == 0)
		*ret_manifest = load.manifest;
	return r;
}

/* What a reader has of a resource that was removed before the store was opened: it looks like the newest that anybody has. */
static int load_hold_removed(struct resource *resource, const struct store_held *held)
{
	struct record_packed *packed;
	struct record record;

	resource_record(resource, &record); /* it may have several */
	record.generation = held->generation;
	record.size = held->size;
	record.inodes[held->inode] = held->attributes;
	packed = record_pack(&record);
	if (!packed)
		return -ENOMEM;
	free(resource->record);
	resource->record = packed;
	return 0;
}

/* Before anything is pruned: what readers go on reading. Of a resource that was removed only its versions are left. */
static int load_hold(struct store *store)
{
	int r = 0;

	for (size_t i = 0; i < store->options.n_held && r == 0; i++) {
		const struct store_held *held = &store->options.held[i];
		struct resource *resource = index_find(&store->index, held->node);
		struct version *version = resource ? index_version(resource, held->generation) : NULL;

		if (!version)
			continue;
		version->pins += held->pins;
		if (!resource->exists)
			r = load_hold_removed(resource, held);
	}
	return r;
}

int load_all(struct store *store)
{
	int r = load_index(store, NULL, NULL, &store->index, &store->manifest);

	if (r == 0)
		r = load_hold(store);
	for (struct resource *one = index_first(&store->index); one && r == 0; one = index_next(&store->index, one))
		commit_prune_later(store, one);
	return r;
}
