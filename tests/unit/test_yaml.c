/* SPDX-License-Identifier: Apache-2.0
 * test_yaml: what is read of documents, what is refused, and where an error is said to be.
 */
#include "tests/unit/cmocka_all.h"

#include "store/yaml.h"
#include "tests/unit/fixture.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define SIXTEEN(x) x x x x x x x x x x x x x x x x
#define YAML_AUTO __attribute__((cleanup(yaml_stream_freep))) struct yaml_stream

/* A stream of which the first document has been read. */
static struct yaml_stream *read_first(const char *text)
{
	struct yaml_stream *stream;
	struct yaml_error error;

	assert_int_equal(yaml_stream_new(text, strlen(text), &stream), 0);
	if (yaml_stream_next(stream, &error) != 1)
		fail_msg("\"%s\": line %u: %s", text, error.line, error.text);
	return stream;
}

static void test_tree(void **state)
{
	YAML_AUTO *stream = read_first("# a comment\n"
				       "type: Secret\n"
				       "list:\n"
				       "- one\n"
				       "- [two, \"three\"]\n"
				       "- {}\n"
				       "empty:\n"
				       "nested: {a: {b: c}}\n");
	uint32_t root = yaml_root(stream), key, list, item;
	size_t size;

	(void)state;
	assert_int_equal(yaml_number(stream), 1);
	assert_int_equal(yaml_kind(stream, root), YAML_MAPPING);
	assert_int_equal(yaml_line(stream, root), 2);
	key = yaml_first(stream, root);
	assert_true(yaml_equals(stream, key, "type"));
	assert_string_equal(yaml_text(stream, yaml_after(stream, key), &size), "Secret");
	assert_int_equal(size, 6);
	key = yaml_after(stream, yaml_after(stream, key));
	assert_true(yaml_equals(stream, key, "list"));
	assert_int_equal(yaml_line(stream, key), 3);

	list = yaml_find(stream, root, "list");
	assert_int_equal(list, yaml_after(stream, key));
	assert_int_equal(yaml_kind(stream, list), YAML_SEQUENCE);
	item = yaml_first(stream, list);
	assert_true(yaml_equals(stream, item, "one"));
	assert_int_equal(yaml_line(stream, item), 4);
	item = yaml_after(stream, item);
	assert_int_equal(yaml_kind(stream, item), YAML_SEQUENCE);
	assert_true(yaml_is_plain(stream, yaml_first(stream, item)));
	assert_false(yaml_is_plain(stream, yaml_after(stream, yaml_first(stream, item))));
	assert_int_equal(yaml_after(stream, yaml_after(stream, yaml_first(stream, item))), YAML_NONE);
	item = yaml_after(stream, item);
	assert_int_equal(yaml_kind(stream, item), YAML_MAPPING);
	assert_int_equal(yaml_first(stream, item), YAML_NONE);
	assert_int_equal(yaml_after(stream, item), YAML_NONE);

	assert_true(yaml_is_null(stream, yaml_find(stream, root, "empty")));
	assert_true(yaml_equals(
		stream, yaml_find(stream, yaml_find(stream, yaml_find(stream, root, "nested"), "a"), "b"), "c"));
	assert_int_equal(yaml_find(stream, root, "typ"), YAML_NONE);
	assert_int_equal(yaml_find(stream, root, "Secret"), YAML_NONE); /* a value */
	assert_int_equal(yaml_find(stream, list, "one"), YAML_NONE);
}

static void test_none(void **state)
{
	YAML_AUTO *stream = read_first("a: b");
	size_t size = 1;

	(void)state;
	assert_int_equal(yaml_kind(stream, YAML_NONE), 0);
	assert_int_equal(yaml_first(stream, YAML_NONE), YAML_NONE);
	assert_int_equal(yaml_after(stream, YAML_NONE), YAML_NONE);
	assert_int_equal(yaml_find(stream, YAML_NONE, "a"), YAML_NONE);
	assert_string_equal(yaml_text(stream, YAML_NONE, &size), "");
	assert_int_equal(size, 0);
	assert_false(yaml_equals(stream, YAML_NONE, ""));
	assert_false(yaml_is_plain(stream, YAML_NONE));
	assert_true(yaml_is_null(stream, YAML_NONE));
	assert_string_equal(yaml_text(stream, yaml_root(stream), NULL), "");
	assert_false(yaml_equals(stream, yaml_root(stream), ""));
	assert_null(yaml_stream_free(NULL));
}

