/* SPDX-License-Identifier: Apache-2.0
 * test_nomem: memory runs out at each allocation of all that a store does, once and for good, until a pass has had them all. Each time it either
 * is done or says so; after it the store, as it is in memory and opened again, is what it was before or what it should be now, and goes on.
 */
#include "store/anchor.h"
#include "store/apply.h"
#include "store/bundle.h"
#include "store/key_text.h"
#include "store/mesh.h"
#include "tests/crash/nomem.h"
#include "tests/crash/state.h"
#include "tests/unit/fixture.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#define SHORT_FORM_PASSES 150 /* at most of each test, in each way; with HUSH_SOAK all */

static struct {
	struct fixture *fixture;
	char pristine[300];
	char other[300]; /* a path for what is made */
	struct key *key; /* another than the fixture's */
	struct store *store;
	struct anchor *anchor;
	struct bundle bundle; /* what is being written */
	uint64_t node, generation; /* what is being read */
	size_t in_use;
	char before[STATE_BYTES], after[STATE_BYTES]; /* the store's state, as text */
} world;

/* --- the world -------------------------------------------------------------------------------------------------- */

static int try_open(const char *path, const struct key *key, struct store **ret_store)
{
	const struct store_options options = {.value_bytes = STORE_VALUE_BYTES_DEFAULT, .history = 1};

	return store_open(path, key, &options, ret_store);
}

static struct store *must_open(const char *path, const struct key *key)
{
	struct store *store;

	fixture_must(try_open(path, key, &store) == 0);
	return store;
}

static void put(struct name name, const char *value)
{
	fixture_must(fixture_do(world.store, STORE_PUT, name, value, strlen(value), NULL) == 0);
}

static void world_make(void)
{
	void *fixture;

	fixture_in_memory(); /* syncs cost nothing there */
	fixture_must(fixture_setup(&fixture) == 0);
	world.fixture = fixture;
	world.key = fixture_key();
	fixture_make(fixture);
	world.store = must_open(world.fixture->store, world.fixture->key);
	put(fixture_mesh("m"), FIXTURE_MESH("m", "of m"));
	put(fixture_mesh("empty"), FIXTURE_MESH("empty", "of empty"));
	put(fixture_secret("m", "c"), "the value of c");
	put(fixture_secret("default", "a"), "an older value of a");
	put(fixture_secret("default", "a"), "the value of a");
	put(fixture_secret("default", "b"), "the value of b");
	put(fixture_global("g"), "the value of g");
	fixture_settle(world.store);
	state_take(world.store, world.before);
	store_close(world.store);
	snprintf(world.pristine, sizeof(world.pristine), "%s", fixture_path(fixture, "pristine"));
	snprintf(world.other, sizeof(world.other), "%s", fixture_path(fixture, "other"));
	fixture_copy(world.fixture->store, world.pristine);
	world.in_use = secmem_in_use();
}

static void world_unmake(void)
{
	void *fixture = world.fixture;

	key_free(world.key);
	fixture_teardown(&fixture);
}

/* Nothing is left beside the two files and what is kept for removing but what @also names. */
static void check_folder(const char *also)
{
	DIR *folder = opendir(world.fixture->folder);
	struct dirent *entry;

	fixture_must(folder);
	while ((entry = readdir(folder))) {
		bool known = entry->d_name[0] == '.' || strcmp(entry->d_name, "pristine") == 0 ||
			     strcmp(entry->d_name, "s.hush") == 0 || strcmp(entry->d_name, "s.hush-reserve") == 0 ||
			     (also && strcmp(entry->d_name, also) == 0);

		if (!known)
			fprintf(stderr, "%s is left\n", entry->d_name);
		fixture_must(known);
	}
	closedir(folder);
}

/* --- what is done ----------------------------------------------------------------------------------------------- */

