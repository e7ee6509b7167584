/* SPDX-License-Identifier: Apache-2.0
 * test_yaml_write: how trees and strings are written, and that what is written reads as it was.
 */
#include "tests/unit/cmocka_all.h"

#include "store/yaml.h"
#include "tests/unit/fixture.h"
#include "tests/unit/yaml_same.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define YAML_AUTO __attribute__((cleanup(yaml_stream_freep))) struct yaml_stream
#define TREES 20000

static struct yaml_stream *read_bytes(const void *text, size_t size)
{
	struct yaml_stream *stream;
	struct yaml_error error;
	int r;

	assert_int_equal(yaml_stream_new(text, size, &stream), 0);
	r = yaml_stream_next(stream, &error);
	if (r != 1)
		fail_msg("%d, line %u: %s in:\n%.*s", r, error.line, error.text, (int)size, (const char *)text);
	return stream;
}

static void assert_written(const struct secbuf *text, const char *expected)
{
	if (text->size != strlen(expected) || memcmp(text->data, expected, text->size) != 0)
		fail_msg("written:\n%.*s\nexpected:\n%s", (int)text->size, (const char *)text->data, expected);
}

/* What was read, and how it is written. */
static const struct {
	const char *text, *written;
} documents[] = {
	{"{a: 1, b: '1', c: \"x\", d: }", "a: 1\nb: \"1\"\nc: x\nd:\n"},
	{"a:\n    b:\n        c: d\n", "a:\n  b:\n    c: d\n"},
	{"a:\n  - b\n  - c\n", "a:\n- b\n- c\n"},
	{"[a, [b, [c]], {d: e, f: [g]}, [], {}, '', ~, ]",
	 "- a\n- - b\n  - - c\n- d: e\n  f:\n  - g\n- []\n- {}\n- \"\"\n- ~\n"},
	{"- \n- x\n", "-\n- x\n"},
	{"a: {}\nb: []\nc: ''\n", "a: {}\nb: []\nc: \"\"\n"},
	{"{}", "{}\n"},
	{"[]", "[]\n"},
	{"true: on\n'false': 'on'\n", "true: on\n\"false\": \"on\"\n"},
	{"a: |\n  x\n   y\n\n  z\n", "a: |\n  x\n   y\n\n  z\n"},
	{"a: \"x\\ny\"\n", "a: |-\n  x\n  y\n"},
	{"a: \"x\\n\\n\\n\"\nb: c", "a: |+\n  x\n\n\nb: c\n"},
	{"a: \"\\n\\nx\\n\"\n", "a: |\n\n\n  x\n"},
	{"a: \"\\n\"\n", "a: \"\\n\"\n"},
	{"a: \" x\\ny\"\n", "a: \" x\\ny\"\n"},
	{"a: \"x\\r\\ny\"\n", "a: \"x\\r\\ny\"\n"},
	{"- \"x\\ny\\n\"\n- - \"x\\ny\"\n", "- |\n  x\n  y\n- - |-\n    x\n    y\n"},
	{"- {k: \"x\\ny\\n\", l: m}\n", "- k: |\n    x\n    y\n  l: m\n"},
	{"a: b\n  c\n\n  d\n", "a: |-\n  b c\n  d\n"},
	{"[-, a]\n", "- \"-\"\n- a\n"},
	{"\"a b\": 1\n\"a: b\": 1\n\"x\\ny\": 1\n", "a b: 1\n\"a: b\": 1\n\"x\\ny\": 1\n"},
	{"? \n: x\n", "\"\": x\n"},
	{"<<: x\n", "<<: x\n"},
	{" ...", "\"...\""},
	{" ---", "\"---\""},
	{"...a", "\"...a\""},
	{"-1", "-1"},
	{"- -a\n- :b\n- ?c\n", "- -a\n- :b\n- ?c\n"},
	{"\"\\uFFFE\\U0010FFFF\"", "\"\\uFFFE\xf4\x8f\xbf\xbf\""},
};

static void test_documents(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(documents); i++) {
		SECBUF_AUTO text = {0};

		YAML_AUTO *stream = read_bytes(documents[i].text, strlen(documents[i].text));
		assert_int_equal(yaml_write_node(stream, yaml_root(stream), 0, &text), 0);
		assert_written(&text, documents[i].written);
		YAML_AUTO *again = read_bytes(text.data, text.size);
		assert_true(yaml_same(stream, yaml_root(stream), again, yaml_root(again)));
	}
}

