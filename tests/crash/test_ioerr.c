/* SPDX-License-Identifier: Apache-2.0
 * test_ioerr: the n-th call to the disk fails, for n = 1, 2, ... until a run has no such call any more.
 *
 * What is run: a store is opened (with a journal and a part of its reserve that a crash has left, and with an anchor), changed, read, checked,
 * copied and closed; a store is made; keys are added and removed; a store is rekeyed. Each kind of call fails once or for ever, with an error, without room, or by doing
 * half of what it should. Whatever comes of it: what was acknowledged is there when the store is opened again on a disk that is well, what
 * was refused is there whole or not at all, and no read gives anything but the value. HUSH_SOAK=1: with a larger store, and short calls
 * during a rekey too.
 */
#include "store/internal.h"
#include "tests/crash/fault.h"
#include "tests/crash/tap.h"
#include "tests/unit/fixture.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

enum { MOST_CALLS = 100000, LARGE_BYTES = 30000, JOURNAL_PAGES = 12 };

static struct fixture *fixture;
static bool soak;
static struct fault_plan plan;
static struct key *new_key;

/* A part of a check; says where it failed. */
#define must_hold(condition)                                                                                           \
	do {                                                                                                           \
		if (!(condition)) {                                                                                    \
			printf("# line %d: %s of %s number %u%s: %s\n", __LINE__, fault_how_name(plan.how),            \
			       fault_name(plan.call), plan.at, plan.for_ever ? " and all after it" : "", #condition);  \
			return false;                                                                                  \
		}                                                                                                      \
	} while (0)

/* An error of a disk. */
static bool is_told(int r)
{
	return r == -EIO || r == -ENOSPC || r == -EROFS;
}

/* --- secrets, each changed once at the most */

enum { FRESH, REPLACED, LARGE, REMOVED, FIRST_OF_TWO, SECOND_OF_TWO, LATE, KEPT, SECRETS };

struct secret {
	const char *name;
	const char *before, *after; /* NULL: it isn't there */
	size_t size;                /* of both; 0: of strings */
};

static char large_before[LARGE_BYTES], large_after[LARGE_BYTES];
static const struct secret secrets[SECRETS] = {
	[FRESH] = {"fresh", NULL, "fresh", 0},
	[REPLACED] = {"replaced", "before", "after", 0},
	[LARGE] = {"large", large_before, large_after, LARGE_BYTES},
	[REMOVED] = {"removed", "before", NULL, 0},
	[FIRST_OF_TWO] = {"first-of-two", NULL, "first", 0},
	[SECOND_OF_TWO] = {"second-of-two", "before", "second", 0},
	[LATE] = {"late", "before", "late", 0},
	[KEPT] = {"kept", "kept", "kept", 0},
};

static size_t size_of(const struct secret *secret, const char *value)
{
	return secret->size ? secret->size : strlen(value);
}

/* What is read of it, if anything: is it that value? */
static int reads_as(struct store *store, const struct secret *secret, const char *value)
{
	struct name name = fixture_global(secret->name);
	uint64_t node = store_node(store, &name), generation;
	SECBUF_AUTO bytes = {0};
	int r = store_pin(store, node, &generation);

	if (r < 0)
		return value == NULL;
	r = store_read(store, node, generation, &bytes);
	store_unpin(store, node, generation);
	if (r < 0)
		return r;
	return value && bytes.size == size_of(secret, value) && memcmp(bytes.data, value, bytes.size) == 0;
}

static int change(struct store *store, unsigned first, unsigned n)
{
	struct store_txn *txn = store_txn_new(n);
	int r;

	fixture_must(txn);
	for (unsigned i = 0; i < n; i++) {
		const struct secret *secret = &secrets[first + i];
		const char *after = secret->after;

		fixture_op(&txn->ops[i], after ? STORE_PUT : STORE_REMOVE, fixture_global(secret->name), after,
			   after ? size_of(secret, after) : 0);
	}
	r = store_run(store, txn);
	store_txn_free(txn);
	return r;
}

/* --- files */

static const char *const ends[] = {"", "-wal", "-reserve", "-journal", ".rekey", ".rekey-wal", ".rekey-journal"};

static char base[2][300]; /* the store and its journal, as a crash has left them */
static char copy[300], anchor_path[300];

static void restore(bool without)
{
	char path[400];

	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		snprintf(path, sizeof(path), "%s%s", fixture->store, ends[i]);
		unlink(path);
		if (i < 2 && !without)
			fixture_copy(base[i], path);
		else if (i == 2)
			fixture_write(path, "", 0, 0600);
	}
	unlink(copy);
	unlink(anchor_path);
}

static bool is_there(const char *end)
{
	char path[400];

	snprintf(path, sizeof(path), "%s%s", fixture->store, end);
	return access(path, F_OK) == 0;
}

