/* SPDX-License-Identifier: Apache-2.0
 * test_store_versions: how many versions are kept, and that a pinned one stays readable until it is let go.
 */
#include "store/engine.h"
#include "store/seal.h"
#include "tests/unit/cmocka_all.h"
#include "tests/unit/fixture.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define CACHE (1024 * 1024)
#define EMPTY_ROWS 4 /* of a new store */
#define PUT(store, name, text) assert_int_equal(fixture_do(store, STORE_PUT, name, text, strlen(text), NULL), 0)
#define REMOVE(store, name) assert_int_equal(fixture_do(store, STORE_REMOVE, name, NULL, 0, NULL), 0)
#define READS(store, node, generation, text)                                                                           \
	assert_true(fixture_version_holds(store, node, generation, text, strlen(text)))

static int read_fails(struct store *store, uint64_t node, uint64_t generation)
{
	struct secbuf value = {0};
	int r = store_read(store, node, generation, &value);

	secbuf_deinit(&value);
	return r;
}

static uint64_t pin(struct store *store, struct name name)
{
	uint64_t generation;

	assert_int_equal(store_pin(store, store_node(store, &name), &generation), 0);
	return generation;
}

static void test_history(void **state)
{
	static const unsigned histories[] = {0, 1, 2, 5, STORE_HISTORY_MAX};
	struct name name = fixture_secret("default", "web");
	struct fixture *fixture = *state;

	for (size_t i = 0; i < sizeof(histories) / sizeof(histories[0]); i++) {
		struct store *store;
		char text[20];

		unlink(fixture->store);
		fixture_make(fixture);
		store = fixture_open(fixture, histories[i], CACHE);
		for (unsigned n = 0; n < 10; n++) {
			unsigned versions = n < histories[i] ? n + 1 : histories[i] + 1;

			snprintf(text, sizeof(text), "value %u", n);
			PUT(store, name, text);
			assert_int_equal(fixture_rows(store), EMPTY_ROWS + 1 + versions);
		}
		assert_true(fixture_holds(store, name, text, strlen(text)));
		store_close(store);
		/* fewer are kept when it is opened with a shorter history */
		store = fixture_open(fixture, 0, CACHE);
		assert_int_equal(fixture_rows(store), EMPTY_ROWS + 2);
		assert_true(fixture_holds(store, name, text, strlen(text)));
		store_close(store);
	}
}

/* The same when all happens in one commit. */
static void test_history_within_a_transaction(void **state)
{
	struct name name = fixture_secret("default", "web");
	struct store_txn *txn = store_txn_new(20);
	struct store *store;
	char text[20];

	fixture_make(*state);
	store = fixture_open(*state, 2, CACHE);
	for (unsigned n = 0; n < 20; n++) {
		snprintf(text, sizeof(text), "value %u", n);
		fixture_op(&txn->ops[n], STORE_PUT, name, text, strlen(text));
	}
	assert_int_equal(store_run(store, txn), 0);
	store_txn_free(txn);
	assert_int_equal(fixture_rows(store), EMPTY_ROWS + 1 + 3);
	assert_true(fixture_holds(store, name, text, strlen(text)));
	store_close(store);
}

static struct store_status status_of(struct store *store)
{
	struct store_status status;

	store_get_status(store, &status);
	return status;
}

/* A version that is one too many goes with the commit that makes it so: none follows that only removes it. */
static void test_pruned_at_once(void **state)
{
	struct name name = fixture_secret("default", "web");
	struct store_status before, after;
	struct store *store;
	uint64_t rows;
	char text[20];

	fixture_make(*state);
	store = fixture_open(*state, 2, CACHE);
	rows = status_of(store).rows;
	for (unsigned n = 0; n < 6; n++) {
		before = status_of(store);
		snprintf(text, sizeof(text), "value %u", n);
		PUT(store, name, text);
		usleep(100000); /* five times what a removal waits for company */
		after = status_of(store);
		assert_int_equal(after.generation, before.generation + 1);
		assert_int_equal(after.rows, rows + 1 + (n < 2 ? n + 1 : 3));
	}
	store_close(store);
}

