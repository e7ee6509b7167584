/* SPDX-License-Identifier: Apache-2.0
 * json: scalars without quotes are what Kuma's YAML reader (YAML 1.1) takes them for: numbers, booleans, null; all else
 * is a string.
 */
#include "tools/json.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static int json_put(const char *bytes, struct secbuf *text)
{
	return secbuf_write(text, text->size, bytes, strlen(bytes));
}

/* "\n" and the blanks of a line. */
static int json_break(unsigned depth, struct secbuf *text)
{
	int r = json_put("\n", text);

	for (unsigned i = 0; r == 0 && i < depth; i++)
		r = json_put("  ", text);
	return r;
}

/* How @byte is written where it can't stand for itself; "" if it can. */
static void json_escape(unsigned char byte, char ret_text[static 8])
{
	static const char plain[] = "\"\\\n\r\t\b\f";
	static const char letters[] = "\"\\nrtbf";
	const char *found = byte ? strchr(plain, byte) : NULL;

	ret_text[0] = '\0';
	if (found)
		snprintf(ret_text, 8, "\\%c", letters[found - plain]);
	else if (byte < ' ' || byte == 0x7f)
		snprintf(ret_text, 8, "\\u%04x", byte);
}

int json_string(const char *string, size_t size, struct secbuf *text)
{
	size_t from = 0;
	int r = json_put("\"", text);

	for (size_t i = 0; r == 0 && i < size; i++) {
		char escape[8];

		json_escape((unsigned char)string[i], escape);
		if (!escape[0])
			continue;
		r = secbuf_write(text, text->size, string + from, i - from);
		if (r == 0)
			r = json_put(escape, text);
		from = i + 1;
	}
	if (r == 0)
		r = secbuf_write(text, text->size, string + from, size - from);
	return r == 0 ? json_put("\"", text) : r;
}

static size_t json_digits(const char *at)
{
	return strspn(at, "0123456789");
}

/* Is it a number as JSON has them? */
static bool json_is_number(const char *word)
{
	const char *at = word + (word[0] == '-');
	size_t digits = json_digits(at);

	if (digits == 0 || (at[0] == '0' && digits > 1))
		return false;
	at += digits;
	if (*at == '.') {
		digits = json_digits(++at);
		at += digits;
		if (digits == 0)
			return false;
	}
	if (*at == 'e' || *at == 'E') {
		at++;
		at += *at == '+' || *at == '-';
		digits = json_digits(at);
		at += digits;
		if (digits == 0)
			return false;
	}
	return *at == '\0';
}

/* The boolean that a word without quotes is, or NULL. */
static const char *json_boolean(const char *word)
{
	static const char *const words[][2] = {{"true", "true"},   {"yes", "true"}, {"on", "true"},   {"y", "true"},
					       {"false", "false"}, {"no", "false"}, {"off", "false"}, {"n", "false"}};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strcasecmp(word, words[i][0]) == 0)
			return words[i][1];
	return NULL;
}

static int json_scalar(const struct yaml_stream *stream, uint32_t node, struct secbuf *text)
{
	size_t size;
	const char *word = yaml_text(stream, node, &size);

	if (yaml_is_null(stream, node))
		return json_put("null", text);
	if (yaml_is_plain(stream, node) && json_is_number(word))
		return json_put(word, text);
	if (yaml_is_plain(stream, node) && json_boolean(word))
		return json_put(json_boolean(word), text);
	return json_string(word, size, text);
}

static int json_value(const struct yaml_stream *stream, uint32_t node, unsigned depth, struct secbuf *text);

/* A mapping or a sequence. Documents are no deeper than YAML_DEPTH_MAX, and so is this. */
static int json_container(const struct yaml_stream *stream, uint32_t node, unsigned depth, struct secbuf *text)
{
	bool mapping = yaml_kind(stream, node) == YAML_MAPPING;
	uint32_t item = yaml_first(stream, node);
	bool empty = item == YAML_NONE;
	int r = json_put(mapping ? "{" : "[", text);

	while (r == 0 && item != YAML_NONE) {
		r = json_break(depth + 1, text);
		if (r == 0)
			r = mapping ? json_entry(stream, item, depth + 1, text)
				    : json_value(stream, item, depth + 1, text);
		item = yaml_after(stream, mapping ? yaml_after(stream, item) : item);
		if (r == 0 && item != YAML_NONE)
			r = json_put(",", text);
	}
	if (r == 0 && !empty)
		r = json_break(depth, text);
	return r == 0 ? json_put(mapping ? "}" : "]", text) : r;
}

static int json_value(const struct yaml_stream *stream, uint32_t node, unsigned depth, struct secbuf *text)
{
	return yaml_kind(stream, node) == YAML_SCALAR ? json_scalar(stream, node, text)
						      : json_container(stream, node, depth, text);
}

int json_entry(const struct yaml_stream *stream, uint32_t key, unsigned depth, struct secbuf *text)
{
	size_t size;
	const char *name = yaml_text(stream, key, &size);
	int r = json_string(name, size, text);

	if (r == 0)
		r = json_put(": ", text);
	return r == 0 ? json_value(stream, yaml_after(stream, key), depth, text) : r;
}
