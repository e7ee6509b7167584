/* SPDX-License-Identifier: Apache-2.0
 * test_engine: rows in one file: all of a commit or none, for one process at a time, and nobody else's file.
 */
#include "tests/unit/cmocka_all.h"
#include "tests/unit/fixture.h"

#include "store/engine.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <sqlite3.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

static off_t length(const char *path)
{
	struct stat st;

	fixture_must(stat(path, &st) == 0);
	return st.st_size;
}

/* SQLite's; it says that the file has been replaced, if it is told to. Or the journal goes when it is asked for that. */
static bool always_moved;
static const char *journal_goes;

int __real_sqlite3_file_control(sqlite3 *db, const char *name, int what, void *argument);
int __wrap_sqlite3_file_control(sqlite3 *db, const char *name, int what, void *argument);
int __wrap_sqlite3_file_control(sqlite3 *db, const char *name, int what, void *argument)
{
	int r = __real_sqlite3_file_control(db, name, what, argument);

	if (what == SQLITE_FCNTL_HAS_MOVED && always_moved)
		*(int *)argument = 1;
	if (what == SQLITE_FCNTL_JOURNAL_POINTER && journal_goes)
		unlink(journal_goes);
	return r;
}

/* libc's; the file does not grow, if it is told so: then it notes the journal's length. Or a signal comes so many times. */
static bool no_growth;
static unsigned interruptions;
static const char *journal;
static off_t journal_length;

int __real_posix_fallocate(int fd, off_t offset, off_t size);
int __wrap_posix_fallocate(int fd, off_t offset, off_t size);
int __wrap_posix_fallocate(int fd, off_t offset, off_t size)
{
	if (interruptions) {
		interruptions--;
		return EINTR;
	}
	if (no_growth && journal)
		journal_length = length(journal);
	return no_growth ? EIO : __real_posix_fallocate(fd, offset, size);
}

/* libc's; a filesystem that has no bound says 0 of everything. */
static bool no_bound;

int __real_statvfs(const char *path, struct statvfs *ret_st);
int __wrap_statvfs(const char *path, struct statvfs *ret_st);
int __wrap_statvfs(const char *path, struct statvfs *ret_st)
{
	int r = __real_statvfs(path, ret_st);

	if (no_bound)
		ret_st->f_blocks = ret_st->f_bfree = ret_st->f_bavail = 0;
	return r;
}

/* libc's; what has a name is on another filesystem, mounted over the one before, if it is told so. */
static bool another_disk;

int __real_stat(const char *path, struct stat *ret_st);
int __wrap_stat(const char *path, struct stat *ret_st);
int __wrap_stat(const char *path, struct stat *ret_st)
{
	int r = __real_stat(path, ret_st);

	ret_st->st_dev += another_disk;
	return r;
}

/* libc's; it fails if it is asked to. */
static bool no_fstat;

int __real_fstat(int fd, struct stat *ret_st);
int __wrap_fstat(int fd, struct stat *ret_st);
int __wrap_fstat(int fd, struct stat *ret_st)
{
	errno = EIO;
	return no_fstat ? -1 : __real_fstat(fd, ret_st);
}

/* libc's; it fails if it is asked to, and leaves this process without a descriptor to be had. */
static bool no_fsync;

int __real_fsync(int fd);
int __wrap_fsync(int fd);
int __wrap_fsync(int fd)
{
	struct rlimit limit;

	if (!no_fsync)
		return __real_fsync(fd);
	fixture_must(getrlimit(RLIMIT_NOFILE, &limit) == 0);
	limit.rlim_cur = 0;
	fixture_must(setrlimit(RLIMIT_NOFILE, &limit) == 0);
	errno = EIO;
	return -1;
}

/* folder.c's; it fails if it is asked to. */
static int folder_error;

int __real_folder_open(const char *path);
int __wrap_folder_open(const char *path);
int __wrap_folder_open(const char *path)
{
	return folder_error ? folder_error : __real_folder_open(path);
}

#define CHANGE(k, d) {(const uint8_t *)(k), sizeof(k) - 1, (const uint8_t *)(d), sizeof(d) - 1}
#define REMOVAL(k) {(const uint8_t *)(k), sizeof(k) - 1, NULL, 0}

static const struct engine_change first_rows[] = {CHANGE("b", "two"), CHANGE("a", "one"), CHANGE("c\0d", "\0\1\2")};

static void make(const char *path)
{
	assert_int_equal(engine_create(path, first_rows, 3), 0);
}

static struct engine *open_engine(const char *path)
{
	struct engine *engine = NULL;

	assert_int_equal(engine_open(path, &engine), 0);
	assert_non_null(engine);
	return engine;
}

static int open_fails(const char *path)
{
	struct engine *engine = NULL;
	int r = engine_open(path, &engine);

	assert_null(engine);
	return r;
}

static void assert_row(struct engine *engine, const char *key, size_t key_size, const char *data, size_t size)
{
	uint8_t *found;
	size_t found_size;

	assert_int_equal(engine_get(engine, (const uint8_t *)key, key_size, &found, &found_size), 0);
	assert_int_equal(found_size, size);
	assert_memory_equal(found, data, size);
	free(found);
}

static void assert_row_at(struct engine *engine, uint64_t place, const char *key, const char *data)
{
	uint8_t *found;
	size_t size;

	assert_int_equal(engine_get_at(engine, place, (const uint8_t *)key, strlen(key), &found, &size), 0);
	assert_int_equal(size, strlen(data));
	assert_memory_equal(found, data, size);
	free(found);
}

static int get(struct engine *engine, const char *key)
{
	uint8_t *data;
	size_t size;
	int r = engine_get(engine, (const uint8_t *)key, strlen(key), &data, &size);

	if (r == 0)
		free(data);
	return r;
}

