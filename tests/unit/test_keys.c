/* SPDX-License-Identifier: Apache-2.0
 * test_keys: what is done to a store as a whole: its key slots, a check, a copy, a rekey; also while others write.
 *
 * Somebody who changes the file of an open store is played through the store's own engine, behind its back.
 * A rekey that is killed is in tests/crash/test_rekey.c.
 */
#include "tests/unit/cmocka_all.h"
#include "tests/unit/everything.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define CACHE (1024 * 1024)
enum { WRITERS = 4 };

static uint64_t generation_of(struct store *store)
{
	struct store_status status;

	store_get_status(store, &status);
	return status.generation;
}

static int opens(const struct fixture *fixture, const char *path, const struct key *key)
{
	const struct store_options options = {.value_bytes = STORE_VALUE_BYTES_DEFAULT, .history = 5};
	struct store *store = NULL;
	int r = store_open(path ? path : fixture->store, key, &options, &store);

	store_close(store);
	return r;
}

/* --- writers: each writes the same bytes to two secrets in one transaction, and reads one, again and again */

static struct {
	struct store *store;
	bool stop;
	unsigned written[WRITERS];
	unsigned wrong;
} writing;

static struct name pair_name(int writer, int half)
{
	char text[20];

	snprintf(text, sizeof(text), "pair-%d-%d", writer, half);
	return half ? fixture_global(text) : fixture_secret("default", text);
}

