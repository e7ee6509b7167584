/* SPDX-License-Identifier: Apache-2.0
 * test_lock: a store that is locked while it is open: what is refused, what goes on, who may unlock it, what is left in
 * memory.
 */
#include "store/internal.h"
#include "tests/unit/cmocka_all.h"
#include "tests/unit/fixture.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define CACHE (1024 * 1024)

enum { CLIENTS = 6, LOCKS = 200 };

static int read_of(struct store *store, struct name name)
{
	uint64_t node = store_node(store, &name), generation;
	SECBUF_AUTO value = {0};
	int r = store_pin(store, node, &generation);

	if (r < 0)
		return r;
	r = store_read(store, node, generation, &value);
	store_unpin(store, node, generation);
	return r;
}

static void refuses_what_needs_keys(struct store *store)
{
	struct store_checked checked;
	struct key *key = fixture_key();
	unsigned slot;

	assert_int_equal(read_of(store, fixture_global("g")), -ENOKEY);
	assert_int_equal(read_of(store, fixture_mesh("default")), -ENOKEY);
	assert_int_equal(fixture_do(store, STORE_PUT, fixture_global("g"), "x", 1, NULL), -ENOKEY);
	assert_int_equal(fixture_do(store, STORE_APPEND, fixture_global("g"), "x", 1, NULL), -ENOKEY);
	assert_int_equal(fixture_do(store, STORE_PUT, fixture_global("new"), "x", 1, NULL), -ENOKEY);
	assert_int_equal(fixture_do(store, STORE_REMOVE, fixture_global("g"), NULL, 0, NULL), -ENOKEY);
	assert_int_equal(fixture_do(store, STORE_SET_ATTRIBUTES, fixture_global("g"), NULL, 0, NULL), -ENOKEY);
	assert_int_equal(store_check(store, NULL, NULL, &checked), -ENOKEY);
	assert_int_equal(store_key_add(store, key, &slot), -ENOKEY);
	assert_int_equal(store_key_replace(store, 0, key), -ENOKEY);
	key_free(key);
}

static void goes_on_with_names(const struct fixture *fixture, struct store *store)
{
	struct name name = fixture_global("g");
	const char *path = fixture_path(fixture, "copy");
	struct store_status status;
	struct store_info info;
	struct store *copy;
	uint64_t generation;

	assert_int_equal(fixture_info(store, name).record.size, 3);
	assert_false(fixture_exists(store, fixture_global("none")));
	assert_int_equal(store_next(store, NAME_GLOBAL_SECRET, 0, 0, &info), 0);
	assert_true(name_equal(&info.record.name, &name));
	assert_int_equal(store_pin(store, info.node, &generation), 0);
	store_unpin(store, info.node, generation);
	store_get_status(store, &status);
	assert_int_equal(status.global_secrets, 1);
	assert_int_equal(store_copy(store, path), 0);
	assert_int_equal(fixture_try(fixture, path, &copy), 0);
	assert_true(fixture_holds(copy, name, "ggg", 3));
	store_close(copy);
	unlink(path);
}

static void test_locked(void **state)
{
	struct fixture *fixture = *state;
	struct name name = fixture_global("g");
	uint64_t old, generation, node;
	struct store *store;

	fixture_make(fixture);
	store = fixture_open(fixture, 2, CACHE);
	node = store_node(store, &name);
	assert_int_equal(fixture_do(store, STORE_PUT, name, "old", 3, NULL), 0);
	assert_int_equal(store_pin(store, node, &old), 0);
	assert_int_equal(fixture_do(store, STORE_PUT, name, "ggg", 3, NULL), 0);
	assert_false(store_is_locked(store));
	for (int i = 0; i < 3; i++) {
		SECBUF_AUTO value = {0};

		assert_int_equal(store_lock(store), 0);
		assert_int_equal(store_lock(store), 0);
		assert_true(store_is_locked(store));
		assert_int_equal(store_node(store, &name), node);
		refuses_what_needs_keys(store);
		assert_int_equal(store_read(store, node, old, &value), -ENOKEY);
		goes_on_with_names(fixture, store);
		assert_int_equal(store_unlock(store, fixture->key), 0);
		assert_false(store_is_locked(store));
		assert_true(fixture_holds(store, name, "ggg", 3));
		assert_true(fixture_version_holds(store, node, old, "old", 3));
	}
	assert_int_equal(fixture_do(store, STORE_APPEND, name, "h", 1, NULL), 0);
	assert_int_equal(store_lock(store), 0);
	assert_int_equal(store_pin(store, node, &generation), 0); /* and is never unpinned */
	store_close(store);
	store = fixture_open(fixture, 2, CACHE);
	assert_true(fixture_holds(store, name, "gggh", 4));
	store_close(store);
}