/* What removing leaves goes with the next commit, if that comes soon: as many commits as transactions. And if none comes, alone. */
static void test_pruned_with_the_next(void **state)
{
	enum { N = 10 };
	uint64_t rows, before, commits = 2 * N;
	struct store *store;

	fixture_make(*state);
	store = fixture_open(*state, 0, CACHE);
	rows = status_of(store).rows;
	for (int round = 0; round < 100 && commits > N; round++) { /* another round on a machine that is busy */
		char names[N][16];

		for (int i = 0; i < N; i++) {
			snprintf(names[i], sizeof(names[i]), "s-%d", i);
			PUT(store, fixture_global(names[i]), "value");
		}
		before = status_of(store).generation;
		for (int i = 0; i < N; i++) {
			REMOVE(store, fixture_global(names[i]));
			usleep(1000);
		}
		commits = status_of(store).generation - before;
	}
	assert_int_equal(commits, N);
	for (int left = 1000; left && status_of(store).rows != rows; left--)
		usleep(10000);
	assert_int_equal(status_of(store).rows, rows);
	store_close(store);
}

/* When there are as many as are kept, a version of the same size is written over the one that goes: no zeros are written for that. */
static void test_replacement_takes_the_place(void **state)
{
	enum { BYTES = 200 * 1024 };
	struct name name = fixture_secret("default", "web");
	struct fixture *fixture = *state;
	uint8_t *value = malloc(BYTES);
	size_t before, after;
	struct store *store;
	char journal[400];

	fixture_must(value);
	snprintf(journal, sizeof(journal), "%s-wal", fixture->store);
	fixture_make(fixture);
	store = fixture_open(fixture, 1, CACHE);
	for (uint64_t n = 0; n < 3; n++) {
		fixture_fill(value, BYTES, n);
		free(fixture_read(journal, &before));
		assert_int_equal(fixture_do(store, STORE_PUT, name, value, BYTES, NULL), 0);
	}
	free(fixture_read(journal, &after));
	assert_in_range(after - before, BYTES, BYTES * 5 / 4);
	assert_int_equal(fixture_rows(store), EMPTY_ROWS + 1 + 2);
	store_close(store);
	store = fixture_open(fixture, 1, CACHE);
	assert_true(fixture_holds(store, name, value, BYTES));
	store_close(store);
	free(value);
}

/* A pinned version is read from the cache or from the file: both. */
static void pins_with(void **state, size_t cache_bytes)
{
	struct name name = fixture_secret("default", "web");
	uint64_t node, first, second, third;
	struct store_info info;
	struct store *store;

	unlink(((struct fixture *)*state)->store);
	fixture_make(*state);
	store = fixture_open(*state, 0, cache_bytes);
	node = store_node(store, &name);
	assert_int_equal(store_pin(store, node, &first), -ENOENT);
	PUT(store, name, "first");
	first = pin(store, name);
	assert_true(first == fixture_info(store, name).record.generation);
	PUT(store, name, "second"); /* replaced */
	READS(store, node, first, "first");
	assert_int_equal(fixture_rows(store), EMPTY_ROWS + 3);
	second = pin(store, name);
	REMOVE(store, name); /* removed */
	fixture_settle(store);
	READS(store, node, first, "first");
	READS(store, node, second, "second");
	assert_int_equal(store_look(store, node, &info), 0);
	assert_false(info.exists);
	assert_int_equal(fixture_rows(store), EMPTY_ROWS + 2);
	PUT(store, name, "third"); /* and made again */
	third = pin(store, name);
	PUT(store, name, "fourth");
	fixture_settle(store);
	READS(store, node, first, "first");
	READS(store, node, second, "second");
	READS(store, node, third, "third");
	assert_true(fixture_holds(store, name, "fourth", 6));
	assert_int_equal(fixture_rows(store), EMPTY_ROWS + 5);
	store_unpin(store, node, second);
	assert_int_equal(fixture_rows(store), EMPTY_ROWS + 4);
	assert_int_equal(read_fails(store, node, second), -ENOENT);
	READS(store, node, first, "first");
	store_unpin(store, node, first);
	store_unpin(store, node, third);
	assert_int_equal(fixture_rows(store), EMPTY_ROWS + 2);
	assert_int_equal(read_fails(store, node, first), -ENOENT);
	assert_int_equal(read_fails(store, node, third), -ENOENT);
	assert_true(fixture_holds(store, name, "fourth", 6));
	store_close(store);
}

