/* SPDX-License-Identifier: Apache-2.0
 * test_kept: what the kernel is told that it may keep, and when it is told to let go.
 */
#include "fs/kept.h"

#include "fs/node.h"
#include "tests/unit/cmocka_all.h"
#include "tests/unit/fixture.h"
#include "tests/unit/kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define STAGED (1024u * 1024)
#define LONG ((uint64_t)KEPT_SECONDS)

struct played {
	void *fixture;
	struct kernel *kernel;
	uint64_t secrets; /* the node of /meshes/default/secrets */
	int fd;
	struct ledger *ledger;
};

static int setup(void **state)
{
	struct played *f = calloc(1, sizeof(*f));

	if (fixture_setup(&f->fixture) != 0)
		return -1;
	fixture_make(f->fixture);
	f->kernel = kernel_start(fixture_open(f->fixture, 2, 1 << 20), STAGED);
	fixture_must(ledger_make(&f->fd) == 0 && ledger_open(f->fd, &f->ledger) == 0);
	f->secrets = kernel_walk(f->kernel, "meshes/default/secrets");
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct played *f = *state;
	int r;

	kernel_stop(f->kernel);
	ledger_free(f->ledger);
	close(f->fd);
	r = fixture_teardown(&f->fixture);
	free(f);
	return r;
}

/* For how long the kernel is to keep a name and its attributes. */
static void assert_kept(struct played *f, uint64_t folder, const char *name, uint64_t entry_seconds, uint64_t attr_seconds)
{
	struct fuse_entry_out entry;
	const struct fuse_getattr_in in = {0};
	struct fuse_attr_out out;

	assert_int_equal(kernel_lookup(f->kernel, folder, name, &entry), 0);
	assert_int_equal(entry.entry_valid, entry_seconds);
	assert_int_equal(entry.attr_valid, attr_seconds);
	assert_int_equal(entry.entry_valid_nsec + entry.attr_valid_nsec, 0);
	assert_int_equal(kernel_call(f->kernel, FUSE_GETATTR, entry.nodeid, &in, sizeof(in), NULL, 0), 0);
	memcpy(&out, f->kernel->answer, sizeof(out));
	assert_int_equal(out.attr_valid, attr_seconds);
}

/* Was the kernel told since the last time to drop the attributes of @ino, or (@name) that name in it? */
static bool was_told(struct played *f, uint64_t ino, const char *name)
{
	for (size_t i = 0; i < f->kernel->n_notices; i++)
		if (f->kernel->notices[i].ino == ino && strcmp(f->kernel->notices[i].name, name) == 0)
			return true;
	return false;
}

static void listen_anew(struct played *f)
{
	f->kernel->n_notices = 0;
}

static void test_what_is_kept(void **state)
{
	struct played *f = *state;

	assert_int_equal(kernel_put(f->kernel, f->secrets, "a", "value"), 0);
	assert_kept(f, f->secrets, "a", LONG, LONG);
	assert_kept(f, NODE_ROOT, "meshes", LONG, LONG);
	assert_kept(f, NODE_ROOT, "global", LONG, LONG);
	assert_kept(f, kernel_walk(f->kernel, "meshes"), "default", LONG, LONG);
	assert_kept(f, kernel_walk(f->kernel, "meshes/default"), "secrets", LONG, LONG);
	assert_kept(f, kernel_walk(f->kernel, "meshes/default"), "mesh.yaml", LONG, LONG);
	assert_kept(f, NODE_ROOT, ".hush", 0, 0);
	assert_kept(f, kernel_walk(f->kernel, ".hush"), "status", 0, 0);
	assert_int_equal(kernel_put(f->kernel, f->secrets, ".a.swp", "scratch"), 0);
	assert_kept(f, f->secrets, ".a.swp", 0, 0);
}