/* What a test does; NULL: nothing. The store is as world_make left it. */
struct test {
	const char *name;
	void (*prepare)(void);
	int (*run)(void);	   /* while memory runs out */
	void (*check)(int result); /* what came of it */
};

static void prepare_open(void)
{
	world.store = must_open(world.fixture->store, world.fixture->key);
}

/* It is all there or nothing, also when it was opened again; and it goes on. */
static void check_change(int result)
{
	const char *expected = result == 0 ? world.after : world.before;
	struct store_checked checked;

	state_must_be(world.store, expected);
	fixture_must(store_check(world.store, NULL, NULL, &checked) == 0);
	store_close(world.store);
	prepare_open();
	state_must_be(world.store, expected);
	put(fixture_global("g"), "and on");
	fixture_must(fixture_holds(world.store, fixture_global("g"), "and on", 6));
}

static void check_unchanged(int result)
{
	(void)result;
	check_change(-ENOMEM);
}

static int run_op(enum store_op_kind kind, struct name name, const char *value, void (*fill)(struct store_op *op))
{
	struct store_txn *txn = store_txn_new(1);
	int r = 0;

	if (!txn)
		return -ENOMEM;
	fixture_op(&txn->ops[0], kind, name, NULL, 0);
	if (value)
		r = secbuf_write(&txn->ops[0].value, 0, value, strlen(value));
	if (fill)
		fill(&txn->ops[0]);
	if (r == 0)
		r = store_run(world.store, txn);
	store_txn_free(txn);
	return r;
}

static int run_create(void)
{
	return store_create(world.other, world.key, 1000, 100);
}

static void check_create(int result)
{
	if (result == 0) {
		struct store *made = must_open(world.other, world.key);

		fixture_must(fixture_exists(made, fixture_mesh("default")));
		store_close(made);
		unlink(world.other);
	}
	check_folder(NULL);
}

static int run_open(void)
{
	return try_open(world.fixture->store, world.fixture->key, &world.store);
}

static void check_open(int result)
{
	if (result < 0)
		prepare_open();
	check_unchanged(0);
}

/* With the version of a secret that was removed while somebody had it open. */
static void prepare_left(void)
{
	const struct name name = fixture_secret("default", "left");
	uint64_t generation;

	prepare_open();
	put(name, "left");
	fixture_must(store_pin(world.store, store_node(world.store, &name), &generation) == 0);
	fixture_must(fixture_do(world.store, STORE_REMOVE, name, NULL, 0, NULL) == 0);
	store_close(world.store);
	world.store = NULL;
}

static int run_close(void)
{
	store_close(world.store);
	return 0;
}

static void prepare_close(void)
{
	prepare_open();
	put(fixture_secret("default", "a"), "the value of a, once more");
	state_take(world.store, world.after);
}

static void check_close(int result)
{
	prepare_open();
	check_change(result);
}

static int run_create_secret(void)
{
	return run_op(STORE_PUT, fixture_secret("default", "new"), "the value of new", NULL);
}

static int run_replace(void)
{
	return run_op(STORE_PUT, fixture_secret("default", "a"), "another value of a", NULL);
}

static int run_append(void)
{
	return run_op(STORE_APPEND, fixture_secret("default", "a"), " and more", NULL);
}

static int run_remove(void)
{
	return run_op(STORE_REMOVE, fixture_secret("default", "a"), NULL, NULL);
}

static void fill_absent(struct store_op *op)
{
	op->inode = RECORD_MESH_YAML;
	op->set = RECORD_SET_ABSENT;
}

static int run_remove_document(void)
{
	return run_op(STORE_SET_ATTRIBUTES, fixture_mesh("empty"), NULL, fill_absent);
}

static int run_create_mesh(void)
{
	return run_op(STORE_PUT, fixture_mesh("new"), FIXTURE_MESH("new", "of new"), NULL);
}

static void fill_rename(struct store_op *op)
{
	op->to = fixture_secret("default", "b");
}

