/* SPDX-License-Identifier: Apache-2.0
 * load: every row is hashed into a sum that must be the manifest's, and every record is opened.
 *
 * Values stay sealed: that they are what was stored follows from the sum. Rows come in the order of their keys, so
 * all records before the first value, and each resource's values oldest first. A value without a resource is what a
 * reader still had open when its resource was removed and the daemon ended: it is ours (the sum says so), and
 * goes with the next commit, as do versions from before the resource was last created.
 */
#include "store/load.h"

#include "store/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct load {
	struct store *store;
	struct seal_manifest seen;
	struct resource **resources; /* in the order they came; owned array */
	size_t count, capacity;
};

static int load_refuse(const struct store *store, const char *what)
{
	log_error("%s: %s: the store was changed without the key and is refused; restore it from a backup",
		  store->path, what);
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
	if (index_reserve(&load->store->index, 1) < 0)
		return -ENOMEM;
	resource = calloc(1, sizeof(*resource));
	if (!resource)
		return -ENOMEM;
	resource->id = *id;
	resource->node = index_node(id);
	index_add(&load->store->index, resource);
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

	if (index_find(&load->store->index, index_node(id)))
		return load_refuse(load->store, "a metadata record comes twice");
	r = load_add(load, id, &resource);
	if (r < 0)
		return r;
	r = seal_open_record(seal, id, data, size, &resource->record);
	if (r == -EPROTONOSUPPORT) {
		log_error("%s: a metadata record is of a newer version: use the newer hushfs", load->store->path);
		return r;
	}
	if (r == -ENOMEM)
		return r;
	expected = seal_id(seal, &resource->record.name);
	if (r < 0 || memcmp(&expected, id, sizeof(expected)) != 0)
		return load_refuse(load->store, "a metadata record does not open");
	memcpy(resource->hash, hash, CRYPTO_HASH_BYTES);
	resource->exists = true;
	if (resource->record.name.kind == NAME_SECRET) {
		struct name mesh = {.kind = NAME_MESH};

		strcpy(mesh.name, resource->record.name.mesh);
		resource->mesh_node = store_node(load->store, &mesh);
	}
	return 0;
}

static int load_value(struct load *load, const struct seal_id *id, uint64_t generation,
		      const uint8_t hash[static CRYPTO_HASH_BYTES])
{
	struct resource *resource = index_find(&load->store->index, index_node(id));
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
		return 0;
	row_key = seal_key(table, &id, generation);
	seal_row_hash(&load->store->seal, &row_key, data, size, hash);
	crypto_set_add(load->seen.sum, hash);
	load->seen.rows++;
	switch (table) {
	case SEAL_RECORD:
		return load_record(load, &id, data, size, hash);
	case SEAL_VALUE:
		return load_value(load, &id, generation, hash);
	default: /* the header: it opened, and here it is seen to be the current one */
		return 0;
	}
}

static int load_manifest(struct store *store)
{
	struct seal_key key = seal_key(SEAL_MANIFEST, NULL, 0);
	uint8_t *data;
	size_t size;
	int r;

	r = engine_get(store->engine, key.bytes, key.size, &data, &size);
	if (r == -ENOENT)
		return load_refuse(store, "the manifest is missing");
	if (r < 0)
		return r;
	r = seal_open_manifest(&store->seal, data, size, &store->manifest);
	free(data);
	return r < 0 ? load_refuse(store, "the manifest does not open") : 0;
}

/* Put each resource in its folder, and see that it is whole. */
static int load_link(struct load *load)
{
	struct store *store = load->store;

	for (size_t i = 0; i < load->count; i++) {
		struct resource *resource = load->resources[i];
		struct index_folder *folder;

		if (!resource->exists)
			continue;
		if (!resource->versions || resource->versions->generation != resource->record.generation)
			return load_refuse(store, "the current value of a resource is missing");
		if (resource->record.name.kind == NAME_ROOT)
			continue;
		folder = index_folder(&store->index, resource->record.name.kind, resource->mesh_node);
		if (!folder)
			return load_refuse(store, "a secret's mesh is missing");
		if (index_folder_reserve(folder, 1) < 0)
			return -ENOMEM;
		index_folder_add(folder, resource);
		store->index.secrets += resource->record.name.kind == NAME_SECRET;
	}
	for (size_t i = 0; i < load->count; i++)
		commit_prune_later(store, load->resources[i]);
	return 0;
}

int load_all(struct store *store)
{
	struct load load = {.store = store};
	int r;

	r = load_manifest(store);
	if (r < 0)
		return r;
	r = engine_scan(store->engine, load_row, &load);
	if (r == 0 && (load.seen.rows != store->manifest.rows ||
		       !crypto_equal(load.seen.sum, store->manifest.sum, CRYPTO_HASH_BYTES)))
		r = load_refuse(store, "the rows are not those of the manifest");
	if (r == 0)
		r = load_link(&load);
	if (r == -ENOMEM)
		log_error("%s: no memory to load the store", store->path);
	free(load.resources);
	return r;
}