/* The timeouts of each entry of a listing. */
static void test_listing(void **state)
{
	struct played *f = *state;
	const struct fuse_read_in in = {.size = 4096};
	struct fuse_entry_out entry;
	uint64_t node, handle;

	assert_int_equal(kernel_put(f->kernel, f->secrets, "a", "value"), 0);
	assert_int_equal(kernel_put(f->kernel, f->secrets, "b", "value"), 0);
	node = kernel_walk(f->kernel, "meshes/default/secrets/a");
	assert_int_equal(kernel_open(f->kernel, node, O_WRONLY, &handle), 0);
	assert_int_equal(kernel_call(f->kernel, FUSE_READDIRPLUS, f->secrets, &in, sizeof(in), NULL, 0), 0);
	for (size_t at = 0, i = 0; at < f->kernel->answer_size; i++) {
		struct fuse_dirent dirent;

		memcpy(&entry, f->kernel->answer + at, sizeof(entry));
		memcpy(&dirent, f->kernel->answer + at + sizeof(entry), sizeof(dirent));
		at += sizeof(entry) + FUSE_DIRENT_ALIGN(FUSE_NAME_OFFSET + dirent.namelen);
		if (i >= 2)
			assert_int_equal(entry.entry_valid, dirent.ino == node ? 0 : LONG);
		if (i >= 2)
			assert_int_equal(entry.attr_valid, dirent.ino == node ? 0 : LONG);
	}
	assert_int_equal(kernel_release(f->kernel, node, handle), 0);
}

static void test_open_to_write(void **state)
{
	struct played *f = *state;
	uint64_t node, handle, second;

	assert_int_equal(kernel_put(f->kernel, f->secrets, "a", "value"), 0);
	node = kernel_walk(f->kernel, "meshes/default/secrets/a");
	listen_anew(f);
	assert_int_equal(kernel_open(f->kernel, node, O_WRONLY, &handle), 0);
	assert_true(was_told(f, node, ""));
	assert_kept(f, f->secrets, "a", 0, 0);
	assert_int_equal(kernel_open(f->kernel, node, O_WRONLY, &second), 0);
	assert_int_equal(kernel_release(f->kernel, node, handle), 0);
	assert_kept(f, f->secrets, "a", 0, 0);
	assert_int_equal(kernel_release(f->kernel, node, second), 0);
	assert_kept(f, f->secrets, "a", LONG, LONG);
}

static void test_changes(void **state)
{
	struct played *f = *state;
	const struct fuse_setattr_in mode = {.valid = FATTR_MODE, .mode = S_IFREG | 0640};
	uint64_t mesh = kernel_walk(f->kernel, "meshes/default"), yaml = kernel_walk(f->kernel, "meshes/default/mesh.yaml");
	uint64_t meshes = kernel_walk(f->kernel, "meshes"), global = kernel_walk(f->kernel, "global");
	uint64_t node, other, handle;

	listen_anew(f);
	assert_int_equal(kernel_put(f->kernel, f->secrets, "a", "value"), 0);
	node = kernel_walk(f->kernel, "meshes/default/secrets/a");
	assert_true(was_told(f, f->secrets, "") && was_told(f, mesh, "") && was_told(f, yaml, ""));

	listen_anew(f);
	assert_int_equal(kernel_open(f->kernel, node, O_WRONLY, &handle), 0);
	assert_true(was_told(f, node, ""));
	assert_int_equal(kernel_write(f->kernel, node, handle, 0, 0, "longer value", 12), 0);
	listen_anew(f);
	assert_int_equal(kernel_flush(f->kernel, node, handle), 0);
	assert_false(was_told(f, node, "")); /* of which it has nothing since */
	assert_false(was_told(f, f->secrets, "")); /* nothing came or went there */
	assert_int_equal(kernel_release(f->kernel, node, handle), 0);
	assert_kept(f, f->secrets, "a", LONG, LONG);

	listen_anew(f);
	assert_int_equal(kernel_setattr(f->kernel, node, &mode, NULL), 0);
	assert_true(was_told(f, node, ""));
	assert_false(was_told(f, f->secrets, ""));

	listen_anew(f);
	assert_int_equal(kernel_rename(f->kernel, f->secrets, "a", f->secrets, "b", 0), 0);
	other = kernel_walk(f->kernel, "meshes/default/secrets/b");
	assert_true(was_told(f, node, "") && was_told(f, other, "") && was_told(f, f->secrets, ""));

	listen_anew(f);
	assert_int_equal(kernel_name(f->kernel, FUSE_UNLINK, f->secrets, "b"), 0);
	assert_true(was_told(f, other, "") && was_told(f, f->secrets, ""));

	listen_anew(f);
	assert_int_equal(kernel_put(f->kernel, global, "g", "value"), 0);
	assert_true(was_told(f, global, "") && !was_told(f, f->secrets, ""));

	listen_anew(f);
	assert_int_equal(kernel_mkdir(f->kernel, meshes, "new"), 0);
	assert_true(was_told(f, meshes, "") && was_told(f, kernel_walk(f->kernel, "meshes/new/secrets"), ""));
	listen_anew(f);
	assert_int_equal(kernel_name(f->kernel, FUSE_RMDIR, kernel_walk(f->kernel, "meshes/new"), "secrets"), 0);
	assert_true(was_told(f, kernel_walk(f->kernel, "meshes/new"), "")); /* which has a link less */
	listen_anew(f);
	assert_int_equal(kernel_setattr(f->kernel, NODE_ROOT, &mode, NULL), 0);
	assert_true(was_told(f, NODE_ROOT, ""));
}

