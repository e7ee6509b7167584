/* SPDX-License-Identifier: Apache-2.0
 * test_scratch: files in memory with names that no resource can have, and secrets that are set aside.
 */
#include "fs/aside.h"
#include "fs/scratch.h"
#include "tests/unit/cmocka_all.h"
#include "tests/unit/fixture.h"

#include <errno.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define FOLDER 99
#define BYTES 100000
#define MAX_FILE 99900

static const struct record_attributes attributes = {.uid = 1000, .gid = 1001, .mode = 0640};

static struct scratch_place at(const char *name, uid_t uid)
{
	return (struct scratch_place){.parent = FOLDER, .name = name, .uid = uid};
}

/* A file of uid 1000 with this text. */
static uint64_t made(struct scratch *scratch, const char *name, const char *text)
{
	const struct scratch_place place = at(name, 1000);
	uint64_t ino;

	assert_int_equal(scratch_put(scratch, &place, &attributes, NULL, &ino), 0);
	assert_int_equal(scratch_write(scratch, ino, text, strlen(text), 0, false), 0);
	return ino;
}

static uint64_t find(struct scratch *scratch, const char *name, uid_t uid)
{
	const struct scratch_place place = at(name, uid);
	uint64_t ino;

	return scratch_find(scratch, &place, &ino) == 0 ? ino : 0;
}

static bool holds(struct scratch *scratch, uint64_t ino, const char *text)
{
	SECBUF_AUTO bytes = {0};

	return scratch_read(scratch, ino, 0, 1000, &bytes) == 0 && bytes.size == strlen(text) &&
	       (bytes.size == 0 || memcmp(bytes.data, text, bytes.size) == 0);
}

static size_t files(struct scratch *scratch)
{
	size_t count, bytes;

	scratch_usage(scratch, &count, &bytes);
	return count;
}

static size_t bytes_used(struct scratch *scratch)
{
	size_t count, bytes;

	scratch_usage(scratch, &count, &bytes);
	return bytes;
}

static void test_bytes(void **state)
{
	struct scratch *scratch = scratch_new(BYTES, MAX_FILE, 3600);
	uint64_t ino = made(scratch, "A", "hello");
	struct stat st;

	(void)state;
	assert_true(holds(scratch, ino, "hello"));
	assert_int_equal(scratch_write(scratch, ino, "y", 1, 6, false), 0);
	assert_int_equal(scratch_attributes(scratch, ino, &st), 0);
	assert_int_equal(st.st_size, 7);
	assert_int_equal(scratch_write(scratch, ino, "z", 1, 0, true), 0);
	assert_int_equal(scratch_resize(scratch, ino, 5), 0);
	assert_true(holds(scratch, ino, "hello"));
	assert_int_equal(scratch_resize(scratch, ino, 8), 0);
	assert_int_equal(scratch_resize(scratch, ino, 6), 0);
	assert_int_equal(scratch_write(scratch, ino, "!", 1, 5, false), 0);
	assert_true(holds(scratch, ino, "hello!"));
	assert_int_equal(scratch_extend(scratch, ino, 3), 0);
	assert_true(holds(scratch, ino, "hello!"));
	assert_int_equal(scratch_extend(scratch, ino, 100), 0);
	assert_int_equal(bytes_used(scratch), 100);
	assert_int_equal(scratch_read(scratch, 12345, 0, 1, NULL), -ENOENT);
	assert_int_equal(scratch_write(scratch, 12345, "x", 1, 0, false), -ENOENT);
	scratch_free(scratch);
}

