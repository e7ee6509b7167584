/* SPDX-License-Identifier: Apache-2.0
 * secmem: memory for keys and plaintext. Locked, left out of core files, wiped by its own free.
 *
 * One arena for the process, of a size fixed at the start. There is no way to get plaintext memory that is not
 * wiped when it is released, so nobody has to remember to wipe.
 */
#ifndef STORE_SECMEM_H
#define STORE_SECMEM_H

#include <stddef.h>
#include <stdint.h>

/* secmem_init - make the arena of @arena_bytes (rounded up to pages) and lock it.
 * Call once, after the last fork (locks don't survive one) and before threads.
 * 0; 1 if it works but could not be locked (RLIMIT_MEMLOCK), so that it might be swapped; -ENOMEM. */
int secmem_init(size_t arena_bytes);

/* secmem_deinit - wipe and unmap the arena. Whatever is still in use is gone. */
void secmem_deinit(void);

/* secmem_alloc - @bytes of zeroed memory, aligned to 64; NULL if the arena has no such room. Any thread. */
void *secmem_alloc(size_t bytes);

/* secmem_free - wipe and release. NULL is allowed. Returns NULL. Any thread. */
void *secmem_free(void *memory);

/* secmem_bytes - how many bytes @memory, which secmem_alloc gave, has room for. */
size_t secmem_bytes(const void *memory);

/* secmem_in_use - bytes handed out at the moment, block headers included. */
size_t secmem_in_use(void);

/* secmem_wipe - zero memory that is not from the arena (a stack variable), not to be optimised away. */
void secmem_wipe(void *memory, size_t bytes);

/* A growing buffer in the arena. A zeroed struct is an empty buffer. */
struct secbuf {
	uint8_t *data;    /* @size bytes in use, of @capacity; owned */
	size_t size;
	size_t capacity;
};

/* secbuf_resize - make it @size bytes long; what is new is zero. -ENOMEM leaves it as it was. */
int secbuf_resize(struct secbuf *buffer, size_t size);

/* secbuf_write - copy @bytes from @source to @offset, growing as needed (a hole is zero). -ENOMEM leaves it as it was. */
int secbuf_write(struct secbuf *buffer, size_t offset, const void *source, size_t bytes);

/* secbuf_deinit - wipe, release, and leave an empty buffer. */
void secbuf_deinit(struct secbuf *buffer);

#define SECBUF_AUTO __attribute__((cleanup(secbuf_deinit))) struct secbuf

#endif