/* Who opens the store unlocks it, and nobody else. */
static void test_unlocking(void **state)
{
	struct fixture *fixture = *state;
	struct key *pass = fixture_key(), *second = fixture_key(), *other = fixture_key();
	struct header before;
	struct store *store;
	unsigned slot;

	pass->kind = KEY_PASSPHRASE;
	fixture_make(fixture);
	store = fixture_open(fixture, 2, CACHE);
	assert_int_equal(fixture_do(store, STORE_PUT, fixture_global("g"), "ggg", 3, NULL), 0);
	assert_int_equal(store_key_add(store, pass, &slot), 0);
	assert_int_equal(store_key_add(store, second, &slot), 0);
	assert_int_equal(store_unlock(store, other), -EKEYREJECTED); /* also of one that isn't locked */
	assert_true(fixture_holds(store, fixture_global("g"), "ggg", 3));
	assert_int_equal(store_lock(store), 0);
	assert_int_equal(store_unlock(store, other), -EKEYREJECTED);
	other->kind = KEY_PASSPHRASE;
	assert_int_equal(store_unlock(store, other), -EKEYREJECTED);
	assert_true(store_is_locked(store));
	assert_int_equal(read_of(store, fixture_global("g")), -ENOKEY);
	assert_int_equal(store_unlock(store, pass), 0);
	assert_true(fixture_holds(store, fixture_global("g"), "ggg", 3));
	assert_int_equal(store_lock(store), 0);
	assert_int_equal(store_unlock(store, second), 0);
	assert_int_equal(store_key_remove(store, 0), 0);
	assert_int_equal(store_lock(store), 0);
	assert_int_equal(store_unlock(store, fixture->key), -EKEYREJECTED);
	/* a slot that opens by itself does not make up for a header that was changed */
	before = store->header;
	store->header.bytes[HEADER_BYTES - 1] ^= 1;
	assert_int_equal(store_unlock(store, second), -EBADMSG);
	assert_true(store_is_locked(store));
	store->header = before;
	assert_int_equal(store_unlock(store, second), 0);
	assert_true(fixture_holds(store, fixture_global("g"), "ggg", 3));
	store_close(store);
	key_free(pass);
	key_free(second);
	key_free(other);
}

/* What nobody needs any more waits for the unlock, without a thread that turns round and round meanwhile. */
static void test_pruning_waits(void **state)
{
	struct fixture *fixture = *state;
	struct name name = fixture_global("g");
	uint64_t node, generation, rows;
	struct store_status status;
	struct store *store;
	clock_t used;

	fixture_make(fixture);
	store = fixture_open(fixture, 0, CACHE);
	node = store_node(store, &name);
	assert_int_equal(fixture_do(store, STORE_PUT, name, "one", 3, NULL), 0);
	rows = fixture_rows(store);
	assert_int_equal(store_pin(store, node, &generation), 0);
	assert_int_equal(fixture_do(store, STORE_PUT, name, "two", 3, NULL), 0);
	assert_int_equal(fixture_rows(store), rows + 1);
	assert_int_equal(store_lock(store), 0);
	store_unpin(store, node, generation);
	assert_int_equal(fixture_do(store, STORE_PUT, name, "x", 1, NULL), -ENOKEY);
	store_get_status(store, &status);
	assert_int_equal(status.rows, rows + 2); /* the header is one of those */
	used = clock();
	usleep(300000);
	assert_true(clock() - used < CLOCKS_PER_SEC / 10); /* of this process's time on a processor */
	assert_int_equal(store_unlock(store, fixture->key), 0);
	assert_int_equal(fixture_rows(store), rows);
	assert_int_equal(store_pin(store, node, &generation), 0);
	assert_int_equal(fixture_do(store, STORE_PUT, name, "three", 5, NULL), 0);
	assert_int_equal(store_lock(store), 0);
	store_unpin(store, node, generation);
	store_close(store);
	store = fixture_open(fixture, 0, CACHE);
	assert_int_equal(fixture_rows(store), rows);
	store_close(store);
}

