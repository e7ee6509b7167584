/* SPDX-License-Identifier: Apache-2.0
 * test_rollback: older copies of a store are put in its place, and its anchor refuses them.
 *
 * Copies are taken at random moments of a store's life, closed and open, with and without the journal. Each is a store
 * that opens by itself; with the anchor only the newest may. HUSH_SOAK=1: ten times as many. Argument: a seed.
 */
#include "store/anchor.h"
#include "tests/crash/tap.h"
#include "tests/unit/fixture.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { COPIES = 10, NAMES = 6 };

static uint64_t seed;
static struct fixture *fixture;
static char anchor_path[300];

/* --- a store with its anchor */

static int try_with(const char *path, bool read_only, struct store **ret_store, struct anchor **ret_anchor)
{
	struct store_options options = {.value_bytes = STORE_VALUE_BYTES_DEFAULT, .history = 1};
	int r = anchor_open(path, read_only, ret_anchor);

	*ret_store = NULL;
	if (r < 0)
		return r;
	options.anchor = *ret_anchor;
	r = store_open(fixture->store, fixture->key, &options, ret_store);
	if (r < 0)
		*ret_anchor = anchor_close(*ret_anchor);
	return r;
}

static int try_anchored(struct store **ret_store, struct anchor **ret_anchor)
{
	return try_with(anchor_path, false, ret_store, ret_anchor);
}

/* What comes of opening it with the anchor. */
static int opens_with(const char *path, bool read_only)
{
	struct anchor *anchor;
	struct store *store;
	int r = try_with(path, read_only, &store, &anchor);

	if (r == 0) {
		store_close(store);
		anchor_close(anchor);
	}
	return r;
}

static int opens(void)
{
	return opens_with(anchor_path, false);
}

static bool opens_without(void)
{
	struct store *store;
	bool opened = fixture_try(fixture, fixture->store, &store) == 0;

	store_close(store);
	return opened;
}

static void change(struct store *store)
{
	char name[20];
	uint8_t bytes[600];

	snprintf(name, sizeof(name), "s-%d", (int)fixture_random(&seed, NAMES));
	fixture_fill(bytes, sizeof(bytes), fixture_random(&seed, UINT64_MAX));
	fixture_must(fixture_do(store, STORE_PUT, fixture_global(name), bytes, fixture_random(&seed, sizeof(bytes)),
				NULL) == 0);
}

static void change_some(void)
{
	struct anchor *anchor;
	struct store *store;

	fixture_must(try_anchored(&store, &anchor) == 0);
	for (uint64_t i = 1 + fixture_random(&seed, 5); i > 0; i--)
		change(store);
	fixture_settle(store);
	store_close(store);
	anchor_close(anchor);
}

/* --- copies */

static const char *journal_of(const char *path)
{
	static char paths[2][400];
	static unsigned next;
	char *journal = paths[next++ % 2];

	snprintf(journal, sizeof(paths[0]), "%s-wal", path);
	return journal;
}

static void copy_if_there(const char *from, const char *to)
{
	unlink(to);
	if (access(from, F_OK) == 0)
		fixture_copy(from, to);
}

static void copy_store(const char *from, const char *to, bool with_journal)
{
	fixture_copy(from, to);
	unlink(journal_of(to));
	if (with_journal)
		copy_if_there(journal_of(from), journal_of(to));
}

static const char *copy_path(int number)
{
	char name[20];

	snprintf(name, sizeof(name), "copy-%d", number);
	return fixture_path(fixture, name);
}

static bool anchor_is(const uint8_t *bytes, size_t size)
{
	size_t now_size;
	uint8_t *now = fixture_read(anchor_path, &now_size);
	bool same = now_size == size && memcmp(now, bytes, size) == 0;

	free(now);
	return same;
}

static struct figures {
	unsigned copies, closed, open, without_journal, cut, refused, opened_alone, newest, newest_opened, untouched;
} figures;

/* One copy, while it is open and at rest or when it is closed; then something is changed. */
static void take_copy(int number)
{
	struct anchor *anchor;
	struct store *store;
	unsigned kind = (unsigned)fixture_random(&seed, 3);

	if (kind == 0) {
		copy_store(fixture->store, copy_path(number), true);
		figures.closed++;
		change_some();
		return;
	}
	fixture_must(try_anchored(&store, &anchor) == 0);
	for (uint64_t i = 1 + fixture_random(&seed, 4); i > 0; i--)
		change(store);
	fixture_settle(store);
	copy_store(fixture->store, copy_path(number), kind == 1);
	*(kind == 1 ? &figures.open : &figures.without_journal) += 1;
	change(store);
	store_close(store);
	anchor_close(anchor);
}