static int run_rename(void)
{
	return run_op(STORE_RENAME, fixture_secret("default", "a"), NULL, fill_rename);
}

static void fill_attributes(struct store_op *op)
{
	const struct acl acl = {.present = true, .mask = true, .group = 4, .mode = 0640, .count = 1,
				.named = {{.permission = 4, .id = 3000}}};

	op->set = RECORD_SET_UID | RECORD_SET_MODE | RECORD_SET_ACL;
	op->attributes[0] = (struct record_attributes){.uid = 77, .mode = 0640};
	fixture_must(acl_put(&op->acls, RECORD_SELF, ACL_KIND_ACCESS, &acl) == 0);
}

static int run_attributes(void)
{
	return run_op(STORE_SET_ATTRIBUTES, fixture_secret("default", "a"), NULL, fill_attributes);
}

/* Several at once, all or none. */
static int run_batch(void)
{
	static const char *const values[] = {FIXTURE_MESH("new", "of new"), "first", "second", "third"};
	struct store_txn *txn = store_txn_new(5);
	int r = 0;

	if (!txn)
		return -ENOMEM;
	fixture_op(&txn->ops[0], STORE_PUT, fixture_mesh("new"), NULL, 0);
	fixture_op(&txn->ops[1], STORE_PUT, fixture_secret("new", "x"), NULL, 0);
	fixture_op(&txn->ops[2], STORE_PUT, fixture_global("g"), NULL, 0);
	fixture_op(&txn->ops[3], STORE_PUT, fixture_global("g"), NULL, 0);
	fixture_op(&txn->ops[4], STORE_REMOVE, fixture_secret("default", "a"), NULL, 0);
	for (int i = 0; i < 4 && r == 0; i++)
		r = secbuf_write(&txn->ops[i].value, 0, values[i], strlen(values[i]));
	if (r == 0)
		r = store_run(world.store, txn);
	store_txn_free(txn);
	return r;
}

/* Several, of each of which an older version goes. */
#define SEVERAL 6

static struct name several_name(unsigned number)
{
	char text[20];

	snprintf(text, sizeof(text), "several-%u", number);
	return fixture_global(text);
}

static void prepare_several(void)
{
	prepare_open();
	for (unsigned i = 0; i < 2 * SEVERAL; i++)
		put(several_name(i % SEVERAL), i < SEVERAL ? "first" : "second");
}

static int run_several(void)
{
	struct store_txn *txn = store_txn_new(SEVERAL);
	int r = 0;

	if (!txn)
		return -ENOMEM;
	for (unsigned i = 0; i < SEVERAL && r == 0; i++) {
		fixture_op(&txn->ops[i], STORE_PUT, several_name(i), NULL, 0);
		r = secbuf_write(&txn->ops[i].value, 0, "third", 5);
	}
	if (r == 0)
		r = store_run(world.store, txn);
	store_txn_free(txn);
	return r;
}

static void check_several(int result)
{
	const char *expected = result == 0 ? "third" : "second";

	for (int opened = 0; opened < 2; opened++) {
		for (unsigned i = 0; i < SEVERAL; i++)
			fixture_must(fixture_holds(world.store, several_name(i), expected, strlen(expected)));
		store_close(world.store);
		prepare_open();
	}
}

/* --- several transactions, committed together --- */

#define TOGETHER 4

static struct {
	_Atomic unsigned done;
	int results[TOGETHER];
} together;

static void together_done(struct store_txn *txn, int result)
{
	together.results[(size_t)txn->context] = result;
	store_txn_free(txn);
	together.done++;
}

static void together_name(size_t i, char ret_name[static 8])
{
	snprintf(ret_name, 8, "t%zu", i);
}