static void test_entries_and_indent(void **state)
{
	static const char source[] = "a: {b: [c, {d: \"x\\ny\"}]}\ne: f\n";
	YAML_AUTO *stream = read_bytes(source, strlen(source));
	uint32_t key = yaml_first(stream, yaml_root(stream));
	SECBUF_AUTO text = {0};

	(void)state;
	assert_int_equal(yaml_first(stream, key), YAML_NONE); /* a scalar has nothing in it */
	assert_int_equal(secbuf_write(&text, 0, "spec:\n", 6), 0);
	assert_int_equal(yaml_write_entry(stream, key, 2, &text), 0);
	assert_int_equal(yaml_write_entry(stream, yaml_after(stream, yaml_after(stream, key)), 2, &text), 0);
	assert_int_equal(yaml_write_node(stream, yaml_after(stream, key), 4, &text), 0);
	assert_written(&text, "spec:\n  a:\n    b:\n    - c\n    - d: |-\n        x\n        y\n  e: f\n"
			      "    b:\n    - c\n    - d: |-\n        x\n        y\n");
}

/* libyaml takes a key of more than 1024 characters only with "? " in front. Read and written once more it is the same text. */
static void test_long_keys(void **state)
{
	static const struct {
		const char *before, *part, *after;
		int most;
	} keys[] = {
		{"? \"", "\\x01", "\"\n: [x]\n", YAML_KEY_BYTES_MAX}, /* quoted either way */
		{"? \"", "x", "\"\n: [x]\n", YAML_KEY_BYTES_MAX},     /* or not */
		{"", "x", ":: [x]\n", YAML_KEY_BYTES_MAX - 1},        /* with a colon at its end */
	};

	(void)state;
	for (size_t i = 0; i < COUNT(keys); i++)
		for (int size = 238; size <= keys[i].most; size += size < 242 ? 1 : keys[i].most - 242) {
			char source[YAML_KEY_BYTES_MAX * 4 + 20];
			SECBUF_AUTO text = {0};
			SECBUF_AUTO twice = {0};

			strcpy(source, keys[i].before);
			for (int k = 0; k < size; k++)
				strcat(source, keys[i].part);
			strcat(source, keys[i].after);
			YAML_AUTO *stream = read_bytes(source, strlen(source));
			assert_int_equal(yaml_write_node(stream, yaml_root(stream), 2, &text), 0);
			YAML_AUTO *again = read_bytes(text.data, text.size);
			assert_true(yaml_same(stream, yaml_root(stream), again, yaml_root(again)));
			assert_int_equal(yaml_write_node(again, yaml_root(again), 2, &twice), 0);
			assert_int_equal(twice.size, text.size);
			assert_memory_equal(twice.data, text.data, text.size);
		}
}

static const struct {
	const char *string, *written;
} strings[] = {
	/* without quotes */
	{"web", "web"},
	{"Zm9vYmE=", "Zm9vYmE="},
	{"3q2+7w==", "3q2+7w=="},
	{"a b", "a b"},
	{"a:b", "a:b"},
	{"a#b", "a#b"},
	{"a-b", "a-b"},
	{"a, b", "a, b"},
	{"it's", "it's"},
	{"/a/b", "/a/b"},
	{"(a)", "(a)"},
	{"nullable", "nullable"},
	{"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80"},
	{"kuma.io/mesh", "kuma.io/mesh"},
	{"0xg", "0xg"},

	/* it would be something else */
	{"", "\"\""},
	{"~", "\"~\""},
	{"null", "\"null\""},
	{"NULL", "\"NULL\""},
	{"true", "\"true\""},
	{"False", "\"False\""},
	{"yes", "\"yes\""},
	{"No", "\"No\""},
	{"ON", "\"ON\""},
	{"off", "\"off\""},
	{"y", "\"y\""},
	{"N", "\"N\""},
	{"0", "\"0\""},
	{"12", "\"12\""},
	{"-12", "\"-12\""},
	{"+12", "\"+12\""},
	{"1_000", "\"1_000\""},
	{"0777", "\"0777\""},
	{"0o17", "\"0o17\""},
	{"0x1F", "\"0x1F\""},
	{"0b101", "\"0b101\""},
	{"1.5", "\"1.5\""},
	{".5", "\".5\""},
	{"1e3", "\"1e3\""},
	{"1E+3", "\"1E+3\""},
	{".inf", "\".inf\""},
	{"-.INF", "\"-.INF\""},
	{".NaN", "\".NaN\""},
	{"190:20:30", "\"190:20:30\""},
	{"2001-12-14", "\"2001-12-14\""},
	{"2001-12-14t21:59:43.10-05:00", "\"2001-12-14t21:59:43.10-05:00\""},
	{"2001-12-14 21:59:43.10 -5", "\"2001-12-14 21:59:43.10 -5\""},
	{"=", "\"=\""},
	{"<<", "\"<<\""},

	/* it would be read otherwise */
	{" a", "\" a\""},
	{"a ", "\"a \""},
	{"a: b", "\"a: b\""},
	{"a:", "\"a:\""},
	{"a #b", "\"a #b\""},
	{"#a", "\"#a\""},
	{"- a", "\"- a\""},
	{"-", "\"-\""},
	{"---", "\"---\""},
	{"--- a", "\"--- a\""},
	{"...", "\"...\""},
	{"?", "\"?\""},
	{"? a", "\"? a\""},
	{":", "\":\""},
	{", a", "\", a\""},
	{"[a", "\"[a\""},
	{"]", "\"]\""},
	{"{a", "\"{a\""},
	{"}", "\"}\""},
	{"&a", "\"&a\""},
	{"*a", "\"*a\""},
	{"!a", "\"!a\""},
	{"|", "\"|\""},
	{">", "\">\""},
	{"'a'", "\"'a'\""},
	{"\"a\"", "\"\\\"a\\\"\""},
	{"%a", "\"%a\""},
	{"@a", "\"@a\""},
	{"`a", "\"`a\""},
	{"\\", "\\"},
	{" \\", "\" \\\\\""},
	{"a\nb", "\"a\\nb\""},
	{"a\tb", "\"a\\tb\""},
	{"a\rb", "\"a\\rb\""},
	{"a\x01"
	 "b",
	 "\"a\\x01b\""},
	{"\x7f", "\"\\x7F\""},
	{"\xc2\x85", "\"\\x85\""},
	{"\xe2\x80\xa8", "\"\\u2028\""},
	{"\xef\xbb\xbf"
	 "a",
	 "\"\\uFEFFa\""},
};