static int try_open(const char *path, const struct key *key, struct anchor *anchor, struct store **ret_store)
{
	const struct store_options options = {.value_bytes = STORE_VALUE_BYTES_DEFAULT, .history = 1, .anchor = anchor};

	*ret_store = NULL;
	return store_open(path, key, &options, ret_store);
}

static struct store *open_with(const char *path, const struct key *key)
{
	struct store *store;

	try_open(path, key, NULL, &store);
	return store;
}

static void make_base(void)
{
	struct store *store;
	char path[400];

	memset(large_before, 'b', sizeof(large_before));
	memset(large_after, 'a', sizeof(large_after));
	fixture_make(fixture);
	for (int closed = 0; closed < 2; closed++) {
		store = open_with(fixture->store, fixture->key);
		fixture_must(store);
		for (int i = 0; i < (soak ? 60 : 0); i++) {
			snprintf(path, sizeof(path), "other-%d", i);
			fixture_must(fixture_do(store, STORE_PUT, fixture_global(path), large_after, (size_t)(i * closed), NULL) == 0);
		}
		for (int i = 0; i < SECRETS; i++)
			if (secrets[i].before && i % 2 == closed)
				fixture_must(fixture_do(store, STORE_PUT, fixture_global(secrets[i].name), secrets[i].before,
							size_of(&secrets[i], secrets[i].before), NULL) == 0);
		if (closed == 0)
			store_close(store);
	}
	for (size_t i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "%s%s", fixture->store, ends[i]);
		fixture_copy(path, base[i]);
	}
	store_close(store);
}

/* --- a store in use */

static bool all_reads_are_right(struct store *store, const bool *changed)
{
	for (int i = 0; i < SECRETS; i++) {
		int r = reads_as(store, &secrets[i], changed[i] ? secrets[i].after : secrets[i].before);

		must_hold(r == 1 || is_told(r));
	}
	return true;
}

/* After a sync that failed, closing writes nothing. */
static bool closes(struct store *store)
{
	bool failed = store_is_read_only(store);
	unsigned before = fault_count(FAULT_WRITE) + fault_count(FAULT_RESIZE) + fault_count(FAULT_DELETE);

	store_close(store);
	must_hold(!failed || before == fault_count(FAULT_WRITE) + fault_count(FAULT_RESIZE) + fault_count(FAULT_DELETE));
	must_hold(!failed || is_there("-wal"));
	return true;
}

static bool changed[SECRETS]; /* acknowledged */
static bool copied;

static bool use_with(struct anchor *anchor)
{
	static const struct {
		unsigned first, n;
	} steps[] = {{FRESH, 1}, {REPLACED, 1}, {LARGE, 1}, {REMOVED, 1}, {FIRST_OF_TWO, 2}};
	struct store_checked checked;
	struct store *store = NULL;
	bool good = true, failed;
	int r;

	r = try_open(fixture->store, fixture->key, anchor, &store);
	must_hold(r == 0 || is_told(r));
	if (r < 0)
		return true;
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]) && good; i++) {
		r = change(store, steps[i].first, steps[i].n);
		good = (r == 0 || is_told(r)) && (!store_is_read_only(store) || r != 0 || plan.call == FAULT_SYNC);
		for (unsigned j = 0; j < steps[i].n; j++)
			changed[steps[i].first + j] = r == 0;
	}
	good = good && all_reads_are_right(store, changed);
	r = store_check(store, NULL, NULL, &checked);
	good = good && (r == 0 || is_told(r));
	failed = store_is_read_only(store);
	r = store_copy(store, copy);
	copied = r == 0;
	good = good && (r == 0 || is_told(r)) && (copied || plan.call == FAULT_DELETE || access(copy, F_OK) < 0);
	r = change(store, LATE, 1);
	changed[LATE] = r == 0;
	good = good && (r == 0 || is_told(r)) && (r != 0 || !store_is_read_only(store) || plan.call == FAULT_SYNC);
	/* a sync of the copy that failed is not the store's, which goes on */
	good = good && (copied || failed || plan.for_ever || plan.call != FAULT_SYNC || (r == 0 && !store_is_read_only(store)));
	good = closes(store) && good;
	must_hold(good);
	return true;
}

static bool use(void)
{
	struct anchor *anchor = NULL;
	int r = anchor_open(anchor_path, false, &anchor);
	bool good;

	memset(changed, 0, sizeof(changed));
	copied = false;
	must_hold(r == 0 || is_told(r));
	good = r < 0 || use_with(anchor);
	anchor_close(anchor);
	return good;
}