static void test_who_finds_it(void **state)
{
	struct scratch *scratch = scratch_new(BYTES, MAX_FILE, 3600);
	const struct scratch_place theirs = at("A", 2000), elsewhere = {.parent = 98, .name = "A", .uid = 1000};
	uint64_t mine = made(scratch, "A", "mine"), other, third;
	struct tree_entry entry;

	(void)state;
	assert_int_equal(find(scratch, "A", 2000), 0);
	assert_int_equal(scratch_next(scratch, FOLDER, 2000, 0, &entry), -ENOENT);
	assert_int_equal(scratch_put(scratch, &theirs, &attributes, NULL, &other), 0);
	assert_int_equal(scratch_put(scratch, &elsewhere, &attributes, NULL, &third), 0);
	assert_true(mine != other && other != third);
	assert_true(holds(scratch, mine, "mine") && holds(scratch, other, ""));
	assert_int_equal(find(scratch, "A", 1000), mine);
	assert_int_equal(find(scratch, "A", 2000), other);
	assert_int_equal(scratch_next(scratch, FOLDER, 1000, 0, &entry), 0);
	assert_string_equal(entry.name, "A");
	assert_int_equal(entry.attributes.st_ino, mine);
	assert_int_equal(scratch_next(scratch, FOLDER, 1000, entry.offset, &entry), -ENOENT);
	scratch_drop_folder(scratch, FOLDER);
	assert_int_equal(files(scratch), 1);
	assert_int_equal(scratch_unlink(scratch, &elsewhere), 0);
	assert_int_equal(scratch_unlink(scratch, &elsewhere), -ENOENT);
	assert_int_equal(bytes_used(scratch), 0);
	scratch_free(scratch);
}

static void test_attributes(void **state)
{
	struct scratch *scratch = scratch_new(BYTES, MAX_FILE, 3600);
	uint64_t ino = made(scratch, "A", "x");
	const struct record_attributes to = {.uid = 7, .gid = 8, .mode = 01755, .mtime = {77, 5}};
	struct stat st;

	(void)state;
	assert_int_equal(scratch_attributes(scratch, ino, &st), 0);
	assert_int_equal(st.st_mode, S_IFREG | S_ISVTX | 0640);
	assert_true(st.st_uid == 1000 && st.st_gid == 1001 && st.st_nlink == 1 && st.st_mtime > 1600000000);
	assert_int_equal(scratch_set_attributes(scratch, ino, RECORD_SET_UID | RECORD_SET_MODE | RECORD_SET_MTIME, &to), 0);
	assert_int_equal(scratch_attributes(scratch, ino, &st), 0);
	assert_int_equal(st.st_mode, S_IFREG | S_ISVTX | 0755);
	assert_true(st.st_uid == 7 && st.st_gid == 1001 && st.st_mtime == 77 && st.st_ctime > 1600000000);
	assert_int_equal(find(scratch, "A", 1000), ino); /* whose it is does not change who made it */
	scratch_free(scratch);
}

static void test_bounds(void **state)
{
	struct scratch *scratch = scratch_new(BYTES, MAX_FILE, 3600);
	struct scratch_place place = at("", 1000);
	SECBUF_AUTO large = {0};
	char name[32];
	uint64_t ino;

	(void)state;
	for (int i = 0; i < SCRATCH_FILES; i++) {
		snprintf(name, sizeof(name), "F%d", i);
		made(scratch, name, "x");
	}
	place.name = "G";
	assert_int_equal(scratch_put(scratch, &place, &attributes, NULL, &ino), -ENOSPC);
	place.name = "F3"; /* one that replaces another takes no more room */
	assert_int_equal(scratch_put(scratch, &place, &attributes, NULL, &ino), 0);
	assert_int_equal(scratch_write(scratch, ino, "y", 1, MAX_FILE, false), -EFBIG);
	assert_int_equal(scratch_resize(scratch, ino, UINT64_MAX - 5), -EFBIG);
	assert_int_equal(scratch_write(scratch, ino, "y", 1, MAX_FILE - 1, false), -ENOSPC);
	assert_int_equal(scratch_resize(scratch, ino, BYTES - SCRATCH_FILES + 1), 0);
	assert_int_equal(scratch_write(scratch, find(scratch, "F4", 1000), "z", 1, 0, true), -ENOSPC);
	assert_true(holds(scratch, find(scratch, "F4", 1000), "x"));
	assert_int_equal(secbuf_resize(&large, 100), 0);
	assert_int_equal(scratch_put(scratch, &place, &attributes, &large, &ino), -ENOSPC);
	assert_int_equal(large.size, 100); /* still the caller's */
	assert_int_equal(scratch_unlink(scratch, &place), 0);
	assert_int_equal(scratch_put(scratch, &place, &attributes, &large, &ino), 0);
	assert_int_equal(large.size, 0);
	assert_int_equal(bytes_used(scratch), 100 + SCRATCH_FILES - 1);
	scratch_free(scratch);
}