/* Those that were answered are there, the others are not: that is looked at apart. */
static int run_together(void)
{
	char name[8];
	int r = 0;

	together.done = 0;
	for (size_t i = 0; i < TOGETHER; i++) {
		struct store_txn *txn = store_txn_new(1);

		together.results[i] = -ENOMEM;
		together_name(i, name);
		if (txn) {
			fixture_op(&txn->ops[0], STORE_PUT, fixture_global(name), NULL, 0);
			txn->done = together_done;
			txn->context = (void *)i;
		}
		if (!txn || secbuf_write(&txn->ops[0].value, 0, "together", 8) < 0) {
			store_txn_free(txn);
			together.done++;
		} else {
			store_submit(world.store, txn);
		}
	}
	while (together.done < TOGETHER)
		usleep(100);
	for (size_t i = 0; i < TOGETHER; i++)
		r = together.results[i] < 0 ? together.results[i] : r;
	return r;
}

static void check_together(int result)
{
	(void)result;
	for (int opened = 0; opened < 2; opened++) {
		for (size_t i = 0; i < TOGETHER; i++) {
			char name[8];

			together_name(i, name);
			fixture_must(fixture_holds(world.store, fixture_global(name), "together", 8) == (together.results[i] == 0));
		}
		store_close(world.store);
		prepare_open();
	}
}

/* --- reading and administration --- */

static void prepare_read(void)
{
	const struct name name = fixture_secret("default", "a");

	prepare_open();
	world.node = store_node(world.store, &name);
	fixture_must(store_pin(world.store, world.node, &world.generation) == 0);
}

static int run_read(void)
{
	SECBUF_AUTO value = {0};
	int r = store_read(world.store, world.node, world.generation, &value);

	fixture_must(r < 0 || (value.size == 14 && memcmp(value.data, "the value of a", 14) == 0));
	return r;
}

static void check_read(int result)
{
	store_unpin(world.store, world.node, world.generation);
	check_unchanged(result);
}

static int run_check(void)
{
	struct store_checked checked;
	int r = store_check(world.store, NULL, NULL, &checked);

	fixture_must(r < 0 || checked.resources == 8);
	return r;
}

static int run_copy(void)
{
	return store_copy(world.store, world.other);
}

static void check_copy(int result)
{
	if (result == 0) {
		struct store *copy = must_open(world.other, world.fixture->key);

		state_must_be(copy, world.before);
		store_close(copy);
		unlink(world.other);
	}
	check_folder("s.hush-wal");
	check_unchanged(0);
}

static int run_lock(void)
{
	int r = store_lock(world.store);

	fixture_must(store_is_locked(world.store) == (r == 0));
	return r;
}

static void check_lock(int result)
{
	fixture_must(result < 0 || store_unlock(world.store, world.fixture->key) == 0);
	check_unchanged(0);
}

static void prepare_unlock(void)
{
	prepare_open();
	fixture_must(store_lock(world.store) == 0);
}

static int run_unlock(void)
{
	int r = store_unlock(world.store, world.fixture->key);

	fixture_must(store_is_locked(world.store) == (r < 0));
	return r;
}

static void check_unlock(int result)
{
	check_lock(result == 0 ? -1 : 0);
}

static int run_key_add(void)
{
	unsigned slot;

	return store_key_add(world.store, world.key, &slot);
}

/* Of the two keys @now opens it if it was done (1: though the file without its journal is as before), @then if it was not; with @both the
 * latter always. */
static void check_keys(int result, const struct key *now, const struct key *then, bool both)
{
	struct store *store;

	state_must_be(world.store, world.before);
	store_close(world.store);
	fixture_must(try_open(world.fixture->store, now, &store) == (result >= 0 ? 0 : -EKEYREJECTED));
	if (result >= 0)
		store_close(store);
	fixture_must(try_open(world.fixture->store, then, &store) == (result < 0 || both ? 0 : -EKEYREJECTED));
	world.store = result < 0 || both ? store : must_open(world.fixture->store, now);
	state_must_be(world.store, world.before);
}

static void check_key_add(int result)
{
	check_keys(result, world.key, world.fixture->key, true);
}

