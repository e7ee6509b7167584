/* SPDX-License-Identifier: Apache-2.0
 * test_engine_journal: the file gets what was written, in its order and in few pieces, before anything that could tell the difference.
 */
#include "store/engine_journal.h"
#include "tests/unit/cmocka_all.h"

#include <string.h>

#define FILE_BYTES (4 * ENGINE_JOURNAL_BYTES)

/* A file in memory, which notes what is done with it. */
static struct {
	sqlite3_file base;
	uint8_t bytes[FILE_BYTES];
	char calls[64]; /* a letter each */
	size_t n_calls;
	int fail_write; /* what the next ones say; SQLITE_OK: they don't fail */
} fake;

static void note(char call)
{
	assert_true(fake.n_calls < sizeof(fake.calls) - 1);
	fake.calls[fake.n_calls++] = call;
	fake.calls[fake.n_calls] = 0;
}

static int fake_write(sqlite3_file *file, const void *bytes, int size, sqlite3_int64 at)
{
	assert_ptr_equal(file, &fake.base);
	note('w');
	if (fake.fail_write == SQLITE_OK)
		memcpy(fake.bytes + at, bytes, (size_t)size);
	return fake.fail_write;
}

static int fake_read(sqlite3_file *file, void *ret_bytes, int size, sqlite3_int64 at)
{
	assert_ptr_equal(file, &fake.base);
	note('r');
	memcpy(ret_bytes, fake.bytes + at, (size_t)size);
	return SQLITE_OK;
}

static int fake_truncate(sqlite3_file *file, sqlite3_int64 size)
{
	assert_ptr_equal(file, &fake.base);
	note('t');
	memset(fake.bytes + size, 0, FILE_BYTES - (size_t)size);
	return SQLITE_OK;
}

static int fake_sync(sqlite3_file *file, int flags)
{
	assert_ptr_equal(file, &fake.base);
	assert_int_equal(flags, SQLITE_SYNC_FULL);
	note('s');
	return SQLITE_OK;
}

static int fake_file_size(sqlite3_file *file, sqlite3_int64 *ret_size)
{
	assert_ptr_equal(file, &fake.base);
	note('z');
	*ret_size = 77;
	return SQLITE_OK;
}

static int fake_close(sqlite3_file *file)
{
	assert_ptr_equal(file, &fake.base);
	note('c');
	return SQLITE_OK;
}

static int fake_sector_size(sqlite3_file *file)
{
	assert_ptr_equal(file, &fake.base);
	return 4096;
}

static const sqlite3_io_methods fake_methods = {
	.iVersion = 1,
	.xClose = fake_close,
	.xRead = fake_read,
	.xWrite = fake_write,
	.xTruncate = fake_truncate,
	.xSync = fake_sync,
	.xFileSize = fake_file_size,
	.xSectorSize = fake_sector_size,
};

static struct engine_journal journal;

static int setup(void **state)
{
	(void)state;
	memset(&fake, 0, sizeof(fake));
	memset(&journal, 0, sizeof(journal));
	fake.base.pMethods = &fake_methods;
	engine_journal_attach(&journal, &fake.base);
	return 0;
}

/* --- what SQLite does */

static int write_at(const char *text, sqlite3_int64 at)
{
	return fake.base.pMethods->xWrite(&fake.base, text, (int)strlen(text), at);
}

/* A call that must not see the file without what was written; its result. */
static int do_call(char call)
{
	const sqlite3_io_methods *methods = fake.base.pMethods;
	sqlite3_int64 size = 0;
	char read[4] = "";
	int r;

	switch (call) {
	case 'r':
		r = methods->xRead(&fake.base, read, 3, 12);
		if (r == SQLITE_OK)
			assert_string_equal(read, "cde");
		return r;
	case 't':
		return methods->xTruncate(&fake.base, 1000);
	case 's':
		return methods->xSync(&fake.base, SQLITE_SYNC_FULL);
	default:
		r = methods->xFileSize(&fake.base, &size);
		assert_int_equal(size, r == SQLITE_OK ? 77 : 0);
		return r;
	}
}