static void test_an_older_version_is_open(void **state)
{
	struct played *f = *state;
	uint64_t node, handle;

	assert_int_equal(kernel_put(f->kernel, f->secrets, "a", "value"), 0);
	node = kernel_walk(f->kernel, "meshes/default/secrets/a");
	assert_int_equal(kernel_open(f->kernel, node, O_RDONLY, &handle), 0);
	assert_kept(f, f->secrets, "a", LONG, LONG);
	assert_int_equal(kernel_put(f->kernel, f->secrets, "a", "longer value"), 0);
	assert_kept(f, f->secrets, "a", LONG, 0);
	assert_int_equal(kernel_release(f->kernel, node, handle), 0);
	assert_kept(f, f->secrets, "a", LONG, LONG);
}

/* What one process does not find is not the same for everybody. */
static void test_aside(void **state)
{
	struct played *f = *state;

	assert_int_equal(kernel_put(f->kernel, f->secrets, "a", "value"), 0);
	assert_int_equal(kernel_put(f->kernel, f->secrets, "b", "value"), 0);
	assert_int_equal(kernel_rename(f->kernel, f->secrets, "a", f->secrets, "a~", 0), 0);
	assert_kept(f, f->secrets, "b", 0, 0);
	assert_int_equal(kernel_put(f->kernel, f->secrets, "a", "another"), 0);
	assert_kept(f, f->secrets, "b", LONG, LONG);
}

/* The next worker goes on with the same ledger. */
static void next_ledger(struct played *f)
{
	ledger_free(f->ledger);
	fixture_must(ledger_open(f->fd, &f->ledger) == 0);
	f->kernel->context.ledger = f->ledger;
}

