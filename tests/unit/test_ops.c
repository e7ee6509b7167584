/* SPDX-License-Identifier: Apache-2.0
 * test_ops: the operations, asked by a played kernel.
 */
#include "fs/node.h"
#include "tests/unit/cmocka_all.h"
#include "tests/unit/kernel.h"
#include "tests/unit/fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#define STAGED (1024u * 1024)

struct played {
	void *fixture;
	struct kernel *kernel;
	uint64_t secrets; /* the node of /meshes/default/secrets */
};

static int setup(void **state)
{
	struct played *f = calloc(1, sizeof(*f));

	if (fixture_setup(&f->fixture) != 0)
		return -1;
	fixture_make(f->fixture);
	f->kernel = kernel_start(fixture_open(f->fixture, 2, 1 << 20), STAGED);
	f->secrets = kernel_walk(f->kernel, "meshes/default/secrets");
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct played *f = *state;
	int r;

	kernel_stop(f->kernel);
	r = fixture_teardown(&f->fixture);
	free(f);
	return r;
}

/* As the kernel answers when a connection was aborted. */
static atomic_bool aborted;

ssize_t __real_read(int fd, void *buffer, size_t size);
ssize_t __wrap_read(int fd, void *buffer, size_t size);
ssize_t __wrap_read(int fd, void *buffer, size_t size)
{
	if (aborted) {
		errno = ECONNABORTED;
		return -1;
	}
	return __real_read(fd, buffer, size);
}

/* A worker that ends without a word, and the next one on the same store. */
static void restart(struct played *f)
{
	kernel_stop(f->kernel);
	f->kernel = kernel_start(fixture_open(f->fixture, 2, 1 << 20), STAGED);
}

static void test_init(void **state)
{
	const struct fuse_init_out *init = &((struct played *)*state)->kernel->init;

	assert_int_equal(init->major, 7);
	assert_int_equal(init->max_write, 1024 * 1024); /* the longest value usually, in one piece */
	assert_int_equal(init->time_gran, 1);
	assert_false(init->flags & FUSE_ATOMIC_O_TRUNC);
	assert_false(init->flags & (FUSE_SPLICE_READ | FUSE_SPLICE_WRITE | FUSE_SPLICE_MOVE | FUSE_WRITEBACK_CACHE |
				    FUSE_AUTO_INVAL_DATA));
}

static void test_fixed_nodes(void **state)
{
	struct played *f = *state;
	struct fuse_entry_out entry;
	char names[256];

	assert_int_equal(kernel_walk(f->kernel, "meshes"), node_make(NODE_MESHES, 0));
	assert_int_equal(kernel_walk(f->kernel, "global"), node_make(NODE_GLOBAL, 0));
	assert_int_equal(node_kind(kernel_walk(f->kernel, ".hush/status")), NODE_STATUS);
	assert_int_equal(kernel_lookup(f->kernel, 1, "nothing", NULL), -ENOENT);
	assert_int_equal(kernel_lookup(f->kernel, f->secrets, "UPPER", NULL), -ENOENT);
	assert_int_equal(kernel_lookup(f->kernel, f->secrets, "none", NULL), -ENOENT);
	assert_int_equal(kernel_lookup(f->kernel, kernel_walk(f->kernel, "meshes/default/mesh.yaml"), "x", NULL),
			 -ENOTDIR);
	assert_int_equal(kernel_lookup(f->kernel, 1, "meshes", &entry), 0);
	assert_int_equal(entry.entry_valid, 10);
	assert_int_equal(entry.attr_valid, 10);
	assert_true(S_ISDIR(entry.attr.mode));
	assert_int_equal(kernel_list(f->kernel, 1, 4096, false, names, sizeof(names)), 0);
	assert_string_equal(names, ". .. meshes global ");
	assert_int_equal(kernel_list(f->kernel, kernel_walk(f->kernel, "meshes/default"), 4096, true, names, sizeof(names)),
			 0);
	assert_string_equal(names, ". .. secrets mesh.yaml ");
}

/* Any node and any handle that never was is an error, and nothing worse. */
static void test_impossible_nodes_and_handles(void **state)
{
	struct played *f = *state;
	const struct fuse_setattr_in chmod_in = {.valid = FATTR_MODE, .mode = 0600};
	struct fuse_attr attr;
	uint64_t seed = 1, handle = 0;

	for (int i = 0; i < 2000; i++) {
		uint64_t node = fixture_random(&seed, UINT64_MAX);

		if (node_resource(node) == 0 || node_kind(node) <= NODE_STATUS || node_is_control(node))
			continue;
		if (node_kind(node) == NODE_MESH || node_kind(node) == NODE_SECRETS) /* for all it knows it was removed */
			assert_true(kernel_getattr(f->kernel, node, 0, &attr) == 0 && attr.nlink == 0);
		else
			assert_int_equal(kernel_getattr(f->kernel, node, 0, &attr), -ESTALE);
		assert_int_equal(kernel_open(f->kernel, node, O_RDONLY, &handle), -ENOENT);
		if (node_is_value(node) && node_kind(node) != NODE_MESH_YAML)
			assert_int_equal(kernel_open(f->kernel, node, O_WRONLY, &handle), -ESTALE); /* look it up again */
		assert_int_equal(kernel_setattr(f->kernel, node, &chmod_in, NULL), -ESTALE);
		assert_int_not_equal(kernel_put(f->kernel, node, "name", "x"), 0);
	}
	assert_int_equal(kernel_put(f->kernel, f->secrets, "a", "value"), 0);
	for (int i = 0; i < 500; i++) {
		uint64_t node = kernel_walk(f->kernel, "meshes/default/secrets/a");

		handle = fixture_random(&seed, UINT64_MAX);
		assert_int_equal(kernel_read(f->kernel, node, handle, 0, 100), -EIO);
		assert_int_equal(kernel_write(f->kernel, node, handle, 0, 0, "x", 1), -EIO);
		kernel_flush(f->kernel, node, handle);
		kernel_fsync(f->kernel, node, handle);
		kernel_release(f->kernel, node, handle);
		node = kernel_walk(f->kernel, i % 2 ? ".hush/apply" : ".hush/backup");
		assert_int_equal(kernel_read(f->kernel, node, handle, 0, 100), -EIO);
		assert_int_equal(kernel_write(f->kernel, node, handle, 0, 0, "x", 1), -EIO);
		assert_int_equal(kernel_flush(f->kernel, node, handle), -EIO);
		assert_int_equal(kernel_fsync(f->kernel, node, handle), -EIO);
		kernel_release(f->kernel, node, handle);
	}
	assert_true(kernel_holds(f->kernel, f->secrets, "a", "value"));
	assert_int_equal(kernel_call(f->kernel, 4000, 1, NULL, 0, NULL, 0), -ENOSYS);
}