/* A store that is locked just when something is about to be pruned: that waits, and the thread that does it is there for more afterwards. */
static void test_locked_before_pruning(void **state)
{
	struct name name = fixture_global("g");
	struct fixture *fixture = *state;
	struct store_status status;
	struct store *store;
	uint64_t rows;

	fixture_make(fixture);
	store = fixture_open(fixture, 0, CACHE);
	rows = fixture_rows(store);
	for (int i = 0; i < 5; i++) {
		assert_int_equal(fixture_do(store, STORE_PUT, name, "value", 5, NULL), 0);
		assert_int_equal(fixture_do(store, STORE_REMOVE, name, NULL, 0, NULL), 0);
		assert_int_equal(store_lock(store), 0);
		usleep(50000);
		assert_int_equal(fixture_do(store, STORE_PUT, name, "value", 5, NULL), -ENOKEY);
		assert_int_equal(store_unlock(store, fixture->key), 0);
		for (int left = 1000; left && (store_get_status(store, &status), status.rows != rows + 1); left--)
			usleep(10000);
		assert_int_equal(status.rows, rows + 1);
	}
	store_close(store);
}

/* How often a key is in the arena, which is the mapping that has @inside. @masked: its complement, so that this does not
 * find what it was called with. */
static unsigned count_in_arena(const void *inside, const uint8_t masked[static CRYPTO_KEY_BYTES])
{
	FILE *maps = fopen("/proc/self/maps", "r");
	uintptr_t start, end;
	unsigned count = 0;
	char line[512];

	fixture_must(maps);
	while (fgets(line, sizeof(line), maps)) {
		fixture_must(sscanf(line, "%lx-%lx", &start, &end) == 2);
		if ((uintptr_t)inside < start || (uintptr_t)inside >= end)
			continue;
		for (const uint8_t *at = (const uint8_t *)start; at + CRYPTO_KEY_BYTES <= (const uint8_t *)end; at++) {
			size_t same = 0;

			while (same < CRYPTO_KEY_BYTES && at[same] + masked[same] == 0xff)
				same++;
			count += same == CRYPTO_KEY_BYTES;
		}
	}
	fclose(maps);
	return count;
}

static void test_nothing_is_left(void **state)
{
	enum { KEYS = sizeof(struct header_keys) / CRYPTO_KEY_BYTES };
	struct fixture *fixture = *state;
	uint8_t masked[KEYS][CRYPTO_KEY_BYTES];
	struct store *store;
	size_t used;

	fixture_make(fixture);
	store = fixture_open(fixture, 2, CACHE);
	assert_int_equal(fixture_do(store, STORE_PUT, fixture_global("g"), "ggg", 3, NULL), 0);
	used = secmem_in_use();
	memcpy(masked, store->keys, sizeof(masked));
	for (size_t i = 0; i < sizeof(masked); i++)
		masked[i / CRYPTO_KEY_BYTES][i % CRYPTO_KEY_BYTES] ^= 0xff;
	for (int round = 0; round < 3; round++) {
		for (size_t i = 0; i < KEYS; i++)
			assert_int_equal(count_in_arena(store->keys, masked[i]), 1);
		assert_int_equal(store_lock(store), 0);
		for (size_t i = 0; i < KEYS; i++)
			assert_int_equal(count_in_arena(store->keys, masked[i]), i == KEYS - 1); /* row_id */
		assert_int_equal(secmem_in_use(), used);
		assert_int_equal(store_unlock(store, fixture->key), 0);
		assert_int_equal(secmem_in_use(), used);
	}
	store_close(store);
}

/* --- others read, write and check meanwhile */

static struct {
	struct store *store;
	atomic_bool stop;
	atomic_uint done[CLIENTS], refused[CLIENTS], wrong;
	unsigned kept[CLIENTS]; /* the number in the last value that was acknowledged */
} shared;

static struct name own_name(int number)
{
	char text[20];

	snprintf(text, sizeof(text), "own-%d", number);
	return fixture_global(text);
}

/* A value of a writer: its number, over and over. */
static size_t fill_own(unsigned *value, unsigned number)
{
	size_t n = 1 + number % 500;

	for (size_t i = 0; i < n; i++)
		value[i] = number;
	return n * sizeof(*value);
}

static int client_write(int client)
{
	unsigned value[501], number = shared.kept[client] + 1;
	int r = fixture_do(shared.store, STORE_PUT, own_name(client), value, fill_own(value, number), NULL);

	if (r == 0)
		shared.kept[client] = number;
	return r;
}