static void test_strings(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(strings); i++) {
		SECBUF_AUTO text = {0};
		size_t size = strlen(strings[i].string);

		assert_int_equal(yaml_write_string(strings[i].string, size, &text), 0);
		assert_written(&text, strings[i].written);
		YAML_AUTO *stream = read_bytes(text.data, text.size);
		assert_string_equal(yaml_text(stream, yaml_root(stream), NULL), strings[i].string);
	}
}

/* What isn't UTF-8 is written as something that can be read. */
static void test_string_that_is_no_utf8(void **state)
{
	static const char *const bad[] = {"a\xff",	  "\xc3",  "\xe2\x82", "\xf0\x9f\x98", "\x80",
					  "\xed\xa0\x80", "\xc3(", "\xc0\xaf", "\xe0\x80\xaf", "\xf8\x80\x80\x80",
					  "\xef\xbf\xbe", "\xf4\x90\x80\x80"}; /* the last are no characters */

	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++) {
		SECBUF_AUTO text = {0};

		assert_int_equal(yaml_write_string(bad[i], strlen(bad[i]), &text), 0);
		for (size_t j = 0; j < text.size; j++)
			assert_in_range(text.data[j], ' ', '~');
	}
}

static void test_short_of_memory(void **state)
{
	YAML_AUTO *stream = read_bytes("a: \"x\\ny\"\nb: [c]\n", 17);
	SECBUF_AUTO text = {0};
	void *room = secmem_alloc(2000), *rest = NULL;
	static char string[20000];

	(void)state;
	memset(string, 'x', sizeof(string));
	assert_int_equal(secbuf_write(&text, 0, "earlier", 7), 0);
	for (size_t bytes = FIXTURE_ARENA_BYTES; !rest && bytes; bytes -= 64)
		rest = secmem_alloc(bytes);
	secmem_free(room);
	assert_int_equal(yaml_write_string(string, sizeof(string), &text), -ENOMEM);
	assert_int_equal(text.size, 7);
	for (int written = 0; written == 0;) { /* until there is no room for one more */
		size_t before = text.size;

		/* 26 bytes, so that the buffer, of 7 * 2^n, is full in the middle of one */
		written = yaml_write_node(stream, yaml_root(stream), 1, &text);
		if (written < 0) {
			assert_int_equal(written, -ENOMEM);
			assert_int_equal(text.size, before);
		}
	}
	assert_memory_equal(text.data, "earlier", 7);
	secmem_free(rest);
}

/* A random tree, as JSON with everything escaped that could be, and some scalars without quotes. */
struct generator {
	uint64_t seed;
	char *text;
	size_t size;
	unsigned budget; /* of nodes */
	unsigned keys;
};

static uint64_t draw(struct generator *generator, uint64_t bound)
{
	return fixture_random(&generator->seed, bound);
}

static void emit(struct generator *generator, const char *text)
{
	size_t bytes = strlen(text);

	memcpy(generator->text + generator->size, text, bytes);
	generator->size += bytes;
}

