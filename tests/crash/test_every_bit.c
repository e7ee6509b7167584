/* SPDX-License-Identifier: Apache-2.0
 * test_every_bit: a small store, its journal and its anchor, with each bit flipped and cut at each length, one at a time.
 *
 * It is refused, or serves exactly the newest state: with an anchor nothing else can be right, also when a journal
 * loses its end. Two children share the work; one that crashes is counted, and another goes on after that place.
 *
 * All bits and all lengths with HUSH_SOAK=1. Otherwise one bit of each byte that is used, another each time, and of every
 * 16th byte that isn't: of zeros in a row, outside of the header, which are the free space of pages and between the slots of an
 * anchor. Of lengths every 64th, and those near a page's or a frame's end. Argument: a seed.
 */
#include "store/anchor.h"
#include "store/header.h"
#include "tests/crash/children.h"
#include "tests/crash/tap.h"
#include "tests/unit/fixture.h"

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

enum { ARENA_BYTES = 4 * 1024 * 1024, FREE_RUN = 48, FREE_STEP = 16, LENGTH_STEP = 64, PAGE = 4096, FRAME = PAGE + 24 };

enum part { MAIN, WAL, ANCHOR, PARTS };

/* A state on disk: the bytes of its files. */
struct image {
	uint8_t *bytes[PARTS]; /* owned */
	size_t size[PARTS];
};

/* One change of one file. */
struct change {
	bool cut; /* to @at bytes; else bit @at is flipped */
	size_t at;
};

struct work {
	const struct image *image;
	enum part part;
	const struct change *changes;
	size_t n;
};

/* In memory that children share with us. */
static struct figures {
	unsigned tried, refused, served, wrong;
} * figures;

static bool soak;
static uint64_t seed;
static struct fixture *fixture;
static uint8_t key_bytes[CRYPTO_KEY_BYTES];

static const char value[] = "the newest value";

/* --- the store */

static int open_at(const char *path, const char *anchor_path, const struct key *opener, struct store **ret_store, struct anchor **ret_anchor)
{
	struct store_options options = {.value_bytes = STORE_VALUE_BYTES_DEFAULT};
	int r = anchor_open(anchor_path, false, ret_anchor);

	if (r < 0)
		return r;
	options.anchor = *ret_anchor;
	r = store_open(path, opener, &options, ret_store);
	if (r < 0)
		*ret_anchor = anchor_close(*ret_anchor);
	return r;
}

static uint64_t newest_generation;

/* Exactly the newest state. */
static bool is_newest(struct store *store)
{
	const struct name names[] = {fixture_global("g"), fixture_mesh("default")};
	const char *values[] = {value, "type: Mesh\nname: default\n"};
	struct store_status status;
	struct store_info info;
	bool right = true;

	store_get_status(store, &status);
	for (int i = 0; i < 2; i++) {
		uint64_t node = store_node(store, &names[i]), generation;
		SECBUF_AUTO read = {0};
		int r;

		if (store_look(store, node, &info) < 0 || store_pin(store, node, &generation) < 0)
			return false;
		r = store_read(store, node, generation, &read);
		store_unpin(store, node, generation);
		right = right && r == 0 && read.size == strlen(values[i]) && memcmp(read.data, values[i], read.size) == 0;
		right = right && info.record.inodes[RECORD_SELF].mode == (i ? 0755 : 0600) && name_equal(&info.record.name, &names[i]);
	}
	return right && status.meshes == 1 && status.secrets == 0 && status.global_secrets == 1 && status.generation == newest_generation;
}

static void image_read(struct image *image, enum part part, const char *path)
{
	image->bytes[part] = fixture_read(path, &image->size[part]);
}

static void image_free(struct image *image)
{
	for (int i = 0; i < PARTS; i++)
		free(image->bytes[i]);
}

static void put(struct store *store, const char *bytes)
{
	fixture_must(fixture_do(store, STORE_PUT, fixture_global("g"), bytes, strlen(bytes), NULL) == 0);
}

