/* SPDX-License-Identifier: Apache-2.0
 * engine_scan: all rows, one after the other. In the file's order it also shows that the table and its index, which SQLite trusts, say the same;
 * and that what it takes for free is free.
 */
#include "store/engine_internal.h"

#include "store/crypto.h"
#include "store/log.h"

#include <errno.h>
#include <string.h>

/* A row that a scan is at: valid until its next step, whatever else is read meanwhile. */
struct engine_row {
	const void *key, *data;
	size_t key_size, size;
	sqlite3_int64 rowid; /* where the table has it */
};

static int engine_refuse(const struct engine *engine, const char *what)
{
	log_error("%s: %s: the store was changed without the key and is refused; restore it from a backup", engine->path, what);
	return -EBADMSG;
}

/* 1: a row; 0: the end. */
static int engine_scan_step(struct engine *engine, sqlite3_stmt *scan, struct engine_row *ret_row)
{
	int step = sqlite3_step(scan);

	if (step == SQLITE_DONE)
		return 0;
	if (step != SQLITE_ROW)
		return engine_error(engine, "reading the rows");
	/* a text with the bytes of a blob is another key to SQLite, and would be the same to the visitor */
	if (sqlite3_column_type(scan, 1) != SQLITE_BLOB || sqlite3_column_type(scan, 2) != SQLITE_BLOB)
		return engine_refuse(engine, "there is a row that is not ours");
	*ret_row = (struct engine_row){.rowid = sqlite3_column_int64(scan, 0),
				       .key = sqlite3_column_blob(scan, 1),
				       .data = sqlite3_column_blob(scan, 2),
				       .key_size = (size_t)sqlite3_column_bytes(scan, 1),
				       .size = (size_t)sqlite3_column_bytes(scan, 2)};
	return 1;
}

/* Which key belongs to which row of the table, for all of them: the sum of a hash of each, under a key that whoever wrote the file did not
 * know. The same sum from the table and from its index: the one says what the other does. */
struct engine_pairs {
	uint8_t key[CRYPTO_SHORT_KEY_BYTES];
	uint64_t sum;
};

static void engine_pairs_add(struct engine_pairs *pairs, const struct engine_row *row)
{
	const uint64_t pair[2] = {crypto_short_hash(pairs->key, row->key, row->key_size), (uint64_t)row->rowid};

	pairs->sum += crypto_short_hash(pairs->key, pair, sizeof(pair));
}

/* With both locks, of which the visitor does without the inner one. Pages can be made to lead to each other so that the rows would have no end; but
 * all of them together have no more bytes than the file. */
static int engine_scan_rows(struct engine *engine, const char *sql, engine_visit *visit, void *context, struct engine_pairs *pairs)
{
	sqlite3_stmt *scan = NULL;
	struct engine_row row = {0};
	sqlite3_int64 left = 0;
	int r = engine_prepare(engine, sql, &scan);

	if (r == 0)
		r = engine_measure(engine, &left);
	while (r == 0 && (r = engine_scan_step(engine, scan, &row)) == 1) {
		left -= (sqlite3_int64)(row.key_size + row.size + 1);
		if (left < 0) {
			r = engine_refuse(engine, "there are more rows than it has room for");
			break;
		}
		engine_pairs_add(pairs, &row);
		pthread_mutex_unlock(&engine->lock);
		r = visit(context, row.key, row.key_size, row.data, row.size, (uint64_t)row.rowid);
		pthread_mutex_lock(&engine->lock);
	}
	sqlite3_finalize(scan);
	return r;
}

/* A walk through all of them also comes by a row where a search goes astray. So in the table each is looked for, with a subquery, which begins at the
 * root (for a join SQLite only takes the step to the next one); the keys of the index, which are all of it, only have to be in their order. */
static const char engine_table[] = "SELECT (SELECT rowid FROM row AS found WHERE found.rowid=row.rowid),key,data FROM row NOT INDEXED";
static const char engine_index[] = "SELECT rowid,key,x'' FROM row INDEXED BY sqlite_autoindex_row_1 ORDER BY key"; /* without the table */

/* The key before. */
struct engine_walk {
	const struct engine *engine;
	uint8_t key[ENGINE_KEY_BYTES];
	size_t key_size;
};

