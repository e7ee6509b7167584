/* SPDX-License-Identifier: Apache-2.0
 * test_store_threads: many writers share commits and each gets its own answer; a walk misses nothing that stays.
 */
#include "tests/unit/cmocka_all.h"
#include "tests/unit/fixture.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#define CACHE (1024 * 1024)

enum { WRITERS = 8, PER_WRITER = 200 };

static struct {
	struct store *store;
	atomic_int done, created, existed, absent, wrong;
} shared;

static void reset(struct store *store)
{
	memset(&shared, 0, sizeof(shared));
	shared.store = store;
}

/* context is the result that is expected; 1: 0 or -EEXIST, whoever came first. */
static void on_done(struct store_txn *txn, int result)
{
	intptr_t expected = (intptr_t)txn->context;

	if (expected == 1) {
		shared.created += result == 0 && txn->ops[0].ret_outcome == STORE_CREATED;
		shared.existed += result == -EEXIST;
		shared.wrong += result != 0 && result != -EEXIST;
	} else {
		shared.absent += result == -ENOENT;
		shared.wrong += result != (int)expected;
	}
	store_txn_free(txn);
	shared.done++;
}

static void submit(enum store_op_kind kind, struct name name, const char *text, bool exclusive, intptr_t expected)
{
	struct store_txn *txn = store_txn_new(1);

	fixture_must(txn);
	fixture_op(&txn->ops[0], kind, name, text, text ? strlen(text) : 0);
	txn->ops[0].exclusive = exclusive;
	txn->context = (void *)expected;
	txn->done = on_done;
	store_submit(shared.store, txn);
}

static void name_of(char ret_text[static 32], const char *what, int a, int b)
{
	snprintf(ret_text, 32, "%s-%d-%d", what, a, b);
}

static void *writer(void *context)
{
	int number = (int)(intptr_t)context;
	char text[32];

	for (int i = 0; i < PER_WRITER; i++) {
		name_of(text, "own", number, i);
		submit(STORE_PUT, fixture_secret("default", text), text, true, 0);
		name_of(text, "fought-over", 0, i);
		submit(STORE_PUT, fixture_global(text), text, true, 1);
		name_of(text, "absent", number, i);
		submit(STORE_REMOVE, fixture_global(text), NULL, false, -ENOENT);
		if (i % 20 == 0) {
			struct store_txn *txn = store_txn_new(1);

			fixture_op(&txn->ops[0], STORE_APPEND, fixture_global("log"), "x", 1);
			if (store_run(shared.store, txn) != 0)
				shared.wrong++;
			store_txn_free(txn);
		}
	}
	return NULL;
}

static void test_everyone_is_answered(void **state)
{
	struct fixture *fixture = *state;
	pthread_t threads[WRITERS];
	struct store_status status;
	char text[32], log[WRITERS * PER_WRITER / 20];

	fixture_make(fixture);
	reset(fixture_open(fixture, 2, CACHE));
	for (intptr_t i = 0; i < WRITERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, writer, (void *)i), 0);
	for (int i = 0; i < WRITERS; i++)
		pthread_join(threads[i], NULL);
	store_close(shared.store); /* commits what waits, and answers it */
	assert_int_equal(shared.done, 3 * WRITERS * PER_WRITER);
	assert_int_equal(shared.wrong, 0);
	assert_int_equal(shared.created, PER_WRITER);
	assert_int_equal(shared.existed, (WRITERS - 1) * PER_WRITER);
	assert_int_equal(shared.absent, WRITERS * PER_WRITER);

	shared.store = fixture_open(fixture, 2, CACHE);
	store_get_status(shared.store, &status);
	assert_int_equal(status.secrets, WRITERS * PER_WRITER);
	assert_int_equal(status.global_secrets, PER_WRITER + 1);
	for (int i = 0; i < WRITERS; i++)
		for (int j = 0; j < PER_WRITER; j++) {
			name_of(text, "own", i, j);
			assert_true(fixture_holds(shared.store, fixture_secret("default", text), text, strlen(text)));
		}
	memset(log, 'x', sizeof(log));
	assert_true(fixture_holds(shared.store, fixture_global("log"), log, sizeof(log)));
	store_close(shared.store);
}

/* Submitted one after the other, carried out in that order, each visible when its answer comes. */
static void on_order(struct store_txn *txn, int result)
{
	int number = (int)(intptr_t)txn->context;
	struct store_info info;
	struct name name = txn->ops[0].name;

	shared.wrong += result != 0 || number != shared.done;
	shared.wrong += store_look(shared.store, store_node(shared.store, &name), &info) != 0 ||
			info.record.size < (uint32_t)number + 1;
	store_txn_free(txn);
	shared.done++;
}

