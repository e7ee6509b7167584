/* SPDX-License-Identifier: Apache-2.0
 * yaml_internal: what the files of the YAML codec share. yaml.c alone knows libyaml; it takes memory from yaml_memory.c
 * and puts a document together in yaml_tree.c, which the accessors of yaml.h read.
 */
#ifndef STORE_YAML_INTERNAL_H
#define STORE_YAML_INTERNAL_H

#include "store/yaml.h"

#define YAML_MEMORY_CLASSES 10
#define YAML_CHUNK_NODES 4096 /* 64 KiB of them */

struct yaml_memory_slab;
struct yaml_memory_large;

/* What libyaml has of the arena for one stream. A zeroed struct is empty. */
struct yaml_memory {
	struct yaml_memory_slab *slabs;
	struct yaml_memory_large *large;  /* blocks that are too large for a slab */
	uint8_t *unused, *unused_end;     /* of the newest slab */
	void *spare[YAML_MEMORY_CLASSES]; /* blocks that were freed, by size */
};

/* yaml_memory_use - what libyaml allocates in this thread is in @memory from now on, and what it frees must be of it.
 * NULL: it gets nothing. */
void yaml_memory_use(struct yaml_memory *memory);

/* yaml_memory_deinit - wipe and give back all of it, also what libyaml may have forgotten. */
void yaml_memory_deinit(struct yaml_memory *memory);

struct yaml_node {
	union {
		const char *text; /* of a scalar; ends with NUL */
		uint32_t first;   /* else: its first item or key */
	};
	uint32_t next; /* what yaml_after says */
	unsigned line : 29;
	unsigned kind : 2;
	unsigned plain : 1;
};

struct yaml_tree_text;

/* One document. Nothing moves as it grows, so that there is never a second copy to make room for. A zeroed struct is
 * empty. */
struct yaml_tree {
	struct yaml_node *chunks[YAML_NODES_MAX / YAML_CHUNK_NODES];
	uint32_t nodes; /* node N is the Nth */
	uint32_t root;
	struct yaml_tree_text *text;
	uint64_t hash_point; /* secret, so that nobody can choose keys that collide */
};

/* yaml_tree_reset - it is empty again, and wiped; some memory is kept. yaml_tree_deinit - all of it is released. */
void yaml_tree_reset(struct yaml_tree *tree);
void yaml_tree_deinit(struct yaml_tree *tree);

/* yaml_tree_add - a node without text, items or successor. -ENOMEM; -E2BIG: it would be more than YAML_NODES_MAX. */
int yaml_tree_add(struct yaml_tree *tree, enum yaml_kind kind, size_t line, uint32_t *ret_node);

/* yaml_tree_set_text - copy it. No NUL in it. -ENOMEM. */
int yaml_tree_set_text(struct yaml_tree *tree, uint32_t node, const void *text, size_t size);

/* yaml_tree_find_duplicate - 1 with the key that stands twice in a mapping: its first and its second node; 0; -ENOMEM.
 */
int yaml_tree_find_duplicate(const struct yaml_tree *tree, uint32_t mapping, uint32_t *ret_first, uint32_t *ret_second);

static inline struct yaml_node *yaml_tree_at(const struct yaml_tree *tree, uint32_t node)
{
	return &tree->chunks[(node - 1) / YAML_CHUNK_NODES][(node - 1) % YAML_CHUNK_NODES];
}

struct yaml_parser_s; /* libyaml's */

struct yaml_stream {
	struct yaml_tree tree;
	struct yaml_memory memory;
	struct yaml_parser_s *parser;
	const uint8_t *text; /* borrowed */
	size_t size;
	size_t deep;     /* nodes deeper than YAML_DEPTH_CHEAP, in all documents so far */
	unsigned number; /* of the document */
	int end;         /* what yaml_stream_next goes on to return: 0 at the end, or the error; 1: there may be more */
	struct yaml_error error; /* if it is -EINVAL */
};

#endif
