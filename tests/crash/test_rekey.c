/* SPDX-License-Identifier: Apache-2.0
 * test_rekey: a rekey, and the rotation of a key file, killed at each step.
 *
 * A step is before or after each call that changes what is on disk: the linker puts hooks around them (--wrap, in the
 * Makefile). A child does the work and kills itself at step n, for n = 1, 2, ... until it comes to the end; or the call
 * fails at that step. After each the store is whole under one key or the other, and doing it again brings it to the
 * end. Argument: a seed.
 */
#include "store/key.h"
#include "tests/crash/tap.h"
#include "tests/unit/everything.h"
#include "tools/command.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <sqlite3.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MAX_STEPS = 2000 };

/* What a child counts, in memory that it shares with us. */
static struct counts {
	unsigned kill_at; /* 0: never */
	bool fails;       /* instead of being killed, the call there fails */
	_Atomic unsigned steps; /* also the commit thread takes some */
	unsigned commits;
	bool no_exchange; /* the filesystem can't */
} * counts;
static bool armed; /* in a child */

/* Is this where it ends? True: the call is to fail. */
static bool step(void)
{
	if (!armed || ++counts->steps != counts->kill_at)
		return false;
	if (!counts->fails)
		kill(getpid(), SIGKILL);
	errno = EIO;
	return true;
}

#define HOOK(type, name, parameters, arguments, failure)                                                               \
	type __real_##name parameters;                                                                                 \
	type __wrap_##name parameters;                                                                                 \
	type __wrap_##name parameters                                                                                  \
	{                                                                                                              \
		type result;                                                                                           \
                                                                                                                       \
		if (step())                                                                                            \
			return failure;                                                                                \
		result = __real_##name arguments;                                                                      \
		step();                                                                                                \
		return result;                                                                                         \
	}

HOOK(int, engine_create, (const char *path, const struct engine_change *changes, size_t n), (path, changes, n), -EIO)
HOOK(int, engine_settle, (struct engine * engine), (engine), -EIO)
HOOK(struct engine *, engine_close, (struct engine * engine), (engine), __real_engine_close(engine))
HOOK(int, rename, (const char *from, const char *to), (from, to), -1)
HOOK(int, unlink, (const char *path), (path), -1)
HOOK(int, fsync, (int fd), (fd), -1)
HOOK(int, fchmod, (int fd, mode_t mode), (fd, mode), -1)
HOOK(ssize_t, write, (int fd, const void *bytes, size_t size), (fd, bytes, size), -1)

int __real_engine_commit(struct engine *engine, const struct engine_change *changes, size_t n);
int __wrap_engine_commit(struct engine *engine, const struct engine_change *changes, size_t n);
int __wrap_engine_commit(struct engine *engine, const struct engine_change *changes, size_t n)
{
	int r;

	if (step())
		return -EIO;
	r = __real_engine_commit(engine, changes, n);
	if (armed)
		counts->commits++;
	step();
	return r;
}

int __real_renameat2(int from_folder, const char *from, int to_folder, const char *to, unsigned flags);
int __wrap_renameat2(int from_folder, const char *from, int to_folder, const char *to, unsigned flags);
int __wrap_renameat2(int from_folder, const char *from, int to_folder, const char *to, unsigned flags)
{
	int r;

	if (counts->no_exchange && (flags & RENAME_EXCHANGE)) {
		errno = EINVAL;
		return -1;
	}
	if (step())
		return -1;
	r = __real_renameat2(from_folder, from, to_folder, to, flags);
	step();
	return r;
}

static bool rekey_after_open;
static void rekey_in_a_child(void);

int __real_sqlite3_open_v2(const char *path, sqlite3 **ret_db, int flags, const char *vfs);
int __wrap_sqlite3_open_v2(const char *path, sqlite3 **ret_db, int flags, const char *vfs);
int __wrap_sqlite3_open_v2(const char *path, sqlite3 **ret_db, int flags, const char *vfs)
{
	int r = __real_sqlite3_open_v2(path, ret_db, flags, vfs);

	if (rekey_after_open) {
		rekey_after_open = false;
		rekey_in_a_child();
	}
	return r;
}

/* --- checks */

