/* SPDX-License-Identifier: Apache-2.0
 * test_yaml_memory: libyaml's memory is the arena's, and nothing of a document outlives its stream.
 *
 * The process' own memory is searched for a word that stands in a document. The test has the word only in a form that
 * would not be found, and makes the document in memory that it wipes itself.
 */
#include "tests/unit/cmocka_all.h"

#include "store/crypto.h"
#include "store/secmem.h"
#include "store/yaml.h"
#include "store/yaml_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* libyaml's, in whose place stand those of store/yaml_memory.c */
void *yaml_malloc(size_t bytes);
void yaml_free(void *block);
void *yaml_realloc(void *block, size_t bytes);
unsigned char *yaml_strdup(const unsigned char *string);

#define ARENA_BYTES (8 * 1024 * 1024)
#define WORD_BYTES 24
#define HIDDEN 0x20 /* each byte of the hidden word, xor this, is a byte of the word */
#define READ_BYTES (64 * 1024)

static const char hidden_word[WORD_BYTES + 1] = "mARKERthatSTANDSnowhereA";

static int setup(void **state)
{
	(void)state;
	crypto_init();
	return secmem_init(ARENA_BYTES) < 0 ? -1 : 0;
}

static int teardown(void **state)
{
	(void)state;
	secmem_deinit();
	return 0;
}

static int check_empty(void **state)
{
	(void)state;
	return secmem_in_use() == 0 ? 0 : -1;
}

/* Where the word was found. */
struct found {
	unsigned in_arena, elsewhere;
};

static unsigned count_in(const uint8_t *bytes, size_t size)
{
	unsigned n = 0;

	for (size_t i = 0; i + WORD_BYTES <= size; i++) {
		size_t j = 0;

		while (j < WORD_BYTES && (bytes[i + j] ^ HIDDEN) == (uint8_t)hidden_word[j])
			j++;
		n += j == WORD_BYTES;
	}
	return n;
}

static unsigned count_in_range(int memory, uintptr_t start, uintptr_t end, uint8_t *buffer)
{
	unsigned n = 0;

	/* pieces overlap by a word less one byte */
	for (uintptr_t at = start; at < end; at += READ_BYTES - WORD_BYTES + 1) {
		size_t want = end - at < READ_BYTES ? end - at : READ_BYTES;
		ssize_t got = pread(memory, buffer, want, (off_t)at);

		if (got <= 0)
			break;
		n += count_in(buffer, (size_t)got);
		secmem_wipe(buffer, READ_BYTES);
	}
	return n;
}

/* Look for the word in all memory of this process that can be written. */
static struct found find_word(void)
{
	void *inside = secmem_alloc(1);
	uint8_t *buffer = malloc(READ_BYTES);
	FILE *maps = fopen("/proc/self/maps", "r");
	int memory = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
	struct found found = {0};
	uintptr_t start, end;
	char permissions[5], line[512];

	assert_non_null(inside);
	assert_non_null(buffer);
	assert_non_null(maps);
	assert_true(memory >= 0);
	while (fgets(line, sizeof(line), maps)) {
		bool is_arena;
		unsigned n;

		assert_int_equal(sscanf(line, "%" SCNxPTR "-%" SCNxPTR " %4s", &start, &end, permissions), 3);
		if (permissions[1] != 'w')
			continue;
		is_arena = (uintptr_t)inside >= start && (uintptr_t)inside < end;
		n = count_in_range(memory, start, end, buffer);
		*(is_arena ? &found.in_arena : &found.elsewhere) += n;
	}
	close(memory);
	fclose(maps);
	free(buffer);
	secmem_free(inside);
	return found;
}

/* A copy of @format with the word in place of its only @. The caller wipes and frees. */
static char *document_with_word(const char *format, size_t *ret_size)
{
	size_t before = strcspn(format, "@"), after = strlen(format) - before - 1;
	char *text = malloc(before + WORD_BYTES + after);

	assert_non_null(text);
	memcpy(text, format, before);
	for (size_t i = 0; i < WORD_BYTES; i++)
		text[before + i] = (char)(hidden_word[i] ^ HIDDEN);
	memcpy(text + before + WORD_BYTES, format + before + 1, after);
	*ret_size = before + WORD_BYTES + after;
	return text;
}

static void wipe_and_free(char *text, size_t size)
{
	secmem_wipe(text, size);
	free(text);
}

/* A sanitizer's own memory is too large to be searched. */
static bool is_sanitized(void)
{
	return getenv("HUSH_SAN") != NULL;
}