/* On a disk that is well: it is no older copy, every change that was acknowledged is there, every other one whole or not at all. */
static bool use_holds(void)
{
	struct store_checked checked;
	struct anchor *anchor;
	struct store *store;
	bool good;

	must_hold(anchor_open(anchor_path, false, &anchor) == 0);
	good = try_open(fixture->store, fixture->key, anchor, &store) == 0;
	for (int i = 0; i < SECRETS && good; i++)
		good = good && (reads_as(store, &secrets[i], secrets[i].after) == 1 ||
				(!changed[i] && reads_as(store, &secrets[i], secrets[i].before) == 1));
	good = good && reads_as(store, &secrets[FIRST_OF_TWO], secrets[FIRST_OF_TWO].after) ==
			       reads_as(store, &secrets[SECOND_OF_TWO], secrets[SECOND_OF_TWO].after);
	good = good && store_check(store, NULL, NULL, &checked) == 0 && change(store, KEPT, 1) == 0;
	store_close(store);
	anchor_close(anchor);
	must_hold(good);
	if (copied) {
		store = open_with(copy, fixture->key);
		good = store && reads_as(store, &secrets[KEPT], secrets[KEPT].after) == 1;
		store_close(store);
	}
	must_hold(good);
	return true;
}

/* --- a store that is made */

static int made;

static bool make(void)
{
	made = store_create(fixture->store, fixture->key, 1, 1);
	must_hold(made == 0 || is_told(made));
	return true;
}

static bool make_holds(void)
{
	bool there = access(fixture->store, F_OK) == 0;
	struct store *store = there ? open_with(fixture->store, fixture->key) : NULL;

	store_close(store);
	must_hold(made < 0 || store);
	must_hold(made == 0 || !there || plan.call == FAULT_DELETE);
	return true;
}

/* --- a store that is rekeyed */

static int rekeyed;

static bool rekey(void)
{
	rekeyed = store_rekey(fixture->store, fixture->key, new_key, NULL, NULL, NULL);
	must_hold(rekeyed == 0 || is_told(rekeyed));
	return true;
}

static bool rekey_holds(void)
{
	struct store *store = open_with(fixture->store, new_key);
	bool good = true, new = store != NULL;

	if (!store)
		store = open_with(fixture->store, fixture->key);
	must_hold(store);
	for (int i = 0; i < SECRETS; i++)
		good = good && reads_as(store, &secrets[i], secrets[i].before) == 1;
	store_close(store);
	must_hold(good);
	must_hold(new || rekeyed < 0);
	must_hold(new || plan.call == FAULT_DELETE || !is_there(".rekey"));
	return true;
}

/* --- a key that is added, and one that is removed */

static int added, removed;

static bool change_keys(void)
{
	struct store *store;
	unsigned slot;
	bool failed;
	int r = try_open(fixture->store, fixture->key, NULL, &store);

	added = removed = -EIO;
	must_hold(r == 0 || is_told(r));
	if (r < 0)
		return true;
	added = store_key_add(store, new_key, &slot);
	if (added == 0)
		removed = store_key_remove(store, 0);
	failed = removed == 1 && plan.call == FAULT_SYNC && !store_is_read_only(store);
	r = closes(store);
	must_hold(!failed);
	must_hold((added == 0 || is_told(added)) && (removed == 0 || removed == 1 || is_told(removed)));
	return r;
}

/* Who was told that a key is removed has a file that it does not open, with or without its journal. */
static bool change_keys_holds(void)
{
	struct store *alone, *store;
	bool good = true;

	fixture_copy(fixture->store, copy);
	alone = removed == 0 ? open_with(copy, fixture->key) : NULL;
	store_close(alone);
	must_hold(!alone);
	store = open_with(fixture->store, fixture->key);
	store_close(store);
	must_hold(removed < 0 || !store);
	must_hold(added == 0 || store || plan.call == FAULT_SYNC); /* a commit that was not synced may be found */
	store = open_with(fixture->store, added == 0 ? new_key : fixture->key);
	must_hold(store);
	for (int i = 0; i < SECRETS; i++)
		good = good && reads_as(store, &secrets[i], secrets[i].before) == 1;
	store_close(store);
	must_hold(good);
	return true;
}

/* --- every n */

static unsigned descriptors(void)
{
	DIR *folder = opendir("/proc/self/fd");
	unsigned n = 0;

	fixture_must(folder);
	while (readdir(folder))
		n++;
	closedir(folder);
	return n;
}

static unsigned runs, most;

/* One kind of fault, at each of its calls in turn. */
static bool fails_at_each(bool (*work)(void), bool (*holds)(void))
{
	unsigned n = 1, open = descriptors();
	size_t locked = secmem_in_use();
	bool good = true, ended = false;

	for (; good && !ended && n < MOST_CALLS; n++) {
		restore(work == make);
		plan.at = n;
		fault_arm(&plan);
		good = work();
		ended = fault_fired() == 0;
		fault_disarm();
		good = good && holds();
		must_hold(!good || (descriptors() == open && secmem_in_use() == locked));
		runs++;
	}
	if (n > most)
		most = n;
	return good && ended;
}