static int run_key_replace(void)
{
	return store_key_replace(world.store, 0, world.key);
}

static void check_key_replace(int result)
{
	check_keys(result, world.key, world.fixture->key, false);
}

static void prepare_key_remove(void)
{
	unsigned slot;

	prepare_open();
	fixture_must(store_key_add(world.store, world.key, &slot) == 0);
}

static int run_key_remove(void)
{
	return store_key_remove(world.store, 0);
}

static void check_key_remove(int result)
{
	const struct key *gone = world.fixture->key;
	struct store *store;

	store_close(world.store);
	fixture_must(try_open(world.fixture->store, gone, &store) == (result >= 0 ? -EKEYREJECTED : 0));
	if (result < 0)
		store_close(store);
	world.store = must_open(world.fixture->store, world.key);
	state_must_be(world.store, world.before);
}

static int run_rekey(void)
{
	return store_rekey(world.fixture->store, world.fixture->key, world.key, NULL, NULL, NULL);
}

static void check_rekey(int result)
{
	struct store *store;

	check_folder(result == 0 ? NULL : "s.hush-wal");
	fixture_must(try_open(world.fixture->store, result == 0 ? world.fixture->key : world.key, &store) == -EKEYREJECTED);
	world.store = must_open(world.fixture->store, result == 0 ? world.key : world.fixture->key);
	state_must_be(world.store, world.before);
}

/* --- an anchor that has seen a newer state --- */

static int open_anchored(bool later)
{
	struct store_options options = {.value_bytes = STORE_VALUE_BYTES_DEFAULT, .history = 1, .anchor_later = later};
	int r = anchor_open(fixture_path(world.fixture, "anchor"), false, &world.anchor);

	if (r < 0)
		return r;
	options.anchor = world.anchor;
	return store_open(world.fixture->store, world.fixture->key, &options, &world.store);
}

static void close_anchored(void)
{
	world.store = store_close(world.store);
	world.anchor = anchor_close(world.anchor);
}

static void prepare_accept(void)
{
	fixture_must(open_anchored(false) == 0);
	put(fixture_global("g"), "seen by the anchor");
	close_anchored();
	fixture_copy(world.pristine, world.fixture->store);
}

static int run_accept(void)
{
	struct store_accepted accepted;
	int r = open_anchored(true);

	if (r == 0)
		r = store_accept(world.store, &accepted);
	fixture_must(r < 0 || accepted.refused);
	return r;
}

/* Then it opens with it; else it may, or is refused as before. */
static void check_accept(int result)
{
	int r;

	close_anchored();
	r = open_anchored(false);
	fixture_must(r == 0 || (result < 0 && r == -ESTALE));
	close_anchored();
	fixture_must(unlink(fixture_path(world.fixture, "anchor")) == 0);
	prepare_open();
	check_unchanged(0);
}

/* --- documents --- */

static const char documents[] = "type: Mesh\nname: fresh\nmany: {a: 1, b: 2, c: 3, d: 4, e: 5, f: 6, g: 7, h: 8, i: 9}\nmtls:\n  enabledBackend: ca\n  backends:\n  - name: ca\n    type: provided\n"
				"    conf:\n      cert:\n        secret: cert\n      key:\n        secret: cert\n"
				"---\ntype: Secret\nmesh: fresh\nname: cert\ndata: dmFsdWU=\n"
				"---\napiVersion: v1\nkind: Secret\ntype: system.kuma.io/global-secret\nmetadata:\n"
				"  name: g\n  namespace: kong-mesh-system\ndata:\n  value: YW5vdGhlcg==\n";

static int parse(struct bundle *bundle, struct bundle_error *error)
{
	const struct bundle_options options = {.value_bytes = 65536};

	return bundle_parse(documents, sizeof(documents) - 1, &options, bundle, error);
}