/* The newest, taken while it was open, but for the end of its journal, which has at least the last commit. */
static void take_cut_copy(int number)
{
	struct anchor *anchor;
	struct store *store;
	struct stat st;

	fixture_must(try_anchored(&store, &anchor) == 0);
	change(store);
	change(store);
	fixture_settle(store);
	copy_store(fixture->store, copy_path(number), true);
	store_close(store);
	anchor_close(anchor);
	fixture_must(stat(journal_of(copy_path(number)), &st) == 0 && st.st_size > 0);
	fixture_must(truncate(journal_of(copy_path(number)), st.st_size - 1 - (off_t)fixture_random(&seed, (uint64_t)st.st_size)) == 0);
	figures.cut++;
}

static void put_back(const char *copy)
{
	size_t size;
	uint8_t *anchor = fixture_read(anchor_path, &size);
	int r;

	copy_store(copy, fixture->store, true);
	figures.opened_alone += opens_without();
	copy_store(copy, fixture->store, true);
	r = opens();
	figures.copies++;
	if (r == -ESTALE)
		figures.refused++;
	else
		printf("# a copy was not refused: %d\n", r);
	figures.untouched += anchor_is(anchor, size);
	free(anchor);
}

static void older_copies(void)
{
	const char *newest;

	unlink(fixture->store);
	unlink(anchor_path);
	fixture_make(fixture);
	change_some();
	for (int i = 0; i < COPIES - 1; i++)
		take_copy(i);
	take_cut_copy(COPIES - 1);
	newest = fixture_path(fixture, "newest");
	copy_store(fixture->store, newest, true);
	for (int i = 0; i < COPIES; i++) {
		put_back(copy_path(i));
		copy_store(newest, fixture->store, true);
		figures.newest++;
		figures.newest_opened += opens() == 0;
	}
}

/* --- what else the anchor refuses */

static uint64_t generation_now(void)
{
	struct store_status status;
	struct store *store = fixture_open(fixture, 1, 0);

	store_get_status(store, &status);
	store_close(store);
	return status.generation;
}

static int accept(struct store_accepted *ret_accepted)
{
	struct store_options options = {.value_bytes = STORE_VALUE_BYTES_DEFAULT, .history = 1, .anchor_later = true};
	struct store *store = NULL;
	int r;

	fixture_must(anchor_open(anchor_path, false, &options.anchor) == 0);
	r = store_open(fixture->store, fixture->key, &options, &store);
	if (r == 0)
		r = store_accept(store, ret_accepted);
	if (r == 0) /* it goes on as any store with an anchor */
		change(store);
	store_close(store);
	anchor_close(options.anchor);
	return r;
}

static void fresh(void)
{
	unlink(fixture->store);
	unlink(anchor_path);
	fixture_make(fixture);
	change_some();
}

static void accepted_rollbacks(void)
{
	const char *older = fixture_path(fixture, "older"), *newer = fixture_path(fixture, "newer");
	struct store_accepted accepted = {0};
	uint64_t was;

	fresh();
	copy_store(fixture->store, older, true);
	change_some();
	was = generation_now();
	check(accept(&accepted) == 0 && !accepted.refused && accepted.known == was && opens() == 0, "there may be nothing to accept");
	copy_store(fixture->store, newer, true);
	was = generation_now();
	copy_store(older, fixture->store, true);
	check(opens() == -ESTALE && accept(&accepted) == 0 && accepted.refused && accepted.known == was &&
		      accepted.generation > was + 1 && opens() == 0,
	      "an older copy is accepted, and then is the newest");
	copy_store(older, fixture->store, true);
	check(opens() == -ESTALE, "it itself is old now");
	copy_store(newer, fixture->store, true);
	check(opens() == -ESTALE, "and what was given up is not opened any more");
	{
		struct store *store = fixture_open(fixture, 1, 0);

		change(store); /* as if killed before the anchor heard of it */
		store_close(store);
	}
	check(opens() == -ESTALE, "nor with the commit that the anchor had not heard of");
}

