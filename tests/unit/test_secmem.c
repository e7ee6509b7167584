/* SPDX-License-Identifier: Apache-2.0
 * test_secmem: the arena hands out zeroed memory, wipes what it gets back, and joins what is free.
 */
#include "tests/unit/cmocka_all.h"

#include "store/crypto.h"
#include "store/secmem.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ARENA (1024 * 1024)

static int setup(void **state)
{
	(void)state;
	crypto_init();
	return secmem_init(ARENA) < 0 ? -1 : 0;
}

static int teardown(void **state)
{
	(void)state;
	secmem_deinit();
	return 0;
}

/* Every test gives back all that it took. */
static int check_empty(void **state)
{
	(void)state;
	return secmem_in_use() == 0 ? 0 : -1;
}

static bool is_zero(const uint8_t *bytes, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (bytes[i])
			return false;
	return true;
}

static void test_alloc_is_zeroed_and_aligned(void **state)
{
	static const size_t sizes[] = {0, 1, 63, 64, 65, 100, 4096, 100000};

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		uint8_t *memory = secmem_alloc(sizes[i]);

		assert_non_null(memory);
		assert_int_equal((uintptr_t)memory % 64, 0);
		assert_true(is_zero(memory, sizes[i]));
		memset(memory, 0xff, sizes[i]);
		assert_null(secmem_free(memory));
	}
}

static void test_free_wipes(void **state)
{
	uint8_t *memory = secmem_alloc(10000);
	uint8_t *guard = secmem_alloc(64);

	(void)state;
	assert_non_null(memory);
	memset(memory, 0xa5, 10000);
	secmem_free(memory);
	/* the arena stays mapped, so one may look at what was freed */
	assert_true(is_zero(memory, 10000));
	secmem_free(guard);
}

static void test_free_null(void **state)
{
	(void)state;
	assert_null(secmem_free(NULL));
}

static void test_full_arena(void **state)
{
	void *memory = secmem_alloc(ARENA - 64);

	(void)state;
	assert_non_null(memory);
	assert_null(secmem_alloc(1));
	secmem_free(memory);
	assert_null(secmem_alloc(ARENA));
	assert_null(secmem_alloc(SIZE_MAX));
	assert_null(secmem_alloc(SIZE_MAX - 62));
	assert_null(secmem_alloc(SIZE_MAX - 128));
}

/* Free neighbours become one block whatever the order of freeing, or the last allocation would not fit. */
static void test_joins_in_any_order(void **state)
{
	static const int orders[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};

	(void)state;
	for (int i = 0; i < 6; i++) {
		void *blocks[3];
		void *all;

		for (int j = 0; j < 3; j++) {
			blocks[j] = secmem_alloc(1000 * ((size_t)j + 1));
			assert_non_null(blocks[j]);
			memset(blocks[j], 0xee, 1000 * ((size_t)j + 1));
		}
		for (int j = 0; j < 3; j++)
			secmem_free(blocks[orders[i][j]]);
		assert_int_equal(secmem_in_use(), 0);
		all = secmem_alloc(ARENA - 64);
		assert_non_null(all);
		assert_true(is_zero(all, ARENA - 64)); /* no block header is left inside */
		secmem_free(all);
	}
}

static void test_in_use(void **state)
{
	size_t before = secmem_in_use();
	void *memory = secmem_alloc(100);

	(void)state;
	assert_int_equal(secmem_in_use(), before + 64 + 128);
	secmem_free(memory);
	assert_int_equal(secmem_in_use(), before);
}

/* Blocks don't overlap: each keeps its own pattern while others come and go. */
static void test_random_use(void **state)
{
	uint8_t *blocks[64] = {0};
	size_t sizes[64] = {0};
	uint32_t x = 12345;

	(void)state;
	for (int round = 0; round < 20000; round++) {
		size_t at;

		x = x * 1664525u + 1013904223u;
		at = x >> 16 & 63;
		if (blocks[at]) {
			for (size_t i = 0; i < sizes[at]; i++)
				assert_int_equal(blocks[at][i], at + 1);
			blocks[at] = secmem_free(blocks[at]);
		} else {
			sizes[at] = x >> 4 & 0x7fff;
			blocks[at] = secmem_alloc(sizes[at]);
			if (!blocks[at])
				continue;
			assert_true(is_zero(blocks[at], sizes[at]));
			memset(blocks[at], (int)at + 1, sizes[at]);
		}
	}
	for (size_t i = 0; i < 64; i++)
		secmem_free(blocks[i]);
	assert_int_equal(secmem_in_use(), 0);
}

/* Processor time of so many pairs of alloc and free, in ns: the least of some rounds. */
static int64_t pairs_ns(void)
{
	int64_t least = INT64_MAX;

	for (int round = 0; round < 10; round++) {
		struct timespec begin, end;
		int64_t ns;

		clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &begin);
		for (int i = 0; i < 500; i++)
			secmem_free(secmem_alloc(64));
		clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &end);
		ns = (end.tv_sec - begin.tv_sec) * 1000000000LL + end.tv_nsec - begin.tv_nsec;
		if (ns < least)
			least = ns;
	}
	return least;
}

/* What is alive, and what is free but too small, costs who comes next no walk. */
static void test_many_alive(void **state)
{
	enum { MANY = ARENA / 128 - 16 };
	static void *blocks[MANY];
	int64_t empty = pairs_ns(), full;

	(void)state;
	for (size_t i = 0; i < MANY; i++) {
		blocks[i] = secmem_alloc(64);
		assert_non_null(blocks[i]);
	}
	full = pairs_ns();
	for (size_t i = 0; i < MANY; i += 2)
		blocks[i] = secmem_free(blocks[i]);
	print_message("# %d pairs of alloc and free: %lld ns, beside %d blocks %lld ns\n", 500, (long long)empty, MANY, (long long)full);
	assert_true(full < 20 * empty);
	blocks[0] = secmem_alloc(1024); /* none of the holes is as large */
	assert_non_null(blocks[0]);
	for (size_t i = 0; i < MANY; i++)
		secmem_free(blocks[i]);
}