static void test_create_and_open(void **state)
{
	struct fixture *fixture = *state;
	struct engine *engine;
	char wal[310];
	struct stat st;

	make(fixture->store);
	assert_int_equal(stat(fixture->store, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	snprintf(wal, sizeof(wal), "%s-wal", fixture->store);
	assert_int_equal(access(wal, F_OK), -1); /* all is in the file itself */
	engine = open_engine(fixture->store);
	assert_row(engine, "a", 1, "one", 3);
	assert_row(engine, "b", 1, "two", 3);
	assert_row(engine, "c\0d", 3, "\0\1\2", 3);
	assert_int_equal(get(engine, "c"), -ENOENT);
	assert_int_equal(get(engine, ""), -ENOENT);
	assert_null(engine_close(engine));
	assert_null(engine_close(NULL));
}

static void test_create_keeps_what_is_there(void **state)
{
	struct fixture *fixture = *state;
	uint8_t *bytes;
	size_t size;

	fixture_write(fixture->store, "mine", 4, 0600);
	assert_int_equal(engine_create(fixture->store, first_rows, 3), -EEXIST);
	bytes = fixture_read(fixture->store, &size);
	assert_int_equal(size, 4);
	assert_memory_equal(bytes, "mine", 4);
	free(bytes);
	assert_int_equal(engine_create(fixture_path(fixture, "no/where"), first_rows, 3), -ENOENT);
	assert_int_equal(symlink(fixture_path(fixture, "target"), fixture_path(fixture, "link")), 0);
	assert_int_equal(engine_create(fixture_path(fixture, "link"), first_rows, 3), -EEXIST);
	assert_int_equal(access(fixture_path(fixture, "target"), F_OK), -1);
}

struct scan {
	char text[100];
	size_t size;
	int stop_at, calls;
	uint64_t places[3]; /* of the last three */
};

static int visit(void *context, const uint8_t *key, size_t key_size, const uint8_t *data, size_t size, uint64_t place)
{
	struct scan *scan = context;

	if (++scan->calls == scan->stop_at)
		return -ECANCELED;
	scan->places[(scan->calls - 1) % 3] = place;
	memcpy(scan->text + scan->size, key, key_size);
	scan->size += key_size;
	scan->text[scan->size++] = '=';
	if (size)
		memcpy(scan->text + scan->size, data, size);
	scan->size += size;
	scan->text[scan->size++] = ';';
	return 0;
}

static int visit_none(void *context, const uint8_t *key, size_t key_size, const uint8_t *data, size_t size, uint64_t place)
{
	(void)context, (void)key, (void)key_size, (void)data, (void)size, (void)place;
	return 0;
}

static void test_scan(void **state)
{
	struct fixture *fixture = *state;
	static const struct engine_change more[] = {CHANGE("\xff", "last"), CHANGE("\x00", "first"), CHANGE("aa", "")};
	static const char expected[] = "\0=first;a=one;aa=;b=two;c\0d=\0\1\2;\xff=last;";
	struct engine *engine;
	struct scan scan = {0};

	make(fixture->store);
	engine = open_engine(fixture->store);
	assert_int_equal(engine_commit(engine, more, 3), 0);
	assert_int_equal(engine_scan(engine, ENGINE_BY_KEY, visit, &scan), 0);
	assert_int_equal(scan.size, sizeof(expected) - 1);
	assert_memory_equal(scan.text, expected, scan.size);
	scan = (struct scan){.stop_at = 2};
	assert_int_equal(engine_scan(engine, ENGINE_BY_KEY, visit, &scan), -ECANCELED);
	assert_int_equal(scan.calls, 2);
	assert_row(engine, "aa", 2, "", 0);
	engine_close(engine);
}

/* As the file has them: in the order in which they were made, whatever was replaced since. */
static void test_scan_as_stored(void **state)
{
	struct fixture *fixture = *state;
	static const struct engine_change more[] = {CHANGE("aa", "new"), CHANGE("b", "TWO"), REMOVAL("a")};
	static const char expected[] = "b=TWO;c\0d=\0\1\2;aa=new;";
	struct engine *engine;
	struct scan scan = {0};

	make(fixture->store);
	engine = open_engine(fixture->store);
	assert_int_equal(engine_commit(engine, more, 3), 0);
	assert_int_equal(engine_scan(engine, ENGINE_STORED, visit, &scan), 0);
	assert_int_equal(scan.size, sizeof(expected) - 1);
	assert_memory_equal(scan.text, expected, scan.size);
	scan = (struct scan){.stop_at = 2};
	assert_int_equal(engine_scan(engine, ENGINE_STORED, visit, &scan), -ECANCELED);
	engine_close(engine);
}

/* Somebody gives the table the index of another one, which has the same schema. */
static void test_index_of_other_rows(void **state)
{
	static const struct {
		const char *rows; /* of the other one */
		int expected;
	} cases[] = {
		{"SELECT rowid,key,data FROM row", 0},
		{"SELECT 4-rowid,key,data FROM row", -EBADMSG},                        /* each key has another's row */
		{"SELECT rowid,key,data FROM row WHERE rowid<>2", -EBADMSG},           /* one is not found */
		{"SELECT rowid,key,data FROM row UNION ALL SELECT 9,x'7a',x''", -EBADMSG}, /* one is found that is not there */
		{"SELECT rowid,iif(rowid=2,x'61ff',key),data FROM row", -EBADMSG},     /* one has another key */
	};
	struct fixture *fixture = *state;
	char text[1000];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct scan scan = {0};
		struct engine *engine;

		make(fixture->store);
		snprintf(text, sizeof(text),
			 "CREATE TABLE other(key BLOB NOT NULL UNIQUE, data BLOB NOT NULL);INSERT INTO other(rowid,key,data) %s;"
			 "PRAGMA writable_schema=ON;UPDATE sqlite_schema SET rootpage=(SELECT rootpage FROM sqlite_schema WHERE"
			 " name='sqlite_autoindex_other_1') WHERE name='sqlite_autoindex_row_1';"
			 "DELETE FROM sqlite_schema WHERE tbl_name='other'",
			 cases[i].rows);
		fixture_sql(fixture->store, text);
		engine = open_engine(fixture->store);
		assert_int_equal(engine_scan(engine, ENGINE_STORED, visit, &scan), cases[i].expected);
		assert_int_equal(scan.calls, 3);
		assert_row_at(engine, scan.places[0], "b", "two"); /* as it is not looked for in the index */
		engine_close(engine);
		assert_int_equal(engine_remove(fixture->store), 0);
	}
}

enum { TREE_ROWS = 400, TREE_KEY = 30, TREE_BYTES = 100, TREE_PAGE = 4096, TREE_CELLS = 12, TREE_LEAF_CELLS = 8 };

static void tree_row(uint64_t number, uint8_t ret_key[static TREE_KEY], uint8_t ret_data[static TREE_BYTES])
{
	fixture_fill(ret_key, TREE_KEY, 2 * number);
	fixture_fill(ret_data, TREE_BYTES, 2 * number + 1);
}

static void tree_make(const char *path)
{
	static uint8_t keys[TREE_ROWS][TREE_KEY], data[TREE_ROWS][TREE_BYTES];
	static struct engine_change changes[TREE_ROWS];

	for (size_t i = 0; i < TREE_ROWS; i++) {
		tree_row(i, keys[i], data[i]);
		changes[i] = (struct engine_change){keys[i], TREE_KEY, data[i], TREE_BYTES};
	}
	assert_int_equal(engine_create(path, changes, TREE_ROWS), 0);
}

/* Opened and scanned? Then each row is found by its key, and as it was. */
static bool tree_is_taken(const char *path)
{
	uint8_t key[TREE_KEY], expected[TREE_BYTES];
	struct engine *engine = NULL;
	bool taken;

	if (engine_open(path, &engine) < 0)
		return false;
	taken = engine_scan(engine, ENGINE_STORED, visit_none, NULL) == 0;
	for (size_t i = 0; i < TREE_ROWS && taken; i++) {
		tree_row(i, key, expected);
		assert_row(engine, (const char *)key, TREE_KEY, (const char *)expected, TREE_BYTES);
	}
	engine_close(engine);
	return taken;
}

/* Big-endian. */
static void put_number(uint8_t *at, unsigned bytes, size_t number)
{
	while (bytes--) {
		at[bytes] = (uint8_t)number;
		number >>= 8;
	}
}

/* An inner page of a table at @page (of page 1: behind the file's header) that leads to @child @n times, and then to @last. */
static void put_inner(uint8_t *page, size_t head, uint32_t child, unsigned n, uint32_t last)
{
	uint8_t *at = page + TREE_PAGE;

	memset(page + head, 0, TREE_PAGE - head);
	page[head] = 5;
	put_number(page + head + 3, 2, n);
	put_number(page + head + 5, 2, TREE_PAGE - 6 * n);
	put_number(page + head + 8, 4, last);
	for (unsigned i = 0; i < n; i++) {
		at -= 6; /* the child, and a key of two bytes */
		put_number(at, 4, child);
		at[4] = 0x81 + (uint8_t)(i / 128);
		at[5] = (uint8_t)(i % 128);
		put_number(page + head + TREE_CELLS + 2 * i, 2, (size_t)(at - page));
	}
}

/* The pages of the file @bytes, of which each but the last few was there before. */
static void put_pages(const char *path, uint8_t *bytes, size_t pages)
{
	put_number(bytes + 28, 4, pages);
	fixture_write(path, bytes, pages * TREE_PAGE, 0600);
}

static int count_rows(void *context, const uint8_t *key, size_t key_size, const uint8_t *data, size_t size, uint64_t place)
{
	(void)key, (void)key_size, (void)data, (void)size, (void)place;
	++*(size_t *)context;
	return 0;
}

/* A few pages that lead to each other, so that there is no end to the rows that are found in them, in the table or in the schema: refused at once. */
static void test_rows_without_end(void **state)
{
	enum { FAN = 400, MORE = 6 };
	struct fixture *fixture = *state;
	struct engine *engine;
	uint8_t *bytes, *made;
	uint32_t last;
	size_t size, rows = 0;

	make(fixture->store);
	bytes = fixture_read(fixture->store, &size);
	made = calloc(1, size + MORE * TREE_PAGE);
	memcpy(made, bytes, size);
	last = (uint32_t)(size / TREE_PAGE);
	assert_int_equal(bytes[TREE_PAGE], 13); /* the table is a leaf */
	memcpy(made + size, bytes + TREE_PAGE, TREE_PAGE);
	put_inner(made + size + TREE_PAGE, 0, last + 1, FAN, last + 1);
	put_inner(made + TREE_PAGE, 0, last + 2, FAN, last + 2);
	put_pages(fixture->store, made, last + 2);
	engine = open_engine(fixture->store);
	assert_int_equal(engine_scan(engine, ENGINE_STORED, count_rows, &rows), -EBADMSG);
	assert_in_range(rows, 3, (last + 2) * TREE_PAGE);
	engine_close(engine);

	memcpy(made, bytes, size);
	assert_int_equal(bytes[100], 13); /* so is the schema, of the table and its index */
	for (int row = 0; row < 2; row++) {
		uint8_t *leaf = made + size + (size_t)row * TREE_PAGE;

		memcpy(leaf, bytes, TREE_PAGE);
		memcpy(leaf, bytes + 100, TREE_LEAF_CELLS);
		put_number(leaf + 3, 2, 1);
		memcpy(leaf + TREE_LEAF_CELLS, bytes + 100 + TREE_LEAF_CELLS + 2 * row, 2);
	}
	for (uint32_t page = 2; page < MORE; page++)
		put_inner(made + size + page * TREE_PAGE, 0, last + page, FAN, last + page);
	put_inner(made, 100, last + 1, 1, last + MORE);
	put_pages(fixture->store, made, last + MORE);
	alarm(60);
	assert_int_equal(open_fails(fixture->store), -EBADMSG);
	alarm(0);
	free(made);
	free(bytes);
}

struct deep_scan {
	struct engine *engine;
	enum engine_order order;
	int result;
};

static void *deep_scan(void *context)
{
	struct deep_scan *scan = context;

	scan->result = engine_scan(scan->engine, scan->order, visit_none, NULL);
	return NULL;
}

/* Pages that lead to each other thousands deep, where no search comes by, are in the open file, below the table or the schema: refused before
 * somebody goes down there who has no stack for it. */
static void test_pages_too_deep(void **state)
{
	enum { DEEP = 4000, STACK = 256 * 1024 };
	struct fixture *fixture = *state;
	pthread_attr_t little;

	pthread_attr_init(&little);
	assert_int_equal(pthread_attr_setstacksize(&little, STACK), 0);
	for (unsigned which = 0; which < 4; which++) {
		struct deep_scan scan = {.order = which & 1 ? ENGINE_STORED : ENGINE_BY_KEY};
		const size_t head = which & 2 ? 100 : 0, at = head ? 0 : TREE_PAGE; /* the schema is behind the file's header */
		uint8_t *bytes, *made;
		pthread_t thread;
		uint32_t last;
		size_t size;

		make(fixture->store);
		scan.engine = open_engine(fixture->store);
		bytes = fixture_read(fixture->store, &size);
		last = (uint32_t)(size / TREE_PAGE);
		made = calloc(1, size + (1 + DEEP) * TREE_PAGE);
		memcpy(made, bytes, size);
		memcpy(made + size, bytes + at, TREE_PAGE); /* what was there, one below */
		memmove(made + size, made + size + head, TREE_LEAF_CELLS + 2 * 3);
		put_inner(made + at, head, last + 1, 1, last + 2);
		for (uint32_t page = 1; page <= DEEP; page++)
			put_inner(made + size + page * TREE_PAGE, 0, 0, 0, last + 2 + page);
		put_pages(fixture->store, made, last + 1 + DEEP);
		assert_int_equal(pthread_create(&thread, &little, deep_scan, &scan), 0);
		pthread_join(thread, NULL);
		assert_int_equal(scan.result, -EBADMSG);
		engine_close(scan.engine);
		assert_int_equal(unlink(fixture->store), 0);
		free(made);
		free(bytes);
	}
	pthread_attr_destroy(&little);
}

/* Where a search turns is changed, while each row stays where it is: a walk through all would not notice. */
static void test_tree_that_leads_astray(void **state)
{
	struct fixture *fixture = *state;
	unsigned tried = 0, taken = 0;
	uint8_t *bytes;
	size_t size;

	tree_make(fixture->store);
	assert_true(tree_is_taken(fixture->store));
	bytes = fixture_read(fixture->store, &size);
	for (size_t page = 1; page <= 2; page++) { /* the roots of the table and of its index */
		uint8_t *root = bytes + page * TREE_PAGE, *cells = root + TREE_CELLS, cell[2];

		assert_int_equal(root[0], page == 1 ? 5 : 2); /* neither is a leaf */
		for (size_t at = 0; at < TREE_PAGE * 8; at += 5) {
			if (root[at / 8] == 0)
				continue;
			root[at / 8] ^= (uint8_t)(1 << at % 8);
			fixture_write(fixture->store, bytes, size, 0600);
			taken += tree_is_taken(fixture->store);
			tried++;
			root[at / 8] ^= (uint8_t)(1 << at % 8);
		}
		memcpy(cell, cells, 2); /* two in the wrong order */
		memcpy(cells, cells + 2, 2);
		memcpy(cells + 2, cell, 2);
		fixture_write(fixture->store, bytes, size, 0600);
		assert_false(tree_is_taken(fixture->store));
		memcpy(cells + 2, cells, 2);
		memcpy(cells, cell, 2);
	}
	print_message("# %u bits changed, %u of them taken\n", tried, taken);
	assert_true(tried > 200 && taken < tried / 2);
	fixture_write(fixture->store, bytes, size, 0600);
	assert_true(tree_is_taken(fixture->store));
	free(bytes);
}

static void assert_scan(const char *path, int expected)
{
	struct engine *engine = open_engine(path);

	assert_int_equal(engine_scan(engine, ENGINE_STORED, visit_none, NULL), expected);
	engine_close(engine);
}

/* Two keys change places in the index, of which one begins with the other. */
static void test_index_out_of_order(void **state)
{
	static const struct engine_change rows[] = {CHANGE("a", "one"), CHANGE("ab", "two")};
	struct fixture *fixture = *state;
	uint8_t *bytes, *cells, cell[2];
	size_t size;

	assert_int_equal(engine_create(fixture->store, rows, 2), 0);
	assert_scan(fixture->store, 0);
	bytes = fixture_read(fixture->store, &size);
	cells = bytes + 2 * TREE_PAGE + TREE_LEAF_CELLS;
	memcpy(cell, cells, 2);
	memcpy(cells, cells + 2, 2);
	memcpy(cells + 2, cell, 2);
	fixture_write(fixture->store, bytes, size, 0600);
	assert_scan(fixture->store, -EBADMSG);
	free(bytes);
}

static void test_key_that_is_too_long(void **state)
{
	struct fixture *fixture = *state;

	make(fixture->store);
	fixture_sql(fixture->store, "UPDATE row SET key=zeroblob(64) WHERE rowid=1");
	assert_scan(fixture->store, 0);
	fixture_sql(fixture->store, "UPDATE row SET key=zeroblob(65) WHERE rowid=1");
	assert_scan(fixture->store, -EBADMSG);
}

/* A row is found wherever it is said to be; at its place also if the index leads elsewhere. */
static void test_places(void **state)
{
	const struct engine_change changes[] = {REMOVAL("a"), CHANGE("z", "zzz"), REMOVAL("b")};
	struct scan by_key = {0}, stored = {0};
	struct fixture *fixture = *state;
	struct engine *engine;
	uint8_t *data;
	size_t size;

	make(fixture->store);
	engine = open_engine(fixture->store);
	assert_int_equal(engine_scan(engine, ENGINE_BY_KEY, visit, &by_key), 0); /* a, b, c */
	assert_int_equal(engine_scan(engine, ENGINE_STORED, visit, &stored), 0); /* b, a, c */
	assert_true(by_key.places[0] == stored.places[1] && by_key.places[1] == stored.places[0] && by_key.places[2] == stored.places[2]);
	for (int i = 0; i < 3; i++) {
		assert_row_at(engine, by_key.places[i], "a", "one");
		assert_row_at(engine, by_key.places[i], "b", "two");
		assert_int_equal(engine_get_at(engine, by_key.places[i], (const uint8_t *)"x", 1, &data, &size), -ENOENT);
	}
	assert_row_at(engine, 0, "a", "one");
	assert_row_at(engine, 1234, "a", "one");
	assert_row_at(engine, UINT64_MAX, "a", "one");
	assert_int_equal(engine_commit(engine, changes, 3), 0); /* another takes its place */
	assert_int_equal(engine_get_at(engine, by_key.places[0], (const uint8_t *)"a", 1, &data, &size), -ENOENT);
	assert_int_equal(engine_get_at(engine, by_key.places[1], (const uint8_t *)"b", 1, &data, &size), -ENOENT);
	assert_row_at(engine, by_key.places[0], "z", "zzz");
	engine_close(engine);
}

static void test_commit(void **state)
{
	struct fixture *fixture = *state;
	static const struct engine_change changes[] = {CHANGE("a", "ONE"), REMOVAL("b"), REMOVAL("absent"),
						       CHANGE("x", "1"),   REMOVAL("x"), CHANGE("y", "1"),
						       CHANGE("y", "2")};
	struct engine *engine;

	make(fixture->store);
	engine = open_engine(fixture->store);
	assert_int_equal(engine_commit(engine, changes, 7), 0);
	assert_int_equal(engine_commit(engine, NULL, 0), 0);
	for (int reopened = 0; reopened < 2; reopened++) {
		assert_row(engine, "a", 1, "ONE", 3);
		assert_int_equal(get(engine, "b"), -ENOENT);
		assert_int_equal(get(engine, "x"), -ENOENT);
		assert_row(engine, "y", 1, "2", 1);
		engine_close(engine);
		engine = open_engine(fixture->store);
	}
	engine_close(engine);
}

static void test_large_row(void **state)
{
	struct fixture *fixture = *state;
	size_t size = 17 * 1024 * 1024;
	char *data = malloc(size);
	struct engine_change change = {(const uint8_t *)"big", 3, (const uint8_t *)data, size};
	struct engine *engine;

	fixture_must(data);
	fixture_fill(data, size, 5);
	make(fixture->store);
	engine = open_engine(fixture->store);
	assert_int_equal(engine_commit(engine, &change, 1), 0);
	assert_row(engine, "big", 3, data, size);
	engine_close(engine);
	engine = open_engine(fixture->store);
	assert_row(engine, "big", 3, data, size);
	engine_close(engine);
	free(data);
}

/* The calls that this process has written with. */
static unsigned long write_calls(void)
{
	FILE *file = fopen("/proc/self/io", "r");
	unsigned long calls = 0;

	fixture_must(file && fscanf(file, "rchar: %*u\nwchar: %*u\nsyscr: %*u\nsyscw: %lu", &calls) == 1);
	fclose(file);
	return calls;
}

/* A long row is written in few pieces (9), not a page at a time; also if the file had no journal when it was opened. valgrind writes a byte to a pipe
 * of its own when it changes threads, some 20 times here. */
static void test_few_writes(void **state)
{
	enum { BYTES = 1024 * 1024, FEW = BYTES / 4096 / 4 };
	struct fixture *fixture = *state;
	uint8_t *data = malloc(BYTES);
	const struct engine_change change = {(const uint8_t *)"long", 4, data, BYTES};
	struct engine *engine;
	unsigned long before;

	fixture_must(data);
	make(fixture->store);
	engine = open_engine(fixture->store);
	for (int settled = 0; settled < 2; settled++) {
		fixture_fill(data, BYTES, 1);
		assert_int_equal(engine_commit(engine, &change, 1), 0); /* the file grows, a page at a time */
		fixture_fill(data, BYTES, 2);
		before = write_calls();
		assert_int_equal(engine_commit(engine, &change, 1), 0);
		assert_in_range(write_calls() - before, 1, FEW);
		assert_row(engine, "long", 4, (const char *)data, BYTES);
		assert_int_equal(engine_settle(engine), 0);
		engine_close(engine);
		engine = open_engine(fixture->store);
	}
	assert_row(engine, "long", 4, (const char *)data, BYTES);
	engine_close(engine);
	free(data);
}

static size_t journal_bytes(const struct fixture *fixture)
{
	size_t size;
	char path[400];

	snprintf(path, sizeof(path), "%s-wal", fixture->store);
	free(fixture_read(path, &size));
	return size;
}

/* What the journal takes for removing "old", and right after that a row @key of @size bytes. */
static size_t replacement_bytes(const struct fixture *fixture, struct engine *engine, const char *key, const uint8_t *data, size_t size)
{
	const struct engine_change changes[] = {REMOVAL("old"), {(const uint8_t *)key, strlen(key), data, size}};
	size_t before = journal_bytes(fixture);

	assert_int_equal(engine_commit(engine, changes, 2), 0);
	return journal_bytes(fixture) - before;
}

/* A row that goes, and one that comes: whatever their sizes, and whether that is there already. Of the same size, it is written over the old one. */
static void test_replacement(void **state)
{
	enum { BYTES = 200 * 1024 };
	static const struct {
		const char *key;
		size_t size;
		size_t journal_max;
	} cases[] = {
		{"new", BYTES, BYTES + 8 * 4120},
		{"new", BYTES - 1, 3 * BYTES},
		{"new", BYTES + 1, 3 * BYTES},
		{"new", 0, 3 * BYTES},
		{"old", BYTES, BYTES + 8 * 4120},
		{"there", BYTES, 3 * BYTES},
	};
	struct fixture *fixture = *state;
	uint8_t *old = malloc(BYTES), *fresh = malloc(BYTES + 1);
	/* one more, so that there is free room elsewhere */
	const struct engine_change before[] = {{(const uint8_t *)"spare", 5, old, BYTES}, {(const uint8_t *)"old", 3, old, BYTES},
					       {(const uint8_t *)"there", 5, old, BYTES}, REMOVAL("spare")};

	fixture_must(old && fresh);
	fixture_fill(old, BYTES, 1);
	fixture_fill(fresh, BYTES + 1, 2);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		bool is_other = strcmp(cases[i].key, "old") != 0, is_new = strcmp(cases[i].key, "there") != 0;
		struct engine *engine;

		make(fixture->store);
		engine = open_engine(fixture->store);
		assert_int_equal(engine_commit(engine, before, 4), 0);
		assert_in_range(replacement_bytes(fixture, engine, cases[i].key, fresh, cases[i].size), cases[i].size, cases[i].journal_max);
		for (int reopened = 0; reopened < 2; reopened++) {
			if (is_other)
				assert_int_equal(get(engine, "old"), -ENOENT);
			assert_row(engine, cases[i].key, strlen(cases[i].key), (const char *)fresh, cases[i].size);
			if (is_new)
				assert_row(engine, "there", 5, (const char *)old, BYTES);
			assert_row(engine, "a", 1, "one", 3);
			engine_close(engine);
			engine = open_engine(fixture->store);
		}
		assert_int_equal(engine_scan(engine, ENGINE_STORED, visit_none, NULL), 0); /* its index is right as well */
		engine_close(engine);
		assert_int_equal(engine_remove(fixture->store), 0);
	}
	free(old);
	free(fresh);
}