static void test_pins(void **state)
{
	pins_with(state, CACHE);
}

static void test_pins_without_a_cache(void **state)
{
	pins_with(state, 0);
}

static void test_pins_are_counted(void **state)
{
	struct name name = fixture_global("g");
	struct store_info info;
	struct store *store;
	uint64_t node, generation;

	fixture_make(*state);
	store = fixture_open(*state, 0, CACHE);
	node = store_node(store, &name);
	PUT(store, name, "v");
	for (int i = 0; i < 3; i++)
		generation = pin(store, name);
	REMOVE(store, name);
	for (int i = 0; i < 3; i++) {
		fixture_settle(store);
		READS(store, node, generation, "v");
		store_unpin(store, node, generation);
	}
	assert_int_equal(fixture_rows(store), EMPTY_ROWS);
	assert_int_equal(store_look(store, node, &info), -ENOENT);
	store_unpin(store, node, generation); /* one too many does nothing */
	store_unpin(store, 12345, 1);
	fixture_settle(store);
	store_close(store);
}

static void test_pin_over_rename(void **state)
{
	struct name a = fixture_global("a"), b = fixture_global("b");
	struct store_txn *txn = store_txn_new(1);
	uint64_t pinned_a, pinned_b;
	struct store *store;

	fixture_make(*state);
	store = fixture_open(*state, 0, CACHE);
	PUT(store, a, "of a");
	PUT(store, b, "of b");
	pinned_a = pin(store, a);
	pinned_b = pin(store, b);
	fixture_op(&txn->ops[0], STORE_RENAME, a, NULL, 0);
	txn->ops[0].to = b;
	assert_int_equal(store_run(store, txn), 0);
	store_txn_free(txn);
	fixture_settle(store);
	READS(store, store_node(store, &a), pinned_a, "of a");
	READS(store, store_node(store, &b), pinned_b, "of b");
	assert_true(fixture_holds(store, b, "of a", 4));
	store_unpin(store, store_node(store, &a), pinned_a);
	store_unpin(store, store_node(store, &b), pinned_b);
	assert_int_equal(fixture_rows(store), EMPTY_ROWS + 2);
	store_close(store);
}

/* A mesh that is gone while its document is still read, and comes back. */
static void test_pinned_mesh(void **state)
{
	struct name mesh = fixture_mesh("m"), in_it = fixture_secret("m", "x");
	struct store *store;
	uint64_t generation;

	fixture_make(*state);
	store = fixture_open(*state, 0, CACHE);
	PUT(store, mesh, FIXTURE_MESH("m", "old"));
	PUT(store, in_it, "1");
	REMOVE(store, in_it);
	generation = pin(store, mesh);
	REMOVE(store, mesh);
	assert_int_equal(fixture_do(store, STORE_PUT, in_it, "2", 1, NULL), -ENOENT);
	PUT(store, mesh, FIXTURE_MESH("m", "new"));
	PUT(store, in_it, "3");
	READS(store, store_node(store, &mesh), generation, FIXTURE_MESH("m", "old"));
	assert_true(fixture_holds(store, in_it, "3", 1));
	store_unpin(store, store_node(store, &mesh), generation);
	assert_int_equal(fixture_rows(store), EMPTY_ROWS + 4);
	store_close(store);
}

