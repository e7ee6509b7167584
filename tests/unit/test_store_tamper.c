/* SPDX-License-Identifier: Apache-2.0
 * test_store_tamper: what somebody without the key can do to the file, and that none of it is served.
 *
 * The attacker is a plain SQLite connection, or writes to the file. He may do all but put the whole file back to
 * an older state, which nothing in the file itself could tell.
 */
#include "store/header.h"
#include "store/internal.h"
#include "tests/unit/cmocka_all.h"
#include "tests/unit/fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CACHE (1024 * 1024)

/* What || joins is a text to SQLite, which is refused for that alone: hence the casts below. */

static int number(const char *path, const char *text)
{
	sqlite3_stmt *statement;
	sqlite3 *db;
	int result;

	fixture_must(sqlite3_open(path, &db) == SQLITE_OK);
	fixture_must(sqlite3_prepare_v2(db, text, -1, &statement, NULL) == SQLITE_OK);
	fixture_must(sqlite3_step(statement) == SQLITE_ROW);
	result = sqlite3_column_int(statement, 0);
	sqlite3_finalize(statement);
	sqlite3_close(db);
	return result;
}

static int opens(struct fixture *fixture, const char *path)
{
	struct store *store;
	int r = fixture_try(fixture, path, &store);

	assert_int_equal(store != NULL, r == 0);
	store_close(store);
	return r;
}

/* Do @text to a copy; it must then be refused. */
static void refused_after(struct fixture *fixture, const char *text)
{
	const char *copy = fixture_path(fixture, "copy");
	int r;

	fixture_copy(fixture->store, copy);
	fixture_sql(copy, text);
	r = opens(fixture, copy);
	if (r != -EBADMSG)
		fail_msg("%s: %d", text, r);
	unlink(copy);
}

/* Some of everything: versions, an empty value, a second mesh. */
static void make(struct fixture *fixture)
{
	struct store *store;

	fixture_make(fixture);
	store = fixture_open(fixture, 2, CACHE);
	for (int i = 0; i < 3; i++) {
		char text[20];

		snprintf(text, sizeof(text), "value %d", i);
		assert_int_equal(
			fixture_do(store, STORE_PUT, fixture_secret("default", "a"), text, strlen(text), NULL), 0);
	}
	assert_int_equal(fixture_do(store, STORE_PUT, fixture_secret("default", "b"), "bbb", 3, NULL), 0);
	assert_int_equal(fixture_do(store, STORE_PUT, fixture_mesh("m"), FIXTURE_MESH("m", "y"), sizeof(FIXTURE_MESH("m", "y")) - 1, NULL), 0);
	assert_int_equal(fixture_do(store, STORE_PUT, fixture_secret("m", "c"), "", 0, NULL), 0);
	assert_int_equal(fixture_do(store, STORE_PUT, fixture_global("g"), "ggg", 3, NULL), 0);
	fixture_settle(store);
	store_close(store);
	/* header, manifest; the root, 2 meshes, 4 secrets, each with a record; their values, one with 3 */
	assert_int_equal(number(fixture->store, "SELECT count(*) FROM row"), 2 + 7 + 9);
}

static void test_each_row_deleted(void **state)
{
	struct fixture *fixture = *state;
	int rows;
	char text[100];

	make(fixture);
	rows = number(fixture->store, "SELECT count(*) FROM row");
	for (int i = 0; i < rows; i++) {
		snprintf(text, sizeof(text),
			 "DELETE FROM row WHERE key=(SELECT key FROM row ORDER BY key LIMIT 1 OFFSET %d)", i);
		refused_after(fixture, text);
	}
	refused_after(fixture, "DELETE FROM row");
	refused_after(fixture, "DELETE FROM row WHERE substr(key,1,1)=x'03'");
	refused_after(fixture, "DELETE FROM row WHERE substr(key,1,1)>=x'02'");
	refused_after(fixture, "DELETE FROM row WHERE substr(key,1,1)>=x'01'");
	assert_int_equal(opens(fixture, fixture->store), 0);
}