static void test_rename(void **state)
{
	struct played *f = *state;

	f->kernel->context.ledger = f->ledger;
	assert_int_equal(kernel_put(f->kernel, f->secrets, "a", "value"), 0);
	assert_kept(f, f->secrets, "a", LONG, LONG);
	assert_int_equal(kernel_rename(f->kernel, f->secrets, "a", f->secrets, "b", 0), -ESTALE);
	/* who asks as well, without having looked it up since, is told the same */
	assert_int_equal(kernel_rename(f->kernel, f->secrets, "a", f->secrets, "c", 0), -ESTALE);
	next_ledger(f);
	assert_kept(f, f->secrets, "a", 0, LONG);
	next_ledger(f);
	assert_int_equal(kernel_rename(f->kernel, f->secrets, "a", f->secrets, "b", 0), 0);
	assert_kept(f, f->secrets, "b", LONG, LONG);
	/* it is one that is renamed: the next time it is not asked twice */
	assert_int_equal(kernel_put(f->kernel, f->secrets, "a", "value"), 0);
	assert_kept(f, f->secrets, "a", 0, LONG);
	assert_int_equal(kernel_rename(f->kernel, f->secrets, "a", f->secrets, "b", 0), 0);
	assert_true(kernel_holds(f->kernel, f->secrets, "b", "value"));
	/* what is not there, or can't be renamed, is said at once */
	assert_int_equal(kernel_rename(f->kernel, f->secrets, "a", f->secrets, "b", 0), -ENOENT);
	assert_int_equal(kernel_rename(f->kernel, f->secrets, "b", kernel_walk(f->kernel, "global"), "b", 0), -EXDEV);
}

/* Also when so many were renamed that it is forgotten. */
static void test_many_renames(void **state)
{
	struct played *f = *state;
	struct ledger *ledger = f->ledger;

	for (uint64_t ino = 1; ino < 20 * LEDGER_RENAMES; ino++) {
		assert_false(ledger_renaming(ledger, ino));
		assert_true(ledger_is_renamed(ledger, ino));
		assert_false(ledger_renaming(ledger, ino));
		ledger_looked_up(ledger, ino);
		assert_true(ledger_renaming(ledger, ino));
	}
	ledger_looked_up(ledger, 1);
	assert_false(ledger_is_renamed(ledger, 1));
	assert_false(ledger_renaming(ledger, 1));
	assert_true(ledger_renaming(NULL, 1));
	assert_false(ledger_is_renamed(NULL, 1));
}

/* Through a control file: what is removed is let go of before. */
static void control(struct played *f, const char *file, const char *text)
{
	uint64_t node = kernel_walk(f->kernel, file), handle;

	assert_int_equal(kernel_open(f->kernel, node, O_WRONLY, &handle), 0);
	assert_int_equal(kernel_write(f->kernel, node, handle, 0, 0, text, (uint32_t)strlen(text)), 0);
	listen_anew(f);
	assert_int_equal(kernel_flush(f->kernel, node, handle), 0);
	assert_int_equal(kernel_release(f->kernel, node, handle), 0);
}

static void test_control_files(void **state)
{
	struct played *f = *state;
	uint64_t meshes = kernel_walk(f->kernel, "meshes"), mesh, node, secrets;

	f->kernel->uid = 1000;
	control(f, ".hush/apply", "type: Mesh\nname: m\n---\ntype: Secret\nmesh: m\nname: a\ndata: YQ==\n");
	mesh = kernel_walk(f->kernel, "meshes/m");
	secrets = kernel_walk(f->kernel, "meshes/m/secrets");
	node = kernel_walk(f->kernel, "meshes/m/secrets/a");
	assert_true(was_told(f, meshes, "") && was_told(f, node, "") && was_told(f, secrets, ""));
	assert_kept(f, secrets, "a", LONG, LONG);
	control(f, ".hush/delete", "secret m a\nmesh m\n");
	assert_true(was_told(f, secrets, "a") && was_told(f, mesh, "secrets") && was_told(f, mesh, "mesh.yaml") &&
		    was_told(f, meshes, "m"));
	assert_true(was_told(f, meshes, "") && was_told(f, node, ""));
	assert_kept(f, NODE_ROOT, "meshes", LONG, LONG);
	control(f, ".hush/apply", "type: GlobalSecret\nname: g\ndata: YQ==\n");
	control(f, ".hush/delete", "global-secret g\n");
	assert_true(was_told(f, kernel_walk(f->kernel, "global"), "g"));
}