static void *writer(void *context)
{
	int number = (int)(intptr_t)context;
	char text[64];

	while (!__atomic_load_n(&writing.stop, __ATOMIC_RELAXED)) {
		struct store_txn *txn = store_txn_new(2);
		size_t size = (size_t)snprintf(text, sizeof(text), "%d-%u", number, writing.written[number]);

		fixture_op(&txn->ops[0], STORE_PUT, pair_name(number, 0), text, size);
		fixture_op(&txn->ops[1], STORE_PUT, pair_name(number, 1), text, size);
		if (store_run(writing.store, txn) < 0)
			__atomic_fetch_add(&writing.wrong, 1, __ATOMIC_RELAXED);
		store_txn_free(txn);
		if (!fixture_holds(writing.store, pair_name(number, 1), text, size))
			__atomic_fetch_add(&writing.wrong, 1, __ATOMIC_RELAXED);
		__atomic_fetch_add(&writing.written[number], 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

static void while_writing(struct store *store, void (*work)(struct store *store, void *context), void *context)
{
	pthread_t threads[WRITERS];

	memset(&writing, 0, sizeof(writing));
	writing.store = store;
	for (intptr_t i = 0; i < WRITERS; i++)
		fixture_must(pthread_create(&threads[i], NULL, writer, (void *)i) == 0);
	for (int i = 0; i < WRITERS; i++)
		while (__atomic_load_n(&writing.written[i], __ATOMIC_RELAXED) < 2)
			usleep(1000);
	work(store, context);
	__atomic_store_n(&writing.stop, true, __ATOMIC_RELAXED);
	for (int i = 0; i < WRITERS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(writing.wrong, 0);
}

/* Of each pair both halves are there and the same. */
static void check_pairs(struct store *store)
{
	for (int i = 0; i < WRITERS; i++) {
		SECBUF_AUTO value = {0};
		struct name name = pair_name(i, 0);
		uint64_t node = store_node(store, &name), generation;

		assert_int_equal(store_pin(store, node, &generation), 0);
		assert_int_equal(store_read(store, node, generation, &value), 0);
		store_unpin(store, node, generation);
		assert_true(fixture_holds(store, pair_name(i, 1), value.data, value.size));
	}
}

/* --- key slots */

static void test_slots(void **state)
{
	struct fixture *fixture = *state;
	struct key *keys[STORE_KEY_SLOTS + 1] = {fixture->key};
	uint8_t kinds[STORE_KEY_SLOTS];
	unsigned slot, current;
	struct store *store;
	uint64_t before;

	for (int i = 1; i <= STORE_KEY_SLOTS; i++)
		keys[i] = fixture_key();
	fixture_make(fixture);
	store = fixture_open(fixture, 2, CACHE);
	assert_int_equal(fixture_do(store, STORE_PUT, fixture_global("g"), "ggg", 3, NULL), 0);
	assert_int_equal(store_key_remove(store, 0), -EBUSY);
	assert_int_equal(store_key_remove(store, 1), -ENOENT);
	assert_int_equal(store_key_remove(store, STORE_KEY_SLOTS), -ENOENT);
	assert_int_equal(store_key_replace(store, 1, keys[1]), -ENOENT);
	for (unsigned i = 1; i < STORE_KEY_SLOTS; i++) {
		before = generation_of(store);
		assert_int_equal(store_key_slot(store, keys[i], &slot), -EKEYREJECTED);
		assert_int_equal(store_key_add(store, keys[i], &slot), 0);
		assert_int_equal(slot, i);
		assert_int_equal(generation_of(store), before + 1);
		assert_int_equal(store_key_slot(store, keys[i], &slot), 0);
		assert_int_equal(slot, i);
	}
	before = generation_of(store);
	assert_int_equal(store_key_add(store, keys[3], &slot), -EEXIST);
	assert_int_equal(store_key_add(store, keys[STORE_KEY_SLOTS], &slot), -ENOSPC);
	assert_int_equal(store_key_replace(store, 2, keys[3]), -EEXIST);
	assert_int_equal(generation_of(store), before);
	assert_int_equal(store_key_replace(store, 2, keys[2]), 0); /* by itself */
	assert_int_equal(store_key_replace(store, 2, keys[STORE_KEY_SLOTS]), 0);
	assert_int_equal(store_key_remove(store, 5), 0);
	store_keys(store, kinds, &current);
	assert_int_equal(current, 0);
	for (unsigned i = 0; i < STORE_KEY_SLOTS; i++)
		assert_int_equal(kinds[i], i == 5 ? 0 : KEY_FILE);
	assert_int_equal(store_key_remove(store, 0), 0);
	store_keys(store, kinds, &current);
	assert_int_equal(current, STORE_KEY_SLOTS);
	assert_int_equal(store_key_add(store, keys[5], &slot), 0);
	assert_int_equal(slot, 0);
	/* the store goes on, and the header it has on disk is this one */
	assert_int_equal(fixture_do(store, STORE_PUT, fixture_global("h"), "hhh", 3, NULL), 0);
	store_close(store);
	for (int i = 0; i <= STORE_KEY_SLOTS; i++)
		assert_int_equal(opens(fixture, NULL, keys[i]), i == 0 || i == 2 ? -EKEYREJECTED : 0);
	for (int i = 1; i <= STORE_KEY_SLOTS; i++)
		key_free(keys[i]);
}

/* A key that was removed or replaced does not open the file alone either, as a kill at that moment and the loss of the journal leave it. */
static void test_removed_from_the_file(void **state)
{
	struct fixture *fixture = *state;
	const char *alone = fixture_path(fixture, "alone");
	struct key *second = fixture_key(), *third = fixture_key();
	struct store *store;
	unsigned slot;

	fixture_make(fixture);
	store = fixture_open(fixture, 2, CACHE);
	assert_int_equal(store_key_add(store, second, &slot), 0);
	assert_int_equal(store_key_remove(store, 0), 0);
	fixture_copy(fixture->store, alone);
	assert_int_equal(opens(fixture, alone, fixture->key), -EKEYREJECTED);
	assert_int_equal(opens(fixture, alone, second), 0);
	assert_int_equal(store_key_replace(store, slot, third), 0);
	fixture_copy(fixture->store, alone);
	assert_int_equal(opens(fixture, alone, second), -EKEYREJECTED);
	assert_int_equal(opens(fixture, alone, third), 0);
	store_close(store);
	key_free(second);
	key_free(third);
}

/* What a rekey that was cut off has left is another file that the key may open: whoever removes the key hears of it. */
static void test_removed_beside_a_rekey(void **state)
{
	struct fixture *fixture = *state;
	struct key *second = fixture_key();
	char left[320], text[1000];
	struct store *store;
	unsigned slot;

	snprintf(left, sizeof(left), "%s.rekey", fixture->store);
	fixture_make(fixture);
	store = fixture_open(fixture, 2, CACHE);
	for (int there = 0; there < 2; there++) {
		if (there)
			fixture_copy(fixture->store, left);
		assert_int_equal(store_key_add(store, second, &slot), 0);
		fixture_listen();
		assert_int_equal(store_key_remove(store, slot), 0);
		fixture_heard(text, sizeof(text));
		assert_true((strstr(text, left) != NULL) == there);
	}
	store_close(store);
	key_free(second);
}

static void change_slots(struct store *store, void *context)
{
	unsigned slot;

	for (int i = 0; i < 50; i++) {
		assert_int_equal(store_key_add(store, context, &slot), 0);
		assert_int_equal(store_key_remove(store, slot), 0);
	}
}

static void test_slots_while_writing(void **state)
{
	struct fixture *fixture = *state;
	struct key *key = fixture_key();
	struct store *store;

	fixture_make(fixture);
	store = fixture_open(fixture, 2, CACHE);
	while_writing(store, change_slots, key);
	store_close(store);
	store = fixture_open(fixture, 2, CACHE);
	check_pairs(store);
	store_close(store);
	assert_int_equal(opens(fixture, NULL, key), -EKEYREJECTED);
	key_free(key);
}

static void test_passphrase_slot(void **state)
{
	struct fixture *fixture = *state;
	struct key *pass = fixture_key(), *other = fixture_key();
	uint8_t kinds[STORE_KEY_SLOTS];
	struct store *store;
	unsigned slot;

	pass->kind = other->kind = KEY_PASSPHRASE;
	fixture_make(fixture);
	store = fixture_open(fixture, 2, CACHE);
	assert_int_equal(store_key_add(store, pass, &slot), 0);
	store_keys(store, kinds, &slot);
	assert_int_equal(kinds[1], KEY_PASSPHRASE);
	store_close(store);
	assert_int_equal(opens(fixture, NULL, pass), 0);
	assert_int_equal(opens(fixture, NULL, other), -EKEYREJECTED);
	key_free(pass);
	key_free(other);
}

/* --- behind the store's back */

struct row {
	uint8_t key[SEAL_ROW_KEY_BYTES];
	size_t key_size;
	uint8_t *data;
	size_t size;
};

struct rows {
	struct row rows[100];
	size_t count;
};

static int keep_row(void *context, const uint8_t *key, size_t key_size, const uint8_t *data, size_t size, uint64_t place)
{
	struct rows *rows = context;
	struct row *row = &rows->rows[rows->count++];

	(void)place;
	fixture_must(rows->count <= 100);
	memcpy(row->key, key, key_size);
	row->key_size = key_size;
	row->data = malloc(size);
	memcpy(row->data, data, size);
	row->size = size;
	return 0;
}

static void keep_rows(struct store *store, struct rows *ret_rows)
{
	ret_rows->count = 0;
	fixture_must(engine_scan(store->engine, ENGINE_BY_KEY, keep_row, ret_rows) == 0);
}

static void free_rows(struct rows *rows)
{
	for (size_t i = 0; i < rows->count; i++)
		free(rows->rows[i].data);
}

static void write_row(struct store *store, const struct row *row, const uint8_t *data)
{
	const struct engine_change change = {row->key, row->key_size, data, row->size};

	fixture_must(engine_commit(store->engine, &change, 1) == 0);
}

static int check_store(struct store *store)
{
	struct store_checked checked;

	return store_check(store, NULL, NULL, &checked);
}

/* Some of everything: versions, an empty value, a second mesh. */
static struct store *make_some(const struct fixture *fixture)
{
	struct store *store;

	fixture_make(fixture);
	store = fixture_open(fixture, 2, 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(fixture_do(store, STORE_PUT, fixture_secret("default", "a"), "123", (size_t)i, NULL),
				 0);
	assert_int_equal(fixture_do(store, STORE_PUT, fixture_mesh("m"), "type: Mesh\nname: m\n", 19, NULL), 0);
	assert_int_equal(fixture_do(store, STORE_PUT, fixture_secret("m", "c"), "", 0, NULL), 0);
	assert_int_equal(fixture_do(store, STORE_PUT, fixture_global("g"), "ggg", 3, NULL), 0);
	return store;
}

struct progress {
	uint64_t calls, done, total;
	bool back;
};

static void on_progress(void *context, uint64_t done, uint64_t total)
{
	struct progress *progress = context;

	progress->back |= done < progress->done || done > total;
	progress->calls++;
	progress->done = done;
	progress->total = total;
}

static void test_check(void **state)
{
	struct store *store = make_some(*state);
	struct store_checked checked;
	struct progress progress = {0};

	assert_int_equal(store_check(store, on_progress, &progress, &checked), 0);
	assert_int_equal(checked.resources, 1 + 2 + 2 + 1);
	assert_int_equal(checked.values, 6 + 2);
	assert_int_equal(checked.rows, 1 + 6 + 8);
	assert_true(progress.calls > 0 && !progress.back && progress.done == progress.total);
	store_close(store);
}

/* Every bit of what stands in a row matters; one a byte is tried. */
static void test_check_finds_a_changed_row(void **state)
{
	struct store *store = make_some(*state);
	struct rows rows;

	keep_rows(store, &rows);
	for (size_t i = 0; i < rows.count; i++) {
		struct row *row = &rows.rows[i];

		for (size_t at = 0; at < row->size; at += 1 + row->size / 7) {
			row->data[at] ^= 1 << at % 8;
			write_row(store, row, row->data);
			assert_int_equal(check_store(store), -EBADMSG);
			row->data[at] ^= 1 << at % 8;
		}
		write_row(store, row, NULL);
		assert_int_equal(check_store(store), -EBADMSG);
		write_row(store, row, row->data);
		assert_int_equal(check_store(store), 0);
	}
	free_rows(&rows);
	store_close(store);
}

/* All rows as they once were: right in itself, and not what the store is. */
static void test_check_finds_an_earlier_state(void **state)
{
	struct store *store = make_some(*state);
	struct rows before, after;

	keep_rows(store, &before);
	assert_int_equal(fixture_do(store, STORE_PUT, fixture_global("g"), "new", 3, NULL), 0);
	keep_rows(store, &after);
	assert_int_equal(check_store(store), 0);
	for (size_t i = 0; i < after.count; i++)
		write_row(store, &after.rows[i], NULL);
	for (size_t i = 0; i < before.count; i++)
		write_row(store, &before.rows[i], before.rows[i].data);
	assert_int_equal(check_store(store), -EBADMSG);
	free_rows(&before);
	free_rows(&after);
	store_close(store);
}

/* Nor is a later state what the store is, as somebody may have kept it while an older copy was put back. */
static void test_check_finds_a_later_state(void **state)
{
	struct fixture *fixture = *state;
	const char *copy = fixture_path(fixture, "copy");
	struct store *store;
	struct rows rows;

	store_close(make_some(fixture));
	fixture_copy(fixture->store, copy);
	store = fixture_open(fixture, 2, 0);
	assert_int_equal(fixture_do(store, STORE_PUT, fixture_global("h"), "new", 3, NULL), 0);
	fixture_settle(store);
	keep_rows(store, &rows);
	store_close(store);
	fixture_copy(copy, fixture->store);
	store = fixture_open(fixture, 2, 0);
	assert_int_equal(check_store(store), 0);
	for (size_t i = 0; i < rows.count; i++)
		write_row(store, &rows.rows[i], rows.rows[i].data);
	assert_int_equal(check_store(store), -EBADMSG);
	free_rows(&rows);
	store_close(store);
}

/* Sealed with the right key, by a writer with a fault: the record tells another size, or another hash. */
static void test_check_finds_a_wrong_record(void **state)
{
	struct store *store = make_some(*state);
	struct name name = fixture_global("g");
	struct resource *resource = index_find(&store->index, store_node(store, &name));
	struct seal_key key = seal_key(SEAL_RECORD, &resource->id, 0), manifest_key = seal_key(SEAL_MANIFEST, NULL, 0);

	for (int i = 0; i < 3; i++) {
		struct record record;
		struct seal_manifest manifest = store->manifest;
		struct seal_row row, manifest_row;
		uint8_t hash[CRYPTO_HASH_BYTES];

		resource_record(resource, &record);
		record.size += i == 1;
		record.value_hash[0] ^= i == 2;
		fixture_must(seal_record(&store->seal, &resource->id, 1, &record, &row) == 0);
		crypto_set_remove(manifest.sum, resource->hash);
		seal_row_hash(&store->seal, &key, row.data, row.size, hash);
		crypto_set_add(manifest.sum, hash);
		fixture_must(seal_manifest(&store->seal, &manifest, &manifest_row) == 0);
		const struct engine_change changes[] = {
			{key.bytes, key.size, row.data, row.size},
			{manifest_key.bytes, manifest_key.size, manifest_row.data, manifest_row.size}};
		fixture_must(engine_commit(store->engine, changes, 2) == 0);
		assert_int_equal(check_store(store), i == 0 ? 0 : -EBADMSG);
		free(row.data);
		free(manifest_row.data);
	}
	store_close(store);
}

struct reading {
	struct store *store;
	unsigned right;
};

static void on_progress_read(void *context, uint64_t done, uint64_t total)
{
	struct reading *reading = context;

	(void)done;
	(void)total;
	reading->right += fixture_holds(reading->store, fixture_global("g"), "ggg", 3);
}

/* Nothing is cached, so it is read from the file that is being checked. */
static void test_reading_goes_on_while_checking(void **state)
{
	struct store *store = make_some(*state);
	struct reading reading = {.store = store};
	struct store_checked checked;
	char name[20];

	for (int i = 0; i < 200; i++) {
		snprintf(name, sizeof(name), "more-%d", i);
		assert_int_equal(fixture_do(store, STORE_PUT, fixture_global(name), name, strlen(name), NULL), 0);
	}
	assert_int_equal(store_check(store, on_progress_read, &reading, &checked), 0);
	assert_true(reading.right >= 3);
	store_close(store);
}

static void check_often(struct store *store, void *context)
{
	struct store_checked checked;

	(void)context;
	for (int i = 0; i < 40; i++)
		assert_int_equal(store_check(store, NULL, NULL, &checked), 0);
	assert_true(checked.resources >= 2 + 2 * WRITERS);
}

static void test_check_while_writing(void **state)
{
	struct store *store;

	fixture_make(*state);
	store = fixture_open(*state, 2, 0);
	while_writing(store, check_often, NULL);
	store_close(store);
}

/* --- copies */

static void copy_often(struct store *store, void *context)
{
	struct fixture *fixture = context;
	uint64_t before = 0;
	unsigned moved = 0;

	for (int i = 0; i < 10; i++) {
		const char *path = fixture_path(fixture, "copy");
		struct store *copy;
		uint64_t at_least = generation_of(store), copied;
		struct stat st;

		assert_int_equal(store_copy(store, path), 0);
		assert_int_equal(stat(path, &st), 0);
		assert_int_equal(st.st_mode & 07777, 0600);
		assert_int_equal(fixture_try(fixture, path, &copy), 0);
		copied = generation_of(copy);
		/* what is on disk may not be seen yet: one commit, of a pair of each writer */
		assert_true(copied >= at_least);
		assert_true(copied >= before); /* writers may not have had a turn in between, */
		moved += copied > before;
		assert_true(copied <= generation_of(store) + 2 * WRITERS);
		before = copied;
		check_pairs(copy);
		assert_int_equal(check_store(copy), 0);
		store_close(copy);
		unlink(path);
	}
	assert_true(moved > 1); /* but they had some */
}

static void test_copy_while_writing(void **state)
{
	struct fixture *fixture = *state;
	struct store *store;

	fixture_make(fixture);
	store = fixture_open(fixture, 2, 0);
	while_writing(store, copy_often, fixture);
	store_close(store);
}

static void test_copy(void **state)
{
	struct fixture *fixture = *state;
	const char *path = fixture_path(fixture, "copy"), *link = fixture_path(fixture, "link");
	struct store *store, *copy;
	struct stat st;
	size_t size;
	uint8_t *bytes;

	everything_make(fixture);
	store = everything_load(fixture->store, fixture->key);
	assert_int_equal(store_copy(store, path), 0);
	copy = everything_load(path, fixture->key);
	assert_non_null(copy);
	assert_true(everything_same(store, copy));
	assert_int_equal(copy->manifest.generation, store->manifest.generation);
	store_close(copy);

	fixture_write(path, "mine", 4, 0600);
	assert_int_equal(store_copy(store, path), -EEXIST);
	bytes = fixture_read(path, &size);
	assert_int_equal(size, 4);
	free(bytes);
	assert_int_equal(symlink(fixture_path(fixture, "elsewhere"), link), 0);
	assert_int_equal(store_copy(store, link), -EEXIST);
	assert_int_equal(lstat(fixture_path(fixture, "elsewhere"), &st), -1);
	assert_int_equal(store_copy(store, fixture_path(fixture, "no/where")), -ENOENT);
	assert_int_equal(store_copy(store, fixture->store), -EEXIST);
	store_close(store);
	assert_int_equal(opens(fixture, NULL, fixture->key), 0);
}

/* --- rekeying */

static void test_rekey(void **state)
{
	struct fixture *fixture = *state;
	const char *original = fixture_path(fixture, "original"), *link = fixture_path(fixture, "link");
	struct key *key = fixture_key();
	struct progress progress = {0};
	struct store *before, *after;
	struct stat st;

	everything_make(fixture);
	fixture_copy(fixture->store, original);
	assert_int_equal(symlink(fixture->store, link), 0);
	assert_int_equal(chmod(fixture->store, 0640), 0);
	assert_int_equal(store_rekey(link, fixture->key, key, NULL, on_progress, &progress), 0);
	assert_true(progress.calls > 100 && !progress.back && progress.done == progress.total);
	assert_int_equal(lstat(link, &st), 0);
	assert_true(S_ISLNK(st.st_mode));
	assert_int_equal(stat(fixture->store, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
	before = everything_load(original, fixture->key);
	after = everything_load(fixture->store, key);
	assert_non_null(after);
	assert_true(everything_same(before, after));
	assert_int_equal(after->manifest.generation, before->manifest.generation + 1);
	assert_memory_equal(after->seal.store_id, before->seal.store_id, sizeof(after->seal.store_id));
	assert_int_equal(after->seal.epoch, before->seal.epoch + 1);
	assert_int_equal(everything_opens(after, before), 0);
	assert_int_equal(everything_opens(after, after), after->manifest.rows + 1);
	store_close(before);
	store_close(after);
	assert_int_equal(opens(fixture, NULL, fixture->key), -EKEYREJECTED);
	key_free(key);
}

/* What is in the way is not touched, nor is the store. */
static void refused_before_it_begins(const struct fixture *fixture, const char *part, int expected)
{
	size_t size, size_after;
	uint8_t *bytes = fixture_read(part, &size), *after;

	assert_int_equal(store_rekey(fixture->store, fixture->key, fixture->key, NULL, NULL, NULL), expected);
	after = fixture_read(part, &size_after);
	assert_int_equal(size, size_after);
	assert_memory_equal(bytes, after, size);
	free(bytes);
	free(after);
	assert_int_equal(unlink(part), 0);
	assert_int_equal(opens(fixture, NULL, fixture->key), 0);
}

static void test_rekey_refused(void **state)
{
	struct fixture *fixture = *state;
	char part[320];
	struct key *other = fixture_key();

	snprintf(part, sizeof(part), "%s.rekey", fixture->store);
	fixture_make(fixture);
	assert_int_equal(store_rekey(fixture->store, other, other, NULL, NULL, NULL), -EKEYREJECTED);
	assert_int_equal(store_rekey(fixture_path(fixture, "none"), other, other, NULL, NULL, NULL), -ENOENT);
	assert_int_equal(access(part, F_OK), -1);

	assert_int_equal(mkdir(part, 0700), 0);
	assert_int_equal(store_rekey(fixture->store, fixture->key, fixture->key, NULL, NULL, NULL), -EEXIST);
	assert_int_equal(rmdir(part), 0);
	assert_int_equal(symlink(fixture->store, part), 0);
	assert_int_equal(store_rekey(fixture->store, fixture->key, fixture->key, NULL, NULL, NULL), -EEXIST);
	assert_int_equal(unlink(part), 0);
	fixture_write(part, "mine", 4, 0600);
	refused_before_it_begins(fixture, part, -EEXIST);
	fixture_sql(part, "CREATE TABLE t(x)");
	refused_before_it_begins(fixture, part, -EEXIST);
	fixture_must(store_create(part, fixture->key, 0, 0) == 0); /* another store */
	refused_before_it_begins(fixture, part, -EEXIST);
	key_free(other);

}

/* Another process has it. That one is made first: a child of a process with threads may find a lock held for ever. */
static void test_rekey_in_use(void **state)
{
	struct fixture *fixture = *state;
	struct store *store;
	char part[320], byte = 0;
	int status, ends[2];
	pid_t pid;

	snprintf(part, sizeof(part), "%s.rekey", fixture->store);
	fixture_make(fixture);
	fixture_must(pipe(ends) == 0);
	pid = fork();
	fixture_must(pid >= 0);
	if (pid == 0) {
		struct key *key;

		fixture_init();
		key = fixture_key();
		if (read(ends[0], &byte, 1) != 1)
			_exit(1);
		_exit(store_rekey(fixture->store, key, key, NULL, NULL, NULL) == -EBUSY && access(part, F_OK) < 0 ? 0 : 1);
	}
	store = fixture_open(fixture, 2, CACHE);
	fixture_must(write(ends[1], &byte, 1) == 1);
	fixture_must(waitpid(pid, &status, 0) == pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	store_close(store);
	close(ends[0]);
	close(ends[1]);
	assert_int_equal(opens(fixture, NULL, fixture->key), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_slots),
		TEST(test_removed_from_the_file),
		TEST(test_removed_beside_a_rekey),
		TEST(test_slots_while_writing),
		TEST(test_passphrase_slot),
		TEST(test_check),
		TEST(test_check_finds_a_changed_row),
		TEST(test_check_finds_an_earlier_state),
		TEST(test_check_finds_a_later_state),
		TEST(test_check_finds_a_wrong_record),
		TEST(test_reading_goes_on_while_checking),
		TEST(test_check_while_writing),
		TEST(test_copy_while_writing),
		TEST(test_copy),
		TEST(test_rekey),
		TEST(test_rekey_refused),
		TEST(test_rekey_in_use),
	};

	return cmocka_run_group_tests(tests, fixture_group_setup, fixture_group_teardown);
}