/* The smallest store that has a secret, closed; and the same with its last commits in the journal, as a kill leaves it. */
static void make(struct image *ret_closed, struct image *ret_open)
{
	char path[300], anchor_path[300], journal[310];
	struct store_status status;
	struct anchor *anchor;
	struct store *store;

	snprintf(path, sizeof(path), "%s", fixture->store);
	snprintf(journal, sizeof(journal), "%s-wal", path);
	snprintf(anchor_path, sizeof(anchor_path), "%s", fixture_path(fixture, "anchor"));
	fixture_make(fixture);
	fixture_must(open_at(path, anchor_path, fixture->key, &store, &anchor) == 0);
	put(store, "an older value");
	fixture_settle(store);
	store_close(store);
	anchor_close(anchor);
	fixture_must(open_at(path, anchor_path, fixture->key, &store, &anchor) == 0);
	put(store, value);
	fixture_settle(store);
	store_get_status(store, &status);
	newest_generation = status.generation;
	image_read(ret_open, MAIN, path);
	image_read(ret_open, WAL, journal);
	image_read(ret_open, ANCHOR, anchor_path);
	store_close(store);
	anchor_close(anchor);
	image_read(ret_closed, MAIN, path);
	image_read(ret_closed, ANCHOR, anchor_path);
	fixture_must(ret_open->size[WAL] > FRAME && access(journal, F_OK) < 0);
}

/* --- what is changed */

/* Where the header's row is: its free key slots are zeros that count. */
static size_t header_at(const uint8_t *bytes, size_t size)
{
	const uint8_t *found = memmem(bytes, size, "HUSHSTOR", 8);

	return found ? (size_t)(found - bytes) : SIZE_MAX;
}

static bool is_free(const uint8_t *bytes, size_t size, size_t at)
{
	size_t header = header_at(bytes, size), first = at, last = at;

	if (bytes[at] || (header != SIZE_MAX && at >= header && at < header + HEADER_BYTES))
		return false;
	while (first > 0 && !bytes[first - 1] && last - first < FREE_RUN)
		first--;
	while (last + 1 < size && !bytes[last + 1] && last - first < FREE_RUN)
		last++;
	return last - first + 1 >= FREE_RUN;
}

/* @ret_used: how many of them are in bytes that are used. */
static struct change *all_flips(const uint8_t *bytes, size_t size, size_t *ret_n, size_t *ret_used)
{
	struct change *changes = calloc(size * 8, sizeof(*changes));
	size_t n = 0, free = 0;

	fixture_must(changes);
	for (size_t at = 0; at < size; at++) {
		size_t was = n, unused = is_free(bytes, size, at);

		if (soak)
			for (size_t bit = 0; bit < 8; bit++)
				changes[n++].at = 8 * at + bit;
		else if (!unused || fixture_random(&seed, FREE_STEP) == 0)
			changes[n++].at = 8 * at + fixture_random(&seed, 8);
		free += unused ? n - was : 0;
	}
	*ret_n = n;
	*ret_used = n - free;
	return changes;
}

static struct change *all_lengths(size_t size, size_t *ret_n)
{
	struct change *changes = calloc(size, sizeof(*changes));
	size_t n = 0;

	fixture_must(changes);
	for (size_t length = 0; length < size; length++) {
		bool near = (length + 1) % PAGE <= 2 || (length + 1) % FRAME <= 2 || length % FRAME == 32 || size - length <= 2;

		if (soak || near || fixture_random(&seed, LENGTH_STEP) == 0)
			changes[n++] = (struct change){.cut = true, .at = length};
	}
	*ret_n = n;
	return changes;
}

/* --- trying */

static void write_file(const char *path, const uint8_t *bytes, size_t size)
{
	if (bytes)
		fixture_write(path, bytes, size, 0600);
	else
		unlink(path);
}

/* What a child has of its own. */
static char paths[PARTS][300];
static struct key *key;

static void try_change(const struct work *work, const struct change *change, struct figures *mine)
{
	struct anchor *anchor;
	struct store *store;
	bool right;

	for (int i = 0; i < PARTS; i++) {
		uint8_t *bytes = work->image->bytes[i];
		size_t size = work->image->size[i];

		if (i == (int)work->part && change->cut)
			size = change->at;
		else if (i == (int)work->part)
			bytes[change->at / 8] ^= (uint8_t)(1 << change->at % 8);
		write_file(paths[i], bytes, size);
		if (i == (int)work->part && !change->cut)
			bytes[change->at / 8] ^= (uint8_t)(1 << change->at % 8);
	}
	mine->tried++;
	if (open_at(paths[MAIN], paths[ANCHOR], key, &store, &anchor) < 0) {
		mine->refused++;
		return;
	}
	right = is_newest(store);
	store_close(store);
	anchor_close(anchor);
	if (!right) {
		printf("# wrong: file %d %s %zu\n", (int)work->part, change->cut ? "cut to" : "with another bit", change->at);
		mine->wrong++;
	} else {
		mine->served++;
	}
}

