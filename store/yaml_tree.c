/* SPDX-License-Identifier: Apache-2.0
 * yaml_tree: a document as nodes of 16 bytes, each with its first child and its next sibling, and the text of its
 * scalars.
 *
 * Nodes come from chunks of a fixed size and are numbered through. Text is laid end to end in chunks; a scalar that
 * would waste much of one has a chunk of its own. One chunk of each is kept from document to document, as a stream may
 * have many small ones.
 *
 * Keys are compared with all others of their mapping by a hash: a polynomial with the key's bytes as coefficients, at a
 * secret point, modulo the prime 2^61 - 1. Two keys of n bytes collide for at most n / 7 + 1 of the points, whoever
 * chose them.
 */
#include "store/yaml_internal.h"

#include "store/crypto.h"

#include <errno.h>
#include <string.h>

#define TEXT_BYTES (64 * 1024)
#define TEXT_OWN_BYTES (16 * 1024) /* from this size on a text has a chunk of its own */
#define FEW_KEYS 8
#define PRIME ((UINT64_C(1) << 61) - 1)
#define LINE_MAX_NUMBER ((1u << 29) - 1)

struct yaml_tree_text {
	struct yaml_tree_text *next;
	size_t capacity, used;
	char text[];
};

/* A key in the table of a mapping's keys. */
struct entry {
	uint32_t node;
	uint32_t next; /* number of another with the same slot, from 1 */
};

static struct yaml_tree_text *text_chunk(struct yaml_tree *tree, size_t size)
{
	bool own = size >= TEXT_OWN_BYTES;
	struct yaml_tree_text *chunk = tree->text;

	if (!own && chunk && chunk->capacity - chunk->used >= size)
		return chunk;
	chunk = secmem_alloc(sizeof(*chunk) + (own ? size : TEXT_BYTES));
	if (!chunk)
		return NULL;
	chunk->capacity = own ? size : TEXT_BYTES;
	if (own && tree->text) { /* the first one is where small texts go */
		chunk->next = tree->text->next;
		tree->text->next = chunk;
	} else {
		chunk->next = tree->text;
		tree->text = chunk;
	}
	return chunk;
}

void yaml_tree_reset(struct yaml_tree *tree)
{
	struct yaml_tree_text *kept = NULL;

	for (struct yaml_tree_text *next, *chunk = tree->text; chunk; chunk = next) {
		next = chunk->next;
		if (kept || chunk->capacity != TEXT_BYTES) {
			secmem_free(chunk);
			continue;
		}
		kept = chunk;
		secmem_wipe(chunk->text, chunk->used);
		chunk->used = 0;
		chunk->next = NULL;
	}
	tree->text = kept;
	for (uint32_t i = 1; i < YAML_NODES_MAX / YAML_CHUNK_NODES && tree->chunks[i]; i++)
		tree->chunks[i] = secmem_free(tree->chunks[i]);
	tree->nodes = 0;
	tree->root = YAML_NONE;
}

void yaml_tree_deinit(struct yaml_tree *tree)
{
	yaml_tree_reset(tree);
	secmem_free(tree->text);
	secmem_free(tree->chunks[0]);
	*tree = (struct yaml_tree){0};
}

int yaml_tree_add(struct yaml_tree *tree, enum yaml_kind kind, size_t line, uint32_t *ret_node)
{
	struct yaml_node **chunk = &tree->chunks[tree->nodes / YAML_CHUNK_NODES];

	if (tree->nodes == YAML_NODES_MAX)
		return -E2BIG;
	if (!*chunk) {
		*chunk = secmem_alloc(YAML_CHUNK_NODES * sizeof(**chunk));
		if (!*chunk)
			return -ENOMEM;
	}
	*ret_node = ++tree->nodes;
	*yaml_tree_at(tree, *ret_node) = (struct yaml_node){
		.line = line < LINE_MAX_NUMBER ? (unsigned)line : LINE_MAX_NUMBER, /* GCOVR_EXCL_BR_LINE: takes 512 MiB */
		.kind = kind,
	};
	return 0;
}

int yaml_tree_set_text(struct yaml_tree *tree, uint32_t node, const void *text, size_t size)
{
	struct yaml_tree_text *chunk;
	char *copy;

	if (size == 0) { /* there may be very many: they share one */
		yaml_tree_at(tree, node)->text = "";
		return 0;
	}
	chunk = text_chunk(tree, size + 1);
	if (!chunk)
		return -ENOMEM;
	copy = chunk->text + chunk->used;
	memcpy(copy, text, size);
	copy[size] = 0;
	chunk->used += size + 1;
	yaml_tree_at(tree, node)->text = copy;
	return 0;
}

static const char *key_text(const struct yaml_tree *tree, uint32_t key)
{
	return yaml_tree_at(tree, key)->text;
}

/* The key after @key: over its value. */
static uint32_t key_after(const struct yaml_tree *tree, uint32_t key)
{
	return yaml_tree_at(tree, yaml_tree_at(tree, key)->next)->next;
}

static uint64_t key_hash(const struct yaml_tree *tree, const char *key)
{
	size_t left = strlen(key);
	uint64_t hash = 0;

	while (left) {
		size_t bytes = left < 7 ? left : 7;
		uint64_t word = 0;
		unsigned __int128 product;

		memcpy(&word, key, bytes);
		product = (unsigned __int128)(hash + word) * tree->hash_point;
		hash = (uint64_t)(product & PRIME) + (uint64_t)(product >> 61);
		hash = (hash & PRIME) + (hash >> 61);
		key += bytes;
		left -= bytes;
	}
	return hash;
}