static int run_apply(void)
{
	struct bundle_error error = {0};
	BUNDLE_AUTO bundle = {0};
	int r = parse(&bundle, &error);

	fixture_must(r == 0 || bundle.n == 0);
	return r < 0 ? r : apply_run(world.store, &bundle, 1000, 100, &error);
}

static int apply_removal(const struct name *names, size_t n)
{
	struct bundle_error error = {0};
	struct name *gone = NULL;
	size_t n_gone = 0;
	int r = apply_remove(world.store, names, n, &gone, &n_gone, &error);

	free(gone);
	return r;
}

static int run_apply_remove(void)
{
	return apply_removal((struct name[]){fixture_mesh("m"), fixture_global("g"), fixture_secret("default", "b")}, 3);
}

static int run_apply_remove_meshes(void)
{
	return apply_removal((struct name[]){fixture_mesh("m"), fixture_mesh("empty")}, 2);
}

/* What was written reads as the same. */
static int run_documents(void)
{
	struct bundle_error error = {0};
	BUNDLE_AUTO bundle = {0};
	struct mesh_backend backend;
	SECBUF_AUTO text = {0};
	int r = parse(&bundle, &error);

	for (size_t i = 0; r == 0 && i < bundle.n; i++) {
		const struct bundle_options options = {.value_bytes = 65536};
		BUNDLE_AUTO again = {0};

		secbuf_resize(&text, 0); /* cannot fail */
		r = bundle_write(&bundle.items[i], &text);
		if (r == 0)
			r = bundle_parse(text.data, text.size, &options, &again, &error);
		fixture_must(r < 0 || (again.n == 1 && name_equal(&again.items[0].name, &bundle.items[i].name)));
	}
	if (r == 0)
		r = mesh_read(&bundle.items[0].value, "fresh", &backend);
	return r;
}

/* --- writing, wherever it is that the text has to grow --- */

#define WRITE_ROOM 240

static void prepare_write(void)
{
	struct bundle_error error;

	fixture_must(parse(&world.bundle, &error) == 0);
}

static int write_one(size_t number, struct secbuf *text)
{
	const struct key passphrase = {.kind = KEY_PASSPHRASE, .size = 10, .bytes = "passphrase"};

	return number < world.bundle.n ? bundle_write(&world.bundle.items[number], text) : key_text_write(&passphrase, text);
}

static int run_write(void)
{
	int r = 0;

	for (size_t i = 0; i <= world.bundle.n; i++) {
		SECBUF_AUTO whole = {0};

		r = r == 0 ? secbuf_resize(&whole, 2000) : r;
		if (r == 0)
			r = secbuf_resize(&whole, 0);
		if (r == 0)
			r = write_one(i, &whole);
		for (size_t room = 0; r == 0 && room < WRITE_ROOM; room += 6) {
			SECBUF_AUTO text = {0};

			r = secbuf_resize(&text, WRITE_ROOM);
			if (r == 0)
				r = secbuf_resize(&text, WRITE_ROOM - room);
			if (r == 0)
				r = write_one(i, &text);
			fixture_must(r < 0 || (text.size == WRITE_ROOM - room + whole.size &&
					       memcmp(text.data + WRITE_ROOM - room, whole.data, whole.size) == 0));
		}
	}
	return r;
}

static void check_write(int result)
{
	(void)result;
	bundle_deinit(&world.bundle);
	world.bundle = (struct bundle){0};
}