/* What was committed is there after a process ends without closing. */
static void test_crash(void **state)
{
	struct fixture *fixture = *state;
	static const struct engine_change change[] = {CHANGE("a", "after"), REMOVAL("b")};
	struct engine *engine;
	int status;
	pid_t pid;

	make(fixture->store);
	pid = fork();
	if (pid == 0) {
		struct engine *child;

		if (engine_open(fixture->store, &child) < 0 || engine_commit(child, change, 2) < 0)
			_exit(1);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	engine = open_engine(fixture->store);
	assert_row(engine, "a", 1, "after", 5);
	assert_int_equal(get(engine, "b"), -ENOENT);
	engine_close(engine);
}

/* The child is made first, so that it has nothing of this process's connection; the pipes take turns. */
static void test_one_process_at_a_time(void **state)
{
	struct fixture *fixture = *state;
	struct engine *engine;
	int go[2], done[2], status;
	char c;
	pid_t pid;

	make(fixture->store);
	assert_int_equal(pipe(go), 0);
	assert_int_equal(pipe(done), 0);
	pid = fork();
	if (pid == 0) {
		struct engine *child = NULL;

		if (read(go[0], &c, 1) != 1 || engine_open(fixture->store, &child) != -EBUSY || child)
			_exit(1);
		if (write(done[1], "x", 1) != 1 || read(go[0], &c, 1) != 1)
			_exit(2);
		if (engine_open(fixture->store, &child) != 0)
			_exit(3);
		engine_close(child);
		_exit(0);
	}
	engine = open_engine(fixture->store); /* nothing was written: opening alone is enough to have it */
	assert_int_equal(write(go[1], "x", 1), 1);
	close(done[1]);
	assert_int_equal(read(done[0], &c, 1), 1);
	assert_row(engine, "a", 1, "one", 3);
	engine_close(engine);
	assert_int_equal(write(go[1], "x", 1), 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	close(go[0]);
	close(go[1]);
	close(done[0]);
}

static void test_not_a_store(void **state)
{
	struct fixture *fixture = *state;
	const char *path = fixture_path(fixture, "other");
	char text[9000];
	uint8_t *before, *after;
	size_t size, size_after;

	assert_int_equal(open_fails(fixture_path(fixture, "absent")), -ENOENT);
	assert_int_equal(open_fails(fixture->folder), -EMEDIUMTYPE);
	assert_int_equal(open_fails("/dev/null"), -EMEDIUMTYPE);
	fixture_write(path, "", 0, 0600);
	assert_int_equal(open_fails(path), -EMEDIUMTYPE);
	before = fixture_read(path, &size);
	assert_int_equal(size, 0);
	free(before);
	fixture_write(path, "hello\n", 6, 0600);
	assert_int_equal(open_fails(path), -EMEDIUMTYPE);
	memset(text, 'x', sizeof(text));
	fixture_write(path, text, sizeof(text), 0600);
	assert_int_equal(open_fails(path), -EMEDIUMTYPE);
	after = fixture_read(path, &size_after);
	assert_int_equal(size_after, sizeof(text));
	assert_memory_equal(after, text, sizeof(text)); /* refused, and left alone */
	free(after);
}

static void test_foreign_sqlite_file(void **state)
{
	struct fixture *fixture = *state;
	const char *path = fixture_path(fixture, "foreign.db");
	uint8_t *before, *after;
	size_t size, size_after;

	fixture_sql(path, "CREATE TABLE t(x); INSERT INTO t VALUES(1);");
	before = fixture_read(path, &size);
	assert_int_equal(open_fails(path), -EMEDIUMTYPE);
	after = fixture_read(path, &size_after);
	assert_int_equal(size, size_after);
	assert_memory_equal(before, after, size);
	free(before);
	free(after);
	/* our table, but not our mark */
	path = fixture_path(fixture, "foreign2.db");
	fixture_sql(path, "CREATE TABLE row(key BLOB NOT NULL UNIQUE, data BLOB NOT NULL);");
	assert_int_equal(open_fails(path), -EMEDIUMTYPE);
}

static void test_looks_ours(void **state)
{
	struct fixture *fixture = *state;
	const char *path = fixture_path(fixture, "looked-at");
	char head[100], endless[PATH_MAX + 1];

	assert_false(engine_looks_ours(path));
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_false(engine_looks_ours(path));
	unlink(path);
	assert_int_equal(symlink(fixture->store, path), 0);
	assert_false(engine_looks_ours(path));
	unlink(path);
	fixture_write(path, "SQLite", 6, 0600);
	assert_false(engine_looks_ours(path));
	unlink(path);
	memset(head, 0, sizeof(head)); /* as a power cut leaves it, but for the journal that undoes it */
	fixture_write(path, head, sizeof(head), 0600);
	assert_false(engine_looks_ours(path));
	fixture_write(fixture_path(fixture, "looked-at-journal"), "x", 1, 0600);
	assert_true(engine_looks_ours(path));
	strcpy(head, "SQLite format 2");
	memcpy(head + 68, "hush", 4);
	fixture_write(path, head, sizeof(head), 0600);
	assert_false(engine_looks_ours(path));
	unlink(fixture_path(fixture, "looked-at-journal"));
	unlink(path);
	fixture_sql(path, "CREATE TABLE t(x);"); /* somebody else's */
	assert_false(engine_looks_ours(path));
	fixture_write(path, "", 0, 0600);
	assert_true(engine_looks_ours(path) && engine_is_begun(path));
	no_fstat = true;
	assert_false(engine_looks_ours(path));
	no_fstat = false;
	make(fixture->store);
	assert_true(engine_looks_ours(fixture->store) && !engine_is_begun(fixture->store));
	memset(endless, 'x', sizeof(endless) - 1);
	endless[sizeof(endless) - 1] = '\0';
	assert_false(engine_is_begun(endless));
	assert_int_equal(engine_remove(endless), -ENAMETOOLONG);
}

/* Names that there are, but not for SQLite; and a file that is never the one that was opened. */
static void test_cannot_be_opened(void **state)
{
	struct fixture *fixture = *state;
	char deep[1000], *end = deep;

	make(fixture->store);
	assert_int_equal(open_fails(fixture_path(fixture, "s.hush/x")), -ENOTDIR);
	end += snprintf(deep, sizeof(deep), "%s", fixture->folder);
	for (int i = 0; i < 3; i++) {
		end += sprintf(end, "/%0200d", i);
		assert_int_equal(mkdir(deep, 0700), 0);
	}
	strcpy(end, "/s");
	fixture_copy(fixture->store, deep);
	errno = ENOTDIR; /* of another call: not what SQLite means */
	assert_int_equal(open_fails(deep), -EIO);
	assert_int_equal(unlink(deep), 0);
	for (int i = 0; i < 3; i++) {
		*strrchr(deep, '/') = '\0';
		assert_int_equal(rmdir(deep), 0);
	}
	always_moved = true;
	assert_int_equal(open_fails(fixture->store), -EBUSY);
	always_moved = false;
	journal_goes = fixture_path(fixture, "s.hush-wal");
	assert_int_equal(open_fails(fixture->store), -ENOENT);
	journal_goes = NULL;
	engine_close(open_engine(fixture->store));
}

/* A rollback journal with nothing in it but, at its end, the name of @victim: SQLite undoes nothing, and then deletes that file. */
static void plant_journal(const char *path, const char *victim)
{
	static const uint8_t magic[] = {0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7};
	uint8_t bytes[4096] = {0};
	const size_t size = strlen(victim);
	uint8_t *end = bytes + 512; /* a sector's, which the header fills */
	uint32_t sum = 0;

	memcpy(bytes, magic, sizeof(magic));
	bytes[15] = 1;   /* what sums of pages begin with */
	bytes[19] = 1;   /* pages of the file before */
	bytes[22] = 2;   /* bytes of a sector: 512 */
	bytes[26] = 0x10; /* of a page: 4096 */
	memcpy(end, (const uint8_t[]){0, 4, 0, 1}, 4); /* the page that none is kept in */
	memcpy(end + 4, victim, size);
	end += 4 + size;
	for (size_t i = 0; i < size; i++)
		sum += (uint32_t)victim[i];
	for (int i = 0; i < 4; i++) {
		end[i] = (uint8_t)(size >> (24 - 8 * i));
		end[4 + i] = (uint8_t)(sum >> (24 - 8 * i));
	}
	memcpy(end + 8, magic, sizeof(magic));
	fixture_write(path, bytes, (size_t)(end + 16 - bytes), 0600);
}

/* What SQLite would find beside the file and take for its journal: it is refused before SQLite sees it, as it deletes what a journal names, and
 * waits for a FIFO. */
static void test_planted_journals(void **state)
{
	static const char *const ends[] = {"-journal", "-wal"};
	struct fixture *fixture = *state;
	const char *victim = fixture_path(fixture, "victim");
	char path[PATH_MAX];

	make(fixture->store);
	fixture_write(victim, "x", 1, 0600);
	snprintf(path, sizeof(path), "%s-journal", fixture->store);
	plant_journal(path, victim);
	assert_int_equal(open_fails(fixture->store), -EBADMSG);
	assert_int_equal(access(victim, F_OK), 0);
	assert_int_equal(unlink(path), 0);
	for (size_t i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "%s%s", fixture->store, ends[i]);
		alarm(10);
		assert_int_equal(mkfifo(path, 0600), 0);
		assert_int_equal(open_fails(fixture->store), -EBADMSG);
		assert_int_equal(unlink(path), 0);
		alarm(0);
		assert_int_equal(symlink(victim, path), 0);
		assert_int_equal(open_fails(fixture->store), -ELOOP);
		assert_int_equal(unlink(path), 0);
		assert_int_equal(mkdir(path, 0700), 0);
		assert_int_equal(open_fails(fixture->store), -EBADMSG);
		assert_int_equal(rmdir(path), 0);
		fixture_write(path, "", 0, 0600); /* as a kill can leave it */
		engine_close(open_engine(fixture->store));
		unlink(path);
	}
	assert_int_equal(access(victim, F_OK), 0);
}

/* Another file, or none, has the name of the open one: what were committed would be in a file that nobody finds again. */
static void test_replaced_while_open(void **state)
{
	static const struct engine_change before = CHANGE("a", "ONE"), after = CHANGE("b", "lost");
	struct fixture *fixture = *state;
	const char *other = fixture_path(fixture, "other"), *journal_path = fixture_path(fixture, "s.hush-wal");

	for (int replaced = 0; replaced < 2; replaced++) {
		struct engine *engine;

		make(fixture->store);
		make(other);
		engine = open_engine(fixture->store);
		assert_int_equal(engine_commit(engine, &before, 1), 0);
		assert_int_equal(replaced ? rename(other, fixture->store) : unlink(fixture->store), 0);
		assert_int_equal(engine_commit(engine, &after, 1), -EIO);
		assert_true(engine_is_read_only(engine));
		assert_int_equal(engine_commit(engine, &after, 1), -EROFS);
		assert_row(engine, "a", 1, "ONE", 3); /* as long as it is open */
		assert_row(engine, "b", 1, "two", 3);
		engine_close(engine);
		unlink(journal_path);
		if (replaced) {
			engine = open_engine(fixture->store);
			assert_row(engine, "b", 1, "two", 3);
			engine_close(engine);
		}
		unlink(fixture->store);
		unlink(other);
	}
}

/* The open file gets another name, which its journal does not: what was committed is in the file, also if nobody commits to it any more, or another
 * file has taken the name, which nobody has opened. */
static void test_moved_while_open(void **state)
{
	static const struct engine_change before = CHANGE("a", "ONE"), after = CHANGE("b", "lost");
	struct fixture *fixture = *state;
	const char *moved = fixture_path(fixture, "moved"), *other = fixture_path(fixture, "other");
	const char *journal_path = fixture_path(fixture, "s.hush-wal");

	for (unsigned how = 0; how < 4; how++) {
		bool noticed = how & 1, replaced = how & 2;
		struct engine *engine;

		make(fixture->store);
		make(other);
		engine = open_engine(fixture->store);
		assert_int_equal(engine_commit(engine, &before, 1), 0);
		assert_int_equal(rename(fixture->store, moved), 0);
		if (replaced)
			assert_int_equal(rename(other, fixture->store), 0);
		if (noticed)
			assert_int_equal(engine_commit(engine, &after, 1), -EIO);
		engine_close(engine);
		assert_int_equal(length(journal_path), 0);
		if (replaced) {
			engine = open_engine(fixture->store);
			assert_row(engine, "a", 1, "one", 3);
			engine_close(engine);
		}
		unlink(journal_path);
		engine = open_engine(moved);
		assert_row(engine, "a", 1, "ONE", 3);
		assert_row(engine, "b", 1, "two", 3);
		engine_close(engine);
		assert_int_equal(unlink(moved), 0);
		unlink(fixture->store);
		unlink(other);
	}
}

/* Another has taken its place, and it has no name at all (or that can't be asked, nor who has the one in its place open): the journal stays, as
 * what is left. */
static void test_journal_of_a_lost_file(void **state)
{
	static const struct engine_change before = CHANGE("a", "ONE");
	struct fixture *fixture = *state;
	const char *moved = fixture_path(fixture, "moved"), *journal_path = fixture_path(fixture, "s.hush-wal");
	enum { UNASKED, NAMELESS, HIDDEN, HOWS };

	for (int how = 0; how < HOWS; how++) {
		struct engine *engine;

		make(fixture->store);
		engine = open_engine(fixture->store);
		assert_int_equal(engine_commit(engine, &before, 1), 0);
		assert_int_equal(how == NAMELESS ? unlink(fixture->store) : rename(fixture->store, moved), 0);
		if (how == HIDDEN)
			assert_int_equal(symlink(fixture->store, fixture->store), 0);
		no_fstat = how == UNASKED;
		engine_close(engine);
		no_fstat = false;
		assert_true(length(journal_path) > 4096);
		unlink(journal_path);
		unlink(fixture->store);
	}
}

/* Another store has taken the name, and somebody has it open with the journal: it is that one's now. Either it was empty, and he has written to it, or it
 * is a copy of the store, and he has but read it. */
static void test_journal_of_another_that_is_open(void **state)
{
	static const struct engine_change before = CHANGE("c", "three"), theirs = CHANGE("a", "ONE"), late = CHANGE("b", "late");
	struct fixture *fixture = *state;
	const char *moved = fixture_path(fixture, "moved"), *journal_path = fixture_path(fixture, "s.hush-wal");

	for (unsigned how = 0; how < 4; how++) {
		bool noticed = how & 1, read = how & 2;
		struct engine *engine, *second;
		off_t bytes;

		make(fixture->store);
		engine = open_engine(fixture->store);
		if (read)
			assert_int_equal(engine_commit(engine, &before, 1), 0);
		assert_int_equal(rename(fixture->store, moved), 0);
		fixture_copy(moved, fixture->store);
		second = open_engine(fixture->store);
		if (!read)
			assert_int_equal(engine_commit(second, &theirs, 1), 0);
		bytes = length(journal_path);
		assert_true(bytes > 4096);
		if (noticed)
			assert_int_equal(engine_commit(engine, &late, 1), -EIO);
		engine_close(engine);
		assert_int_equal(length(journal_path), bytes);
		if (read)
			assert_int_equal(engine_commit(second, &theirs, 1), 0);
		engine_close(second);
		second = open_engine(fixture->store);
		assert_row(second, "a", 1, "ONE", 3);
		if (read)
			assert_row(second, "c", 1, "three", 5);
		engine_close(second);
		second = open_engine(moved);
		assert_int_equal(get(second, "c"), read ? 0 : -ENOENT);
		engine_close(second);
		unlink(fixture->store);
		unlink(moved);
	}
}

/* Somebody else opens the store @path, commits to it, and is killed. */
static void commit_killed(const char *path, const struct engine_change *change)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		struct engine *engine;

		fixture_must(engine_open(path, &engine) == 0 && engine_commit(engine, change, 1) == 0);
		_exit(0);
	}
	fixture_must(waitpid(pid, &status, 0) == pid);
	assert_int_equal(status, 0);
}