/* Each with each. */
static int find_among_few(const struct yaml_tree *tree, uint32_t mapping, uint32_t *ret_first, uint32_t *ret_second)
{
	uint32_t start = yaml_tree_at(tree, mapping)->first;

	for (uint32_t second = start; second; second = key_after(tree, second)) {
		for (uint32_t first = start; first != second; first = key_after(tree, first)) {
			if (strcmp(key_text(tree, first), key_text(tree, second)) != 0)
				continue;
			*ret_first = first;
			*ret_second = second;
			return 1;
		}
	}
	return 0;
}

/* With a table: @slots lists by hash, a power of two, and @n entries. */
static int find_among_many(const struct yaml_tree *tree, uint32_t mapping, uint32_t *lists, size_t slots,
			   struct entry *entries, uint32_t *ret_first, uint32_t *ret_second)
{
	uint32_t n = 0;

	for (uint32_t key = yaml_tree_at(tree, mapping)->first; key; key = key_after(tree, key)) {
		uint32_t *list = &lists[key_hash(tree, key_text(tree, key)) & (slots - 1)];

		for (uint32_t i = *list; i; i = entries[i - 1].next) {
			if (strcmp(key_text(tree, entries[i - 1].node), key_text(tree, key)) != 0)
				continue;
			*ret_first = entries[i - 1].node;
			*ret_second = key;
			return 1;
		}
		entries[n] = (struct entry){.node = key, .next = *list};
		*list = ++n;
	}
	return 0;
}

int yaml_tree_find_duplicate(const struct yaml_tree *tree, uint32_t mapping, uint32_t *ret_first, uint32_t *ret_second)
{
	size_t n = 0, slots = 1;
	uint32_t *lists;
	int r;

	for (uint32_t key = yaml_tree_at(tree, mapping)->first; key; key = key_after(tree, key))
		n++;
	if (n <= FEW_KEYS)
		return find_among_few(tree, mapping, ret_first, ret_second);
	while (slots < n)
		slots *= 2;
	lists = secmem_alloc(slots * sizeof(*lists) + n * sizeof(struct entry));
	if (!lists)
		return -ENOMEM;
	r = find_among_many(tree, mapping, lists, slots, (struct entry *)(lists + slots), ret_first, ret_second);
	secmem_free(lists);
	return r;
}

/* What there is to know of a node; of YAML_NONE nothing. */
static const struct yaml_node *node_of(const struct yaml_stream *stream, uint32_t node)
{
	static const struct yaml_node none;

	return node == YAML_NONE ? &none : yaml_tree_at(&stream->tree, node);
}

uint32_t yaml_root(const struct yaml_stream *stream)
{
	return stream->tree.root;
}

enum yaml_kind yaml_kind(const struct yaml_stream *stream, uint32_t node)
{
	return node_of(stream, node)->kind;
}

unsigned yaml_line(const struct yaml_stream *stream, uint32_t node)
{
	return node_of(stream, node)->line;
}

uint32_t yaml_first(const struct yaml_stream *stream, uint32_t node)
{
	const struct yaml_node *at = node_of(stream, node);

	return at->kind == YAML_SCALAR ? YAML_NONE : at->first;
}

uint32_t yaml_after(const struct yaml_stream *stream, uint32_t node)
{
	return node_of(stream, node)->next;
}

uint32_t yaml_find(const struct yaml_stream *stream, uint32_t node, const char *key)
{
	const struct yaml_node *mapping = node_of(stream, node);

	if (mapping->kind != YAML_MAPPING)
		return YAML_NONE;
	for (uint32_t at = mapping->first; at; at = key_after(&stream->tree, at))
		if (strcmp(key_text(&stream->tree, at), key) == 0)
			return yaml_after(stream, at);
	return YAML_NONE;
}

const char *yaml_text(const struct yaml_stream *stream, uint32_t node, size_t *ret_size)
{
	const struct yaml_node *at = node_of(stream, node);
	const char *text = at->kind == YAML_SCALAR ? at->text : "";

	if (ret_size)
		*ret_size = strlen(text);
	return text;
}

bool yaml_equals(const struct yaml_stream *stream, uint32_t node, const char *text)
{
	const struct yaml_node *at = node_of(stream, node);

	return at->kind == YAML_SCALAR && strcmp(at->text, text) == 0;
}

bool yaml_is_plain(const struct yaml_stream *stream, uint32_t node)
{
	return node_of(stream, node)->plain;
}

bool yaml_is_null(const struct yaml_stream *stream, uint32_t node)
{
	static const char *const nulls[] = {"", "~", "null", "Null", "NULL"};

	if (node == YAML_NONE)
		return true;
	if (!yaml_is_plain(stream, node))
		return false;
	for (size_t i = 0; i < sizeof(nulls) / sizeof(nulls[0]); i++)
		if (yaml_equals(stream, node, nulls[i]))
			return true;
	return false;
}

void yaml_set_text(struct yaml_stream *stream, uint32_t node, const char *text)
{
	struct yaml_node *at = yaml_tree_at(&stream->tree, node);

	at->text = text;
	at->plain = false; /* a string, whatever it looks like */
}