static void test_listing_in_small_answers(void **state)
{
	struct played *f = *state;
	char whole[4096], small[4096], name[32];

	for (int i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), "name-%02d", i);
		assert_int_equal(kernel_put(f->kernel, f->secrets, name, name), 0);
	}
	assert_int_equal(kernel_list(f->kernel, f->secrets, 65536, false, whole, sizeof(whole)), 0);
	for (int i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), " name-%02d ", i);
		assert_non_null(strstr(whole, name));
	}
	assert_int_equal(strlen(whole), 5 + 100 * 8);
	for (uint32_t size = 40; size < 400; size += 33) {
		assert_int_equal(kernel_list(f->kernel, f->secrets, size, false, small, sizeof(small)), 0);
		assert_string_equal(whole, small);
	}
	assert_int_equal(kernel_list(f->kernel, f->secrets, 200, true, small, sizeof(small)), 0);
	assert_string_equal(whole, small);
	assert_int_equal(kernel_list(f->kernel, kernel_walk(f->kernel, "meshes/default/secrets/name-01"), 100, false, small,
				     sizeof(small)),
			 -ENOTDIR);
}

/* What a shell's redirection does: the first FLUSH comes before anything is written. */
static void test_redirection(void **state)
{
	struct played *f = *state;
	uint64_t node, handle;

	assert_int_equal(kernel_put(f->kernel, f->secrets, "a", "old"), 0);
	node = kernel_walk(f->kernel, "meshes/default/secrets/a");
	assert_int_equal(kernel_open(f->kernel, node, O_WRONLY | O_TRUNC, &handle), 0);
	assert_int_equal(kernel_flush(f->kernel, node, handle), 0);
	assert_true(kernel_holds(f->kernel, f->secrets, "a", "old"));
	assert_int_equal(kernel_write(f->kernel, node, handle, 0, O_WRONLY, "ne", 2), 0);
	assert_int_equal(kernel_write(f->kernel, node, handle, 2, O_WRONLY, "w", 1), 0);
	assert_true(kernel_holds(f->kernel, f->secrets, "a", "old"));
	assert_int_equal(kernel_flush(f->kernel, node, handle), 0);
	assert_true(kernel_holds(f->kernel, f->secrets, "a", "new"));
	assert_int_equal(kernel_release(f->kernel, node, handle), 0);
	assert_true(kernel_holds(f->kernel, f->secrets, "a", "new"));
}

static pid_t start_other_process(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		pause();
		_exit(0);
	}
	return pid;
}

