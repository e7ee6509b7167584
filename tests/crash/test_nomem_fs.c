/* SPDX-License-Identifier: Apache-2.0
 * test_nomem_fs: memory runs out at each allocation of what a daemon does for a program's calls, once and for good, until a pass has had them all; a
 * played kernel sends the requests. Each time they are answered, with what is right or an error; after it all is there that was answered, what was
 * refused is as it was, and it serves on.
 *
 * A FLUSH for which libfuse itself has no memory never comes to the daemon, so the RELEASE after it publishes: a close(2) that failed, and the new value is
 * there, whole. So it is with a control file's request, and when there is no memory to wait for its end. That is counted, and bounded.
 */
#include "fs/ledger.h"
#include "fs/loop.h"
#include "tests/crash/nomem.h"
#include "tests/crash/state.h"
#include "tests/fuzz/helper_thread.h"
#include "tests/unit/fixture.h"
#include "tests/unit/kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define STAGED_BYTES (1024u * 1024)
#define SHORT_FORM_PASSES 30 /* at most of each test, in each way; with HUSH_SOAK all */

static struct {
	struct fixture *fixture;
	char pristine[300];
	struct kernel *kernel;
	uint64_t secrets, global, meshes, a, b; /* nodes */
	uint64_t node, handle;			/* of what a test has open; handle 0: nothing */
	uint64_t status, check, backup, apply, delete, lock, unlock;
	bool changed; /* it is not as world_make left it; or the request to close something was lost, so that it stays open */
	unsigned in_spite; /* passes in which it was done although it was refused */
	char before[STATE_BYTES], after[STATE_BYTES];
} world;

/* --- the world -------------------------------------------------------------------------------------------------- */

static struct store *open_store(void)
{
	return fixture_open(world.fixture, 1, 1 << 20);
}

static void put(struct store *store, struct name name, const char *value)
{
	fixture_must(fixture_do(store, STORE_PUT, name, value, strlen(value), NULL) == 0);
}

static void world_make(void)
{
	struct store *store;
	void *fixture;

	fixture_in_memory(); /* syncs cost nothing there */
	fixture_must(fixture_setup(&fixture) == 0);
	world.fixture = fixture;
	fixture_make(fixture);
	store = open_store();
	put(store, fixture_mesh("m"), FIXTURE_MESH("m", "of m"));
	put(store, fixture_secret("default", "a"), "the value of a");
	put(store, fixture_secret("default", "b"), "the value of b");
	put(store, fixture_global("g"), "the value of g");
	fixture_settle(store);
	state_take(store, world.before);
	store_close(store);
	snprintf(world.pristine, sizeof(world.pristine), "%s", fixture_path(fixture, "pristine"));
	fixture_copy(world.fixture->store, world.pristine);
}

static void world_unmake(void)
{
	void *fixture = world.fixture;

	fixture_teardown(&fixture);
}

static void serve(void)
{
	world.kernel = kernel_start(open_store(), STAGED_BYTES);
	world.kernel->uid = 0; /* who may do all of this, whoever owns it */
	world.secrets = kernel_walk(world.kernel, "meshes/default/secrets");
	world.global = kernel_walk(world.kernel, "global");
	world.meshes = kernel_walk(world.kernel, "meshes");
	world.a = kernel_walk(world.kernel, "meshes/default/secrets/a");
	world.b = kernel_walk(world.kernel, "meshes/default/secrets/b");
	world.status = kernel_walk(world.kernel, ".hush/status");
	world.check = kernel_walk(world.kernel, ".hush/check");
	world.backup = kernel_walk(world.kernel, ".hush/backup");
	world.apply = kernel_walk(world.kernel, ".hush/apply");
	world.delete = kernel_walk(world.kernel, ".hush/delete");
	world.lock = kernel_walk(world.kernel, ".hush/lock");
	world.unlock = kernel_walk(world.kernel, ".hush/unlock");
	world.handle = 0;
}

static struct store *served(void)
{
	return world.kernel->context.tree.store;
}

static void stop(void)
{
	kernel_stop(world.kernel);
	helper_thread_wait();
}