/* A part of a check; says where it failed. */
#define must_hold(condition)                                                                                           \
	do {                                                                                                           \
		if (!(condition)) {                                                                                    \
			printf("# line %d, killed at step %u: %s\n", __LINE__, counts->kill_at, #condition);           \
			return false;                                                                                  \
		}                                                                                                      \
	} while (0)

/* --- files and keys */

static struct fixture *fixture;
static char kept[300], old_key[300], new_key[300], third_key[300];
static struct store *original; /* a copy, open all the time */

static struct key *read_key(const char *path)
{
	const struct key_source source = {.key_file = path};
	struct key *key;

	fixture_must(key_read(&source, &key) == 0);
	return key;
}

static void write_key(char *ret_path, size_t size, const char *name)
{
	struct key *key = fixture_key();

	snprintf(ret_path, size, "%s", fixture_path(fixture, name));
	fixture_write(ret_path, key->bytes, CRYPTO_KEY_BYTES, 0600);
	key_free(key);
}

static struct store *load_with(const char *key_path)
{
	struct key *key = read_key(key_path);
	struct store *store = everything_load(fixture->store, key);

	key_free(key);
	return store;
}

/* How many files there are whose name begins as the store's or ends with .rotating; the reserve stays, and is no part of it. */
static unsigned leftovers(void)
{
	DIR *folder = opendir(fixture->folder);
	unsigned n = 0;

	fixture_must(folder);
	for (struct dirent *entry; (entry = readdir(folder));)
		n += (strncmp(entry->d_name, "s.hush", 6) == 0 && entry->d_name[6] && strcmp(entry->d_name, "s.hush-reserve") != 0) ||
		     strstr(entry->d_name, ".rotating");
	closedir(folder);
	return n;
}

static void restore(void)
{
	unlink(fixture_path(fixture, "s.hush-wal"));
	unlink(fixture_path(fixture, "s.hush.rekey-wal"));
	unlink(fixture_path(fixture, "s.hush.rekey"));
	fixture_copy(kept, fixture->store);
}

/* --- children */

/* Run @work in a child that ends at @kill_at. -1: it was killed; else its status, 0 or 1. */
static int child(int (*work)(const char *from, const char *to), const char *from, const char *to, unsigned kill_at)
{
	int status;
	pid_t pid;

	counts->kill_at = kill_at;
	counts->steps = counts->commits = 0;
	fflush(stdout);
	pid = fork();
	fixture_must(pid >= 0);
	if (pid == 0) {
		int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

		dup2(null, STDOUT_FILENO);
		armed = true;
		_exit(work(from, to) ? 1 : 0);
	}
	fixture_must(waitpid(pid, &status, 0) == pid);
	fixture_must(WIFEXITED(status) || (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL));
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int work_rekey(const char *from, const char *to)
{
	struct key *key, *other;
	int r;

	fixture_init();
	key = read_key(from);
	other = read_key(to);
	r = store_rekey(fixture->store, key, other, NULL, NULL, NULL);
	key_free(key);
	key_free(other);
	return r;
}

static int work_rotate(const char *key_file, const char *unused)
{
	char *argv[] = {"key", "rotate", "--store", fixture->store, "--key-file", (char *)key_file, NULL};

	(void)unused;
	return command_key(6, argv);
}

static void rekey_in_a_child(void)
{
	fixture_must(child(work_rekey, old_key, old_key, 0) == 0);
}

/* --- rekeying */

static unsigned whole_commits; /* of a rekey that nothing interrupts */
static const unsigned whole_commits_at_least = 4;

/* The store is whole, and opens with @first or with @second, not with both. */
static bool is_whole(const char *first, const char *second, const char **ret_opens)
{
	struct store *a, *b;
	bool same;

	a = load_with(first);
	must_hold(!a || everything_same(original, a));
	store_close(a);
	*ret_opens = first;
	if (first == second) {
		must_hold(a);
		return true;
	}
	b = load_with(second);
	same = b && everything_same(original, b);
	store_close(b);
	must_hold(!a == !!b);
	must_hold(a || same);
	*ret_opens = a ? first : second;
	return true;
}

/* It was brought to the end: only the new key, nothing under the old root key, nothing beside it. */
static bool is_rekeyed(const char *old, const char *new)
{
	struct store *store;
	bool same;

	must_hold(leftovers() == 0);
	store = load_with(new);
	must_hold(store);
	same = everything_same(original, store) && everything_opens(store, original) == 0 &&
	       everything_opens(store, store) == store->manifest.rows + 1 &&
	       store->manifest.generation > original->manifest.generation &&
	       memcmp(store->seal.store_id, original->seal.store_id, sizeof(store->seal.store_id)) == 0 &&
	       store->seal.epoch > original->seal.epoch;
	store_close(store);
	must_hold(same);
	if (old != new) {
		store = load_with(old);
		store_close(store);
		must_hold(!store);
	}
	return true;
}

static bool go_on(const char *from, const char *to)
{
	const char *opens;

	must_hold(is_whole(from, to, &opens));
	if (opens == from) {
		must_hold(child(work_rekey, from, to, 0) == 0);
	}
	must_hold(is_rekeyed(from, to));
	return true;
}

/* Killed at each step in turn. It came to the end when there was no such step. */
static void rekey_at_each_step(const char *from, const char *to, const char *name)
{
	bool good = true, ended = false;
	unsigned n, resumed = 0;

	for (n = 1; !ended && n < MAX_STEPS && good; n++) {
		int r;

		restore();
		r = child(work_rekey, from, to, n);
		ended = counts->steps < n;
		if (ended)
			whole_commits = counts->commits;
		good = (ended ? r == 0 : r == -1) && go_on(from, to);
		resumed += !ended && counts->commits > 0 && counts->commits < whole_commits_at_least;
	}
	check(good && ended, name);
	printf("# figures steps=%u commits=%u resumed_with_fewer=%u\n", n - 2, whole_commits, resumed);
	check(n > 20 && whole_commits >= whole_commits_at_least, "there were steps, and several commits");
	check(resumed >= 3, "what was made before a kill is not made again");
}

/* A call fails at each step in turn: told by the exit status, and the store is as it was, or (the very last) done. */
static void rekey_failing_at_each_step(void)
{
	bool good = true, ended = false;
	unsigned n, failed = 0;

	counts->fails = true;
	for (n = 1; !ended && n < MAX_STEPS && good; n++) {
		int r;

		restore();
		r = child(work_rekey, old_key, new_key, n);
		ended = counts->steps < n;
		failed += r == 1;
		good = r == 0 ? is_rekeyed(old_key, new_key) || counts->steps >= n : r == 1 && !ended;
		good = good && go_on(old_key, new_key);
	}
	counts->fails = false;
	check(good && ended && failed > 10, "a call that fails at each step of a rekey");
	printf("# figures steps=%u failed=%u\n", n - 2, failed);
}

/* Killed at any moment, also within a commit. */
static void rekey_killed_anywhen(uint64_t *seed)
{
	unsigned rounds = 40, kills = 0;
	struct timespec begin, end;
	uint64_t whole_us;
	bool good = true;

	restore();
	clock_gettime(CLOCK_MONOTONIC, &begin);
	fixture_must(child(work_rekey, old_key, new_key, 0) == 0);
	clock_gettime(CLOCK_MONOTONIC, &end);
	whole_us = (uint64_t)(end.tv_sec - begin.tv_sec) * 1000000 + (uint64_t)(end.tv_nsec / 1000) -
		   (uint64_t)(begin.tv_nsec / 1000);
	for (unsigned i = 0; i < rounds && good; i++) {
		int status;
		pid_t pid;

		restore();
		fflush(stdout);
		pid = fork();
		fixture_must(pid >= 0);
		if (pid == 0)
			_exit(work_rekey(old_key, new_key) ? 1 : 0);
		usleep((useconds_t)fixture_random(seed, whole_us + 1));
		kill(pid, SIGKILL);
		fixture_must(waitpid(pid, &status, 0) == pid);
		kills += WIFSIGNALED(status);
		good = go_on(old_key, new_key);
	}
	check(good && kills, "killed at any moment it comes to the end");
	printf("# figures rounds=%u kills=%u\n", rounds, kills);
}

static void rekey_killed_often(uint64_t *seed)
{
	unsigned kills = 0, rounds = 10;
	bool good = true;

	for (unsigned i = 0; i < rounds && good; i++) {
		restore();
		for (int r = -1; r < 0 && good;) {
			const char *opens;

			r = child(work_rekey, old_key, new_key, 1 + (unsigned)fixture_random(seed, 40));
			kills += r < 0;
			good = r <= 0 && is_whole(old_key, new_key, &opens);
			if (r < 0 && opens == new_key)
				break;
		}
		good = good && is_rekeyed(old_key, new_key);
	}
	check(good && kills > rounds, "killed again and again, it comes to the end");
	printf("# figures rounds=%u kills=%u\n", rounds, kills);
}

/* Kill it late, so that much is left. */
static void leave_a_part(void)
{
	restore();
	fixture_must(child(work_rekey, old_key, new_key, 14) == -1);
	fixture_must(access(fixture_path(fixture, "s.hush.rekey"), F_OK) == 0);
}

/* One commit more; the same number of commits whatever it is that changes. */
static void change(struct name name)
{
	struct key *key = read_key(old_key);
	const struct store_options options = {.value_bytes = STORE_VALUE_BYTES_DEFAULT, .history = 5};
	struct store *store;

	fixture_must(store_open(fixture->store, key, &options, &store) == 0);
	fixture_settle(store);
	fixture_must(fixture_do(store, STORE_PUT, name, "late", 4, NULL) == 0);
	store_close(store);
	key_free(key);
}

/* Is the store what it was in the file @path, under the new key? */
static bool is_rekeyed_from(const char *path)
{
	struct key *key = read_key(old_key);
	struct store *before = everything_load(path, key), *after = load_with(new_key);
	bool same = before && after && everything_same(before, after);

	store_close(before);
	store_close(after);
	key_free(key);
	must_hold(leftovers() == 0);
	return same;
}

static void test_what_was_left(void)
{
	char path[300], before[300];
	uint8_t *bytes;
	size_t size;

	snprintf(path, sizeof(path), "%s", fixture_path(fixture, "s.hush.rekey"));
	snprintf(before, sizeof(before), "%s", fixture_path(fixture, "before"));
	leave_a_part();
	check(child(work_rekey, old_key, third_key, 0) == 0 && is_rekeyed(old_key, third_key),
	      "a part that was for another key is thrown away");

	leave_a_part();
	change(fixture_global("late"));
	fixture_copy(fixture->store, before);
	check(child(work_rekey, old_key, new_key, 0) == 0 && is_rekeyed_from(before),
	      "a part is thrown away if the store has changed since");

	leave_a_part();
	unlink(fixture_path(fixture, "s.hush.rekey-wal"));
	bytes = fixture_read(path, &size);
	for (size_t i = 4096; i < size; i += 512)
		bytes[i] ^= 1;
	fixture_write(path, bytes, size, 0600);
	free(bytes);
	check(child(work_rekey, old_key, new_key, 0) == 0 && is_rekeyed(old_key, new_key), "and if it is damaged");

	restore();
	fixture_write(path, "", 0, 0600);
	check(child(work_rekey, old_key, new_key, 0) == 0 && is_rekeyed(old_key, new_key), "and if it is empty");

	/* another history with the same generation: the copy of a store that went on differently */
	restore();
	change(fixture_global("late"));
	fixture_must(child(work_rekey, old_key, new_key, 14) == -1);
	fixture_copy(kept, fixture->store);
	change(fixture_global("empty"));
	fixture_copy(fixture->store, before);
	check(child(work_rekey, old_key, new_key, 0) == 0 && counts->commits > whole_commits && is_rekeyed_from(before),
	      "and if it is of another history");
}

/* --- others at the same time */

/* Who has opened the old file, but not locked it yet, when it is replaced must not write to what has no name any more.
 */
static void test_replaced_while_opening(void)
{
	const struct store_options options = {.value_bytes = STORE_VALUE_BYTES_DEFAULT};
	struct store *store = NULL;
	bool written = false;

	restore();
	rekey_after_open = true;
	if (store_open(fixture->store, fixture->key, &options, &store) == 0)
		written = fixture_do(store, STORE_PUT, fixture_global("late"), "late", 4, NULL) == 0;
	store_close(store);
	check(written && !rekey_after_open, "a store that is replaced while it is being opened opens");
	store = load_with(old_key);
	check(store && store->seal.epoch == original->seal.epoch + 1 &&
		      fixture_holds(store, fixture_global("late"), "late", 4),
	      "and what is written to it is kept");
	store_close(store);
}

/* --- rotating a key file */

/* Nothing that was ever in the key file but what is in it now opens the store. */
static bool is_rotated(const char *key_file, char former[][300], unsigned n_former)
{
	struct store *store = load_with(key_file);
	uint8_t kinds[STORE_KEY_SLOTS];
	unsigned current, used = 0;
	bool same;

	must_hold(store);
	store_keys(store, kinds, &current);
	for (unsigned i = 0; i < STORE_KEY_SLOTS; i++)
		used += kinds[i] != 0;
	same = everything_same(original, store);
	store_close(store);
	must_hold(same);
	must_hold(used == 1);
	must_hold(leftovers() == 0);
	for (unsigned i = 0; i < n_former; i++) {
		store = load_with(former[i]);
		store_close(store);
		must_hold(!store);
	}
	return true;
}

static void keep(const char *path, char former[][300], unsigned *n_former)
{
	struct stat st;

	if (stat(path, &st) < 0 || st.st_size != CRYPTO_KEY_BYTES)
		return;
	snprintf(former[*n_former], 300, "%s/former-%u", fixture->folder, *n_former);
	fixture_copy(path, former[(*n_former)++]);
}

static bool rotated_after_kill(const char *key_file, const char *rotating)
{
	char former[3][300];
	unsigned n_former = 0;
	struct store *store;
	bool same;

	store = load_with(key_file); /* at every moment */
	must_hold(store);
	same = everything_same(original, store);
	store_close(store);
	must_hold(same);
	snprintf(former[n_former++], 300, "%s", old_key);
	keep(key_file, former, &n_former);
	keep(rotating, former, &n_former);
	must_hold(child(work_rotate, key_file, NULL, 0) == 0);
	must_hold(is_rotated(key_file, former, n_former));
	return true;
}

static void rotate_at_each_step(const char *key_file, bool fails, const char *name)
{
	bool good = true, ended = false;
	char rotating[320];
	unsigned n;

	snprintf(rotating, sizeof(rotating), "%s.rotating", key_file);
	for (n = 1; !ended && n < MAX_STEPS && good; n++) {
		int r;

		restore();
		unlink(rotating);
		fixture_copy(old_key, key_file);
		counts->fails = fails;
		r = child(work_rotate, key_file, NULL, n);
		counts->fails = false;
		ended = counts->steps < n;
		good = (ended ? r == 0 : fails || r == -1) && rotated_after_kill(key_file, rotating);
	}
	check(good && ended && n > 20, name);
	printf("# figures steps=%u\n", n - 2);
}

static void test_rotate(void)
{
	char key_file[300];
	int r;

	snprintf(key_file, sizeof(key_file), "%s", fixture_path(fixture, "key"));
	rotate_at_each_step(key_file, false,
			    "a rotation killed at each step: the key file always opens the store, and no former key "
			    "does after a rerun");
	rotate_at_each_step(key_file, true, "and if a call fails at each step");
	restore();
	fixture_copy(old_key, key_file);
	counts->no_exchange = true;
	r = child(work_rotate, key_file, NULL, 0);
	counts->no_exchange = false;
	check(r == 1 && is_rotated(key_file, NULL, 0) && is_rotated(old_key, NULL, 0),
	      "where files cannot be exchanged everything stays as it was");
}

int main(int argc, char **argv)
{
	struct store *store;
	uint64_t seed;
	void *holder;

	fixture_in_memory(); /* who is killed loses nothing that was written */
	fixture_init();
	seed = fixture_seed(argc, argv);
	printf("# seed=%" PRIu64 "\n", seed);
	counts = fixture_shared(sizeof(*counts));
	fixture_setup(&holder);
	fixture = holder;
	snprintf(kept, sizeof(kept), "%s", fixture_path(fixture, "kept"));
	snprintf(old_key, sizeof(old_key), "%s", fixture_path(fixture, "old.key"));
	fixture_write(old_key, fixture->key->bytes, CRYPTO_KEY_BYTES, 0600);
	write_key(new_key, sizeof(new_key), "new.key");
	write_key(third_key, sizeof(third_key), "third.key");
	everything_make(fixture);
	fixture_copy(fixture->store, kept);
	fixture_copy(fixture->store, fixture_path(fixture, "original"));
	original = everything_load(fixture_path(fixture, "original"), fixture->key);
	fixture_must(original);
	store = load_with(old_key);
	check(store && everything_same(original, store) &&
		      everything_opens(store, original) == store->manifest.rows + 1,
	      "before, all rows open under the old root key");
	store_close(store);

	rekey_at_each_step(old_key, new_key, "a rekey to another key killed at each step");
	rekey_at_each_step(old_key, old_key, "a rekey that keeps the key killed at each step");
	rekey_failing_at_each_step();
	rekey_killed_anywhen(&seed);
	rekey_killed_often(&seed);
	test_what_was_left();
	test_rotate();
	test_replaced_while_opening();

	store_close(original);
	fixture_teardown(&holder);
	secmem_deinit();
	return check_done();
}
