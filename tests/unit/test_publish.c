/* SPDX-License-Identifier: Apache-2.0
 * test_publish: what one commit makes of its transactions when something in it fails: a name that can't be looked up, a disk that is full or
 * fails once, an anchor. What it calls is the store's own, with the test's in front of it (--wrap).
 */
#include "store/batch.h"
#include "tests/unit/cmocka_all.h"
#include "tests/unit/fixture.h"

#include <errno.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#define PUT(store, name, text) fixture_do(store, STORE_PUT, name, text, strlen(text), NULL)
#define HOLDS(store, name, text) assert_true(fixture_holds(store, name, text, strlen(text)))
#define PROVIDED(name, cert, key)                                                                                      \
	"type: Mesh\nname: " name "\nmtls:\n  backends:\n  - name: ca-1\n    type: provided\n    conf:\n"              \
	"      cert: {secret: " cert "}\n      key: {secret: " key "}\n"

/* --- what is in front of the store's own -------------------------------------------------------------------------- */

static struct {
	_Atomic unsigned gets, fail_get;  /* the n-th batch_get fails; 0: none */
	uint64_t node, taken_for;         /* two nodes that are one */
	int (*before_commit)(void);       /* of the engine; what it returns is what comes of it, unless it is 0 */
	_Atomic bool anchor_fails;
	_Atomic bool rows_are_gone;
	void (*after_get)(void);          /* of the engine */
	_Atomic bool values_do_not_open;
	_Atomic uint64_t not_removed;     /* there is no memory to remove the version of this generation; 0: none */
} front;

int __real_batch_get(const struct batch *batch, const struct name *name, struct batch_state *ret_state);
int __wrap_batch_get(const struct batch *batch, const struct name *name, struct batch_state *ret_state);
int __wrap_batch_get(const struct batch *batch, const struct name *name, struct batch_state *ret_state)
{
	return ++front.gets == front.fail_get ? -EIO : __real_batch_get(batch, name, ret_state);
}

uint64_t __real_index_node(const struct seal_id *id);
uint64_t __wrap_index_node(const struct seal_id *id);
uint64_t __wrap_index_node(const struct seal_id *id)
{
	uint64_t node = __real_index_node(id);

	return node == front.node ? front.taken_for : node;
}

int __real_engine_commit(struct engine *engine, const struct engine_change *changes, size_t n_changes);
int __wrap_engine_commit(struct engine *engine, const struct engine_change *changes, size_t n_changes);
int __wrap_engine_commit(struct engine *engine, const struct engine_change *changes, size_t n_changes)
{
	int r = front.before_commit ? front.before_commit() : 0;

	return r < 0 ? r : __real_engine_commit(engine, changes, n_changes);
}

ssize_t __real_pwrite(int fd, const void *bytes, size_t size, off_t at);
ssize_t __wrap_pwrite(int fd, const void *bytes, size_t size, off_t at);
ssize_t __wrap_pwrite(int fd, const void *bytes, size_t size, off_t at)
{
	errno = EIO;
	return front.anchor_fails ? -1 : __real_pwrite(fd, bytes, size, at);
}

int __real_engine_get_at(struct engine *engine, uint64_t place, const uint8_t *key, size_t key_size, uint8_t **ret_data, size_t *ret_size);
int __wrap_engine_get_at(struct engine *engine, uint64_t place, const uint8_t *key, size_t key_size, uint8_t **ret_data, size_t *ret_size);
int __wrap_engine_get_at(struct engine *engine, uint64_t place, const uint8_t *key, size_t key_size, uint8_t **ret_data, size_t *ret_size)
{
	int r = front.rows_are_gone ? -ENOENT : __real_engine_get_at(engine, place, key, key_size, ret_data, ret_size);

	if (front.after_get)
		front.after_get();
	return r;
}

int __real_seal_open_value(const struct seal *seal, const struct seal_id *id, uint64_t generation, const uint8_t *data,
			   size_t size, struct secbuf *ret_value, struct seal_value_info *ret_info);
int __wrap_seal_open_value(const struct seal *seal, const struct seal_id *id, uint64_t generation, const uint8_t *data,
			   size_t size, struct secbuf *ret_value, struct seal_value_info *ret_info);
