/* SPDX-License-Identifier: Apache-2.0
 * fixture: a folder of its own for each test, and what tests do with files, keys and transactions.
 *
 * Nothing here uses cmocka: a helper that cannot do its work ends the program with a line that says where.
 * A child made by fork() has an empty arena (it is wiped on fork) and calls fixture_init again.
 */
#ifndef TESTS_FIXTURE_H
#define TESTS_FIXTURE_H

#include "store/key.h"
#include "store/store.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define FIXTURE_ARENA_BYTES (32u * 1024 * 1024)

struct fixture {
	char folder[256]; /* mode 0700, ours */
	char store[300];  /* where a test's store goes; not made */
	struct key *key;  /* a key file's key, random */
};

/* End the program unless it is so: for what tests need, not for what they test. */
#define fixture_must(condition)                                                                                        \
	do {                                                                                                           \
		if (!(condition)) {                                                                                    \
			fprintf(stderr, "%s:%d: cannot go on: %s\n", __FILE__, __LINE__, #condition);                 \
			abort();                                                                                       \
		}                                                                                                      \
	} while (0)

/* fixture_init - crypto and an arena of FIXTURE_ARENA_BYTES; once in a process. */
void fixture_init(void);

/* fixture_in_memory - folders are in /dev/shm from now on, if there is one and TMPDIR is not set: for who needs no disk. */
void fixture_in_memory(void);

/* fixture_seed - for fixture_random: the program's first argument, or at random. After fixture_init. */
uint64_t fixture_seed(int argc, char **argv);

/* fixture_shared - zeroed memory that this process and its children share, until it ends. */
void *fixture_shared(size_t bytes);

/* As cmocka calls them. A group: the above, and at its end nothing may be left in the arena. */
int fixture_group_setup(void **state);
int fixture_group_teardown(void **state);

/* A test: *@state is a struct fixture with a fresh folder below $TMPDIR (or /tmp); removed with all in it. */
int fixture_setup(void **state);
int fixture_teardown(void **state);

/* fixture_listen - from here on what is written to stderr is kept. fixture_heard - what it was (64 KiB at most), and no more of it: its size, without
 * the NUL behind it. */
void fixture_listen(void);
size_t fixture_heard(char *ret_text, size_t room);

/* fixture_status_of - with what a child ends that calls @run(@context), 0 if that returns; -1: by a signal. What it writes to stderr is kept. */
int fixture_status_of(void (*run)(const void *context), const void *context);

/* fixture_path - @name in the folder. One of 16 static buffers, in turn. */
const char *fixture_path(const struct fixture *fixture, const char *name);

/* fixture_write - make or replace a file with these bytes and this mode. */
void fixture_write(const char *path, const void *bytes, size_t size, mode_t mode);

/* fixture_read - a whole file; the caller frees. */
uint8_t *fixture_read(const char *path, size_t *ret_size);

/* fixture_copy - a file's bytes, also over an existing one; mode 0600. */
void fixture_copy(const char *from, const char *to);

/* fixture_key - a key file's key of 32 random bytes; free with key_free. */
struct key *fixture_key(void);

/* fixture_random - a number below @bound, from a small generator that *@seed drives: the same seed, the same numbers. */
uint64_t fixture_random(uint64_t *seed, uint64_t bound);

/* fixture_fill - bytes that depend on @seed alone. */
void fixture_fill(void *ret_bytes, size_t size, uint64_t seed);

/* Names; they must be valid. */
struct name fixture_secret(const char *mesh, const char *name);
struct name fixture_global(const char *name);
struct name fixture_mesh(const char *name);

/* A Mesh's document, told from others by its note; both literals. */
#define FIXTURE_MESH(name, note) "type: Mesh\nname: " name "\nnote: " note "\n"

/* fixture_op - fill in @op: a kind and a name, the value being @size bytes (STORE_PUT, STORE_APPEND), mode 0600. */
void fixture_op(struct store_op *op, enum store_op_kind kind, struct name name, const void *value, size_t size);

/* fixture_do - such an op as a transaction of its own. Its result. @ret_outcome may be NULL. */
int fixture_do(struct store *store, enum store_op_kind kind, struct name name, const void *value, size_t size,
	       enum store_outcome *ret_outcome);

/* fixture_make - the fixture's store, empty but for the mesh `default`; uid 1000, gid 1001. */
void fixture_make(const struct fixture *fixture);

/* fixture_open - open it; it must open. fixture_try - the same, with what came of it; *@ret_store NULL on failure. */
struct store *fixture_open(const struct fixture *fixture, unsigned history, size_t cache_bytes);
int fixture_try(const struct fixture *fixture, const char *path, struct store **ret_store);

/* fixture_info - a resource that must be there. fixture_exists - is it? */
struct store_info fixture_info(struct store *store, struct name name);
bool fixture_exists(struct store *store, struct name name);

/* fixture_sql - statements of SQL on the file of a store that nobody has open. */
void fixture_sql(const char *path, const char *text);

/* fixture_holds - is the current value these bytes? fixture_version_holds - is a pinned one? */
bool fixture_holds(struct store *store, struct name name, const void *bytes, size_t size);
bool fixture_version_holds(struct store *store, uint64_t node, uint64_t generation, const void *bytes, size_t size);

/* fixture_rows - how many records and values the store says it has (the header apart), once it has settled. */
uint64_t fixture_rows(struct store *store);

/* fixture_settle - wait until the commit thread has removed the rows that nobody needs any more. */
void fixture_settle(struct store *store);

#endif