/* The same if who had it open was killed, so that nobody has: what he has committed is in the journal, and nowhere else. The journal was empty, or
 * long, and it is a copy of the store, which goes on with what there was in it. */
static void test_journal_of_another_that_was_killed(void **state)
{
	static uint8_t data[1200 * 4096]; /* more than the journal keeps */
	static const struct engine_change small = CHANGE("c", "three"), theirs = CHANGE("a", "ONE"), late = CHANGE("b", "late");
	static const struct engine_change large = {(const uint8_t *)"large", 5, data, sizeof(data)};
	struct fixture *fixture = *state;
	const char *moved = fixture_path(fixture, "moved"), *journal_path = fixture_path(fixture, "s.hush-wal");

	for (unsigned how = 0; how < 4; how++) {
		bool noticed = how & 1, copied = how & 2;
		struct engine *engine;
		off_t bytes;

		make(fixture->store);
		engine = open_engine(fixture->store);
		if (copied) {
			assert_int_equal(engine_commit(engine, &large, 1), 0); /* and moved into the file, so that the journal begins anew */
			assert_int_equal(engine_commit(engine, &small, 1), 0);
		}
		usleep(20000); /* files' times may be no finer */
		bytes = length(journal_path);
		assert_int_equal(rename(fixture->store, moved), 0);
		fixture_copy(moved, fixture->store);
		commit_killed(fixture->store, &theirs);
		assert_true(copied == (length(journal_path) == bytes));
		if (noticed)
			assert_int_equal(engine_commit(engine, &late, 1), -EIO);
		engine_close(engine);
		engine = open_engine(fixture->store);
		assert_row(engine, "a", 1, "ONE", 3);
		if (copied)
			assert_row(engine, "c", 1, "three", 5);
		engine_close(engine);
		unlink(fixture->store);
		unlink(moved);
	}
}