/* As the next worker. */
static void serve_anew(void)
{
	stop();
	serve();
}

static void serve_pristine(void)
{
	if (world.kernel)
		stop();
	fixture_copy(world.pristine, world.fixture->store);
	serve();
	world.changed = false;
}

/* --- requests --------------------------------------------------------------------------------------------------- */

static int open_node(uint64_t node, uint32_t flags)
{
	uint64_t handle = 0;
	int r = kernel_open(world.kernel, node, flags, &handle);

	if (handle) {
		world.node = node;
		world.handle = handle;
	}
	return r;
}

static int create(uint64_t parent, const char *name)
{
	return kernel_create(world.kernel, parent, name, O_RDWR, &world.node, &world.handle);
}

static int write_text(const char *text)
{
	return kernel_write(world.kernel, world.node, world.handle, 0, O_RDWR, text, (uint32_t)strlen(text));
}

static int flush(void)
{
	return kernel_flush(world.kernel, world.node, world.handle);
}

/* What was opened, whatever came of it. */
static void release(void)
{
	if (world.handle && kernel_release(world.kernel, world.node, world.handle) < 0)
		world.changed = true; /* by libfuse, which had no memory for it */
	world.handle = 0;
}

/* Read what is open; what comes must be @expected or begin with it. */
static int read_text(const char *expected)
{
	int r = kernel_read(world.kernel, world.node, world.handle, 0, 100000);

	fixture_must(r < 0 || (world.kernel->answer_size >= strlen(expected) &&
			       memcmp(world.kernel->answer, expected, strlen(expected)) == 0));
	return r;
}

/* --- what is done ----------------------------------------------------------------------------------------------- */

static int run_look(void)
{
	struct fuse_entry_out entry;
	struct fuse_attr attr;
	int r = kernel_lookup(world.kernel, world.secrets, "a", &entry);

	fixture_must(r < 0 || (entry.nodeid == world.a && entry.attr.size == 14));
	if (r == 0)
		r = kernel_getattr(world.kernel, world.a, 0, &attr);
	fixture_must(r < 0 || attr.size == 14);
	return r;
}

static int run_list(void)
{
	char names[256];
	int r = kernel_list(world.kernel, world.secrets, 4096, false, names, sizeof(names));

	fixture_must(r < 0 || (strstr(names, " a ") && strstr(names, " b ") && strlen(names) == 9));
	if (r == 0)
		r = kernel_list(world.kernel, 1, 4096, true, names, sizeof(names));
	fixture_must(r < 0 || strcmp(names, ". .. meshes global ") == 0);
	return r;
}

static int run_read(void)
{
	int r = open_node(world.a, O_RDONLY);

	if (r == 0)
		r = read_text("the value of a");
	release();
	return r;
}

static int write_and_close(int r, const char *text)
{
	if (r == 0)
		r = write_text(text);
	if (r == 0)
		r = flush();
	release();
	return r;
}

static int run_create(void)
{
	return write_and_close(create(world.secrets, "new"), "the value of new");
}

static int run_replace(void)
{
	return write_and_close(open_node(world.a, O_WRONLY | O_TRUNC), "another value of a");
}

static int run_change(void)
{
	return write_and_close(open_node(world.a, O_RDWR), "THE");
}

static int run_sync(void)
{
	int r = open_node(world.a, O_RDWR);

	if (r == 0)
		r = write_text("THE");
	if (r == 0 && kernel_fsync(world.kernel, world.node, world.handle) < 0)
		r = flush(); /* closing tries again */
	release();
	return r;
}

static int run_copy(void)
{
	struct fuse_copy_file_range_in in = {.nodeid_out = world.b, .len = 100};
	uint64_t from = 0;
	int r = kernel_open(world.kernel, world.a, O_RDONLY, &from);

	if (r == 0)
		r = open_node(world.b, O_WRONLY | O_TRUNC);
	in.fh_in = from;
	in.fh_out = world.handle;
	if (r == 0)
		r = kernel_call(world.kernel, FUSE_COPY_FILE_RANGE, world.a, &in, sizeof(in), NULL, 0);
	if (r == 0)
		r = flush();
	release();
	world.node = world.a;
	world.handle = from;
	release();
	return r;
}

