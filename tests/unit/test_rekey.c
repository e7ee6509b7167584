/* SPDX-License-Identifier: Apache-2.0
 * test_rekey: the new file is compared with the old one before it takes its place: a bit that memory has lost on the way, something that is
 * missing or too much, is noticed; and of what an earlier rekey left nothing is taken that is not of this state.
 *
 * What rekey.c calls of the store is the store's own, with the test's in front of it (--wrap). That a rekey is killed, or fails, at each
 * step is in tests/crash/test_rekey.c.
 */
#include "store/internal.h"
#include "tests/unit/cmocka_all.h"
#include "tests/unit/fixture.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

/* --- what is in front of the store's own -------------------------------------------------------------------------- */

enum wrong {
	NOTHING,
	/* of the first value that is fetched */
	WRONG_SIZE,
	WRONG_BYTE,
	WRONG_WRITER,
	WRONG_SECOND,
	WRONG_NANOSECOND,
	/* of the first value that is sealed */
	WRONG_HASH,
	/* of the new file's manifest */
	WRONG_GENERATION,
	/* of what is compared */
	NO_RESOURCE,
	REMOVED_RESOURCE,
	NO_VERSION,
	DOOMED_VERSION,
	WRONGS
};

static struct {
	enum wrong wrong;
	bool done;      /* what is wrong only once */
	bool comparing;
	unsigned loads, load_fails; /* the n-th store_load; 0: none */
	bool unlink_fails;
	bool unreadable; /* the second of three versions */
	bool fills;      /* NO_VERSION and REMOVED_RESOURCE also of what is being filled up */
	bool loading;
	const char *replaces; /* another store takes the place of this one */
	enum moment { COMPARING, COMPARED, LOADED } when;
} front;

static bool is_once(enum wrong wrong)
{
	bool is = front.wrong == wrong && !front.done;

	front.done |= is;
	return is;
}

int __real_store_fetch(struct store *store, const struct version_row *wanted, struct seal_row *ret_row,
		       struct secbuf *ret_value, struct seal_value_info *ret_info);
int __wrap_store_fetch(struct store *store, const struct version_row *wanted, struct seal_row *ret_row,
		       struct secbuf *ret_value, struct seal_value_info *ret_info);
int __wrap_store_fetch(struct store *store, const struct version_row *wanted, struct seal_row *ret_row,
		       struct secbuf *ret_value, struct seal_value_info *ret_info)
{
	int r = __real_store_fetch(store, wanted, ret_row, ret_value, ret_info);

	if (r == 0 && ret_value->size == 8 && front.unreadable) {
		free(ret_row->data);
		return -EIO;
	}
	if (r < 0 || ret_value->size != 5) /* of a value that is known */
		return r;
	if (is_once(WRONG_SIZE))
		ret_info->size = (uint32_t)(ret_value->size = 4);
	ret_value->data[3] ^= is_once(WRONG_BYTE);
	ret_info->uid ^= is_once(WRONG_WRITER);
	ret_info->mtime.tv_sec ^= is_once(WRONG_SECOND);
	ret_info->mtime.tv_nsec ^= is_once(WRONG_NANOSECOND);
	return r;
}

void __real_seal_value_hash(const struct seal *seal, const uint8_t *value, size_t size, uint8_t *ret_hash);
void __wrap_seal_value_hash(const struct seal *seal, const uint8_t *value, size_t size, uint8_t *ret_hash);
void __wrap_seal_value_hash(const struct seal *seal, const uint8_t *value, size_t size, uint8_t *ret_hash)
{
	__real_seal_value_hash(seal, value, size, ret_hash);
	ret_hash[0] ^= is_once(WRONG_HASH);
}

int __real_seal_manifest(const struct seal *seal, const struct seal_manifest *manifest, struct seal_row *ret_row);
int __wrap_seal_manifest(const struct seal *seal, const struct seal_manifest *manifest, struct seal_row *ret_row);
int __wrap_seal_manifest(const struct seal *seal, const struct seal_manifest *manifest, struct seal_row *ret_row)
{
	struct seal_manifest other = *manifest;

	other.generation += front.wrong == WRONG_GENERATION;
	return __real_seal_manifest(seal, &other, ret_row);
}

struct resource *__real_index_find(const struct index *index, uint64_t node);
struct resource *__wrap_index_find(const struct index *index, uint64_t node);
struct resource *__wrap_index_find(const struct index *index, uint64_t node)
{
	static struct resource removed;
	struct resource *resource = __real_index_find(index, node);
	struct record record = {0};