static void emit_quoted(struct generator *generator, unsigned pieces_max)
{
	static const char *const pieces[] = {
		"a", "b", "Z", " ", "  ", "\\n", "\\n", "\\n\\n", "\\t", ":", ": ", "#", " #", "-", "- ", "---",
		"...", "\xc3\xa9", "\\x85", "\\u2028", "\\u2029", "\\ufeff", "\\U0001F600", "\\x01", "\\x7f", "'",
		"\\\"", "\\\\", "{", "}", "[", ",", "k: v", "yes", "true", "null", "~", "1", "0", "0x1f", ".", "e",
		"%", "|", ">", "!", "&", "*", "?", "=", "<<", "2001-01-01", "\\r", "\\r\\n", "\\ud7ff", "\\ufffd",
		"@", "`", "\\x1b[0m", "\\xa0", "word", "_", "+",
	};
	uint64_t n = draw(generator, pieces_max);

	emit(generator, "\"");
	while (n--)
		emit(generator, pieces[draw(generator, COUNT(pieces))]);
	emit(generator, "\"");
}

static void emit_plain(struct generator *generator, bool may_be_empty)
{
	static const char *const plain[] = {
		"a", "12", "-1", "1.5", "true", "no", "null", "~", "", "a b", "a:b", "a#b", "-a", "-", "2001-01-01",
		"0x1F", ".inf", "<<", "=", "a\n b", "a\n\n b", "x'y", "x\"y", "a-", "+", "1_0", ".", "..", "...a",
		"\xc3\xa9", "y",
	};
	const char *text = plain[draw(generator, COUNT(plain))];

	emit(generator, *text || may_be_empty ? text : "~");
}

static void emit_node(struct generator *generator, unsigned depth, bool in_mapping);

static void emit_collection(struct generator *generator, unsigned depth, bool is_mapping)
{
	emit(generator, is_mapping ? "{" : "[");
	for (uint64_t n = draw(generator, 6); n && generator->budget; n--) {
		char number[32];

		if (is_mapping) {
			/* keys differ by a number at their end */
			emit_quoted(generator, draw(generator, 20) ? 6 : 150);
			snprintf(number, sizeof(number), "%u\": ", generator->keys++);
			generator->size--;
			emit(generator, number);
		}
		emit_node(generator, depth + 1, is_mapping);
		emit(generator, ",\n ");
	}
	emit(generator, is_mapping ? "}" : "]");
}

static void emit_node(struct generator *generator, unsigned depth, bool in_mapping)
{
	uint64_t choice = depth == 0 ? 8 + draw(generator, 2) : draw(generator, depth < 8 ? 10 : 8);

	generator->budget -= generator->budget > 0;
	if (choice < 5)
		emit_quoted(generator, 8);
	else if (choice < 8)
		emit_plain(generator, in_mapping);
	else
		emit_collection(generator, depth, choice == 8);
}

static void test_random_trees(void **state)
{
	struct generator generator = {.seed = 4711, .text = malloc(1024 * 1024)};
	size_t bytes = 0;

	(void)state;
	assert_non_null(generator.text);
	for (int i = 0; i < TREES; i++) {
		SECBUF_AUTO text = {0};
		SECBUF_AUTO twice = {0};
		unsigned indent = (unsigned)draw(&generator, 5);

		generator.size = 0;
		generator.budget = 1 + (unsigned)i / 200; /* small ones first */
		emit_node(&generator, 0, false);
		YAML_AUTO *stream = read_bytes(generator.text, generator.size);
		assert_int_equal(yaml_write_node(stream, yaml_root(stream), indent, &text), 0);
		YAML_AUTO *again = read_bytes(text.data, text.size);
		if (!yaml_same(stream, yaml_root(stream), again, yaml_root(again)))
			fail_msg("%.*s\nwas written as\n%.*s", (int)generator.size, generator.text, (int)text.size,
				 (const char *)text.data);
		/* and what was written is written the same again */
		assert_int_equal(yaml_write_node(again, yaml_root(again), indent, &twice), 0);
		assert_int_equal(twice.size, text.size);
		assert_memory_equal(twice.data, text.data, text.size);
		bytes += text.size;
	}
	free(generator.text);
	printf("# %d random trees, %zu bytes as YAML\n", TREES, bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_documents),
		cmocka_unit_test(test_entries_and_indent),
		cmocka_unit_test(test_long_keys),
		cmocka_unit_test(test_strings),
		cmocka_unit_test(test_string_that_is_no_utf8),
		cmocka_unit_test(test_short_of_memory),
		cmocka_unit_test(test_random_trees),
	};

	return cmocka_run_group_tests(tests, fixture_group_setup, fixture_group_teardown);
}
