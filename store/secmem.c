/* SPDX-License-Identifier: Apache-2.0
 * secmem: an allocator over one locked mapping, with a free list for each size class.
 *
 * The arena is a row of blocks, each a 64-byte header and its payload. Free blocks are always zero and never
 * neighbours: freeing wipes and joins. They are listed by the power of two that their size begins with, so that what is alive
 * (a value for each document that is applied) costs nobody a walk. sodium_malloc is not used: it takes 4 mappings and
 * 26 microseconds a pair, and does not say when locking failed.
 */
#include "store/secmem.h"

#include "store/log.h"

#include <errno.h>
#include <pthread.h>
#include <sodium.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define UNIT 64
#define CLASSES 58 /* one for each power of two that a size in units can begin with */

struct block {
	size_t bytes;        /* of the payload, a multiple of UNIT */
	size_t before;       /* bytes of the payload of the block before; SIZE_MAX in the first */
	struct block *next;  /* in its free list */
	struct block **link; /* what points to it there */
	bool used;
} __attribute__((aligned(UNIT)));

static struct {
	pthread_mutex_t lock;
	uint8_t *start;
	uint8_t *end;
	struct block *free[CLASSES];
	size_t in_use;
} arena = {.lock = PTHREAD_MUTEX_INITIALIZER};

static struct block *block_after(const struct block *block)
{
	return (struct block *)((uint8_t *)(block + 1) + block->bytes);
}

static struct block *block_before(const struct block *block)
{
	return (struct block *)((uint8_t *)block - block->before) - 1;
}

static bool block_is_end(const struct block *block)
{
	return (const uint8_t *)block >= arena.end;
}

static int class_of(size_t bytes)
{
	return 63 - __builtin_clzll(bytes / UNIT);
}

static void block_list(struct block *block)
{
	struct block **head = &arena.free[class_of(block->bytes)];

	block->next = *head;
	block->link = head;
	if (block->next)
		block->next->link = &block->next;
	*head = block;
}

static void block_unlist(struct block *block)
{
	*block->link = block->next;
	if (block->next)
		block->next->link = block->link;
}

/* A free block of at least @bytes, of the smallest class that has one; or NULL. */
static struct block *block_find(size_t bytes)
{
	for (int class = class_of(bytes); class < CLASSES; class++)
		for (struct block *b = arena.free[class]; b; b = b->next)
			if (b->bytes >= bytes)
				return b;
	return NULL;
}

int secmem_init(size_t arena_bytes)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t bytes = (arena_bytes + page - 1) / page * page;
	void *start = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct block *first = start;

	if (start == MAP_FAILED) {
		log_error("no memory for an arena of %zu bytes; is there a limit (ulimit -v)? A mount takes less with a lower "
			  "-o max_staged",
			  bytes);
		return -ENOMEM;
	}
	madvise(start, bytes, MADV_DONTDUMP);
	madvise(start, bytes, MADV_WIPEONFORK);
	arena.start = start;
	arena.end = arena.start + bytes;
	arena.in_use = 0;
	first->bytes = bytes - sizeof(*first);
	first->before = SIZE_MAX;
	first->used = false;
	memset(arena.free, 0, sizeof(arena.free));
	block_list(first);
	/* pages are locked as they are touched: a large bound costs nothing until it is used */
	return mlock2(start, bytes, MLOCK_ONFAULT) == 0 ? 0 : 1;
}

void secmem_deinit(void)
{
	if (arena.start) {
		sodium_memzero(arena.start, (size_t)(arena.end - arena.start));
		munmap(arena.start, (size_t)(arena.end - arena.start));
		arena.start = arena.end = NULL;
	}
}

/* Cut @block, which is not listed, to @bytes if what is left over can be a block of its own. */
static void block_split(struct block *block, size_t bytes)
{
	if (block->bytes >= bytes + sizeof(struct block) + UNIT) {
		size_t rest = block->bytes - bytes - sizeof(struct block);
		struct block *cut;

		block->bytes = bytes;
		cut = block_after(block);
		cut->bytes = rest;
		cut->before = bytes;
		cut->used = false;
		if (!block_is_end(block_after(cut)))
			block_after(cut)->before = rest;
		block_list(cut);
	}
}