/* A store closed with versions still pinned: what nobody needs goes with the next opening. */
static void test_closed_with_pins(void **state)
{
	struct name name = fixture_global("g"), kept = fixture_global("kept");
	struct store *store;

	fixture_make(*state);
	store = fixture_open(*state, 0, CACHE);
	PUT(store, kept, "kept");
	PUT(store, name, "1");
	pin(store, name);
	PUT(store, name, "2");
	pin(store, name);
	REMOVE(store, name);
	assert_int_equal(fixture_rows(store), EMPTY_ROWS + 4);
	store_close(store);
	store = fixture_open(*state, 0, CACHE);
	assert_int_equal(fixture_rows(store), EMPTY_ROWS + 2);
	assert_false(fixture_exists(store, name));
	assert_true(fixture_holds(store, kept, "kept", 4));
	store_close(store);
}

enum ending { GONE, MADE_AGAIN, REPLACED };

/* The child ends in the middle of its work, with everything open. */
static void crash(struct fixture *fixture, enum ending ending)
{
	struct name name = fixture_secret("default", "orphan");
	int status;
	pid_t pid;

	pid = fork();
	if (pid == 0) {
		struct store *store;
		uint64_t generation, node;

		fixture_init();
		fixture->key = fixture_key();
		memset(fixture->key->bytes, 0x42, CRYPTO_KEY_BYTES);
		store = fixture_open(fixture, 0, CACHE);
		node = store_node(store, &name);
		for (int i = 0; i < 3; i++) {
			char text[20];

			snprintf(text, sizeof(text), "orphan %d", i);
			if (fixture_do(store, STORE_PUT, name, text, strlen(text), NULL) < 0 ||
			    store_pin(store, node, &generation) < 0)
				_exit(1);
		}
		if (ending != REPLACED && fixture_do(store, STORE_REMOVE, name, NULL, 0, NULL) < 0)
			_exit(2);
		if (ending == MADE_AGAIN && fixture_do(store, STORE_PUT, name, "again", 5, NULL) < 0)
			_exit(3);
		fixture_settle(store);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void test_crash_with_pins(void **state)
{
	static const struct {
		enum ending ending;
		const char *value;
		unsigned rows[2]; /* beside an empty store's, opened with a history of 5, then of 0 */
	} cases[] = {{GONE, NULL, {0, 0}}, {MADE_AGAIN, "again", {2, 2}}, {REPLACED, "orphan 2", {4, 2}}};
	struct name name = fixture_secret("default", "orphan");
	struct fixture *fixture = *state;

	memset(fixture->key->bytes, 0x42, CRYPTO_KEY_BYTES);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct store *store;

		unlink(fixture->store);
		fixture_make(fixture);
		crash(fixture, cases[i].ending);
		for (int reopened = 0; reopened < 2; reopened++) {
			/* what was before the resource was made again is not its history */
			store = fixture_open(fixture, reopened ? 0 : 5, CACHE);
			assert_int_equal(fixture_rows(store), EMPTY_ROWS + cases[i].rows[reopened]);
			assert_int_equal(fixture_exists(store, name), cases[i].value != NULL);
			if (cases[i].value)
				assert_true(fixture_holds(store, name, cases[i].value, strlen(cases[i].value)));
			store_close(store);
		}
	}
}

/* An orphan's name is used again at once, maybe before its rows went. */
static void test_orphan_made_again_after_a_crash(void **state)
{
	struct name name = fixture_secret("default", "orphan"), mesh = fixture_mesh("default");
	struct fixture *fixture = *state;
	struct store_info info;
	struct store *store;

	memset(fixture->key->bytes, 0x42, CRYPTO_KEY_BYTES);
	fixture_make(fixture);
	crash(fixture, GONE);
	store = fixture_open(fixture, 0, CACHE);
	PUT(store, name, "new");
	assert_true(fixture_holds(store, name, "new", 3));
	assert_int_equal(store_next(store, NAME_SECRET, store_node(store, &mesh), 0, &info), 0);
	assert_true(name_equal(&info.record.name, &name));
	assert_int_equal(fixture_rows(store), EMPTY_ROWS + 2);
	REMOVE(store, name);
	assert_int_equal(fixture_rows(store), EMPTY_ROWS);
	assert_int_equal(store_next(store, NAME_SECRET, store_node(store, &mesh), 0, &info), -ENOENT);
	store_close(store);
}

/* What is left over, and no version of anything any more, does not come along. */
static void test_rekey_after_a_crash(void **state)
{
	struct name name = fixture_secret("default", "orphan");
	struct fixture *fixture = *state;

	memset(fixture->key->bytes, 0x42, CRYPTO_KEY_BYTES);
	for (enum ending ending = GONE; ending <= REPLACED; ending++) {
		const char *value = ending == MADE_AGAIN ? "again" : "orphan 2";
		struct store *store;

		unlink(fixture->store);
		fixture_make(fixture);
		crash(fixture, ending);
		assert_int_equal(store_rekey(fixture->store, fixture->key, fixture->key, NULL, NULL, NULL), 0);
		store = fixture_open(fixture, 5, CACHE);
		assert_int_equal(fixture_exists(store, name), ending != GONE);
		if (ending != GONE)
			assert_true(fixture_holds(store, name, value, strlen(value)));
		assert_int_equal(fixture_rows(store), EMPTY_ROWS + (ending == GONE ? 0 : ending == MADE_AGAIN ? 2 : 4));
		store_close(store);
	}
}

/* What a worker before this one had open of resources or versions that are not there. */
static void test_held_and_gone(void **state)
{
	struct name name = fixture_secret("default", "web");
	struct fixture *fixture = *state;
	struct store_held held[2] = {{.node = 12345, .generation = 3, .pins = 1}, {.generation = 99999, .pins = 1}};
	struct store_options options = {.value_bytes = STORE_VALUE_BYTES_DEFAULT, .cache_bytes = CACHE, .held = held, .n_held = 2};
	struct store *store;

	fixture_make(fixture);
	store = fixture_open(fixture, 0, CACHE);
	PUT(store, name, "value");
	held[1].node = store_node(store, &name);
	store_close(store);
	assert_int_equal(store_open(fixture->store, fixture->key, &options, &store), 0);
	assert_true(fixture_holds(store, name, "value", 5));
	store_unpin(store, held[0].node, held[0].generation);
	store_unpin(store, held[1].node, held[1].generation);
	assert_int_equal(fixture_rows(store), EMPTY_ROWS + 2);
	store_close(store);
}

/* --- what may fail when a store is opened */

void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);
int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *), void *context);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *), void *context);
struct record_packed *__real_record_pack(const struct record *record);
struct record_packed *__wrap_record_pack(const struct record *record);
int __real_engine_scan(struct engine *engine, enum engine_order order, engine_visit *visit, void *context);
int __wrap_engine_scan(struct engine *engine, enum engine_order order, engine_visit *visit, void *context);