static void test_order(void **state)
{
	char all[1000];

	fixture_make(*state);
	reset(fixture_open(*state, 0, CACHE));
	for (intptr_t i = 0; i < 1000; i++) {
		struct store_txn *txn = store_txn_new(1);
		char c = (char)('a' + i % 26);

		all[i] = c;
		fixture_op(&txn->ops[0], STORE_APPEND, fixture_global("g"), &c, 1);
		txn->context = (void *)i;
		txn->done = on_order;
		store_submit(shared.store, txn);
	}
	fixture_settle(shared.store);
	assert_int_equal(shared.done, 1000);
	assert_int_equal(shared.wrong, 0);
	assert_true(fixture_holds(shared.store, fixture_global("g"), all, sizeof(all)));
	store_close(shared.store);
}

/* What is to say whether it goes on is asked in the order of submitting, whatever else becomes of it, and the same again if it is asked again. */
static atomic_int asked, out_of_order;

static int is_ready(struct store_txn *txn)
{
	int number = (int)txn->request;

	if (number == asked + 1)
		asked++;
	else if (number > asked)
		out_of_order++;
	return txn->context ? -ECANCELED : 0;
}

static void on_asked(struct store_txn *txn, int result)
{
	shared.wrong += (int)txn->request > asked; /* its end before it was asked */
	shared.wrong += result != (txn->context ? -ECANCELED : txn->ops[0].kind == STORE_REMOVE ? -ENOENT : 0);
	store_txn_free(txn);
	shared.done++;
}

/* Each third one is called off, each third one fails by itself. */
static void submit_asked(int count)
{
	for (int i = 1; i <= count; i++) {
		struct store_txn *txn = store_txn_new(1);
		char text[32];

		name_of(text, "asked", 0, i);
		fixture_op(&txn->ops[0], i % 3 == 1 ? STORE_REMOVE : STORE_PUT, fixture_global(text), text, i % 3 == 1 ? 0 : strlen(text));
		txn->context = i % 3 == 2 ? txn : NULL;
		txn->request = (uint64_t)i;
		txn->ready = is_ready;
		txn->done = on_asked;
		store_submit(shared.store, txn);
	}
	store_stop(shared.store);
}

static void test_called_off(void **state)
{
	char text[32];

	fixture_make(*state);
	reset(fixture_open(*state, 0, CACHE));
	asked = out_of_order = 0;
	submit_asked(300);
	assert_int_equal(shared.done, 300);
	assert_int_equal(shared.wrong, 0);
	assert_int_equal(asked, 300);
	assert_int_equal(out_of_order, 0);
	for (int i = 1; i <= 300; i++) {
		name_of(text, "asked", 0, i);
		assert_int_equal(fixture_exists(shared.store, fixture_global(text)), i % 3 == 0);
	}
	store_close(shared.store);
}

/* Also of those that a locked store refuses. */
static void test_called_off_locked(void **state)
{
	fixture_make(*state);
	reset(fixture_open(*state, 0, CACHE));
	asked = out_of_order = 0;
	assert_int_equal(store_lock(shared.store), 0);
	submit_asked(10);
	assert_int_equal(shared.done, 10);
	assert_int_equal(asked, 10);
	assert_int_equal(out_of_order, 0);
	store_close(shared.store);
}

/* In one batch, a transaction that fails takes nothing else with it. */
static void test_a_failure_among_others(void **state)
{
	char text[32];

	fixture_make(*state);
	reset(fixture_open(*state, 2, CACHE));
	for (int i = 0; i < 500; i++) {
		name_of(text, "n", i, 0);
		if (i % 5 == 0) { /* fails at its last op */
			struct store_txn *txn = store_txn_new(3);

			fixture_op(&txn->ops[0], STORE_PUT, fixture_global(text), "x", 1);
			fixture_op(&txn->ops[1], STORE_PUT, fixture_global("shared"), text, strlen(text));
			fixture_op(&txn->ops[2], STORE_REMOVE, fixture_global("absent"), NULL, 0);
			txn->context = (void *)(intptr_t)-ENOENT;
			txn->done = on_done;
			store_submit(shared.store, txn);
		} else {
			submit(STORE_PUT, fixture_global(text), text, true, 0);
		}
	}
	fixture_settle(shared.store);
	assert_int_equal(shared.done, 500);
	assert_int_equal(shared.wrong, 0);
	assert_false(fixture_exists(shared.store, fixture_global("shared")));
	for (int i = 0; i < 500; i++) {
		name_of(text, "n", i, 0);
		assert_int_equal(fixture_holds(shared.store, fixture_global(text), text, strlen(text)), i % 5 != 0);
	}
	store_close(shared.store);
}

