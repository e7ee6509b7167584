/* SPDX-License-Identifier: Apache-2.0
 * yaml_write: trees and strings as YAML that people would have written.
 *
 * Block style, "- " at its key's indent, a text of several lines as a literal block. What came without quotes stays
 * without. A string is left without quotes if it can't be taken for anything else by YAML 1.1 or 1.2; in doubt it gets
 * double quotes, in which everything can be written.
 */
#include "store/yaml_internal.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#define INDENT 2
#define NO_CHARACTER 0xd800 /* half of one in UTF-16: nothing that could be meant */
#define REPLACEMENT 0xfffd
#define KEY_BYTES_MAX 240 /* libyaml wants a key to end within 1024 characters, also quoted, unless it has "? " in front */

struct writer {
	const struct yaml_stream *stream;
	struct secbuf *text;
	bool in_line; /* after "- ": what comes next does not begin a line */
	int error;
};

static void put(struct writer *writer, const char *bytes, size_t size)
{
	if (writer->error == 0)
		writer->error = secbuf_write(writer->text, writer->text->size, bytes, size);
}

static void put_text(struct writer *writer, const char *text)
{
	put(writer, text, strlen(text));
}

static void put_blanks(struct writer *writer, unsigned n)
{
	while (n--)
		put(writer, " ", 1);
}

static void begin_line(struct writer *writer, unsigned indent)
{
	if (!writer->in_line)
		put_blanks(writer, indent);
	writer->in_line = false;
}

/* The length of the character at @text, and which: NO_CHARACTER for a byte that is no UTF-8. */
static size_t decode(const char *text, size_t size, uint32_t *ret_character)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000}; /* by length */
	const uint8_t *bytes = (const uint8_t *)text;
	size_t length = bytes[0] >= 0xf0 ? 4 : bytes[0] >= 0xe0 ? 3 : 2;
	uint32_t character = bytes[0] & (0x7f >> length);

	*ret_character = bytes[0] < 0x80 ? bytes[0] : NO_CHARACTER;
	if (bytes[0] < 0xc0 || bytes[0] >= 0xf8)
		return 1;
	for (size_t i = 1; i < length; i++) {
		if (i >= size || (bytes[i] & 0xc0) != 0x80)
			return 1;
		character = character << 6 | (bytes[i] & 0x3f);
	}
	if (character < least[length])
		return 1;
	*ret_character = character;
	return length;
}

/* May it stand in any scalar as it is? Not what breaks lines, also NEL, LS and PS, and not what can't be seen. */
static bool is_printable(uint32_t character)
{
	if (character < 0xa0)
		return character >= ' ' && character <= '~';
	if (character == 0x2028 || character == 0x2029 || character == 0xfeff)
		return false;
	return character < 0xd800 || (character >= 0xe000 && character <= 0xfffd) ||
	       (character >= 0x10000 && character <= 0x10ffff);
}

/* Only such characters, and those of @besides? */
static bool is_made_of_printable(const char *text, size_t size, const char *besides)
{
	for (size_t at = 0; at < size;) {
		uint32_t character;

		at += decode(text + at, size - at, &character);
		if (is_printable(character))
			continue;
		if (!(character && character < 0x80 && strchr(besides, (int)character))) /* GCOVR_EXCL_BR_LINE: yaml.c refuses NUL */
			return false;
	}
	return true;
}

static bool begins_with(const char *text, size_t size, const char *prefix)
{
	return size >= strlen(prefix) && memcmp(text, prefix, strlen(prefix)) == 0;
}

/* Words that are no strings in YAML 1.1 or 1.2. What they begin with besides letters is sorted out before. */
static bool is_word(const char *text, size_t size)
{
	static const char *const words[] = {"null", "true", "false", "yes", "no", "on", "off", "y", "n"};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strlen(words[i]) == size && strncasecmp(text, words[i], size) == 0)
			return true;
	return false;
}

/* Could it be a number or a date, in any notation? */
static bool is_like_a_number(const char *text, size_t size)
{
	if (text[0] < '0' || text[0] > '9')
		return false;
	for (size_t i = 0; i < size; i++)
		if (!strchr("0123456789abcdefABCDEFxXoO_.,:+-TtZz ", text[i]))
			return false;
	return true;
}

