/* SPDX-License-Identifier: Apache-2.0
 * test_bitflip: one bit of a store's file flipped, at random places: it is refused, or all that it serves is right.
 *
 * Arguments: how many flips (2000), a seed (random; printed). Half of them go to a closed store's file, half to a
 * file with a leftover journal, taken while the store was open. SQLite takes a journal up to the first frame whose
 * checksum is wrong, so a flip there can bring back an earlier commit, as a crash does; what is served must then
 * be that commit's state to the letter, which the store's generation names.
 * The keys are a key file's, so that no Argon2id runs.
 */
#include "tests/unit/fixture.h"

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SECRETS = 30, STATES = 200 };

/* What a secret's value is made of; its bytes follow from it. */
struct value {
	bool exists;
	uint64_t seed;
	size_t size;
};

/* After each commit, what there is. */
static struct state {
	uint64_t generation;
	struct value values[SECRETS];
} states[STATES];
static size_t n_states;

static struct figures {
	unsigned flips, refused, whole, earlier, wrong;
} figures;

static struct name name_of(int number)
{
	char text[20];

	snprintf(text, sizeof(text), "secret-%d", number);
	return number % 4 == 3 ? fixture_global(text) : fixture_secret(number % 4 ? "default" : "other", text);
}

/* The generation that the next commit takes: when nothing is left to be pruned, no other comes between. */
static uint64_t next_generation(struct store *store)
{
	struct store_status status;

	fixture_settle(store);
	store_get_status(store, &status);
	return status.generation + 1;
}

static void note_state(uint64_t generation, const struct state *state)
{
	fixture_must(n_states < STATES);
	states[n_states] = *state;
	states[n_states++].generation = generation;
}

static void change(struct store *store, struct state *state, int number, uint64_t *seed)
{
	struct value *value = &state->values[number];
	uint64_t generation = next_generation(store);
	struct store_status status;
	uint8_t *bytes;

	if (value->exists && fixture_random(seed, 8) == 0) {
		fixture_must(fixture_do(store, STORE_REMOVE, name_of(number), NULL, 0, NULL) == 0);
		value->exists = false;
	} else {
		/* sizes of all magnitudes, up to 32 KiB */
		value->size = fixture_random(seed, (uint64_t)1 << (1 + fixture_random(seed, 15)));
		value->seed = fixture_random(seed, UINT64_MAX);
		value->exists = true;
		bytes = malloc(value->size + 1);
		fixture_fill(bytes, value->size, value->seed);
		fixture_must(fixture_do(store, STORE_PUT, name_of(number), bytes, value->size, NULL) == 0);
		free(bytes);
	}
	store_get_status(store, &status);
	note_state(status.generation < generation ? status.generation : generation, state); /* the same bytes are no commit */
}

/* A commit that only removes versions which nobody needs has a generation of its own, and changes nothing. */
static const struct state *state_of(uint64_t generation)
{
	for (size_t i = n_states; i-- > 0;)
		if (states[i].generation <= generation)
			return &states[i];
	return NULL;
}

/* Compare all that an opened store serves; say what is not right. */
static bool check(struct store *store, bool *ret_earlier)
{
	size_t secrets = 0, globals = 0;
	const struct state *state;
	struct store_status status;
	bool right = true;

	store_get_status(store, &status);
	state = state_of(status.generation);
	if (!state) {
		printf("# generation %" PRIu64 " never was\n", status.generation);
		return false;
	}
	*ret_earlier = state != &states[n_states - 1];
	for (int i = 0; i < SECRETS; i++) {
		const struct value *expected = &state->values[i];
		SECBUF_AUTO value = {0};
		struct name name = name_of(i);
		uint64_t node = store_node(store, &name), generation;
		uint8_t *bytes;
		int r;

		r = store_pin(store, node, &generation);
		if (r < 0 || !expected->exists) {
			if ((r == 0) != expected->exists) {
				printf("# %s %s\n", name.name, r ? "is gone" : "came back");
				right = false;
			}
			continue;
		}
		secrets += name.kind == NAME_SECRET;
		globals += name.kind == NAME_GLOBAL_SECRET;
		r = store_read(store, node, generation, &value);
		bytes = malloc(expected->size + 1);
		fixture_fill(bytes, expected->size, expected->seed);
		if (r < 0 || value.size != expected->size ||
		    (value.size && memcmp(value.data, bytes, value.size) != 0)) {
			printf("# %s: %d, %zu bytes instead of %zu\n", name.name, r, value.size, expected->size);
			right = false;
		}
		free(bytes);
	}
	if (status.secrets != secrets || status.global_secrets != globals || status.meshes != 2) {
		printf("# %zu secrets, %zu globals, %zu meshes\n", status.secrets, status.global_secrets,
		       status.meshes);
		right = false;
	}
	return right;
}

static void flip_in(const char *path, size_t bit)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);
	uint8_t byte;

	fixture_must(fd >= 0);
	fixture_must(pread(fd, &byte, 1, (off_t)(bit / 8)) == 1);
	byte ^= (uint8_t)(1 << bit % 8);
	fixture_must(pwrite(fd, &byte, 1, (off_t)(bit / 8)) == 1);
	close(fd);
}

static size_t size_of(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 ? (size_t)st.st_size : 0;
}