static const struct test tests[] = {
	{"making a store", NULL, run_create, check_create},
	{"opening", NULL, run_open, check_open},
	{"opening, with what was left", prepare_left, run_open, check_open},
	{"closing", prepare_close, run_close, check_close},
	{"a new secret", prepare_open, run_create_secret, check_change},
	{"a new mesh", prepare_open, run_create_mesh, check_change},
	{"replacing", prepare_open, run_replace, check_change},
	{"appending", prepare_open, run_append, check_change},
	{"removing", prepare_open, run_remove, check_change},
	{"removing a mesh.yaml", prepare_open, run_remove_document, check_change},
	{"renaming", prepare_open, run_rename, check_change},
	{"attributes and an ACL", prepare_open, run_attributes, check_change},
	{"a transaction of five", prepare_open, run_batch, check_change},
	{"a transaction of six, with what goes", prepare_several, run_several, check_several},
	{"transactions together", prepare_open, run_together, check_together},
	{"reading", prepare_read, run_read, check_read},
	{"a check", prepare_open, run_check, check_unchanged},
	{"a copy", prepare_open, run_copy, check_copy},
	{"locking", prepare_open, run_lock, check_lock},
	{"unlocking", prepare_unlock, run_unlock, check_unlock},
	{"a further key", prepare_open, run_key_add, check_key_add},
	{"another key", prepare_open, run_key_replace, check_key_replace},
	{"removing a key", prepare_key_remove, run_key_remove, check_key_remove},
	{"a new root key", NULL, run_rekey, check_rekey},
	{"accepting", prepare_accept, run_accept, check_accept},
	{"applying documents", prepare_open, run_apply, check_change},
	{"removing a mesh and others", prepare_open, run_apply_remove, check_change},
	{"removing meshes", prepare_open, run_apply_remove_meshes, check_change},
	{"reading and writing documents", NULL, run_documents, NULL},
	{"writing", prepare_write, run_write, check_write},
};
#define N_TESTS (sizeof(tests) / sizeof(tests[0]))

/* --- running ---------------------------------------------------------------------------------------------------- */

/* One pass. False if nothing had to fail any more: then it was done. */
static bool pass(const struct test *test, uint64_t n, bool for_ever)
{
	const bool removes_key = test->run == run_key_replace || test->run == run_key_remove;
	bool failed;
	int r;

	world.store = NULL;
	fixture_copy(world.pristine, world.fixture->store);
	if (test->prepare)
		test->prepare();
	nomem_begin(test->name, n, for_ever);
	r = test->run();
	failed = nomem_end();
	if (r != 0 && r != -ENOMEM && r != -EAGAIN && !(r == 1 && removes_key))
		fprintf(stderr, "result %d: %s\n", r, strerror(-r));
	fixture_must(r == 0 || (failed && (r == -ENOMEM || r == -EAGAIN || (r == 1 && removes_key)))); /* EAGAIN: a thread */
	if (!failed && test->check == check_change && test->run != run_close)
		state_take(world.store, world.after);
	if (test->check)
		test->check(r);
	if (world.store)
		store_close(world.store);
	fixture_must(secmem_in_use() == world.in_use);
	return failed;
}

/* Before there is an arena. */
static uint64_t run_arena(void)
{
	uint64_t n = 1;

	for (bool failed = true; failed; n++) {
		int r;

		nomem_begin("the arena", n, false);
		r = secmem_init(FIXTURE_ARENA_BYTES);
		failed = nomem_end();
		fixture_must(failed ? r == -ENOMEM || r == 1 : r == 0);
		if (r >= 0)
			secmem_deinit();
	}
	return n - 2;
}

int main(void)
{
	const uint64_t most = getenv("HUSH_SOAK") ? UINT64_MAX : SHORT_FORM_PASSES;
	uint64_t total;

	nomem_init();
	total = run_arena();
	printf("ok 1 - the arena\n");
	fixture_init();
	world_make();
	for (size_t i = 0; i < N_TESTS; i++) {
		uint64_t failures = nomem_passes(&tests[i], most, pass);

		printf("ok %zu - %s\n# %s: %" PRIu64 " failures\n", i + 2, tests[i].name, tests[i].name, failures);
		fflush(stdout);
		total += failures;
	}
	world_unmake();
	printf("# %" PRIu64 " failures of memory, 0 lost, 0 wrong\n1..%zu\n", total, N_TESTS + 1);
	return 0;
}