static atomic_bool stop;

static void *churn(void *context)
{
	int number = (int)(intptr_t)context;
	char text[32];

	for (int i = 0; !stop; i++) {
		name_of(text, "comes", number, i % 40);
		if (i / 40 % 2)
			fixture_do(shared.store, STORE_REMOVE, fixture_secret("default", text), NULL, 0, NULL);
		else
			fixture_do(shared.store, STORE_PUT, fixture_secret("default", text), "x", 1, NULL);
		/* those that stay are replaced */
		name_of(text, "stays", 0, i % 100);
		fixture_do(shared.store, STORE_PUT, fixture_secret("default", text), text, (size_t)(i % 5), NULL);
	}
	return NULL;
}

static void test_walk_while_entries_come_and_go(void **state)
{
	struct name mesh = fixture_mesh("default");
	uint64_t mesh_node, seen_others = 0;
	pthread_t threads[2];
	char text[32];

	fixture_make(*state);
	reset(fixture_open(*state, 0, CACHE));
	mesh_node = store_node(shared.store, &mesh);
	for (int i = 0; i < 100; i++) {
		name_of(text, "stays", 0, i);
		assert_int_equal(
			fixture_do(shared.store, STORE_PUT, fixture_secret("default", text), "v", 1, NULL), 0);
	}
	stop = false;
	for (intptr_t i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, churn, (void *)i), 0);
	for (int round = 0; round < 300; round++) {
		int seen[100] = {0};
		struct store_info info;
		uint64_t after = 0;

		while (store_next(shared.store, NAME_SECRET, mesh_node, after, &info) == 0) {
			int number;

			assert_true(info.node > after);
			assert_true(info.exists);
			after = info.node;
			if (sscanf(info.record.name.name, "stays-0-%d", &number) == 1)
				seen[number]++;
			else
				seen_others++;
			if (round % 10 == 0)
				usleep(20); /* so that more happens in between */
		}
		for (int i = 0; i < 100; i++)
			assert_int_equal(seen[i], 1);
	}
	stop = true;
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	assert_true(seen_others > 0);
	store_close(shared.store);
}

/* Readers pin and read while writers replace, remove and make again: what is read is one whole value. */
static void *reader(void *context)
{
	struct name name = fixture_secret("default", "hot");
	uint64_t node = store_node(shared.store, &name), generation;

	(void)context;
	while (!stop) {
		SECBUF_AUTO value = {0};

		if (store_pin(shared.store, node, &generation) < 0)
			continue;
		if (store_read(shared.store, node, generation, &value) != 0 || value.size < 100)
			shared.wrong++;
		for (size_t i = 1; i < value.size; i++)
			if (value.data[i] != value.data[0]) {
				shared.wrong++;
				break;
			}
		shared.done++;
		store_unpin(shared.store, node, generation);
	}
	return NULL;
}

static void reading_with(void **state, size_t cache_bytes)
{
	struct name name = fixture_secret("default", "hot");
	pthread_t threads[4];
	uint8_t value[5000];

	unlink(((struct fixture *)*state)->store);
	fixture_make(*state);
	reset(fixture_open(*state, 0, cache_bytes));
	stop = false;
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, reader, NULL), 0);
	for (int i = 0; i < 300; i++) {
		memset(value, i, sizeof(value));
		assert_int_equal(fixture_do(shared.store, STORE_PUT, name, value, 100 + (size_t)i * 10, NULL), 0);
		if (i % 7 == 0)
			assert_int_equal(fixture_do(shared.store, STORE_REMOVE, name, NULL, 0, NULL), 0);
	}
	stop = true;
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	assert_true(shared.done > 0);
	assert_int_equal(shared.wrong, 0);
	assert_int_equal(fixture_rows(shared.store), 6);
	store_close(shared.store);
}

static void test_reading_while_writing(void **state)
{
	reading_with(state, CACHE);
	reading_with(state, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_everyone_is_answered),
		TEST(test_order),
		TEST(test_called_off),
		TEST(test_called_off_locked),
		TEST(test_a_failure_among_others),
		TEST(test_walk_while_entries_come_and_go),
		TEST(test_reading_while_writing),
	};

	return cmocka_run_group_tests(tests, fixture_group_setup, fixture_group_teardown);
}
