/* SPDX-License-Identifier: Apache-2.0
 * test_rows: rows of a store deleted, swapped, replayed from an older state, duplicated, and moved from one mesh to another.
 *
 * The attacker has the file, knows its format and which row is which, and has no key. While the store is closed all of it
 * must be refused. While it is open (the file is changed under an open store, whose SQLite keeps as few pages as it can) a
 * read gives the right bytes or EIO with a line in the log; a check is content only if all is right; and what was committed in
 * that state is there, or the store is refused, when it is opened again. HUSH_SOAK=1: 10,000 of each kind instead of 1,000.
 * Argument: a seed.
 */
#include "store/header.h"
#include "store/seal.h"
#include "tests/crash/children.h"
#include "tests/crash/tap.h"
#include "tests/unit/fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sqlite3.h>
#include <string.h>
#include <unistd.h>

enum { ARENA_BYTES = 4 * 1024 * 1024, MAX_ROWS = 64, NAMES = 3, MESHES = 2, GLOBALS = 2, VALUE_BYTES = 1200, SQLITE_PAGE = 4096 };

enum kind { DELETED, SWAPPED, REPLAYED, DUPLICATED, MOVED, KINDS };
static const char *const kinds[] = {"deleted", "swapped", "replayed", "duplicated", "moved between meshes"};

/* In memory that children share with us. */
static struct figures {
	unsigned closed, refused, open, reads, right, eio, checked, noticed, committed, reopened, reopened_refused;
	unsigned wrong, lost, unlogged, served;
} (*figures)[KINDS];

static uint64_t seed;
static struct fixture *fixture;
static uint8_t key_bytes[CRYPTO_KEY_BYTES];

/* --- the store as it is, and as it was */

struct row {
	uint8_t *key, *data; /* owned */
	int key_size, size;
};

struct rows {
	struct row rows[MAX_ROWS];
	int n;
};

static struct rows now, before;
static uint8_t *image; /* of the file as it is; owned */
static size_t image_size;

/* What there is: secrets of the same names in two meshes, and globals. */
struct truth {
	struct name name;
	struct seal_id id;
	size_t size;
	uint8_t bytes[VALUE_BYTES];
};

static struct truth truths[MESHES * NAMES + GLOBALS];
enum { TRUTHS = sizeof(truths) / sizeof(truths[0]) };

static const char *const meshes[MESHES] = {"default", "other"};

static void truth_put(struct store *store, struct truth *truth)
{
	truth->size = fixture_random(&seed, VALUE_BYTES);
	fixture_fill(truth->bytes, truth->size, fixture_random(&seed, UINT64_MAX));
	fixture_must(fixture_do(store, STORE_PUT, truth->name, truth->bytes, truth->size, NULL) == 0);
}

static void rows_read(const char *path, struct rows *ret_rows)
{
	sqlite3_stmt *scan;
	sqlite3 *db;

	fixture_must(sqlite3_open(path, &db) == SQLITE_OK);
	fixture_must(sqlite3_prepare_v2(db, "SELECT key, data FROM row ORDER BY key", -1, &scan, NULL) == SQLITE_OK);
	while (sqlite3_step(scan) == SQLITE_ROW) {
		struct row *row = &ret_rows->rows[ret_rows->n++];

		fixture_must(ret_rows->n < MAX_ROWS);
		row->key_size = sqlite3_column_bytes(scan, 0);
		row->size = sqlite3_column_bytes(scan, 1);
		row->key = malloc((size_t)row->key_size);
		row->data = malloc((size_t)row->size);
		fixture_must(row->key && row->data);
		memcpy(row->key, sqlite3_column_blob(scan, 0), (size_t)row->key_size);
		memcpy(row->data, sqlite3_column_blob(scan, 1), (size_t)row->size);
	}
	sqlite3_finalize(scan);
	sqlite3_close(db);
}

static void rows_free(struct rows *rows)
{
	for (int i = 0; i < rows->n; i++) {
		free(rows->rows[i].key);
		free(rows->rows[i].data);
	}
}