int __wrap_seal_open_value(const struct seal *seal, const struct seal_id *id, uint64_t generation, const uint8_t *data,
			   size_t size, struct secbuf *ret_value, struct seal_value_info *ret_info)
{
	return front.values_do_not_open ? -EBADMSG : __real_seal_open_value(seal, id, generation, data, size, ret_value, ret_info);
}

int __real_batch_push_value(struct batch *batch, const struct batch_value *value);
int __wrap_batch_push_value(struct batch *batch, const struct batch_value *value);
int __wrap_batch_push_value(struct batch *batch, const struct batch_value *value)
{
	bool fails = !value->row.data && value->generation == front.not_removed;

	return fails ? -ENOMEM : __real_batch_push_value(batch, value);
}

static int teardown(void **state)
{
	memset(&front, 0, sizeof(front));
	return fixture_teardown(state);
}

static struct store *made(void **state, unsigned history, size_t cache_bytes)
{
	fixture_make(*state);
	return fixture_open(*state, history, cache_bytes);
}

static uint64_t generation_of(struct store *store)
{
	struct store_status status;

	store_get_status(store, &status);
	return status.generation;
}

/* --- names -------------------------------------------------------------------------------------------------------- */

/* Whichever name of an operation it is that can't be looked up: it says so, and nothing has changed. */
static void test_no_name_found(void **state)
{
	static const struct {
		enum store_op_kind kind;
		const char *mesh, *name, *text; /* mesh NULL: the Mesh @name */
		int expected;
	} cases[] = {
		{STORE_PUT, "m", "new", "x", 0},
		{STORE_PUT, "m", "cert", "x", 0},
		{STORE_APPEND, "m", "cert", "x", 0},
		{STORE_SET_ATTRIBUTES, "m", "cert", NULL, 0},
		{STORE_REMOVE, "m", "cert", NULL, -EBUSY},
		{STORE_REMOVE, "m", "spare", NULL, 0},
		{STORE_RENAME, "m", "free", NULL, 0},
		{STORE_PUT, NULL, "m", PROVIDED("m", "key", "cert"), 0},
		{STORE_PUT, NULL, "m", PROVIDED("m", "key", "none"), -EINVAL},
		{STORE_PUT, NULL, "m", PROVIDED("m", "global", "key"), -EINVAL},
		{STORE_PUT, NULL, "new", FIXTURE_MESH("new", "x"), 0},
	};
	const struct name secrets[] = {fixture_secret("m", "cert"), fixture_secret("m", "key"), fixture_secret("m", "free"),
				       fixture_secret("m", "spare"), fixture_global("global")};
	struct store *store = made(state, 2, 1 << 20);
	unsigned failed = 0;

	assert_int_equal(PUT(store, fixture_mesh("m"), FIXTURE_MESH("m", "x")), 0);
	for (size_t i = 0; i < sizeof(secrets) / sizeof(secrets[0]); i++)
		assert_int_equal(PUT(store, secrets[i], "before"), 0);
	assert_int_equal(PUT(store, fixture_mesh("m"), PROVIDED("m", "cert", "key")), 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct name name = cases[i].mesh ? fixture_secret(cases[i].mesh, cases[i].name) : fixture_mesh(cases[i].name);
		bool last = false;

		for (unsigned n = 1; !last; n++) {
			struct store_txn *txn = store_txn_new(1);
			uint64_t before;
			bool there;
			int r;

			fixture_settle(store);
			there = fixture_exists(store, name);
			before = generation_of(store);
			fixture_op(&txn->ops[0], cases[i].kind, name, cases[i].text, cases[i].text ? strlen(cases[i].text) : 0);
			txn->ops[0].to = fixture_secret("m", "renamed");
			front.gets = 0;
			front.fail_get = n;
			r = store_run(store, txn);
			last = front.gets < n;
			front.fail_get = 0;
			store_txn_free(txn);
			assert_int_equal(r, last ? cases[i].expected : -EIO);
			if (last)
				break;
			failed++;
			assert_true(generation_of(store) == before);
			assert_int_equal(fixture_exists(store, name), there);
			assert_true(cases[i].kind != STORE_RENAME || !fixture_exists(store, fixture_secret("m", "renamed")));
		}
	}
	assert_true(failed > 20);
	store_close(store);
}

