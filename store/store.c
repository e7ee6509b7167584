/* SPDX-License-Identifier: Apache-2.0
 * store: making, opening and closing a store, and reading from it.
 */
#include "store/store.h"

#include "store/folder.h"
#include "store/internal.h"
#include "store/load.h"
#include "store/log.h"
#include "store/mesh.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STORE_PREFETCH_BYTES (64u * 1024) /* of a value: it is read in some 50 us */

static struct store *store_new(const char *path, const struct store_options *options)
{
	struct store *store = calloc(1, sizeof(*store));

	if (store)
		store->path = strdup(path);
	if (!store || !store->path) {
		free(store);
		log_no_memory("to open the store");
		return NULL;
	}
	store->options = *options;
	pthread_mutex_init(&store->slots_lock, NULL);
	pthread_mutex_init(&store->lock, NULL);
	pthread_cond_init(&store->wake, NULL);
	pthread_cond_init(&store->keys_unused, NULL);
	cache_init(&store->cache, options->cache_bytes);
	store->last = &store->first;
	return store;
}

void store_stop(struct store *store)
{
	if (store)
		commit_stop(store);
}

struct store *store_close(struct store *store)
{
	if (!store)
		return NULL;
	store_stop(store);
	store->engine = engine_close(store->engine);
	reserve_deinit(&store->reserve);
	opened_wipe(store);
	index_deinit(&store->index);
	store->keys = secmem_free(store->keys);
	pthread_cond_destroy(&store->keys_unused);
	pthread_cond_destroy(&store->wake);
	pthread_mutex_destroy(&store->lock);
	pthread_mutex_destroy(&store->slots_lock);
	free(store->prune);
	free(store->path);
	free(store);
	return NULL;
}

int store_read_header(struct engine *engine, const char *path, struct header *ret_header)
{
	struct seal_key key = seal_key(SEAL_HEADER, NULL, 0);
	uint8_t *data;
	size_t size;
	int r;

	r = engine_get(engine, key.bytes, key.size, &data, &size);
	if (r == -ENOENT) {
		log_error("%s: the header is missing: the store was changed without the key and is refused; restore it from a backup", path);
		return -EBADMSG;
	}
	if (r < 0)
		return r;
	r = header_check(data, size, path);
	if (r == 0)
		memcpy(ret_header->bytes, data, HEADER_BYTES);
	free(data);
	return r;
}

/* Its keys are known as well. */
static void store_set_header(struct store *store, const struct header *header, unsigned slot)
{
	struct seal_key key = seal_key(SEAL_HEADER, NULL, 0);

	store->header = *header;
	store->slot = slot;
	store->seal.keys = store->keys;
	store->seal.epoch = header_epoch(header);
	memcpy(store->seal.store_id, header_store_id(header), HEADER_STORE_ID_BYTES);
	seal_row_hash(&store->seal, &key, header->bytes, sizeof(header->bytes), store->header_hash);
}

/* It is all that its manifest says; is that the newest? */
static int store_check_anchor(struct store *store)
{
	struct anchor *anchor = store->options.anchor;
	int r;

	if (store->options.anchor_later)
		return anchor_look(anchor, &store->seal, &store->manifest, &store->verdict, &store->anchor_generation);
	r = anchor_check(anchor, &store->seal, &store->manifest, store->path);
	store->anchor_failed = r > 0;
	if (r > 0)
		log_warning("%s: it can be read, and not be changed, until its anchor can be written", store->path);
	return r < 0 ? r : 0;
}

int store_load(const char *given, const struct key *key, const struct store_options *options, struct store **ret_store)
{
	char path[PATH_MAX];
	struct store *store;
	struct header header;
	unsigned slot;
	int r;

	r = folder_of_file(given, path);
	if (r == 0)
		r = folder_check(path);
	if (r < 0)
		return r;
	store = store_new(path, options);
	if (!store)
		return -ENOMEM;
	r = engine_open(path, &store->engine);
	if (r == 0)
		r = store_read_header(store->engine, path, &header);
	if (r == 0)
		r = header_open(&header, key, path, &store->keys, &slot);
	if (r == 0) {
		store_set_header(store, &header, slot);
		r = load_all(store);
	}
	if (r == 0 && options->anchor)
		r = store_check_anchor(store);
	store->options.held = NULL; /* not borrowed any longer */
	store->options.n_held = 0;
	if (r < 0) {
		engine_leave(store->engine);
		store_close(store);
		return r;
	}
	*ret_store = store;
	return 0;
}