static void test_scalars(void **state)
{
	static const struct {
		const char *text, *value;
		bool plain, null;
	} scalars[] = {
		{"x", "x", true, false},
		{"'x'", "x", false, false},
		{"\"x\"", "x", false, false},
		{"~", "~", true, true},
		{"null", "null", true, true},
		{"NULL", "NULL", true, true},
		{"", "", true, true},
		{"\"\"", "", false, false},
		{"\"null\"", "null", false, false},
		{"nul", "nul", true, false},
		{"12", "12", true, false},
		{"|\n  one\n  two\n", "one\ntwo\n", false, false},
		{">-\n  one\n  two\n", "one two", false, false},
		{"\n  one\n  two\n", "one two", true, false},
		{"\"\\u00e9\\n\\t\\\\\"", "\xc3\xa9\n\t\\", false, false},
		{"a=b==", "a=b==", true, false},
		{"a\r\n  b", "a b", true, false},
		{"a!b", "a!b", true, false},
		{"'!x'", "!x", false, false},
		{"\xc3\xa4!", "\xc3\xa4!", true, false},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(scalars); i++) {
		char text[200];

		/* what is no ASCII stands in front, so that characters and bytes are not the same */
		snprintf(text, sizeof(text), "\"\xc3\xa4\xe2\x82\xac\": 1\nkey: %s", scalars[i].text);
		YAML_AUTO *stream = read_first(text);
		uint32_t value = yaml_find(stream, yaml_root(stream), "key");

		assert_string_equal(yaml_text(stream, value, NULL), scalars[i].value);
		assert_int_equal(yaml_is_plain(stream, value), scalars[i].plain);
		assert_int_equal(yaml_is_null(stream, value), scalars[i].null);
	}
}

static void test_documents(void **state)
{
	static const char text[] = "# nothing\n---\n---\na: 1\n---\n# nothing\n--- \n...\n---\nb\n--- ''\n--- ~\n---\n";
	static const struct {
		unsigned number, line;
		const char *text;
	} expected[] = {{2, 4, ""}, {5, 10, "b"}, {6, 11, ""}, {7, 12, "~"}};
	struct yaml_stream *stream;
	struct yaml_error error;

	(void)state;
	assert_int_equal(yaml_stream_new(text, strlen(text), &stream), 0);
	for (size_t i = 0; i < COUNT(expected); i++) {
		assert_int_equal(yaml_stream_next(stream, &error), 1);
		assert_int_equal(yaml_number(stream), expected[i].number);
		assert_int_equal(yaml_line(stream, yaml_root(stream)), expected[i].line);
		assert_string_equal(yaml_text(stream, yaml_root(stream), NULL), expected[i].text);
	}
	assert_int_equal(yaml_stream_next(stream, &error), 0);
	assert_int_equal(yaml_stream_next(stream, &error), 0);
	assert_int_equal(yaml_root(stream), YAML_NONE);
	yaml_stream_free(stream);
}

static void test_nothing(void **state)
{
	static const char *const texts[] = {"", "\n", "# x", "---", "---\n---\n", "\xef\xbb\xbf", "\xef\xbb\xbf# x\n",
					    " "};

	(void)state;
	for (size_t i = 0; i < COUNT(texts); i++) {
		struct yaml_stream *stream;
		struct yaml_error error;

		assert_int_equal(yaml_stream_new(strlen(texts[i]) ? texts[i] : NULL, strlen(texts[i]), &stream), 0);
		assert_int_equal(yaml_stream_next(stream, &error), 0);
		yaml_stream_free(stream);
	}
}

static void test_bom_and_version_are_fine(void **state)
{
	static const char *const texts[] = {
		"\xef\xbb\xbf" "a: b", "%YAML 1.1\n---\na: b", "%YAML 1.2\n--- {a: b}", "a: 'b'\n...\n", "a: b\r\n",
		"\xef\xbb\xbf---\na: b\n", "{\n\t\"a\":\t\"b\"\n}\n", "{'a':b}", "? a\n: b\n", "{\"a\":\"b\"}",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(texts); i++) {
		YAML_AUTO *stream = read_first(texts[i]);

		assert_true(yaml_equals(stream, yaml_find(stream, yaml_root(stream), "a"), "b"));
	}
}

/* In a text it is no directive, up to a number of them. */
static void test_percent_in_a_text(void **state)
{
	YAML_AUTO *stream = read_first("a: \"\n" SIXTEEN("%TAG\n") "\"\n");
	const char *text = yaml_text(stream, yaml_find(stream, yaml_root(stream), "a"), NULL);

	(void)state;
	assert_string_equal(text, " " SIXTEEN("%TAG "));
}