/* The n-th call of these is the first to fail (threads: the only one); 0: none. */
static struct {
	unsigned packs, pack_fails;
	unsigned batches, batch_fails; /* large blocks */
	unsigned threads, thread_fails;
	bool manifest_twice;
	engine_visit *visit;
} front;

void *__wrap_calloc(size_t n, size_t size)
{
	bool fails = n * size > 512 * 1024 && front.batch_fails && ++front.batches >= front.batch_fails;

	return fails ? NULL : __real_calloc(n, size);
}

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *), void *context)
{
	return front.thread_fails && ++front.threads == front.thread_fails ? EAGAIN
									   : __real_pthread_create(thread, attributes, start, context);
}

struct record_packed *__wrap_record_pack(const struct record *record)
{
	return ++front.packs >= front.pack_fails && front.pack_fails ? NULL : __real_record_pack(record);
}

static int visit_twice(void *context, const uint8_t *key, size_t key_size, const uint8_t *data, size_t size, uint64_t place)
{
	int r = front.visit(context, key, key_size, data, size, place);

	return r == 0 && key[0] == SEAL_MANIFEST ? front.visit(context, key, key_size, data, size, place) : r;
}

int __wrap_engine_scan(struct engine *engine, enum engine_order order, engine_visit *visit, void *context)
{
	front.visit = visit;
	return __real_engine_scan(engine, order, front.manifest_twice ? visit_twice : visit, context);
}