static void child_begin(void *context, unsigned child)
{
	(void)context;
	fixture_must(secmem_init(ARENA_BYTES) >= 0);
	key = fixture_key();
	memcpy(key->bytes, key_bytes, sizeof(key_bytes));
	snprintf(paths[MAIN], sizeof(paths[MAIN]), "%s/tried-%u", fixture->folder, child);
	snprintf(paths[WAL], sizeof(paths[WAL]), "%s/tried-%u-wal", fixture->folder, child);
	snprintf(paths[ANCHOR], sizeof(paths[ANCHOR]), "%s/tried-anchor-%u", fixture->folder, child);
}

static void child_try(void *context, unsigned child, size_t number)
{
	const struct work *work = context;

	try_change(work, &work->changes[number], &figures[child]);
}

/* All of it; how many crashed. */
static unsigned run(struct work *work)
{
	const struct children_work children = {.n = work->n, .begin = child_begin, .piece = child_try, .context = work};

	memset(figures, 0, CHILDREN * sizeof(*figures));
	return children_run(&children);
}

/* Flips or cuts of one file. @least_refused: of 100 flips in bytes that are used, or of 100 cuts; so that the changes are known to be real. */
static void each(const char *what, const struct image *image, enum part part, bool cut, unsigned least_refused)
{
	struct work work = {.image = image, .part = part};
	struct figures sum = {0};
	unsigned crashes;
	size_t used = 0;
	char name[100];

	work.changes = cut ? all_lengths(image->size[part], &work.n) : all_flips(image->bytes[part], image->size[part], &work.n, &used);
	used = cut ? work.n : used;
	crashes = run(&work);
	for (int i = 0; i < CHILDREN; i++) {
		sum.tried += figures[i].tried;
		sum.refused += figures[i].refused;
		sum.served += figures[i].served;
		sum.wrong += figures[i].wrong;
	}
	printf("# figures %s: bytes=%zu %s=%u (%zu of what is used) refused=%u newest_served=%u wrong=%u crashes=%u\n", what, image->size[part],
	       cut ? "lengths" : "flips", sum.tried, used, sum.refused, sum.served, sum.wrong, crashes);
	snprintf(name, sizeof(name), "%s, %s: refused, or the newest is served", what, cut ? "cut" : "one bit changed");
	check(sum.wrong + crashes == 0 && sum.tried == work.n && sum.refused + sum.served == sum.tried &&
		      sum.refused * 100 >= used * least_refused,
	      name);
	free((void *)work.changes);
}

/* Unchanged, it must be served: or the rest would show nothing. */
static bool is_served(const struct image *image)
{
	const struct change none = {.cut = true, .at = image->size[MAIN]};
	struct work work = {.image = image, .part = MAIN, .changes = &none, .n = 1};

	return run(&work) == 0 && figures[0].served == 1;
}

int main(int argc, char **argv)
{
	struct image closed = {0}, open = {0};
	uint64_t first;
	void *holder;

	soak = getenv("HUSH_SOAK") != NULL;
	fixture_in_memory();
	fixture_init();
	first = seed = fixture_seed(argc, argv);
	figures = fixture_shared(CHILDREN * sizeof(*figures));
	fixture_setup(&holder);
	fixture = holder;
	memcpy(key_bytes, fixture->key->bytes, sizeof(key_bytes));
	make(&closed, &open);

	printf("# %s, seed=%" PRIu64 "\n", soak ? "all bits and lengths" : "a part of them", first);
	check(is_served(&closed) && is_served(&open), "as it was it is served, closed and with a journal");
	each("the store", &closed, MAIN, false, 90);
	each("its anchor", &closed, ANCHOR, false, 0);
	each("its journal", &open, WAL, false, 100);
	if (soak)
		each("the store beside its journal", &open, MAIN, false, 1); /* most of it is in the journal anew */
	each("the store", &closed, MAIN, true, 90);
	each("its anchor", &closed, ANCHOR, true, 90);
	each("its journal", &open, WAL, true, 90);
	image_free(&closed);
	image_free(&open);
	fixture_teardown(&holder);
	secmem_deinit();
	return check_done();
}