static void another_history(void)
{
	const char *base = fixture_path(fixture, "base");
	struct store_accepted accepted;
	struct store_status status;
	struct store *store;
	uint64_t was;

	fresh();
	copy_store(fixture->store, base, true);
	change_some();
	change_some(); /* by now nothing is left to be pruned */
	was = generation_now();
	copy_store(base, fixture->store, true);
	store = fixture_open(fixture, UINT32_MAX, 0); /* by somebody with the key, without the anchor */
	for (store_get_status(store, &status); status.generation < was; store_get_status(store, &status))
		change(store);
	store_close(store);
	check(status.generation == was && opens() == -ESTALE, "another history of the same generation is refused");
	check(accept(&accepted) == 0 && accepted.refused && opens() == 0, "and can be accepted");
}

static void other_anchors(void)
{
	const char *key_file = fixture_path(fixture, "key"), *link = fixture_path(fixture, "link");
	struct anchor *anchor = NULL;
	struct store_accepted accepted;
	char first[300];
	size_t size;
	uint8_t *kept;
	int r;

	fresh();
	kept = fixture_read(anchor_path, &size);
	snprintf(first, sizeof(first), "%s", fixture_path(fixture, "first"));
	copy_store(fixture->store, first, true);
	unlink(fixture->store);
	fixture_make(fixture);
	check(opens() == -ESTALE && anchor_is(kept, size), "the anchor of another store");
	check(accept(&accepted) == 0 && accepted.refused && accepted.known == 0 && opens() == 0, "can be had to know this one");
	copy_store(first, fixture->store, true);
	check(opens() == -ESTALE, "and then not the other");
	free(kept);
	fixture_write(key_file, fixture->key->bytes, CRYPTO_KEY_BYTES, 0600);
	check(opens_with(key_file, false) == -EINVAL && opens_with(fixture->store, false) == -EINVAL && opens_without(),
	      "what is no anchor is not taken for one");
	snprintf(first, sizeof(first), "%s", anchor_path);
	snprintf(anchor_path, sizeof(anchor_path), "%s", key_file);
	check(accept(&accepted) == -EINVAL, "nor overwritten, whatever is accepted");
	snprintf(anchor_path, sizeof(anchor_path), "%s", first);
	fixture_must(symlink(anchor_path, link) == 0);
	check(opens_with(link, false) == -ELOOP && opens_with(fixture->folder, false) < 0, "a link or a folder is none");
	fixture_must(unlink(link) == 0 && mkfifo(link, 0600) == 0);
	check(opens_with(link, false) == -EINVAL, "nor a pipe");
	check(opens_with(fixture_path(fixture, "none/anchor"), false) == -ENOENT, "none is made where there is no folder");
	fixture_must(chmod(anchor_path, 0620) == 0);
	check(opens() == -EPERM, "nor one that others may write to");
	fixture_must(chmod(anchor_path, 0600) == 0);
	if (geteuid() == 0) {
		fixture_must(chown(anchor_path, 1000, 1000) == 0);
		check(opens() == -EPERM, "nor another user's");
		fixture_must(chown(anchor_path, 0, 0) == 0 && chmod(anchor_path, 0644) == 0 && chmod(fixture->folder, 0711) == 0);
		fixture_must(seteuid(1000) == 0);
		r = anchor_open(anchor_path, true, &anchor);
		fixture_must(seteuid(0) == 0 && chmod(anchor_path, 0600) == 0 && chmod(fixture->folder, 0700) == 0);
		check(r == 0, "but root's, whom nobody keeps from anything");
		anchor_close(anchor);
	}
}

/* Every byte of both slots, each with another bit. */
static void damaged_anchors(void)
{
	struct store_accepted accepted;
	unsigned one = 0, both = 0;
	uint8_t *kept;
	size_t size;

	unlink(fixture->store);
	unlink(anchor_path);
	fixture_make(fixture);
	fixture_must(opens() == 0);
	kept = fixture_read(anchor_path, &size);
	check(size == ANCHOR_BYTES && memcmp(kept, kept + ANCHOR_SECOND_AT, ANCHOR_SLOT_BYTES) == 0, "the first use writes both slots");
	free(kept);
	fresh();
	kept = fixture_read(anchor_path, &size);
	fixture_must(size == ANCHOR_BYTES);
	for (size_t at = 0; at < ANCHOR_SLOT_BYTES; at++) {
		uint8_t *changed = malloc(size);

		memcpy(changed, kept, size);
		changed[at] ^= (uint8_t)(1 << at % 8);
		fixture_write(anchor_path, changed, size, 0600);
		one += opens() == 0;
		memcpy(changed, kept, size);
		changed[at] ^= (uint8_t)(1 << at % 8);
		changed[at + ANCHOR_SECOND_AT] ^= (uint8_t)(1 << at % 8);
		fixture_write(anchor_path, changed, size, 0600);
		both += opens() < 0;
		free(changed);
	}
	check(one == ANCHOR_SLOT_BYTES, "a slot that is damaged is made anew from the other");
	check(both == ANCHOR_SLOT_BYTES, "if both are, the store is refused");
	check(opens() == -ESTALE && accept(&accepted) == 0 && accepted.refused && opens() == 0, "until it is accepted");
	free(kept);
}