/* Every two rows of a table exchange their data, or their keys. */
static void test_rows_swapped(void **state)
{
	struct fixture *fixture = *state;
	char text[400];

	make(fixture);
	for (int table = 2; table <= 3; table++) {
		int rows;

		snprintf(text, sizeof(text), "SELECT count(*) FROM row WHERE substr(key,1,1)=x'%02x'", table);
		rows = number(fixture->store, text);
		for (int i = 0; i < rows; i++)
			for (int j = 0; j < i; j++) {
				snprintf(text, sizeof(text),
					 "CREATE TEMP TABLE t AS SELECT key, data,"
					 " row_number() OVER (ORDER BY key)-1 AS n FROM row"
					 " WHERE substr(key,1,1)=x'%02x';"
					 "UPDATE row SET data=(SELECT data FROM t WHERE n=%d)"
					 " WHERE key=(SELECT key FROM t WHERE n=%d);"
					 "UPDATE row SET data=(SELECT data FROM t WHERE n=%d)"
					 " WHERE key=(SELECT key FROM t WHERE n=%d);",
					 table, i, j, j, i);
				refused_after(fixture, text);
			}
	}
}

static void test_rows_moved_and_duplicated(void **state)
{
	static const char *const attacks[] = {
		/* the same data under another id, another generation, another table */
		"UPDATE row SET key=CAST(x'02'||randomblob(16) AS BLOB)"
		" WHERE key=(SELECT max(key) FROM row WHERE substr(key,1,1)=x'02')",
		"UPDATE row SET key=CAST(substr(key,1,17)||x'00000000000000ff' AS BLOB)"
		" WHERE key=(SELECT max(key) FROM row WHERE substr(key,1,1)=x'03')",
		"UPDATE row SET key=CAST(x'02'||substr(key,2,16)||x'0000000000000001' AS BLOB)"
		" WHERE key=(SELECT max(key) FROM row WHERE substr(key,1,1)=x'03')",
		"INSERT INTO row SELECT CAST(x'02'||randomblob(16) AS BLOB),data FROM row WHERE substr(key,1,1)=x'02' LIMIT 1",
		"INSERT INTO row SELECT CAST(substr(key,1,17)||x'00000000000000ff' AS BLOB),data FROM row"
		" WHERE substr(key,1,1)=x'03' LIMIT 1",
		/* to take the place of the current version, or of the oldest */
		"INSERT OR IGNORE INTO row SELECT CAST(substr(key,1,17)||x'7fffffffffffffff' AS BLOB),data FROM row"
		" WHERE substr(key,1,1)=x'03'",
		"INSERT OR IGNORE INTO row SELECT CAST(substr(key,1,17)||x'0000000000000000' AS BLOB),data FROM row"
		" WHERE substr(key,1,1)=x'03'",
		/* values as records, records as values */
		"INSERT INTO row SELECT CAST(x'02'||substr(key,2,15)||x'00' AS BLOB),data FROM row WHERE substr(key,1,1)=x'03' LIMIT 1",
		"INSERT INTO row SELECT CAST(x'03'||substr(key,2)||x'00000000000000fe' AS BLOB),data FROM row"
		" WHERE substr(key,1,1)=x'02' LIMIT 1",
		/* rows that are not ours */
		"INSERT INTO row VALUES(x'04',x'00')",
		"INSERT INTO row VALUES(x'',x'00')",
		"INSERT INTO row VALUES(x'0000',x'00')",
		"INSERT INTO row VALUES(x'0100',x'00')",
		"INSERT INTO row VALUES(x'02',x'00')",
		"INSERT INTO row VALUES('text','text')",
		"INSERT INTO row VALUES(1,2)",
		"INSERT INTO row VALUES(1.5,x'')",
		"INSERT INTO row VALUES(CAST(x'02'||randomblob(16) AS BLOB),x'')",
		"INSERT INTO row VALUES(CAST(x'03'||randomblob(24) AS BLOB),x'')",
		/* a text is not a blob to SQLite, so both can be there with the same bytes */
		"INSERT INTO row SELECT CAST(key AS TEXT),data FROM row WHERE key=x'01'",
		"INSERT INTO row VALUES(CAST(x'01' AS TEXT),'anything')",
		"INSERT INTO row VALUES(CAST(x'00' AS TEXT),'anything')",
		"INSERT INTO row SELECT CAST(key AS TEXT),data FROM row WHERE substr(key,1,1)=x'02' LIMIT 1",
		"INSERT INTO row SELECT CAST(key AS TEXT),data FROM row WHERE substr(key,1,1)=x'03' LIMIT 1",
		"UPDATE row SET data=CAST(data AS TEXT) WHERE key=x'01'",
		"UPDATE row SET data=CAST(data AS TEXT) WHERE substr(key,1,1)=x'03'",
		/* data cut, grown, emptied */
		"UPDATE row SET data=substr(data,1,length(data)-1) WHERE substr(key,1,1)=x'03'",
		"UPDATE row SET data=CAST(data||x'00' AS BLOB) WHERE substr(key,1,1)=x'03'",
		"UPDATE row SET data=x'' WHERE substr(key,1,1)=x'02'",
		"UPDATE row SET data=x'' WHERE key=x'01'",
		"UPDATE row SET data=substr(data,1,100) WHERE key=x'00'",
		"UPDATE row SET data=CAST(data||x'00' AS BLOB) WHERE key=x'00'",
	};
	struct fixture *fixture = *state;

	make(fixture);
	for (size_t i = 0; i < sizeof(attacks) / sizeof(attacks[0]); i++)
		refused_after(fixture, attacks[i]);
	assert_int_equal(opens(fixture, fixture->store), 0);
}