static int run_cut(void)
{
	const struct fuse_setattr_in in = {.valid = FATTR_SIZE, .size = 3};

	return kernel_setattr(world.kernel, world.a, &in, NULL);
}

static int run_attributes(void)
{
	const struct fuse_setattr_in in = {.valid = FATTR_MODE | FATTR_UID, .mode = 0640, .uid = 1234};

	return kernel_setattr(world.kernel, world.a, &in, NULL);
}

static int run_unlink(void)
{
	return kernel_name(world.kernel, FUSE_UNLINK, world.secrets, "a");
}

static int run_rename(void)
{
	return kernel_rename(world.kernel, world.secrets, "a", world.secrets, "b", 0);
}

static int run_mkdir(void)
{
	return kernel_mkdir(world.kernel, world.meshes, "new");
}

static int run_rmdir(void)
{
	return kernel_name(world.kernel, FUSE_RMDIR, world.meshes, "m");
}

/* As sed -i: a scratch file, which then gets the name. */
static int run_scratch(void)
{
	int r = create(world.secrets, "sedA1b2C3");

	if (r == 0)
		r = write_text("edited");
	if (r == 0)
		r = read_text("edited");
	if (r == 0)
		r = flush();
	release();
	if (r == 0)
		r = kernel_rename(world.kernel, world.secrets, "sedA1b2C3", world.secrets, "a", 0);
	return r;
}

/* As an editor's backup: the value is copied to a scratch name. */
static int run_backup_name(void)
{
	return kernel_rename(world.kernel, world.secrets, "a", world.secrets, "a~", 0);
}

static int run_status(void)
{
	int r = open_node(world.status, O_RDONLY);

	if (r == 0)
		r = read_text("");
	release();
	return r;
}

/* Write a request to a control file and close it. */
static int request(uint64_t node, const char *text)
{
	return write_and_close(open_node(node, O_RDWR), text);
}

static int run_apply(void)
{
	return request(world.apply, "type: Mesh\nname: fresh\n---\ntype: Secret\nmesh: fresh\nname: x\ndata: eHg=\n");
}

static int run_delete(void)
{
	return request(world.delete, "secret default a\nmesh m\n");
}

/* Its report, or what went wrong, and then the error. Its line may be lost, the result is not. */
static int run_check(void)
{
	int r = open_node(world.check, O_RDONLY);

	if (r == 0)
		r = read_text("");
	if (r == 0 && world.kernel->answer_size && memcmp(world.kernel->answer, "6 resources", 11) != 0) {
		r = read_text("");
		fixture_must(r < 0);
	}
	release();
	return r;
}

static int run_backup(void)
{
	int r = open_node(world.backup, O_RDONLY);

	if (r == 0)
		r = read_text("SQLite format 3");
	release();
	return r;
}

static int run_lock(void)
{
	return request(world.lock, "x");
}

/* A key with every byte that there is, so written as it is. */
static int run_unlock(void)
{
	char text[9 + CRYPTO_KEY_BYTES] = "key-file\n";
	int r = open_node(world.unlock, O_RDWR);

	memcpy(text + 9, world.fixture->key->bytes, CRYPTO_KEY_BYTES);
	if (r == 0)
		r = kernel_write(world.kernel, world.node, world.handle, 0, O_RDWR, text, sizeof(text));
	if (r == 0)
		r = flush();
	release();
	return r;
}

static void prepare_unlock(void)
{
	fixture_must(store_lock(served()) == 0);
}