static void end_other_process(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static void test_other_process_does_not_publish(void **state)
{
	struct played *f = *state;
	pid_t other = start_other_process();
	uint64_t node, handle;

	assert_int_equal(kernel_create(f->kernel, f->secrets, "a", O_WRONLY, &node, &handle), 0);
	f->kernel->pid = (uint32_t)other;
	assert_int_equal(kernel_write(f->kernel, node, handle, 0, O_WRONLY, "x", 1), 0);
	assert_int_equal(kernel_flush(f->kernel, node, handle), 0);
	assert_int_equal(kernel_lookup(f->kernel, f->secrets, "a", NULL), -ENOENT);
	f->kernel->pid = (uint32_t)getpid();
	assert_int_equal(kernel_lookup(f->kernel, f->secrets, "a", NULL), 0); /* who makes it finds it */
	f->kernel->pid = (uint32_t)other;
	assert_int_equal(kernel_release(f->kernel, node, handle), 0);
	assert_true(kernel_holds(f->kernel, f->secrets, "a", "x"));

	/* the opener is gone: whoever closes is the last to */
	node = kernel_walk(f->kernel, "meshes/default/secrets/a");
	assert_int_equal(kernel_open(f->kernel, node, O_WRONLY | O_TRUNC, &handle), 0);
	end_other_process(other);
	f->kernel->pid = (uint32_t)getpid();
	assert_int_equal(kernel_write(f->kernel, node, handle, 0, O_WRONLY, "yy", 2), 0);
	assert_int_equal(kernel_flush(f->kernel, node, handle), 0);
	assert_true(kernel_holds(f->kernel, f->secrets, "a", "yy"));
	assert_int_equal(kernel_release(f->kernel, node, handle), 0);
}

static void test_release_publishes_emptiness(void **state)
{
	struct played *f = *state;
	uint64_t node, handle;

	assert_int_equal(kernel_create(f->kernel, f->secrets, "made", O_WRONLY, &node, &handle), 0);
	assert_int_equal(kernel_flush(f->kernel, node, handle), 0);
	assert_int_equal(kernel_release(f->kernel, node, handle), 0);
	assert_true(kernel_holds(f->kernel, f->secrets, "made", ""));
	assert_int_equal(kernel_put(f->kernel, f->secrets, "cut", "value"), 0);
	node = kernel_walk(f->kernel, "meshes/default/secrets/cut");
	assert_int_equal(kernel_open(f->kernel, node, O_WRONLY | O_TRUNC, &handle), 0);
	assert_int_equal(kernel_flush(f->kernel, node, handle), 0);
	assert_int_equal(kernel_release(f->kernel, node, handle), 0);
	assert_true(kernel_holds(f->kernel, f->secrets, "cut", ""));

	/* open(2) was interrupted: nobody ever had a descriptor to close */
	assert_int_equal(kernel_put(f->kernel, f->secrets, "cut", "value"), 0);
	assert_int_equal(kernel_open(f->kernel, node, O_WRONLY | O_TRUNC, &handle), 0);
	assert_int_equal(kernel_release(f->kernel, node, handle), 0);
	assert_true(kernel_holds(f->kernel, f->secrets, "cut", "value"));
	assert_int_equal(kernel_create(f->kernel, f->secrets, "none", O_WRONLY, &node, &handle), 0);
	assert_int_equal(kernel_release(f->kernel, node, handle), 0);
	assert_int_equal(kernel_lookup(f->kernel, f->secrets, "none", NULL), -ENOENT);
}

static void test_append(void **state)
{
	struct played *f = *state;
	uint64_t node, first, second;

	assert_int_equal(kernel_put(f->kernel, f->secrets, "a", "0"), 0);
	node = kernel_walk(f->kernel, "meshes/default/secrets/a");
	assert_int_equal(kernel_open(f->kernel, node, O_WRONLY | O_APPEND, &first), 0);
	assert_int_equal(kernel_open(f->kernel, node, O_RDWR | O_APPEND, &second), 0);
	assert_int_equal(kernel_write(f->kernel, node, first, 1, O_WRONLY | O_APPEND, "1", 1), 0);
	assert_int_equal(kernel_write(f->kernel, node, second, 1, O_RDWR | O_APPEND, "2", 1), 0);
	assert_int_equal(kernel_read(f->kernel, node, second, 0, 100), 0);
	assert_int_equal(f->kernel->answer_size, 2);
	assert_memory_equal(f->kernel->answer, "02", 2);
	assert_int_equal(kernel_flush(f->kernel, node, first), 0);
	assert_int_equal(kernel_flush(f->kernel, node, second), 0);
	assert_true(kernel_holds(f->kernel, f->secrets, "a", "012"));
	assert_int_equal(kernel_write(f->kernel, node, first, 0, O_WRONLY | O_APPEND, "3", 1), 0);
	assert_int_equal(kernel_release(f->kernel, node, first), 0);
	assert_int_equal(kernel_release(f->kernel, node, second), 0);
	assert_true(kernel_holds(f->kernel, f->secrets, "a", "0123"));
}

static void test_refused_write_publishes_nothing(void **state)
{
	struct played *f = *state;
	static char large[200 * 1024];
	uint64_t node, handle, other, other_handle;

	assert_int_equal(kernel_put(f->kernel, f->secrets, "a", "old"), 0);
	node = kernel_walk(f->kernel, "meshes/default/secrets/a");
	assert_int_equal(kernel_open(f->kernel, node, O_WRONLY | O_TRUNC, &handle), 0);
	assert_int_equal(kernel_write(f->kernel, node, handle, 0, O_WRONLY, "x", 1), 0);
	assert_int_equal(kernel_write(f->kernel, node, handle, 1 << 20, O_WRONLY, "x", 1), -EFBIG);
	assert_int_equal(kernel_write(f->kernel, node, handle, UINT64_MAX - 5, O_WRONLY, "x", 1), -EFBIG);
	assert_int_equal(kernel_flush(f->kernel, node, handle), -EFBIG);
	assert_int_equal(kernel_release(f->kernel, node, handle), 0);
	assert_true(kernel_holds(f->kernel, f->secrets, "a", "old"));

	/* the bound on all that is staged */
	assert_int_equal(kernel_open(f->kernel, node, O_WRONLY | O_TRUNC, &handle), 0);
	assert_int_equal(kernel_create(f->kernel, f->secrets, "b", O_WRONLY, &other, &other_handle), 0);
	for (uint64_t at = 0; at < 4 * sizeof(large); at += sizeof(large))
		assert_int_equal(kernel_write(f->kernel, node, handle, at, O_WRONLY, large, sizeof(large)), 0);
	assert_int_equal(kernel_write(f->kernel, other, other_handle, 0, O_WRONLY, large, sizeof(large)), 0);
	assert_int_equal(kernel_write(f->kernel, other, other_handle, sizeof(large), O_WRONLY, large, sizeof(large)),
			 -ENOSPC);
	assert_int_equal(kernel_release(f->kernel, node, handle), 0);
	assert_int_equal(kernel_flush(f->kernel, other, other_handle), -ENOSPC);
	assert_int_equal(kernel_release(f->kernel, other, other_handle), 0);
	assert_int_equal(kernel_lookup(f->kernel, f->secrets, "b", NULL), -ENOENT);
	assert_int_equal(kernel_put(f->kernel, f->secrets, "b", "fits again"), 0);
}

static void test_exclusive(void **state)
{
	struct played *f = *state;
	uint64_t node, first, second;

	assert_int_equal(kernel_create(f->kernel, f->secrets, "a", O_WRONLY | O_EXCL, &node, &first), 0);
	assert_int_equal(kernel_create(f->kernel, f->secrets, "a", O_WRONLY | O_EXCL, &node, &second), -EEXIST);
	assert_int_equal(kernel_create(f->kernel, kernel_walk(f->kernel, "meshes"), "A", O_WRONLY, &node, &second), -EPERM);
	assert_int_equal(kernel_create(f->kernel, 1, "a", O_WRONLY, &node, &second), -EPERM);
	node = kernel_walk(f->kernel, "meshes/default/secrets/a");
	assert_int_equal(kernel_flush(f->kernel, node, first), 0);
	assert_int_equal(kernel_release(f->kernel, node, first), 0);
	assert_int_equal(kernel_create(f->kernel, f->secrets, "a", O_WRONLY | O_EXCL, &node, &second), -EEXIST);
}

static void test_unlink_and_rename_while_open(void **state)
{
	struct played *f = *state;
	uint64_t node, handle;

	/* removed while it is written: it does not come back */
	assert_int_equal(kernel_put(f->kernel, f->secrets, "a", "old"), 0);
	node = kernel_walk(f->kernel, "meshes/default/secrets/a");
	assert_int_equal(kernel_open(f->kernel, node, O_WRONLY | O_TRUNC, &handle), 0);
	assert_int_equal(kernel_write(f->kernel, node, handle, 0, O_WRONLY, "new", 3), 0);
	assert_int_equal(kernel_name(f->kernel, FUSE_UNLINK, f->secrets, "a"), 0);
	assert_int_equal(kernel_flush(f->kernel, node, handle), 0);
	assert_int_equal(kernel_release(f->kernel, node, handle), 0);
	assert_int_equal(kernel_lookup(f->kernel, f->secrets, "a", NULL), -ENOENT);

	/* removed before it was ever published */
	assert_int_equal(kernel_create(f->kernel, f->secrets, "b", O_WRONLY, &node, &handle), 0);
	assert_int_equal(kernel_write(f->kernel, node, handle, 0, O_WRONLY, "x", 1), 0);
	assert_int_equal(kernel_name(f->kernel, FUSE_UNLINK, f->secrets, "b"), 0);
	assert_int_equal(kernel_name(f->kernel, FUSE_UNLINK, f->secrets, "b"), -ENOENT);
	assert_int_equal(kernel_flush(f->kernel, node, handle), 0);
	assert_int_equal(kernel_release(f->kernel, node, handle), 0);
	assert_int_equal(kernel_lookup(f->kernel, f->secrets, "b", NULL), -ENOENT);

	/* renamed while it is written: it goes on under its new name */
	assert_int_equal(kernel_put(f->kernel, f->secrets, "c", "one "), 0);
	node = kernel_walk(f->kernel, "meshes/default/secrets/c");
	assert_int_equal(kernel_open(f->kernel, node, O_WRONLY | O_APPEND, &handle), 0);
	assert_int_equal(kernel_write(f->kernel, node, handle, 0, O_WRONLY | O_APPEND, "two", 3), 0);
	assert_int_equal(kernel_rename(f->kernel, f->secrets, "c", f->secrets, "d", 0), 0);
	assert_int_equal(kernel_release(f->kernel, node, handle), 0);
	assert_true(kernel_holds(f->kernel, f->secrets, "d", "one two"));
	assert_int_equal(kernel_lookup(f->kernel, f->secrets, "c", NULL), -ENOENT);

	/* renamed before it was published: that publishes it */
	assert_int_equal(kernel_create(f->kernel, f->secrets, "e", O_WRONLY, &node, &handle), 0);
	assert_int_equal(kernel_write(f->kernel, node, handle, 0, O_WRONLY, "e", 1), 0);
	assert_int_equal(kernel_rename(f->kernel, f->secrets, "e", f->secrets, "d", 1), -EEXIST);
	assert_int_equal(kernel_rename(f->kernel, f->secrets, "e", f->secrets, "d", 0), 0);
	assert_true(kernel_holds(f->kernel, f->secrets, "d", "e"));
	assert_int_equal(kernel_release(f->kernel, node, handle), 0);
	assert_int_equal(kernel_lookup(f->kernel, f->secrets, "e", NULL), -ENOENT);
}

static void test_rename_errors(void **state)
{
	struct played *f = *state;
	uint64_t meshes = kernel_walk(f->kernel, "meshes"), global = kernel_walk(f->kernel, "global");

	assert_int_equal(kernel_put(f->kernel, f->secrets, "a", "a"), 0);
	assert_int_equal(kernel_put(f->kernel, f->secrets, "b", "b"), 0);
	assert_int_equal(kernel_rename(f->kernel, f->secrets, "a", f->secrets, "b", 1), -EEXIST);
	assert_int_equal(kernel_rename(f->kernel, f->secrets, "a", f->secrets, "b", 2), -EINVAL);
	assert_int_equal(kernel_rename(f->kernel, f->secrets, "A", f->secrets, "c", 0), -ENOENT);
	assert_int_equal(kernel_rename(f->kernel, f->secrets, "a", global, "B", 0), -EXDEV);
	assert_int_equal(kernel_rename(f->kernel, f->secrets, "none", f->secrets, "B", 0), -ENOENT);
	assert_int_equal(kernel_rename(f->kernel, f->secrets, "none", f->secrets, "c", 0), -ENOENT);
	assert_int_equal(kernel_rename(f->kernel, f->secrets, "a", global, "a", 0), -EXDEV);
	assert_int_equal(kernel_rename(f->kernel, meshes, "default", meshes, "other", 0), -EPERM);
	assert_int_equal(kernel_rename(f->kernel, f->secrets, "a", 1, "a", 0), -EPERM);
	assert_int_equal(kernel_rename(f->kernel, f->secrets, "a", f->secrets, "a", 0), 0);
	assert_int_equal(kernel_rename(f->kernel, f->secrets, "a", f->secrets, "b", 0), 0);
	assert_true(kernel_holds(f->kernel, f->secrets, "b", "a"));
}

enum { ANA = 1000, BEN = 2000, CARL = 3000 };

/* Ben's file of the mode 0600 in the place of Ana's, which she has open to read. */
static uint64_t take_place(struct played *f, uint64_t *ret_handle)
{
	const struct fuse_setattr_in mode = {.valid = FATTR_MODE, .mode = 0600};
	uint64_t node, secret;

	f->kernel->uid = ANA;
	assert_int_equal(kernel_put(f->kernel, f->secrets, "a", "ana's"), 0);
	node = kernel_walk(f->kernel, "meshes/default/secrets/a");
	assert_int_equal(kernel_open(f->kernel, node, O_RDONLY, ret_handle), 0);
	f->kernel->uid = BEN;
	assert_int_equal(kernel_put(f->kernel, f->secrets, "b", "ben's"), 0);
	secret = kernel_walk(f->kernel, "meshes/default/secrets/b");
	assert_int_equal(kernel_setattr(f->kernel, secret, &mode, NULL), 0);
	assert_int_equal(kernel_rename(f->kernel, f->secrets, "b", f->secrets, "a", 0), 0);
	f->kernel->uid = ANA;
	return node;
}

/* A process without a capability; to be killed. */
static pid_t nobody(void)
{
	int ready[2];
	pid_t pid;
	char byte;

	assert_int_equal(pipe(ready), 0);
	pid = fork();
	if (pid == 0) {
		if (getuid() == 0 && setuid(ANA) < 0)
			_exit(1);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(ready[1], 3);
		close_range(4, ~0u, 0); /* the connection is to end with its kernel */
		if (write(3, "", 1) == 1)
			pause();
		_exit(0);
	}
	assert_true(pid > 0);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	close(ready[1]);
	return pid;
}

/* What the kernel has allowed for the file that was there before. */
static void test_another_took_its_place(void **state)
{
	struct played *f = *state;
	const struct fuse_setattr_in open_it = {.valid = FATTR_MODE, .mode = 0644}, take_it = {.valid = FATTR_GID, .gid = 1001},
				     touch_it = {.valid = FATTR_MTIME | FATTR_MTIME_NOW};
	struct fuse_read_in paged = {.size = 100};
	uint64_t handle, other, node = take_place(f, &handle);
	struct fuse_attr attr;
	uint32_t own = f->kernel->pid;
	pid_t pid = nobody(), another = nobody();

	/* its attributes are its owner's to set, and root's */
	f->kernel->pid = (uint32_t)pid;
	assert_int_equal(kernel_setattr(f->kernel, node, &open_it, NULL), -EPERM);
	assert_int_equal(kernel_setattr(f->kernel, node, &take_it, NULL), -EPERM);
	assert_int_equal(kernel_setattr(f->kernel, node, &touch_it, NULL), 0);
	assert_int_equal(kernel_getattr(f->kernel, node, 0, &attr), 0);
	assert_int_equal(attr.mode & 07777, 0600);
	assert_int_equal(attr.gid, 1001);

	/* who opened the old one reads that, and what goes through the page cache isn't that */
	assert_int_equal(kernel_read(f->kernel, node, handle, 0, 100), 0);
	assert_memory_equal(f->kernel->answer, "ana's", 5);
	paged.fh = handle;
	assert_int_equal(kernel_call(f->kernel, FUSE_READ, node, &paged, sizeof(paged), NULL, 0), -EACCES);
	assert_int_equal(kernel_release(f->kernel, node, handle), 0);

	/* the kernel looks at the new one before it opens that: each thread's question is one of its own */
	f->kernel->n_notices = 0;
	assert_int_equal(kernel_open(f->kernel, node, O_RDONLY, &handle), -ESTALE);
	assert_true(f->kernel->n_notices > 0);
	assert_int_equal(f->kernel->notices[f->kernel->n_notices - 1].ino, node);
	f->kernel->pid = (uint32_t)another;
	assert_int_equal(kernel_open(f->kernel, node, O_RDWR, &handle), -ESTALE);
	f->kernel->pid = (uint32_t)pid;
	assert_int_equal(kernel_open(f->kernel, node, O_RDONLY, &handle), 0);
	assert_int_equal(kernel_release(f->kernel, node, handle), 0);
	assert_int_equal(kernel_open(f->kernel, node, O_RDONLY, &handle), -ESTALE);
	assert_int_equal(kernel_setattr(f->kernel, node, &open_it, NULL), -EPERM);

	/* unless it becomes another once more before the kernel asks again */
	f->kernel->uid = 0;
	assert_int_equal(kernel_setattr(f->kernel, node, &touch_it, NULL), 0);
	f->kernel->uid = ANA;
	assert_int_equal(kernel_open(f->kernel, node, O_RDONLY, &handle), -EACCES);
	if (getuid() == 0) { /* who may by what /proc says isn't told to ask again: it could be told so twice */
		f->kernel->pid = own;
		assert_int_equal(kernel_open(f->kernel, node, O_RDWR, &handle), 0);
		assert_int_equal(kernel_release(f->kernel, node, handle), 0);
	}
	f->kernel->pid = (uint32_t)pid;

	/* CREATE of what the kernel did not find was not checked at all */
	assert_int_equal(kernel_create(f->kernel, f->secrets, "a", O_RDWR, &other, &handle), -ESTALE);
	assert_int_equal(kernel_create(f->kernel, f->secrets, "a", O_RDWR, &other, &handle), -EACCES); /* whoever looks would have found it */
	assert_int_equal(stage_entries(f->kernel->context.stage), 0);
	f->kernel->uid = 0;
	assert_int_equal(kernel_create(f->kernel, f->secrets, "a", O_RDWR, &other, &handle), 0);
	assert_int_equal(kernel_release(f->kernel, other, handle), 0);
	f->kernel->uid = BEN;
	assert_int_equal(kernel_open(f->kernel, node, O_RDWR, &handle), 0);
	assert_int_equal(kernel_release(f->kernel, node, handle), 0);
	assert_int_equal(kernel_setattr(f->kernel, node, &open_it, NULL), 0);
	f->kernel->uid = CARL;
	assert_int_equal(kernel_open(f->kernel, node, O_RDONLY, &handle), 0);
	assert_int_equal(kernel_release(f->kernel, node, handle), 0);
	if (getuid() == 0) { /* who has the capability may do it, too */
		f->kernel->pid = own;
		assert_int_equal(kernel_setattr(f->kernel, node, &take_it, NULL), 0);
		assert_int_equal(kernel_setattr(f->kernel, node, &open_it, NULL), 0);
	}
	kill(pid, SIGKILL);
	kill(another, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_int_equal(waitpid(another, NULL, 0), another);
}

/* Ben makes a file where Ana's was removed, which she has open. */
static void test_made_where_one_was_removed(void **state)
{
	struct played *f = *state;
	const struct fuse_setattr_in open_it = {.valid = FATTR_MODE, .mode = 0666}, close_it = {.valid = FATTR_MODE, .mode = 0640};
	uint64_t handle, node, made, made_handle;
	uint32_t own = f->kernel->pid;
	struct fuse_attr attr;
	pid_t pid = nobody();

	f->kernel->uid = ANA;
	assert_int_equal(kernel_put(f->kernel, f->secrets, "a", "ana's"), 0);
	node = kernel_walk(f->kernel, "meshes/default/secrets/a");
	assert_int_equal(kernel_open(f->kernel, node, O_RDONLY, &handle), 0);
	f->kernel->uid = BEN;
	assert_int_equal(kernel_name(f->kernel, FUSE_UNLINK, f->secrets, "a"), 0);
	assert_int_equal(kernel_create(f->kernel, f->secrets, "a", O_WRONLY, &made, &made_handle), 0);
	assert_int_equal(kernel_write(f->kernel, made, made_handle, 0, O_WRONLY, "ben's", 5), 0);

	/* a process that he has handed it to may set its mode; hers is that of her own */
	f->kernel->pid = (uint32_t)pid;
	assert_int_equal(kernel_setattr(f->kernel, node, &close_it, NULL), 0);
	f->kernel->uid = ANA;
	assert_int_equal(kernel_setattr(f->kernel, node, &open_it, NULL), 0);
	f->kernel->uid = BEN;
	f->kernel->pid = own;
	assert_int_equal(kernel_flush(f->kernel, made, made_handle), 0);
	assert_int_equal(kernel_release(f->kernel, made, made_handle), 0);
	assert_int_equal(kernel_getattr(f->kernel, made, 0, &attr), 0);
	assert_int_equal(attr.uid, BEN);
	assert_int_equal(attr.mode & 07777, 0640);
	assert_int_equal(kernel_release(f->kernel, node, handle), 0);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

/* Who can't be seen, as in a container, has the number 0, like all others there. */
static void test_cut_by_unseen(void **state)
{
	struct played *f = *state;
	const struct fuse_setattr_in cut = {.valid = FATTR_SIZE};
	uint64_t node, handle;

	f->kernel->pid = 0;
	for (int made = 0; made < 2; made++) {
		if (made) {
			assert_int_equal(kernel_create(f->kernel, f->secrets, "a", O_WRONLY, &node, &handle), 0);
		} else {
			assert_int_equal(kernel_put(f->kernel, f->secrets, "a", "old"), 0);
			node = kernel_walk(f->kernel, "meshes/default/secrets/a");
			assert_int_equal(kernel_open(f->kernel, node, O_WRONLY, &handle), 0);
		}
		assert_int_equal(kernel_write(f->kernel, node, handle, 0, O_WRONLY, "new", 3), 0);
		assert_int_equal(kernel_setattr(f->kernel, node, &cut, NULL), 0); /* by another, of what everybody sees */
		assert_true(kernel_holds(f->kernel, f->secrets, "a", ""));
		assert_int_equal(kernel_flush(f->kernel, node, handle), 0);
		assert_int_equal(kernel_release(f->kernel, node, handle), 0);
		assert_true(kernel_holds(f->kernel, f->secrets, "a", "new"));
	}
	assert_int_equal(kernel_open(f->kernel, node, O_WRONLY | O_TRUNC, &handle), 0);
	assert_true(kernel_holds(f->kernel, f->secrets, "a", "new"));
	assert_int_equal(kernel_flush(f->kernel, node, handle), 0);
	assert_int_equal(kernel_release(f->kernel, node, handle), 0);
	assert_true(kernel_holds(f->kernel, f->secrets, "a", ""));
}

/* Two make a file of one name: the later one is asked for what it would have found. */
static void test_made_by_another(void **state)
{
	struct played *f = *state;
	const struct fuse_setattr_in mode = {.valid = FATTR_MODE, .mode = 0600};
	uint64_t node, handle;

	f->kernel->uid = ANA;
	assert_int_equal(kernel_create(f->kernel, f->secrets, "a", O_RDWR | O_APPEND, &node, &handle), 0);
	f->kernel->uid = BEN;
	f->kernel->pid++; /* another process, as far as that can be known */
	assert_int_equal(kernel_put(f->kernel, f->secrets, "a", "ben's"), 0);
	assert_int_equal(kernel_setattr(f->kernel, node, &mode, NULL), 0);
	f->kernel->uid = ANA;
	f->kernel->pid--;
	assert_int_equal(kernel_write(f->kernel, node, handle, 0, O_RDWR | O_APPEND, "!", 1), 0);
	assert_int_equal(kernel_fsync(f->kernel, node, handle), -EACCES);
	assert_int_equal(kernel_read(f->kernel, node, handle, 0, 100), 0);
	assert_int_equal(f->kernel->answer_size, 1);
	assert_int_equal(kernel_flush(f->kernel, node, handle), -EACCES);
	assert_int_equal(kernel_release(f->kernel, node, handle), 0);
	f->kernel->uid = BEN;
	assert_true(kernel_holds(f->kernel, f->secrets, "a", "ben's"));

	/* to rename one over it that isn't closed yet is a matter of the folder, not of the file */
	f->kernel->uid = ANA;
	assert_int_equal(kernel_create(f->kernel, f->secrets, "b", O_WRONLY, &node, &handle), 0);
	assert_int_equal(kernel_write(f->kernel, node, handle, 0, O_WRONLY, "ana's", 5), 0);
	assert_int_equal(kernel_rename(f->kernel, f->secrets, "b", f->secrets, "a", 0), 0);
	assert_int_equal(kernel_flush(f->kernel, node, handle), 0);
	assert_int_equal(kernel_release(f->kernel, node, handle), 0);
	assert_true(kernel_holds(f->kernel, f->secrets, "a", "ana's"));
}

static void test_setattr(void **state)
{
	struct played *f = *state;
	const struct fuse_setattr_in modes = {
		.valid = FATTR_MODE | FATTR_UID | FATTR_GID, .mode = 0640, .uid = 7, .gid = 8};
	const struct fuse_setattr_in times = {.valid = FATTR_MTIME | FATTR_ATIME, .mtime = 77, .atime = 78, .mtimensec = 5};
	struct fuse_setattr_in size = {.valid = FATTR_SIZE, .size = 2};
	struct fuse_attr attr;
	uint64_t node, handle;

	/* of a new file, before it is closed: they come with it */
	assert_int_equal(kernel_create(f->kernel, f->secrets, "a", O_WRONLY, &node, &handle), 0);
	assert_int_equal(kernel_write(f->kernel, node, handle, 0, O_WRONLY, "value", 5), 0);
	assert_int_equal(kernel_setattr(f->kernel, node, &modes, &attr), 0);
	assert_int_equal(attr.mode & 07777, 0640);
	assert_int_equal(kernel_setattr(f->kernel, node, &times, &attr), 0);
	assert_int_equal(kernel_getattr(f->kernel, node, handle, &attr), 0);
	assert_int_equal(attr.size, 5);
	assert_int_equal(kernel_flush(f->kernel, node, handle), 0);
	assert_int_equal(kernel_release(f->kernel, node, handle), 0);
	restart(f);
	assert_int_equal(kernel_getattr(f->kernel, node, 0, &attr), 0);
	assert_int_equal(attr.mode & 07777, 0640);
	assert_int_equal(attr.uid, 7);
	assert_int_equal(attr.gid, 8);
	assert_int_equal(attr.mtime, 77);
	assert_int_equal(attr.mtimensec, 5);
	assert_int_equal(attr.atime, 78);

	/* size, by path and by handle */
	f->kernel->uid = 7; /* whose it is now */
	assert_int_equal(kernel_setattr(f->kernel, node, &size, &attr), 0);
	assert_int_equal(attr.size, 2);
	assert_true(kernel_holds(f->kernel, f->secrets, "a", "va"));
	assert_int_equal(kernel_open(f->kernel, node, O_WRONLY, &handle), 0);
	size = (struct fuse_setattr_in){.valid = FATTR_SIZE | FATTR_FH, .size = 1, .fh = handle};
	assert_int_equal(kernel_setattr(f->kernel, node, &size, &attr), 0);
	assert_int_equal(kernel_flush(f->kernel, node, handle), 0);
	assert_true(kernel_holds(f->kernel, f->secrets, "a", "v"));
	assert_int_equal(kernel_release(f->kernel, node, handle), 0);
	size = (struct fuse_setattr_in){.valid = FATTR_SIZE, .size = (1 << 20) + 1};
	assert_int_equal(kernel_setattr(f->kernel, node, &size, NULL), -EFBIG);
	assert_int_equal(kernel_setattr(f->kernel, f->secrets, &size, NULL), -EISDIR);

	/* folders, and what has no owner but the daemon's */
	assert_int_equal(kernel_setattr(f->kernel, f->secrets, &modes, &attr), 0);
	assert_int_equal(attr.mode, S_IFDIR | 0640);
	assert_int_equal(kernel_setattr(f->kernel, 1, &modes, &attr), 0);
	assert_int_equal(kernel_setattr(f->kernel, node_make(NODE_HUSH, 0), &modes, NULL), -EPERM);
	restart(f);
	assert_int_equal(kernel_getattr(f->kernel, f->secrets, 0, &attr), 0);
	assert_int_equal(attr.mode, S_IFDIR | 0640);
}

#define ACCESS "system.posix_acl_access"
#define DEFAULT "system.posix_acl_default"

/* u::rw-, u:1000:r--, g::---, m::r--, o::--- */
static const char envoy[44] = "\x02\0\0\0"
			      "\x01\0\x06\0\xff\xff\xff\xff"
			      "\x02\0\x04\0\xe8\x03\0\0"
			      "\x04\0\0\0\xff\xff\xff\xff"
			      "\x10\0\x04\0\xff\xff\xff\xff"
			      "\x20\0\0\0\xff\xff\xff\xff";

/* The kernel sends the short form of the request, as libfuse 3.14 wants it. */
static int set_xattr(struct kernel *kernel, uint64_t node, const char *name, const void *value, uint32_t size,
		     uint32_t flags)
{
	const struct fuse_setxattr_in in = {.size = size, .flags = flags};
	char rest[1024];
	size_t name_size = strlen(name) + 1;

	memcpy(rest, name, name_size);
	if (size)
		memcpy(rest + name_size, value, size);
	return kernel_call(kernel, FUSE_SETXATTR, node, &in, FUSE_COMPAT_SETXATTR_IN_SIZE, rest, name_size + size);
}

static int get_xattr(struct kernel *kernel, uint64_t node, const char *name, uint32_t size)
{
	const struct fuse_getxattr_in in = {.size = size};

	return kernel_call(kernel, FUSE_GETXATTR, node, &in, sizeof(in), name, strlen(name) + 1);
}

static bool has_envoy(struct kernel *kernel, uint64_t node)
{
	return get_xattr(kernel, node, ACCESS, 4096) == 0 && kernel->answer_size == sizeof(envoy) &&
	       memcmp(kernel->answer, envoy, sizeof(envoy)) == 0;
}

static void test_acl(void **state)
{
	struct played *f = *state;
	const struct fuse_getxattr_in list = {.size = 4096};
	struct fuse_getxattr_out out;
	struct fuse_attr attr;
	uint64_t node;

	assert_true(f->kernel->init.flags & FUSE_POSIX_ACL && f->kernel->init.flags & FUSE_DONT_MASK);
	assert_int_equal(kernel_put(f->kernel, f->secrets, "a", "value"), 0);
	node = kernel_walk(f->kernel, "meshes/default/secrets/a");
	assert_int_equal(get_xattr(f->kernel, node, ACCESS, 4096), -ENODATA);
	assert_int_equal(set_xattr(f->kernel, node, ACCESS, envoy, sizeof(envoy), XATTR_REPLACE), -ENODATA);
	assert_int_equal(set_xattr(f->kernel, node, ACCESS, envoy, sizeof(envoy), XATTR_CREATE), 0);
	assert_int_equal(set_xattr(f->kernel, node, ACCESS, envoy, sizeof(envoy), XATTR_CREATE), -EEXIST);
	assert_int_equal(set_xattr(f->kernel, node, ACCESS, envoy, sizeof(envoy), XATTR_REPLACE), 0);
	restart(f);
	assert_true(has_envoy(f->kernel, node));
	assert_int_equal(kernel_getattr(f->kernel, node, 0, &attr), 0);
	assert_int_equal(attr.mode & 07777, 0640);
	assert_int_equal(get_xattr(f->kernel, node, ACCESS, 0), 0);
	memcpy(&out, f->kernel->answer, sizeof(out));
	assert_int_equal(out.size, sizeof(envoy));
	assert_int_equal(get_xattr(f->kernel, node, ACCESS, sizeof(envoy) - 1), -ERANGE);
	assert_int_equal(set_xattr(f->kernel, f->secrets, DEFAULT, envoy, sizeof(envoy), 0), 0);
	assert_int_equal(kernel_call(f->kernel, FUSE_LISTXATTR, f->secrets, &list, sizeof(list), NULL, 0), 0);
	assert_int_equal(f->kernel->answer_size, sizeof(DEFAULT));
	assert_memory_equal(f->kernel->answer, DEFAULT, sizeof(DEFAULT));
	assert_int_equal(kernel_name(f->kernel, FUSE_REMOVEXATTR, node, ACCESS), 0);
	assert_int_equal(get_xattr(f->kernel, node, ACCESS, 4096), -ENODATA);
}

/* Never ENOSYS: the kernel would not ask again. */
static void test_acl_errors(void **state)
{
	struct played *f = *state;
	const uint64_t folder = node_make(NODE_HUSH, 0);
	uint64_t node, gone;

	assert_int_equal(kernel_put(f->kernel, f->secrets, "a", "value"), 0);
	assert_int_equal(kernel_put(f->kernel, f->secrets, "gone", "value"), 0);
	node = kernel_walk(f->kernel, "meshes/default/secrets/a");
	gone = kernel_walk(f->kernel, "meshes/default/secrets/gone");
	assert_int_equal(kernel_name(f->kernel, FUSE_UNLINK, f->secrets, "gone"), 0);
	assert_int_equal(set_xattr(f->kernel, node, "user.x", "x", 1, 0), -EOPNOTSUPP);
	assert_int_equal(get_xattr(f->kernel, node, "security.capability", 0), -ENODATA);
	assert_int_equal(kernel_name(f->kernel, FUSE_REMOVEXATTR, node, "user.x"), -ENODATA);
	assert_int_equal(set_xattr(f->kernel, node, ACCESS, envoy, sizeof(envoy) - 8, 0), -EINVAL);
	assert_int_equal(set_xattr(f->kernel, node, ACCESS, envoy, 0, 0), -EINVAL);
	assert_int_equal(set_xattr(f->kernel, node, DEFAULT, envoy, sizeof(envoy), 0), -EACCES);
	assert_int_equal(set_xattr(f->kernel, gone, ACCESS, envoy, sizeof(envoy), 0), -ESTALE);
	assert_int_equal(get_xattr(f->kernel, gone, ACCESS, 4096), -ENODATA);
	assert_int_equal(kernel_name(f->kernel, FUSE_REMOVEXATTR, gone, ACCESS), -ESTALE);
	assert_int_equal(set_xattr(f->kernel, folder, ACCESS, envoy, sizeof(envoy), 0), -EPERM);
	assert_int_equal(get_xattr(f->kernel, folder, ACCESS, 4096), -ENODATA);
}

/* Of a new file, before it is closed: it comes with it. */
static void test_acl_of_a_new_file(void **state)
{
	struct played *f = *state;
	uint64_t node, handle;

	assert_int_equal(kernel_create(f->kernel, f->secrets, "a", O_WRONLY, &node, &handle), 0);
	assert_int_equal(get_xattr(f->kernel, node, ACCESS, 4096), -ENODATA);
	assert_int_equal(set_xattr(f->kernel, node, DEFAULT, envoy, sizeof(envoy), 0), -EACCES);
	assert_int_equal(set_xattr(f->kernel, node, ACCESS, envoy, sizeof(envoy), 0), 0);
	assert_true(has_envoy(f->kernel, node));
	assert_int_equal(kernel_rename(f->kernel, f->secrets, "a", f->secrets, "b", 0), 0);
	assert_int_equal(kernel_release(f->kernel, node, handle), 0);
	assert_true(has_envoy(f->kernel, kernel_walk(f->kernel, "meshes/default/secrets/b")));
}

/* A scratch file has one as well, takes it along when it becomes a secret, and gets that of a secret that becomes one. */
static void test_acl_of_a_scratch_file(void **state)
{
	struct played *f = *state;
	uint64_t node, handle, secret;

	assert_int_equal(kernel_put(f->kernel, f->secrets, "a", "old"), 0);
	secret = kernel_walk(f->kernel, "meshes/default/secrets/a");
	assert_int_equal(kernel_create(f->kernel, f->secrets, "sedA1", O_WRONLY, &node, &handle), 0);
	assert_int_equal(get_xattr(f->kernel, node, ACCESS, 4096), -ENODATA);
	assert_int_equal(set_xattr(f->kernel, node, DEFAULT, envoy, sizeof(envoy), 0), -EACCES);
	assert_int_equal(set_xattr(f->kernel, node, ACCESS, envoy, sizeof(envoy), 0), 0);
	assert_true(has_envoy(f->kernel, node));
	assert_int_equal(kernel_release(f->kernel, node, handle), 0);
	assert_int_equal(kernel_rename(f->kernel, f->secrets, "sedA1", f->secrets, "a", 0), 0);
	assert_true(has_envoy(f->kernel, secret));
	assert_int_equal(kernel_create(f->kernel, f->secrets, "sedA2", O_WRONLY, &node, &handle), 0);
	assert_int_equal(kernel_release(f->kernel, node, handle), 0);
	assert_int_equal(kernel_rename(f->kernel, f->secrets, "a", f->secrets, "a~", 0), 0);
	assert_true(has_envoy(f->kernel, kernel_walk(f->kernel, "meshes/default/secrets/a~")));
	assert_int_equal(kernel_rename(f->kernel, f->secrets, "sedA2", f->secrets, "a", 0), 0);
	assert_int_equal(get_xattr(f->kernel, secret, ACCESS, 4096), -ENODATA); /* the new file has none */
}

static void test_meshes(void **state)
{
	struct played *f = *state;
	uint64_t meshes = kernel_walk(f->kernel, "meshes");
	uint64_t handle;

	assert_int_equal(kernel_mkdir(f->kernel, meshes, "demo"), 0);
	assert_int_equal(kernel_mkdir(f->kernel, meshes, "demo"), -EEXIST);
	assert_int_equal(kernel_mkdir(f->kernel, meshes, "De"), -EINVAL);
	assert_int_equal(kernel_mkdir(f->kernel, 1, "demo"), -EPERM);
	assert_true(kernel_holds(f->kernel, kernel_walk(f->kernel, "meshes/demo"), "mesh.yaml", "type: Mesh\nname: demo\n"));
	assert_int_equal(kernel_open(f->kernel, kernel_walk(f->kernel, "meshes/demo/mesh.yaml"), O_WRONLY, &handle), 0);
	assert_int_equal(kernel_release(f->kernel, kernel_walk(f->kernel, "meshes/demo/mesh.yaml"), handle), 0);
	assert_int_equal(kernel_put(f->kernel, kernel_walk(f->kernel, "meshes/demo/secrets"), "a", "x"), 0);
	assert_int_equal(kernel_name(f->kernel, FUSE_RMDIR, meshes, "demo"), -ENOTEMPTY);
	assert_int_equal(kernel_name(f->kernel, FUSE_UNLINK, meshes, "demo"), -EISDIR);
	assert_int_equal(kernel_name(f->kernel, FUSE_UNLINK, kernel_walk(f->kernel, "meshes/demo/secrets"), "a"), 0);
	assert_int_equal(kernel_name(f->kernel, FUSE_RMDIR, meshes, "demo"), 0);
	assert_int_equal(kernel_name(f->kernel, FUSE_RMDIR, meshes, "demo"), -ENOENT);
	assert_int_equal(kernel_name(f->kernel, FUSE_RMDIR, 1, "global"), -EPERM);
	assert_int_equal(kernel_name(f->kernel, FUSE_RMDIR, 1, "none"), -ENOENT);
}

/* Without a mount: what is asked for is carried out all the same, only nobody is told. */
static void test_control_files(void **state)
{
	static const char document[] = "type: Secret\nmesh: default\nname: c\ndata: dmFsdWU=\n";
	struct played *f = *state;
	uint64_t apply = kernel_walk(f->kernel, ".hush/apply"), check = kernel_walk(f->kernel, ".hush/check"), handle, other;

	assert_int_equal(kernel_open(f->kernel, apply, O_RDWR, &handle), 0);
	assert_int_equal(kernel_open(f->kernel, apply, O_RDWR, &other), 0);
	assert_int_equal(kernel_write(f->kernel, apply, handle, 0, 0, document, sizeof(document) - 1), 0);
	assert_int_equal(kernel_write(f->kernel, apply, other, 0, 0, "rubbish\n", 8), 0);
	assert_int_equal(kernel_lookup(f->kernel, f->secrets, "c", NULL), -ENOENT);
	assert_int_equal(kernel_read(f->kernel, apply, handle, 1000, 4096), 0);
	assert_int_equal(f->kernel->answer_size, sizeof("resource type=\"Secret\" mesh=\"default\" name=\"c\" Created\n") - 1);
	assert_true(kernel_holds(f->kernel, f->secrets, "c", "value"));
	assert_int_equal(kernel_read(f->kernel, apply, handle, 0, 4096), 0);
	assert_int_equal(f->kernel->answer_size, 0);
	assert_int_equal(kernel_flush(f->kernel, apply, handle), 0);
	assert_int_equal(kernel_fsync(f->kernel, apply, other), -EINVAL);
	assert_int_equal(kernel_flush(f->kernel, apply, other), -EINVAL);
	assert_int_equal(kernel_read(f->kernel, apply, other, 0, 4096), 0);
	assert_true(f->kernel->answer_size > 0);
	assert_int_equal(kernel_read(f->kernel, apply, other, 0, 4096), -EINVAL);
	assert_int_equal(kernel_read(f->kernel, apply, other, 0, 4096), 0);
	assert_int_equal(kernel_flush(f->kernel, apply, other), 0);
	assert_int_equal(kernel_release(f->kernel, apply, handle), 0);
	assert_int_equal(kernel_write(f->kernel, apply, other, 0, 0, "never", 5), 0); /* dropped with the mount */
	assert_int_equal(kernel_open(f->kernel, check, O_WRONLY, &handle), -EACCES);
	assert_int_equal(kernel_open(f->kernel, check, O_RDONLY, &handle), 0);
	assert_int_equal(kernel_read(f->kernel, check, handle, 0, 4096), 0);
	assert_true(f->kernel->answer_size > 0);
}

static void test_refused_kinds(void **state)
{
	struct played *f = *state;
	struct fuse_mknod_in node = {.mode = S_IFIFO | 0600};
	const struct fuse_link_in link = {.oldnodeid = f->secrets};

	assert_int_equal(kernel_call(f->kernel, FUSE_MKNOD, f->secrets, &node, sizeof(node), "p", 2), -EPERM);
	assert_int_equal(kernel_call(f->kernel, FUSE_SYMLINK, f->secrets, "l", 2, "target", 7), -EPERM);
	assert_int_equal(kernel_call(f->kernel, FUSE_LINK, f->secrets, &link, sizeof(link), "l", 2), -EPERM);
	node.mode = S_IFREG | 0600;
	assert_int_equal(kernel_call(f->kernel, FUSE_MKNOD, f->secrets, &node, sizeof(node), "p", 2), 0);
	assert_int_equal(kernel_call(f->kernel, FUSE_MKNOD, f->secrets, &node, sizeof(node), "p", 2), -EEXIST);
	assert_true(kernel_holds(f->kernel, f->secrets, "p", ""));
}

/* Nodes and handles are functions of the store: another worker goes on with those of the one before. */
static void test_another_worker(void **state)
{
	struct played *f = *state;
	uint64_t node, handle;

	assert_int_equal(kernel_put(f->kernel, f->secrets, "a", "first"), 0);
	node = kernel_walk(f->kernel, "meshes/default/secrets/a");
	assert_int_equal(kernel_open(f->kernel, node, O_RDONLY, &handle), 0);
	assert_int_equal(kernel_put(f->kernel, f->secrets, "a", "second"), 0);
	restart(f);
	assert_int_equal(kernel_walk(f->kernel, "meshes/default/secrets/a"), node);
	assert_int_equal(kernel_walk(f->kernel, "meshes/default/secrets"), f->secrets);
	assert_int_equal(kernel_read(f->kernel, node, handle, 0, 100), 0);
	assert_int_equal(f->kernel->answer_size, 5);
	assert_memory_equal(f->kernel->answer, "first", 5);
	assert_int_equal(kernel_read(f->kernel, node, handle, 3, 100), 0);
	assert_memory_equal(f->kernel->answer, "st", 2);
	assert_int_equal(kernel_read(f->kernel, node, handle, 99, 100), 0);
	assert_int_equal(f->kernel->answer_size, 0);
}

static void test_status_and_statfs(void **state)
{
	struct played *f = *state;
	uint64_t node = kernel_walk(f->kernel, ".hush/status"), handle;
	struct fuse_statfs_out out;

	assert_int_equal(kernel_open(f->kernel, node, O_WRONLY, &handle), -EACCES);
	assert_int_equal(kernel_open(f->kernel, node, O_RDONLY, &handle), 0);
	assert_int_equal(kernel_read(f->kernel, node, handle, 0, 4096), 0);
	assert_non_null(memmem(f->kernel->answer, f->kernel->answer_size, "\nmeshes: 1\n", 11));
	assert_int_equal(kernel_read(f->kernel, node, handle, 4096, 4096), 0);
	assert_int_equal(f->kernel->answer_size, 0);
	assert_int_equal(kernel_call(f->kernel, FUSE_STATFS, 1, NULL, 0, NULL, 0), 0);
	memcpy(&out, f->kernel->answer, sizeof(out));
	assert_int_equal(out.st.namelen, 255);
}

static void test_aborted(void **state)
{
	struct played *f = *state;
	int served;

	aborted = true;
	served = kernel_stop(f->kernel);
	aborted = false;
	f->kernel = kernel_start(fixture_open(f->fixture, 2, 1 << 20), STAGED);
	assert_int_equal(served, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_init, setup, teardown),
		cmocka_unit_test_setup_teardown(test_fixed_nodes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_impossible_nodes_and_handles, setup, teardown),
		cmocka_unit_test_setup_teardown(test_listing_in_small_answers, setup, teardown),
		cmocka_unit_test_setup_teardown(test_redirection, setup, teardown),
		cmocka_unit_test_setup_teardown(test_other_process_does_not_publish, setup, teardown),
		cmocka_unit_test_setup_teardown(test_release_publishes_emptiness, setup, teardown),
		cmocka_unit_test_setup_teardown(test_append, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refused_write_publishes_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(test_exclusive, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unlink_and_rename_while_open, setup, teardown),
		cmocka_unit_test_setup_teardown(test_rename_errors, setup, teardown),
		cmocka_unit_test_setup_teardown(test_setattr, setup, teardown),
		cmocka_unit_test_setup_teardown(test_another_took_its_place, setup, teardown),
		cmocka_unit_test_setup_teardown(test_made_by_another, setup, teardown),
		cmocka_unit_test_setup_teardown(test_made_where_one_was_removed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cut_by_unseen, setup, teardown),
		cmocka_unit_test_setup_teardown(test_acl, setup, teardown),
		cmocka_unit_test_setup_teardown(test_acl_errors, setup, teardown),
		cmocka_unit_test_setup_teardown(test_acl_of_a_new_file, setup, teardown),
		cmocka_unit_test_setup_teardown(test_acl_of_a_scratch_file, setup, teardown),
		cmocka_unit_test_setup_teardown(test_meshes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_control_files, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refused_kinds, setup, teardown),
		cmocka_unit_test_setup_teardown(test_another_worker, setup, teardown),
		cmocka_unit_test_setup_teardown(test_status_and_statfs, setup, teardown),
		cmocka_unit_test_setup_teardown(test_aborted, setup, teardown),
	};

	return cmocka_run_group_tests(tests, fixture_group_setup, fixture_group_teardown);
}