/* Each row's data, with one bit of it flipped. */
static void test_each_row_changed(void **state)
{
	struct fixture *fixture = *state;
	char text[600];
	int rows;

	make(fixture);
	rows = number(fixture->store, "SELECT count(*) FROM row");
	for (int i = 1; i < rows; i++) { /* the header has a test of its own */
		for (int at = 1; at <= 100; at += 33) {
			snprintf(text, sizeof(text),
				 "CREATE TEMP TABLE t AS SELECT key AS k, data AS d FROM row"
				 " ORDER BY key LIMIT 1 OFFSET %d;"
				 "UPDATE row SET data=(SELECT CAST(substr(d,1,%d-1)||CASE WHEN substr(d,%d,1)=x'00' THEN x'01'"
				 " ELSE x'00' END||substr(d,%d+1) AS BLOB) FROM t) WHERE key=(SELECT k FROM t)",
				 i, at, at, at);
			refused_after(fixture, text);
		}
	}
}

/* A bit of a long value's ciphertext, which is in no hash: its tag says so. */
static void test_long_value_changed(void **state)
{
	static const uint8_t zeros[100 * 1024];
	struct fixture *fixture = *state;
	struct store *store;

	fixture_make(fixture);
	store = fixture_open(fixture, 0, 0);
	assert_int_equal(fixture_do(store, STORE_PUT, fixture_global("long"), zeros, sizeof(zeros), NULL), 0);
	store_close(store);
	refused_after(fixture, "UPDATE row SET data=CAST(substr(data,1,50000)||CASE WHEN substr(data,50001,1)=x'00' THEN x'01' ELSE x'00' END||"
			       "substr(data,50002) AS BLOB) WHERE length(data)>100000");
	assert_int_equal(opens(fixture, fixture->store), 0);
}

/* Rows of an older state of the same store: each alone, all records, all values, the manifest; and what is of
 * another store with the same key. */
static void test_replay(void **state)
{
	struct fixture *fixture = *state;
	struct store *store;
	char text[600], attach[400];
	int refused = 0;
	int rows;

	make(fixture);
	fixture_copy(fixture->store, fixture_path(fixture, "old"));
	store = fixture_open(fixture, 2, CACHE);
	assert_int_equal(fixture_do(store, STORE_PUT, fixture_secret("default", "a"), "newer", 5, NULL), 0);
	assert_int_equal(fixture_do(store, STORE_PUT, fixture_secret("m", "c"), "newer", 5, NULL), 0);
	assert_int_equal(fixture_do(store, STORE_REMOVE, fixture_secret("default", "b"), NULL, 0, NULL), 0);
	assert_int_equal(fixture_do(store, STORE_PUT, fixture_global("new"), "new", 3, NULL), 0);
	fixture_settle(store);
	store_close(store);
	snprintf(attach, sizeof(attach), "ATTACH '%s' AS old;", fixture_path(fixture, "old"));
	rows = number(fixture_path(fixture, "old"), "SELECT count(*) FROM row");
	for (int i = 0; i < rows; i++) {
		const char *copy = fixture_path(fixture, "copy");
		int r;

		fixture_copy(fixture->store, copy);
		snprintf(text, sizeof(text),
			 "%sINSERT OR REPLACE INTO main.row SELECT * FROM old.row ORDER BY key LIMIT 1 OFFSET %d;", attach,
			 i);
		fixture_sql(copy, text);
		r = opens(fixture, copy);
		assert_true(r == 0 || r == -EBADMSG);
		refused += r != 0;
	}
	/* the manifest; the records of the root, `default`, a, b, c; the oldest value of a, the value of b. The other
	 * rows are the same in both. */
	assert_int_equal(refused, 8);
	snprintf(text, sizeof(text), "%sINSERT OR REPLACE INTO main.row SELECT * FROM old.row WHERE key=x'01'",
		 attach);
	refused_after(fixture, text);
	snprintf(text, sizeof(text),
		 "%sINSERT OR REPLACE INTO main.row SELECT * FROM old.row WHERE substr(key,1,1)=x'02'", attach);
	refused_after(fixture, text);
	snprintf(text, sizeof(text),
		 "%sINSERT OR REPLACE INTO main.row SELECT * FROM old.row WHERE substr(key,1,1)=x'03'", attach);
	refused_after(fixture, text);
	snprintf(text, sizeof(text), "%sINSERT OR REPLACE INTO main.row SELECT * FROM old.row", attach);
	refused_after(fixture, text);
	/* all of the old state: nothing in the file can tell; that it opens says that the attacks above were real */
	snprintf(text, sizeof(text), "%sDELETE FROM main.row; INSERT INTO main.row SELECT * FROM old.row", attach);
	fixture_sql(fixture->store, text);
	assert_int_equal(opens(fixture, fixture->store), 0);
}

