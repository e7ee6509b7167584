/* SPDX-License-Identifier: Apache-2.0
 * test_yaml_bounds: 1 MiB of any YAML is read or refused within 8 MiB, and three times the time of 1 MiB of ordinary
 * documents.
 *
 * Each shape is a megabyte of the same thing, one that people could have or one made to be expensive. The arena has 8
 * MiB, and each shape must get by with it. Time is that of the processor, as the machine may have other work; it is
 * compared in the plain build only, and with that of the first shape: how fast a machine is differs from day to day.
 */
#include "tests/unit/cmocka_all.h"

#include "store/crypto.h"
#include "store/secmem.h"
#include "store/yaml.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define TEXT_BYTES (1024 * 1024)
#define ARENA_BYTES (8 * 1024 * 1024)
#define TIMES_MAX 3 /* what the first shape takes */
#define RUNS 5
#define LONGEST_BODY (32 * 1024)

#define TEN(x) x x x x x x x x x x
#define HUNDRED(x) TEN(TEN(x))
#define THIRTY_ONE(x) TEN(x) TEN(x) TEN(x) x
#define DOCUMENT "type: Secret\nmesh: default\nname: x\ndata: Zm9v\n"
#define LIST_ITEM                                                                                                      \
	"{\"apiVersion\": \"v1\", \"data\": {\"value\": \"Zm9v\"}, \"kind\": \"Secret\", \"metadata\": {\"labels\": "  \
	"{\"kuma.io/mesh\": \"default\"}, \"name\": \"s-%07zu\"}, \"type\": \"system.kuma.io/secret\"},\n"

/* @head, then @body over and over, then @tail. A %07zu in a body is a number that grows; \1 becomes a NUL. */
struct shape {
	const char *name, *head, *body, *tail;
};