/* Threads and memory to open it with are not needed. */
static void test_opened_by_one_thread(void **state)
{
	struct fixture *fixture = *state;
	struct store_txn *txn = store_txn_new(2000);
	struct store *store;
	char text[20];

	fixture_make(fixture);
	store = fixture_open(fixture, 0, CACHE);
	for (unsigned i = 0; i < txn->n_ops; i++) {
		snprintf(text, sizeof(text), "s-%u", i);
		fixture_op(&txn->ops[i], STORE_PUT, fixture_global(text), text, strlen(text));
	}
	assert_int_equal(store_run(store, txn), 0);
	store_close(store);
	for (int i = 0; i < 3; i++) {
		front.batches = front.threads = 0;
		front.batch_fails = i == 1 ? 2 : 0;
		front.thread_fails = i == 2;
		store = fixture_open(fixture, 0, CACHE);
		front.batch_fails = front.thread_fails = 0;
		for (unsigned j = 0; j < txn->n_ops; j += 37) {
			snprintf(text, sizeof(text), "s-%u", j);
			assert_true(fixture_holds(store, fixture_global(text), text, strlen(text)));
		}
		store_close(store);
	}
	store_txn_free(txn);
}

static void test_manifest_twice(void **state)
{
	struct store *store;

	fixture_make(*state);
	front.manifest_twice = true;
	assert_int_equal(fixture_try(*state, ((struct fixture *)*state)->store, &store), -EBADMSG);
	front.manifest_twice = false;
	store_close(fixture_open(*state, 0, CACHE));
}

/* A removed secret that readers have held since before: without memory for it, it isn't opened, and is there the next time. */
static void test_no_memory_for_what_is_held(void **state)
{
	struct name name = fixture_secret("default", "orphan");
	struct fixture *fixture = *state;
	struct store_held held[20];
	struct store_options options = {.value_bytes = STORE_VALUE_BYTES_DEFAULT, .cache_bytes = CACHE, .held = held, .n_held = 20};
	struct store_info info;
	struct store *store;
	uint64_t node;

	memset(fixture->key->bytes, 0x42, CRYPTO_KEY_BYTES);
	fixture_make(fixture);
	store = fixture_open(fixture, 0, CACHE);
	node = store_node(store, &name);
	for (unsigned i = 0; i < 20; i++) /* whichever of them are its versions */
		held[i] = (struct store_held){.node = node, .generation = i + 1, .pins = 1};
	front.packs = 0;
	store_close(store);
	store_close(fixture_open(fixture, 0, CACHE));
	crash(fixture, GONE);
	front.pack_fails = front.packs + 1; /* more than an empty store takes */
	front.packs = 0;
	assert_int_equal(store_open(fixture->store, fixture->key, &options, &store), -ENOMEM);
	front.pack_fails = 0;
	assert_int_equal(store_open(fixture->store, fixture->key, &options, &store), 0);
	assert_int_equal(store_look(store, node, &info), 0);
	assert_false(info.exists);
	store_close(store);
}

