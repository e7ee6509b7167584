/* SPDX-License-Identifier: Apache-2.0
 * test_store: making and opening a store, and what each operation does, with every flag and every error.
 */
#include "tests/unit/cmocka_all.h"
#include "tests/unit/fixture.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define CACHE (1024 * 1024)
#define PUT(store, name, text) fixture_do(store, STORE_PUT, name, text, strlen(text), NULL)
#define HOLDS(store, name, text) assert_true(fixture_holds(store, name, text, strlen(text)))

static struct store *made(void **state)
{
	fixture_make(*state);
	return fixture_open(*state, 2, CACHE);
}

static int run_and_free(struct store *store, struct store_txn *txn)
{
	int r = store_run(store, txn);

	store_txn_free(txn);
	return r;
}

static struct store_txn *one(enum store_op_kind kind, struct name name, const char *text)
{
	struct store_txn *txn = store_txn_new(1);

	fixture_must(txn);
	fixture_op(&txn->ops[0], kind, name, text, text ? strlen(text) : 0);
	return txn;
}

static int rename_to(struct store *store, struct name from, struct name to, bool exclusive)
{
	struct store_txn *txn = one(STORE_RENAME, from, NULL);

	txn->ops[0].to = to;
	txn->ops[0].exclusive = exclusive;
	return run_and_free(store, txn);
}