static void rekeyed(void)
{
	const char *before = fixture_path(fixture, "before"), *after = fixture_path(fixture, "after");
	struct store_accepted accepted;
	struct anchor *anchor;

	fresh();
	copy_store(fixture->store, before, true);
	fixture_must(anchor_open(anchor_path, false, &anchor) == 0);
	check(store_rekey(fixture->store, fixture->key, fixture->key, anchor, NULL, NULL) == 0, "a rekey with the anchor");
	anchor_close(anchor);
	copy_store(fixture->store, after, true);
	copy_store(before, fixture->store, true);
	check(opens() == -ESTALE, "it refuses at once what was before");
	copy_store(after, fixture->store, true);
	check(opens() == 0, "and knows the store");
	copy_store(before, fixture->store, true);
	check(store_rekey(fixture->store, fixture->key, fixture->key, NULL, NULL, NULL) == 0 && opens() == -ESTALE,
	      "also if that is rekeyed");
	check(accept(&accepted) == 0 && accepted.refused && opens() == 0, "unless it is accepted");
	copy_store(after, fixture->store, true);
	check(opens() == -ESTALE, "which gives up the first");
	fresh();
	check(store_rekey(fixture->store, fixture->key, fixture->key, NULL, NULL, NULL) == 0 && opens() == -ESTALE,
	      "rekeyed without the anchor: that can't tell");
	copy_store(before, fixture->store, true);
	fixture_must(anchor_open(anchor_path, false, &anchor) == 0);
	check(store_rekey(fixture->store, fixture->key, fixture->key, anchor, NULL, NULL) == -ESTALE, "a rekey checks, too");
	anchor_close(anchor);
}

static void read_only(void)
{
	const char *older = fixture_path(fixture, "older");
	size_t size;
	uint8_t *kept;

	fresh();
	copy_store(fixture->store, older, true);
	kept = fixture_read(anchor_path, &size);
	check(opens_with(anchor_path, true) == 0, "an anchor that is not written to");
	{
		struct store *store = fixture_open(fixture, 1, 0);

		change(store);
		store_close(store);
	}
	check(opens_with(anchor_path, true) == 0 && anchor_is(kept, size), "also of a newer store");
	free(kept);
	change_some();
	copy_store(older, fixture->store, true);
	check(opens_with(anchor_path, true) == -ESTALE, "refuses an older copy");
	check(opens_with(fixture_path(fixture, "none"), true) == -ENOENT, "must be there");
	fixture_write(fixture_path(fixture, "empty"), "", 0, 0600);
	check(opens_with(fixture_path(fixture, "empty"), true) == -ESTALE, "and not be empty");
}

int main(int argc, char **argv)
{
	unsigned rounds = getenv("HUSH_SOAK") ? 100 : 10, count;
	uint64_t first;
	void *holder;

	fixture_in_memory();
	fixture_init();
	first = seed = fixture_seed(argc, argv);
	fixture_setup(&holder);
	fixture = holder;
	snprintf(anchor_path, sizeof(anchor_path), "%s", fixture_path(fixture, "anchor"));

	for (unsigned i = 0; i < rounds; i++)
		older_copies();
	count = rounds * COPIES;
	check(figures.refused == count && figures.copies == count, "each older copy is refused");
	check(figures.opened_alone == count, "each opens without the anchor");
	check(figures.untouched == count, "none has changed the anchor");
	check(figures.newest_opened == figures.newest, "the newest always opens");
	printf("# figures older_copies=%u (closed=%u with_journal=%u without_it=%u journal_cut=%u) refused=%u newest=%u"
	       " false_alarms=%u seed=%" PRIu64 "\n",
	       figures.copies, figures.closed, figures.open, figures.without_journal, figures.cut, figures.refused, figures.newest,
	       figures.newest - figures.newest_opened, first);
	accepted_rollbacks();
	another_history();
	other_anchors();
	damaged_anchors();
	rekeyed();
	read_only();
	fixture_teardown(&holder);
	secmem_deinit();
	return check_done();
}
