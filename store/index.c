/* SPDX-License-Identifier: Apache-2.0
 * index: a chained hash table by node, and sorted arrays for the folders.
 *
 * Inserting into a folder moves half of it: for 10,000 entries some 40 KB, which is less than the commit that
 * comes with it. In exchange a listing is an array walk, and its position is a number that never goes stale.
 */
#include "store/index.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

uint64_t index_node(const struct seal_id *id)
{
	uint64_t node = 0;

	for (int i = 0; i < 7; i++)
		node = node << 8 | id->bytes[i];
	return node;
}

static void resource_free(struct resource *resource)
{
	struct version *older;

	for (struct version *v = resource->versions; v; v = older) {
		older = v->older;
		free(v->sealed.data);
		free(v);
	}
	free(resource->secrets.entries);
	free(resource);
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

static struct resource **index_bucket(const struct index *index, uint64_t node)
{
	return &index->buckets[node & (index->n_buckets - 1)];
}

struct resource *index_find(const struct index *index, uint64_t node)
{
	if (!index->n_buckets)
		return NULL;
	for (struct resource *r = *index_bucket(index, node); r; r = r->next)
		if (r->node == node)
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
	struct resource **bucket = index_bucket(index, resource->node);

	resource->next = *bucket;
	*bucket = resource;
	index->count++;
}

void index_drop(struct index *index, struct resource *resource)
{
	struct resource **at = index_bucket(index, resource->node);

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
		return mesh && mesh->exists ? &mesh->secrets : NULL;
	case NAME_ROOT:
		break;
	}
	return NULL;
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

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (folder->entries[middle]->node < node)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

void index_folder_add(struct index_folder *folder, struct resource *resource)
{
	size_t at = folder_position(folder, resource->node);

	memmove(&folder->entries[at + 1], &folder->entries[at], (folder->count - at) * sizeof(folder->entries[0]));
	folder->entries[at] = resource;
	folder->count++;
}

void index_folder_remove(struct index_folder *folder, const struct resource *resource)
{
	size_t at = folder_position(folder, resource->node);

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