static void test_open_ones_live_on(void **state)
{
	struct scratch *scratch = scratch_new(BYTES, MAX_FILE, 3600);
	const struct scratch_place place = at("A", 1000);
	uint64_t ino = made(scratch, "A", "old"), replacing;
	struct stat st;

	(void)state;
	assert_int_equal(scratch_open(scratch, ino), 0);
	assert_int_equal(scratch_open(scratch, ino), 0);
	assert_int_equal(scratch_unlink(scratch, &place), 0);
	assert_int_equal(find(scratch, "A", 1000), 0);
	replacing = made(scratch, "A", "new");
	assert_int_equal(scratch_write(scratch, ino, "er", 2, 0, true), 0);
	assert_true(holds(scratch, ino, "older") && holds(scratch, replacing, "new"));
	assert_int_equal(scratch_attributes(scratch, ino, &st), 0);
	assert_int_equal(st.st_nlink, 0);
	scratch_release(scratch, ino);
	assert_true(holds(scratch, ino, "older"));
	scratch_release(scratch, ino);
	assert_int_equal(scratch_attributes(scratch, ino, &st), -ENOENT);
	assert_int_equal(scratch_open(scratch, ino), -ENOENT);
	assert_int_equal(files(scratch), 1);
	scratch_free(scratch);
}

static void test_rename(void **state)
{
	struct scratch *scratch = scratch_new(BYTES, MAX_FILE, 3600);
	const struct scratch_place a = at("A", 1000), none = at("N", 1000);
	uint64_t ino = made(scratch, "A", "a");

	(void)state;
	made(scratch, "B", "b");
	assert_int_equal(scratch_rename(scratch, &none, "B", false), -ENOENT);
	assert_int_equal(scratch_rename(scratch, &a, "B", true), -EEXIST);
	assert_int_equal(scratch_rename(scratch, &a, "A", false), 0);
	assert_int_equal(scratch_rename(scratch, &a, "B", false), 0);
	assert_int_equal(find(scratch, "A", 1000), 0);
	assert_int_equal(find(scratch, "B", 1000), ino);
	assert_true(holds(scratch, ino, "a") && files(scratch) == 1);
	scratch_free(scratch);
}

static void test_becoming_a_resource(void **state)
{
	struct scratch *scratch = scratch_new(BYTES, MAX_FILE, 3600);
	uint64_t ino = made(scratch, "A", "one");
	struct store_op op = {.name = fixture_secret("default", "web"), .ret_created = 42};
	struct name name;

	(void)state;
	assert_int_equal(scratch_open(scratch, ino), 0);
	assert_int_equal(scratch_commit(scratch, ino, &op), 0);
	assert_int_equal(op.value.size, 3);
	assert_memory_equal(op.value.data, "one", 3);
	assert_int_equal(op.set, RECORD_SET_UID | RECORD_SET_GID | RECORD_SET_MODE | RECORD_SET_ACL);
	assert_true(op.attributes[0].mode == 0640 && op.attributes[0].uid == 1000 && op.only_created == 0);
	assert_int_equal(find(scratch, "A", 1000), ino); /* until it is on disk */
	assert_false(scratch_is_ahead(scratch, ino, &name));
	scratch_committed(scratch, ino, &op);
	assert_int_equal(find(scratch, "A", 1000), 0);
	assert_false(scratch_is_ahead(scratch, ino, &name));
	secbuf_deinit(&op.value);

	/* who has it open writes on */
	assert_int_equal(scratch_write(scratch, ino, "+", 1, 0, true), 0);
	assert_true(scratch_is_ahead(scratch, ino, &name) && name_equal(&name, &op.name));
	assert_int_equal(scratch_commit(scratch, ino, &op), 0);
	assert_int_equal(op.value.size, 4);
	assert_int_equal(op.only_created, 42);
	scratch_committed(scratch, ino, &op);
	assert_false(scratch_is_ahead(scratch, ino, &name));
	secbuf_deinit(&op.value);

	/* and is killed */
	assert_int_equal(scratch_write(scratch, ino, "-", 1, 0, true), 0);
	scratch_abandon(scratch, ino);
	assert_false(scratch_is_ahead(scratch, ino, &name));
	scratch_release(scratch, ino);
	assert_int_equal(files(scratch), 0);
	assert_int_equal(scratch_commit(scratch, ino, &op), -ENOENT);
	scratch_free(scratch);
}