/* The journal goes: it is removed, another has its name, or it went with another store that had the name for a while. Who is killed then has lost
 * nothing of what was committed, and nothing is that nobody would find. */
static void test_journal_that_goes(void **state)
{
	static const struct engine_change before = CHANGE("a", "ONE"), after = CHANGE("b", "lost");
	struct fixture *fixture = *state;
	const char *other = fixture_path(fixture, "other"), *moved = fixture_path(fixture, "moved");
	const char *journal_path = fixture_path(fixture, "s.hush-wal");
	enum { REMOVED, REPLACED, TAKEN_ALONG, HOWS };

	for (int how = 0; how < HOWS; how++) {
		struct engine *engine;
		int status;
		pid_t pid;

		make(fixture->store);
		make(other);
		pid = fork();
		if (pid == 0) {
			engine = open_engine(fixture->store);
			if (how == TAKEN_ALONG) {
				fixture_must(rename(fixture->store, moved) == 0 && rename(other, fixture->store) == 0);
				engine_close(open_engine(fixture->store));
				fixture_must(rename(fixture->store, other) == 0 && rename(moved, fixture->store) == 0);
			} else {
				fixture_must(engine_commit(engine, &before, 1) == 0 && unlink(journal_path) == 0);
			}
			if (how == REPLACED)
				fixture_write(journal_path, "", 0, 0600);
			fixture_must(engine_commit(engine, &after, 1) == -EIO);
			fixture_must(engine_commit(engine, &after, 1) == -EROFS);
			_exit(0);
		}
		fixture_must(waitpid(pid, &status, 0) == pid);
		assert_int_equal(status, 0);
		engine = open_engine(fixture->store);
		assert_row(engine, "a", 1, how == TAKEN_ALONG ? "one" : "ONE", 3);
		assert_row(engine, "b", 1, "two", 3);
		engine_close(engine);
		unlink(fixture->store);
		unlink(other);
	}
}

/* The open file gets another name, and its journal as well, or none, before another store begins one: that is left alone, and what was committed is in the
 * file. */
static void test_moved_with_its_journal(void **state)
{
	static const struct engine_change before = CHANGE("a", "ONE"), theirs = CHANGE("b", "TWO");
	struct fixture *fixture = *state;
	const char *other = fixture_path(fixture, "other"), *moved = fixture_path(fixture, "moved");
	const char *journal_path = fixture_path(fixture, "s.hush-wal"), *moved_journal = fixture_path(fixture, "moved-wal");

	for (int removed = 0; removed < 2; removed++) {
		struct engine *engine;

		make(fixture->store);
		make(other);
		engine = open_engine(fixture->store);
		assert_int_equal(engine_commit(engine, &before, 1), 0);
		assert_int_equal(rename(fixture->store, moved), 0);
		assert_int_equal(removed ? unlink(journal_path) : rename(journal_path, moved_journal), 0);
		assert_int_equal(rename(other, fixture->store), 0);
		commit_killed(fixture->store, &theirs);
		engine_close(engine);
		engine = open_engine(fixture->store);
		assert_row(engine, "a", 1, "one", 3);
		assert_row(engine, "b", 1, "TWO", 3);
		engine_close(engine);
		unlink(moved_journal);
		engine = open_engine(moved);
		assert_row(engine, "a", 1, "ONE", 3);
		engine_close(engine);
		unlink(fixture->store);
		unlink(moved);
	}
}

/* The open file gets another name and its journal none, and a store that takes its name is open with a journal of its own: what was committed to the
 * one that was moved is in its file all the same. */
static void test_moved_without_its_journal(void **state)
{
	static const struct engine_change before = CHANGE("a", "ONE"), theirs = CHANGE("b", "TWO"), late = CHANGE("b", "late");
	struct fixture *fixture = *state;
	const char *moved = fixture_path(fixture, "moved"), *journal_path = fixture_path(fixture, "s.hush-wal");

	for (unsigned how = 0; how < 4; how++) {
		bool noticed = how & 1, closed = how & 2;
		struct engine *engine, *second;
		off_t bytes;

		make(fixture->store);
		engine = open_engine(fixture->store);
		assert_int_equal(engine_commit(engine, &before, 1), 0);
		assert_int_equal(rename(fixture->store, moved), 0);
		assert_int_equal(unlink(journal_path), 0);
		make(fixture->store);
		second = open_engine(fixture->store);
		assert_int_equal(engine_commit(second, &theirs, 1), 0);
		bytes = length(journal_path);
		if (noticed)
			assert_int_equal(engine_commit(engine, &late, 1), -EIO);
		if (closed)
			engine = engine_close(engine);
		assert_int_equal(length(journal_path), bytes);
		assert_int_equal(engine_commit(second, &theirs, 1), 0);
		engine_close(engine);
		engine_close(second);
		second = open_engine(fixture->store);
		assert_row(second, "a", 1, "one", 3);
		assert_row(second, "b", 1, "TWO", 3);
		engine_close(second);
		engine = open_engine(moved);
		assert_row(engine, "a", 1, "ONE", 3);
		assert_row(engine, "b", 1, "two", 3);
		engine_close(engine);
		unlink(fixture->store);
		unlink(moved);
	}
}