/* Which row is which is no secret here: an attacker may have guessed it. */
static void find_ids(void)
{
	struct header_keys *keys = NULL;
	struct header header;
	unsigned slot;

	fixture_must(now.rows[0].size == HEADER_BYTES);
	memcpy(header.bytes, now.rows[0].data, HEADER_BYTES);
	fixture_must(header_open(&header, fixture->key, "header", &keys, &slot) == 0);
	for (int i = 0; i < TRUTHS; i++) {
		const struct seal seal = {.keys = keys};

		truths[i].id = seal_id(&seal, &truths[i].name);
	}
	secmem_free(keys);
}

static void make(void)
{
	struct store *store;
	char text[20];

	fixture_make(fixture);
	store = fixture_open(fixture, 2, 0);
	fixture_must(fixture_do(store, STORE_PUT, fixture_mesh("other"), FIXTURE_MESH("other", "x"),
				sizeof(FIXTURE_MESH("other", "x")) - 1, NULL) == 0);
	for (int i = 0; i < TRUTHS; i++) {
		snprintf(text, sizeof(text), "s-%d", i % NAMES);
		truths[i].name = i < MESHES * NAMES ? fixture_secret(meshes[i / NAMES], text) : fixture_global(text);
		truth_put(store, &truths[i]);
	}
	fixture_settle(store);
	store_close(store);
	rows_read(fixture->store, &before);
	store = fixture_open(fixture, 2, 0);
	for (int i = 0; i < TRUTHS; i += 2)
		truth_put(store, &truths[i]);
	fixture_must(fixture_do(store, STORE_PUT, fixture_global("new"), "new", 3, NULL) == 0);
	fixture_settle(store);
	store_close(store);
	rows_read(fixture->store, &now);
	image = fixture_read(fixture->store, &image_size);
	find_ids();
}

/* --- attacks, on an image in memory */

static struct attacker {
	sqlite3 *db;
	sqlite3_stmt *put, *remove;
} attacker;

/* SQLite takes no image in WAL mode. */
static void set_mode(uint8_t *bytes, uint8_t mode)
{
	bytes[18] = bytes[19] = mode;
}

static void attack_begin(void)
{
	uint8_t *copy = sqlite3_malloc64(image_size);

	fixture_must(copy);
	memcpy(copy, image, image_size);
	set_mode(copy, 1);
	fixture_must(sqlite3_open(":memory:", &attacker.db) == SQLITE_OK);
	fixture_must(sqlite3_deserialize(attacker.db, "main", copy, (sqlite3_int64)image_size, (sqlite3_int64)image_size,
					 SQLITE_DESERIALIZE_FREEONCLOSE | SQLITE_DESERIALIZE_RESIZEABLE) == SQLITE_OK);
	fixture_must(sqlite3_prepare_v2(attacker.db, "INSERT OR REPLACE INTO row VALUES(?1,?2)", -1, &attacker.put, NULL) == SQLITE_OK);
	fixture_must(sqlite3_prepare_v2(attacker.db, "DELETE FROM row WHERE key=?1", -1, &attacker.remove, NULL) == SQLITE_OK);
	fixture_must(sqlite3_exec(attacker.db, "BEGIN", NULL, NULL, NULL) == SQLITE_OK);
}

/* The image as it is now; the caller frees with sqlite3_free. */
static uint8_t *attack_end(size_t *ret_size)
{
	sqlite3_int64 size;
	uint8_t *changed;

	fixture_must(sqlite3_exec(attacker.db, "COMMIT", NULL, NULL, NULL) == SQLITE_OK);
	changed = sqlite3_serialize(attacker.db, "main", &size, 0);
	fixture_must(changed);
	set_mode(changed, 2);
	sqlite3_finalize(attacker.put);
	sqlite3_finalize(attacker.remove);
	sqlite3_close(attacker.db);
	*ret_size = (size_t)size;
	return changed;
}

static void attack_put(const uint8_t *key, int key_size, const struct row *row)
{
	sqlite3_bind_blob(attacker.put, 1, key, key_size, SQLITE_STATIC);
	sqlite3_bind_blob(attacker.put, 2, row->data, row->size, SQLITE_STATIC);
	fixture_must(sqlite3_step(attacker.put) == SQLITE_DONE);
	sqlite3_reset(attacker.put);
}

static void attack_remove(const struct row *row)
{
	sqlite3_bind_blob(attacker.remove, 1, row->key, row->key_size, SQLITE_STATIC);
	fixture_must(sqlite3_step(attacker.remove) == SQLITE_DONE);
	sqlite3_reset(attacker.remove);
}