static void test_age(void **state)
{
	struct scratch *scratch = scratch_new(BYTES, MAX_FILE, 2);
	uint64_t open;
	int wait;

	(void)state;
	assert_int_equal(scratch_tend(scratch), -1); /* nothing to wait for: no wake-ups */
	made(scratch, "A", "lies");
	open = made(scratch, "B", "open");
	assert_int_equal(scratch_open(scratch, open), 0);
	wait = scratch_tend(scratch);
	assert_in_range(wait, 1000, 2100);
	usleep(((unsigned)wait + 100) * 1000);
	assert_int_equal(scratch_tend(scratch), -1);
	assert_int_equal(find(scratch, "A", 1000), 0);
	assert_int_equal(find(scratch, "B", 1000), open);
	scratch_release(scratch, open);
	assert_in_range(scratch_tend(scratch), 1000, 2100); /* from its last use on */
	scratch_free(scratch);
}

static void test_aside(void **state)
{
	struct aside aside = {0};
	pid_t ended = fork();

	(void)state;
	if (ended == 0)
		_exit(0);
	waitpid(ended, NULL, 0);
	aside_put(&aside, getpid(), 7, 100);
	aside_put(&aside, getppid(), 8, 100);
	aside_put(&aside, ended, 9, 100);
	assert_int_equal(aside.n, 3);
	assert_true(aside_has(&aside, getpid(), 7, 100));
	assert_false(aside_has(&aside, getpid(), 8, 100));
	assert_false(aside_has(&aside, getppid(), 7, 100));
	assert_int_equal(aside.n, 2); /* who has ended needs none */
	assert_false(aside_has(&aside, getpid(), 7, 101)); /* somebody has made it anew */
	assert_false(aside_has(&aside, getpid(), 7, 100));
	aside_drop(&aside, getppid(), 8);
	assert_int_equal(aside.n, 0);
	aside_put(&aside, 0, 7, 1); /* a process that is not known */
	assert_int_equal(aside.n, 0);
	for (uint64_t ino = 1; ino <= ASIDE_NAMES + 2; ino++)
		aside_put(&aside, getpid(), ino, ino);
	assert_int_equal(aside.n, ASIDE_NAMES);
	assert_false(aside_has(&aside, getpid(), 2, 2));
	assert_true(aside_has(&aside, getpid(), 3, 3) && aside_has(&aside, getpid(), ASIDE_NAMES + 2, ASIDE_NAMES + 2));
	aside_put(&aside, getpid(), 3, 5); /* again: once is enough */
	assert_true(aside_has(&aside, getpid(), 3, 5));
	aside_drop(&aside, getpid(), 3);
	assert_false(aside_has(&aside, getpid(), 3, 5));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bytes),      cmocka_unit_test(test_who_finds_it),
		cmocka_unit_test(test_attributes), cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_open_ones_live_on),
		cmocka_unit_test(test_rename),     cmocka_unit_test(test_becoming_a_resource),
		cmocka_unit_test(test_age),        cmocka_unit_test(test_aside),
	};

	return cmocka_run_group_tests(tests, fixture_group_setup, fixture_group_teardown);
}
