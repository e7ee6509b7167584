/* SPDX-License-Identifier: Apache-2.0
 * load: every row is hashed into a sum that must be the manifest's, and every record is opened.
 *
 * Values stay sealed, unless the caller opens them (check.c): that they are what was stored follows from the sum. Rows come
 * in the order of their keys, so the header and the manifest first, all records before the first value, and each
 * resource's values oldest first. A value without a resource is what a reader still had open when its resource was
 * removed and the daemon ended: it is ours (the sum says so), and goes with the next commit, as do versions from
 * before the resource was last created.
 */
#include "store/load.h"

#include "store/log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct load {
	const struct store *store;
	struct index *index;
	load_visit *visit;
	void *context;
	struct seal_manifest manifest, seen;
	bool has_manifest;
	struct resource **resources; /* in the order they came; owned array */
	size_t count, capacity;
};

static int load_refuse(const struct store *store, const char *what)
{
	log_error("%s: %s: the store was changed without the key and is refused; restore it from a backup",
		  store->path, what);
	return -EBADMSG;
}

static int load_refuse_record(const struct store *store, const struct seal_id *id, const char *what)
{
	log_error("%s: the metadata record of resource %014" PRIx64
		  " %s: the store was changed without the key and is refused; restore it from a backup",
		  store->path, index_node(id), what);
	return -EBADMSG;
}

static int load_add(struct load *load, const struct seal_id *id, struct resource **ret_resource)
{
	struct resource *resource;

	if (load->count == load->capacity) {
		size_t capacity = load->capacity ? load->capacity * 2 : 256;
		struct resource **grown = reallocarray(load->resources, capacity, sizeof(struct resource *));

		if (!grown)
			return -ENOMEM;
		load->resources = grown;
		load->capacity = capacity;
	}
	if (index_reserve(load->index, 1) < 0)
		return -ENOMEM;
	resource = calloc(1, sizeof(*resource));
	if (!resource)
		return -ENOMEM;
	resource->id = *id;
	resource->node = index_node(id);
	index_add(load->index, resource);
	load->resources[load->count++] = resource;
	*ret_resource = resource;
	return 0;
}

static int load_record(struct load *load, const struct seal_id *id, const uint8_t *data, size_t size,
		       const uint8_t hash[static CRYPTO_HASH_BYTES])
{
	const struct seal *seal = &load->store->seal;
	struct resource *resource;
	struct seal_id expected;
	int r;

	if (index_find(load->index, index_node(id)))
		return load_refuse_record(load->store, id, "comes twice");
	r = load_add(load, id, &resource);
	if (r < 0)
		return r;
	r = seal_open_record(seal, id, data, size, &resource->record);
	if (r == -EPROTONOSUPPORT) {
		log_error("%s: the metadata record of resource %014" PRIx64 " is of a newer version: use the newer hushfs",
			  load->store->path, index_node(id));
		return r;
	}
	if (r == -ENOMEM)
		return r;
	expected = seal_id(seal, &resource->record.name);
	if (r < 0 || memcmp(&expected, id, sizeof(expected)) != 0)
		return load_refuse_record(load->store, id, "does not open");
	memcpy(resource->hash, hash, CRYPTO_HASH_BYTES);
	resource->exists = true;
	if (resource->record.name.kind == NAME_SECRET) {
		struct name mesh = {.kind = NAME_MESH};

		strcpy(mesh.name, resource->record.name.mesh);
		resource->mesh_node = store_node(load->store, &mesh);
	}
	return 0;
}

static int load_value(struct load *load, const struct seal_id *id, uint64_t generation, const uint8_t *data, size_t size,
		      const uint8_t hash[static CRYPTO_HASH_BYTES])
{
	struct resource *resource = index_find(load->index, index_node(id));
	struct version *version;

	if (!resource && load_add(load, id, &resource) < 0)
		return -ENOMEM;
	version = calloc(1, sizeof(*version));
	if (!version)
		return -ENOMEM;
	version->generation = generation;
	version->doomed = !resource->exists || generation < resource->record.created;
	memcpy(version->hash, hash, CRYPTO_HASH_BYTES);
	version->older = resource->versions;
	resource->versions = version;
	return load->visit ? load->visit(load->context, resource, generation, data, size) : 0;
}

static int load_header(const struct load *load, const uint8_t *data, size_t size)
{
	struct header header;

	if (size != sizeof(header.bytes))
		return load_refuse(load->store, "the header has another size");
	memcpy(header.bytes, data, sizeof(header.bytes));
	return header_verify(&header, load->store->keys) < 0 ? load_refuse(load->store, "the header does not open") : 0;
}

