/* SPDX-License-Identifier: Apache-2.0
 * test_clock: the clock is set forward and back by ten years while a store is used. Nothing is refused or lost, and what is newer is told by
 * the generation: times are only shown. The linker puts our clock_gettime in place of the C library's (--wrap, in the Makefile).
 */
#include "tests/unit/cmocka_all.h"
#include "tests/unit/fixture.h"
#include "tests/unit/kernel.h"

#include "fs/status.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#define TEN_YEARS (10 * 365 * 86400)
#define STAGED (1024u * 1024)
#define HISTORY 2

static _Atomic int64_t shift; /* seconds, of the clock that can be set */

int __real_clock_gettime(clockid_t clock, struct timespec *ret_time);
int __wrap_clock_gettime(clockid_t clock, struct timespec *ret_time);
int __wrap_clock_gettime(clockid_t clock, struct timespec *ret_time)
{
	int r = __real_clock_gettime(clock, ret_time);

	if (clock == CLOCK_REALTIME)
		ret_time->tv_sec += shift;
	return r;
}

static int64_t seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return now.tv_sec;
}

static uint64_t generation(struct store *store)
{
	struct store_status status;

	store_get_status(store, &status);
	return status.generation;
}

static const int64_t shifts[] = {0, TEN_YEARS, -TEN_YEARS, 0, -2 * TEN_YEARS, 2 * TEN_YEARS, -TEN_YEARS};

/* One name, a version at each setting of the clock; those that are kept are the last ones by generation. */
static void test_versions(void **state)
{
	struct fixture *fixture = *state;
	struct name name = fixture_global("g"), other;
	struct store *store;
	uint64_t generations[7], last, now;
	struct store_checked checked;
	char value[20];

	shift = 0;
	fixture_make(fixture);
	store = fixture_open(fixture, HISTORY, 0);
	last = generation(store);
	for (int i = 0; i < 7; i++) {
		shift = shifts[i];
		snprintf(value, sizeof(value), "version %d", i);
		assert_int_equal(fixture_do(store, STORE_PUT, name, value, strlen(value), NULL), 0);
		assert_int_equal(store_pin(store, store_node(store, &name), &generations[i]), 0);
		now = generation(store);
		assert_true(now > last && generations[i] > last);
		last = now;
		assert_true(fixture_holds(store, name, value, strlen(value)));
		assert_in_range(fixture_info(store, name).record.inodes[RECORD_SELF].mtime.tv_sec, seconds() - 60, seconds());
		snprintf(value, sizeof(value), "other-%d", i);
		other = fixture_global(value);
		assert_int_equal(fixture_do(store, STORE_PUT, other, value, strlen(value), NULL), 0);
		assert_int_equal(fixture_do(store, STORE_APPEND, other, "+", 1, NULL), 0);
		if (i % 2)
			assert_int_equal(fixture_do(store, STORE_REMOVE, other, NULL, 0, NULL), 0);
	}
	for (int i = 0; i < 7; i++) {
		snprintf(value, sizeof(value), "version %d", i);
		assert_true(fixture_version_holds(store, store_node(store, &name), generations[i], value, strlen(value)));
		store_unpin(store, store_node(store, &name), generations[i]);
	}
	fixture_settle(store);
	assert_int_equal(store_check(store, NULL, NULL, &checked), 0);
	for (int i = 0; i < 7; i++) {
		snprintf(value, sizeof(value), "version %d", i);
		assert_int_equal(fixture_version_holds(store, store_node(store, &name), generations[i], value, strlen(value)),
				 i >= 7 - 1 - HISTORY);
	}
	store_close(store);
	for (int i = 0; i < 7; i++) { /* whenever it is opened */
		shift = shifts[i];
		store = fixture_open(fixture, HISTORY, 0);
		assert_true(fixture_holds(store, name, "version 6", 9));
		assert_true(generation(store) >= last);
		assert_int_equal(store_check(store, NULL, NULL, &checked), 0);
		for (int j = 0; j < 7; j++) {
			snprintf(value, sizeof(value), "other-%d", j);
			other = fixture_global(value);
			strcat(value, "+");
			assert_int_equal(fixture_exists(store, other), j % 2 == 0);
			assert_true(j % 2 || fixture_holds(store, other, value, strlen(value)));
		}
		store_close(store);
	}
}

static uint64_t uptime(struct kernel *kernel)
{
	char text[STATUS_BYTES];
	const char *line;

	status_text(&kernel->context, text);
	line = strstr(text, "uptime-seconds: ");
	fixture_must(line);
	return strtoull(line + 16, NULL, 10);
}

/* The same through the mount, with files that stay open. */
static void test_mounted(void **state)
{
	struct fixture *fixture = *state;
	struct kernel *kernel;
	uint64_t secrets, node, reader, writer;
	char value[20];

	shift = 0;
	fixture_make(fixture);
	kernel = kernel_start(fixture_open(fixture, HISTORY, 0), STAGED);
	secrets = kernel_walk(kernel, "meshes/default/secrets");
	assert_int_equal(kernel_put(kernel, secrets, "open", "open"), 0);
	node = kernel_walk(kernel, "meshes/default/secrets/open");
	assert_int_equal(kernel_open(kernel, node, O_RDONLY, &reader), 0);
	assert_int_equal(kernel_open(kernel, node, O_WRONLY | O_TRUNC, &writer), 0);
	for (int i = 0; i < 7; i++) {
		shift = shifts[i];
		snprintf(value, sizeof(value), "value %d", i);
		assert_int_equal(kernel_put(kernel, secrets, "s", value), 0);
		assert_true(kernel_holds(kernel, secrets, "s", value));
		assert_int_equal(kernel_put(kernel, secrets, "t", value), 0);
		assert_int_equal(kernel_rename(kernel, secrets, "t", secrets, "s", 0), 0);
		assert_true(kernel_holds(kernel, secrets, "s", value));
		assert_int_equal(kernel_put(kernel, secrets, "Scratch", value), 0);
		assert_true(kernel_holds(kernel, secrets, "Scratch", value));
		assert_in_range(uptime(kernel), 0, 60);
	}
	assert_int_equal(kernel_read(kernel, node, reader, 0, 100), 0);
	assert_int_equal(kernel->answer_size, 4);
	assert_int_equal(kernel_write(kernel, node, writer, 0, 0, "later", 5), 0);
	assert_int_equal(kernel_flush(kernel, node, writer), 0);
	assert_int_equal(kernel_release(kernel, node, writer), 0);
	assert_int_equal(kernel_release(kernel, node, reader), 0);
	assert_true(kernel_holds(kernel, secrets, "open", "later"));
	kernel_stop(kernel);
	shift = 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {TEST(test_versions), TEST(test_mounted)};

	return cmocka_run_group_tests(tests, fixture_group_setup, fixture_group_teardown);
}