static int any(uint64_t *random, int n)
{
	return (int)fixture_random(random, (uint64_t)n);
}

/* A record or a value. */
static const struct row *any_sealed(uint64_t *random)
{
	return &now.rows[2 + any(random, now.n - 2)];
}

static void attack_delete(uint64_t *random)
{
	for (int i = 1 + any(random, 3); i > 0; i--)
		attack_remove(&now.rows[any(random, now.n)]);
}

static void attack_swap(uint64_t *random)
{
	const struct row *one = any_sealed(random), *other = any_sealed(random);

	while (other == one || other->key[0] != one->key[0])
		other = any_sealed(random);
	attack_put(one->key, one->key_size, other);
	attack_put(other->key, other->key_size, one);
}

/* Of those that are not the same now. */
static void attack_replay(uint64_t *random)
{
	for (int left = 1 + any(random, 4); left > 0;) {
		const struct row *old = &before.rows[any(random, before.n)];
		bool same = false;

		for (int i = 0; i < now.n && !same; i++)
			same = now.rows[i].key_size == old->key_size && memcmp(now.rows[i].key, old->key, (size_t)old->key_size) == 0 &&
			       now.rows[i].size == old->size && memcmp(now.rows[i].data, old->data, (size_t)old->size) == 0;
		if (same)
			continue;
		attack_put(old->key, old->key_size, old);
		left--;
	}
}

/* Under another id, generation or table, or in the place of another. */
static void attack_duplicate(uint64_t *random)
{
	const struct row *row = any_sealed(random), *other = any_sealed(random);
	uint8_t key[SEAL_ROW_KEY_BYTES] = {0};
	int size = row->key_size;

	memcpy(key, row->key, (size_t)size);
	switch (any(random, 4)) {
	case 0:
		fixture_fill(key + 1, SEAL_ID_BYTES, fixture_random(random, UINT64_MAX));
		break;
	case 1:
		key[0] = 3;
		key[SEAL_ROW_KEY_BYTES - 1] ^= (uint8_t)(1 + any(random, 255));
		size = SEAL_ROW_KEY_BYTES;
		break;
	case 2:
		key[0] ^= 1;
		size = key[0] == 2 ? 1 + SEAL_ID_BYTES : SEAL_ROW_KEY_BYTES;
		break;
	default:
		while (other == row)
			other = any_sealed(random);
		memcpy(key, other->key, (size_t)other->key_size);
		size = other->key_size;
	}
	attack_put(key, size, row);
}

static bool is_of(const struct row *row, const struct truth *truth)
{
	return row->key_size > SEAL_ID_BYTES && memcmp(row->key + 1, truth->id.bytes, SEAL_ID_BYTES) == 0;
}

/* A secret's record, its values, or both; what was there may go first, and the source may stay. */
static void attack_move(uint64_t *random)
{
	int name = any(random, NAMES), from_mesh = any(random, MESHES), to_name = any(random, 2) ? name : any(random, NAMES);
	const struct truth *from = &truths[from_mesh * NAMES + name], *to = &truths[!from_mesh * NAMES + to_name];
	int what = 1 + any(random, 3); /* 1: the record, 2: the values */
	bool clear = any(random, 2), stay = any(random, 2);

	for (int i = 0; i < now.n && clear; i++)
		if (is_of(&now.rows[i], to))
			attack_remove(&now.rows[i]);
	for (int i = 0; i < now.n; i++) {
		const struct row *row = &now.rows[i];
		uint8_t key[SEAL_ROW_KEY_BYTES];

		if (!is_of(row, from) || !(what & (row->key[0] == 2 ? 1 : 2)))
			continue;
		memcpy(key, row->key, (size_t)row->key_size);
		memcpy(key + 1, to->id.bytes, SEAL_ID_BYTES);
		if (!stay)
			attack_remove(row);
		attack_put(key, row->key_size, row);
	}
}

static uint8_t *attack(enum kind kind, uint64_t *random, size_t *ret_size)
{
	static void (*const attacks[])(uint64_t * random) = {attack_delete, attack_swap, attack_replay, attack_duplicate, attack_move};

	attack_begin();
	attacks[kind](random);
	return attack_end(ret_size);
}