/* Two names of which the numbers are the same, by chance: the one that was there first stays. */
static void test_two_names_one_number(void **state)
{
	const struct name name = fixture_global("first"), other = fixture_global("second");
	struct store *store = made(state, 2, 1 << 20);
	struct store *again;
	uint64_t before;

	assert_int_equal(PUT(store, name, "one"), 0);
	before = generation_of(store);
	front.taken_for = store_node(store, &name);
	front.node = store_node(store, &other);
	assert_int_equal(PUT(store, other, "two"), -EIO);
	assert_true(generation_of(store) == before);
	HOLDS(store, name, "one");
	front.node = 0;
	assert_int_equal(PUT(store, other, "two"), 0);
	HOLDS(store, name, "one");
	HOLDS(store, other, "two");
	front.node = store_node(store, &other);
	store_close(store);
	/* nor is a file with two such records taken for whole */
	assert_int_equal(fixture_try(*state, ((struct fixture *)*state)->store, &again), -EBADMSG);
	front.node = 0;
	store_close(fixture_open(*state, 2, 0));
}

/* --- a disk that is full, or fails once --------------------------------------------------------------------------- */

static _Atomic unsigned commits;

static int full(void)
{
	return ++commits == 1 ? -ENOSPC : 0;
}

/* What only removes is committed in the room that is kept for it, also if it made something on the way; what makes something is refused. */
static void test_removing_from_a_full_disk(void **state)
{
	const struct name first = fixture_secret("default", "first"), second = fixture_secret("default", "second"), new = fixture_global("new");
	struct store *store = made(state, 2, 1 << 20);
	struct store_txn *txn = store_txn_new(4);

	assert_int_equal(PUT(store, first, "one"), 0);
	assert_int_equal(PUT(store, second, "two"), 0);
	front.before_commit = full;
	commits = 0;
	assert_int_equal(PUT(store, new, "x"), -ENOSPC);
	assert_int_equal(commits, 1);
	fixture_op(&txn->ops[0], STORE_REMOVE, first, NULL, 0);
	fixture_op(&txn->ops[1], STORE_PUT, new, "new", 3);
	fixture_op(&txn->ops[2], STORE_REMOVE, new, NULL, 0);
	fixture_op(&txn->ops[3], STORE_REMOVE, second, NULL, 0);
	commits = 0;
	assert_int_equal(store_run(store, txn), 0);
	assert_true(commits > 0);
	store_txn_free(txn);
	for (int opened = 0; opened < 2; opened++) {
		assert_false(fixture_exists(store, first) || fixture_exists(store, second) || fixture_exists(store, new));
		store_close(store);
		store = fixture_open(*state, 2, 0);
	}
	store_close(store);
}

static int damaged(void)
{
	return -EBADMSG;
}

static int no_descriptor(void)
{
	return -EMFILE;
}

/* A program that closes its file is not told what is the matter with another one. */
static void test_what_a_program_is_told(void **state)
{
	struct store *store = made(state, 2, 1 << 20);

	front.before_commit = damaged;
	assert_int_equal(PUT(store, fixture_global("s"), "x"), -EIO);
	front.before_commit = no_descriptor;
	assert_int_equal(PUT(store, fixture_global("s"), "x"), -EIO);
	front.before_commit = NULL;
	assert_int_equal(PUT(store, fixture_global("s"), "x"), 0);
	store_close(store);
}

/* --- several in one commit */

static struct {
	sem_t begun, go_on;
	_Atomic unsigned done;
	int results[3];
	int (*next)(void); /* of the commits that follow */
} together;

static int wait_for_others(void)
{
	front.before_commit = together.next;
	sem_post(&together.begun);
	sem_wait(&together.go_on);
	return 0;
}

static void on_done(struct store_txn *txn, int result)
{
	together.results[(size_t)txn->context] = result;
	store_txn_free(txn);
	together.done++;
}

static void submit(struct store *store, size_t number, enum store_op_kind kind, struct name name, const char *text)
{
	struct store_txn *txn = store_txn_new(1);

	fixture_op(&txn->ops[0], kind, name, text, text ? strlen(text) : 0);
	txn->done = on_done;
	txn->context = (void *)number;
	store_submit(store, txn);
}

/* One is committed; two that come meanwhile are in the next commit together. The second of them makes "second"; the first of them makes
 * "first", or can't. */
