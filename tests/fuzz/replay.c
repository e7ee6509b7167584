/* SPDX-License-Identifier: Apache-2.0
 * replay: a target without libFuzzer, for make test. Every file of its corpus, then random mutations of them: others each time, as long as
 * REPLAY_SECONDS; in a build without sanitizers, which sees less, REPLAY_MUTATIONS are enough.
 *
 * What is run is written beside the program first, to test_fuzz_NAME.input. A target that fails ends the program, which leaves it there;
 * "test_fuzz_NAME FILE" runs one input. Which corpus it is follows from the program's name: test_fuzz_NAME has tests/fuzz/corpus/NAME, seen from
 * where it is run, which is the top of the tree.
 */
#include "tests/fuzz/fuzz.h"

#include "tests/unit/fixture.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#define FILES_MAX 1000
#define GROWTH_BYTES 4096
#define HANGS_SECONDS 60 /* one input */

#ifdef __SANITIZE_ADDRESS__
#define REPLAY_SECONDS 20
#define REPLAY_MUTATIONS UINT64_MAX
#else
#define REPLAY_SECONDS 5
#define REPLAY_MUTATIONS 5000
#endif

struct input {
	uint8_t *data;
	size_t size;
};

struct corpus {
	struct input inputs[FILES_MAX];
	size_t n;
	size_t longest;
};

static int kept_fd; /* what is run */

/* On a copy of exactly that size, so that a sanitizer sees what is read beyond. */
static void run(const uint8_t *data, size_t size)
{
	uint8_t *copy = malloc(size ? size : 1);

	fixture_must(copy);
	if (size)
		memcpy(copy, data, size);
	fixture_must(ftruncate(kept_fd, (off_t)size) == 0 && pwrite(kept_fd, data, size, 0) == (ssize_t)size);
	alarm(HANGS_SECONDS);
	LLVMFuzzerTestOneInput(copy, size);
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
	time_t begin = time(NULL);
	uint64_t seed, n = 0;

	fixture_must(data);
	fixture_must(getrandom(&seed, sizeof(seed), 0) == sizeof(seed));
	for (; n < REPLAY_MUTATIONS && time(NULL) < begin + REPLAY_SECONDS; n++) {
		const struct input *input = &corpus->inputs[n % corpus->n];
		size_t size = input->size;

		memcpy(data, input->data, size);
		for (uint64_t changes = 1 + fixture_random(&seed, 8); changes; changes--)
			size = mutate(corpus, &seed, data, size);
		run(data, size);
	}
	free(data);
	printf("ok %zu - mutations\n# %" PRIu64 " mutations of %zu files in %ld s\n", corpus->n + 1, n, corpus->n,
	       (long)(time(NULL) - begin));
}

static int run_one(const char *path)
{
	size_t size;
	uint8_t *data = fixture_read(path, &size);

	run(data, size);
	free(data);
	printf("ok 1 - %s\n1..1\n", path);
	return 0;
}

int main(int argc, char **argv)
{
	static struct corpus corpus;
	const char *name = argc <= 2 ? strstr(argv[0], "test_fuzz_") : NULL;
	char folder[512], kept[PATH_MAX];

	fixture_must(name);
	setvbuf(stdout, NULL, _IOLBF, 0); /* so that it is written when the program is ended */
	snprintf(folder, sizeof(folder), "tests/fuzz/corpus/%s", name + strlen("test_fuzz_"));
	snprintf(kept, sizeof(kept), "%s.input", argv[0]);
	kept_fd = argc == 1 ? open(kept, O_RDWR | O_CREAT | O_CLOEXEC, 0600) : open("/tmp", O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);
	fixture_must(kept_fd >= 0);
	if (argc == 2)
		return run_one(argv[1]);
	printf("an input that fails is left in %s\n", kept);
	replay_files(&corpus, folder);
	replay_mutations(&corpus);
	for (size_t i = 0; i < corpus.n; i++)
		free(corpus.inputs[i].data);
	unlink(kept);
	printf("1..%zu\n", corpus.n + 1);
	return 0;
}