/* --- in a child */

static struct key *key;
static char path[300], journal[310];
static int log_fd; /* stderr */

static void child_begin(void *context, unsigned child)
{
	char name[320];

	(void)context;
	fixture_must(secmem_init(ARENA_BYTES) >= 0);
	key = fixture_key();
	memcpy(key->bytes, key_bytes, sizeof(key_bytes));
	snprintf(path, sizeof(path), "%s/tried-%u", fixture->folder, child);
	snprintf(journal, sizeof(journal), "%s-wal", path);
	snprintf(name, sizeof(name), "%s/log-%u", fixture->folder, child);
	log_fd = open(name, O_RDWR | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
	fixture_must(log_fd >= 0 && dup2(log_fd, STDERR_FILENO) >= 0);
	sqlite3_soft_heap_limit64(1); /* pages that aren't in use are given up for others */
}

static int try_open(struct store **ret_store)
{
	const struct store_options options = {.value_bytes = STORE_VALUE_BYTES_DEFAULT, .history = 2};

	return store_open(path, key, &options, ret_store);
}

static off_t log_at(void)
{
	return lseek(log_fd, 0, SEEK_END);
}

/* How often @text was logged since @from. */
static unsigned logged(off_t from, const char *text)
{
	char lines[65536];
	ssize_t n = pread(log_fd, lines, sizeof(lines) - 1, from);
	unsigned found = 0;

	fixture_must(n >= 0);
	lines[n] = '\0';
	for (const char *at = lines; (at = strstr(at, text)); at++)
		found++;
	return found;
}

/* Every value: the right bytes or EIO. True if all could be read. */
static bool read_all(struct store *store, struct figures *mine)
{
	off_t from = log_at();
	unsigned eio = 0;

	for (int i = 0; i < TRUTHS; i++) {
		uint64_t node = store_node(store, &truths[i].name), generation;
		SECBUF_AUTO value = {0};
		int r = store_pin(store, node, &generation);

		if (r == 0) {
			r = store_read(store, node, generation, &value);
			store_unpin(store, node, generation);
		}
		mine->reads++;
		if (r == -EIO)
			eio++;
		else if (r == 0 && value.size == truths[i].size && memcmp(value.data, truths[i].bytes, value.size) == 0)
			mine->right++;
		else
			mine->wrong++;
	}
	mine->eio += eio;
	mine->unlogged += logged(from, "it is not served") < eio;
	return eio == 0;
}

static void try_closed(enum kind kind, uint64_t *random, struct figures *mine)
{
	size_t size;
	uint8_t *changed = attack(kind, random, &size);
	off_t from = log_at();
	struct store *store;

	unlink(journal);
	fixture_write(path, changed, size, 0600);
	sqlite3_free(changed);
	mine->closed++;
	if (try_open(&store) < 0) {
		mine->refused++;
		mine->unlogged += logged(from, "\n") == 0;
		return;
	}
	mine->served++;
	read_all(store, mine);
	store_close(store);
}

/* Only what differs is written, as a clever attacker would. */
static void change_under_it(int fd, const uint8_t *changed, size_t size)
{
	for (size_t at = 0; at < size; at += SQLITE_PAGE)
		if (at >= image_size || memcmp(image + at, changed + at, SQLITE_PAGE) != 0)
			fixture_must(pwrite(fd, changed + at, SQLITE_PAGE, (off_t)at) == SQLITE_PAGE);
}

/* What is committed in such a store is there when it is opened again, unless it is refused. */
static void commit_and_reopen(struct store *store, struct figures *mine)
{
	static const char text[] = "committed meanwhile";
	bool done = fixture_do(store, STORE_PUT, fixture_global("new"), text, sizeof(text), NULL) == 0;

	mine->committed += done;
	mine->lost += done && !fixture_holds(store, fixture_global("new"), text, sizeof(text));
	store_close(store);
	mine->reopened++;
	if (try_open(&store) < 0) {
		mine->reopened_refused++;
		return;
	}
	read_all(store, mine);
	mine->lost += !fixture_holds(store, fixture_global("new"), done ? text : "new", done ? sizeof(text) : 3);
	store_close(store);
}

static void try_open_store(enum kind kind, uint64_t *random, struct figures *mine)
{
	size_t size;
	uint8_t *changed = attack(kind, random, &size);
	struct store_checked checked;
	struct store *store;
	bool content, whole;
	int fd;

	unlink(journal);
	fixture_write(path, image, image_size, 0600);
	fixture_must(try_open(&store) == 0);
	fd = open(path, O_RDWR | O_CLOEXEC); /* closing it lets go of SQLite's lock, which nobody else wants */
	fixture_must(fd >= 0);
	change_under_it(fd, changed, size);
	sqlite3_free(changed);
	mine->open++;
	whole = read_all(store, mine);
	content = store_check(store, NULL, NULL, &checked) == 0;
	mine->checked += content;
	mine->noticed += !content;
	if (content && !(whole && read_all(store, mine)))
		mine->wrong++;
	if (any(random, 4) == 0)
		commit_and_reopen(store, mine);
	else
		store_close(store);
	close(fd);
}

/* A piece is an attack of one kind, on the closed store or the open one; what it is follows from its number. */
static void child_try(void *context, unsigned child, size_t number)
{
	uint64_t random = seed + number * UINT64_C(0x9e3779b97f4a7c15);
	enum kind kind = (enum kind)(number / CHILDREN % KINDS);
	struct figures *mine = &figures[child][kind];
	struct figures was = *mine;

	(void)context;
	if (number / CHILDREN / KINDS % 2)
		try_closed(kind, &random, mine);
	else
		try_open_store(kind, &random, mine);
	if (mine->wrong + mine->lost + mine->unlogged + mine->served > was.wrong + was.lost + was.unlogged + was.served)
		printf("# piece %zu, %s: wrong=%u lost=%u unlogged=%u served=%u\n", number, kinds[kind], mine->wrong - was.wrong,
		       mine->lost - was.lost, mine->unlogged - was.unlogged, mine->served - was.served);
}

static struct figures sum_of(enum kind kind)
{
	struct figures sum = {0};

	for (int child = 0; child < CHILDREN; child++)
		for (size_t i = 0; i < sizeof(sum) / sizeof(unsigned); i++)
			((unsigned *)&sum)[i] += ((const unsigned *)&figures[child][kind])[i];
	return sum;
}

static void report(enum kind kind, unsigned n)
{
	struct figures sum = sum_of(kind);
	char name[100];

	printf("# figures %s: closed=%u refused=%u; open=%u reads=%u right=%u eio=%u checks_noticed=%u committed=%u reopened=%u (refused=%u);"
	       " lost=%u wrong=%u\n",
	       kinds[kind], sum.closed, sum.refused, sum.open, sum.reads, sum.right, sum.eio, sum.noticed, sum.committed, sum.reopened,
	       sum.reopened_refused, sum.lost, sum.wrong + sum.served);
	snprintf(name, sizeof(name), "rows %s while it is closed: refused", kinds[kind]);
	check(sum.closed == n && sum.refused == n, name);
	snprintf(name, sizeof(name), "rows %s while it is open: right, or EIO and a line", kinds[kind]);
	check(sum.open == n && sum.wrong + sum.lost + sum.unlogged == 0 && sum.noticed > n / 2, name);
}

int main(int argc, char **argv)
{
	unsigned n = getenv("HUSH_SOAK") ? 10000 : 1000, crashes;
	struct children_work work = {.n = 2 * KINDS * n, .begin = child_begin, .piece = child_try};
	void *holder;

	fixture_in_memory();
	fixture_init();
	seed = fixture_seed(argc, argv);
	printf("# %u of each kind, seed=%" PRIu64 "\n", n, seed);
	figures = fixture_shared(CHILDREN * sizeof(*figures));
	fixture_setup(&holder);
	fixture = holder;
	memcpy(key_bytes, fixture->key->bytes, sizeof(key_bytes));
	make();

	crashes = children_run(&work);
	for (int kind = 0; kind < KINDS; kind++)
		report(kind, n);
	check(crashes == 0, "nobody crashed");
	printf("# figures crashes=%u\n", crashes);
	rows_free(&now);
	rows_free(&before);
	free(image);
	fixture_teardown(&holder);
	secmem_deinit();
	return check_done();
}