static void run_together(struct store *store, bool good, int (*next)(void))
{
	memset(&together, 0, sizeof(together));
	fixture_must(sem_init(&together.begun, 0, 0) == 0 && sem_init(&together.go_on, 0, 0) == 0);
	together.next = next;
	front.before_commit = wait_for_others;
	submit(store, 0, STORE_PUT, fixture_global("before"), "before");
	sem_wait(&together.begun);
	submit(store, 1, good ? STORE_PUT : STORE_REMOVE, fixture_global("first"), good ? "first" : NULL);
	submit(store, 2, STORE_PUT, fixture_global("second"), "second");
	sem_post(&together.go_on);
	while (together.done < 3)
		usleep(100);
	front.before_commit = NULL;
	sem_destroy(&together.begun);
	sem_destroy(&together.go_on);
	assert_int_equal(together.results[0], 0);
}

static int fail_once(void)
{
	front.before_commit = NULL;
	return -EIO;
}

static void test_one_by_one(void **state)
{
	struct store *store = made(state, 2, 1 << 20);

	run_together(store, true, fail_once);
	assert_int_equal(together.results[1], 0);
	assert_int_equal(together.results[2], 0);
	for (int opened = 0; opened < 2; opened++) {
		HOLDS(store, fixture_global("first"), "first");
		HOLDS(store, fixture_global("second"), "second");
		store_close(store);
		store = fixture_open(*state, 2, 0);
	}
	store_close(store);
}

static int lose_anchor(void)
{
	front.anchor_fails = true;
	return 0;
}

static int fail_once_and_lose_anchor(void)
{
	front.anchor_fails = true;
	return fail_once();
}

/* Whose commit the anchor could not be told is not told that it is done; nor is anybody after it; what has failed by itself keeps its
 * reason. */
static void test_lost_anchor(void **state)
{
	static const struct {
		bool good;
		int (*next)(void);
		int results[2];
	} cases[] = {
		{true, lose_anchor, {-EIO, -EIO}},
		{false, lose_anchor, {-ENOENT, -EIO}},
		{true, fail_once_and_lose_anchor, {-EIO, -EROFS}}, /* one by one */
	};
	struct fixture *fixture = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct store_options options = {.value_bytes = STORE_VALUE_BYTES_DEFAULT, .history = 1};
		const char *anchor = fixture_path(fixture, "anchor");
		struct store *store;

		fixture_make(fixture);
		assert_int_equal(anchor_open(anchor, false, &options.anchor), 0);
		assert_int_equal(store_open(fixture->store, fixture->key, &options, &store), 0);
		run_together(store, cases[i].good, cases[i].next);
		assert_int_equal(together.results[1], cases[i].results[0]);
		assert_int_equal(together.results[2], cases[i].results[1]);
		assert_true(store_is_read_only(store));
		front.anchor_fails = false;
		assert_int_equal(PUT(store, fixture_global("late"), "x"), -EROFS);
		store_close(store);
		assert_int_equal(store_open(fixture->store, fixture->key, &options, &store), 0);
		HOLDS(store, fixture_global("before"), "before");
		assert_int_equal(PUT(store, fixture_global("late"), "x"), 0);
		store_close(store);
		anchor_close(options.anchor);
		assert_int_equal(unlink(anchor), 0);
		assert_int_equal(unlink(fixture->store), 0);
	}
}

/* --- what nobody needs any more ----------------------------------------------------------------------------------- */

static struct {
	struct store *store;
	uint64_t node, generation;
} reader;

static int leave_and_fail(void)
{
	store_unpin(reader.store, reader.node, reader.generation);
	return fail_once();
}

/* A commit that was to remove rows fails, while a reader leaves another: both go with the next. */
static void test_prune_after_a_failure(void **state)
{
	struct store *store = made(state, 0, 1 << 20);
	const struct name a = fixture_global("a"), b = fixture_global("b");
	uint64_t node = store_node(store, &a), generation, rows;

	assert_int_equal(PUT(store, a, "one"), 0);
	assert_int_equal(PUT(store, b, "one"), 0);
	rows = fixture_rows(store);
	reader.store = store;
	reader.node = store_node(store, &b);
	assert_int_equal(store_pin(store, node, &generation), 0);
	assert_int_equal(store_pin(store, reader.node, &reader.generation), 0);
	assert_int_equal(PUT(store, a, "two"), 0);
	assert_int_equal(PUT(store, b, "two"), 0);
	assert_int_equal(fixture_rows(store), rows + 2);
	front.before_commit = leave_and_fail;
	store_unpin(store, node, generation); /* whose commit does that */
	assert_int_equal(fixture_rows(store), rows);
	HOLDS(store, a, "two");
	HOLDS(store, b, "two");
	store_close(store);
}

