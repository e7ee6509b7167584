/* SPDX-License-Identifier: Apache-2.0
 * scratch: a folder of its own for each test, and what tests do with files, keys and transactions.
 *
 * Nothing here uses cmocka: a helper that cannot do its work ends the program with a line that says where.
 * A child made by fork() has an empty arena (it is wiped on fork) and calls scratch_init again.
 */
#ifndef TESTS_SCRATCH_H
#define TESTS_SCRATCH_H

#include "store/key.h"
#include "store/store.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define SCRATCH_ARENA_BYTES (32u * 1024 * 1024)

struct scratch {
	char folder[256]; /* mode 0700, ours */
	char store[300];  /* where a test's store goes; not made */
	struct key *key;  /* a key file's key, random */
};

/* End the program unless it is so: for what tests need, not for what they test. */
#define scratch_must(condition)                                                                                        \
	do {                                                                                                           \
		if (!(condition)) {                                                                                    \
			fprintf(stderr, "%s:%d: cannot go on: %s\n", __FILE__, __LINE__, #condition);                 \
			abort();                                                                                       \
		}                                                                                                      \
	} while (0)

/* scratch_init - crypto and an arena of SCRATCH_ARENA_BYTES; once in a process. */
void scratch_init(void);

/* As cmocka calls them. A group: the above, and at its end nothing may be left in the arena. */
int scratch_group_setup(void **state);
int scratch_group_teardown(void **state);

/* A test: *@state is a struct scratch with a fresh folder below $TMPDIR (or /tmp); removed with all in it. */
int scratch_setup(void **state);
int scratch_teardown(void **state);

/* scratch_path - @name in the folder. One of 16 static buffers, in turn. */
const char *scratch_path(const struct scratch *scratch, const char *name);

/* scratch_write - make or replace a file with these bytes and this mode. */
void scratch_write(const char *path, const void *bytes, size_t size, mode_t mode);

/* scratch_read - a whole file; the caller frees. */
uint8_t *scratch_read(const char *path, size_t *ret_size);

/* scratch_copy - a file's bytes, also over an existing one; mode 0600. */
void scratch_copy(const char *from, const char *to);

/* scratch_key - a key file's key of 32 random bytes; free with key_free. */
struct key *scratch_key(void);

/* scratch_random - a number below @bound, from a small generator that *@seed drives: the same seed, the same numbers. */
uint64_t scratch_random(uint64_t *seed, uint64_t bound);

/* scratch_fill - bytes that depend on @seed alone. */
void scratch_fill(void *ret_bytes, size_t size, uint64_t seed);

/* Names; they must be valid. */
struct name scratch_secret(const char *mesh, const char *name);
struct name scratch_global(const char *name);
struct name scratch_mesh(const char *name);

/* scratch_op - fill in @op: a kind and a name, the value being @size bytes (STORE_PUT, STORE_APPEND), mode 0600. */
void scratch_op(struct store_op *op, enum store_op_kind kind, struct name name, const void *value, size_t size);

/* scratch_do - such an op as a transaction of its own. Its result. @ret_outcome may be NULL. */
int scratch_do(struct store *store, enum store_op_kind kind, struct name name, const void *value, size_t size,
	       enum store_outcome *ret_outcome);

/* scratch_make - the scratch's store, empty but for the mesh `default`; uid 1000, gid 1001. */
void scratch_make(const struct scratch *scratch);

/* scratch_open - open it; it must open. scratch_try - the same, with what came of it; *@ret_store NULL on failure. */
struct store *scratch_open(const struct scratch *scratch, unsigned history, size_t cache_bytes);
int scratch_try(const struct scratch *scratch, const char *path, struct store **ret_store);

/* scratch_info - a resource that must be there. scratch_exists - is it? */
struct store_info scratch_info(struct store *store, struct name name);
bool scratch_exists(struct store *store, struct name name);

/* scratch_holds - is the current value these bytes? scratch_version_holds - is a pinned one? */
bool scratch_holds(struct store *store, struct name name, const void *bytes, size_t size);
bool scratch_version_holds(struct store *store, uint64_t node, uint64_t generation, const void *bytes, size_t size);

/* scratch_rows - how many records and values the store says it has (the header apart), once it has settled. */
uint64_t scratch_rows(struct store *store);

/* scratch_settle - wait until the commit thread has removed the rows that nobody needs any more. */
void scratch_settle(struct store *store);

#endif