/* The open file moves away, another store takes its name and is used until a kill, both move back: the journal is the other's, whether it has its
 * own, as ours was removed, or has begun to use ours, which was empty. */
static void test_moved_back(void **state)
{
	static const struct engine_change before = CHANGE("a", "ONE"), theirs = CHANGE("b", "TWO"), late = CHANGE("b", "late");
	struct fixture *fixture = *state;
	const char *other = fixture_path(fixture, "other"), *moved = fixture_path(fixture, "moved");
	const char *journal_path = fixture_path(fixture, "s.hush-wal");

	for (unsigned how = 0; how < 4; how++) {
		bool noticed = how & 1, removed = how & 2;
		struct engine *engine;

		make(fixture->store);
		make(other);
		engine = open_engine(fixture->store);
		if (removed)
			assert_int_equal(engine_commit(engine, &before, 1), 0);
		assert_int_equal(rename(fixture->store, moved), 0);
		if (removed)
			assert_int_equal(unlink(journal_path), 0);
		assert_int_equal(rename(other, fixture->store), 0);
		usleep(20000); /* files' times may be no finer */
		commit_killed(fixture->store, &theirs);
		assert_int_equal(rename(fixture->store, other), 0);
		assert_int_equal(rename(moved, fixture->store), 0);
		if (noticed)
			assert_int_equal(engine_commit(engine, &late, 1), -EIO);
		engine_close(engine);
		assert_int_equal(rename(fixture->store, moved), 0);
		assert_int_equal(rename(other, fixture->store), 0);
		engine = open_engine(fixture->store);
		assert_row(engine, "b", 1, "TWO", 3);
		engine_close(engine);
		engine = open_engine(moved);
		assert_row(engine, "a", 1, removed ? "ONE" : "one", 3);
		assert_row(engine, "b", 1, "two", 3);
		engine_close(engine);
		unlink(fixture->store);
		unlink(moved);
	}
}

/* The same with a copy of the store, whose user has begun the journal anew: what were appended to what there was before would not be read again. */
static void test_journal_begun_anew_by_another(void **state)
{
	static uint8_t data[1200 * 4096]; /* more than the journal keeps */
	static const struct engine_change before = CHANGE("a", "ONE"), theirs = CHANGE("b", "TWO"), late = CHANGE("c", "late");
	static const struct engine_change large = {(const uint8_t *)"large", 5, data, sizeof(data)};
	struct fixture *fixture = *state;
	const char *moved = fixture_path(fixture, "moved");
	struct engine *engine, *second;

	make(fixture->store);
	engine = open_engine(fixture->store);
	assert_int_equal(engine_commit(engine, &before, 1), 0);
	assert_int_equal(rename(fixture->store, moved), 0);
	fixture_copy(moved, fixture->store);
	usleep(20000); /* files' times may be no finer */
	second = open_engine(fixture->store);
	assert_int_equal(engine_commit(second, &large, 1), 0);
	assert_int_equal(engine_commit(second, &theirs, 1), 0);
	assert_int_equal(rename(moved, fixture->store), 0);
	assert_int_equal(engine_commit(engine, &late, 1), -EIO);
	assert_int_equal(engine_commit(engine, &late, 1), -EROFS);
	engine_close(engine);
	engine_close(second);
}

/* The journal gets the name of that of a copy of the store, which is used, or but open: it is that one's then, and is left alone. */
static void test_journal_under_another_name(void **state)
{
	static const struct engine_change before = CHANGE("a", "ONE"), theirs = CHANGE("b", "TWO"), late = CHANGE("b", "late");
	struct fixture *fixture = *state;
	const char *copy = fixture_path(fixture, "copy"), *copy_journal = fixture_path(fixture, "copy-wal");
	const char *journal_path = fixture_path(fixture, "s.hush-wal");

	for (unsigned how = 0; how < 4; how++) {
		bool noticed = how & 1, used = how & 2;
		struct engine *engine, *second;
		off_t bytes;

		make(fixture->store);
		engine = open_engine(fixture->store);
		assert_int_equal(engine_commit(engine, &before, 1), 0);
		fixture_copy(fixture->store, copy);
		assert_int_equal(rename(journal_path, copy_journal), 0);
		usleep(20000); /* files' times may be no finer */
		second = open_engine(copy);
		if (used)
			assert_int_equal(engine_commit(second, &theirs, 1), 0);
		bytes = length(copy_journal);
		if (noticed)
			assert_int_equal(engine_commit(engine, &late, 1), -EIO);
		engine_close(engine);
		assert_int_equal(length(copy_journal), bytes);
		engine_close(second);
		second = open_engine(copy);
		assert_row(second, "a", 1, "ONE", 3);
		assert_row(second, "b", 1, used ? "TWO" : "two", 3);
		engine_close(second);
		if (!used) { /* else what was in the journal may be there no more */
			engine = open_engine(fixture->store);
			assert_row(engine, "a", 1, "ONE", 3);
			assert_row(engine, "b", 1, "two", 3);
			engine_close(engine);
		}
		unlink(fixture->store);
		unlink(copy);
	}
}

/* Another filesystem is mounted over the one where the file is, and a file of it has the same number; or the journal can't be asked about: it is not
 * written to, nor removed. */
static void test_journal_that_is_not_known(void **state)
{
	static const struct engine_change before = CHANGE("a", "ONE"), late = CHANGE("b", "late");
	struct fixture *fixture = *state;
	const char *journal_path = fixture_path(fixture, "s.hush-wal");

	for (unsigned how = 0; how < 4; how++) {
		bool noticed = how & 1;
		struct engine *engine;
		off_t bytes;

		make(fixture->store);
		engine = open_engine(fixture->store);
		assert_int_equal(engine_commit(engine, &before, 1), 0);
		bytes = length(journal_path);
		another_disk = how & 2;
		no_fstat = !another_disk;
		if (noticed)
			assert_int_equal(engine_commit(engine, &late, 1), -EIO);
		engine_close(engine);
		another_disk = no_fstat = false;
		assert_int_equal(length(journal_path), bytes);
		engine = open_engine(fixture->store);
		assert_row(engine, "a", 1, "ONE", 3);
		assert_row(engine, "b", 1, "two", 3);
		engine_close(engine);
		unlink(fixture->store);
	}
}

/* Something that is no store takes the name of one whose user was killed: it is refused, and the journal stays, in which is what he has committed. */
static void test_journal_beside_no_store(void **state)
{
	static const struct engine_change before = CHANGE("a", "ONE");
	static const char text[9000] = "hello\n";
	static const size_t sizes[] = {6, 4096, sizeof(text)};
	struct fixture *fixture = *state;
	const char *moved = fixture_path(fixture, "moved"), *journal_path = fixture_path(fixture, "s.hush-wal");

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct engine *engine;
		uint8_t *after;
		size_t size;
		off_t bytes;

		make(fixture->store);
		commit_killed(fixture->store, &before);
		bytes = length(journal_path);
		assert_int_equal(rename(fixture->store, moved), 0);
		fixture_write(fixture->store, text, sizes[i], 0600);
		assert_int_equal(open_fails(fixture->store), -EMEDIUMTYPE);
		after = fixture_read(fixture->store, &size);
		assert_int_equal(size, sizes[i]);
		assert_memory_equal(after, text, size);
		free(after);
		assert_int_equal(length(journal_path), bytes);
		assert_int_equal(rename(moved, fixture->store), 0);
		engine = open_engine(fixture->store);
		assert_row(engine, "a", 1, "ONE", 3);
		engine_close(engine);
		unlink(fixture->store);
	}
}

/* To flush it or to settle it is refused as a commit is, if another journal has the name by then, which is left alone. */
static void test_flush_and_settle_what_is_lost(void **state)
{
	static const struct engine_change before = CHANGE("a", "ONE"), after = CHANGE("b", "lost");
	struct fixture *fixture = *state;
	const char *moved = fixture_path(fixture, "moved"), *journal_path = fixture_path(fixture, "s.hush-wal");

	for (unsigned how = 0; how < 4; how++) {
		int (*bring)(struct engine *engine) = how & 1 ? engine_settle : engine_flush;
		bool taken = how & 2;
		struct engine *engine;
		off_t bytes;

		make(fixture->store);
		engine = open_engine(fixture->store);
		if (taken) { /* by a copy of the store, whose user was killed */
			assert_int_equal(rename(fixture->store, moved), 0);
			fixture_copy(moved, fixture->store);
			usleep(20000); /* files' times may be no finer */
			commit_killed(fixture->store, &before);
		} else {
			assert_int_equal(engine_commit(engine, &before, 1), 0);
			assert_int_equal(unlink(journal_path), 0);
			fixture_write(journal_path, "", 0, 0600);
		}
		bytes = length(journal_path);
		assert_int_equal(bring(engine), -EIO);
		assert_int_equal(bring(engine), -EROFS);
		assert_int_equal(engine_commit(engine, &after, 1), -EROFS);
		assert_int_equal(length(journal_path), bytes);
		engine_close(engine);
		engine = open_engine(fixture->store);
		assert_row(engine, "a", 1, "ONE", 3);
		engine_close(engine);
		unlink(fixture->store);
		unlink(moved);
	}
}

/* Somebody cuts off the end of the open file, and the journal has some of what was there: that is not moved into the file, neither by the commit
 * that needs little room nor when it is closed. */
static void test_cut_is_not_filled_up(void **state)
{
	static uint8_t data[20000];
	static const struct engine_change large = {(const uint8_t *)"large", 5, data, sizeof(data)}, late = CHANGE("new", "x");
	struct fixture *fixture = *state;

	for (int closed = 0; closed < 2; closed++) {
		struct engine *engine;

		make(fixture->store);
		engine = open_engine(fixture->store);
		assert_int_equal(engine_commit(engine, &large, 1), 0);
		assert_int_equal(truncate(fixture->store, 2 * 4096), 0);
		if (!closed) {
			assert_int_equal(engine_commit_lean(engine, &late, 1), -EIO);
			assert_int_equal(engine_commit_lean(engine, &late, 1), -EROFS);
			assert_int_equal(get(engine, "new"), -ENOENT);
		}
		engine_close(engine);
		assert_int_equal(length(fixture->store), 2 * 4096);
		assert_true(length(fixture_path(fixture, "s.hush-wal")) > 20000);
		assert_int_equal(engine_remove(fixture->store), 0);
	}
}