static void test_libyaml_is_in_the_arena(void **state)
{
	struct yaml_stream *stream;
	size_t before = secmem_in_use();

	(void)state;
	assert_int_equal(yaml_stream_new("a: b", 4, &stream), 0);
	/* what libyaml takes to begin with is 64 KiB of buffers alone */
	assert_true(secmem_in_use() - before > 64 * 1024);
	yaml_stream_free(stream);
	assert_int_equal(secmem_in_use(), before);
}

static void test_nothing_is_left(void **state)
{
	static const char *const formats[] = {
		"data: @\n---\nb: c\n", "data: \"@\"\n", "data: '@'\n", "data: |\n  @\n  and more\n",
		"data: >\n  @\n  @ and more\n", "@: x\n", "[a, {b: @}]\n", "- @\n- x\n",
	};

	(void)state;
	if (is_sanitized())
		return;
	for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
		struct yaml_stream *stream;
		struct yaml_error error;
		struct found found;
		size_t size;
		char *text = document_with_word(formats[i], &size);

		assert_true(find_word().elsewhere > 0); /* the text: it would be found */
		assert_int_equal(yaml_stream_new(text, size, &stream), 0);
		assert_int_equal(yaml_stream_next(stream, &error), 1);
		wipe_and_free(text, size); /* libyaml has read all of so small a text */
		found = find_word();
		assert_true(found.in_arena > 0);
		assert_int_equal(found.elsewhere, 0);
		yaml_stream_free(stream);
		found = find_word();
		assert_int_equal(found.in_arena + found.elsewhere, 0);
	}
}

static void test_nothing_is_left_of_what_was_refused(void **state)
{
	static const char *const formats[] = {
		"data: \"@", "data: '@", "data: [@\n", "data: *@\n", "data: &@ x\n", "data: !@ x\n",
		"@: a\nx: b\nx: c\n", "%@\n", "data: {@: [}", "data: |\n @\n\tx", "? [@]\n", "--- @\n--- !@x\n",
		"data: !<@ x", "%YAML 1.1\n%TAG ! @\n--- x\n",
	};

	(void)state;
	if (is_sanitized())
		return;
	for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
		struct yaml_stream *stream;
		struct yaml_error error;
		struct found found;
		size_t size;
		char *text = document_with_word(formats[i], &size);
		int r;

		assert_int_equal(yaml_stream_new(text, size, &stream), 0);
		while ((r = yaml_stream_next(stream, &error)) == 1)
			;
		assert_int_equal(r, -EINVAL);
		assert_int_equal(count_in((const uint8_t *)error.text, sizeof(error.text)), 0);
		wipe_and_free(text, size);
		yaml_stream_free(stream);
		found = find_word();
		assert_int_equal(found.in_arena + found.elsewhere, 0);
	}
}

/* A document is gone when the next one is read. */
static void test_the_document_before_is_gone(void **state)
{
	struct yaml_stream *stream;
	struct yaml_error error;
	size_t size;
	char *text;

	(void)state;
	if (is_sanitized())
		return;
	/* as much in between as libyaml has in its buffers; in the word's block 8 bytes in front, which a link overwrites */
	text = malloc(200 * 1024);
	assert_non_null(text);
	memset(text, '#', 200 * 1024);
	for (size_t i = 0; i < 200 * 1024; i += 64)
		text[i] = '\n';
	{
		char *start = document_with_word("data: 12345678@\n---\nb: c\n", &size);

		memcpy(text, start, size);
		wipe_and_free(start, size);
	}
	memcpy(text + 200 * 1024 - 10, "\n---\nb: c\n", 10);
	assert_int_equal(yaml_stream_new(text, 200 * 1024, &stream), 0);
	assert_int_equal(yaml_stream_next(stream, &error), 1);
	secmem_wipe(text, size);
	assert_int_equal(yaml_stream_next(stream, &error), 1);
	assert_int_equal(yaml_stream_next(stream, &error), 1);
	assert_int_equal(find_word().in_arena, 0);
	yaml_stream_free(stream);
	free(text);
}

/* Documents with many nodes, with a large scalar, with many keys. */
static size_t write_large(char *ret_text)
{
	char *at = ret_text;

	for (unsigned i = 0; i < 9000; i++)
		at += sprintf(at, "- abcdef\n");
	at += sprintf(at, "---\n\"");
	for (unsigned i = 0; i < 10000; i++)
		at += sprintf(at, "abcdefghij");
	at += sprintf(at, "\"\n---\n");
	for (unsigned i = 0; i < 4000; i++)
		at += sprintf(at, "key%04u: abcd\n", i);
	return (size_t)(at - ret_text);
}