/* Make @block and the one after it one free block, not listed; the header in between becomes zeroed payload. */
static void block_join(struct block *block)
{
	struct block *next = block_after(block);

	block->bytes += sizeof(*next) + next->bytes;
	sodium_memzero(next, sizeof(*next));
	if (!block_is_end(block_after(block)))
		block_after(block)->before = block->bytes;
}

void *secmem_alloc(size_t bytes)
{
	size_t want = bytes ? (bytes + UNIT - 1) / UNIT * UNIT : UNIT;
	struct block *block;

	if (want < bytes)
		return NULL;
	pthread_mutex_lock(&arena.lock);
	block = block_find(want);
	if (block) {
		block_unlist(block);
		block_split(block, want);
		block->used = true;
		arena.in_use += sizeof(*block) + block->bytes;
	}
	pthread_mutex_unlock(&arena.lock);
	return block ? block + 1 : NULL;
}

void *secmem_free(void *memory)
{
	struct block *block;

	if (!memory)
		return NULL;
	block = (struct block *)memory - 1;
	pthread_mutex_lock(&arena.lock);
	if (!block->used)
		abort(); /* freed twice: going on would hand one buffer to two owners */
	sodium_memzero(memory, block->bytes);
	block->used = false;
	arena.in_use -= sizeof(*block) + block->bytes;
	if (!block_is_end(block_after(block)) && !block_after(block)->used) {
		block_unlist(block_after(block));
		block_join(block);
	}
	if (block->before != SIZE_MAX && !block_before(block)->used) {
		block = block_before(block);
		block_unlist(block);
		block_join(block);
	}
	block_list(block);
	pthread_mutex_unlock(&arena.lock);
	return NULL;
}

size_t secmem_bytes(const void *memory)
{
	return ((const struct block *)memory - 1)->bytes;
}

size_t secmem_in_use(void)
{
	size_t bytes;

	pthread_mutex_lock(&arena.lock);
	bytes = arena.in_use;
	pthread_mutex_unlock(&arena.lock);
	return bytes;
}

void secmem_wipe(void *memory, size_t bytes)
{
	sodium_memzero(memory, bytes);
}

static int secbuf_reserve(struct secbuf *buffer, size_t capacity)
{
	size_t doubled = buffer->capacity * 2;
	uint8_t *data;

	if (capacity <= buffer->capacity)
		return 0;
	if (capacity < doubled)
		capacity = doubled;
	data = secmem_alloc(capacity);
	if (!data)
		return -ENOMEM;
	if (buffer->size)
		memcpy(data, buffer->data, buffer->size);
	secmem_free(buffer->data);
	buffer->data = data;
	buffer->capacity = capacity;
	return 0;
}

int secbuf_resize(struct secbuf *buffer, size_t size)
{
	int r = secbuf_reserve(buffer, size);

	if (r < 0)
		return r;
	/* shrinking wipes at once: growing again must show zeros, and the bytes are no longer needed */
	if (size < buffer->size)
		sodium_memzero(buffer->data + size, buffer->size - size);
	buffer->size = size;
	return 0;
}

int secbuf_write(struct secbuf *buffer, size_t offset, const void *source, size_t bytes)
{
	size_t end;
	int r;

	if (__builtin_add_overflow(offset, bytes, &end))
		return -ENOMEM;
	if (end > buffer->size) {
		r = secbuf_resize(buffer, end);
		if (r < 0)
			return r;
	}
	if (bytes)
		memcpy(buffer->data + offset, source, bytes);
	return 0;
}

void secbuf_deinit(struct secbuf *buffer)
{
	secmem_free(buffer->data);
	*buffer = (struct secbuf){0};
}