/* Somebody cuts off the end of the open file, before the first commit or after one: nothing is committed any more, and no row is another. */
static void test_cut_while_open(void **state)
{
	static uint8_t data[20000];
	struct fixture *fixture = *state;

	fixture_fill(data, sizeof(data), 1);
	for (int later = 0; later < 2; later++) {
		const struct engine_change large = {(const uint8_t *)"large", 5, data, sizeof(data)}, small = CHANGE("new", "x");
		struct engine *engine;
		size_t size;
		uint8_t *row;
		int r;

		make(fixture->store);
		engine = open_engine(fixture->store);
		assert_int_equal(engine_commit(engine, &large, 1), 0);
		if (!later) {
			engine_close(engine);
			engine = open_engine(fixture->store);
		} else {
			assert_int_equal(engine_flush(engine), 0);
		}
		assert_false(engine_is_read_only(engine));
		assert_int_equal(truncate(fixture->store, 4 * 4096), 0);
		assert_int_equal(engine_commit(engine, &small, 1), -EIO);
		assert_true(engine_is_read_only(engine));
		assert_int_equal(truncate(fixture->store, 100 * 4096), 0); /* with zeros it is not what it was */
		assert_int_equal(engine_commit(engine, &small, 1), -EROFS);
		assert_int_equal(get(engine, "new"), -ENOENT);
		r = engine_get(engine, (const uint8_t *)"large", 5, &row, &size);
		if (r == 0) {
			assert_int_equal(size, sizeof(data));
			if (later) /* from memory; else what is in it is for the store to see, which knows its hash */
				assert_memory_equal(row, data, sizeof(data));
			free(row);
		}
		assert_true(r == 0 || r == -EBADMSG || r == -EIO);
		engine_close(engine);
		assert_int_equal(unlink(fixture->store), 0);
		unlink(fixture_path(fixture, "s.hush-wal"));
	}
}

static uint32_t big_endian(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* One bit makes a page of the list of free ones another, which is in use: a commit that needs a page would write over a row, and succeed. Each
 * bit of the list is noticed when the rows are read. */
static void test_page_in_use_and_free(void **state)
{
	static uint8_t data[4][20000];
	struct fixture *fixture = *state;
	const struct engine_change gone = {(const uint8_t *)"1", 1, NULL, 0};
	const struct engine_change rows[] = {{(const uint8_t *)"0", 1, data[0], sizeof(data[0])},
					     {(const uint8_t *)"1", 1, data[1], sizeof(data[1])},
					     {(const uint8_t *)"2", 1, data[2], sizeof(data[2])}};
	const struct engine_change more = {(const uint8_t *)"3", 1, data[3], sizeof(data[3])};
	unsigned noticed = 0, n_free;
	struct engine *engine;
	uint8_t *bytes, *list;
	size_t size;

	for (unsigned i = 0; i < 4; i++)
		fixture_fill(data[i], sizeof(data[i]), i);
	assert_int_equal(engine_create(fixture->store, rows, 3), 0);
	engine = open_engine(fixture->store);
	assert_int_equal(engine_commit(engine, &gone, 1), 0);
	engine_close(engine);
	bytes = fixture_read(fixture->store, &size);
	list = bytes + (big_endian(bytes + 32) - 1) * 4096ul; /* the page to begin with; in it how many it has, and which */
	n_free = big_endian(list + 4);
	assert_true(n_free > 3 && big_endian(bytes + 36) == n_free + 1);
	for (unsigned bit = 0; bit < n_free * 32; bit++) {
		uint8_t *changed = list + 8 + bit / 8;

		*changed ^= (uint8_t)(1u << bit % 8);
		fixture_write(fixture->store, bytes, size, 0600);
		*changed ^= (uint8_t)(1u << bit % 8);
		engine = open_engine(fixture->store);
		noticed += engine_scan(engine, bit % 2 ? ENGINE_STORED : ENGINE_BY_KEY, visit_none, NULL) == -EBADMSG;
		engine_close(engine);
	}
	printf("# figures free=%u bits=%u noticed=%u\n", n_free + 1, n_free * 32, noticed);
	assert_int_equal(noticed, n_free * 32);
	fixture_write(fixture->store, bytes, size, 0600);
	engine = open_engine(fixture->store);
	assert_int_equal(engine_scan(engine, ENGINE_STORED, visit_none, NULL), 0);
	assert_int_equal(engine_commit(engine, &more, 1), 0);
	assert_row(engine, "0", 1, (const char *)data[0], sizeof(data[0]));
	assert_row(engine, "2", 1, (const char *)data[2], sizeof(data[2]));
	engine_close(engine);
	free(bytes);
}

/* The same within a page, of the table or of its index: what it says of where rows begin, and of what is free between them. One bit, and the next
 * row would be written over another one. */
static void test_bytes_in_use_and_free(void **state)
{
	static const struct engine_change gone[] = {REMOVAL("a"), REMOVAL("b")};
	struct fixture *fixture = *state;
	unsigned bits = 0, noticed = 0;
	struct engine *engine;
	uint8_t *bytes;
	size_t size;

	make(fixture->store);
	engine = open_engine(fixture->store);
	assert_int_equal(engine_commit(engine, gone, 2), 0);
	engine_close(engine);
	bytes = fixture_read(fixture->store, &size);
	for (uint8_t *page = bytes + 4096; page < bytes + 3 * 4096; page += 4096) {
		const unsigned gap = (unsigned)page[1] << 8 | page[2]; /* where bytes are free; the first four of them say how many, and what is next */

		for (unsigned i = 0; i < 7 + (gap ? 4u : 0u); i++) {
			uint8_t *at = page + (i < 7 ? 1 + i : gap + i - 7);

			for (unsigned bit = 0; bit < 8; bit++, bits++) {
				*at ^= (uint8_t)(1u << bit);
				fixture_write(fixture->store, bytes, size, 0600);
				*at ^= (uint8_t)(1u << bit);
				engine = open_engine(fixture->store);
				noticed += engine_scan(engine, ENGINE_STORED, visit_none, NULL) == -EBADMSG;
				engine_close(engine);
			}
		}
	}
	printf("# figures bits=%u noticed=%u\n", bits, noticed);
	assert_true(bits >= 2 * 11 * 8);
	assert_int_equal(noticed, bits);
	free(bytes);
}

static void test_changed_schema(void **state)
{
	static const char *const changes[] = {
		"CREATE TABLE extra(x)",
		"CREATE VIEW extra AS SELECT * FROM row",
		"CREATE TRIGGER extra AFTER INSERT ON row BEGIN DELETE FROM row; END",
		"CREATE INDEX extra ON row(data)",
		"ANALYZE",
		"DROP TABLE row",
		"ALTER TABLE row RENAME TO rows",
		"ALTER TABLE row ADD COLUMN extra",
		"ALTER TABLE row RENAME COLUMN data TO bytes",
		"DROP TABLE row; CREATE TABLE row(key BLOB NOT NULL, data BLOB NOT NULL)",
		"DROP TABLE row; CREATE TABLE row(key BLOB NOT NULL UNIQUE, data BLOB)",
		"DROP TABLE row; CREATE VIEW row AS SELECT x'00' AS key, x'00' AS data",
		"PRAGMA writable_schema=ON; UPDATE sqlite_schema SET sql="
		"'CREATE TABLE row(key BLOB NOT NULL UNIQUE, data BLOB NOT NULL DEFAULT (1))' WHERE name='row'",
	};
	struct fixture *fixture = *state;

	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
		int r;

		make(fixture->store);
		fixture_sql(fixture->store, changes[i]);
		r = open_fails(fixture->store);
		if (r != -EBADMSG)
			fail_msg("%s: %d", changes[i], r);
		unlink(fixture->store);
	}
}

/* Pages written over: an error at the latest when the rows are read, and no crash. */
static void test_damaged_pages(void **state)
{
	struct fixture *fixture = *state;
	const char *copy = fixture_path(fixture, "copy");
	struct engine_change changes[50];
	char keys[50][4], data[50][2000];
	struct engine *engine;
	uint8_t *bytes;
	size_t size;

	for (int i = 0; i < 50; i++) {
		snprintf(keys[i], sizeof(keys[i]), "%03u", (unsigned)i % 1000);
		fixture_fill(data[i], sizeof(data[i]), (uint64_t)i);
		changes[i] = (struct engine_change){(uint8_t *)keys[i], 3, (uint8_t *)data[i], sizeof(data[i])};
	}
	assert_int_equal(engine_create(fixture->store, changes, 50), 0);
	bytes = fixture_read(fixture->store, &size);
	for (size_t page = 0; page < size; page += 4096) {
		uint8_t kept[4096];
		int r;

		memcpy(kept, bytes + page, 4096);
		memset(bytes + page, 0xff, 4096);
		fixture_write(copy, bytes, size, 0600);
		memcpy(bytes + page, kept, 4096);
		engine = NULL;
		r = engine_open(copy, &engine);
		if (r == 0) {
			uint8_t *row;
			size_t row_size;

			for (int i = 0; i < 50; i++) {
				r = engine_get(engine, (uint8_t *)keys[i], 3, &row, &row_size);
				assert_true(r == 0 || r == -EBADMSG || r == -ENOENT);
				if (r == 0)
					free(row);
			}
		} else {
			assert_true(r == -EBADMSG || r == -EMEDIUMTYPE);
			assert_null(engine);
		}
		engine_close(engine);
		unlink(copy);
	}
	free(bytes);
}

/* A folder that can't be opened, for want of a descriptor, was not synced, so nothing has failed that a later sync would hide: the next commit goes
 * on. */
static void test_few_descriptors(void **state)
{
	static const struct engine_change change[] = {CHANGE("d", "four")};
	struct fixture *fixture = *state;
	struct engine *engine;

	make(fixture->store);
	engine = open_engine(fixture->store);
	folder_error = -EMFILE;
	assert_int_equal(engine_commit(engine, change, 1), -EMFILE);
	folder_error = 0;
	assert_false(engine_is_read_only(engine));
	assert_int_equal(get(engine, "d"), -ENOENT);
	assert_int_equal(engine_commit(engine, change, 1), 0);
	engine_close(engine);
}

/* Under a limit to the length of files (ulimit -f) a commit is refused that would make the file longer, or the journal; what is there can be read,
 * and with the limit gone it goes on. */