static int client_read(int client)
{
	struct name name = own_name(client % 2); /* a writer's */
	uint64_t node = store_node(shared.store, &name), generation;
	unsigned expected[501], number;
	SECBUF_AUTO value = {0};
	int r = store_pin(shared.store, node, &generation);

	if (r < 0)
		return r == -ENOENT ? 0 : r; /* nothing was written yet */
	r = store_read(shared.store, node, generation, &value);
	store_unpin(shared.store, node, generation);
	if (r < 0)
		return r;
	memcpy(&number, value.data, sizeof(number));
	return value.size == fill_own(expected, number) && memcmp(value.data, expected, value.size) == 0 ? 0 : -EBADMSG;
}

static void *client(void *context)
{
	int number = (int)(intptr_t)context;
	struct store_checked checked;

	while (!shared.stop) {
		int r = number < 2   ? client_write(number)
			: number < 5 ? client_read(number)
				     : store_check(shared.store, NULL, NULL, &checked);

		shared.done[number] += r == 0;
		shared.refused[number] += r == -ENOKEY;
		shared.wrong += r != 0 && r != -ENOKEY;
	}
	return NULL;
}

static void locking_with(void **state, size_t cache_bytes)
{
	struct fixture *fixture = *state;
	unsigned done = 0, refused = 0, value[501];
	pthread_t threads[CLIENTS];

	unlink(fixture->store);
	fixture_make(fixture);
	memset(&shared, 0, sizeof(shared));
	shared.store = fixture_open(fixture, 2, cache_bytes);
	for (intptr_t i = 0; i < CLIENTS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, client, (void *)i), 0);
	for (unsigned i = 0; i < LOCKS; i++) {
		const struct header_keys none = {0};

		assert_int_equal(store_lock(shared.store), 0);
		assert_memory_equal(shared.store->keys, &none, offsetof(struct header_keys, row_id));
		usleep(i % 7 * 100);
		assert_int_equal(store_unlock(shared.store, fixture->key), 0);
		usleep(i % 5 * 300);
	}
	shared.stop = true;
	for (int i = 0; i < CLIENTS; i++) {
		pthread_join(threads[i], NULL);
		done += shared.done[i] > 0;
		refused += shared.refused[i] > 0;
	}
	assert_int_equal(shared.wrong, 0);
	assert_int_equal(done, CLIENTS);
	assert_int_equal(refused, CLIENTS);
	for (int i = 0; i < 2; i++)
		assert_true(fixture_holds(shared.store, own_name(i), value, fill_own(value, shared.kept[i])));
	store_close(shared.store);
	shared.store = fixture_open(fixture, 2, cache_bytes);
	for (int i = 0; i < 2; i++)
		assert_true(fixture_holds(shared.store, own_name(i), value, fill_own(value, shared.kept[i])));
	store_close(shared.store);
}

static void test_locking_while_others_read_and_write(void **state)
{
	locking_with(state, CACHE);
	locking_with(state, 0);
}

static void on_done(struct store_txn *txn, int result)
{
	shared.done[0] += result == 0;
	shared.refused[0] += result == -ENOKEY;
	store_txn_free(txn);
}

/* What was submitted before is answered when the store is locked, so that nothing of it is in memory. */
static void test_what_waits_is_answered(void **state)
{
	struct fixture *fixture = *state;
	size_t used;

	fixture_make(fixture);
	memset(&shared, 0, sizeof(shared));
	shared.store = fixture_open(fixture, 2, CACHE);
	used = secmem_in_use();
	for (int i = 0; i < 2000; i++) {
		struct store_txn *txn = store_txn_new(1);

		fixture_must(txn);
		fixture_op(&txn->ops[0], STORE_PUT, fixture_global("g"), &i, sizeof(i));
		txn->done = on_done;
		store_submit(shared.store, txn);
	}
	assert_int_equal(store_lock(shared.store), 0);
	assert_int_equal(shared.done[0] + shared.refused[0], 2000);
	assert_true(shared.refused[0] > 0);
	assert_int_equal(secmem_in_use(), used);
	store_close(shared.store);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_locked),
		TEST(test_unlocking),
		TEST(test_pruning_waits),
		TEST(test_locked_before_pruning),
		TEST(test_nothing_is_left),
		TEST(test_locking_while_others_read_and_write),
		TEST(test_what_waits_is_answered),
	};

	return cmocka_run_group_tests(tests, fixture_group_setup, fixture_group_teardown);
}