/* What is refused: in which document and line, and a part of what is said. */
static const struct {
	const char *text;
	unsigned document, line;
	const char *words;
} refused[] = {
	/* what the standard has and we don't */
	{"a: &x b\n", 1, 1, "anchors"},
	{"a:\n  &x b: c\n", 1, 2, "anchors"},
	{"- &x [a]\n", 1, 1, "anchors"},
	{"- a\n- &x {a: b}\n", 1, 2, "anchors"},
	{"a: 1\n---\n\nb: *x\n", 2, 4, "aliases"},
	{"a: *\n", 1, 1, "\"*\""},
	{"a: *.example.com\n", 1, 1, "\"*\""},
	{"? *a\n: b", 1, 1, "aliases"},
	{"a: !!str b\n", 1, 1, "tags"},
	{"a: ! b\n", 1, 1, "tags"},
	{"a: ! \"b\"\n", 1, 1, "tags"},
	{"\xc3\xa4: ! b\n", 1, 1, "tags"},
	{"a:\n- \xf0\x9f\x98\x80\n- ! b\n", 1, 3, "tags"},
	{"\xef\xbb\xbf! b\n", 1, 1, "tags"},
	{"a: !\n", 1, 1, "tags"},
	{"a: !x b\n", 1, 1, "tags"},
	{"a: !x!y b\n", 1, 1, "tags"},
	{"a: !<tag:yaml.org,2002:str> b\n", 1, 1, "tags"},
	{"- ! [a]\n", 1, 1, "tags"},
	{"- !!map {a: b}\n", 1, 1, "tags"},
	{"! a: b\n", 1, 1, "tags"},
	{"!!map\na: b\n", 1, 1, "tags"},
	{"a: 1\n...\n%TAG !x! tag:x\n--- a\n", 2, 3, "%TAG"},
	{"%TAG !x! tag:x\n--- a\n", 1, 1, "%TAG"},
	{"a: 1\n---\nb: \"\n" SIXTEEN("%TAG\n") "\"\n---\nc: \"\n%TAG\"\n", 3, 23, "16 lines"},
	{"%FOO bar\n--- a\n", 1, 1, "directive"},
	{"%YAML 2.0\n--- a\n", 1, 1, "version"},
	{"%YAML 1.1\n%YAML 1.1\n--- a\n", 1, 2, "%YAML stands twice"},
	{"a: 1\nb: 2\na: 3\n", 1, 3, "twice: already in line 1"},
	{"x:\n  a: 1\n  \"a\": 2\ny: z\n", 1, 3, "twice: already in line 2"},
	{"- {a: 1, b: 2, c: 3, d: 4, e: 5, f: 6, g: 7, h: 8, i: 9,\n a: 1}\n", 1, 2, "twice: already in line 1"},
	{"? \n: a\n? \n: b\n", 1, 3, "twice"},
	{"[a]: b\n", 1, 1, "key"},
	{"x: 1\n? {a: b}\n: c\n", 1, 2, "a key must be a text"},
	{"? - a\n: c\n", 1, 1, "a key must be a text"},
	{"a: \"x\\0y\"\n", 1, 1, "NUL"},
	{"\"\\0\": x\n", 1, 1, "NUL"},
	{"a: \"\\x00\"\n", 1, 1, "NUL"},
	{"a: b\n---\nb: \"\\u0000\"\n", 2, 3, "NUL"},

	/* bytes */
	{"a: 1\nb: \xff\n", 1, 2, "invalid UTF-8"},
	{"a: 1\nb: \xc3(\n", 1, 2, "invalid UTF-8"},
	{"a: 1\nb: \xe2\x82", 1, 2, "invalid UTF-8"},
	{"a: \xc0\xaf\n", 1, 1, "invalid UTF-8"},
	{"a: \xed\xa0\x80\n", 1, 1, "invalid UTF-8"},
	{"---\na: 1\n---\nb: 2\n---\nc: \xff\n", 3, 6, "invalid UTF-8"},
	{"a: 1\n---\nb: 2\n---\nc: \x01\n", 3, 5, "control character"},
	{"a: \x7f\n", 1, 1, "control character"},
	{"a: \xef\xbf\xbe\n", 1, 1, "control character"},

	/* everyday faults */
	{"a: 1\n\tb: 2\n", 1, 2, "tab"},
	{"a:\n\tb: 2\n", 1, 2, "tab"},
	{"a: |\n\tb\n", 1, 2, "tab"},
	{"a: b\n \tc: d\n", 1, 2, ""},
	{"a: 1\nb: \"x\n\n\n", 1, 2, "quote that is not closed"},
	{"a: 1\nb: 'x\nc: d\n", 1, 2, "quote that is not closed"},
	{"a: \"x\n---\nb: c\n", 1, 1, "quote that is not closed"},
	{"a: 1\nb: [1,\n 2\n", 1, 2, "\"]\""},
	{"a: 1\nb: {c: d\ne: f\n", 1, 2, "\"}\""},
	{"a: 1\nb: [1,\n", 1, 3, "bracket"},
	{"a: ]\n", 1, 1, ""},
	{"a: b: c\n", 1, 1, "\": \""},
	{"a: b\n  c: d\n", 1, 2, "\": \""},
	{"a: 1\nb\nc: 2\n", 1, 2, "without \":\""},
	{"a: 1\n- b\n", 1, 2, "indentation"},
	{"- a\nb: 1\n", 1, 2, "indentation"},
	{"a:\n    b: 1\n  c: 2\n", 1, 3, "indentation"},
	{"a: - b\n", 1, 1, "\"- \""},
	{"\"a\" b\n", 1, 1, "---"},
	{"a: @b\n", 1, 1, "in quotes"},
	{"a: %b\n", 1, 1, "in quotes"},
	{"a: `b`\n", 1, 1, "in quotes"},
	{"a: \"\\q\"\n", 1, 1, "escape"},
	{"a: \"\\xg0\"\n", 1, 1, "escape"},
	{"a: \"\\ud800\"\n", 1, 1, "escape"},
};