static void test_rows_of_another_store(void **state)
{
	struct fixture *fixture = *state;
	char path[310], text[600];

	make(fixture);
	snprintf(path, sizeof(path), "%s", fixture_path(fixture, "first"));
	assert_int_equal(rename(fixture->store, path), 0);
	make(fixture); /* the same names and values, opened by the same key */
	snprintf(text, sizeof(text),
		 "ATTACH '%s' AS o; INSERT OR REPLACE INTO main.row SELECT * FROM o.row WHERE key=x'00'",
		 path);
	refused_after(fixture, text);
	snprintf(text, sizeof(text),
		 "ATTACH '%s' AS o; INSERT OR REPLACE INTO main.row SELECT * FROM o.row WHERE key=x'01'",
		 path);
	refused_after(fixture, text);
	snprintf(text, sizeof(text),
		 "ATTACH '%s' AS o; DELETE FROM main.row WHERE key>x'01';"
		 "INSERT INTO main.row SELECT * FROM o.row WHERE key>x'01'",
		 path);
	refused_after(fixture, text);
}

static void test_schema(void **state)
{
	struct fixture *fixture = *state;

	make(fixture);
	refused_after(fixture, "CREATE TABLE extra(x)");
	refused_after(fixture, "CREATE TRIGGER extra BEFORE INSERT ON row BEGIN SELECT RAISE(IGNORE); END");
	refused_after(fixture, "CREATE VIEW extra AS SELECT 1");
	refused_after(fixture, "ALTER TABLE row RENAME TO old; CREATE VIEW row AS SELECT * FROM old");
}

/* Each byte of the header row; through the store, and so by way of SQLite. */
static void test_header(void **state)
{
	struct fixture *fixture = *state;
	int size;
	char text[400];

	make(fixture);
	size = number(fixture->store, "SELECT length(data) FROM row WHERE key=x'00'");
	for (int at = 1; at <= size; at += at < 220 ? 3 : 61) {
		const char *copy = fixture_path(fixture, "copy");
		int r;

		fixture_copy(fixture->store, copy);
		snprintf(text, sizeof(text),
			 "UPDATE row SET data=CAST(substr(data,1,%d-1)||CASE WHEN substr(data,%d,1)=x'00' THEN x'01'"
			 " ELSE x'00' END||substr(data,%d+1) AS BLOB) WHERE key=x'00'",
			 at, at, at);
		fixture_sql(copy, text);
		r = opens(fixture, copy);
		if (r != -EBADMSG && r != -EMEDIUMTYPE && r != -EPROTONOSUPPORT && r != -EKEYREJECTED)
			fail_msg("byte %d: %d", at, r);
	}
}