static bool same_time(struct timespec a, struct timespec b)
{
	return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

static struct record_attributes attributes(struct store *store, struct name name, enum record_inode inode)
{
	return fixture_info(store, name).record.inodes[inode];
}

static struct timespec mtime(struct store *store, struct name name)
{
	return attributes(store, name, RECORD_SELF).mtime;
}

/* So that the next change has another time. */
static void tick(void)
{
	usleep(10000);
}

static struct store_status status_of(struct store *store)
{
	struct store_status status;

	store_get_status(store, &status);
	return status;
}

/* Making and opening. */

static void test_create_and_open(void **state)
{
	struct fixture *fixture = *state;
	struct store *store = made(state);
	struct store_status status = status_of(store);
	struct store_info info;
	struct name root;
	struct stat st;

	assert_int_equal(status.meshes, 1);
	assert_int_equal(status.secrets, 0);
	assert_int_equal(status.global_secrets, 0);
	assert_int_equal(status.rows, 5); /* the header; the root and `default`, each a record and a value */
	assert_string_equal(store_path(store), fixture->store);
	assert_int_equal(store_get_options(store)->history, 2);
	HOLDS(store, fixture_mesh("default"), "type: Mesh\nname: default\n");
	info = fixture_info(store, fixture_mesh("default"));
	assert_true(info.exists);
	assert_int_equal(info.record.inodes[RECORD_SELF].uid, 1000);
	assert_int_equal(info.record.inodes[RECORD_SELF].gid, 1001);
	assert_int_equal(info.record.inodes[RECORD_MESH_SECRETS].mode, 0700);
	name_set(&root, NAME_ROOT, "", "");
	assert_int_equal(attributes(store, root, RECORD_GLOBAL).mode, 0700);
	assert_int_equal(attributes(store, root, RECORD_SELF).mode, 0755);
	assert_null(store_close(store));
	assert_null(store_close(NULL));
	assert_int_equal(stat(fixture->store, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
}

static void test_create_keeps_what_is_there(void **state)
{
	struct fixture *fixture = *state;
	uint8_t *before, *after;
	size_t size, size_after;

	fixture_make(fixture);
	before = fixture_read(fixture->store, &size);
	assert_int_equal(store_create(fixture->store, fixture->key, 0, 0), -EEXIST);
	after = fixture_read(fixture->store, &size_after);
	assert_int_equal(size, size_after);
	assert_memory_equal(before, after, size);
	free(before);
	free(after);
	assert_int_equal(symlink("/nonexistent/x", fixture_path(fixture, "link")), 0);
	assert_int_equal(store_create(fixture_path(fixture, "link"), fixture->key, 0, 0), -EEXIST);
	assert_int_equal(store_create(fixture->folder, fixture->key, 0, 0), -EEXIST);
	assert_int_equal(store_create(fixture_path(fixture, "no/where"), fixture->key, 0, 0), -ENOENT);
}

/* Neither success nor failure leaves another file behind. */
static void test_create_leaves_nothing_else(void **state)
{
	struct fixture *fixture = *state;
	char command[700];

	fixture_make(fixture);
	assert_int_equal(store_create(fixture->store, fixture->key, 0, 0), -EEXIST);
	assert_int_equal(symlink("/nonexistent/x", fixture_path(fixture, "link")), 0);
	assert_int_equal(store_create(fixture_path(fixture, "link"), fixture->key, 0, 0), -EEXIST);
	snprintf(command, sizeof(command), "test \"$(ls -A '%s' | tr '\\n' ' ')\" = 'link s.hush '", fixture->folder);
	assert_int_equal(system(command), 0);
}

static void test_folder_checks(void **state)
{
	static const struct {
		mode_t mode;
		int result;
	} cases[] = {{0700, 0}, {0755, 0}, {0777, -EPERM}, {01777, -EPERM}, {0702, -EPERM}, {0500, 0}};
	struct fixture *fixture = *state;
	struct store *store;

	fixture_make(fixture);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		if (cases[i].mode == 0500 && geteuid() != 0)
			continue; /* only root can make a journal there */
		assert_int_equal(chmod(fixture->folder, cases[i].mode), 0);
		assert_int_equal(fixture_try(fixture, fixture->store, &store), cases[i].result);
		store_close(store);
		if (cases[i].result)
			assert_int_equal(store_create(fixture_path(fixture, "new"), fixture->key, 0, 0),
					 cases[i].result);
		assert_int_equal(access(fixture_path(fixture, "new"), F_OK), -1);
	}
	chmod(fixture->folder, 0700);
}

/* A link to the store may lie elsewhere: what counts is where the file is. */
static void test_link(void **state)
{
	struct fixture *fixture = *state;
	const char *link = fixture_path(fixture, "links/l");
	struct store *store;

	fixture_make(fixture);
	assert_int_equal(mkdir(fixture_path(fixture, "links"), 0700), 0);
	assert_int_equal(symlink(fixture->store, link), 0);
	assert_int_equal(chmod(fixture->folder, 0777), 0);
	assert_int_equal(fixture_try(fixture, link, &store), -EPERM);
	assert_int_equal(chmod(fixture->folder, 0700), 0);
	assert_int_equal(fixture_try(fixture, link, &store), 0);
	assert_int_equal(PUT(store, fixture_global("g"), "x"), 0);
	assert_string_equal(store_path(store), fixture->store);
	assert_int_equal(access(fixture_path(fixture, "s.hush-reserve"), F_OK), 0);
	assert_int_equal(access(fixture_path(fixture, "links/l-reserve"), F_OK), -1);
	store_close(store);
	assert_int_equal(unlink(link), 0);
	assert_int_equal(symlink("nothing", link), 0);
	assert_int_equal(fixture_try(fixture, link, &store), -ENOENT);
}

static void test_folder_of_somebody_else(void **state)
{
	struct fixture *fixture = *state;
	struct store *store;

	if (geteuid() != 0)
		skip();
	fixture_make(fixture);
	assert_int_equal(chown(fixture->folder, 12345, 12345), 0);
	assert_int_equal(fixture_try(fixture, fixture->store, &store), -EPERM);
	assert_int_equal(store_create(fixture_path(fixture, "new"), fixture->key, 0, 0), -EPERM);
	assert_int_equal(chown(fixture->folder, 0, 0), 0);
	assert_int_equal(fixture_try(fixture, fixture->store, &store), 0);
	store_close(store);
}

static void test_open_errors(void **state)
{
	struct fixture *fixture = *state;
	struct key *other = fixture_key();
	struct store_options options = {.value_bytes = 100};
	struct store *store;

	assert_int_equal(fixture_try(fixture, fixture->store, &store), -ENOENT);
	assert_int_equal(fixture_try(fixture, fixture_path(fixture, "no/where"), &store), -ENOENT);
	assert_int_equal(mkdir(fixture_path(fixture, "folder"), 0700), 0);
	assert_int_equal(fixture_try(fixture, fixture_path(fixture, "folder"), &store), -EMEDIUMTYPE);
	fixture_write(fixture_path(fixture, "text"), "text", 4, 0600);
	assert_int_equal(fixture_try(fixture, fixture_path(fixture, "text"), &store), -EMEDIUMTYPE);
	fixture_make(fixture);
	store = NULL;
	assert_int_equal(store_open(fixture->store, other, &options, &store), -EKEYREJECTED);
	assert_null(store);
	assert_int_equal(fixture_try(fixture, fixture->store, &store), 0); /* and it did no harm */
	store_close(store);
	key_free(other);
}

/* A store comes to where another one was, whose journal is still there: with that it is refused, and without it what it was. */
static void test_journal_of_another(void **state)
{
	struct fixture *fixture = *state;
	const struct store_options options = {.value_bytes = STORE_VALUE_BYTES_DEFAULT, .history = 5};
	const char *other = fixture_path(fixture, "other"), *left = fixture_path(fixture, "left");
	const char *journal = fixture_path(fixture, "s.hush-wal");
	struct key *key = fixture_key();
	uint8_t *before, *after;
	size_t size, size_after;
	struct store *store;

	assert_int_equal(store_create(other, key, 1, 1), 0);
	before = fixture_read(other, &size);
	fixture_make(fixture);
	store = fixture_open(fixture, 5, 0);
	assert_int_equal(fixture_do(store, STORE_PUT, fixture_global("a"), "x", 1, NULL), 0);
	fixture_copy(journal, left);
	store_close(store);
	assert_int_equal(rename(other, fixture->store), 0);
	assert_int_equal(rename(left, journal), 0);
	assert_int_equal(store_open(fixture->store, key, &options, &store), -EKEYREJECTED);
	after = fixture_read(fixture->store, &size_after);
	assert_int_equal(size_after, size);
	assert_memory_equal(after, before, size);
	assert_int_equal(unlink(journal), 0);
	assert_int_equal(store_open(fixture->store, key, &options, &store), 0);
	store_close(store);
	free(before);
	free(after);
	key_free(key);
}

static void test_one_process_at_a_time(void **state)
{
	struct fixture *fixture = *state;
	int go[2], status;
	struct store *store;
	char c;
	pid_t pid;

	fixture_make(fixture);
	assert_int_equal(pipe(go), 0);
	pid = fork();
	if (pid == 0) {
		struct store *child;

		fixture_init();
		close(go[1]);
		_exit(read(go[0], &c, 1) == 1 && fixture_try(fixture, fixture->store, &child) == -EBUSY ? 0 : 1);
	}
	store = fixture_open(fixture, 2, CACHE);
	assert_int_equal(write(go[1], "x", 1), 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	store_close(store);
	close(go[0]);
	close(go[1]);
}

static void test_all_is_there_after_reopening(void **state)
{
	struct fixture *fixture = *state;
	struct store *store = made(state);
	struct store_status before, after;
	struct store_info a, b;

	assert_int_equal(PUT(store, fixture_mesh("m2"), "type: Mesh\nname: m2\n"), 0);
	assert_int_equal(PUT(store, fixture_secret("m2", "x"), "one"), 0);
	assert_int_equal(PUT(store, fixture_secret("m2", "x"), "two"), 0);
	assert_int_equal(PUT(store, fixture_global("g"), ""), 0);
	a = fixture_info(store, fixture_secret("m2", "x"));
	before = status_of(store);
	store_close(store);
	store = fixture_open(fixture, 2, CACHE);
	b = fixture_info(store, fixture_secret("m2", "x"));
	after = status_of(store);
	assert_memory_equal(before.id, after.id, sizeof(before.id));
	assert_true(before.generation == after.generation && before.rows == after.rows);
	assert_true(after.meshes == 2 && after.secrets == 1 && after.global_secrets == 1);
	assert_true(a.node == b.node && a.record.generation == b.record.generation &&
		    a.record.created == b.record.created && a.record.size == b.record.size);
	assert_true(same_time(a.record.inodes[0].mtime, b.record.inodes[0].mtime));
	HOLDS(store, fixture_secret("m2", "x"), "two");
	HOLDS(store, fixture_global("g"), "");
	store_close(store);
}

/* STORE_PUT and STORE_APPEND. */

static void test_outcomes_and_mtime(void **state)
{
	struct store *store = made(state);
	struct name name = fixture_secret("default", "web");
	enum store_outcome outcome;
	struct timespec first, folder;
	uint64_t generation;

	assert_int_equal(fixture_do(store, STORE_PUT, name, "one", 3, &outcome), 0);
	assert_int_equal(outcome, STORE_CREATED);
	first = mtime(store, name);
	folder = attributes(store, fixture_mesh("default"), RECORD_MESH_SECRETS).mtime;
	generation = status_of(store).generation;
	tick();
	assert_int_equal(fixture_do(store, STORE_PUT, name, "one", 3, &outcome), 0);
	assert_int_equal(outcome, STORE_UNCHANGED);
	assert_true(same_time(first, mtime(store, name)));
	assert_int_equal(status_of(store).generation, generation); /* nothing was written */
	assert_int_equal(fixture_do(store, STORE_APPEND, name, "", 0, &outcome), 0);
	assert_int_equal(outcome, STORE_UNCHANGED);
	assert_int_equal(fixture_do(store, STORE_PUT, name, "two", 3, &outcome), 0);
	assert_int_equal(outcome, STORE_UPDATED);
	assert_false(same_time(first, mtime(store, name)));
	HOLDS(store, name, "two");
	assert_int_equal(fixture_do(store, STORE_APPEND, name, " more", 5, &outcome), 0);
	assert_int_equal(outcome, STORE_UPDATED);
	HOLDS(store, name, "two more");
	assert_int_equal(fixture_info(store, name).record.size, 8);
	assert_int_equal(fixture_do(store, STORE_PUT, name, "", 0, &outcome), 0);
	assert_int_equal(outcome, STORE_UPDATED);
	HOLDS(store, name, "");
	assert_int_equal(fixture_do(store, STORE_PUT, name, "\0", 1, &outcome), 0);
	assert_int_equal(outcome, STORE_UPDATED);
	/* replacing an entry is not a change of the folder */
	assert_true(same_time(folder, attributes(store, fixture_mesh("default"), RECORD_MESH_SECRETS).mtime));
	assert_int_equal(fixture_do(store, STORE_APPEND, fixture_global("new"), "abc", 3, &outcome), 0);
	assert_int_equal(outcome, STORE_CREATED);
	HOLDS(store, fixture_global("new"), "abc");
	store_close(store);
}

static void test_folder_times(void **state)
{
	struct store *store = made(state);
	struct timespec before, after;
	struct name root;

	name_set(&root, NAME_ROOT, "", "");
	before = attributes(store, fixture_mesh("default"), RECORD_MESH_SECRETS).mtime;
	tick();
	assert_int_equal(PUT(store, fixture_secret("default", "a"), "x"), 0);
	after = attributes(store, fixture_mesh("default"), RECORD_MESH_SECRETS).mtime;
	assert_false(same_time(before, after));
	tick();
	assert_int_equal(fixture_do(store, STORE_REMOVE, fixture_secret("default", "a"), NULL, 0, NULL), 0);
	assert_false(same_time(after, attributes(store, fixture_mesh("default"), RECORD_MESH_SECRETS).mtime));
	before = attributes(store, root, RECORD_GLOBAL).mtime;
	after = attributes(store, root, RECORD_MESHES).mtime;
	tick();
	assert_int_equal(PUT(store, fixture_global("a"), "x"), 0);
	assert_false(same_time(before, attributes(store, root, RECORD_GLOBAL).mtime));
	assert_true(same_time(after, attributes(store, root, RECORD_MESHES).mtime));
	assert_int_equal(PUT(store, fixture_mesh("m"), FIXTURE_MESH("m", "x")), 0);
	assert_false(same_time(after, attributes(store, root, RECORD_MESHES).mtime));
	store_close(store);
}

static void test_put_takes_attributes(void **state)
{
	struct store *store = made(state);
	struct name name = fixture_secret("default", "web");
	struct store_txn *txn = one(STORE_PUT, name, "v");
	struct record_attributes got;

	txn->ops[0].attributes[0] = (struct record_attributes){.uid = 5, .gid = 6, .mode = 0640, .mtime = {1, 1}};
	assert_int_equal(store_run(store, txn), 0);
	assert_int_equal(txn->ops[0].ret_outcome, STORE_CREATED);
	assert_int_equal(txn->ops[0].ret_created, fixture_info(store, name).record.created);
	store_txn_free(txn);
	got = attributes(store, name, RECORD_SELF);
	assert_true(got.uid == 5 && got.gid == 6 && got.mode == 0640);
	assert_true(got.mtime.tv_sec > 1600000000); /* now, not what the op said */
	/* replacing keeps them */
	txn = one(STORE_PUT, name, "w");
	txn->ops[0].attributes[0] = (struct record_attributes){.uid = 9, .gid = 9, .mode = 0666};
	assert_int_equal(run_and_free(store, txn), 0);
	got = attributes(store, name, RECORD_SELF);
	assert_true(got.uid == 5 && got.gid == 6 && got.mode == 0640);
	store_close(store);
}

static void test_put_errors(void **state)
{
	struct store *store = made(state);
	struct name name = fixture_secret("default", "web");
	struct store_txn *txn;
	size_t limit = STORE_VALUE_BYTES_DEFAULT;
	uint8_t *big = malloc(limit + 1);
	uint64_t generation;

	fixture_must(big);
	fixture_fill(big, limit + 1, 1);
	assert_int_equal(PUT(store, fixture_secret("absent", "web"), "x"), -ENOENT);
	assert_false(fixture_exists(store, fixture_secret("absent", "web")));
	for (int append = 0; append < 2; append++) {
		txn = one(append ? STORE_APPEND : STORE_PUT, name, "x");
		txn->ops[0].exclusive = true;
		assert_int_equal(run_and_free(store, txn), append ? -EEXIST : 0);
	}
	txn = one(STORE_PUT, name, "x"); /* also with the same bytes */
	txn->ops[0].exclusive = true;
	assert_int_equal(run_and_free(store, txn), -EEXIST);
	assert_int_equal(fixture_do(store, STORE_PUT, name, big, limit, NULL), 0);
	generation = status_of(store).generation;
	assert_int_equal(fixture_do(store, STORE_APPEND, name, "x", 1, NULL), -EFBIG);
	assert_int_equal(fixture_do(store, STORE_PUT, name, big, limit + 1, NULL), -EFBIG);
	assert_int_equal(fixture_do(store, STORE_PUT, fixture_global("g"), big, limit + 1, NULL), -EFBIG);
	assert_int_equal(fixture_do(store, STORE_APPEND, fixture_global("g"), big, limit + 1, NULL), -EFBIG);
	assert_false(fixture_exists(store, fixture_global("g")));
	assert_int_equal(status_of(store).generation, generation);
	assert_true(fixture_holds(store, name, big, limit));
	free(big);
	store_close(store);
}

static void test_only_created(void **state)
{
	struct store *store = made(state);
	struct name name = fixture_secret("default", "web");
	uint64_t created, generation;
	struct store_txn *txn;

	assert_int_equal(PUT(store, name, "one"), 0);
	created = fixture_info(store, name).record.created;
	txn = one(STORE_PUT, name, "two");
	txn->ops[0].only_created = created;
	assert_int_equal(store_run(store, txn), 0);
	assert_int_equal(txn->ops[0].ret_outcome, STORE_UPDATED);
	assert_int_equal(txn->ops[0].ret_created, created);
	store_txn_free(txn);
	HOLDS(store, name, "two");
	assert_int_equal(fixture_info(store, name).record.created, created); /* replacing is not making */

	assert_int_equal(fixture_do(store, STORE_REMOVE, name, NULL, 0, NULL), 0);
	for (int append = 0; append < 2; append++) { /* it stays gone */
		txn = one(append ? STORE_APPEND : STORE_PUT, name, "three");
		txn->ops[0].only_created = created;
		assert_int_equal(store_run(store, txn), 0);
		assert_int_equal(txn->ops[0].ret_outcome, STORE_GONE);
		store_txn_free(txn);
		assert_false(fixture_exists(store, name));
	}
	assert_int_equal(PUT(store, name, "another"), 0);
	assert_true(fixture_info(store, name).record.created > created);
	generation = status_of(store).generation;
	txn = one(STORE_PUT, name, "three"); /* and another of that name is left alone */
	txn->ops[0].only_created = created;
	assert_int_equal(run_and_free(store, txn), 0);
	HOLDS(store, name, "another");
	assert_int_equal(status_of(store).generation, generation);
	store_close(store);
}

/* STORE_SET_ATTRIBUTES. */

static void test_set_attributes(void **state)
{
	struct store *store = made(state);
	struct name name = fixture_secret("default", "web");
	struct record_attributes to = {
		.uid = 1, .gid = 2, .mode = 0100440, .mtime = {3, 4}, .ctime = {7, 8}, .atime = {5, 6}};

	assert_int_equal(PUT(store, name, "one"), 0);
	for (unsigned set = 0; set < 32; set++) {
		struct record_attributes before, after;
		struct store_txn *txn = one(STORE_SET_ATTRIBUTES, name, NULL);

		to.uid++;
		to.gid++;
		to.mode ^= 0111;
		to.mtime.tv_sec++;
		to.atime.tv_sec++;
		txn->ops[0].set = set;
		txn->ops[0].attributes[0] = to;
		before = attributes(store, name, RECORD_SELF);
		usleep(2000);
		assert_int_equal(run_and_free(store, txn), 0);
		after = attributes(store, name, RECORD_SELF);
		assert_int_equal(after.uid, set & RECORD_SET_UID ? to.uid : before.uid);
		assert_int_equal(after.gid, set & RECORD_SET_GID ? to.gid : before.gid);
		assert_int_equal(after.mode, set & RECORD_SET_MODE ? to.mode & 07777 : before.mode);
		assert_true(same_time(after.mtime, set & RECORD_SET_MTIME ? to.mtime : before.mtime));
		assert_true(same_time(after.atime, set & RECORD_SET_ATIME ? to.atime : before.atime));
		assert_true(after.ctime.tv_sec > 1600000000 && !same_time(after.ctime, before.ctime));
	}
	HOLDS(store, name, "one");
	assert_int_equal(fixture_do(store, STORE_SET_ATTRIBUTES, fixture_global("absent"), NULL, 0, NULL), -ENOENT);
	store_close(store);
}

/* Who asked before has asked about what was there before. */
static void test_whose(void **state)
{
	static const struct {
		uid_t writer;
		gid_t group;
		mode_t mode;
		int result;
	} rows[] = {{7, 9, 0600, 0}, {7, 9, 0400, -EACCES}, {0, 9, 0400, 0}, {8, 9, 0644, -EACCES}, {8, 9, 0622, 0}, {8, 6, 0664, 0}, {8, 5, 0664, -EACCES}};
	struct store *store = made(state);
	struct name name = fixture_secret("default", "web");
	struct store_txn *txn;

	assert_int_equal(PUT(store, name, "one"), 0);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		txn = one(STORE_SET_ATTRIBUTES, name, NULL);
		txn->ops[0].set = RECORD_SET_UID | RECORD_SET_GID | RECORD_SET_MODE;
		txn->ops[0].attributes[0] = (struct record_attributes){.uid = 7, .gid = 6, .mode = rows[i].mode};
		assert_int_equal(run_and_free(store, txn), 0);
		txn = one(STORE_PUT, name, "two");
		txn->ops[0].unaware = true;
		txn->ops[0].writer = rows[i].writer;
		txn->ops[0].group = rows[i].group;
		assert_int_equal(run_and_free(store, txn), rows[i].result);
	}
	for (uid_t owner = 6; owner <= 7; owner++) {
		txn = one(STORE_SET_ATTRIBUTES, name, NULL);
		txn->ops[0].set = RECORD_SET_MODE;
		txn->ops[0].attributes[0].mode = 0777;
		txn->ops[0].owned = true;
		txn->ops[0].owner = owner;
		assert_int_equal(run_and_free(store, txn), owner == 7 ? 0 : -EPERM);
		assert_int_equal(attributes(store, name, RECORD_SELF).mode, owner == 7 ? 0777 : 0664);
	}
	for (uint8_t group = 4; group <= 6; group += 2) { /* with an ACL, the mode's middle is its mask, and not the group's */
		const struct acl acl = {.present = true, .mask = true, .group = group, .mode = 0660};

		txn = one(STORE_SET_ATTRIBUTES, name, NULL);
		txn->ops[0].set = RECORD_SET_MODE | RECORD_SET_ACL;
		txn->ops[0].attributes[0].mode = 0660;
		assert_int_equal(acl_put(&txn->ops[0].acls, RECORD_SELF, ACL_KIND_ACCESS, &acl), 0);
		assert_int_equal(run_and_free(store, txn), 0);
		txn = one(STORE_PUT, name, "three");
		txn->ops[0].unaware = true;
		txn->ops[0].writer = 8;
		txn->ops[0].group = 6;
		assert_int_equal(run_and_free(store, txn), group == 6 ? 0 : -EACCES);
	}
	store_close(store);
}

/* ACLs. */

static struct acl naming(uint32_t user)
{
	return (struct acl){
		.present = true, .mask = true, .group = 1, .mode = 0751, .count = 1, .named = {{.permission = 4, .id = user}}};
}

static int set_acl(struct store *store, struct name name, enum record_inode inode, enum acl_kind kind,
		   const struct acl *acl)
{
	struct store_txn *txn = one(STORE_SET_ATTRIBUTES, name, NULL);

	txn->ops[0].inode = inode;
	txn->ops[0].set = kind == ACL_KIND_ACCESS ? RECORD_SET_ACL | RECORD_SET_MODE : RECORD_SET_DEFAULT_ACL;
	txn->ops[0].attributes[0].mode = acl->mode;
	fixture_must(acl_put(&txn->ops[0].acls, inode, kind, acl) == 0);
	return run_and_free(store, txn);
}

/* Whom the ACL names first; 0: nobody. */
static uint32_t named(struct store *store, struct name name, enum record_inode inode, enum acl_kind kind)
{
	struct store_info info = fixture_info(store, name);
	struct acl acl;

	acl_get(&info.record.acls, inode, kind, &acl);
	return acl.named[0].id;
}

static void test_set_acl(void **state)
{
	struct fixture *fixture = *state;
	struct store *store = made(state);
	struct name name = fixture_secret("default", "web"), mesh = fixture_mesh("default");
	struct acl acl = naming(7), none = {.mode = 0600};
	struct timespec before;

	assert_int_equal(PUT(store, name, "one"), 0);
	before = attributes(store, name, RECORD_SELF).ctime;
	tick();
	assert_int_equal(set_acl(store, name, RECORD_SELF, ACL_KIND_ACCESS, &acl), 0);
	assert_int_equal(named(store, name, RECORD_SELF, ACL_KIND_ACCESS), 7);
	assert_int_equal(attributes(store, name, RECORD_SELF).mode, 0751);
	assert_false(same_time(attributes(store, name, RECORD_SELF).ctime, before));
	for (uint32_t i = 0; i < RECORD_INODES; i++) {
		acl = naming(10 + i);
		assert_int_equal(set_acl(store, mesh, i, ACL_KIND_ACCESS, &acl), 0);
	}
	acl = naming(20);
	assert_int_equal(set_acl(store, mesh, RECORD_MESH_SECRETS, ACL_KIND_DEFAULT, &acl), 0);
	assert_int_equal(attributes(store, mesh, RECORD_MESH_SECRETS).mode, 0751); /* the default ACL's is apart */
	store_close(store);

	store = fixture_open(fixture, 2, CACHE);
	assert_int_equal(named(store, name, RECORD_SELF, ACL_KIND_ACCESS), 7);
	for (uint32_t i = 0; i < RECORD_INODES; i++)
		assert_int_equal(named(store, mesh, i, ACL_KIND_ACCESS), 10 + i);
	assert_int_equal(named(store, mesh, RECORD_MESH_SECRETS, ACL_KIND_DEFAULT), 20);
	assert_int_equal(set_acl(store, name, RECORD_SELF, ACL_KIND_ACCESS, &none), 0);
	assert_int_equal(named(store, name, RECORD_SELF, ACL_KIND_ACCESS), 0);
	assert_int_equal(attributes(store, name, RECORD_SELF).mode, 0600);
	HOLDS(store, name, "one");
	store_close(store);
}

/* With bytes that are the same an ACL is new all the same, or refused. */
static void test_put_sets_acl(void **state)
{
	struct store *store = made(state);
	struct name name = fixture_secret("default", "web"), mesh = fixture_mesh("default");
	struct acl many = naming(0), acl = naming(7);
	uint64_t before = 0;

	assert_int_equal(PUT(store, name, "one"), 0);
	assert_int_equal(PUT(store, mesh, FIXTURE_MESH("default", "y")), 0);
	for (int again = 0; again < 2; again++) {
		struct store_txn *txn = one(STORE_PUT, name, "one");

		txn->ops[0].set = RECORD_SET_ACL;
		fixture_must(acl_put(&txn->ops[0].acls, RECORD_SELF, ACL_KIND_ACCESS, &acl) == 0);
		assert_int_equal(run_and_free(store, txn), 0);
		assert_int_equal(named(store, name, RECORD_SELF, ACL_KIND_ACCESS), 7);
		assert_true(!again || status_of(store).generation == before); /* nothing to write */
		before = status_of(store).generation;
	}
	for (many.count = 0; many.count < ACL_NAMED_MAX; many.count++)
		many.named[many.count] = (struct acl_named){.permission = 4, .id = 100 + many.count};
	assert_int_equal(set_acl(store, mesh, RECORD_MESH_SECRETS, ACL_KIND_DEFAULT, &many), 0);
	for (int new = 0; new < 2; new++) {
		struct store_txn *txn = one(STORE_PUT, mesh, new ? FIXTURE_MESH("default", "z") : FIXTURE_MESH("default", "y"));

		txn->ops[0].set = RECORD_SET_ACL;
		fixture_must(acl_put(&txn->ops[0].acls, RECORD_MESH_YAML, ACL_KIND_ACCESS, &acl) == 0);
		assert_int_equal(run_and_free(store, txn), -ENOSPC);
		HOLDS(store, mesh, FIXTURE_MESH("default", "y"));
		assert_int_equal(named(store, mesh, RECORD_MESH_YAML, ACL_KIND_ACCESS), 0);
	}
	store_close(store);
}

/* A refused ACL leaves everything, the mode too. */
static void test_set_acl_errors(void **state)
{
	struct fixture *fixture = *state;
	struct store *store = made(state);
	struct name name = fixture_secret("default", "web"), mesh = fixture_mesh("default");
	struct acl many = naming(0), acl = naming(7);

	assert_int_equal(PUT(store, name, "one"), 0);
	assert_int_equal(set_acl(store, fixture_global("absent"), RECORD_SELF, ACL_KIND_ACCESS, &acl), -ENOENT);
	assert_int_equal(set_acl(store, name, RECORD_SELF, ACL_KIND_DEFAULT, &acl), -EACCES);
	assert_int_equal(set_acl(store, mesh, RECORD_MESH_YAML, ACL_KIND_DEFAULT, &acl), -EACCES);
	for (many.count = 0; many.count < ACL_NAMED_MAX; many.count++)
		many.named[many.count] = (struct acl_named){.permission = 4, .id = 100 + many.count};
	assert_int_equal(set_acl(store, mesh, RECORD_MESH_SECRETS, ACL_KIND_DEFAULT, &many), 0);
	assert_int_equal(set_acl(store, mesh, RECORD_MESH_SECRETS, ACL_KIND_ACCESS, &acl), -ENOSPC);
	assert_int_equal(attributes(store, mesh, RECORD_MESH_SECRETS).mode, 0700);
	assert_int_equal(named(store, mesh, RECORD_MESH_SECRETS, ACL_KIND_ACCESS), 0);
	assert_int_equal(named(store, mesh, RECORD_MESH_SECRETS, ACL_KIND_DEFAULT), 100);
	store_close(store);
	store_close(fixture_open(fixture, 2, CACHE));
}

/* A new resource is made with ACLs; replacing and appending keep them, renaming takes them along, removing ends them. */
static void test_acls_go_with_the_resource(void **state)
{
	struct store *store = made(state);
	struct name a = fixture_global("a"), b = fixture_global("b"), c = fixture_global("c");
	struct store_txn *txn = one(STORE_PUT, a, "one");
	struct acl acl = naming(7), other = naming(8);

	fixture_must(acl_put(&txn->ops[0].acls, RECORD_SELF, ACL_KIND_ACCESS, &acl) == 0);
	assert_int_equal(run_and_free(store, txn), 0);
	assert_int_equal(named(store, a, RECORD_SELF, ACL_KIND_ACCESS), 7);
	txn = one(STORE_PUT, a, "two");
	fixture_must(acl_put(&txn->ops[0].acls, RECORD_SELF, ACL_KIND_ACCESS, &other) == 0);
	assert_int_equal(run_and_free(store, txn), 0); /* it is there: its own stays */
	assert_int_equal(named(store, a, RECORD_SELF, ACL_KIND_ACCESS), 7);
	assert_int_equal(fixture_do(store, STORE_APPEND, a, "more", 4, NULL), 0);
	assert_int_equal(named(store, a, RECORD_SELF, ACL_KIND_ACCESS), 7);
	assert_int_equal(rename_to(store, a, b, false), 0);
	assert_int_equal(named(store, b, RECORD_SELF, ACL_KIND_ACCESS), 7);
	assert_int_equal(PUT(store, c, "c"), 0);
	assert_int_equal(set_acl(store, c, RECORD_SELF, ACL_KIND_ACCESS, &other), 0);
	assert_int_equal(rename_to(store, c, b, false), 0);
	assert_int_equal(named(store, b, RECORD_SELF, ACL_KIND_ACCESS), 8);
	assert_int_equal(fixture_do(store, STORE_REMOVE, b, NULL, 0, NULL), 0);
	assert_int_equal(PUT(store, b, "anew"), 0);
	assert_int_equal(named(store, b, RECORD_SELF, ACL_KIND_ACCESS), 0);
	store_close(store);
}

static void test_set_attributes_of_each_inode(void **state)
{
	struct fixture *fixture = *state;
	struct store *store = made(state);
	struct name mesh = fixture_mesh("default");

	for (unsigned i = 0; i < RECORD_INODES; i++) {
		struct store_txn *txn = one(STORE_SET_ATTRIBUTES, mesh, NULL);

		txn->ops[0].inode = (enum record_inode)i;
		txn->ops[0].set = RECORD_SET_UID;
		txn->ops[0].attributes[0].uid = 50 + i;
		assert_int_equal(run_and_free(store, txn), 0);
	}
	store_close(store);
	store = fixture_open(fixture, 2, CACHE);
	for (unsigned i = 0; i < RECORD_INODES; i++)
		assert_int_equal(attributes(store, mesh, (enum record_inode)i).uid, 50 + i);
	store_close(store);
}

static int set_absent(struct store *store, enum record_inode inode, enum record_set set)
{
	struct store_txn *txn = one(STORE_SET_ATTRIBUTES, fixture_mesh("default"), NULL);

	txn->ops[0].inode = inode;
	txn->ops[0].set = set;
	return run_and_free(store, txn);
}

static void test_what_comes_with_a_mesh(void **state)
{
	struct fixture *fixture = *state;
	struct store *store = made(state);
	struct name mesh = fixture_mesh("default"), name = fixture_secret("default", "web");

	assert_int_equal(PUT(store, name, "one"), 0);
	assert_int_equal(set_absent(store, RECORD_MESH_SECRETS, RECORD_SET_ABSENT), -ENOTEMPTY);
	assert_int_equal(set_absent(store, RECORD_MESH_YAML, RECORD_SET_ABSENT), -ENOTEMPTY);
	assert_int_equal(fixture_do(store, STORE_REMOVE, name, NULL, 0, NULL), 0);
	assert_int_equal(set_absent(store, RECORD_MESH_SECRETS, RECORD_SET_ABSENT), 0);
	assert_int_equal(set_absent(store, RECORD_MESH_SECRETS, RECORD_SET_ABSENT), 0);
	store_close(store);
	store = fixture_open(fixture, 2, CACHE);
	assert_int_equal(attributes(store, mesh, RECORD_MESH_SECRETS).removals, 1);
	assert_int_equal(attributes(store, mesh, RECORD_MESH_YAML).removals, 0);
	assert_int_equal(set_absent(store, RECORD_MESH_SECRETS, RECORD_SET_PRESENT), 0);
	assert_int_equal(set_absent(store, RECORD_MESH_SECRETS, RECORD_SET_PRESENT), 0);
	assert_int_equal(attributes(store, mesh, RECORD_MESH_SECRETS).removals, 2);
	assert_int_equal(set_absent(store, RECORD_MESH_SECRETS, RECORD_SET_ABSENT), 0);
	assert_int_equal(set_absent(store, RECORD_MESH_YAML, RECORD_SET_ABSENT), 0);
	assert_int_equal(PUT(store, name, "two"), 0);
	assert_false(record_is_absent(&(struct record_attributes){.removals = 4}));
	assert_int_equal(attributes(store, mesh, RECORD_MESH_SECRETS).removals, 4);
	assert_int_equal(attributes(store, mesh, RECORD_MESH_YAML).removals, 2);
	store_close(store);
}

static void test_put_sets_attributes(void **state)
{
	struct store *store = made(state);
	struct name name = fixture_secret("default", "web");
	struct record_attributes after;

	for (int turn = 0; turn < 3; turn++) { /* made, replaced, the same bytes */
		struct store_txn *txn = one(STORE_PUT, name, turn == 0 ? "one" : "two");

		txn->ops[0].set = RECORD_SET_UID | RECORD_SET_MODE | RECORD_SET_ATIME;
		txn->ops[0].attributes[0] = (struct record_attributes){
			.uid = 70 + (uid_t)turn, .gid = 80 + (gid_t)turn, .mode = 0600 + (mode_t)turn, .atime = {turn, 5}};
		assert_int_equal(run_and_free(store, txn), 0);
		after = attributes(store, name, RECORD_SELF);
		assert_int_equal(after.uid, 70 + turn);
		assert_int_equal(after.gid, 80);
		assert_int_equal(after.mode, 0600 + turn);
		assert_true(same_time(after.atime, (struct timespec){turn, 5}));
		assert_true(after.mtime.tv_sec > 1600000000);
	}
	store_close(store);
}

/* A path that a system call takes, but not with what is put behind it; and one that none takes. */
static void test_long_paths(void **state)
{
	struct fixture *fixture = *state;
	char path[PATH_MAX + 100], *end = path;
	struct store *store;

	end += snprintf(path, sizeof(path), "%s/", fixture->folder);
	while (end - path < PATH_MAX - 10)
		end = stpcpy(end, "./");
	strcpy(end, "s");
	assert_int_equal(store_create(path, fixture->key, 1, 1), -ENAMETOOLONG);
	end -= 2;
	strcpy(end, "s");
	assert_int_equal(store_rekey(path, fixture->key, fixture->key, NULL, NULL, NULL), -ENAMETOOLONG);
	while (end - path < PATH_MAX + 10)
		end = stpcpy(end, "./");
	strcpy(end, "s");
	assert_int_equal(store_create(path, fixture->key, 1, 1), -ENAMETOOLONG);
	assert_int_equal(fixture_try(fixture, path, &store), -ENAMETOOLONG);
	assert_int_equal(rmdir(fixture->folder), 0); /* nothing was made */
	assert_int_equal(mkdir(fixture->folder, 0700), 0);
}

static void test_unknown_numbers(void **state)
{
	struct store *store = made(state);
	struct name name = fixture_secret("default", "web");
	uint64_t node = store_node(store, &name), generation;
	SECBUF_AUTO value = {0};
	struct store_txn *txn;

	assert_int_equal(store_read(store, 12345, 1, &value), -ENOENT);
	store_unpin(store, 12345, 1);
	assert_int_equal(PUT(store, name, "one"), 0);
	assert_int_equal(store_pin(store, node, &generation), 0);
	assert_int_equal(store_read(store, node, generation + 1, &value), -ENOENT);
	store_unpin(store, node, generation + 1);
	store_unpin(store, node, generation);
	store_unpin(store, node, generation); /* once more than it was pinned */
	assert_int_equal(store_read(store, node, generation, &value), 0);
	txn = one((enum store_op_kind)99, name, "x");
	assert_int_equal(run_and_free(store, txn), -EINVAL);
	assert_true(fixture_holds(store, name, "one", 3));
	store_close(store);
}

/* STORE_REMOVE. */

static void test_remove(void **state)
{
	struct store *store = made(state);
	struct name name = fixture_secret("default", "web"), mesh = fixture_mesh("m");
	uint64_t rows = fixture_rows(store), generation;

	assert_int_equal(fixture_do(store, STORE_REMOVE, name, NULL, 0, NULL), -ENOENT);
	assert_int_equal(fixture_do(store, STORE_REMOVE, mesh, NULL, 0, NULL), -ENOENT);
	assert_int_equal(PUT(store, name, "one"), 0);
	assert_int_equal(PUT(store, name, "two"), 0);
	assert_int_equal(fixture_rows(store), rows + 3);
	assert_int_equal(fixture_do(store, STORE_REMOVE, name, NULL, 0, NULL), 0);
	assert_false(fixture_exists(store, name));
	assert_int_equal(store_pin(store, store_node(store, &name), &generation), -ENOENT);
	assert_int_equal(fixture_rows(store), rows); /* with all its versions */
	assert_int_equal(fixture_do(store, STORE_REMOVE, name, NULL, 0, NULL), -ENOENT);

	assert_int_equal(PUT(store, mesh, FIXTURE_MESH("m", "y")), 0);
	assert_int_equal(PUT(store, fixture_secret("m", "x"), "1"), 0);
	assert_int_equal(fixture_do(store, STORE_REMOVE, mesh, NULL, 0, NULL), -ENOTEMPTY);
	assert_int_equal(fixture_do(store, STORE_REMOVE, fixture_secret("m", "x"), NULL, 0, NULL), 0);
	assert_int_equal(fixture_do(store, STORE_REMOVE, mesh, NULL, 0, NULL), 0);
	assert_int_equal(PUT(store, fixture_secret("m", "x"), "1"), -ENOENT);
	assert_int_equal(fixture_rows(store), rows);
	assert_int_equal(status_of(store).meshes, 1);
	store_close(store);
}

/* Whether a mesh is empty is asked of the transaction so far, not of what readers see. */
static void test_mesh_within_a_transaction(void **state)
{
	struct store *store = made(state);
	struct name mesh = fixture_mesh("m"), in_it = fixture_secret("m", "x");
	struct store_txn *txn = store_txn_new(2);
	uint64_t rows = fixture_rows(store);

	/* a mesh and its secret at once */
	fixture_op(&txn->ops[0], STORE_PUT, mesh, FIXTURE_MESH("m", "y"), sizeof(FIXTURE_MESH("m", "y")) - 1);
	fixture_op(&txn->ops[1], STORE_PUT, in_it, "1", 1);
	assert_int_equal(run_and_free(store, txn), 0);
	HOLDS(store, in_it, "1");
	/* both gone at once; the other way round it does not work */
	txn = store_txn_new(2);
	fixture_op(&txn->ops[0], STORE_REMOVE, mesh, NULL, 0);
	fixture_op(&txn->ops[1], STORE_REMOVE, in_it, NULL, 0);
	assert_int_equal(run_and_free(store, txn), -ENOTEMPTY);
	txn = store_txn_new(2);
	fixture_op(&txn->ops[0], STORE_REMOVE, in_it, NULL, 0);
	fixture_op(&txn->ops[1], STORE_REMOVE, mesh, NULL, 0);
	assert_int_equal(run_and_free(store, txn), 0);
	assert_int_equal(fixture_rows(store), rows);
	/* a secret that this transaction made keeps its mesh */
	assert_int_equal(PUT(store, mesh, FIXTURE_MESH("m", "y")), 0);
	txn = store_txn_new(2);
	fixture_op(&txn->ops[0], STORE_PUT, in_it, "1", 1);
	fixture_op(&txn->ops[1], STORE_REMOVE, mesh, NULL, 0);
	assert_int_equal(run_and_free(store, txn), -ENOTEMPTY);
	assert_false(fixture_exists(store, in_it));
	/* also if it was made and replaced, or was there and is replaced */
	txn = store_txn_new(3);
	fixture_op(&txn->ops[0], STORE_PUT, in_it, "1", 1);
	fixture_op(&txn->ops[1], STORE_PUT, in_it, "2", 1);
	fixture_op(&txn->ops[2], STORE_REMOVE, mesh, NULL, 0);
	assert_int_equal(run_and_free(store, txn), -ENOTEMPTY);
	assert_int_equal(PUT(store, in_it, "1"), 0);
	txn = store_txn_new(2);
	fixture_op(&txn->ops[0], STORE_PUT, in_it, "2", 1);
	fixture_op(&txn->ops[1], STORE_REMOVE, mesh, NULL, 0);
	assert_int_equal(run_and_free(store, txn), -ENOTEMPTY);
	/* made, replaced and removed: it is empty */
	txn = store_txn_new(3);
	fixture_op(&txn->ops[0], STORE_PUT, in_it, "3", 1);
	fixture_op(&txn->ops[1], STORE_REMOVE, in_it, NULL, 0);
	fixture_op(&txn->ops[2], STORE_REMOVE, mesh, NULL, 0);
	assert_int_equal(run_and_free(store, txn), 0);
	assert_int_equal(PUT(store, mesh, FIXTURE_MESH("m", "y")), 0);
	/* a mesh removed and made again, with a secret in it */
	txn = store_txn_new(3);
	fixture_op(&txn->ops[0], STORE_REMOVE, mesh, NULL, 0);
	fixture_op(&txn->ops[1], STORE_PUT, mesh, FIXTURE_MESH("m", "z"), sizeof(FIXTURE_MESH("m", "z")) - 1);
	fixture_op(&txn->ops[2], STORE_PUT, in_it, "2", 1);
	assert_int_equal(run_and_free(store, txn), 0);
	HOLDS(store, mesh, FIXTURE_MESH("m", "z"));
	HOLDS(store, in_it, "2");
	assert_int_equal(fixture_rows(store), rows + 4);
	store_close(store);
}

/* What is made and removed in one transaction was never there. */
static void test_made_and_removed(void **state)
{
	struct store *store = made(state);
	struct name name = fixture_secret("default", "web"), mesh = fixture_mesh("m");
	uint64_t rows = fixture_rows(store);
	struct store_info info;

	for (int opened = 0; opened < 2; opened++) {
		struct store_txn *txn = store_txn_new(2);

		fixture_op(&txn->ops[0], STORE_PUT, name, "one", 3);
		fixture_op(&txn->ops[1], STORE_REMOVE, name, NULL, 0);
		assert_int_equal(run_and_free(store, txn), 0);
		txn = store_txn_new(2);
		fixture_op(&txn->ops[0], STORE_PUT, mesh, FIXTURE_MESH("m", "y"), sizeof(FIXTURE_MESH("m", "y")) - 1);
		fixture_op(&txn->ops[1], STORE_REMOVE, mesh, NULL, 0);
		assert_int_equal(run_and_free(store, txn), 0);
		txn = store_txn_new(3);
		fixture_op(&txn->ops[0], STORE_PUT, mesh, FIXTURE_MESH("m", "y"), sizeof(FIXTURE_MESH("m", "y")) - 1);
		fixture_op(&txn->ops[1], STORE_PUT, fixture_secret("m", "x"), "1", 1);
		fixture_op(&txn->ops[2], STORE_REMOVE, mesh, NULL, 0);
		assert_int_equal(run_and_free(store, txn), -ENOTEMPTY);
		assert_int_equal(store_look(store, store_node(store, &name), &info), -ENOENT);
		assert_int_equal(store_look(store, store_node(store, &mesh), &info), -ENOENT);
		assert_int_equal(fixture_rows(store), rows);
		assert_int_equal(status_of(store).meshes, 1);
		assert_int_equal(status_of(store).secrets, 0);
		store_close(store);
		store = fixture_open(*state, 2, CACHE);
	}
	store_close(store);
}

static int set_mode(struct store *store, struct name name, mode_t mode)
{
	struct store_txn *txn = one(STORE_SET_ATTRIBUTES, name, NULL);

	txn->ops[0].set = RECORD_SET_MODE;
	txn->ops[0].attributes[0].mode = mode;
	return run_and_free(store, txn);
}

/* What was removed has attributes as long as somebody has a version of it open; for the transaction that removes it it has none. */
static void test_attributes_of_removed(void **state)
{
	struct store *store = made(state);
	struct name name = fixture_secret("default", "web");
	uint64_t node = store_node(store, &name), older, newer;
	struct store_info info;
	struct store_txn *txn;

	assert_int_equal(PUT(store, name, "one"), 0);
	assert_int_equal(store_pin(store, node, &older), 0);
	assert_int_equal(PUT(store, name, "two"), 0);
	assert_int_equal(store_pin(store, node, &newer), 0);
	txn = store_txn_new(2);
	fixture_op(&txn->ops[0], STORE_REMOVE, name, NULL, 0);
	fixture_op(&txn->ops[1], STORE_SET_ATTRIBUTES, name, NULL, 0);
	assert_int_equal(run_and_free(store, txn), -ENOENT);
	assert_true(fixture_exists(store, name));
	assert_int_equal(fixture_do(store, STORE_REMOVE, name, NULL, 0, NULL), 0);
	for (mode_t mode = 0640; mode < 0642; mode++) { /* pinned are both, then the older */
		assert_int_equal(set_mode(store, name, mode), 0);
		assert_int_equal(store_look(store, node, &info), 0);
		assert_false(info.exists);
		assert_int_equal(info.record.inodes[RECORD_SELF].mode, mode);
		store_unpin(store, node, mode == 0640 ? newer : older);
	}
	fixture_settle(store);
	assert_int_equal(set_mode(store, name, 0600), -ENOENT);
	store_close(store);
}

/* STORE_RENAME. */

static void test_rename(void **state)
{
	struct store *store = made(state);
	struct name a = fixture_secret("default", "a"), b = fixture_secret("default", "b");
	struct store_info before, after;
	struct store_txn *txn;

	assert_int_equal(rename_to(store, a, b, false), -ENOENT);
	assert_int_equal(PUT(store, a, "one"), 0);
	txn = one(STORE_SET_ATTRIBUTES, a, NULL);
	txn->ops[0].set = RECORD_SET_UID | RECORD_SET_MODE | RECORD_SET_MTIME;
	txn->ops[0].attributes[0] = (struct record_attributes){.uid = 77, .mode = 0640, .mtime = {1000, 2000}};
	assert_int_equal(run_and_free(store, txn), 0);
	before = fixture_info(store, a);
	txn = one(STORE_RENAME, a, NULL);
	txn->ops[0].to = b;
	assert_int_equal(store_run(store, txn), 0);
	assert_int_equal(txn->ops[0].ret_created, fixture_info(store, b).record.created);
	store_txn_free(txn);
	assert_false(fixture_exists(store, a));
	HOLDS(store, b, "one");
	after = fixture_info(store, b);
	assert_int_equal(after.record.inodes[0].uid, 77);
	assert_int_equal(after.record.inodes[0].mode, 0640);
	assert_true(same_time(after.record.inodes[0].mtime, before.record.inodes[0].mtime));
	assert_true(after.node != before.node && after.node == store_node(store, &b));

	/* over another: exclusive, then not */
	assert_int_equal(PUT(store, a, "two"), 0);
	assert_int_equal(rename_to(store, a, b, true), -EEXIST);
	HOLDS(store, a, "two");
	HOLDS(store, b, "one");
	assert_int_equal(rename_to(store, a, b, false), 0);
	assert_false(fixture_exists(store, a));
	HOLDS(store, b, "two");
	assert_int_equal(attributes(store, b, RECORD_SELF).mode, 0600);
	assert_int_equal(status_of(store).secrets, 1);
	/* to itself */
	assert_int_equal(rename_to(store, b, b, false), 0);
	HOLDS(store, b, "two");
	assert_int_equal(rename_to(store, b, b, true), -EEXIST);
	assert_int_equal(rename_to(store, b, a, true), 0);
	HOLDS(store, a, "two");
	store_close(store);
}

static void test_rename_across(void **state)
{
	struct store *store = made(state);
	struct name secret = fixture_secret("default", "a"), global = fixture_global("a");

	assert_int_equal(PUT(store, fixture_mesh("m"), FIXTURE_MESH("m", "y")), 0);
	assert_int_equal(PUT(store, secret, "one"), 0);
	assert_int_equal(PUT(store, global, "two"), 0);
	assert_int_equal(rename_to(store, secret, fixture_secret("m", "a"), false), -EXDEV);
	assert_int_equal(rename_to(store, secret, fixture_global("b"), false), -EXDEV);
	assert_int_equal(rename_to(store, global, fixture_secret("default", "b"), false), -EXDEV);
	assert_int_equal(rename_to(store, fixture_mesh("m"), fixture_mesh("n"), false), -EXDEV);
	assert_int_equal(rename_to(store, secret, fixture_mesh("n"), false), -EXDEV);
	HOLDS(store, secret, "one");
	assert_int_equal(rename_to(store, global, fixture_global("b"), false), 0);
	HOLDS(store, fixture_global("b"), "two");
	assert_false(fixture_exists(store, global));
	store_close(store);
}

/* Transactions. */

static void test_failing_transaction_leaves_nothing(void **state)
{
	struct store *store = made(state);
	struct name kept = fixture_secret("default", "kept"), gone = fixture_secret("default", "gone");
	struct store_status before, after;
	struct store_txn *txn = store_txn_new(8);
	struct timespec folder;

	assert_int_equal(PUT(store, kept, "kept"), 0);
	assert_int_equal(PUT(store, gone, "gone"), 0);
	fixture_settle(store);
	before = status_of(store);
	folder = attributes(store, fixture_mesh("default"), RECORD_MESH_SECRETS).mtime;
	fixture_op(&txn->ops[0], STORE_PUT, kept, "other", 5);
	fixture_op(&txn->ops[1], STORE_PUT, fixture_global("new"), "n", 1);
	fixture_op(&txn->ops[2], STORE_REMOVE, gone, NULL, 0);
	fixture_op(&txn->ops[3], STORE_PUT, fixture_mesh("m"), FIXTURE_MESH("m", "y"), sizeof(FIXTURE_MESH("m", "y")) - 1);
	fixture_op(&txn->ops[4], STORE_PUT, fixture_secret("m", "x"), "y", 1);
	fixture_op(&txn->ops[5], STORE_SET_ATTRIBUTES, kept, NULL, 0);
	txn->ops[5].set = RECORD_SET_MODE;
	fixture_op(&txn->ops[6], STORE_RENAME, kept, NULL, 0);
	txn->ops[6].to = fixture_secret("default", "renamed");
	fixture_op(&txn->ops[7], STORE_REMOVE, fixture_global("absent"), NULL, 0);
	assert_int_equal(run_and_free(store, txn), -ENOENT);
	for (int reopened = 0; reopened < 2; reopened++) {
		after = status_of(store);
		assert_true(before.generation == after.generation && before.rows == after.rows &&
			    before.meshes == after.meshes && before.secrets == after.secrets &&
			    before.global_secrets == after.global_secrets);
		HOLDS(store, kept, "kept");
		HOLDS(store, gone, "gone");
		assert_int_equal(attributes(store, kept, RECORD_SELF).mode, 0600);
		assert_true(same_time(folder,
				      attributes(store, fixture_mesh("default"), RECORD_MESH_SECRETS).mtime));
		assert_false(fixture_exists(store, fixture_global("new")));
		assert_false(fixture_exists(store, fixture_mesh("m")));
		assert_false(fixture_exists(store, fixture_secret("default", "renamed")));
		store_close(store);
		store = fixture_open(*state, 2, CACHE);
	}
	store_close(store);
}

/* Each op sees what the ones before it did. */
static void test_ops_see_each_other(void **state)
{
	struct store *store = made(state);
	struct name a = fixture_global("a"), b = fixture_global("b");
	struct store_txn *txn = store_txn_new(8);

	fixture_op(&txn->ops[0], STORE_PUT, a, "1", 1);
	fixture_op(&txn->ops[1], STORE_APPEND, a, "2", 1);
	fixture_op(&txn->ops[2], STORE_PUT, a, "12", 2);
	fixture_op(&txn->ops[3], STORE_RENAME, a, NULL, 0);
	txn->ops[3].to = b;
	fixture_op(&txn->ops[4], STORE_APPEND, b, "3", 1);
	fixture_op(&txn->ops[5], STORE_PUT, a, "again", 5);
	txn->ops[5].exclusive = true;
	fixture_op(&txn->ops[6], STORE_REMOVE, a, NULL, 0);
	fixture_op(&txn->ops[7], STORE_APPEND, a, "x", 1);
	assert_int_equal(store_run(store, txn), 0);
	assert_int_equal(txn->ops[0].ret_outcome, STORE_CREATED);
	assert_int_equal(txn->ops[1].ret_outcome, STORE_UPDATED);
	assert_int_equal(txn->ops[2].ret_outcome, STORE_UNCHANGED);
	assert_int_equal(txn->ops[7].ret_outcome, STORE_CREATED);
	store_txn_free(txn);
	for (int reopened = 0; reopened < 2; reopened++) {
		HOLDS(store, b, "123");
		HOLDS(store, a, "x");
		assert_int_equal(status_of(store).global_secrets, 2);
		store_close(store);
		store = fixture_open(*state, 2, CACHE);
	}
	store_close(store);
}

static void test_empty_transaction(void **state)
{
	struct store *store = made(state);
	uint64_t generation = status_of(store).generation;

	assert_int_equal(run_and_free(store, store_txn_new(0)), 0);
	assert_int_equal(status_of(store).generation, generation);
	assert_null(store_txn_free(NULL));
	store_close(store);
}

/* Numbers. */

static void test_nodes_are_stable(void **state)
{
	struct fixture *fixture = *state;
	struct store *store = made(state);
	struct name name = fixture_secret("default", "web");
	uint64_t node = store_node(store, &name); /* before it is there */

	assert_true(node != 0 && node < 1ull << 56);
	assert_int_equal(PUT(store, name, "1"), 0);
	assert_true(fixture_info(store, name).node == node);
	assert_int_equal(PUT(store, name, "2"), 0);
	assert_true(fixture_info(store, name).node == node);
	assert_int_equal(fixture_do(store, STORE_REMOVE, name, NULL, 0, NULL), 0);
	assert_int_equal(PUT(store, name, "3"), 0);
	assert_true(fixture_info(store, name).node == node);
	store_close(store);
	store = fixture_open(fixture, 2, CACHE);
	assert_true(fixture_info(store, name).node == node && store_node(store, &name) == node);
	store_close(store);
}

static void test_look_and_next(void **state)
{
	struct store *store = made(state);
	struct name mesh = fixture_mesh("default");
	uint64_t mesh_node = store_node(store, &mesh), after = 0;
	struct store_info info;
	size_t seen = 0;

	assert_int_equal(store_look(store, 0, &info), -ENOENT);
	assert_int_equal(store_look(store, 12345, &info), -ENOENT);
	assert_int_equal(store_next(store, NAME_SECRET, mesh_node, 0, &info), -ENOENT);
	assert_int_equal(store_next(store, NAME_SECRET, 12345, 0, &info), -ENOENT);
	assert_int_equal(store_next(store, NAME_GLOBAL_SECRET, 0, 0, &info), -ENOENT);
	assert_int_equal(store_next(store, NAME_MESH, 0, 0, &info), 0);
	assert_string_equal(info.record.name.name, "default");
	assert_int_equal(store_next(store, NAME_MESH, 0, info.node, &info), -ENOENT);
	for (int i = 0; i < 100; i++) {
		char text[20];

		snprintf(text, sizeof(text), "s-%d", i);
		assert_int_equal(PUT(store, fixture_secret("default", text), text), 0);
	}
	while (store_next(store, NAME_SECRET, mesh_node, after, &info) == 0) {
		assert_true(info.node > after && info.exists);
		after = info.node;
		seen++;
	}
	assert_int_equal(seen, 100);
	store_close(store);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_create_and_open),
		TEST(test_create_keeps_what_is_there),
		TEST(test_create_leaves_nothing_else),
		TEST(test_folder_checks),
		TEST(test_folder_of_somebody_else),
		TEST(test_open_errors),
		TEST(test_journal_of_another),
		TEST(test_one_process_at_a_time),
		TEST(test_all_is_there_after_reopening),
		TEST(test_outcomes_and_mtime),
		TEST(test_folder_times),
		TEST(test_put_takes_attributes),
		TEST(test_put_errors),
		TEST(test_only_created),
		TEST(test_set_attributes),
		TEST(test_set_acl),
		TEST(test_set_acl_errors),
		TEST(test_put_sets_acl),
		TEST(test_acls_go_with_the_resource),
		TEST(test_set_attributes_of_each_inode),
		TEST(test_whose),
		TEST(test_what_comes_with_a_mesh),
		TEST(test_put_sets_attributes),
		TEST(test_long_paths),
		TEST(test_link),
		TEST(test_unknown_numbers),
		TEST(test_remove),
		TEST(test_mesh_within_a_transaction),
		TEST(test_made_and_removed),
		TEST(test_attributes_of_removed),
		TEST(test_rename),
		TEST(test_rename_across),
		TEST(test_failing_transaction_leaves_nothing),
		TEST(test_ops_see_each_other),
		TEST(test_empty_transaction),
		TEST(test_nodes_are_stable),
		TEST(test_look_and_next),
	};

	return cmocka_run_group_tests(tests, fixture_group_setup, fixture_group_teardown);
}