static void test_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(refused); i++) {
		struct yaml_error error = {0}, again = {0};
		struct yaml_stream *stream;
		int r;

		assert_int_equal(yaml_stream_new(refused[i].text, strlen(refused[i].text), &stream), 0);
		while ((r = yaml_stream_next(stream, &error)) == 1)
			;
		if (r != -EINVAL || error.document != refused[i].document || error.line != refused[i].line ||
		    !strstr(error.text, refused[i].words) || strlen(error.text) < 10)
			fail_msg("\"%s\": %d, document %u, line %u: \"%s\"", refused[i].text, r, error.document,
				 error.line, error.text);
		assert_null(strchr(error.text, '\n'));
		assert_int_equal(yaml_root(stream), YAML_NONE);
		assert_int_equal(yaml_stream_next(stream, &again), -EINVAL); /* and it stays so */
		assert_memory_equal(&again, &error, sizeof(error));
		yaml_stream_free(stream);
	}
}

static void test_refused_bytes(void **state)
{
	static const struct {
		const char *text;
		size_t size;
		const char *words;
		unsigned line;
	} texts[] = {
		{"a: b\0c\n", 7, "NUL", 1},
		{"a: b\nc: d\n\0", 11, "NUL", 3},
		{"\0", 1, "NUL", 1},
		{"a\0:\0 \0b\0", 8, "NUL", 1},
		{"\xff\xfe"
		 "a\0:\0 \0b\0",
		 10, "UTF-16", 1},
		{"\xfe\xff\0a\0:\0 \0b", 10, "UTF-16", 1},
		{"\xff\xfe"
		 "a",
		 3, "UTF-16", 1},
		{"\xff\xfe", 2, "UTF-16", 1},
		{"\xfe\xff\0", 3, "UTF-16", 1},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(texts); i++) {
		struct yaml_error error = {0};
		struct yaml_stream *stream;

		assert_int_equal(yaml_stream_new(texts[i].text, texts[i].size, &stream), 0);
		assert_int_equal(yaml_stream_next(stream, &error), -EINVAL);
		assert_non_null(strstr(error.text, texts[i].words));
		assert_int_equal(error.document, 1);
		assert_int_equal(error.line, texts[i].line);
		yaml_stream_free(stream);
	}
}

/* 0 or -EINVAL for all of @text. */
static int read_all(const char *text, struct yaml_error *ret_error)
{
	struct yaml_stream *stream;
	int r;

	assert_int_equal(yaml_stream_new(text, strlen(text), &stream), 0);
	while ((r = yaml_stream_next(stream, ret_error)) == 1)
		;
	yaml_stream_free(stream);
	return r;
}