	if (front.comparing && is_once(NO_RESOURCE))
		return NULL;
	if (resource && resource->exists)
		resource_record(resource, &record);
	if (!front.comparing && (!front.fills || front.loading || record.name.kind != NAME_GLOBAL_SECRET))
		return resource;
	return is_once(REMOVED_RESOURCE) ? &removed : resource;
}

struct version *__real_index_version(const struct resource *resource, uint64_t generation);
struct version *__wrap_index_version(const struct resource *resource, uint64_t generation);
struct version *__wrap_index_version(const struct resource *resource, uint64_t generation)
{
	static struct version doomed = {.doomed = true};

	if ((front.comparing || front.fills) && is_once(NO_VERSION))
		return NULL;
	return front.comparing && is_once(DOOMED_VERSION) ? &doomed : __real_index_version(resource, generation);
}

static char base[300], part[300], aside[300], moved[300];

static void replace(enum moment when)
{
	if (!front.replaces || front.when != when)
		return;
	fixture_must(rename(front.replaces, moved) == 0 && rename(aside, front.replaces) == 0);
	front.replaces = NULL;
}

int __real_store_load(const char *path, const struct key *key, const struct store_options *options, struct store **ret_store);
int __wrap_store_load(const char *path, const struct key *key, const struct store_options *options, struct store **ret_store);
int __wrap_store_load(const char *path, const struct key *key, const struct store_options *options, struct store **ret_store)
{
	int r;

	front.loading = true;
	r = ++front.loads == front.load_fails ? -EIO : __real_store_load(path, key, options, ret_store);
	front.loading = false;
	if (front.loads == 3) /* the old one, what was left of the new one, and all of that */
		replace(LOADED);
	return r;
}

int __real_unlink(const char *path);
int __wrap_unlink(const char *path);
int __wrap_unlink(const char *path)
{
	errno = EIO;
	return front.unlink_fails ? -1 : __real_unlink(path);
}

int __real_folder_give(const char *path, const char *like);
int __wrap_folder_give(const char *path, const char *like);
int __wrap_folder_give(const char *path, const char *like)
{
	replace(COMPARED);
	return __real_folder_give(path, like);
}

static void on_progress(void *context, uint64_t done, uint64_t total)
{
	(void)context;
	front.comparing = done > total / 2;
	if (front.comparing)
		replace(COMPARING);
}

/* --- stores ------------------------------------------------------------------------------------------------------- */

static struct key *new_key;

static int setup(void **state)
{
	int r = fixture_setup(state);

	memset(&front, 0, sizeof(front));
	new_key = fixture_key();
	snprintf(base, sizeof(base), "%s", fixture_path(*state, "base"));
	snprintf(part, sizeof(part), "%s", fixture_path(*state, "s.hush.rekey")); /* where it makes the new file */
	snprintf(aside, sizeof(aside), "%s", fixture_path(*state, "aside"));
	snprintf(moved, sizeof(moved), "%s", fixture_path(*state, "moved"));
	return r;
}

static int teardown(void **state)
{
	key_free(new_key);
	return fixture_teardown(state);
}

static void put(struct store *store, struct name name, const char *value)
{
	assert_int_equal(fixture_do(store, STORE_PUT, name, value, strlen(value), NULL), 0);
}

/* Some of everything; then one change more, of @last. */
static void make(struct fixture *fixture, const char *path, struct name last)
{
	struct store *store;

	if (access(base, F_OK) < 0) {
		fixture_make(fixture);
		store = fixture_open(fixture, 2, 0);
		put(store, fixture_mesh("m"), "type: Mesh\nname: m\n");
		put(store, fixture_secret("m", "a"), "first");
		put(store, fixture_secret("m", "a"), "2nd of a");
		put(store, fixture_secret("m", "a"), "third");
		put(store, fixture_secret("default", "empty"), "");
		put(store, fixture_global("g"), "ggggg");
		fixture_settle(store);
		store_close(store);
		fixture_copy(fixture->store, base);
	}
	fixture_copy(base, path);
	assert_int_equal(fixture_try(fixture, path, &store), 0);
	put(store, last, "last");
	fixture_settle(store);
	store_close(store);
}

static int rekey(const struct fixture *fixture)
{
	int r;

	front.comparing = front.done = false;
	front.loads = 0;
	r = store_rekey(fixture->store, fixture->key, new_key, NULL, on_progress, NULL);
	front.comparing = false;
	front.wrong = NOTHING;
	front.load_fails = 0;
	front.unlink_fails = front.unreadable = front.fills = false;
	return r;
}

static int opens(const struct fixture *fixture, const struct key *key, struct store **ret_store)
{
	const struct store_options options = {.value_bytes = STORE_VALUE_BYTES_DEFAULT, .history = 2};

	return store_open(fixture->store, key, &options, ret_store);
}