int store_open(const char *path, const struct key *key, const struct store_options *options, struct store **ret_store)
{
	struct store *store;
	int r = store_load(path, key, options, &store);

	if (r < 0)
		return r;
	r = reserve_init(&store->reserve, store->path);
	if (r == 0)
		r = commit_start(store);
	if (r < 0)
		store_close(store);
	else
		*ret_store = store;
	return r;
}

int store_make(const char *path, const struct header *header, struct header_keys *keys, uint64_t generation,
	       struct store **ret_store)
{
	const struct store_options options = {.value_bytes = STORE_VALUE_BYTES_DEFAULT};
	struct seal_key header_key = seal_key(SEAL_HEADER, NULL, 0);
	struct seal_key manifest_key = seal_key(SEAL_MANIFEST, NULL, 0);
	struct store *store = store_new(path, &options);
	struct seal_row manifest = {0};
	int r;

	if (!store) {
		secmem_free(keys);
		return -ENOMEM;
	}
	store->keys = keys;
	store_set_header(store, header, 0);
	store->manifest = (struct seal_manifest){.generation = generation, .rows = 1};
	crypto_set_add(store->manifest.sum, store->header_hash);
	r = seal_manifest(&store->seal, &store->manifest, &manifest);
	if (r == 0) {
		const struct engine_change rows[] = {
			{header_key.bytes, header_key.size, header->bytes, sizeof(header->bytes)},
			{manifest_key.bytes, manifest_key.size, manifest.data, manifest.size}};

		r = engine_create(path, rows, 2);
	}
	free(manifest.data);
	if (r == 0)
		r = engine_open(path, &store->engine);
	if (r < 0) {
		store_close(store);
		return r;
	}
	*ret_store = store;
	return 0;
}

/* The first resources: the folders, and the mesh `default`. */
static int store_populate(struct store *store, uid_t uid, gid_t gid)
{
	static const mode_t modes[2][RECORD_INODES] = {
		{[RECORD_SELF] = 0755, [RECORD_MESHES] = 0755, [RECORD_GLOBAL] = 0700},
		{[RECORD_SELF] = 0755, [RECORD_MESH_SECRETS] = 0700, [RECORD_MESH_YAML] = 0644},
	};
	struct store_txn *txn = store_txn_new(2);
	int r;

	if (!txn)
		return -ENOMEM;
	for (int i = 0; i < 2; i++) {
		for (int j = 0; j < RECORD_INODES; j++)
			txn->ops[i].attributes[j] =
				(struct record_attributes){.uid = uid, .gid = gid, .mode = modes[i][j]};
		txn->ops[i].kind = STORE_PUT;
		txn->ops[i].writer = uid;
	}
	txn->ops[0].name.kind = NAME_ROOT;
	name_set(&txn->ops[1].name, NAME_MESH, "", "default");
	r = mesh_document("default", &txn->ops[1].value);
	if (r == 0)
		r = store_run(store, txn);
	store_txn_free(txn);
	if (r == -ENOMEM)
		log_error("%s: no locked memory left to make the store: raise the limit (ulimit -l)", store->path);
	return r;
}

/* Make a complete store at @path, which nobody knows yet. */
static int store_create_at(const char *path, const struct key *key, uid_t uid, gid_t gid)
{
	struct header_keys *keys;
	struct store *store;
	struct header header;
	int r;

	r = header_create(&header, &keys, key);
	if (r == 0)
		r = store_make(path, &header, keys, 0, &store);
	if (r < 0)
		return r;
	r = commit_start(store);
	if (r == 0)
		r = store_populate(store, uid, gid);
	store_stop(store);
	if (r == 0)
		r = engine_flush(store->engine); /* it gets another name, and closing would not say that there is still a journal */
	store_close(store);
	return r;
}