/* Bytes are looked at before the documents that they are in are read. */
static void test_refused_bytes_far_away(void **state)
{
	char *text = malloc(200000);
	size_t size;
	struct yaml_error error;

	(void)state;
	assert_non_null(text);
	for (size_t lines = 0; lines < 3000; lines += 97) {
		size = (size_t)sprintf(text, "a: 1\n---\n");
		for (size_t i = 0; i < lines; i++)
			size += (size_t)sprintf(text + size, "# a comment\n");
		sprintf(text + size, "b: 2\n---\nc: 3\nd: \x01\n");
		assert_int_equal(read_all(text, &error), -EINVAL);
		assert_int_equal(error.document, 3);
		assert_int_equal(error.line, lines + 6);
	}
	free(text);
}

static void test_depth(void **state)
{
	char text[200] = "";
	struct yaml_error error;

	(void)state;
	for (int i = 0; i < YAML_DEPTH_MAX; i++)
		strcat(text, i % 2 ? "{a: " : "[");
	for (int i = YAML_DEPTH_MAX; i--;)
		strcat(text, i % 2 ? "}" : "]");
	assert_int_equal(read_all(text, &error), 0);
	memset(text, '[', YAML_DEPTH_MAX + 1);
	memset(text + YAML_DEPTH_MAX + 1, ']', YAML_DEPTH_MAX + 1);
	text[2 * YAML_DEPTH_MAX + 2] = 0;
	assert_int_equal(read_all(text, &error), -EINVAL);
	assert_non_null(strstr(error.text, "32 deep"));
	memset(text, ' ', 1);
	text[2 * YAML_DEPTH_MAX + 1] = 0;
	assert_int_equal(read_all(text, &error), 0);
}

static void test_key_length(void **state)
{
	char text[YAML_KEY_BYTES_MAX + 20];
	struct yaml_error error;

	(void)state;
	memset(text, 'k', sizeof(text));
	strcpy(text + YAML_KEY_BYTES_MAX, ": v\n");
	assert_int_equal(read_all(text, &error), 0);
	strcpy(text + YAML_KEY_BYTES_MAX, "k: v\n");
	assert_int_equal(read_all(text, &error), -EINVAL);
	assert_non_null(strstr(error.text, "512"));
	strcpy(text, "k: ");
	memset(text + 3, 'v', YAML_KEY_BYTES_MAX + 1); /* a value may be longer */
	text[YAML_KEY_BYTES_MAX + 4] = 0;
	assert_int_equal(read_all(text, &error), 0);
}

static void test_number_of_nodes(void **state)
{
	char *text = malloc(YAML_NODES_MAX * 2 + 10);
	struct yaml_error error;
	size_t size = 1;

	(void)state;
	assert_non_null(text);
	text[0] = '[';
	for (unsigned i = 0; i < YAML_NODES_MAX - 1; i++, size += 2)
		memcpy(text + size, "a,", 2);
	strcpy(text + size, "]");
	assert_int_equal(read_all(text, &error), 0);
	strcpy(text + size, "a]");
	assert_int_equal(read_all(text, &error), -EINVAL);
	assert_non_null(strstr(error.text, "262144 nodes"));
	free(text);
}

/* Of what is very deep there may be less, in all documents together, but more in a long text. */
static void test_number_of_deep_nodes(void **state)
{
	static const struct {
		size_t depth, nodes, comment_bytes;
		int result;
	} texts[] = {
		{YAML_DEPTH_CHEAP, YAML_DEEP_MAX, 0, 0},
		{YAML_DEPTH_CHEAP, YAML_DEEP_MAX + 1, 0, 0},
		{YAML_DEPTH_CHEAP + 1, YAML_DEEP_MAX, 0, 0},
		{YAML_DEPTH_CHEAP + 1, YAML_DEEP_MAX + 1, 0, -EINVAL},
		{YAML_DEPTH_CHEAP + 1, YAML_DEEP_MAX + 1, (YAML_DEEP_MAX + 1) * 16, 0},
	};
	char *text = calloc(2, 1024 * 1024);

	(void)state;
	assert_non_null(text);
	for (size_t i = 0; i < COUNT(texts); i++) {
		struct yaml_error error = {0};
		char *at = text;

		for (size_t left = texts[i].nodes; left;) { /* at most 1000 in a document */
			size_t nodes = left < 1000 ? left : 1000;

			at += sprintf(at, "\n--- ");
			at = (char *)memset(at, '[', texts[i].depth) + texts[i].depth;
			for (size_t n = 0; n < nodes; n++)
				at += sprintf(at, "a,");
			at = (char *)memset(at, ']', texts[i].depth) + texts[i].depth;
			left -= nodes;
		}
		at += sprintf(at, "\n#");
		at = (char *)memset(at, '#', texts[i].comment_bytes) + texts[i].comment_bytes;
		*at = 0;
		assert_int_equal(read_all(text, &error), texts[i].result);
		assert_true(texts[i].result == 0 || strstr(error.text, "more than 65536 nodes more than 8 deep"));
	}
	free(text);
}