static void aborted(int number)
{
	(void)number;
	_exit(7); /* so that what it has run is counted */
}

static void test_double_free_ends_the_program(void **state)
{
	void *keep = secmem_alloc(64);
	int status;
	pid_t pid;

	(void)state;
	pid = fork();
	if (pid == 0) {
		void *memory;

		signal(SIGABRT, aborted);
		if (secmem_init(ARENA) < 0)
			_exit(2);
		memory = secmem_alloc(64);
		secmem_free(memory);
		secmem_free(memory);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 7);
	secmem_free(keep);
}

static void test_fork_sees_nothing(void **state)
{
	uint8_t *memory = secmem_alloc(100);
	int status;
	pid_t pid;

	(void)state;
	memset(memory, 0x5a, 100);
	pid = fork();
	if (pid == 0)
		_exit(is_zero(memory, 100) ? 0 : 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(memory[99], 0x5a);
	secmem_free(memory);
}

static void test_wipe(void **state)
{
	uint8_t bytes[100];

	(void)state;
	memset(bytes, 1, sizeof(bytes));
	secmem_wipe(bytes, sizeof(bytes) - 1);
	assert_true(is_zero(bytes, sizeof(bytes) - 1));
	assert_int_equal(bytes[99], 1);
}

static void test_buffer_grows_with_zeros(void **state)
{
	struct secbuf buffer = {0};

	(void)state;
	assert_int_equal(secbuf_resize(&buffer, 0), 0);
	assert_int_equal(secbuf_write(&buffer, 10, "abc", 3), 0);
	assert_int_equal(buffer.size, 13);
	assert_true(is_zero(buffer.data, 10));
	assert_memory_equal(buffer.data + 10, "abc", 3);
	assert_int_equal(secbuf_write(&buffer, 0, "xy", 2), 0);
	assert_int_equal(buffer.size, 13);
	assert_memory_equal(buffer.data, "xy", 2);
	assert_int_equal(secbuf_resize(&buffer, 5000), 0);
	assert_memory_equal(buffer.data + 10, "abc", 3);
	assert_true(is_zero(buffer.data + 13, 5000 - 13));
	secbuf_deinit(&buffer);
	assert_null(buffer.data);
	assert_int_equal(buffer.size, 0);
	secbuf_deinit(&buffer);
}

static void test_buffer_shrinks_wiping(void **state)
{
	struct secbuf buffer = {0};

	(void)state;
	assert_int_equal(secbuf_write(&buffer, 0, "0123456789", 10), 0);
	assert_int_equal(secbuf_resize(&buffer, 4), 0);
	assert_true(is_zero(buffer.data + 4, 6));
	assert_int_equal(secbuf_resize(&buffer, 10), 0);
	assert_memory_equal(buffer.data, "0123\0\0\0\0\0\0", 10);
	secbuf_deinit(&buffer);
}

static void test_buffer_without_room_stays(void **state)
{
	struct secbuf buffer = {0};

	(void)state;
	assert_int_equal(secbuf_write(&buffer, 0, "keep", 4), 0);
	assert_int_equal(secbuf_resize(&buffer, 2 * ARENA), -ENOMEM);
	assert_int_equal(secbuf_write(&buffer, 2 * ARENA, "x", 1), -ENOMEM);
	assert_int_equal(buffer.size, 4);
	assert_memory_equal(buffer.data, "keep", 4);
	secbuf_deinit(&buffer);
}

static void test_buffer_of_no_size_there_is(void **state)
{
	SECBUF_AUTO buffer = {0};

	(void)state;
	assert_int_equal(secbuf_write(&buffer, 0, "before", 6), 0);
	assert_int_equal(secbuf_write(&buffer, SIZE_MAX, "xx", 2), -ENOMEM);
	assert_int_equal(buffer.size, 6);
}

static void test_buffer_auto(void **state)
{
	size_t before = secmem_in_use();

	(void)state;
	{
		SECBUF_AUTO buffer = {0};

		assert_int_equal(secbuf_resize(&buffer, 100), 0);
		assert_true(secmem_in_use() > before);
	}
	assert_int_equal(secmem_in_use(), before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_alloc_is_zeroed_and_aligned, check_empty),
		cmocka_unit_test_teardown(test_free_wipes, check_empty),
		cmocka_unit_test_teardown(test_free_null, check_empty),
		cmocka_unit_test_teardown(test_full_arena, check_empty),
		cmocka_unit_test_teardown(test_joins_in_any_order, check_empty),
		cmocka_unit_test_teardown(test_in_use, check_empty),
		cmocka_unit_test_teardown(test_random_use, check_empty),
		cmocka_unit_test_teardown(test_many_alive, check_empty),
		cmocka_unit_test_teardown(test_double_free_ends_the_program, check_empty),
		cmocka_unit_test_teardown(test_fork_sees_nothing, check_empty),
		cmocka_unit_test_teardown(test_wipe, check_empty),
		cmocka_unit_test_teardown(test_buffer_grows_with_zeros, check_empty),
		cmocka_unit_test_teardown(test_buffer_shrinks_wiping, check_empty),
		cmocka_unit_test_teardown(test_buffer_without_room_stays, check_empty),
		cmocka_unit_test_teardown(test_buffer_of_no_size_there_is, check_empty),
		cmocka_unit_test_teardown(test_buffer_auto, check_empty),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