/* Is it there with all its versions, under @key alone of the two? */
static void must_be(const struct fixture *fixture, const struct key *key, struct name last, struct name absent)
{
	const struct key *other = key == new_key ? fixture->key : new_key;
	struct store_checked checked;
	struct store *store;

	assert_int_equal(opens(fixture, other, &store), -EKEYREJECTED);
	assert_int_equal(opens(fixture, key, &store), 0);
	assert_int_equal(store_check(store, NULL, NULL, &checked), 0);
	assert_int_equal(checked.resources, 1 + 2 + 3 + 1);
	assert_int_equal(checked.values, 7 + 2);
	assert_true(fixture_holds(store, fixture_secret("m", "a"), "third", 5));
	assert_true(fixture_holds(store, fixture_secret("default", "empty"), "", 0));
	assert_true(fixture_holds(store, fixture_global("g"), "ggggg", 5));
	assert_true(fixture_holds(store, last, "last", 4));
	assert_false(fixture_exists(store, absent));
	store_close(store);
}

static bool is_left(void)
{
	return access(part, F_OK) == 0;
}

/* --- the comparison ----------------------------------------------------------------------------------------------- */

static void test_what_is_wrong_is_noticed(void **state)
{
	const struct name last = fixture_global("last"), none = fixture_global("none");
	struct fixture *fixture = *state;

	make(fixture, fixture->store, last);
	for (int wrong = NOTHING + 1; wrong < WRONGS; wrong++) {
		front.wrong = wrong;
		assert_int_equal(rekey(fixture), -EBADMSG);
		assert_true(front.done || wrong == WRONG_GENERATION);
		assert_false(is_left());
		must_be(fixture, fixture->key, last, none);
	}
	assert_int_equal(rekey(fixture), 0);
	must_be(fixture, new_key, last, none);
}

/* --- what was left ------------------------------------------------------------------------------------------------ */

/* Put the new file that is made of the store set aside where a rekey that was killed leaves it. */
static void leave(const struct fixture *fixture, unsigned rekeys)
{
	struct key *between = fixture_key();

	for (unsigned i = 1; i <= rekeys; i++)
		assert_int_equal(store_rekey(aside, i == 1 ? fixture->key : between, i == rekeys ? new_key : between, NULL, NULL, NULL), 0);
	key_free(between);
	assert_int_equal(rename(aside, part), 0);
}

/* Of another history of the same length, of another rekey, of a schema that was changed, with a row that was: it is made anew. */
static void test_what_was_left(void **state)
{
	static const struct {
		bool same;            /* of this store's own state */
		unsigned rekeys;      /* how often */
		const char *sql;
	} cases[] = {
		{true, 1, NULL},
		{false, 1, NULL},
		{true, 2, NULL},
		{true, 1, "CREATE TABLE extra(x)"},
		{true, 1, "UPDATE row SET data=x'00' WHERE rowid=(SELECT max(rowid) FROM row)"},
		{true, 1, "DELETE FROM row WHERE key=x'00'"},
	};
	const struct name last = fixture_global("last"), other = fixture_global("other");
	struct fixture *fixture = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		make(fixture, aside, cases[i].same ? last : other);
		make(fixture, fixture->store, last);
		if (cases[i].same)
			fixture_copy(fixture->store, aside);
		leave(fixture, cases[i].rekeys);
		if (cases[i].sql)
			fixture_sql(part, cases[i].sql);
		assert_int_equal(rekey(fixture), 0);
		assert_false(is_left());
		must_be(fixture, new_key, last, other);
	}
}

/* All of this state, and older versions that the store has given up since: nothing of that comes back. */
static void test_more_was_left(void **state)
{
	const struct name last = fixture_global("last");
	struct fixture *fixture = *state;
	struct store_checked before, after;
	struct store *store;

	make(fixture, fixture->store, last);
	fixture_copy(fixture->store, aside);
	leave(fixture, 1);
	store = fixture_open(fixture, 0, 0);
	put(store, fixture_secret("m", "a"), "third"); /* the same: only what is too old goes */
	fixture_settle(store);
	assert_int_equal(store_check(store, NULL, NULL, &before), 0);
	assert_true(before.values < 9);
	store_close(store);
	assert_int_equal(rekey(fixture), 0);
	assert_int_equal(opens(fixture, new_key, &store), 0);
	assert_int_equal(store_check(store, NULL, NULL, &after), 0);
	assert_int_equal(after.resources, before.resources);
	assert_int_equal(after.values, before.values);
	store_close(store);
}