/* Without quotes, is it this string to whoever reads it? */
static bool is_string_without_quotes(const char *text, size_t size)
{
	if (size == 0 || !is_made_of_printable(text, size, ""))
		return false;
	if (strchr("-+.?:,[]{}#&*!|>'\"%@`=<~ ", text[0]) || text[size - 1] == ' ' || text[size - 1] == ':')
		return false;
	if (memmem(text, size, ": ", 2) || memmem(text, size, " #", 2))
		return false;
	return !is_word(text, size) && !is_like_a_number(text, size);
}

/* Can what came without quotes be written without? It may have been folded, or in brackets, where other things are
 * allowed. */
static bool stays_plain(const char *text, size_t size)
{
	if (size == 0 || !is_made_of_printable(text, size, "\t"))
		return false;
	if (begins_with(text, size, "---") || begins_with(text, size, "..."))
		return false;
	return !begins_with(text, size, "- ") && !(size == 1 && text[0] == '-'); /* GCOVR_EXCL_BR_LINE: libyaml reads no "- x" */
}

/* Is a literal block exactly this? Its indentation is that of the first line that isn't empty. */
static bool is_literal(const char *text, size_t size)
{
	size_t first = 0;

	while (first < size && text[first] == '\n')
		first++;
	if (first == size || text[first] == ' ' || text[first] == '\t')
		return false;
	return memchr(text, '\n', size) && is_made_of_printable(text, size, "\n\t");
}

static void put_escaped(struct writer *writer, uint32_t character)
{
	char escape[12];

	if ((character >= 0xd800 && character <= 0xdfff) || character > 0x10ffff) /* GCOVR_EXCL_BR_LINE: libyaml reads none so high */
		character = REPLACEMENT;
	if (character == '"' || character == '\\')
		snprintf(escape, sizeof(escape), "\\%c", (char)character);
	else if (character == '\n' || character == '\r' || character == '\t')
		snprintf(escape, sizeof(escape), "\\%c", character == '\n' ? 'n' : character == '\r' ? 'r' : 't');
	else
		snprintf(escape, sizeof(escape), character > 0xff ? "\\u%04X" : "\\x%02X", character);
	put_text(writer, escape);
	secmem_wipe(escape, sizeof(escape));
}

static void put_quoted(struct writer *writer, const char *text, size_t size)
{
	put_text(writer, "\"");
	for (size_t at = 0; at < size;) {
		uint32_t character;
		size_t length = decode(text + at, size - at, &character);

		if (is_printable(character) && character != '"' && character != '\\')
			put(writer, text + at, length);
		else
			put_escaped(writer, character);
		at += length;
	}
	put_text(writer, "\"");
}

/* "|" and the lines; the last one is left to the caller to end. */
static void put_literal(struct writer *writer, const char *text, size_t size, unsigned indent)
{
	const char *end = text + size, *keep = "-";

	if (end[-1] == '\n') {
		end--;
		keep = end[-1] == '\n' ? "+" : "";
	}
	put_text(writer, "|");
	put_text(writer, keep);
	for (const char *line = text; line <= end;) {
		const char *newline = memchr(line, '\n', (size_t)(end - line));
		const char *line_end = newline ? newline : end;

		put_text(writer, "\n");
		if (line_end > line)
			put_blanks(writer, indent);
		put(writer, line, (size_t)(line_end - line));
		line = line_end + 1;
	}
}

static void put_string(struct writer *writer, const char *text, size_t size)
{
	if (is_string_without_quotes(text, size))
		put(writer, text, size);
	else
		put_quoted(writer, text, size);
}

/* A scalar whose line, or whose key or dash, is at @indent. */
static void put_scalar(struct writer *writer, uint32_t node, unsigned indent)
{
	size_t size;
	const char *text = yaml_text(writer->stream, node, &size);

	if (yaml_is_plain(writer->stream, node) && stays_plain(text, size))
		put(writer, text, size);
	else if (is_literal(text, size))
		put_literal(writer, text, size, indent + INDENT);
	else
		put_string(writer, text, size);
}

