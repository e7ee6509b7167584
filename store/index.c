/* SPDX-License-Identifier: Apache-2.0
 * index: a chained hash table by node, and sorted arrays for the folders.
 *
 * A node is a keyed hash already, so its first bits are the bucket: with them the table can be walked in the order of the nodes. What there is
 * for each secret is kept small: some 400 bytes in four allocations, of which the name and the metadata are packed (record_pack).
 * Inserting into a folder moves half of it: for 10,000 entries some 40 KB, which is less than the commit that
 * comes with it. In exchange a listing is an array walk, and its position is a number that never goes stale.
 */
#include "store/index.h"

#include "store/cache.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define INDEX_NODE_BITS 56

uint64_t index_node(const struct seal_id *id)
{
	uint64_t first;

	memcpy(&first, id->bytes, sizeof(first));
	return be64toh(first) >> (64 - INDEX_NODE_BITS);
}

void resource_record(const struct resource *resource, struct record *ret_record)
{
	if (resource->record)
		record_unpack(resource->record, ret_record);
	else
		*ret_record = (struct record){0};
}

struct resource *resource_free(struct resource *resource)
{
	struct version *older;

	if (!resource)
		return NULL;
	for (struct version *v = resource->versions; v; v = older) {
		older = v->older;
		cache_row_free(v->cached);
		free(v);
	}
	if (resource->secrets)
		free(resource->secrets->entries);
	free(resource->secrets);
	free(resource->record);
	free(resource);
	return NULL;
}

void index_deinit(struct index *index)
{
	for (size_t i = 0; i < index->n_buckets; i++) {
		while (index->buckets[i]) {
			struct resource *resource = index->buckets[i];

			index->buckets[i] = resource->next;
			resource_free(resource);
		}
	}
	free(index->buckets);
	free(index->meshes.entries);
	free(index->globals.entries);
	*index = (struct index){0};
}

/* A power of two of them: that of a node is its first bits. */
static struct resource **index_bucket(const struct index *index, uint64_t node)
{
	return &index->buckets[node >> (INDEX_NODE_BITS - __builtin_ctzll(index->n_buckets))];
}

struct resource *index_find(const struct index *index, uint64_t node)
{
	if (!index->n_buckets || node >> INDEX_NODE_BITS) /* nobody's: whoever asks may ask for any number */
		return NULL;
	for (struct resource *r = *index_bucket(index, node); r; r = r->next)
		if (resource_node(r) == node)
			return r;
	return NULL;
}

int index_reserve(struct index *index, size_t more)
{
	struct index grown = *index;

	if (index->count + more <= index->n_buckets)
		return 0;
	grown.n_buckets = index->n_buckets ? index->n_buckets : 64;
	while (grown.n_buckets < index->count + more)
		grown.n_buckets *= 2;
	grown.buckets = calloc(grown.n_buckets, sizeof(struct resource *));
	if (!grown.buckets)
		return -ENOMEM;
	grown.count = 0;
	for (size_t i = 0; i < index->n_buckets; i++) {
		for (struct resource *r = index->buckets[i], *next; r; r = next) {
			next = r->next;
			index_add(&grown, r);
		}
	}
	free(index->buckets);
	*index = grown;
	return 0;
}

void index_add(struct index *index, struct resource *resource)
{
	struct resource **at = index_bucket(index, resource_node(resource));

	while (*at && resource_node(*at) < resource_node(resource))
		at = &(*at)->next;
	resource->next = *at;
	*at = resource;
	index->count++;
}

static struct resource *index_first_from(const struct index *index, size_t bucket)
{
	while (bucket < index->n_buckets && !index->buckets[bucket])
		bucket++;
	return bucket < index->n_buckets ? index->buckets[bucket] : NULL;
}

struct resource *index_first(const struct index *index)
{
	return index_first_from(index, 0);
}

struct resource *index_next(const struct index *index, const struct resource *resource)
{
	size_t bucket = (size_t)(index_bucket(index, resource_node(resource)) - index->buckets);

	return resource->next ? resource->next : index_first_from(index, bucket + 1);
}

void index_drop(struct index *index, struct resource *resource)
{
	struct resource **at = index_bucket(index, resource_node(resource));

	while (*at != resource)
		at = &(*at)->next;
	*at = resource->next;
	index->count--;
	resource_free(resource);
}

struct index_folder *index_folder(struct index *index, enum name_kind kind, uint64_t mesh_node)
{
	struct resource *mesh;

	switch (kind) {
	case NAME_MESH:
		return &index->meshes;
	case NAME_GLOBAL_SECRET:
		return &index->globals;
	case NAME_SECRET:
		mesh = index_find(index, mesh_node);
		return mesh && mesh->exists ? mesh->secrets : NULL;
	case NAME_ROOT:
		break;
	}
	return NULL;
}

int index_mesh_reserve(struct resource *mesh, size_t more)
{
	if (!mesh->secrets)
		mesh->secrets = calloc(1, sizeof(*mesh->secrets));
	return mesh->secrets ? index_folder_reserve(mesh->secrets, more) : -ENOMEM;
}

int index_folder_reserve(struct index_folder *folder, size_t more)
{
	size_t capacity = folder->capacity ? folder->capacity : 16;
	struct resource **entries;

	if (folder->count + more <= folder->capacity)
		return 0;
	while (capacity < folder->count + more)
		capacity *= 2;
	entries = reallocarray(folder->entries, capacity, sizeof(*entries));
	if (!entries)
		return -ENOMEM;
	folder->entries = entries;
	folder->capacity = capacity;
	return 0;
}

/* The position of the first entry whose node is at least @node. */
static size_t folder_position(const struct index_folder *folder, uint64_t node)
{
	size_t low = 0, high = folder->count;

	if (high && resource_node(folder->entries[high - 1]) < node) /* in order, as they come when a store is opened */
		return high;
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (resource_node(folder->entries[middle]) < node)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

void index_folder_add(struct index_folder *folder, struct resource *resource)
{
	size_t at = folder_position(folder, resource_node(resource));

	memmove(&folder->entries[at + 1], &folder->entries[at], (folder->count - at) * sizeof(folder->entries[0]));
	folder->entries[at] = resource;
	folder->count++;
}

void index_folder_remove(struct index_folder *folder, const struct resource *resource)
{
	size_t at = folder_position(folder, resource_node(resource));

	folder->count--;
	memmove(&folder->entries[at], &folder->entries[at + 1], (folder->count - at) * sizeof(folder->entries[0]));
}

struct resource *index_folder_next(const struct index_folder *folder, uint64_t after)
{
	size_t at = folder_position(folder, after + 1);

	return at < folder->count ? folder->entries[at] : NULL;
}

struct version *index_version(const struct resource *resource, uint64_t generation)
{
	for (struct version *v = resource->versions; v; v = v->older)
		if (v->generation == generation)
			return v;
	return NULL;
}

struct version_row index_row(const struct resource *resource, const struct version *version)
{
	return (struct version_row){
		.id = resource->id, .generation = version->generation, .mark = version->mark, .place = version->place};
}