/* Values that are too many for SQLite's cache, changed in the file while the store is open: -EIO or the truth. */
static void test_changed_while_open(void **state)
{
	enum { N = 16, BYTES = 700 * 1024 };
	struct fixture *fixture = *state;
	struct store *store;
	uint8_t *value = malloc(BYTES), *file;
	int fd, refused = 0;
	char text[20];
	size_t size;

	fixture_must(value);
	fixture_make(fixture);
	store = fixture_open(fixture, 0, 0);
	for (int i = 0; i < N; i++) {
		snprintf(text, sizeof(text), "s-%d", i);
		fixture_fill(value, BYTES, (uint64_t)i);
		assert_int_equal(fixture_do(store, STORE_PUT, fixture_global(text), value, BYTES, NULL), 0);
	}
	store_close(store); /* so that all is in the file itself */
	file = fixture_read(fixture->store, &size);
	store = fixture_open(fixture, 0, 0);
	fd = open(fixture->store, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	for (size_t at = 100 * 4096 + 2000; at < size; at += 64 * 4096) {
		uint8_t changed = file[at] ^ 1;

		assert_int_equal(pwrite(fd, &changed, 1, (off_t)at), 1);
	}
	for (int i = 0; i < N; i++) {
		struct secbuf read = {0};
		struct name name;
		uint64_t generation;
		int r;

		snprintf(text, sizeof(text), "s-%d", i);
		name = fixture_global(text);
		fixture_fill(value, BYTES, (uint64_t)i);
		assert_int_equal(store_pin(store, store_node(store, &name), &generation), 0);
		r = store_read(store, store_node(store, &name), generation, &read);
		if (r == 0) {
			assert_int_equal(read.size, BYTES);
			assert_memory_equal(read.data, value, BYTES);
		} else {
			assert_int_equal(r, -EIO);
			assert_null(read.data);
			refused++;
			/* nor does an append build upon it, and it can be replaced by what is right */
			if (refused == 1) {
				assert_int_equal(fixture_do(store, STORE_APPEND, name, "x", 1, NULL), -EIO);
				assert_int_equal(fixture_do(store, STORE_PUT, name, "new", 3, NULL), 0);
				assert_true(fixture_holds(store, name, "new", 3));
			}
		}
		secbuf_deinit(&read);
		store_unpin(store, store_node(store, &name), generation);
	}
	assert_true(refused > N / 2);
	close(fd);
	store_close(store);
	free(file);
	free(value);
}

static int read_pinned(struct store *store, uint64_t node, uint64_t generation, const char *expected)
{
	struct secbuf value = {0};
	int r = store_read(store, node, generation, &value);

	if (r == 0)
		assert_true(value.size == strlen(expected) && memcmp(value.data, expected, value.size) == 0);
	secbuf_deinit(&value);
	return r;
}

/* What was prefetched is read without the file, if it is short; if it was wrong it is EIO, and right as soon as the file is. */
static void test_prefetched(void **state)
{
	static const uint8_t zeros[100 * 1024];
	struct fixture *fixture = *state;
	struct name name = fixture_global("short"), longer = fixture_global("long");
	struct store *store;
	struct seal_key key, longer_key;
	uint64_t node, longer_node, generation, longer_generation;
	uint8_t *row, *longer_row;
	size_t size, longer_size;

	fixture_make(fixture);
	store = fixture_open(fixture, 0, 0);
	assert_int_equal(fixture_do(store, STORE_PUT, name, "value", 5, NULL), 0);
	assert_int_equal(fixture_do(store, STORE_PUT, longer, zeros, sizeof(zeros), NULL), 0);
	store_close(store);
	store = fixture_open(fixture, 0, 1024 * 1024);
	node = store_node(store, &name);
	longer_node = store_node(store, &longer);
	assert_int_equal(store_pin(store, node, &generation), 0);
	assert_int_equal(store_pin(store, longer_node, &longer_generation), 0);
	key = seal_key(SEAL_VALUE, &index_find(&store->index, node)->id, generation);
	longer_key = seal_key(SEAL_VALUE, &index_find(&store->index, longer_node)->id, longer_generation);
	assert_int_equal(engine_get(store->engine, key.bytes, key.size, &row, &size), 0);
	assert_int_equal(engine_get(store->engine, longer_key.bytes, longer_key.size, &longer_row, &longer_size), 0);

	row[size - 1] ^= 1;
	const struct engine_change wrong = {key.bytes, key.size, row, size};
	assert_int_equal(engine_commit(store->engine, &wrong, 1), 0);
	store_prefetch(store, node, generation);
	assert_int_equal(read_pinned(store, node, generation, ""), -EIO);
	row[size - 1] ^= 1;
	assert_int_equal(engine_commit(store->engine, &wrong, 1), 0);
	store_prefetch(store, node, generation);
	store_prefetch(store, node, generation + 1); /* of no such version */
	store_prefetch(store, node + 1, generation); /* nor resource */
	store_prefetch(store, longer_node, longer_generation);
	const struct engine_change removed[] = {{key.bytes, key.size, NULL, 0}, {longer_key.bytes, longer_key.size, NULL, 0}};
	assert_int_equal(engine_commit(store->engine, removed, 2), 0);
	assert_int_equal(read_pinned(store, node, generation, "value"), 0);
	assert_int_equal(read_pinned(store, longer_node, longer_generation, ""), -EIO);
	free(row);
	free(longer_row);
	store_unpin(store, node, generation);
	store_unpin(store, longer_node, longer_generation);
	store_close(store);
}

/* Only the current version, and only of what is there, is prefetched, and what can't be had is not: that it was is seen by the file being changed
 * afterwards. */
static void test_not_prefetched(void **state)
{
	static const struct {
		const char *what;
		bool older, removed, gone;
		int expected;
	} cases[] = {
		{"the current one", false, false, false, 0},
		{"an older one", true, false, false, -EIO},
		{"of what was removed", false, true, false, -EIO},
		{"gone from the file", false, false, true, -EIO},
	};
	struct fixture *fixture = *state;
	struct name name = fixture_global("g");
	uint64_t node, older, current;

	fixture_make(fixture);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct store *store = fixture_open(fixture, 5, 0);
		struct seal_key key;
		struct engine_change change;

		node = store_node(store, &name);
		assert_int_equal(fixture_do(store, STORE_PUT, name, "older", 5, NULL), 0);
		older = fixture_info(store, name).record.generation;
		assert_int_equal(fixture_do(store, STORE_PUT, name, "current", 7, NULL), 0);
		store_close(store);
		store = fixture_open(fixture, 5, 1024 * 1024); /* nothing is cached */
		assert_int_equal(store_pin(store, node, &current), 0);
		if (cases[i].removed)
			assert_int_equal(fixture_do(store, STORE_REMOVE, name, NULL, 0, NULL), 0);
		key = seal_key(SEAL_VALUE, &index_find(&store->index, node)->id, cases[i].older ? older : current);
		change = (struct engine_change){key.bytes, key.size, cases[i].gone ? NULL : (const uint8_t *)"short", cases[i].gone ? 0 : 5};
		if (cases[i].gone)
			assert_int_equal(engine_commit(store->engine, &change, 1), 0);
		store_prefetch(store, node, cases[i].older ? older : current);
		assert_int_equal(engine_commit(store->engine, &change, 1), 0);
		if (cases[i].expected == 0)
			store_prefetch(store, node, current); /* it is there already */
		if (read_pinned(store, node, cases[i].older ? older : current, "current") != cases[i].expected)
			fail_msg("%s", cases[i].what);
		store_unpin(store, node, current);
		store_close(store);
		assert_int_equal(engine_remove(fixture->store), 0);
		fixture_make(fixture);
	}
}