/* Names and attributes that may change at any moment are not kept meanwhile. */
static void test_holds(void **state)
{
	struct played *f = *state;
	struct kept *kept = &f->kernel->context.kept;
	const struct name name = fixture_secret("default", "a");
	unsigned turn = kept_turn(kept);

	assert_int_equal(kernel_put(f->kernel, f->secrets, "a", "value"), 0);
	kept_hide(kept, &name);
	assert_kept(f, f->secrets, "a", 0, 0);
	assert_true(was_told(f, f->secrets, "a"));
	kept_show(kept, &name);
	assert_kept(f, f->secrets, "a", LONG, LONG);
	/* and not what was looked up before */
	assert_false(kept_may(kept, turn, kernel_walk(f->kernel, "meshes/default/secrets/a")));
	kept_hold(NULL, 1);
	kept_release(NULL, 1);
}

/* Two inodes of one bucket: what is dropped for one is not for the other. */
static void test_one_bucket(void **state)
{
	struct played *f = *state;
	struct kept *kept = &f->kernel->context.kept;
	uint64_t node, other = 0, handle;

	assert_int_equal(kernel_put(f->kernel, f->secrets, "a", "value"), 0);
	node = kernel_walk(f->kernel, "meshes/default/secrets/a");
	do
		other += 32;
	while ((other * UINT64_C(0x9e3779b97f4a7c15) ^ node * UINT64_C(0x9e3779b97f4a7c15)) >> 52);
	kept_hold(kept, other);
	assert_kept(f, f->secrets, "a", 0, 0); /* to be on the safe side */
	listen_anew(f);
	assert_int_equal(kernel_open(f->kernel, node, O_WRONLY, &handle), 0);
	assert_true(was_told(f, node, ""));
	kept_release(kept, other);
	listen_anew(f);
	assert_int_equal(kernel_write(f->kernel, node, handle, 0, 0, "longer value", 12), 0);
	assert_int_equal(kernel_flush(f->kernel, node, handle), 0);
	assert_true(was_told(f, node, "")); /* on the safe side again */
	assert_int_equal(kernel_release(f->kernel, node, handle), 0);
	assert_kept(f, f->secrets, "a", LONG, LONG);
}

static void test_another_worker(void **state)
{
	struct played *f = *state;

	assert_int_equal(kernel_put(f->kernel, f->secrets, "a", "value"), 0);
	listen_anew(f);
	kept_drop_all(&f->kernel->context.kept);
	kernel_walk(f->kernel, "meshes/default/secrets/a");
	assert_true(was_told(f, NODE_ROOT, "") && was_told(f, node_make(NODE_GLOBAL, 0), "") && was_told(f, node_make(NODE_MESHES, 0), ""));
	assert_true(was_told(f, f->secrets, "") && was_told(f, kernel_walk(f->kernel, "meshes/default/mesh.yaml"), ""));
	assert_true(was_told(f, kernel_walk(f->kernel, "meshes/default/secrets/a"), ""));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_what_is_kept, setup, teardown),
		cmocka_unit_test_setup_teardown(test_listing, setup, teardown),
		cmocka_unit_test_setup_teardown(test_open_to_write, setup, teardown),
		cmocka_unit_test_setup_teardown(test_changes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_an_older_version_is_open, setup, teardown),
		cmocka_unit_test_setup_teardown(test_aside, setup, teardown),
		cmocka_unit_test_setup_teardown(test_rename, setup, teardown),
		cmocka_unit_test_setup_teardown(test_many_renames, setup, teardown),
		cmocka_unit_test_setup_teardown(test_control_files, setup, teardown),
		cmocka_unit_test_setup_teardown(test_holds, setup, teardown),
		cmocka_unit_test_setup_teardown(test_one_bucket, setup, teardown),
		cmocka_unit_test_setup_teardown(test_another_worker, setup, teardown),
	};

	return cmocka_run_group_tests(tests, fixture_group_setup, fixture_group_teardown);
}