static void test_file_limit(void **state)
{
	static uint8_t bytes[200000];
	const struct engine_change large = {(const uint8_t *)"l", 1, bytes, sizeof(bytes)};
	const struct engine_change replaced = {(const uint8_t *)"r", 1, bytes, 8000};
	struct fixture *fixture = *state;
	struct engine *engine;
	struct rlimit before, limit;
	void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
	int n = 0;

	make(fixture->store);
	engine = open_engine(fixture->store);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	limit = (struct rlimit){.rlim_cur = 65536, .rlim_max = before.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	assert_int_equal(engine_commit(engine, &large, 1), -EIO);
	assert_int_equal(get(engine, "l"), -ENOENT);
	for (; n < 20 && engine_commit(engine, &replaced, 1) == 0; n++)
		memset(bytes, n + 1, 8000); /* for the next one: what is the same is not written */
	assert_in_range(n, 1, 19);
	assert_int_equal(engine_commit(engine, &replaced, 1), -EIO);
	memset(bytes, n - 1, 8000);
	assert_row(engine, "r", 1, (const char *)bytes, 8000);
	assert_false(engine_is_read_only(engine));
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	engine_close(engine);
	engine = open_engine(fixture->store);
	no_growth = true;
	assert_int_equal(engine_commit(engine, &large, 1), -EIO);
	no_growth = false;
	assert_int_equal(engine_commit(engine, &large, 1), 0);
	assert_int_equal(engine_commit(engine, &replaced, 1), 0);
	engine_close(engine);
	signal(SIGXFSZ, handler);
}

/* As SQLite calls libc, when a quota is used up. */
static ssize_t write_beyond_quota(int fd, const void *bytes, size_t size, off_t at)
{
	(void)fd, (void)bytes, (void)size, (void)at;
	errno = EDQUOT;
	return -1;
}

/* To whoever has no room left it is the same whose bound that is. */
static void test_quota(void **state)
{
	static const char *const calls[] = {"pwrite", "pwrite64"};
	static const struct engine_change change = CHANGE("b", "TWO");
	sqlite3_vfs *vfs = sqlite3_vfs_find(NULL);
	struct fixture *fixture = *state;
	struct engine *engine;

	make(fixture->store);
	engine = open_engine(fixture->store);
	for (size_t i = 0; i < 2; i++)
		vfs->xSetSystemCall(vfs, calls[i], (sqlite3_syscall_ptr)write_beyond_quota);
	assert_int_equal(engine_commit(engine, &change, 1), -ENOSPC);
	for (size_t i = 0; i < 2; i++)
		vfs->xSetSystemCall(vfs, calls[i], NULL);
	assert_row(engine, "b", 1, "two", 3);
	assert_false(engine_is_read_only(engine));
	assert_int_equal(engine_commit(engine, &change, 1), 0);
	engine_close(engine);
}

/* It grows in spite of signals, and where nobody says how much room there is. */
static void test_growth(void **state)
{
	static uint8_t bytes[200000];
	const struct engine_change large = {(const uint8_t *)"l", 1, bytes, sizeof(bytes)};
	const struct engine_change larger = {(const uint8_t *)"m", 1, bytes, sizeof(bytes)};
	struct fixture *fixture = *state;
	struct engine *engine;

	make(fixture->store);
	engine = open_engine(fixture->store);
	interruptions = 3;
	assert_int_equal(engine_commit(engine, &large, 1), 0);
	assert_int_equal(interruptions, 0);
	assert_true(engine_room(engine) < UINT64_MAX);
	no_bound = true;
	assert_true(engine_room(engine) == UINT64_MAX);
	assert_int_equal(engine_commit(engine, &larger, 1), 0);
	no_bound = false;
	engine_close(engine);
}

static void limit_files(rlim_t bytes)
{
	struct rlimit limit;

	fixture_must(getrlimit(RLIMIT_FSIZE, &limit) == 0);
	limit.rlim_cur = bytes;
	fixture_must(setrlimit(RLIMIT_FSIZE, &limit) == 0);
}

/* A transaction fails when part of it is in the journal, and part waits to be written there. From then on not a byte of it is written: not when it
 * is undone, nor by a reader or a commit that comes after it. For those there is no room. */
static void test_undone(void **state)
{
	static uint8_t long_bytes[4 * 1024 * 1024], bytes[20000];
	static const struct engine_change small = CHANGE("b", "TWO"), smaller = CHANGE("a", "1");
	const struct engine_change too_long = {(const uint8_t *)"l", 1, long_bytes, sizeof(long_bytes)};
	const struct engine_change grows = {(const uint8_t *)"g", 1, bytes, sizeof(bytes)};
	struct fixture *fixture = *state;
	void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);

	fixture_fill(long_bytes, sizeof(long_bytes), 1);
	fixture_fill(bytes, sizeof(bytes), 2);
	for (int grown = 0; grown < 2; grown++) {
		struct engine *engine;
		struct scan scan = {0};

		make(fixture->store);
		engine = open_engine(fixture->store);
		assert_int_equal(engine_commit(engine, grown ? &grows : &small, 1), 0); /* grown: what undoing reads again is in the journal */
		journal = fixture_path(fixture, "s.hush-wal");
		no_growth = true;
		assert_int_equal(engine_commit(engine, &too_long, 1), -EIO);
		no_growth = false;
		assert_in_range(journal_length, 1000000, sizeof(long_bytes) - 1);
		assert_int_equal(length(journal), journal_length);
		limit_files((rlim_t)journal_length);
		assert_int_equal(engine_scan(engine, ENGINE_STORED, grown ? visit_none : visit, &scan), 0);
		assert_int_equal(engine_commit(engine, &smaller, 1), 0);
		assert_int_equal(length(journal), journal_length);
		limit_files(RLIM_INFINITY);
		for (int opened = 0; opened < 2; opened++) {
			assert_row(engine, "a", 1, "1", 1);
			assert_row(engine, "b", 1, grown ? "two" : "TWO", 3);
			assert_int_equal(get(engine, "l"), -ENOENT);
			if (grown)
				assert_row(engine, "g", 1, (const char *)bytes, sizeof(bytes));
			engine_close(engine);
			engine = open_engine(fixture->store);
		}
		engine_close(engine);
		assert_int_equal(unlink(fixture->store), 0);
	}
	journal = NULL;
	signal(SIGXFSZ, handler);
}

/* What is logged from begin_log until end_log, which gives it as a string. */
static int log_pipe[2], log_before;

static void begin_log(void)
{
	log_before = dup(STDERR_FILENO);
	fixture_must(log_before >= 0 && pipe(log_pipe) == 0 && dup2(log_pipe[1], STDERR_FILENO) >= 0);
}

static void end_log(char *ret_text, size_t room)
{
	ssize_t n;

	dup2(log_before, STDERR_FILENO);
	close(log_before);
	close(log_pipe[1]);
	n = read(log_pipe[0], ret_text, room - 1);
	close(log_pipe[0]);
	fixture_must(n >= 0);
	ret_text[n] = '\0';
}

/* A sync fails, and then the journal can't even be opened to have the kernel forget what it keeps of it: read-only all the same, which is said once,
 * and all is there to be read, until it is opened again. */
static void test_failed_sync_without_descriptors(void **state)
{
	static const struct engine_change change = CHANGE("a", "ONE"), lost = CHANGE("b", "lost"), later = CHANGE("b", "TWO");
	static const char expected[] = "a=ONE;b=two;c\0d=\0\1\2;";
	struct fixture *fixture = *state;
	int first, second, scanned, status;
	struct scan scan = {0};
	struct engine *engine;
	struct rlimit limit;
	char text[3000], *line;
	pid_t pid;

	make(fixture->store);
	pid = fork();
	if (pid == 0) { /* what it commits stays in the journal */
		if (engine_open(fixture->store, &engine) < 0 || engine_commit(engine, &change, 1) < 0)
			_exit(1);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	engine = open_engine(fixture->store);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	begin_log();
	no_fsync = true;
	first = engine_commit(engine, &lost, 1);
	no_fsync = false;
	second = engine_commit(engine, &later, 1);
	scanned = engine_scan(engine, ENGINE_BY_KEY, visit, &scan);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	end_log(text, sizeof(text));
	assert_int_equal(first, -EIO);
	assert_int_equal(second, -EROFS);
	assert_true(engine_is_read_only(engine));
	assert_int_equal(scanned, 0);
	assert_int_equal(scan.size, sizeof(expected) - 1);
	assert_memory_equal(scan.text, expected, scan.size);
	line = strstr(text, "cannot sync the folder of the store: Input/output error\n");
	assert_non_null(line);
	line = strchr(line, '\n') + 1;
	assert_non_null(strstr(line, "the disk failed to sync: the store is read-only from now on"));
	assert_ptr_equal(strchr(line, '\n') + 1, text + strlen(text)); /* and no more */
	engine_close(engine);
	engine = open_engine(fixture->store);
	assert_row(engine, "a", 1, "ONE", 3);
	assert_row(engine, "b", 1, "two", 3);
	assert_int_equal(engine_commit(engine, &later, 1), 0);
	assert_row(engine, "b", 1, "TWO", 3);
	engine_close(engine);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_create_and_open),
		TEST(test_create_keeps_what_is_there),
		TEST(test_scan),
		TEST(test_scan_as_stored),
		TEST(test_index_of_other_rows),
		TEST(test_pages_too_deep),
		TEST(test_tree_that_leads_astray),
		TEST(test_index_out_of_order),
		TEST(test_key_that_is_too_long),
		TEST(test_places),
		TEST(test_commit),
		TEST(test_large_row),
		TEST(test_few_writes),
		TEST(test_replacement),
		TEST(test_crash),
		TEST(test_one_process_at_a_time),
		TEST(test_not_a_store),
		TEST(test_foreign_sqlite_file),
		TEST(test_looks_ours),
		TEST(test_cannot_be_opened),
		TEST(test_planted_journals),
		TEST(test_replaced_while_open),
		TEST(test_moved_while_open),
		TEST(test_journal_of_a_lost_file),
		TEST(test_journal_of_another_that_is_open),
		TEST(test_journal_of_another_that_was_killed),
		TEST(test_journal_that_goes),
		TEST(test_moved_with_its_journal),
		TEST(test_moved_without_its_journal),
		TEST(test_moved_back),
		TEST(test_journal_begun_anew_by_another),
		TEST(test_journal_under_another_name),
		TEST(test_journal_that_is_not_known),
		TEST(test_journal_beside_no_store),
		TEST(test_flush_and_settle_what_is_lost),
		TEST(test_cut_is_not_filled_up),
		TEST(test_cut_while_open),
		TEST(test_page_in_use_and_free),
		TEST(test_bytes_in_use_and_free),
		TEST(test_changed_schema),
		TEST(test_damaged_pages),
		TEST(test_rows_without_end),
		TEST(test_few_descriptors),
		TEST(test_file_limit), TEST(test_quota), TEST(test_growth),
		TEST(test_undone),
		TEST(test_failed_sync_without_descriptors),
	};

	return cmocka_run_group_tests(tests, fixture_group_setup, fixture_group_teardown);
}
