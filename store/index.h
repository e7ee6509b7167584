/* SPDX-License-Identifier: Apache-2.0
 * index: all names and metadata of a store in memory. Values are not here, only which versions there are.
 *
 * A resource is found by its node: the first 56 bits of its row id, a keyed hash of its name. A folder (the
 * meshes, one mesh's secrets, the globals) lists its resources in the order of their nodes, which is what gives
 * a directory listing positions that stay right while entries come and go.
 * Not locked: the store's lock guards it.
 */
#ifndef STORE_INDEX_H
#define STORE_INDEX_H

#include "store/record.h"
#include "store/seal.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One stored value of a resource. Immutable but for its pins and whether it is cached. */
struct version {
	struct version *older;
	uint64_t generation;
	struct cache_row *cached;        /* its row, or NULL */
	uint64_t mark;                   /* seal_row_mark of its row */
	uint8_t hash[CRYPTO_HASH_BYTES]; /* what its row adds to the manifest's sum */
	uint32_t place;                  /* of its row in the engine, see engine_get_at; or 0 */
	uint32_t pins : 31;              /* readers that may still ask for it */
	bool doomed : 1;                 /* of a resource that was removed: goes when the last reader does */
};

/* Which row of the engine it is. */
struct version_row {
	struct seal_id id;
	uint64_t generation;
	uint64_t mark;
	uint32_t place;
};

struct index_folder {
	struct resource **entries; /* ascending by node; owned array, borrowed resources */
	size_t count;
	size_t capacity;
};

struct resource {
	struct resource *next; /* in its bucket */
	struct seal_id id;
	struct record_packed *record;    /* NULL if it was removed before the store was opened */
	struct version *versions;        /* newest first; the first is current if it exists */
	struct index_folder *secrets;    /* of a mesh; else NULL */
	uint8_t hash[CRYPTO_HASH_BYTES]; /* what its record's row adds to the manifest's sum */
	bool exists;                     /* false: removed, but a reader still has a version */
};

struct index {
	struct resource **buckets; /* in the order of the nodes in them, as is each chain */
	size_t n_buckets;
	size_t count;
	struct index_folder meshes;
	struct index_folder globals;
	size_t secrets; /* existing secrets of all meshes */
};

/* index_node - the node of a row id: its first 7 bytes, big-endian. */
uint64_t index_node(const struct seal_id *id);

/* resource_node - that of a resource. */
static inline uint64_t resource_node(const struct resource *resource)
{
	return index_node(&resource->id);
}

/* resource_record - its metadata; zeroed if none is known. */
void resource_record(const struct resource *resource, struct record *ret_record);

/* resource_free - with its versions; NULL is allowed. Nothing may refer to it. Returns NULL. */
struct resource *resource_free(struct resource *resource);

/* index_deinit - free everything in it. */
void index_deinit(struct index *index);

/* index_find - by node, any number; NULL if there is none. Borrowed. */
struct resource *index_find(const struct index *index, uint64_t node);

/* index_reserve - room for @more further resources, so that index_add cannot fail. -ENOMEM. */
int index_reserve(struct index *index, size_t more);

/* index_add - takes ownership; it is listed in no folder yet. */
void index_add(struct index *index, struct resource *resource);

/* index_drop - take out a resource that is in no folder, and free it with its versions. */
void index_drop(struct index *index, struct resource *resource);

/* index_first, index_next - all resources, ascending by node; NULL at the end. */
struct resource *index_first(const struct index *index);
struct resource *index_next(const struct index *index, const struct resource *resource);

/* index_folder - where a resource of this kind and mesh is listed: NULL for the root or an unknown mesh. */
struct index_folder *index_folder(struct index *index, enum name_kind kind, uint64_t mesh_node);

/* index_folder_reserve - room for @more further entries, so that index_folder_add cannot fail; index_mesh_reserve: in the folder of a mesh, which
 * is made if there is none. -ENOMEM. */
int index_mesh_reserve(struct resource *mesh, size_t more);
int index_folder_reserve(struct index_folder *folder, size_t more);
void index_folder_add(struct index_folder *folder, struct resource *resource);
void index_folder_remove(struct index_folder *folder, const struct resource *resource);

/* index_folder_next - the first entry with a node greater than @after; NULL at the end. */
struct resource *index_folder_next(const struct index_folder *folder, uint64_t after);

/* index_row - that of a version of @resource. */
struct version_row index_row(const struct resource *resource, const struct version *version);

/* index_version - the version of @generation, or NULL. */
struct version *index_version(const struct resource *resource, uint64_t generation);

#endif
