/* SPDX-License-Identifier: Apache-2.0
 * test_ledger: what the next worker knows of one that ended without a word, and what it answers with that.
 */
#include "fs/ledger.h"

#include "tests/unit/cmocka_all.h"
#include "tests/unit/fixture.h"
#include "tests/unit/kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define STAGED (1024u * 1024)
#define RESENT (UINT64_C(1) << 63)

struct played {
	void *fixture;
	int fd;
	struct ledger *ledger;
	struct kernel *kernel; /* NULL in tests of the ledger alone */
	uint64_t secrets;
	bool quiet; /* serve() asks for nothing */
};

static int setup(void **state)
{
	struct played *f = calloc(1, sizeof(*f));

	if (fixture_setup(&f->fixture) != 0)
		return -1;
	fixture_must(ledger_make(&f->fd) == 0);
	fixture_must(ledger_open(f->fd, &f->ledger) == 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct played *f = *state;
	int r;

	if (f->kernel)
		kernel_stop(f->kernel);
	ledger_free(f->ledger);
	close(f->fd);
	r = fixture_teardown(&f->fixture);
	free(f);
	return r;
}

/* The next worker opens the ledger, and a store that has reached @generation. */
static void next_ledger(struct played *f, uint64_t generation)
{
	ledger_free(f->ledger);
	assert_int_equal(ledger_open(f->fd, &f->ledger), 0);
	ledger_opened(f->ledger, generation);
}

static uint32_t pins_of(struct played *f, uint64_t node, uint64_t generation)
{
	size_t n;
	struct store_held *pins = ledger_pins(f->ledger, &n);
	uint32_t count = 0;

	for (size_t i = 0; i < n; i++)
		if (pins[i].node == node && pins[i].generation == generation)
			count += pins[i].pins;
	free(pins);
	return count;
}

static void test_pins(void **state)
{
	struct played *f = *state;
	struct store_held held = {.node = 7, .generation = 3, .size = 5};
	uint64_t generation;
	size_t n;

	assert_null(ledger_pins(f->ledger, &n));
	for (unsigned i = 0; i < 1000; i++) {
		ledger_begin(f->ledger, 2 * i + 2);
		held.generation = i % 300;
		ledger_pin(f->ledger, &held);
	}
	assert_int_equal(pins_of(f, 7, 0), 4);
	next_ledger(f, 0);
	assert_int_equal(pins_of(f, 7, 0), 4);
	assert_int_equal(pins_of(f, 7, 299), 3);
	/* the last request had pinned: it is not to do that again when it is sent again */
	ledger_begin(f->ledger, 2000 | RESENT);
	assert_true(ledger_has_stepped(f->ledger, &generation));
	assert_int_equal(generation, 99);
	ledger_begin(f->ledger, 1998 | RESENT);
	assert_false(ledger_has_stepped(f->ledger, &generation));
	ledger_begin(f->ledger, 2000);
	assert_false(ledger_has_stepped(f->ledger, &generation));
	for (unsigned i = 0; i < 1000; i++) {
		ledger_begin(f->ledger, 3000 + 2 * i);
		ledger_unpin(f->ledger, 7, i % 300);
	}
	assert_int_equal(pins_of(f, 7, 0), 0);
	ledger_unpin(f->ledger, 7, 0); /* of nothing */
	next_ledger(f, 0);
	free(ledger_pins(f->ledger, &n));
	assert_int_equal(n, 0);
}

/* Older ones come first, also if they are where another was. */
static void test_pins_in_order(void **state)
{
	static const uint64_t generations[] = {5, 7, 9, 6};
	struct played *f = *state;
	struct store_held *pins;
	size_t n;

	for (size_t i = 0; i < 4; i++) {
		const struct store_held held = {.node = 7, .generation = generations[i]};

		if (i == 3)
			ledger_unpin(f->ledger, 7, 5);
		ledger_begin(f->ledger, 2 * i + 2);
		ledger_pin(f->ledger, &held);
	}
	ledger_unpin(f->ledger, 7, 7);
	ledger_begin(f->ledger, 10);
	ledger_pin(f->ledger, &(struct store_held){.node = 7, .generation = 11});
	pins = ledger_pins(f->ledger, &n);
	assert_int_equal(n, 3);
	for (size_t i = 1; i < n; i++)
		assert_true(pins[i - 1].generation < pins[i].generation);
	free(pins);
}

/* Beyond the bound, what is there stays right. */
static void test_too_many_pins(void **state)
{
	struct played *f = *state;
	struct store_held held = {.node = 1};
	size_t n;

	for (unsigned i = 0; i < LEDGER_PINS + 10; i++) {
		held.generation = i + 1;
		ledger_begin(f->ledger, 2 * i + 2);
		ledger_pin(f->ledger, &held);
	}
	ledger_unpin(f->ledger, 1, LEDGER_PINS + 5);
	ledger_unpin(f->ledger, 1, 10);
	held.generation = LEDGER_PINS + 20;
	ledger_pin(f->ledger, &held);
	next_ledger(f, 0);
	free(ledger_pins(f->ledger, &n));
	assert_int_equal(n, LEDGER_PINS);
	assert_int_equal(pins_of(f, 1, 10), 0);
	assert_int_equal(pins_of(f, 1, 11), 1);
	assert_int_equal(pins_of(f, 1, LEDGER_PINS + 20), 1);
}

static bool was_committed(struct played *f, uint64_t unique)
{
	ledger_begin(f->ledger, unique);
	return ledger_was_committed(f->ledger);
}

static void test_requests(void **state)
{
	struct played *f = *state;

	ledger_committing(f->ledger, 2, 5);
	ledger_committing(f->ledger, 4, 6);
	ledger_committing(f->ledger, 6, 5);
	ledger_committing(f->ledger, 6, 0); /* failed, and is tried again */
	ledger_committing(f->ledger, 6, 6);
	ledger_committing(f->ledger, 8, 5);
	ledger_answered(f->ledger, 8);
	ledger_committing(f->ledger, 0, 5); /* nobody's */
	assert_false(was_committed(f, 2 | RESENT));
	next_ledger(f, 5);
	assert_true(was_committed(f, 2 | RESENT));
	assert_false(was_committed(f, 2));
	assert_false(was_committed(f, 4 | RESENT));
	assert_false(was_committed(f, 6 | RESENT));
	assert_false(was_committed(f, 8 | RESENT));
	/* the worker after that: what was not committed then does not become so, and what was stays so until it is answered */
	next_ledger(f, 6);
	assert_true(was_committed(f, 2 | RESENT));
	assert_false(was_committed(f, 4 | RESENT));
	ledger_answered(f->ledger, 2);
	assert_false(was_committed(f, 2 | RESENT));
	/* those that are never sent again make room */
	for (uint64_t i = 1; i <= LEDGER_REQUESTS + 10; i++)
		ledger_committing(f->ledger, 100 + 2 * i, 7);
	next_ledger(f, 7);
	assert_false(was_committed(f, 102 | RESENT));
	assert_true(was_committed(f, (100 + 2 * (LEDGER_REQUESTS + 10)) | RESENT));
}

static void test_openings(void **state)
{
	struct played *f = *state;

	ledger_begin(f->ledger, 2);
	ledger_opening(f->ledger, 11, 500);
	ledger_opening(f->ledger, 12, 501);
	ledger_opening(f->ledger, 13, 0); /* not known */
	assert_false(ledger_was_opening(f->ledger, 11, 500));
	ledger_begin(f->ledger, 4);
	ledger_opening_done(f->ledger, 501);
	next_ledger(f, 0); /* that request was not answered */
	assert_true(ledger_was_opening(f->ledger, 11, 500));
	assert_true(ledger_was_opening(f->ledger, 12, 501));
	assert_false(ledger_was_opening(f->ledger, 12, 500));
	assert_false(ledger_was_opening(f->ledger, 13, 0));
	ledger_opening_done(f->ledger, 501);
	ledger_begin(f->ledger, 6); /* and now it was */
	next_ledger(f, 0);
	assert_true(ledger_was_opening(f->ledger, 11, 500));
	assert_false(ledger_was_opening(f->ledger, 12, 501));
	for (int i = 0; i < 2 * LEDGER_OPENINGS; i++)
		ledger_opening(f->ledger, 14, 1000 + i);
	next_ledger(f, 0);
	assert_true(ledger_was_opening(f->ledger, 14, 1000 + 2 * LEDGER_OPENINGS - 1));
}

/* --- what is answered with it ----------------------------------------------------------------------------------- */

static void committing(void *context, uint64_t request, uint64_t generation)
{
	ledger_committing(context, request, generation);
}

/* A worker, with what the ledger holds for it. */
static void serve(struct played *f)
{
	const struct fixture *fixture = f->fixture;
	struct store_options options = {.value_bytes = STORE_VALUE_BYTES_DEFAULT, .committing = committing, .context = f->ledger};
	struct store_status status;
	struct store_held *held = ledger_pins(f->ledger, &options.n_held);
	struct store *store;

	options.held = held;
	fixture_must(store_open(fixture->store, fixture->key, &options, &store) == 0);
	free(held);
	store_get_status(store, &status);
	ledger_opened(f->ledger, status.generation);
	f->kernel = kernel_start(store, STAGED);
	f->kernel->context.ledger = f->ledger;
	f->kernel->unique = 1000;
	if (!f->quiet)
		f->secrets = kernel_walk(f->kernel, "meshes/default/secrets");
}

static void next_worker(struct played *f)
{
	kernel_stop(f->kernel);
	ledger_free(f->ledger);
	assert_int_equal(ledger_open(f->fd, &f->ledger), 0);
	serve(f);
}

static void begin(struct played *f)
{
	fixture_make(f->fixture);
	serve(f);
}

static uint64_t generation_of(struct played *f)
{
	struct store_status status;

	store_get_status(f->kernel->context.tree.store, &status);
	return status.generation;
}

/* The next request is @unique, sent again. */
static void again(struct played *f, uint64_t unique)
{
	f->kernel->unique = (unique | RESENT) - 1;
}

static void test_committed_is_not_done_again(void **state)
{
	struct played *f = *state;
	const struct fuse_setattr_in cut = {.valid = FATTR_SIZE};
	uint64_t node, meshes, handle = 0;

	begin(f);
	assert_int_equal(kernel_put(f->kernel, f->secrets, "a", "value"), 0);
	for (uint64_t unique = 2; unique <= 12; unique += 2)
		ledger_committing(f->ledger, unique, generation_of(f));
	ledger_committing(f->ledger, 20, generation_of(f) + 1);
	next_worker(f);
	node = kernel_walk(f->kernel, "meshes/default/secrets/a");
	meshes = kernel_walk(f->kernel, "meshes");
	again(f, 2);
	assert_int_equal(kernel_name(f->kernel, FUSE_UNLINK, f->secrets, "gone"), 0);
	assert_int_equal(kernel_name(f->kernel, FUSE_UNLINK, f->secrets, "gone"), -ENOENT);
	again(f, 2); /* it was answered */
	assert_int_equal(kernel_name(f->kernel, FUSE_UNLINK, f->secrets, "gone"), -ENOENT);
	again(f, 4);
	assert_int_equal(kernel_rename(f->kernel, f->secrets, "gone", f->secrets, "a", 0), 0);
	again(f, 8);
	assert_int_equal(kernel_mkdir(f->kernel, meshes, "default"), 0);
	assert_int_equal(kernel_mkdir(f->kernel, meshes, "default"), -EEXIST);
	again(f, 10);
	assert_int_equal(kernel_setattr(f->kernel, node, &cut, NULL), 0);
	again(f, 12);
	assert_int_equal(kernel_flush(f->kernel, node, UINT64_C(1) << 63 | 1), 0);
	again(f, 14);
	assert_int_equal(kernel_flush(f->kernel, node, UINT64_C(1) << 63 | 1), -EIO);
	again(f, 20);
	assert_int_equal(kernel_rename(f->kernel, f->secrets, "gone", f->secrets, "a", 0), -ENOENT);
	f->kernel->unique = 6000;
	assert_true(kernel_holds(f->kernel, f->secrets, "a", "value"));
	assert_int_equal(kernel_open(f->kernel, node, O_RDONLY, &handle), 0);
}

/* A commit is noted before it is made, with the generation that it gets, and forgotten when it is answered. */
static void test_commits_are_noted(void **state)
{
	struct played *f = *state;
	uint64_t unique;

	begin(f);
	assert_int_equal(kernel_put(f->kernel, f->secrets, "a", "value"), 0);
	assert_int_equal(kernel_name(f->kernel, FUSE_UNLINK, f->secrets, "a"), 0);
	unique = f->kernel->unique;
	next_worker(f);
	again(f, unique);
	assert_int_equal(kernel_name(f->kernel, FUSE_UNLINK, f->secrets, "a"), -ENOENT);
}

static bool reads(struct played *f, uint64_t node, uint64_t handle, const char *text)
{
	return kernel_read(f->kernel, node, handle, 0, 100) == 0 && f->kernel->answer_size == strlen(text) &&
	       memcmp(f->kernel->answer, text, strlen(text)) == 0;
}

static void test_readers_go_on(void **state)
{
	struct played *f = *state;
	uint64_t replaced, removed, first = 0, second = 0, third = 0;
	struct fuse_attr attr;

	begin(f);
	assert_int_equal(kernel_put(f->kernel, f->secrets, "replaced", "one"), 0);
	assert_int_equal(kernel_put(f->kernel, f->secrets, "removed", "was here"), 0);
	replaced = kernel_walk(f->kernel, "meshes/default/secrets/replaced");
	removed = kernel_walk(f->kernel, "meshes/default/secrets/removed");
	assert_int_equal(kernel_open(f->kernel, replaced, O_RDONLY, &first), 0);
	assert_int_equal(kernel_open(f->kernel, removed, O_RDONLY, &second), 0);
	assert_int_equal(kernel_put(f->kernel, f->secrets, "replaced", "two"), 0);
	assert_int_equal(kernel_name(f->kernel, FUSE_UNLINK, f->secrets, "removed"), 0);
	for (int i = 0; i < 3; i++) {
		next_worker(f);
		assert_true(reads(f, replaced, first, "one"));
		assert_true(reads(f, removed, second, "was here"));
		assert_int_equal(kernel_getattr(f->kernel, removed, 0, &attr), 0);
		assert_int_equal(attr.size, 8);
		assert_int_equal(attr.nlink, 0);
		assert_int_equal(kernel_setattr(f->kernel, removed, &(struct fuse_setattr_in){.valid = FATTR_MODE}, NULL), -ESTALE);
	}
	/* a name that is made again has nothing to do with it */
	assert_int_equal(kernel_put(f->kernel, f->secrets, "removed", "new"), 0);
	assert_int_equal(kernel_open(f->kernel, removed, O_RDONLY, &third), 0);
	next_worker(f);
	assert_true(reads(f, removed, third, "new"));
	assert_true(reads(f, removed, second, "was here"));
	assert_int_equal(kernel_release(f->kernel, removed, second), 0);
	assert_int_equal(kernel_release(f->kernel, replaced, first), 0);
	next_worker(f);
	fixture_settle(f->kernel->context.tree.store);
	assert_true(reads(f, removed, third, "new"));
	assert_int_equal(kernel_read(f->kernel, removed, second, 0, 100), -EIO);
	assert_int_equal(kernel_read(f->kernel, replaced, first, 0, 100), -EIO);
}

/* open(O_TRUNC) is two requests. If the worker dies between them, the second is not for the file. */
static void test_cut_of_a_lost_opening(void **state)
{
	const struct fuse_setattr_in cut = {.valid = FATTR_SIZE};
	struct played *f = *state;
	uint64_t node, handle = 0;

	begin(f);
	assert_int_equal(kernel_put(f->kernel, f->secrets, "a", "value"), 0);
	node = kernel_walk(f->kernel, "meshes/default/secrets/a");
	assert_int_equal(kernel_open(f->kernel, node, O_WRONLY, &handle), 0);
	f->quiet = true; /* the same thread looks nothing up before the next request */
	next_worker(f);
	assert_int_equal(kernel_setattr(f->kernel, node, &cut, NULL), 0); /* without looking it up first, as truncate(2) would */
	assert_int_equal(kernel_write(f->kernel, node, handle + 1000, 0, 0, "x", 1), -EIO);
	assert_true(kernel_holds(f->kernel, f->secrets, "a", "value"));
	assert_int_equal(kernel_lookup(f->kernel, f->secrets, "a", NULL), 0);
	assert_int_equal(kernel_setattr(f->kernel, node, &cut, NULL), 0); /* truncate(2) */
	assert_true(kernel_holds(f->kernel, f->secrets, "a", ""));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_pins, setup, teardown),
		cmocka_unit_test_setup_teardown(test_pins_in_order, setup, teardown),
		cmocka_unit_test_setup_teardown(test_too_many_pins, setup, teardown),
		cmocka_unit_test_setup_teardown(test_requests, setup, teardown),
		cmocka_unit_test_setup_teardown(test_openings, setup, teardown),
		cmocka_unit_test_setup_teardown(test_committed_is_not_done_again, setup, teardown),
		cmocka_unit_test_setup_teardown(test_commits_are_noted, setup, teardown),
		cmocka_unit_test_setup_teardown(test_readers_go_on, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cut_of_a_lost_opening, setup, teardown),
	};

	return cmocka_run_group_tests(tests, fixture_group_setup, fixture_group_teardown);
}
