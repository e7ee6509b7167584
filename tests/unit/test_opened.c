/* SPDX-License-Identifier: Apache-2.0
 * test_opened: the value that stays open for who reads it in parts: whose it is, and what wipes it.
 */
#include "store/secmem.h"
#include "store/store.h"
#include "tests/unit/cmocka_all.h"
#include "tests/unit/fixture.h"

#include <errno.h>
#include <unistd.h>

#define CACHE (1024 * 1024)

/* A store with two secrets, one of which is read and kept. */
struct opened_state {
	struct fixture *fixture;
	struct store *store;
	uint64_t nodes[2], generations[2];
	const uint8_t *data; /* where the kept one lies */
	size_t before;       /* what the arena had without it */
};

static void keep(struct opened_state *s)
{
	struct secbuf value = {0};

	s->before = secmem_in_use();
	assert_int_equal(store_read(s->store, s->nodes[0], s->generations[0], &value), 0);
	assert_int_equal(value.size, 5);
	s->data = value.data;
	store_keep(s->store, s->generations[0], &value);
	assert_null(value.data);
	assert_true(secmem_in_use() > s->before);
}

static void is_wiped(const struct opened_state *s)
{
	assert_int_equal(secmem_in_use(), s->before);
	assert_memory_equal(s->data, "\0\0\0\0\0", 5);
}

static int set_up(void **state)
{
	const struct name names[] = {fixture_global("a"), fixture_global("b")};
	struct opened_state *s = calloc(1, sizeof(*s));

	fixture_setup(state);
	s->fixture = *state;
	fixture_make(s->fixture);
	s->store = fixture_open(s->fixture, 2, CACHE);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(fixture_do(s->store, STORE_PUT, names[i], i ? "other" : "value", 5, NULL), 0);
		s->nodes[i] = store_node(s->store, &names[i]);
		assert_int_equal(store_pin(s->store, s->nodes[i], &s->generations[i]), 0);
	}
	keep(s);
	*state = s;
	return 0;
}

static int tear_down(void **state)
{
	struct opened_state *s = *state;

	store_close(s->store);
	*state = s->fixture;
	free(s);
	return fixture_teardown(state);
}

static void test_is_not_opened_again(void **state)
{
	struct opened_state *s = *state;
	struct secbuf value = {0};

	assert_int_equal(store_read(s->store, s->nodes[0], s->generations[0], &value), 0);
	assert_ptr_equal(value.data, s->data);
	assert_memory_equal(value.data, "value", 5);
	secbuf_deinit(&value);
	is_wiped(s);
}

static void test_another_takes_its_place(void **state)
{
	struct opened_state *s = *state;
	SECBUF_AUTO value = {0};

	assert_int_equal(store_read(s->store, s->nodes[1], s->generations[1], &value), 0);
	assert_memory_equal(value.data, "other", 5);
	secbuf_deinit(&value);
	is_wiped(s);
}

static void test_another_version_is_another(void **state)
{
	struct opened_state *s = *state;
	SECBUF_AUTO value = {0};
	uint64_t generation;

	assert_int_equal(fixture_do(s->store, STORE_PUT, fixture_global("a"), "newer", 5, NULL), 0);
	assert_int_equal(store_pin(s->store, s->nodes[0], &generation), 0);
	assert_int_equal(store_read(s->store, s->nodes[0], generation, &value), 0);
	assert_memory_equal(value.data, "newer", 5);
}

static void test_unpinning_wipes(void **state)
{
	struct opened_state *s = *state;

	store_unpin(s->store, s->nodes[1], s->generations[1]);
	assert_true(secmem_in_use() > s->before);
	store_unpin(s->store, s->nodes[0], s->generations[0]);
	is_wiped(s);
}

static void test_locking_wipes(void **state)
{
	struct opened_state *s = *state;
	struct secbuf value = {0};

	assert_int_equal(store_read(s->store, s->nodes[0], s->generations[0], &value), 0);
	store_keep(s->store, s->generations[0], &value);
	assert_int_equal(store_lock(s->store), 0);
	is_wiped(s);
	assert_int_equal(store_read(s->store, s->nodes[0], s->generations[0], &value), -ENOKEY);
}

/* Who was reading when it was locked. */
static void test_nothing_is_kept_of_a_locked_store(void **state)
{
	struct opened_state *s = *state;
	struct secbuf value = {0};

	assert_int_equal(store_read(s->store, s->nodes[0], s->generations[0], &value), 0);
	assert_int_equal(store_lock(s->store), 0);
	store_keep(s->store, s->generations[0], &value);
	assert_null(value.data);
	is_wiped(s);
	assert_int_equal(store_tend(s->store), -1);
}

static void test_time_wipes(void **state)
{
	struct opened_state *s = *state;
	int left_ms = store_tend(s->store);

	assert_in_range(left_ms, 1, 1000);
	assert_true(secmem_in_use() > s->before);
	usleep((useconds_t)left_ms * 1000 + 2000);
	assert_int_equal(store_tend(s->store), -1);
	is_wiped(s);
	assert_int_equal(store_tend(s->store), -1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_is_not_opened_again),
		TEST(test_another_takes_its_place),
		TEST(test_another_version_is_another),
		TEST(test_unpinning_wipes),
		TEST(test_locking_wipes),
		TEST(test_nothing_is_kept_of_a_locked_store),
		TEST(test_time_wipes),
	};

	return cmocka_run_group_tests(tests, fixture_group_setup, fixture_group_teardown);
}