/* As little room as there may be: it is an error, and all is given back. From none at all until it works. */
static void test_short_of_memory(void **state)
{
	static char text[300 * 1024];
	size_t size = write_large(text);
	bool works = false;
	unsigned failed = 0;

	(void)state;
	for (size_t room = 64; !works; room += 4096) {
		void *rest = secmem_alloc(ARENA_BYTES - 128 - room);
		struct yaml_stream *stream = NULL;
		struct yaml_error error;
		size_t before = secmem_in_use();
		int r = yaml_stream_new(text, size, &stream);

		assert_non_null(rest);
		while (r >= 0 && (r = yaml_stream_next(stream, &error)) == 1)
			;
		if (r == -ENOMEM && stream) /* and it stays so */
			assert_int_equal(yaml_stream_next(stream, &error), -ENOMEM);
		yaml_stream_free(stream);
		assert_int_equal(secmem_in_use(), before);
		secmem_free(rest);
		works = r == 0;
		failed += !works;
		if (!works)
			assert_int_equal(r, -ENOMEM);
	}
	assert_true(failed > 50);
}

static void *read_again_and_again(void *failed)
{
	static const char text[] = "a: \"one\"\nb: [c, d, {e: f}]\n---\n- |\n  lines\n  of text\n";
	bool *ret_failed = failed;

	for (unsigned i = 0; i < 2000; i++) {
		struct yaml_stream *stream;
		struct yaml_error error;

		if (yaml_stream_new(text, sizeof(text) - 1, &stream) < 0) {
			*ret_failed = true;
			break;
		}
		*ret_failed |= yaml_stream_next(stream, &error) != 1;
		*ret_failed |= !yaml_equals(stream, yaml_find(stream, yaml_root(stream), "a"), "one");
		*ret_failed |= yaml_stream_next(stream, &error) != 1;
		*ret_failed |= !yaml_equals(stream, yaml_first(stream, yaml_root(stream)), "lines\nof text\n");
		*ret_failed |= yaml_stream_next(stream, &error) != 0;
		yaml_stream_free(stream);
	}
	return NULL;
}

static void test_streams_in_threads(void **state)
{
	pthread_t threads[4];
	bool failed[4] = {false};

	(void)state;
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, read_again_and_again, &failed[i]), 0);
	for (size_t i = 0; i < 4; i++) {
		assert_int_equal(pthread_join(threads[i], NULL), 0);
		assert_false(failed[i]);
	}
}

static void test_streams_in_turn(void **state)
{
	struct yaml_stream *streams[8];
	struct yaml_error error;

	(void)state;
	for (size_t i = 0; i < 8; i++)
		assert_int_equal(yaml_stream_new("a\n---\nb\n---\nc\n", 14, &streams[i]), 0);
	for (int n = 0; n < 3; n++) {
		for (size_t i = 0; i < 8; i++) {
			assert_int_equal(yaml_stream_next(streams[i], &error), 1);
			assert_true(yaml_equals(streams[i], yaml_root(streams[i]), n == 0 ? "a" : n == 1 ? "b" : "c"));
		}
	}
	for (size_t i = 0; i < 8; i++)
		streams[i * 3 % 8] = yaml_stream_free(streams[i * 3 % 8]);
}

/* As the C library's; libyaml itself does not use all of it. */
static void test_libyaml_may_ask_for_anything(void **state)
{
	struct yaml_memory memory = {0};
	char *block;

	(void)state;
	assert_null(yaml_malloc(1)); /* of no stream */
	yaml_memory_use(&memory);
	assert_null(yaml_malloc(SIZE_MAX));
	assert_null(yaml_strdup(NULL));
	block = yaml_realloc(NULL, 10);
	assert_non_null(block);
	strcpy(block, "123456789");
	assert_ptr_equal(yaml_realloc(block, 5), block);
	assert_null(yaml_realloc(block, SIZE_MAX)); /* which stays */
	assert_string_equal(block, "123456789");
	yaml_free(yaml_malloc(1000000));
	yaml_free(block);
	yaml_free(NULL);
	assert_non_null(yaml_malloc(1000000)); /* left to the end of the stream */
	yaml_memory_use(NULL);
	yaml_memory_deinit(&memory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_libyaml_is_in_the_arena, check_empty),
		cmocka_unit_test_teardown(test_nothing_is_left, check_empty),
		cmocka_unit_test_teardown(test_nothing_is_left_of_what_was_refused, check_empty),
		cmocka_unit_test_teardown(test_the_document_before_is_gone, check_empty),
		cmocka_unit_test_teardown(test_short_of_memory, check_empty),
		cmocka_unit_test_teardown(test_streams_in_threads, check_empty),
		cmocka_unit_test_teardown(test_streams_in_turn, check_empty),
		cmocka_unit_test_teardown(test_libyaml_may_ask_for_anything, check_empty),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