static _Atomic unsigned failures;

static int fail_three_times(void)
{
	return ++failures <= 3 ? -EIO : 0;
}

/* What was to go has no attributes any more, and has gone otherwise when it is its turn. */
static void test_prune_what_is_gone(void **state)
{
	struct store *store = made(state, 0, 1 << 20);
	const struct name name = fixture_global("a");
	struct store_txn *txn = store_txn_new(2);
	uint64_t node = store_node(store, &name), generation, rows = fixture_rows(store);
	struct store_info info;

	assert_int_equal(PUT(store, name, "one"), 0);
	assert_int_equal(store_pin(store, node, &generation), 0);
	assert_int_equal(fixture_do(store, STORE_REMOVE, name, NULL, 0, NULL), 0);
	failures = 0;
	front.before_commit = fail_three_times;
	store_unpin(store, node, generation); /* which fails to remove the row: once */
	while (failures < 1)
		usleep(100);
	assert_int_equal(fixture_do(store, STORE_SET_ATTRIBUTES, name, NULL, 0, NULL), -ENOENT); /* twice */
	assert_int_equal(failures, 2);
	fixture_op(&txn->ops[0], STORE_PUT, name, "two", 3);
	fixture_op(&txn->ops[1], STORE_REMOVE, name, NULL, 0);
	assert_int_equal(store_run(store, txn), 0); /* fails with the row, and is done without */
	assert_int_equal(failures, 4);
	store_txn_free(txn);
	assert_int_equal(store_look(store, node, &info), -ENOENT);
	assert_int_equal(PUT(store, fixture_global("b"), "x"), 0);
	assert_int_equal(fixture_rows(store), rows + 2);
	assert_int_equal(PUT(store, name, "three"), 0);
	HOLDS(store, name, "three");
	store_close(store);
}

static int do_both(struct store *store, enum store_op_kind kind, const char *text)
{
	struct store_txn *txn = store_txn_new(2);
	int r;

	fixture_op(&txn->ops[0], kind, fixture_global("a"), text, text ? strlen(text) : 0);
	fixture_op(&txn->ops[1], kind, fixture_global("b"), text, text ? strlen(text) : 0);
	r = store_run(store, txn);
	store_txn_free(txn);
	return r;
}

static uint64_t current(struct store *store, struct name name)
{
	uint64_t node = store_node(store, &name), generation;

	fixture_must(store_pin(store, node, &generation) == 0);
	store_unpin(store, node, generation);
	return generation;
}

static void assert_whole(struct store *store, uint64_t rows)
{
	struct store_checked checked;

	assert_int_equal(fixture_rows(store), rows);
	assert_int_equal(store_check(store, NULL, NULL, &checked), 0);
	assert_int_equal(checked.rows, rows + 1); /* and the header */
}

/* Two removed resources leave six versions, and memory runs out at one of them, whichever it is. None of the six goes then; what does not depend on
 * them is done, what does is refused as a whole; and with memory all is done. */