static int run_acl(void)
{
	const struct acl acl = {.present = true, .mask = true, .group = 4, .mode = 0640, .count = 1,
				.named = {{.permission = 4, .id = 3000}}};
	static const char name[] = "system.posix_acl_access";
	const struct fuse_getxattr_in get = {.size = 4096};
	struct fuse_setxattr_in set = {0};
	uint8_t text[sizeof(name) + ACL_XATTR_BYTES_MAX];
	int r;

	memcpy(text, name, sizeof(name));
	set.size = (uint32_t)acl_format(&acl, text + sizeof(name));
	r = kernel_call(world.kernel, FUSE_SETXATTR, world.a, &set, FUSE_COMPAT_SETXATTR_IN_SIZE, text,
			sizeof(name) + set.size);
	if (r < 0)
		return r;
	r = kernel_call(world.kernel, FUSE_GETXATTR, world.a, &get, sizeof(get), name, sizeof(name));
	fixture_must(r < 0 || (world.kernel->answer_size == set.size &&
			       memcmp(world.kernel->answer, text + sizeof(name), set.size) == 0));
	return 0;
}

/* Not through the kernel: what a worker makes before it serves. */
static int run_start(void)
{
	struct ops_context context = {0};
	struct loop *loop = NULL;
	int r = -ENOMEM;

	aside_init(&context.aside);
	tree_init(&context.tree, served(), 1000, 1001);
	context.stage = stage_new(&context.tree, NULL, STAGED_BYTES);
	context.scratch = scratch_new(SCRATCH_BYTES_LEAST, SCRATCH_BYTES_LEAST, SCRATCH_SECONDS);
	context.announce = announce_new(&context.tree, "/nowhere");
	if (context.stage && context.scratch && context.announce)
		context.control = control_new(&context.tree, context.stage, context.scratch, context.announce);
	if (context.control)
		r = loop_new(&context, &loop);
	control_free(context.control);
	announce_free(context.announce);
	stage_free(context.stage);
	scratch_free(context.scratch);
	loop_free(loop);
	return r;
}

static int run_ledger(void)
{
	const struct store_held held = {.node = world.a, .generation = 5};
	struct ledger *ledger = NULL;
	struct store_held *pins;
	size_t n;
	int fd, r = ledger_make(&fd);

	if (r < 0)
		return r;
	r = ledger_open(fd, &ledger);
	if (r == 0) {
		ledger_begin(ledger, 1);
		ledger_pin(ledger, &held);
		pins = ledger_pins(ledger, &n);
		r = pins ? 0 : -ENOMEM;
		fixture_must(!pins || n == 1);
		free(pins);
		ledger_free(ledger);
	}
	close(fd);
	return r;
}

/* What a test changes. */
enum effect {
	NOTHING,
	AT_ONCE, /* one request changes it: it is refused, or done */
	WRITTEN, /* a file is written and closed */
};

static const struct test {
	const char *name;
	int (*run)(void);
	void (*prepare)(void);
	enum effect effect;
	bool controls;	 /* through a control file, whose thread may go on for a while */
	bool own_thread; /* allocations of this thread are what it is about */
} tests[] = {
	{"looking", run_look, NULL, NOTHING, false, false},
	{"listing", run_list, NULL, NOTHING, false, false},
	{"reading", run_read, NULL, NOTHING, false, false},
	{"a new file", run_create, NULL, WRITTEN, false, false},
	{"replacing", run_replace, NULL, WRITTEN, false, false},
	{"changing", run_change, NULL, WRITTEN, false, false},
	{"fsync", run_sync, NULL, WRITTEN, false, false},
	{"copy_file_range", run_copy, NULL, WRITTEN, false, false},
	{"truncate", run_cut, NULL, AT_ONCE, false, false},
	{"chmod and chown", run_attributes, NULL, AT_ONCE, false, false},
	{"an ACL", run_acl, NULL, AT_ONCE, false, false},
	{"unlink", run_unlink, NULL, AT_ONCE, false, false},
	{"rename", run_rename, NULL, AT_ONCE, false, false},
	{"mkdir", run_mkdir, NULL, AT_ONCE, false, false},
	{"rmdir", run_rmdir, NULL, AT_ONCE, false, false},
	{"a scratch file that gets a name", run_scratch, NULL, AT_ONCE, false, false},
	{"a secret that gets a scratch name", run_backup_name, NULL, NOTHING, false, false},
	{"status", run_status, NULL, NOTHING, false, false},
	{"apply", run_apply, NULL, WRITTEN, true, false},
	{"delete", run_delete, NULL, WRITTEN, true, false},
	{"check", run_check, NULL, NOTHING, true, false},
	{"backup", run_backup, NULL, NOTHING, true, false},
	{"lock", run_lock, NULL, NOTHING, true, false},
	{"unlock", run_unlock, prepare_unlock, NOTHING, true, false},
	{"starting to serve", run_start, NULL, NOTHING, false, true},
	{"the ledger", run_ledger, NULL, NOTHING, false, true},
};
#define N_TESTS (sizeof(tests) / sizeof(tests[0]))

