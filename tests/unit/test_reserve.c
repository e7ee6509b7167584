/* SPDX-License-Identifier: Apache-2.0
 * test_reserve: the room that is kept for removing: when there is any, and that nothing of somebody else's is taken for it. That it does
 * what it is for is shown in tests/mount/test_full_steps.
 */
#include "tests/unit/cmocka_all.h"
#include "tests/unit/fixture.h"

#include "store/reserve.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define ROOM (UINT64_C(1) << 40)

static bool is_kept(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0 && S_ISREG(st.st_mode) && st.st_size == RESERVE_BYTES &&
	       st.st_blocks * 512 >= RESERVE_BYTES && (st.st_mode & 07777) == 0600;
}

static void test_of_a_store(void **state)
{
	struct fixture *fixture = *state;
	const char *path = fixture_path(fixture, "s.hush-reserve"), *copy = fixture_path(fixture, "copy");
	struct store *store;

	fixture_make(fixture);
	store = fixture_open(fixture, 2, 0);
	assert_int_equal(access(path, F_OK), -1); /* who only reads takes nothing */
	assert_int_equal(fixture_do(store, STORE_PUT, fixture_global("g"), "x", 1, NULL), 0);
	assert_true(is_kept(path));
	assert_int_equal(store_copy(store, copy), 0);
	store_close(store);
	assert_true(is_kept(path));
	assert_int_equal(access(fixture_path(fixture, "copy-reserve"), F_OK), -1);
	assert_int_equal(store_rekey(fixture->store, fixture->key, fixture->key, NULL, NULL, NULL), 0);
	assert_true(is_kept(path));
	assert_int_equal(access(fixture_path(fixture, "s.hush.rekey-reserve"), F_OK), -1);
	unlink(path); /* anybody may */
	store = fixture_open(fixture, 2, 0);
	assert_true(fixture_holds(store, fixture_global("g"), "x", 1));
	assert_int_equal(fixture_do(store, STORE_REMOVE, fixture_global("g"), NULL, 0, NULL), 0);
	assert_true(is_kept(path));
	store_close(store);
}

static void test_take_and_give(void **state)
{
	struct fixture *fixture = *state;
	const char *path = fixture_path(fixture, "s.hush-reserve");
	struct reserve reserve;

	assert_int_equal(reserve_init(&reserve, fixture->store), 0);
	assert_int_equal(reserve_missing(&reserve), RESERVE_BYTES);
	reserve_take(&reserve, RESERVE_BYTES); /* the disk would be full */
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(reserve_missing(&reserve), RESERVE_BYTES);
	reserve_take(&reserve, ROOM);
	assert_true(is_kept(path));
	assert_int_equal(reserve_missing(&reserve), 0);
	assert_int_equal(unlink(path), 0);
	reserve_take(&reserve, ROOM); /* as far as it knows it has it */
	assert_int_equal(access(path, F_OK), -1);
	reserve_give(&reserve);
	assert_int_equal(reserve_missing(&reserve), 0);
	reserve_deinit(&reserve);
	assert_int_equal(reserve_init(&reserve, fixture->store), 0);
	reserve_take(&reserve, ROOM);
	assert_true(is_kept(path));
	reserve_give(&reserve);
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(reserve_missing(&reserve), RESERVE_BYTES);
	reserve_give(&reserve);
	fixture_write(path, "", 0, 0600); /* as a kill may leave it */
	reserve_take(&reserve, ROOM);
	assert_true(is_kept(path));
	reserve_deinit(&reserve);
	assert_int_equal(reserve_init(&reserve, fixture->store), 0);
	reserve_take(&reserve, 0); /* it is there already */
	assert_int_equal(reserve_missing(&reserve), 0);
	reserve_deinit(&reserve);
}

/* libc's, which fails so if it is asked to. */
static int no_room;

int __real_fallocate(int fd, int mode, off_t offset, off_t size);
int __wrap_fallocate(int fd, int mode, off_t offset, off_t size);
int __wrap_fallocate(int fd, int mode, off_t offset, off_t size)
{
	errno = no_room;
	return no_room ? -1 : __real_fallocate(fd, mode, offset, size);
}

/* What a full disk, or a quota that is used up, has no room for, or a signal interrupts, may have it later; where room can't be kept it isn't asked for again. */
static void test_without_room(void **state)
{
	static const struct {
		int error;
		bool later;
	} cases[] = {{ENOSPC, true}, {EDQUOT, true}, {EINTR, true}, {EOPNOTSUPP, false}};
	struct fixture *fixture = *state;
	const char *path = fixture_path(fixture, "s.hush-reserve");

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct reserve reserve;

		assert_int_equal(reserve_init(&reserve, fixture->store), 0);
		no_room = cases[i].error;
		reserve_take(&reserve, ROOM);
		no_room = 0;
		assert_int_equal(access(path, F_OK), -1);
		assert_int_equal(reserve_missing(&reserve), cases[i].later ? RESERVE_BYTES : 0);
		reserve_take(&reserve, ROOM);
		assert_int_equal(is_kept(path), cases[i].later);
		unlink(path);
		reserve_deinit(&reserve);
	}
}

/* What is somebody else's is left alone, and then nothing is kept free for it either. */
static void test_in_the_way(void **state)
{
	struct fixture *fixture = *state;
	const char *path = fixture_path(fixture, "s.hush-reserve"), *target = fixture_path(fixture, "target");
	struct reserve reserve;
	uint8_t *bytes;
	size_t size;

	for (int is_link = 0; is_link < 2; is_link++) {
		if (is_link)
			assert_int_equal(symlink(target, path), 0);
		else
			fixture_write(path, "mine", 4, 0644);
		assert_int_equal(reserve_init(&reserve, fixture->store), 0);
		reserve_take(&reserve, ROOM);
		assert_int_equal(reserve_missing(&reserve), 0);
		assert_int_equal(access(target, F_OK), -1);
		reserve_give(&reserve);
		if (!is_link) {
			bytes = fixture_read(path, &size);
			assert_int_equal(size, 4);
			assert_memory_equal(bytes, "mine", 4);
			free(bytes);
		}
		assert_int_equal(unlink(path), 0);
		reserve_deinit(&reserve);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {TEST(test_of_a_store), TEST(test_take_and_give), TEST(test_without_room), TEST(test_in_the_way)};

	return cmocka_run_group_tests(tests, fixture_group_setup, fixture_group_teardown);
}