static void test(bool (*work)(void), bool (*holds)(void), const char *name)
{
	static const struct {
		enum fault_call call;
		enum fault_how how;
	} kinds[] = {{FAULT_OPEN, FAULT_EIO},      {FAULT_READ, FAULT_EIO},   {FAULT_WRITE, FAULT_EIO},    {FAULT_WRITE, FAULT_ENOSPC},
		     {FAULT_RESIZE, FAULT_EIO},    {FAULT_SYNC, FAULT_EIO},   {FAULT_DELETE, FAULT_EIO},   {FAULT_RENAME, FAULT_EIO},
		     {FAULT_RESIZE, FAULT_ENOSPC}, {FAULT_RESIZE, FAULT_EDQUOT}, {FAULT_LOOK, FAULT_EIO},
		     {FAULT_READ, FAULT_SHORT},    {FAULT_WRITE, FAULT_SHORT}};
	size_t n_kinds = sizeof(kinds) / sizeof(kinds[0]) - (work == rekey && !soak ? 2 : 0);
	bool good = true;

	runs = most = 0;
	for (size_t i = 0; i < n_kinds && good; i++)
		for (int for_ever = 0; for_ever < 2 && good; for_ever++) {
			plan = (struct fault_plan){.call = kinds[i].call, .how = kinds[i].how, .for_ever = for_ever};
			good = fails_at_each(work, holds);
		}
	check(good && runs > 50, name);
	printf("# figures runs=%u most_calls_of_a_kind=%u\n", runs, most);
}

/* --- a store that SQLite's cache does not hold, so that it reads the file again when it looks at what is free in it and what is used */

enum { MANY = 4, MANY_BYTES = 1000 * 1000, LAST_READS = 10 };

static bool fails_at_the_last_reads(void)
{
	struct store *store = open_with(fixture->store, fixture->key);
	char name[32];
	unsigned reads;

	fixture_must(store);
	for (int i = 0; i < MANY; i++) {
		SECBUF_AUTO value = {0};

		snprintf(name, sizeof(name), "many-%d", i);
		fixture_must(secbuf_resize(&value, MANY_BYTES) == 0);
		fixture_must(fixture_do(store, STORE_PUT, fixture_global(name), value.data, value.size, NULL) == 0);
	}
	store_close(store);
	plan = (struct fault_plan){.call = FAULT_READ, .how = FAULT_EIO};
	fault_arm(&plan);
	store = open_with(fixture->store, fixture->key);
	reads = fault_count(FAULT_READ);
	fault_disarm();
	store_close(store);
	for (unsigned i = 0; i < 2 * LAST_READS; i++) {
		int r;

		plan.at = reads - i / 2;
		plan.for_ever = i % 2;
		fault_arm(&plan);
		r = try_open(fixture->store, fixture->key, NULL, &store);
		runs += fault_fired() > 0;
		fault_disarm();
		store_close(store);
		must_hold(r == 0 || is_told(r));
		must_hold(r < 0 || !plan.for_ever);
		store = open_with(fixture->store, fixture->key);
		store_close(store);
		must_hold(store);
	}
	return true;
}

static void test_last_reads(void)
{
	bool good;

	restore(false);
	runs = 0;
	good = fails_at_the_last_reads();
	check(good && runs == 2 * LAST_READS, "a store larger than what SQLite keeps of it: opening says that it can't be read, to the last page");
	printf("# figures runs=%u\n", runs);
}

int main(void)
{
	void *holder;

	setvbuf(stdout, NULL, _IOLBF, 0);
	fixture_in_memory(); /* where files cost least */
	soak = getenv("HUSH_SOAK") != NULL;
	fixture_init();
	vfs_register(JOURNAL_PAGES);
	fixture_setup(&holder);
	fixture = holder;
	snprintf(base[0], sizeof(base[0]), "%s", fixture_path(fixture, "base"));
	snprintf(base[1], sizeof(base[1]), "%s", fixture_path(fixture, "base-journal"));
	snprintf(copy, sizeof(copy), "%s", fixture_path(fixture, "copy"));
	snprintf(anchor_path, sizeof(anchor_path), "%s", fixture_path(fixture, "anchor"));
	new_key = fixture_key();
	make_base();

	test(use, use_holds, "a store is opened, changed, read, checked, copied and closed: nothing is lost, nothing wrong is read");
	test(make, make_holds, "a store is made: it is whole, or not there");
	test(change_keys, change_keys_holds, "a key is added and another removed: what was told to be removed opens nothing");
	test(rekey, rekey_holds, "a store is rekeyed: it opens with one key or the other");
	test_last_reads();

	key_free(new_key);
	fixture_teardown(&holder);
	secmem_deinit();
	return check_done();
}