/* Rows that are elsewhere in the file: nobody promises where they are. */
static void test_rows_elsewhere(void **state)
{
	static const char *const places[] = {"rowid+4294967295", "rowid+4294967296", "-rowid"};
	struct fixture *fixture = *state;
	char text[100];

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		struct store *store;

		make(fixture);
		snprintf(text, sizeof(text), "UPDATE row SET rowid=%s", places[i]);
		fixture_sql(fixture->store, text);
		store = fixture_open(fixture, 2, 0);
		assert_true(fixture_holds(store, fixture_secret("default", "a"), "value 2", 7));
		assert_true(fixture_holds(store, fixture_global("g"), "ggg", 3));
		assert_int_equal(fixture_do(store, STORE_PUT, fixture_global("g"), "new", 3, NULL), 0);
		assert_true(fixture_holds(store, fixture_global("g"), "new", 3));
		store_close(store);
		assert_int_equal(engine_remove(fixture->store), 0);
	}
}

/* The end of the open file is cut off, with more in it than SQLite remembers: what is read is right or -EIO, and nothing is written any more. */
static void test_cut_while_open(void **state)
{
	enum { N = 12, BYTES = 400 * 1024 };
	struct fixture *fixture = *state;
	uint8_t *value = malloc(BYTES);
	struct store *store;
	int refused = 0;
	struct stat st;
	char text[20];

	fixture_must(value);
	fixture_make(fixture);
	store = fixture_open(fixture, 0, 0);
	for (int i = 0; i < N; i++) {
		snprintf(text, sizeof(text), "s-%d", i);
		fixture_fill(value, BYTES, (uint64_t)i);
		assert_int_equal(fixture_do(store, STORE_PUT, fixture_global(text), value, BYTES, NULL), 0);
	}
	store_close(store); /* so that all is in the file itself */
	store = fixture_open(fixture, 0, 0);
	assert_int_equal(stat(fixture->store, &st), 0);
	assert_int_equal(truncate(fixture->store, st.st_size / 4), 0);
	for (int i = 0; i < N; i++) {
		SECBUF_AUTO read = {0};
		struct name name;
		uint64_t generation;
		int r;

		snprintf(text, sizeof(text), "s-%d", i);
		name = fixture_global(text);
		fixture_fill(value, BYTES, (uint64_t)i);
		assert_int_equal(store_pin(store, store_node(store, &name), &generation), 0);
		r = store_read(store, store_node(store, &name), generation, &read);
		assert_true(r == -EIO || (r == 0 && read.size == BYTES && memcmp(read.data, value, BYTES) == 0));
		refused += r == -EIO;
		store_unpin(store, store_node(store, &name), generation);
	}
	assert_true(refused > N / 3);
	assert_true(store_is_read_only(store));
	assert_int_equal(fixture_do(store, STORE_PUT, fixture_global("new"), "x", 1, NULL), -EROFS);
	assert_int_equal(fixture_do(store, STORE_REMOVE, fixture_global("s-0"), NULL, 0, NULL), -EROFS);
	store_close(store);
	assert_true(opens(fixture, fixture->store) < 0);
	free(value);
}