static void test_one_write_before_anything_else(void **state)
{
	(void)state;
	for (const char *call = "rtsz"; *call; call++) {
		char expected[] = {'w', *call, *call, 0};

		setup(NULL);
		assert_int_equal(write_at("ab", 10), SQLITE_OK);
		assert_int_equal(write_at("cde", 12), SQLITE_OK);
		assert_int_equal(write_at("f", 15), SQLITE_OK);
		assert_string_equal(fake.calls, "");
		assert_int_equal(do_call(*call), SQLITE_OK);
		assert_memory_equal(fake.bytes + 10, "abcdef", 6);
		assert_int_equal(do_call(*call), SQLITE_OK); /* nothing waits */
		assert_string_equal(fake.calls, expected);
	}
	assert_int_equal(fake.base.pMethods->xSectorSize(&fake.base), 4096);
}

/* Each of these calls fails if the write does, and isn't made; the next is, without those bytes. */
static void test_a_write_that_fails(void **state)
{
	(void)state;
	for (const char *call = "rtsz"; *call; call++) {
		char expected[] = {'w', 'w', *call, 0};

		setup(NULL);
		assert_int_equal(write_at("lost", 10), SQLITE_OK);
		fake.fail_write = SQLITE_FULL;
		assert_int_equal(do_call(*call), SQLITE_FULL);
		fake.fail_write = SQLITE_OK;
		assert_int_equal(write_at("abcde", 10), SQLITE_OK);
		assert_int_equal(do_call(*call), SQLITE_OK);
		assert_string_equal(fake.calls, expected);
		assert_memory_equal(fake.bytes + 10, "abcde", 5);
	}
	setup(NULL);
	assert_int_equal(write_at("lost", 10), SQLITE_OK);
	fake.fail_write = SQLITE_IOERR_WRITE;
	assert_int_equal(write_at("elsewhere", 100), SQLITE_IOERR_WRITE);
	fake.fail_write = SQLITE_OK;
	assert_int_equal(do_call('s'), SQLITE_OK);
	assert_string_equal(fake.calls, "ws");
}

/* What does not follow what waits makes that written first, also if it is written over it. */
static void test_order(void **state)
{
	(void)state;
	assert_int_equal(write_at("abc", 10), SQLITE_OK);
	assert_int_equal(write_at("xyz", 10), SQLITE_OK);
	assert_string_equal(fake.calls, "w");
	assert_memory_equal(fake.bytes + 10, "abc", 3);
	assert_int_equal(write_at("!", 14), SQLITE_OK); /* a gap */
	assert_string_equal(fake.calls, "ww");
	assert_int_equal(do_call('s'), SQLITE_OK);
	assert_string_equal(fake.calls, "wwws");
	assert_memory_equal(fake.bytes + 10, "xyz\0!", 5);
}

/* All of much, in pieces as long as there is room for. */
static void test_much(void **state)
{
	static uint8_t page[65536];
	uint8_t n = 0;
	sqlite3_int64 at = 0;

	(void)state;
	for (; at + 24 + (sqlite3_int64)sizeof(page) <= FILE_BYTES; at += 24 + (sqlite3_int64)sizeof(page)) {
		memset(page, ++n, sizeof(page));
		assert_int_equal(fake.base.pMethods->xWrite(&fake.base, page, 24, at), SQLITE_OK);
		assert_int_equal(fake.base.pMethods->xWrite(&fake.base, page, sizeof(page), at + 24), SQLITE_OK);
	}
	assert_int_equal(do_call('s'), SQLITE_OK);
	assert_true(fake.n_calls <= n + 1u);
	for (sqlite3_int64 i = 0; i < at; i++)
		assert_int_equal(fake.bytes[i], 1 + i / (24 + (sqlite3_int64)sizeof(page)));
}

/* What was undone is not written, and what comes at the same place is. */
static void test_forgotten(void **state)
{
	(void)state;
	assert_int_equal(write_at("undone", 10), SQLITE_OK);
	engine_journal_forget(&journal);
	assert_int_equal(write_at("done", 10), SQLITE_OK);
	assert_int_equal(do_call('s'), SQLITE_OK);
	assert_string_equal(fake.calls, "ws");
	assert_memory_equal(fake.bytes + 10, "done\0", 6); /* and nothing of the former */
}

static void test_closed(void **state)
{
	(void)state;
	assert_int_equal(write_at("of no commit", 10), SQLITE_OK);
	assert_int_equal(fake.base.pMethods->xClose(&fake.base), SQLITE_OK);
	assert_string_equal(fake.calls, "c");
	assert_ptr_equal(fake.base.pMethods, &fake_methods);
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_one_write_before_anything_else),
		TEST(test_a_write_that_fails),
		TEST(test_order),
		TEST(test_much),
		TEST(test_forgotten),
		TEST(test_closed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