static const struct shape shapes[] = {
	/* what people have */
	{"documents", "", DOCUMENT "---\n", ""},
	{"documents in JSON", "", "{\"type\":\"Secret\",\"mesh\":\"default\",\"name\":\"x\",\"data\":\"Zm9v\"}\n---\n",
	 ""},
	{"a list as kubectl's", "{\"apiVersion\": \"v1\", \"kind\": \"List\", \"items\": [\n", LIST_ITEM, "{}]}\n"},
	{"a block list", "items:\n", "- type: Secret\n  mesh: default\n  name: s-%07zu\n  data: Zm9v\n", ""},
	{"one value", "type: Secret\ndata: ", "Zm9vYmFy", "\n"},
	{"one quoted value", "type: Secret\ndata: \"", "Zm9vYmFy", "\"\n"},
	{"one literal value", "type: Secret\ndata: |\n", "  Zm9vYmFyZm9vYmFyZm9vYmFyZm9vYmFyZm9vYmFyZm9vYmFyZm9vYmFy\n",
	 ""},
	{"one folded value", "type: Secret\ndata: >\n", "  Zm9vYmFyZm9vYmFyZm9vYmFyZm9vYmFyZm9vYmFyZm9vYmFyZm9vYmFy\n",
	 ""},
	{"one plain value in lines", "type: Secret\ndata:\n", "  Zm9vYmFyZm9vYmFyZm9vYmFyZm9vYmFyZm9vYmFyZm9vYmFy\n",
	 ""},
	{"values of 20 KB", "", "- " HUNDRED(HUNDRED("xy")) "\n", ""},
	{"comments", DOCUMENT, "# a comment\n", ""},
	{"CRLF", "", "a%07zu: b\r\n", ""},

	/* scalars */
	{"one word", "", "a", ""},
	{"one quoted word", "\"", "a", "\""},
	{"one word in single quotes", "'", "a", "'"},
	{"single quotes", "", "''", ""},
	{"escapes", "\"", "\\n", "\""},
	{"escapes that grow", "\"", "\\L", "\""},
	{"hexadecimal escapes", "\"", "\\u20ac", "\""},
	{"characters of 4 bytes", "\"", "\xf0\x9f\x98\x80", "\""},
	{"a quote that is not closed", "a: \"", "x ", ""},
	{"blanks in quotes", "\"a", " ", "b\""},
	{"line breaks in quotes", "\"a", "\n", "b\""},
	{"line breaks and blanks in quotes", "\"a", "\n ", "b\""},
	{"literal of empty lines", "a: |+\n", "\n", "  b\n"},
	{"literal of blanks", "a: |\n  b\n", "  \n", ""},
	{"literal of one line", "a: |\n  ", "b", "\n"},
	{"folded of words", "a: >\n", "  b\n", ""},
	{"plain of words", "a:\n", "  b\n", ""},
	{"plain of blanks", "a: b", " ", "c\n"},
	{"plain and line breaks", "a: b", "\n", "  c\n"},
	{"words", "", "a b ", ""},

	/* many small things */
	{"empty documents", "", "---\n", ""},
	{"documents of one letter", "", "a\n---\n", ""},
	{"document ends", "", "a\n...\n", ""},
	{"a list of letters", "[", "a,", "a]"},
	{"a block list of letters", "", "- a\n", ""},
	{"dashes", "", "-\n", ""},
	{"dashes in a line", "", "- ", ""},
	{"empty lists", "[", "[],", "[]]"},
	{"empty strings", "[", "\"\",", "\"\"]"},
	{"empty mappings", "[", "{},", "{}]"},
	{"mappings of one letter", "[", "{a},", "{}]"},
	{"lists 31 deep", "[", THIRTY_ONE("[") THIRTY_ONE("]") ",\n", "a]"},
	{"mappings 31 deep", "[", THIRTY_ONE("{a: ") THIRTY_ONE("}") ",\n", "a]"},
	{"empty lists 31 deep", THIRTY_ONE("["), "[],", ""},
	{"empty mappings 31 deep", THIRTY_ONE("["), "{},", ""},
	{"strings 31 deep", THIRTY_ONE("["), "\"\",", ""},
	{"pairs 31 deep", THIRTY_ONE("["), "a: b,", ""},
	{"empty lists 8 deep", "[[[[[[[[", "[],", ""},
	{"empty lists 7 deep", "[[[[[[[", "[],", ""},
	{"strings 15 deep", "[[[[[[[[[[[[[[[", "\"\",", ""},
	{"lists 31 deep in documents", "", "--- " THIRTY_ONE("[") THIRTY_ONE("]") "\n", ""},
	{"empty lists 31 deep in documents", "", "--- " THIRTY_ONE("[") HUNDRED(TEN("[],")) THIRTY_ONE("]") "\n", ""},
	{"empty lists 8 deep in documents", "", "--- [[[[[[[[" HUNDRED(TEN("[],")) "]]]]]]]]\n", ""},
	{"lists in documents", "", "--- [a]\n", ""},
	{"mappings in documents", "", "--- {a}\n", ""},
	{"block lists 31 deep", "", THIRTY_ONE("- ") "a\n", ""},
	{"commas", "[", ",", "]"},
	{"colons", "", ": ", ""},

	/* keys */
	{"keys", "", "k%07zu: v\n", ""},
	{"keys in JSON", "{", "\"k%07zu\": \"v\",", "\"k\": 1}"},
	{"keys without values", "{", "%07zu,", "a}"},
	{"keys that end alike", "", "%07zu" TEN("abcdefghi") ": v\n", ""},
	{"keys that begin alike", "", HUNDRED("abcd") "%07zu: v\n", ""},
	{"keys in small mappings", "", "- {a: b, c: d, e: f, g: h, i: j, k: l, m: n, o: p, q: r}\n", ""},
	{"a key twice, at the end", "", "k%07zu: v\n", "k0000001: v\n"},
	{"a key over and over", "", "a: b\n", ""},
	{"one long key", "", "a", ": b\n"},
	{"one long key, explicit", "? ", "a", "\n: b\n"},
	{"long keys", "", HUNDRED("abcde") "%07zu: v\n", ""},
	{"keys too long", "", HUNDRED("abcdef") "%07zu: v\n", ""},
	{"keys without a colon", "", "a\n", ""},
	{"keys without a colon in a list", "", "? a\n", ""},
	{"question marks", "", "? ", ""},
	{"quoted keys in a line", "", "\"\":", ""},

	/* what is refused */
	{"brackets", "", "[", ""},
	{"braces", "", "{", ""},
	{"braces and letters", "", "{a: ", ""},
	{"brackets in lines", "", "[\n", ""},
	{"lists and mappings", "", "[{a: ", ""},
	{"anchors", "", "- &a b\n", ""},
	{"aliases", "a: &a b\nc: [", "*a,", "]\n"},
	{"one long anchor", "&", "a", " b"},
	{"one long alias", "*", "a", ""},
	{"tags", "", "- !!str a\n", ""},
	{"exclamation marks", "", "! ", ""},
	{"one long tag", "!", "a", " b"},
	{"one long tag with a URI", "!<", "%%41", ">b"},
	{"directives", "", "%%TAG !a%07zu! b\n", "--- a\n"},
	{"directives, the same", "", "%%TAG !a! b\n", "--- a\n"},
	{"directives after CR", "", "%%TAG !a%07zu! b\r", "--- a\n"},
	{"directives after NEL", "", "%%TAG !a%07zu! b\xc2\x85", "--- a\n"},
	{"YAML directives", "", "%%YAML 1.1\n", "--- a\n"},
	{"one long directive", "%%", "a", "\n--- a\n"},
	{"a version of many digits", "%%YAML 1.", "1", "\n--- a\n"},
	{"pipes", "", "- |\n", ""},
	{"blanks", "", " ", ""},
	{"line breaks", "", "\n", ""},
	{"empty comments", "", "#\n", ""},
	{"one comment", "#", "a", ""},
	{"tabs", "", "\t", ""},
	{"tabs in quotes", "\"a", "\t", "b\""},
	{"NUL bytes", "\1", "\1", "\1"},
	{"UTF-16", "\xff\xfe", "a\1", ""},
	{"invalid UTF-8", "a: ", "\xff", ""},
	{"invalid UTF-8 at the end", "a: ", "a", "\xff"},
	{"BOMs", "\xef\xbb\xbf", "\xef\xbb\xbf", ""},
};

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

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
static size_t put(char *text, const char *format, size_t n)
{
	return (size_t)sprintf(text, format, n);
}
#pragma GCC diagnostic pop