static bool file_has(const char *path, const char *marker)
{
	uint8_t *bytes;
	size_t size;
	bool found;

	if (access(path, F_OK) < 0)
		return false;
	bytes = fixture_read(path, &size);
	found = memmem(bytes, size, marker, strlen(marker));
	free(bytes);
	return found;
}

static void random_text(char ret_text[static 17])
{
	uint64_t random;

	crypto_random(&random, sizeof(random));
	snprintf(ret_text, 17, "%016llx", (unsigned long long)random);
}

static void test_nothing_in_clear(void **state)
{
	struct fixture *fixture = *state;
	char markers[8][17], wal[310], document[100];
	struct store *store;
	struct store_txn *txn = store_txn_new(1);

	for (int i = 0; i < 8; i++)
		random_text(markers[i]);
	markers[0][0] = 'm'; /* so that a mesh may be called so */
	snprintf(wal, sizeof(wal), "%s-wal", fixture->store);
	fixture_make(fixture);
	store = fixture_open(fixture, 2, CACHE);
	snprintf(document, sizeof(document), FIXTURE_MESH("%s", "%s"), markers[0], markers[1]);
	assert_int_equal(fixture_do(store, STORE_PUT, fixture_mesh(markers[0]), document, strlen(document), NULL), 0);
	assert_int_equal(fixture_do(store, STORE_PUT, fixture_secret(markers[0], markers[2]), markers[3], 16, NULL), 0);
	assert_int_equal(
		fixture_do(store, STORE_APPEND, fixture_secret(markers[0], markers[2]), markers[4], 16, NULL), 0);
	assert_int_equal(fixture_do(store, STORE_PUT, fixture_global(markers[5]), markers[6], 16, NULL), 0);
	fixture_op(&txn->ops[0], STORE_RENAME, fixture_global(markers[5]), NULL, 0);
	txn->ops[0].to = fixture_global(markers[7]);
	assert_int_equal(store_run(store, txn), 0);
	store_txn_free(txn);
	fixture_settle(store);
	assert_int_equal(access(wal, F_OK), 0);
	assert_true(file_has(wal, "\x37\x7f\x06")); /* a journal's mark: the search does find things */
	for (int closed = 0; closed < 2; closed++) {
		for (int i = 0; i < 8; i++) {
			assert_false(file_has(fixture->store, markers[i]));
			assert_false(file_has(wal, markers[i]));
		}
		assert_false(file_has(fixture->store, "default"));
		assert_false(file_has(wal, "default"));
		assert_false(file_has(wal, "type: Mesh"));
		assert_false(file_has(fixture->store, "type: Mesh"));
		if (!closed)
			store_close(store);
	}
	assert_true(file_has(fixture->store, "HUSHSTOR"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

/* A header with a valid MAC that is not the current one: as it was before a key was removed, say. */
static void test_another_header(void **state)
{
	struct fixture *fixture = *state;
	struct header_keys *keys = NULL;
	struct header header;
	char text[2 * HEADER_BYTES + 100];
	struct iovec part = {header.bytes, HEADER_BYTES - CRYPTO_HASH_BYTES};
	size_t used, size;
	sqlite3_stmt *statement;
	unsigned slot;
	sqlite3 *db;

	make(fixture);
	fixture_must(sqlite3_open(fixture->store, &db) == SQLITE_OK);
	fixture_must(sqlite3_prepare_v2(db, "SELECT data FROM row WHERE key=x'00'", -1, &statement, NULL) == SQLITE_OK);
	fixture_must(sqlite3_step(statement) == SQLITE_ROW);
	size = (size_t)sqlite3_column_bytes(statement, 0);
	fixture_must(size == HEADER_BYTES);
	memcpy(header.bytes, sqlite3_column_blob(statement, 0), size);
	sqlite3_finalize(statement);
	sqlite3_close(db);

	assert_int_equal(header_open(&header, fixture->key, "header", &keys, &slot), 0);
	header.bytes[40 + 7 * HEADER_SLOT_BYTES + 150] ^= 1; /* in a free slot */
	crypto_keyed_hash(header.bytes + part.iov_len, CRYPTO_HASH_BYTES, keys->header_mac, &part, 1);
	secmem_free(keys);
	assert_int_equal(header_open(&header, fixture->key, "header", &keys, &slot), 0); /* by itself it is good */
	secmem_free(keys);
	used = (size_t)sprintf(text, "UPDATE row SET data=x'");
	for (size_t i = 0; i < HEADER_BYTES; i++)
		used += (size_t)sprintf(text + used, "%02x", header.bytes[i]);
	strcpy(text + used, "' WHERE key=x'00'");
	refused_after(fixture, text);
}

/* Two histories from one base give two values the same generation; one must not be served for the other. */
static void write_history(struct fixture *fixture, char first)
{
	struct store *store = fixture_open(fixture, 0, 0);
	size_t size = 700 * 1024; /* together more than SQLite keeps in its own cache */
	char *value = malloc(size);

	for (int i = 0; i < 16; i++) {
		char name[20];

		snprintf(name, sizeof(name), "s-%d", i);
		memset(value, first + i, size);
		assert_int_equal(fixture_do(store, STORE_PUT, fixture_global(name), value, size, NULL), 0);
	}
	store_close(store);
	free(value);
}

static void test_value_of_another_history(void **state)
{
	struct fixture *fixture = *state;
	const char *base;
	struct store *store;
	uint8_t *other;
	size_t size, from = 100 * 4096;
	int own = 0, refused = 0, fd;

	fixture_make(fixture);
	base = fixture_path(fixture, "base");
	fixture_copy(fixture->store, base);
	write_history(fixture, 'A');
	other = fixture_read(fixture->store, &size);
	fixture_copy(base, fixture->store);
	write_history(fixture, 'a');

	store = fixture_open(fixture, 0, 0);
	fd = open(fixture->store, O_RDWR);
	fixture_must(pwrite(fd, other + from, size - from, (off_t)from) == (ssize_t)(size - from));
	for (int i = 0; i < 16; i++) {
		struct secbuf value = {0};
		uint64_t node, generation;
		struct name name;
		char text[20];
		int r;

		snprintf(text, sizeof(text), "s-%d", i);
		name = fixture_global(text);
		node = store_node(store, &name);
		assert_int_equal(store_pin(store, node, &generation), 0);
		r = store_read(store, node, generation, &value);
		if (r == 0) {
			assert_int_equal(value.data[0], 'a' + i);
			own++;
		} else {
			assert_int_equal(r, -EIO);
			refused++;
		}
		secbuf_deinit(&value);
		store_unpin(store, node, generation);
	}
	assert_int_equal(own + refused, 16);
	assert_true(refused > 8); /* the other history was really there */
	store_close(store);
	close(fd);
	free(other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_another_header),
		TEST(test_value_of_another_history),
		TEST(test_each_row_deleted),
		TEST(test_rows_swapped),
		TEST(test_rows_moved_and_duplicated),
		TEST(test_each_row_changed),
		TEST(test_long_value_changed),
		TEST(test_replay),
		TEST(test_rows_of_another_store),
		TEST(test_schema),
		TEST(test_header),
		TEST(test_changed_while_open),
		TEST(test_prefetched),
		TEST(test_not_prefetched),
		TEST(test_rows_elsewhere),
		TEST(test_cut_while_open),
		TEST(test_nothing_in_clear),
	};

	return cmocka_run_group_tests(tests, fixture_group_setup, fixture_group_teardown);
}