/* In a large mapping each key that is there twice is found, and nothing is found that isn't. */
static void test_duplicates_among_many(void **state)
{
	enum { KEYS = 3000 };
	char *text = malloc(KEYS * 20);
	uint64_t seed = 7;

	(void)state;
	assert_non_null(text);
	for (int run = 0; run < 30; run++) {
		size_t first = fixture_random(&seed, KEYS), second = fixture_random(&seed, KEYS), size = 0;
		struct yaml_error error = {0};
		char words[60];

		for (size_t i = 0; i < KEYS; i++)
			size += (size_t)sprintf(text + size, "k%zu: v\n", i == second ? first : i);
		if (first == second) {
			assert_int_equal(read_all(text, &error), 0);
			continue;
		}
		assert_int_equal(read_all(text, &error), -EINVAL);
		assert_int_equal(error.line, 1 + (first > second ? first : second));
		snprintf(words, sizeof(words), "already in line %zu", 1 + (first < second ? first : second));
		assert_non_null(strstr(error.text, words));
	}
	free(text);
}

static void test_texts_of_all_sizes(void **state)
{
	static const size_t sizes[] = {1, 15, 16, 17, 1000, 16383, 16384, 16385, 65535, 65536, 65537, 300000};
	char *text = malloc(2000000), *at = text;
	struct yaml_stream *stream;
	struct yaml_error error;
	uint32_t item;

	(void)state;
	assert_non_null(text);
	for (size_t i = 0; i < COUNT(sizes) * 3; i++) {
		at += sprintf(at, "- %c", (char)('a' + i % 26));
		memset(at, 'x', sizes[i % COUNT(sizes)]);
		at += sizes[i % COUNT(sizes)];
		*at++ = '\n';
	}
	assert_int_equal(yaml_stream_new(text, (size_t)(at - text), &stream), 0);
	assert_int_equal(yaml_stream_next(stream, &error), 1);
	item = yaml_first(stream, yaml_root(stream));
	for (size_t i = 0; i < COUNT(sizes) * 3; i++, item = yaml_after(stream, item)) {
		size_t size;
		const char *value = yaml_text(stream, item, &size);

		assert_int_equal(size, 1 + sizes[i % COUNT(sizes)]);
		assert_int_equal(value[0], 'a' + i % 26);
		for (size_t j = 1; j < size; j++)
			assert_true(value[j] == 'x');
	}
	assert_int_equal(item, YAML_NONE);
	yaml_stream_free(stream);
	free(text);
}

static void test_set_text(void **state)
{
	YAML_AUTO *stream = read_first("config: {a: 1}\nb: c\n");
	uint32_t key = yaml_first(stream, yaml_root(stream));

	(void)state;
	yaml_set_text(stream, key, "conf");
	assert_int_equal(yaml_find(stream, yaml_root(stream), "config"), YAML_NONE);
	assert_int_equal(yaml_find(stream, yaml_root(stream), "conf"), yaml_after(stream, key));
	assert_string_equal(yaml_text(stream, key, NULL), "conf");
	yaml_set_text(stream, key, "12");
	assert_false(yaml_is_plain(stream, key));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tree),
		cmocka_unit_test(test_none),
		cmocka_unit_test(test_scalars),
		cmocka_unit_test(test_documents),
		cmocka_unit_test(test_nothing),
		cmocka_unit_test(test_bom_and_version_are_fine),
		cmocka_unit_test(test_percent_in_a_text),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_refused_bytes),
		cmocka_unit_test(test_refused_bytes_far_away),
		cmocka_unit_test(test_depth),
		cmocka_unit_test(test_key_length),
		cmocka_unit_test(test_number_of_nodes),
		cmocka_unit_test(test_number_of_deep_nodes),
		cmocka_unit_test(test_duplicates_among_many),
		cmocka_unit_test(test_texts_of_all_sizes),
		cmocka_unit_test(test_set_text),
	};

	return cmocka_run_group_tests(tests, fixture_group_setup, fixture_group_teardown);
}
