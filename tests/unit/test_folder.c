/* SPDX-License-Identifier: Apache-2.0
 * test_folder: the folder of a path, also of a path that there can't be. That a folder of somebody else's is refused is in test_store.
 */
#include "tests/unit/cmocka_all.h"
#include "tests/unit/fixture.h"

#include "store/folder.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char endless[PATH_MAX + 1];

/* libc's; it fails if it is asked to. */
static bool no_fchown;

int __real_fchown(int fd, uid_t uid, gid_t gid);
int __wrap_fchown(int fd, uid_t uid, gid_t gid);
int __wrap_fchown(int fd, uid_t uid, gid_t gid)
{
	errno = EPERM;
	return no_fchown ? -1 : __real_fchown(fd, uid, gid);
}

/* libc's, of a filesystem that knows no flags; and one that removes nothing, if it is asked to. */
static int rename_error;
static bool no_unlink;

int __real_renameat2(int from_folder, const char *from, int to_folder, const char *to, unsigned flags);
int __wrap_renameat2(int from_folder, const char *from, int to_folder, const char *to, unsigned flags);
int __wrap_renameat2(int from_folder, const char *from, int to_folder, const char *to, unsigned flags)
{
	errno = rename_error;
	return rename_error ? -1 : __real_renameat2(from_folder, from, to_folder, to, flags);
}

int __real_unlink(const char *path);
int __wrap_unlink(const char *path);
int __wrap_unlink(const char *path)
{
	if (no_unlink) {
		no_unlink = false;
		errno = EROFS;
		return -1;
	}
	return __real_unlink(path);
}

static void test_endless_path(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(folder_check(endless), -ENAMETOOLONG);
	assert_int_equal(folder_sync(endless), -ENAMETOOLONG);
	assert_false(folder_same(endless, endless));
	assert_false(folder_same(fixture->store, endless));
}

static void test_same(void **state)
{
	struct fixture *fixture = *state;
	const char *other = fixture_path(fixture, "other"), *link = fixture_path(fixture, "link");

	assert_int_equal(mkdir(other, 0700), 0);
	assert_int_equal(symlink(".", link), 0);
	assert_true(folder_same(fixture->store, fixture_path(fixture, "x"))); /* neither has to be there */
	assert_true(folder_same(fixture->store, fixture_path(fixture, "link/x")));
	assert_true(folder_same(fixture_path(fixture, "other/../x"), fixture->store));
	assert_false(folder_same(fixture->store, fixture_path(fixture, "other/x")));
	assert_false(folder_same(fixture->store, "/proc/self")); /* on another disk */
	assert_false(folder_same(fixture->store, fixture_path(fixture, "none/x")));
	assert_false(folder_same(fixture_path(fixture, "none/x"), fixture->store));
	assert_int_equal(rmdir(other), 0);
	assert_int_equal(unlink(link), 0);
}

static void test_sync_of_no_folder(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(folder_sync(fixture->store), 0);
	assert_int_equal(folder_sync(fixture_path(fixture, "none/x")), -ENOENT);
	fixture_write(fixture->store, "x", 1, 0600);
	assert_int_equal(folder_sync(fixture_path(fixture, "s.hush/x")), -ENOTDIR);
}

/* A name is given or not, and never taken from another file. */
static void test_place(void **state)
{
	static const int errors[] = {0, EINVAL, ENOSYS};
	struct fixture *fixture = *state;
	const char *from = fixture_path(fixture, "from"), *to = fixture_path(fixture, "to");
	uint8_t *bytes;
	size_t size;

	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		rename_error = errors[i];
		fixture_write(from, "new", 3, 0600);
		assert_int_equal(folder_place(from, to), 0);
		assert_int_equal(access(from, F_OK), -1);
		fixture_write(from, "newer", 5, 0600);
		assert_int_equal(folder_place(from, to), -EEXIST);
		bytes = fixture_read(to, &size);
		assert_int_equal(size, 3);
		free(bytes);
		assert_int_equal(unlink(to), 0);
		if (errors[i]) {
			no_unlink = true;
			assert_int_equal(folder_place(from, to), -EROFS);
			assert_int_equal(access(from, F_OK), 0);
			assert_int_equal(access(to, F_OK), -1);
		}
		assert_int_equal(unlink(from), 0);
	}
	rename_error = EIO;
	fixture_write(from, "new", 3, 0600);
	assert_int_equal(folder_place(from, to), -EIO);
	assert_int_equal(access(to, F_OK), -1);
	rename_error = EINVAL;
	fixture_make(fixture); /* as store_create makes it */
	rename_error = 0;
	assert_int_equal(access(fixture->store, F_OK), 0);
}

static void test_give(void **state)
{
	struct fixture *fixture = *state;
	const char *like = fixture_path(fixture, "like"), *path = fixture_path(fixture, "given");
	struct stat st;

	fixture_write(path, "x", 1, 0600);
	assert_int_equal(folder_give(path, like), -ENOENT);
	fixture_write(like, "y", 1, 0640);
	assert_int_equal(folder_give(fixture_path(fixture, "none"), like), -ENOENT);
	no_fchown = true;
	assert_int_equal(folder_give(path, like), -EPERM);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600); /* nor is it opened to others */
	no_fchown = false;
	assert_int_equal(folder_give(path, like), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {TEST(test_endless_path), TEST(test_same), TEST(test_sync_of_no_folder), TEST(test_place), TEST(test_give)};

	memset(endless, 'x', sizeof(endless) - 1);
	return cmocka_run_group_tests(tests, fixture_group_setup, fixture_group_teardown);
}