static int engine_is_next(void *context, const uint8_t *key, size_t key_size, const uint8_t *data, size_t size, uint64_t place)
{
	struct engine_walk *walk = context;
	size_t both = key_size < walk->key_size ? key_size : walk->key_size;
	int order = memcmp(walk->key, key, both);

	(void)data;
	(void)size;
	(void)place;
	if (order > 0 || (order == 0 && key_size <= walk->key_size) || key_size > sizeof(walk->key))
		return engine_refuse(walk->engine, "its index is out of order");
	memcpy(walk->key, key, key_size);
	walk->key_size = key_size;
	return 0;
}

static int engine_scan_stored(struct engine *engine, engine_visit *visit, void *context)
{
	struct engine_walk walk = {.engine = engine};
	struct engine_pairs table = {0}, index;
	int r;

	crypto_random(table.key, sizeof(table.key));
	index = table;
	r = engine_scan_rows(engine, engine_table, visit, context, &table);
	if (r == 0)
		r = engine_scan_rows(engine, engine_index, engine_is_next, &walk, &index);
	return r == 0 && table.sum != index.sum ? engine_refuse(engine, "its index is not that of its rows") : r;
}

enum engine_pages { PAGES_RIGHT, PAGES_UNREADABLE, PAGES_WRONG };

/* What SQLite says of the pages of the file. */
static int engine_look_at_pages(struct engine *engine, enum engine_pages *ret_pages)
{
	sqlite3_stmt *look = NULL;
	const char *said = NULL;
	int r = engine_prepare(engine, "PRAGMA quick_check(1)", &look);

	if (r == 0 && sqlite3_step(look) == SQLITE_ROW)
		said = (const char *)sqlite3_column_text(look, 0);
	if (said && (strcmp(said, "ok") == 0 || strstr(said, "never used"))) /* which it says if there is nothing else */
		*ret_pages = PAGES_RIGHT;
	else if (said)
		*ret_pages = strstr(said, "get page") || strstr(said, "get the page") ? PAGES_UNREADABLE : PAGES_WRONG;
	else if (r == 0)
		r = engine_error(engine, "looking at the pages");
	sqlite3_finalize(look);
	return r;
}

/* No bytes are used twice, nor free and used: SQLite goes by what the file says of them when it has something to write, and would write over a row
 * that was right until then. Once all pages of the table, of its index and of the schema were come by: then none is so deep that it would run out of
 * stack. Why a page can't be read it doesn't say: if that was the memory, it says so the next time. */
static int engine_check_pages(struct engine *engine)
{
	enum engine_pages found = PAGES_UNREADABLE;
	int r = 0;

	for (int attempt = 0; attempt < 2 && r == 0 && found == PAGES_UNREADABLE; attempt++)
		r = engine_look_at_pages(engine, &found);
	if (r == 0 && found == PAGES_WRONG)
		return engine_refuse(engine, "what is free in it and what is used is mixed up");
	if (r == 0 && found == PAGES_UNREADABLE) {
		log_error("%s: a page can't be read: see to the disk (dmesg)", engine->path);
		return -EIO;
	}
	return r;
}

static int engine_pass(void *context, const uint8_t *key, size_t key_size, const uint8_t *data, size_t size, uint64_t place)
{
	(void)context;
	(void)key;
	(void)key_size;
	(void)data;
	(void)size;
	(void)place;
	return 0;
}

/* The index leads to each row, but not by each page of the table. */
static int engine_scan_by_key(struct engine *engine, engine_visit *visit, void *context)
{
	struct engine_pairs unused = {0};
	int r = engine_scan_rows(engine, "SELECT rowid,key,data FROM row ORDER BY key", visit, context, &unused);

	return r == 0 ? engine_scan_rows(engine, "SELECT rowid,key,x'' FROM row NOT INDEXED", engine_pass, NULL, &unused) : r;
}

int engine_scan(struct engine *engine, enum engine_order order, engine_visit *visit, void *context)
{
	int r;

	pthread_mutex_lock(&engine->changing);
	pthread_mutex_lock(&engine->lock);
	sqlite3_db_release_memory(engine->db); /* what is verified is what the disk has, not what was read from it before */
	r = order == ENGINE_STORED ? engine_scan_stored(engine, visit, context) : engine_scan_by_key(engine, visit, context);
	if (r == 0)
		r = engine_check_format(engine);
	if (r == 0)
		r = engine_check_pages(engine);
	pthread_mutex_unlock(&engine->lock);
	pthread_mutex_unlock(&engine->changing);
	return r;
}