/* Nor for the attributes of one that was removed while it is open. */
static void test_no_memory_for_removed_attributes(void **state)
{
	struct name name = fixture_global("g");
	struct store *store;
	uint64_t generation;

	fixture_make(*state);
	store = fixture_open(*state, 0, CACHE);
	PUT(store, name, "v");
	generation = pin(store, name);
	REMOVE(store, name);
	front.packs = 0;
	front.pack_fails = 1;
	assert_int_equal(fixture_do(store, STORE_SET_ATTRIBUTES, name, NULL, 0, NULL), -ENOMEM);
	front.pack_fails = 0;
	assert_int_equal(fixture_do(store, STORE_SET_ATTRIBUTES, name, NULL, 0, NULL), 0);
	READS(store, store_node(store, &name), generation, "v");
	store_unpin(store, store_node(store, &name), generation);
	store_close(store);
}

/* --- who has an older version */

static void test_former(void **state)
{
	struct name name = fixture_global("g");
	uint64_t first, second, node;
	struct store *store;

	fixture_make(*state);
	store = fixture_open(*state, 2, CACHE);
	node = store_node(store, &name);
	assert_false(store_has_former(store, node)); /* there is none */
	PUT(store, name, "1");
	first = pin(store, name);
	assert_false(store_has_former(store, node));
	PUT(store, name, "2");
	assert_true(store_has_former(store, node));
	second = pin(store, name);
	store_unpin(store, node, first);
	assert_false(store_has_former(store, node)); /* the history is nobody's */
	REMOVE(store, name);
	assert_true(store_has_former(store, node));
	store_unpin(store, node, second);
	fixture_settle(store);
	assert_false(store_has_former(store, node));
	store_close(store);
}

/* --- who watches */

struct watched {
	struct store *store;
	unsigned committed, before, over;
	bool seen; /* what was committed, before it was answered */
};

static void watch_committed(void *context, const struct store_txn *txn)
{
	struct watched *watched = context;

	watched->committed++;
	watched->seen = fixture_exists(watched->store, txn->ops[0].name);
	assert_true(watched->before > watched->over);
}

static void watch_running(void *context, const struct store_txn *txn, bool over)
{
	struct watched *watched = context;

	assert_int_equal(txn->n_ops, 1);
	*(over ? &watched->over : &watched->before) += 1;
	assert_int_equal(watched->committed, over ? watched->before : watched->before - 1);
}

static void test_watcher(void **state)
{
	struct name name = fixture_global("g");
	struct watched watched = {0};
	const struct store_watcher watcher = {watch_committed, watch_running, &watched};

	fixture_make(*state);
	watched.store = fixture_open(*state, 0, CACHE);
	store_watch(watched.store, &watcher);
	PUT(watched.store, name, "v");
	assert_true(watched.seen);
	REMOVE(watched.store, name);
	assert_false(watched.seen);
	assert_int_equal(fixture_do(watched.store, STORE_REMOVE, name, NULL, 0, NULL), -ENOENT); /* told of too */
	assert_true(watched.committed == 3 && watched.before == 3 && watched.over == 3);
	store_watch(watched.store, &(struct store_watcher){0});
	store_close(watched.store);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_history),
		TEST(test_history_within_a_transaction),
		TEST(test_pruned_at_once),
		TEST(test_pruned_with_the_next),
		TEST(test_replacement_takes_the_place),
		TEST(test_pins),
		TEST(test_pins_without_a_cache),
		TEST(test_pins_are_counted),
		TEST(test_pin_over_rename),
		TEST(test_pinned_mesh),
		TEST(test_closed_with_pins),
		TEST(test_crash_with_pins),
		TEST(test_orphan_made_again_after_a_crash),
		TEST(test_rekey_after_a_crash),
		TEST(test_held_and_gone),
		TEST(test_opened_by_one_thread),
		TEST(test_manifest_twice),
		TEST(test_no_memory_for_what_is_held),
		TEST(test_no_memory_for_removed_attributes),
		TEST(test_former),
		TEST(test_watcher),
	};

	return cmocka_run_group_tests(tests, fixture_group_setup, fixture_group_teardown);
}