/* --- running ---------------------------------------------------------------------------------------------------- */

static bool state_is(const char *expected)
{
	static char state[STATE_BYTES];

	state_take(served(), state);
	return strcmp(state, expected) == 0;
}

static void check_serves_on(void)
{
	fixture_must(kernel_put(world.kernel, world.global, "g", "it serves on") == 0);
	fixture_must(kernel_holds(world.kernel, world.global, "g", "it serves on"));
	fixture_must(kernel_put(world.kernel, world.global, "g", "the value of g") == 0);
}

/* What came of it, as this worker has it and as the next one has; if nothing failed, that is how it should look. */
static void check(const struct test *test, int result, bool failed)
{
	bool done = result == 0 && test->effect != NOTHING;
	struct store_checked checked;

	if (test->controls)
		fixture_must(control_stop(world.kernel->context.control));
	fixture_must(store_unlock(served(), world.fixture->key) == 0);
	fixture_must(store_check(served(), NULL, NULL, &checked) == 0);
	if (!failed)
		state_take(served(), world.after);
	if (result < 0 && test->effect == WRITTEN && state_is(world.after)) {
		done = true;
		world.in_spite++;
	}
	state_must_be(served(), done ? world.after : world.before);
	check_serves_on();
	if (test->effect != NOTHING) {
		serve_anew();
		state_must_be(served(), done ? world.after : world.before);
	}
	world.changed |= done || test->controls;
}

static bool is_honest(int result)
{
	/* EAGAIN: no thread; ENOSPC: of the memory for what is being written */
	return result == -ENOMEM || result == -EAGAIN || result == -ENOSPC;
}

/* One pass. False if nothing had to fail any more. */
static bool pass(const struct test *test, uint64_t n, bool for_ever)
{
	bool failed;
	int r;

	if (world.changed || !world.kernel) {
		serve_pristine();
		fixture_must(state_is(world.before)); /* which reads all values: they are cached in each pass, so the n-th is the same one */
	}
	if (test->prepare)
		test->prepare();
	if (test->own_thread)
		nomem_go_on();
	nomem_begin(test->name, n, for_ever);
	alarm(60);
	r = test->run();
	failed = nomem_end();
	if (test->own_thread)
		nomem_hold();
	if (r != 0 && !is_honest(r))
		fprintf(stderr, "result %d: %s\n", r, strerror(-r));
	fixture_must(r == 0 || (failed && is_honest(r)));
	check(test, r, failed);
	return failed;
}

static uint64_t run(const struct test *test, uint64_t most)
{
	uint64_t passes;

	world.in_spite = 0;
	passes = nomem_passes(test, most, pass);
	fixture_must(world.in_spite <= (test->controls ? 2 : 1));
	return passes;
}

int main(void)
{
	const uint64_t most = getenv("HUSH_SOAK") ? UINT64_MAX : SHORT_FORM_PASSES;
	uint64_t total = 0;

	nomem_init();
	nomem_hold(); /* this thread plays the kernel */
	fixture_init();
	world_make();
	for (size_t i = 0; i < N_TESTS; i++) {
		uint64_t failures = run(&tests[i], most);

		printf("ok %zu - %s\n# %s: %" PRIu64 " failures, %u done all the same\n", i + 1, tests[i].name, tests[i].name, failures,
		       world.in_spite);
		fflush(stdout);
		total += failures;
	}
	stop();
	world_unmake();
	printf("# %" PRIu64 " failures of memory, 0 lost, 0 wrong\n1..%zu\n", total, N_TESTS);
	return 0;
}
