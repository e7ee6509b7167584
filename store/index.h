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
#include <sys/queue.h>

/* One stored value of a resource. Immutable but for its pins and its place in the cache. */
struct version {
	struct version *older;
	uint64_t generation;
	uint8_t hash[CRYPTO_HASH_BYTES]; /* what its row adds to the manifest's sum */
	uint32_t pins;                   /* readers that may still ask for it */
	bool doomed;                     /* of a resource that was removed: goes when the last reader does */
	struct seal_row sealed;          /* the cached row, or data NULL */
	TAILQ_ENTRY(version) cached;
};

struct index_folder {
	struct resource **entries; /* ascending by node; owned array, borrowed resources */
	size_t count;
	size_t capacity;
};

struct resource {
	struct resource *next; /* in its bucket */
	struct seal_id id;
	uint64_t node;
	uint64_t mesh_node; /* of a secret: its mesh; else 0 */
	bool exists;        /* false: removed, but a reader still has a version */
	struct record record;
	uint8_t hash[CRYPTO_HASH_BYTES]; /* what its record's row adds to the manifest's sum */
	struct version *versions;        /* newest first; the first is current if it exists */
	struct index_folder secrets;     /* of a mesh */
};

struct index {
	struct resource **buckets;
	size_t n_buckets;
	size_t count;
	struct index_folder meshes;
	struct index_folder globals;
	size_t secrets; /* existing secrets of all meshes */
};

/* index_node - the node of a row id: its first 7 bytes, big-endian. */
uint64_t index_node(const struct seal_id *id);

/* index_deinit - free everything in it. */
void index_deinit(struct index *index);

/* index_find - by node; NULL if there is none. Borrowed. */
struct resource *index_find(const struct index *index, uint64_t node);

/* index_reserve - room for @more further resources, so that index_add cannot fail. -ENOMEM. */
int index_reserve(struct index *index, size_t more);

/* index_add - takes ownership; it is listed in no folder yet. */
void index_add(struct index *index, struct resource *resource);

/* index_drop - take out a resource that is in no folder, and free it with its versions. */
void index_drop(struct index *index, struct resource *resource);

/* index_folder - where a resource of this kind and mesh is listed: NULL for the root or an unknown mesh. */
struct index_folder *index_folder(struct index *index, enum name_kind kind, uint64_t mesh_node);

int index_folder_reserve(struct index_folder *folder, size_t more);
void index_folder_add(struct index_folder *folder, struct resource *resource);
void index_folder_remove(struct index_folder *folder, const struct resource *resource);

/* index_folder_next - the first entry with a node greater than @after; NULL at the end. */
struct resource *index_folder_next(const struct index_folder *folder, uint64_t after);

/* index_version - the version of @generation, or NULL. */
struct version *index_version(const struct resource *resource, uint64_t generation);

#endif