/* Open @path, count what came of it. */
static void try_open(const struct fixture *fixture, const char *path, size_t at)
{
	bool earlier = false;
	struct store *store;

	if (fixture_try(fixture, path, &store) < 0) {
		figures.refused++;
		return;
	}
	if (!check(store, &earlier)) {
		printf("# wrong after flipping bit %zu of byte %zu\n", at % 8, at / 8);
		figures.wrong++;
	} else if (earlier) {
		figures.earlier++;
	} else {
		figures.whole++;
	}
	store_close(store);
}

/* @n flips of copies of @base, and of its journal if it has one. */
static void flip_many(const struct fixture *fixture, const char *base, unsigned n, uint64_t *seed)
{
	char copy[300], copy_wal[310], base_wal[310];
	size_t bytes, wal_bytes;

	snprintf(copy, sizeof(copy), "%s/copy", fixture->folder);
	snprintf(copy_wal, sizeof(copy_wal), "%s-wal", copy);
	snprintf(base_wal, sizeof(base_wal), "%s-wal", base);
	bytes = size_of(base);
	wal_bytes = size_of(base_wal);
	for (unsigned i = 0; i < n; i++) {
		size_t bit = fixture_random(seed, (bytes + wal_bytes) * 8);

		unlink(copy_wal);
		fixture_copy(base, copy);
		if (wal_bytes)
			fixture_copy(base_wal, copy_wal);
		if (bit < bytes * 8)
			flip_in(copy, bit);
		else
			flip_in(copy_wal, bit - bytes * 8);
		figures.flips++;
		try_open(fixture, copy, bit);
	}
	unlink(copy_wal);
	unlink(copy);
}

/* Unchanged, it must open and hold the last state: or the flips would show nothing. */
static bool opens_unchanged(const struct fixture *fixture, const char *base)
{
	struct figures before = figures;
	bool whole;

	try_open(fixture, base, 0);
	whole = figures.whole == before.whole + 1;
	figures = before;
	return whole;
}

static void report(int number, const char *what, uint64_t seed)
{
	printf("%s %d - %s\n", figures.wrong ? "not ok" : "ok", number, what);
	printf("# figures flips=%u refused=%u whole=%u earlier_commit=%u wrong=%u seed=%" PRIu64 "\n",
	       figures.flips, figures.refused, figures.whole, figures.earlier, figures.wrong, seed);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	unsigned count = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 0) : 2000, wrong = 0;
	uint64_t seed, first_seed;
	char closed[300], leftover[300], from[310], to[310];
	struct state state = {0};
	struct fixture *fixture;
	struct store *store;
	void *holder;

	fixture_init();
	crypto_random(&seed, sizeof(seed));
	if (argc > 2)
		seed = strtoull(argv[2], NULL, 0);
	first_seed = seed;
	printf("1..4\n# count=%u seed=%" PRIu64 "\n", count, seed);
	fixture_setup(&holder);
	fixture = holder;
	snprintf(closed, sizeof(closed), "%s/closed", fixture->folder);
	snprintf(leftover, sizeof(leftover), "%s/leftover", fixture->folder);

	fixture_make(fixture);
	store = fixture_open(fixture, 2, 0);
	note_state(next_generation(store) - 1, &state);
	fixture_must(fixture_do(store, STORE_PUT, fixture_mesh("other"), "type: Mesh\nname: other\n", 23, NULL) == 0);
	for (int i = 0; i < SECRETS; i++)
		change(store, &state, i, &seed);
	for (int i = 0; i < SECRETS; i++)
		change(store, &state, (int)fixture_random(&seed, SECRETS), &seed);
	fixture_settle(store);
	store_close(store);
	fixture_copy(fixture->store, closed);
	printf("%s 1 - a closed store opens unchanged\n", opens_unchanged(fixture, closed) ? "ok" : (wrong++, "not ok"));
	fixture_copy(fixture->store, closed); /* opening may have written to it */
	flip_many(fixture, closed, count / 2, &seed);
	report(2, "a bit flipped in a closed store", first_seed);
	wrong += figures.wrong;

	/* Copied while it is open and at rest: what a power cut would leave. Reading the file here lets go of SQLite's
	 * lock, which nobody else wants. */
	figures = (struct figures){0};
	store = fixture_open(fixture, 2, 0);
	for (int i = 0; i < SECRETS; i++)
		change(store, &state, (int)fixture_random(&seed, SECRETS), &seed);
	fixture_settle(store);
	fixture_copy(fixture->store, leftover);
	snprintf(from, sizeof(from), "%s-wal", fixture->store);
	snprintf(to, sizeof(to), "%s-wal", leftover);
	fixture_copy(from, to);
	store_close(store);
	fixture_must(size_of(to) > 4096);
	snprintf(from, sizeof(from), "%s/kept", fixture->folder);
	fixture_copy(leftover, from);
	snprintf(from, sizeof(from), "%s/kept-wal", fixture->folder);
	fixture_copy(to, from);
	printf("%s 3 - a store with a leftover journal opens unchanged\n",
	       opens_unchanged(fixture, leftover) ? "ok" : (wrong++, "not ok"));
	snprintf(leftover, sizeof(leftover), "%s/kept", fixture->folder);
	flip_many(fixture, leftover, count - count / 2, &seed);
	report(4, "a bit flipped in a store with a leftover journal", first_seed);
	wrong += figures.wrong;

	fixture_teardown(&holder);
	secmem_deinit();
	return wrong ? 1 : 0;
}