static int load_manifest(struct load *load, const uint8_t *data, size_t size)
{
	if (seal_open_manifest(&load->store->seal, data, size, &load->manifest) < 0)
		return load_refuse(load->store, "the manifest does not open");
	load->has_manifest = true;
	return 0;
}

static int load_row(void *context, const uint8_t *key, size_t key_size, const uint8_t *data, size_t size)
{
	struct load *load = context;
	uint8_t hash[CRYPTO_HASH_BYTES];
	struct seal_key row_key;
	enum seal_table table;
	uint64_t generation;
	struct seal_id id;

	if (seal_key_parse(key, key_size, &table, &id, &generation) < 0)
		return load_refuse(load->store, "there is a row that is not ours");
	if (table == SEAL_MANIFEST)
		return load_manifest(load, data, size);
	if (table > SEAL_MANIFEST && !load->has_manifest)
		return load_refuse(load->store, "the manifest is missing");
	row_key = seal_key(table, &id, generation);
	seal_row_hash(&load->store->seal, &row_key, data, size, hash);
	crypto_set_add(load->seen.sum, hash);
	load->seen.rows++;
	switch (table) {
	case SEAL_RECORD:
		return load_record(load, &id, data, size, hash);
	case SEAL_VALUE:
		return load_value(load, &id, generation, data, size, hash);
	default:
		return load_header(load, data, size);
	}
}

/* Put each resource in its folder, and see that it is whole. */
static int load_link(struct load *load)
{
	for (size_t i = 0; i < load->count; i++) {
		struct resource *resource = load->resources[i];
		struct index_folder *folder;

		if (!resource->exists)
			continue;
		if (!resource->versions || resource->versions->generation != resource->record.generation) {
			log_error("%s: the current value (version %" PRIu64 ") of resource %014" PRIx64
				  " is missing: the store was changed without the key and is refused; restore it from a backup",
				  load->store->path, resource->record.generation, resource->node);
			return -EBADMSG;
		}
		if (resource->record.name.kind == NAME_ROOT)
			continue;
		folder = index_folder(load->index, resource->record.name.kind, resource->mesh_node);
		if (!folder)
			return load_refuse_record(load->store, &resource->id, "names a mesh that is missing");
		if (index_folder_reserve(folder, 1) < 0)
			return -ENOMEM;
		index_folder_add(folder, resource);
		load->index->secrets += resource->record.name.kind == NAME_SECRET;
	}
	return 0;
}

static int load_rows(struct load *load)
{
	int r = engine_scan(load->store->engine, load_row, load);

	if (r == 0 && !load->has_manifest)
		r = load_refuse(load->store, "the manifest is missing");
	if (r == 0)
		r = load_link(load);
	if (r == 0 && (load->seen.rows != load->manifest.rows ||
		       !crypto_equal(load->seen.sum, load->manifest.sum, CRYPTO_HASH_BYTES)))
		r = load_refuse(load->store, "the rows are not those of the manifest");
	if (r == -ENOMEM)
		log_error("%s: no memory to read the store", load->store->path);
	return r;
}

int load_index(const struct store *store, load_visit *visit, void *context, struct index *index,
	       struct seal_manifest *ret_manifest)
{
	struct load load = {.store = store, .index = index, .visit = visit, .context = context};
	int r = load_rows(&load);

	if (r == 0)
		*ret_manifest = load.manifest;
	free(load.resources);
	return r;
}

/* Before anything is pruned: what readers go on reading. Of a resource that was removed only its versions are left. */
static void load_hold(struct store *store)
{
	for (size_t i = 0; i < store->options.n_held; i++) {
		const struct store_held *held = &store->options.held[i];
		struct resource *resource = index_find(&store->index, held->node);
		struct version *version = resource ? index_version(resource, held->generation) : NULL;

		if (!version)
			continue;
		version->pins += held->pins;
		if (resource->exists)
			continue;
		resource->record.generation = held->generation;
		resource->record.size = held->size;
		resource->record.inodes[held->inode] = held->attributes;
	}
}

int load_all(struct store *store)
{
	struct load load = {.store = store, .index = &store->index};
	int r = load_rows(&load);

	if (r == 0)
		store->manifest = load.manifest;
	if (r == 0)
		load_hold(store);
	for (size_t i = 0; i < load.count && r == 0; i++)
		commit_prune_later(store, load.resources[i]);
	free(load.resources);
	return r;
}
