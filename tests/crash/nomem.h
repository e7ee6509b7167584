/* SPDX-License-Identifier: Apache-2.0
 * nomem: memory that runs out. The n-th allocation fails, once or with all that come after it, of whatever is asked for in this process:
 * malloc and its like, the arena, mmap, mlock, threads, descriptors of memory and socket pairs.
 *
 * Without sanitizers malloc is replaced, so that libraries' allocations count too. With them it is theirs: then what this code asks for
 * itself counts (--wrap, in the Makefile), SQLite's, and libgcrypt's for each value.
 */
#ifndef TESTS_NOMEM_H
#define TESTS_NOMEM_H

#include <stdbool.h>
#include <stdint.h>

/* nomem_init - before SQLite is used. If the program dies while allocations fail, it says of which test and allocation. */
void nomem_init(void);

/* nomem_begin - from now on allocation number @n (from 1) fails in @test (a name, borrowed), and all after it if @for_ever. In all threads.
 * nomem_end - memory is there again. Returns whether any failed. */
void nomem_begin(const char *test, uint64_t n, bool for_ever);
bool nomem_end(void);

/* nomem_passes - have @pass(@test) go with the n-th allocation failing, for all of them or about @most, others each time, and of the last, which are
 * about what is nearly done, for each; first with none. @pass is false if nothing had to fail any more. Returns how many there were. */
struct test;
uint64_t nomem_passes(const struct test *test, uint64_t most, bool (*pass)(const struct test *test, uint64_t n, bool for_ever));

/* nomem_hold, nomem_go_on - what this thread allocates in between is not counted and does not fail: the test's own. */
void nomem_hold(void);
void nomem_go_on(void);

#endif