int store_create(const char *path, const struct key *key, uid_t uid, gid_t gid)
{
	char temporary[PATH_MAX];
	uint32_t random;
	int r;

	if (faccessat(AT_FDCWD, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0) {
		log_error("%s: there is a file already; nothing was changed", path);
		return -EEXIST;
	}
	r = folder_check(path);
	if (r < 0)
		return r;
	crypto_random(&random, sizeof(random));
	if (snprintf(temporary, sizeof(temporary), "%s.new-%08x", path, random) >= (int)sizeof(temporary)) {
		log_error("%s: the path is too long", path);
		return -ENAMETOOLONG;
	}
	r = store_create_at(temporary, key, uid, gid);
	if (r == 0) {
		r = folder_place(temporary, path);
		if (r == 0) {
			r = folder_sync(path);
			if (r < 0)
				unlink(path);
		}
		if (r < 0)
			log_error("%s: cannot make the store: %s", path, log_reason(-r));
	}
	if (r == 0 || access(temporary, F_OK) == 0)
		engine_remove(temporary); /* or, if it has its name, a journal that closing could not remove */
	return r;
}

void store_watch(struct store *store, const struct store_watcher *watcher)
{
	store->watcher = *watcher;
}

const struct store_options *store_get_options(const struct store *store)
{
	return &store->options;
}

uint64_t store_room(const struct store *store)
{
	uint64_t room = engine_room(store->engine), missing = reserve_missing(&store->reserve);

	return room > missing ? room - missing : 0;
}

bool store_is_read_only(const struct store *store)
{
	return engine_is_read_only(store->engine) || store->anchor_failed;
}

int store_copy(struct store *store, const char *path)
{
	return engine_copy(store->engine, path);
}

const char *store_path(const struct store *store)
{
	return store->path;
}

void store_get_status(struct store *store, struct store_status *ret_status)
{
	memcpy(ret_status->id, store->seal.store_id, sizeof(ret_status->id));
	pthread_mutex_lock(&store->lock);
	ret_status->generation = store->manifest.generation;
	ret_status->anchored = store->options.anchor && !store->options.anchor_later;
	ret_status->disk_failed = engine_is_read_only(store->engine);
	ret_status->anchor_failed = store->anchor_failed;
	ret_status->rows = store->manifest.rows;
	ret_status->meshes = store->index.meshes.count;
	ret_status->secrets = store->index.secrets;
	ret_status->global_secrets = store->index.globals.count;
	pthread_mutex_unlock(&store->lock);
}

uint64_t store_node(const struct store *store, const struct name *name)
{
	struct seal_id id = seal_id(&store->seal, name);

	return index_node(&id);
}

static void store_fill_info(const struct resource *resource, struct store_info *ret_info)
{
	ret_info->node = resource_node(resource);
	ret_info->exists = resource->exists;
	resource_record(resource, &ret_info->record);
}

int store_look(struct store *store, uint64_t node, struct store_info *ret_info)
{
	const struct resource *resource;

	pthread_mutex_lock(&store->lock);
	resource = index_find(&store->index, node);
	if (resource)
		store_fill_info(resource, ret_info);
	pthread_mutex_unlock(&store->lock);
	return resource ? 0 : -ENOENT;
}

bool store_has_former(struct store *store, uint64_t node)
{
	const struct resource *resource;
	bool former = false;

	pthread_mutex_lock(&store->lock);
	resource = index_find(&store->index, node);
	for (const struct version *v = resource ? resource->versions : NULL; v && !former; v = v->older)
		former = v->pins && (v != resource->versions || !resource->exists);
	pthread_mutex_unlock(&store->lock);
	return former;
}

int store_next(struct store *store, enum name_kind kind, uint64_t mesh_node, uint64_t after,
	       struct store_info *ret_info)
{
	const struct index_folder *folder;
	const struct resource *resource;

	pthread_mutex_lock(&store->lock);
	folder = index_folder(&store->index, kind, mesh_node);
	resource = folder ? index_folder_next(folder, after) : NULL;
	if (resource)
		store_fill_info(resource, ret_info);
	pthread_mutex_unlock(&store->lock);
	return resource ? 0 : -ENOENT;
}

int store_pin(struct store *store, uint64_t node, uint64_t *ret_generation)
{
	struct resource *resource;
	int r = -ENOENT;

	pthread_mutex_lock(&store->lock);
	resource = index_find(&store->index, node);
	if (resource && resource->exists) {
		resource->versions->pins++;
		*ret_generation = resource->versions->generation;
		r = 0;
	}
	pthread_mutex_unlock(&store->lock);
	return r;
}

void store_unpin(struct store *store, uint64_t node, uint64_t generation)
{
	struct resource *resource;
	struct version *version;

	pthread_mutex_lock(&store->lock);
	resource = index_find(&store->index, node);
	version = resource ? index_version(resource, generation) : NULL;
	if (version && version->pins) {
		version->pins--;
		if (!version->pins)
			commit_prune_later(store, resource);
	}
	if (store->opened.generation == generation)
		opened_wipe(store);
	pthread_mutex_unlock(&store->lock);
}

/* The plaintext, if the row is cached. With the lock. 1 if it isn't cached: then @ret_wanted says which it is. */
static int store_read_cached(struct store *store, uint64_t node, uint64_t generation, struct secbuf *ret_value,
			     struct version_row *ret_wanted)
{
	struct resource *resource = index_find(&store->index, node);
	struct version *version = resource ? index_version(resource, generation) : NULL;
	struct seal_value_info info;
	int r;

	if (!version)
		return -ENOENT;
	if (!version->cached) {
		*ret_wanted = index_row(resource, version);
		return 1;
	}
	cache_touch(&store->cache, version);
	r = seal_open_value(&store->seal, &resource->id, generation, version->cached->sealed.data, version->cached->sealed.size,
			    ret_value, &info);
	if (r == -EBADMSG) /* as it came from the file, where it may be mended */
		cache_forget(&store->cache, version);
	return r;
}

/* A version's row from the file. A row that opens may still be one of another history with the same generation; but two that were sealed
 * differ in their nonces, and nobody without the key makes another one with that nonce. */
static int store_fetch_row(struct store *store, const struct version_row *wanted, struct seal_row *ret_row)
{
	struct seal_key key = seal_key(SEAL_VALUE, &wanted->id, wanted->generation);
	struct seal_row row;
	int r = engine_get_at(store->engine, wanted->place, key.bytes, key.size, &row.data, &row.size);

	if (r < 0)
		return r == -ENOENT || r == -EBADMSG ? -EIO : r;
	if (seal_row_mark(row.data, row.size) != wanted->mark) {
		free(row.data);
		return -EIO;
	}
	*ret_row = row;
	return 0;
}

int store_fetch(struct store *store, const struct version_row *wanted, struct seal_row *ret_row, struct secbuf *ret_value,
		struct seal_value_info *ret_info)
{
	struct seal_row row;
	int r = store_fetch_row(store, wanted, &row);

	if (r < 0)
		return r;
	r = seal_open_value(&store->seal, &wanted->id, wanted->generation, row.data, row.size, ret_value, ret_info);
	if (r < 0) {
		free(row.data);
		return r == -EBADMSG ? -EIO : r;
	}
	*ret_row = row;
	return 0;
}

/* Takes @row over. */
static void store_cache(struct store *store, uint64_t node, uint64_t generation, struct seal_row row)
{
	struct resource *resource;
	struct version *version;

	pthread_mutex_lock(&store->lock);
	resource = index_find(&store->index, node);
	version = resource ? index_version(resource, generation) : NULL;
	if (version) /* else its last reader has gone meanwhile */
		cache_put(&store->cache, version, row);
	else
		free(row.data);
	pthread_mutex_unlock(&store->lock);
}

/* Fetch the row from the file, open it, and cache it if it opens. */
static int store_read_row(struct store *store, uint64_t node, const struct version_row *wanted, struct secbuf *ret_value)
{
	struct seal_value_info info;
	struct seal_row row;
	int r = store_fetch(store, wanted, &row, ret_value, &info);

	if (r == 0)
		store_cache(store, node, wanted->generation, row);
	return r;
}

/* Is it the current one, and short? */
static bool store_is_short(const struct resource *resource, const struct version *version)
{
	return resource->exists && version == resource->versions && resource->record->size <= STORE_PREFETCH_BYTES;
}

void store_prefetch(struct store *store, uint64_t node, uint64_t generation)
{
	const struct resource *resource;
	const struct version *version;
	struct version_row wanted;
	struct seal_row row;
	bool worthwhile;

	pthread_mutex_lock(&store->lock);
	resource = index_find(&store->index, node);
	version = resource ? index_version(resource, generation) : NULL;
	worthwhile = version && !version->cached && store_is_short(resource, version);
	if (worthwhile)
		wanted = index_row(resource, version);
	pthread_mutex_unlock(&store->lock);
	if (worthwhile && store_fetch_row(store, &wanted, &row) == 0)
		store_cache(store, node, generation, row);
}

int store_read(struct store *store, uint64_t node, uint64_t generation, struct secbuf *ret_value)
{
	struct version_row wanted;
	int r = lock_enter(store);

	if (r < 0)
		return r;
	pthread_mutex_lock(&store->lock);
	if (!opened_take(store, generation, ret_value))
		r = store_read_cached(store, node, generation, ret_value, &wanted);
	pthread_mutex_unlock(&store->lock);
	if (r == 1)
		r = store_read_row(store, node, &wanted, ret_value);
	lock_leave(store);
	if (r == -EBADMSG)
		r = -EIO;
	if (r == -EIO)
		log_error("%s: version %" PRIu64 " of resource %014" PRIx64
			  " was changed or removed in the store file without the key: it is not served",
			  store->path, generation, node);
	if (r == -ENOMEM)
		log_error("%s: no locked memory left to open a value: raise the limit with ulimit -l, or of a mount -o max_staged",
			  store->path);
	return r;
}