/* In one line. */
static void put_key(struct writer *writer, uint32_t key, unsigned indent)
{
	size_t size;
	const char *text = yaml_text(writer->stream, key, &size);
	bool is_long = size > KEY_BYTES_MAX;

	begin_line(writer, indent);
	if (is_long)
		put_text(writer, "? ");
	if (!is_long && yaml_is_plain(writer->stream, key) && stays_plain(text, size))
		put(writer, text, size);
	else
		put_string(writer, text, size); /* a plain one with ':' at its end would be a mapping after "? " */
	if (is_long) {
		put_text(writer, "\n");
		put_blanks(writer, indent);
	}
	put_text(writer, ":");
}

static void put_lines(struct writer *writer, uint32_t node, unsigned indent);

/* What comes after "key:" or "-" and is written in the same line; false if it isn't. */
static bool put_in_line(struct writer *writer, uint32_t node, unsigned indent)
{
	bool is_scalar = yaml_kind(writer->stream, node) == YAML_SCALAR;

	if (!is_scalar && yaml_first(writer->stream, node) != YAML_NONE)
		return false;
	if (!is_scalar) {
		put_text(writer, yaml_kind(writer->stream, node) == YAML_MAPPING ? " {}" : " []");
	} else if (!yaml_is_plain(writer->stream, node) || !yaml_equals(writer->stream, node, "")) {
		put_text(writer, " ");
		put_scalar(writer, node, indent);
	}
	put_text(writer, "\n");
	return true;
}

static void put_entry(struct writer *writer, uint32_t key, unsigned indent)
{
	uint32_t value = yaml_after(writer->stream, key);

	put_key(writer, key, indent);
	if (put_in_line(writer, value, indent))
		return;
	put_text(writer, "\n");
	put_lines(writer, value, yaml_kind(writer->stream, value) == YAML_MAPPING ? indent + INDENT : indent);
}

static void put_item(struct writer *writer, uint32_t item, unsigned indent)
{
	begin_line(writer, indent);
	put_text(writer, "-");
	if (put_in_line(writer, item, indent))
		return;
	put_text(writer, " ");
	writer->in_line = true;
	put_lines(writer, item, indent + INDENT);
}

/* A mapping or sequence that isn't empty. */
static void put_lines(struct writer *writer, uint32_t node, unsigned indent)
{
	uint32_t child = yaml_first(writer->stream, node);

	if (yaml_kind(writer->stream, node) == YAML_SEQUENCE) {
		for (; child; child = yaml_after(writer->stream, child))
			put_item(writer, child, indent);
		return;
	}
	for (; child; child = yaml_after(writer->stream, yaml_after(writer->stream, child)))
		put_entry(writer, child, indent);
}

/* What was written, or nothing. */
static int finish(struct writer *writer, size_t size_before)
{
	if (writer->error < 0)
		secbuf_resize(writer->text, size_before);
	return writer->error;
}

int yaml_write_node(const struct yaml_stream *stream, uint32_t node, unsigned indent, struct secbuf *text)
{
	struct writer writer = {.stream = stream, .text = text};
	size_t size_before = text->size;

	if (yaml_kind(stream, node) == YAML_SCALAR) {
		put_scalar(&writer, node, indent);
	} else if (yaml_first(stream, node) == YAML_NONE) {
		begin_line(&writer, indent);
		put_text(&writer, yaml_kind(stream, node) == YAML_MAPPING ? "{}\n" : "[]\n");
	} else {
		put_lines(&writer, node, indent);
	}
	return finish(&writer, size_before);
}

int yaml_write_entry(const struct yaml_stream *stream, uint32_t key, unsigned indent, struct secbuf *text)
{
	struct writer writer = {.stream = stream, .text = text};
	size_t size_before = text->size;

	put_entry(&writer, key, indent);
	return finish(&writer, size_before);
}

int yaml_write_string(const char *string, size_t size, struct secbuf *text)
{
	struct writer writer = {.text = text};
	size_t size_before = text->size;

	put_string(&writer, string, size);
	return finish(&writer, size_before);
}