/* TEXT_BYTES of it, with blanks or empty lines where a body more would be too much; the caller frees. */
static char *shape_text(const struct shape *shape)
{
	char *text = malloc(TEXT_BYTES + LONGEST_BODY), tail[100];
	size_t size, tail_bytes = put(tail, shape->tail, 0), end = TEXT_BYTES - tail_bytes, before = 0;

	assert_non_null(text);
	size = put(text, shape->head, 0);
	for (size_t n = 1; size <= end; n++) {
		before = size;
		size += put(text + size, shape->body, n);
	}
	memset(text + before, text[before - 1] == '\n' ? '\n' : ' ', end - before);
	memcpy(text + end, tail, tail_bytes);
	for (size_t i = 0; i < TEXT_BYTES; i++)
		if (text[i] == 1)
			text[i] = 0;
	return text;
}

static double milliseconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

/* Read it to its end or its fault; what came of it. */
static int read_all(const char *text, struct yaml_error *ret_error, unsigned *ret_documents)
{
	struct yaml_stream *stream = NULL;
	int r = yaml_stream_new(text, TEXT_BYTES, &stream);

	*ret_documents = 0;
	if (r == 0)
		while ((r = yaml_stream_next(stream, ret_error)) == 1)
			++*ret_documents;
	yaml_stream_free(stream);
	return r;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static double median_of_runs(const char *text)
{
	double times[RUNS];

	for (size_t i = 0; i < RUNS; i++) {
		struct yaml_error error;
		unsigned documents;
		double start = milliseconds();

		read_all(text, &error, &documents);
		times[i] = milliseconds() - start;
	}
	qsort(times, RUNS, sizeof(times[0]), compare);
	return times[RUNS / 2];
}

/* How many times @base it takes. Other work on the machine can slow down even this: then once more, and what @base is
 * of. */
static double times_of(const char *ordinary, const char *text, double *base, double *ret_milliseconds)
{
	*ret_milliseconds = median_of_runs(text);
	for (int more = 0; more < 2 && *ret_milliseconds > *base * TIMES_MAX; more++) {
		*base = median_of_runs(ordinary);
		*ret_milliseconds = median_of_runs(text);
	}
	return *ret_milliseconds / *base;
}

static bool is_sanitized(void)
{
	return getenv("HUSH_SAN") != NULL;
}

static void test_shapes(void **state)
{
	char *ordinary = shape_text(&shapes[0]);
	double base = is_sanitized() ? 0 : median_of_runs(ordinary), slowest = 0, slowest_time = 0;
	const char *slowest_name = "";

	(void)state;
	for (size_t i = 0; i < COUNT(shapes); i++) {
		struct yaml_error error = {0};
		unsigned documents;
		char *text = shape_text(&shapes[i]);
		int r = read_all(text, &error, &documents);
		double time = 0, times = is_sanitized() ? 0 : times_of(ordinary, text, &base, &time);

		free(text);
		if (getenv("VERBOSE"))
			printf("# %-32s %5.1f ms, %d, %u documents, %s\n", shapes[i].name, time, r, documents,
			       error.text);
		if (r != 0 && r != -EINVAL)
			fail_msg("%s: error %d", shapes[i].name, r);
		if (times > TIMES_MAX)
			fail_msg("%s: %.1f ms, %.1f times what ordinary documents take", shapes[i].name, time, times);
		if (times > slowest) {
			slowest = times;
			slowest_time = time;
			slowest_name = shapes[i].name;
		}
		assert_int_equal(secmem_in_use(), 0);
	}
	free(ordinary);
	if (!is_sanitized())
		printf("# %zu shapes of 1 MiB, the slowest: %s, %.1f ms, %.1f times what ordinary documents take\n",
		       COUNT(shapes), slowest_name, slowest_time, slowest);
}

/* What takes most of the shapes that were tried: all keys that fit, and their table, and a scalar that doubles
 * libyaml's memory for it. 6.6 MiB are not enough. */
static void test_many_keys_and_a_large_scalar(void **state)
{
	char *text = malloc(TEXT_BYTES + 1);
	struct yaml_error error = {0};
	unsigned documents;
	size_t size = 1;

	(void)state;
	assert_non_null(text);
	text[0] = '{';
	for (unsigned i = 0; i < YAML_NODES_MAX / 2 - 10; i++)
		size += put(text + size, "%zu,", i);
	size += put(text + size, "z: \"", 0);
	memset(text + size, 'x', TEXT_BYTES - size);
	memcpy(text + TEXT_BYTES - 2, "\"}", 2);
	if (read_all(text, &error, &documents) != 0)
		fail_msg("%s", error.text);
	assert_int_equal(documents, 1);
	assert_int_equal(secmem_in_use(), 0);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_shapes),
		cmocka_unit_test(test_many_keys_and_a_large_scalar),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