/* What was left as a whole, and is taken for less: a row that is written twice is noticed, and all of it made anew. */
static void test_what_was_left_is_filled_up(void **state)
{
	const struct name last = fixture_global("last"), none = fixture_global("none");
	struct fixture *fixture = *state;

	for (int i = 0; i < 2; i++) { /* a version of the history, or the current one, which its record comes with */
		unlink(fixture->store);
		make(fixture, fixture->store, last);
		unlink(aside);
		fixture_copy(fixture->store, aside);
		leave(fixture, 1);
		front.wrong = i ? REMOVED_RESOURCE : NO_VERSION;
		front.fills = true;
		assert_int_equal(rekey(fixture), 0);
		assert_true(front.done);
		assert_false(is_left());
		must_be(fixture, new_key, last, none);
	}
}

/* An older version that can't be read: nothing is left out. */
static void test_unreadable_version(void **state)
{
	const struct name last = fixture_global("last"), none = fixture_global("none");
	struct fixture *fixture = *state;

	make(fixture, fixture->store, last);
	front.unreadable = true;
	assert_int_equal(rekey(fixture), -EIO);
	assert_false(is_left());
	must_be(fixture, fixture->key, last, none);
}

/* What can't be opened for another reason, or removed, is neither used nor taken for nothing; the store stays. */
static void test_what_was_left_and_fails(void **state)
{
	const struct name last = fixture_global("last"), other = fixture_global("other");
	struct fixture *fixture = *state;

	make(fixture, aside, other);
	make(fixture, fixture->store, last);
	leave(fixture, 1);
	front.load_fails = 2;
	assert_int_equal(rekey(fixture), -EIO);
	assert_true(is_left());
	must_be(fixture, fixture->key, last, other);
	front.unlink_fails = true;
	assert_int_equal(rekey(fixture), -EIO);
	assert_true(is_left());
	must_be(fixture, fixture->key, last, other);
	assert_int_equal(rekey(fixture), 0);
	must_be(fixture, new_key, last, other);
}

/* Another store is put in its place meanwhile, or in that of the new file: that stays there. */
static void test_replaced_meanwhile(void **state)
{
	const struct name last = fixture_global("last"), other = fixture_global("other");
	struct fixture *fixture = *state;

	for (unsigned how = 0; how < 4; how++) {
		const char *replaced = how & 1 ? part : fixture->store;

		make(fixture, aside, other);
		make(fixture, fixture->store, last);
		front.replaces = replaced;
		front.when = how & 2 ? COMPARED : COMPARING;
		assert_int_equal(rekey(fixture), -EIO);
		assert_null(front.replaces);
		assert_true(is_left() == (replaced == part));
		if (replaced == part) {
			must_be(fixture, fixture->key, last, other);
			assert_int_equal(rename(part, fixture->store), 0);
		}
		must_be(fixture, fixture->key, other, last);
		if (replaced != part) {
			assert_int_equal(rename(moved, fixture->store), 0);
			must_be(fixture, fixture->key, last, other);
		}
		unlink(moved);
	}
}

/* The same with what was left by an earlier call, when it is seen to be of another history. */
static void test_left_and_replaced_meanwhile(void **state)
{
	const struct name last = fixture_global("last"), other = fixture_global("other");
	struct fixture *fixture = *state;

	make(fixture, aside, other);
	make(fixture, fixture->store, last);
	leave(fixture, 1);
	make(fixture, aside, other);
	front.replaces = part;
	front.when = LOADED;
	assert_int_equal(rekey(fixture), -EBADMSG);
	assert_null(front.replaces);
	must_be(fixture, fixture->key, last, other);
	assert_int_equal(rename(part, fixture->store), 0);
	must_be(fixture, fixture->key, other, last);
}

/* Such a path no file can have, nor what would be left beside it. */
static void test_path_too_long(void **state)
{
	struct fixture *fixture = *state;
	char path[PATH_MAX + 10];

	memset(path, 'a', sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	assert_int_equal(store_rekey(path, fixture->key, fixture->key, NULL, NULL, NULL), -ENAMETOOLONG);
	path[PATH_MAX - 2] = '\0';
	rekey_say_left(path);
	assert_true(store_rekey(path, fixture->key, fixture->key, NULL, NULL, NULL) < 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_replaced_meanwhile),
		TEST(test_left_and_replaced_meanwhile),
		TEST(test_path_too_long),
		TEST(test_what_is_wrong_is_noticed),
		TEST(test_what_was_left),
		TEST(test_more_was_left),
		TEST(test_what_was_left_is_filled_up),
		TEST(test_unreadable_version),
		TEST(test_what_was_left_and_fails),
	};

	return cmocka_run_group_tests(tests, fixture_group_setup, fixture_group_teardown);
}
