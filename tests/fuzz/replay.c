/* SPDX-License-Identifier: Apache-2.0
 * replay: a target without libFuzzer, for make test. Every file of its corpus, then random mutations of them, the same
 * ones each time, for as many as there are or a few seconds.
 *
 * A target that fails ends the program; what was read last is then the last line. Which corpus it is follows from the
 * program's name: test_fuzz_NAME has tests/fuzz/corpus/NAME, seen from where it is run, which is the top of the tree.
 */
#include "tests/fuzz/fuzz.h"

#include "tests/unit/fixture.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define FILES_MAX 1000
#define MUTATIONS 20000
#define SECONDS_MAX 5
#define GROWTH_BYTES 4096

struct input {
	uint8_t *data;
	size_t size;
};

struct corpus {
	struct input inputs[FILES_MAX];
	size_t n;
	size_t longest;
};

/* On a copy of exactly that size, so that a sanitizer sees what is read beyond. */
static void run(const uint8_t *data, size_t size)
{
	uint8_t *copy = malloc(size ? size : 1);

	fixture_must(copy);
	if (size)
		memcpy(copy, data, size);
	fixture_must(LLVMFuzzerTestOneInput(copy, size) == 0);
	free(copy);
}

static void replay_files(struct corpus *corpus, const char *folder)
{
	struct dirent **entries;
	int n = scandir(folder, &entries, NULL, alphasort);

	fixture_must(n > 0);
	for (int i = 0; i < n; i++) {
		char path[1024];
		struct input *input = &corpus->inputs[corpus->n];

		if (entries[i]->d_name[0] != '.') {
			fixture_must(corpus->n < FILES_MAX);
			snprintf(path, sizeof(path), "%s/%s", folder, entries[i]->d_name);
			printf("reading %s\n", path);
			input->data = fixture_read(path, &input->size);
			run(input->data, input->size);
			corpus->longest = input->size > corpus->longest ? input->size : corpus->longest;
			printf("ok %zu - %s\n", ++corpus->n, entries[i]->d_name);
		}
		free(entries[i]);
	}
	free(entries);
}

/* A piece of one of the files. */
static const uint8_t *piece(const struct corpus *corpus, uint64_t *seed, size_t *ret_size)
{
	const struct input *input = &corpus->inputs[fixture_random(seed, corpus->n)];
	size_t at = input->size ? fixture_random(seed, input->size) : 0;

	*ret_size = fixture_random(seed, input->size - at + 1);
	return input->data + at;
}

/* One change: a byte, a piece taken out, a piece put in. @data has room for GROWTH_BYTES more; how long it is then. */
static size_t mutate(const struct corpus *corpus, uint64_t *seed, uint8_t *data, size_t size)
{
	size_t at = size ? fixture_random(seed, size) : 0, bytes;
	const uint8_t *source;

	switch (fixture_random(seed, 4)) {
	case 0:
		if (size)
			data[at] = (uint8_t)fixture_random(seed, 256);
		return size;
	case 1:
		if (size)
			data[at] ^= (uint8_t)(1 << fixture_random(seed, 8));
		return size;
	case 2:
		bytes = size ? fixture_random(seed, size - at + 1) % 16 : 0;
		memmove(data + at, data + at + bytes, size - at - bytes);
		return size - bytes;
	default:
		source = piece(corpus, seed, &bytes);
		bytes = bytes < 64 ? bytes : 64;
		memmove(data + at + bytes, data + at, size - at);
		memcpy(data + at, source, bytes);
		return size + bytes;
	}
}

static void replay_mutations(const struct corpus *corpus)
{
	uint8_t *data = malloc(corpus->longest + GROWTH_BYTES);
	time_t end = time(NULL) + SECONDS_MAX;
	uint64_t seed = 1;
	unsigned n = 0;

	fixture_must(data);
	for (; n < MUTATIONS && time(NULL) < end; n++) {
		const struct input *input = &corpus->inputs[n % corpus->n];
		size_t size = input->size;

		memcpy(data, input->data, size);
		for (uint64_t changes = 1 + fixture_random(&seed, 8); changes; changes--)
			size = mutate(corpus, &seed, data, size);
		if (n % 100 == 0)
			printf("mutations from %u\n", n);
		run(data, size);
	}
	free(data);
	printf("ok %zu - mutations\n# %u mutations of %zu files\n", corpus->n + 1, n, corpus->n);
}

int main(int argc, char **argv)
{
	static struct corpus corpus;
	const char *name = argc == 1 ? strstr(argv[0], "test_fuzz_") : NULL;
	char folder[512];

	fixture_must(name);
	setvbuf(stdout, NULL, _IOLBF, 0); /* so that it is written when the program is ended */
	snprintf(folder, sizeof(folder), "tests/fuzz/corpus/%s", name + strlen("test_fuzz_"));
	replay_files(&corpus, folder);
	replay_mutations(&corpus);
	for (size_t i = 0; i < corpus.n; i++)
		free(corpus.inputs[i].data);
	printf("1..%zu\n", corpus.n + 1);
	return 0;
}
