/* SPDX-License-Identifier: Apache-2.0
 * yaml_memory: libyaml's memory, in the arena.
 *
 * libyaml has no setting for its allocator, but it calls its own through four exported functions. Those of the same
 * names here take their place: the dynamic linker prefers the program's. A build against libyaml.a would not link, so
 * this cannot be lost silently; test_yaml_memory looks whether it works.
 *
 * libyaml makes four strings of 16 bytes for each scalar and frees most of them at once. The arena's walk with 64 bytes
 * in front of each block is not made for that, so small blocks are cut from slabs, in sizes of powers of two, each with
 * its class in front. A block is wiped when it is freed and kept for the next of its size. Each stream has slabs of its
 * own, so no lock is needed: a thread says which stream it works for. What is large comes from the arena one by one.
 */
#include "store/yaml_internal.h"

#include <string.h>

#define SLAB_BYTES (32 * 1024)
#define SMALLEST_BYTES 16 /* of class 0; the next is twice that */
#define LARGE YAML_MEMORY_CLASSES

struct yaml_memory_slab {
	struct yaml_memory_slab *next;
	_Alignas(16) uint8_t blocks[];
};

struct yaml_memory_large {
	struct yaml_memory_large *next, *before;
};

/* In front of each block. */
struct head {
	_Alignas(16) size_t bytes; /* that the block has room for */
	unsigned size_class;       /* LARGE: a struct yaml_memory_large is in front of this */
};

static _Thread_local struct yaml_memory *current;

/* As libyaml declares them, in a header that it doesn't install. */
void *yaml_malloc(size_t bytes);
void *yaml_realloc(void *block, size_t bytes);
void yaml_free(void *block);
unsigned char *yaml_strdup(const unsigned char *string);

void yaml_memory_use(struct yaml_memory *memory)
{
	current = memory;
}

static struct head *head_of(void *block)
{
	return (struct head *)block - 1;
}

static void *large_alloc(size_t bytes)
{
	size_t around = sizeof(struct yaml_memory_large) + sizeof(struct head);
	struct yaml_memory_large *large = bytes + around > bytes ? secmem_alloc(bytes + around) : NULL;
	struct head *head;

	if (!large)
		return NULL;
	large->next = current->large;
	if (large->next)
		large->next->before = large;
	current->large = large;
	head = (struct head *)(large + 1);
	head->bytes = bytes;
	head->size_class = LARGE;
	return head + 1;
}

static void large_free(struct yaml_memory_large *large)
{
	if (large->next)
		large->next->before = large->before;
	if (large->before)
		large->before->next = large->next;
	else
		current->large = large->next;
	secmem_free(large);
}

static void *small_alloc(unsigned size_class, size_t bytes)
{
	size_t whole = sizeof(struct head) + bytes;
	void *block = current->spare[size_class];
	struct head *head;

	if (block) {
		memcpy(&current->spare[size_class], block, sizeof(void *));
		return block;
	}
	if ((size_t)(current->unused_end - current->unused) < whole) {
		struct yaml_memory_slab *slab = secmem_alloc(SLAB_BYTES);

		if (!slab)
			return NULL;
		slab->next = current->slabs;
		current->slabs = slab;
		current->unused = slab->blocks;
		current->unused_end = (uint8_t *)slab + SLAB_BYTES;
	}
	head = (struct head *)current->unused;
	current->unused += whole;
	head->bytes = bytes;
	head->size_class = size_class;
	return head + 1;
}

static void small_free(unsigned size_class, void *block, size_t bytes)
{
	memset(block, 0, bytes);
	memcpy(block, &current->spare[size_class], sizeof(void *));
	current->spare[size_class] = block;
}

void *yaml_malloc(size_t bytes)
{
	size_t room = SMALLEST_BYTES;
	unsigned size_class = 0;

	if (!current)
		return NULL;
	while (room < bytes && size_class < LARGE) {
		room *= 2;
		size_class++;
	}
	return size_class < LARGE ? small_alloc(size_class, room) : large_alloc(bytes);
}

void yaml_free(void *block)
{
	struct head *head;

	if (!block)
		return;
	head = head_of(block);
	if (head->size_class == LARGE)
		large_free((struct yaml_memory_large *)head - 1);
	else
		small_free(head->size_class, block, head->bytes);
}

void *yaml_realloc(void *block, size_t bytes)
{
	void *larger;

	if (block && bytes <= head_of(block)->bytes)
		return block;
	larger = yaml_malloc(bytes);
	if (larger && block) {
		memcpy(larger, block, head_of(block)->bytes);
		yaml_free(block);
	}
	return larger;
}

unsigned char *yaml_strdup(const unsigned char *string)
{
	size_t bytes = string ? strlen((const char *)string) + 1 : 0;
	unsigned char *copy = string ? yaml_malloc(bytes) : NULL;

	return copy ? memcpy(copy, string, bytes) : NULL;
}

void yaml_memory_deinit(struct yaml_memory *memory)
{
	for (struct yaml_memory_large *next, *large = memory->large; large; large = next) {
		next = large->next;
		secmem_free(large);
	}
	for (struct yaml_memory_slab *next, *slab = memory->slabs; slab; slab = next) {
		next = slab->next;
		secmem_free(slab);
	}
	*memory = (struct yaml_memory){0};
}