static void test_no_memory_to_prune(void **state)
{
	static const char *const texts[] = {"one", "two", "three"};
	enum { VERSIONS = sizeof(texts) / sizeof(texts[0]), ALL = 2 * VERSIONS };

	for (size_t n = 0; n < ALL; n++) {
		struct store *store = made(state, VERSIONS - 1, 1 << 20);
		uint64_t rows = fixture_rows(store), generations[ALL], before;

		for (size_t i = 0; i < VERSIONS; i++) {
			assert_int_equal(do_both(store, STORE_PUT, texts[i]), 0);
			generations[2 * i] = current(store, fixture_global("a"));
			generations[2 * i + 1] = current(store, fixture_global("b"));
		}
		assert_whole(store, rows + 2 + ALL);
		front.not_removed = generations[n];
		assert_int_equal(do_both(store, STORE_REMOVE, NULL), 0);
		assert_whole(store, rows + ALL);
		assert_int_equal(PUT(store, fixture_global("other"), "x"), 0);
		rows += 2;
		assert_whole(store, rows + ALL);
		before = generation_of(store);
		assert_int_equal(do_both(store, STORE_PUT, "new"), -ENOMEM); /* their own older versions */
		assert_true(generation_of(store) == before);
		assert_false(fixture_exists(store, fixture_global("a")) || fixture_exists(store, fixture_global("b")));
		assert_whole(store, rows + ALL);
		front.not_removed = 0;
		assert_int_equal(do_both(store, STORE_PUT, "new"), 0);
		for (int opened = 0; opened < 2; opened++) {
			HOLDS(store, fixture_global("a"), "new");
			HOLDS(store, fixture_global("b"), "new");
			HOLDS(store, fixture_global("other"), "x");
			assert_whole(store, rows + 4);
			store_close(store);
			store = fixture_open(*state, VERSIONS - 1, 0);
		}
		store_close(store);
		assert_int_equal(unlink(((struct fixture *)*state)->store), 0);
	}
}

/* --- reading ------------------------------------------------------------------------------------------------------ */

static void replace_meanwhile(void)
{
	front.after_get = NULL;
	fixture_must(PUT(reader.store, fixture_global("a"), "two") == 0);
	fixture_settle(reader.store);
}

static void remove_meanwhile(void)
{
	front.after_get = NULL;
	fixture_must(fixture_do(reader.store, STORE_REMOVE, fixture_global("a"), NULL, 0, NULL) == 0);
	fixture_settle(reader.store);
}

/* Who reads without having it open gets the version that was there when he asked, or nothing. */
static void test_changed_while_read(void **state)
{
	struct store *store = made(state, 0, 0);
	const struct name name = fixture_global("a");
	uint64_t node = store_node(store, &name), generation;

	reader.store = store;
	for (int removed = 0; removed < 2; removed++) {
		SECBUF_AUTO value = {0};

		assert_int_equal(PUT(store, name, "one"), 0);
		assert_int_equal(store_pin(store, node, &generation), 0);
		store_unpin(store, node, generation);
		front.after_get = removed ? remove_meanwhile : replace_meanwhile;
		assert_int_equal(store_read(store, node, generation, &value), 0);
		assert_null(front.after_get);
		assert_int_equal(value.size, 3);
		assert_memory_equal(value.data, "one", 3);
		assert_int_equal(store_read(store, node, generation, &value), -ENOENT);
		assert_int_equal(fixture_exists(store, name), !removed);
	}
	store_close(store);
}

/* A row that is gone from the file, and one that does not open, in the file or in memory, are not served. */
static void test_not_served(void **state)
{
	for (size_t cache = 0; cache <= 1 << 20; cache += 1 << 20) {
		struct store *store = made(state, 0, cache);
		const struct name name = fixture_global("a");
		uint64_t node = store_node(store, &name), generation;
		SECBUF_AUTO value = {0};

		assert_int_equal(PUT(store, name, "one"), 0);
		assert_int_equal(store_pin(store, node, &generation), 0);
		front.values_do_not_open = true;
		assert_int_equal(store_read(store, node, generation, &value), -EIO);
		assert_int_equal(value.size, 0);
		front.values_do_not_open = false;
		assert_int_equal(store_read(store, node, generation, &value), 0); /* from the file, where it may have been mended */
		secbuf_deinit(&value);
		front.rows_are_gone = true;
		assert_int_equal(store_read(store, node, generation, &value), cache ? 0 : -EIO);
		front.rows_are_gone = false;
		store_unpin(store, node, generation);
		store_close(store);
		assert_int_equal(unlink(((struct fixture *)*state)->store), 0);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_no_name_found),
		TEST(test_two_names_one_number),
		TEST(test_removing_from_a_full_disk),
		TEST(test_what_a_program_is_told),
		TEST(test_one_by_one),
		TEST(test_lost_anchor),
		TEST(test_prune_after_a_failure),
		TEST(test_prune_what_is_gone),
		TEST(test_no_memory_to_prune),
		TEST(test_changed_while_read),
		TEST(test_not_served),
	};

	return cmocka_run_group_tests(tests, fixture_group_setup, fixture_group_teardown);
}
