/* SPDX-License-Identifier: Apache-2.0
 * base64: four characters at a time, and where each of the ways to be wrong is found.
 *
 * The offsets in errors are those of Go's decoder, which users of kumactl know and search for. It looks at groups of
 * four characters, over line breaks, and tells of a group that ends too early where it would have begun had it no line
 * breaks in it.
 */
#include "store/base64.h"

#include <errno.h>
#include <stdbool.h>

#define GROUP 4

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

struct decoder {
	const char *text;
	size_t size;
	size_t at;
};

static bool is_skipped(char c)
{
	return c == '\n' || c == '\r' || c == ' ' || c == '\t';
}

static void skip(struct decoder *decoder)
{
	while (decoder->at < decoder->size && is_skipped(decoder->text[decoder->at]))
		decoder->at++;
}

static int value_of(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

static int wrong(size_t at, size_t *ret_at)
{
	*ret_at = at;
	return -EINVAL;
}

/* The rest after the first "=" of a group that has @characters in front of it: "=" once more after two, then nothing.
 */
static int check_padding(struct decoder *decoder, unsigned characters, size_t *ret_at)
{
	if (characters < 2)
		return wrong(decoder->at - 1, ret_at);
	skip(decoder);
	if (characters == 2) {
		if (decoder->at == decoder->size)
			return wrong(decoder->size, ret_at);
		if (decoder->text[decoder->at] != '=')
			return wrong(decoder->at - 1, ret_at);
		decoder->at++;
		skip(decoder);
	}
	return decoder->at < decoder->size ? wrong(decoder->at, ret_at) : 0;
}

/* How many characters the next group has, 0 at the end; @ret_bits: 6 of each, from bit 23 on. */
static int next_group(struct decoder *decoder, uint32_t *ret_bits, size_t *ret_at)
{
	unsigned characters = 0;

	*ret_bits = 0;
	while (characters < GROUP) {
		char c;
		int value, r;

		skip(decoder);
		if (decoder->at == decoder->size)
			return characters == 0 ? 0 : wrong(decoder->at - characters, ret_at);
		c = decoder->text[decoder->at++];
		if (c == '=') {
			r = check_padding(decoder, characters, ret_at);
			return r < 0 ? r : (int)characters;
		}
		value = value_of(c);
		if (value < 0)
			return wrong(decoder->at - 1, ret_at);
		*ret_bits |= (uint32_t)value << (18 - 6 * characters++);
	}
	return GROUP;
}

int base64_decode(const char *text, size_t size, struct secbuf *ret_bytes, size_t *ret_at)
{
	struct decoder decoder = {.text = text, .size = size};
	size_t start = ret_bytes->size, end = start, room;
	uint32_t bits;
	int characters;

	if (__builtin_add_overflow(start, size / GROUP * 3 + 3, &room) || secbuf_resize(ret_bytes, room) < 0)
		return -ENOMEM;
	while ((characters = next_group(&decoder, &bits, ret_at)) > 0)
		for (int i = 0; i < characters - 1; i++)
			ret_bytes->data[end++] = (uint8_t)(bits >> (16 - 8 * i));
	secbuf_resize(ret_bytes, characters < 0 ? start : end);
	return characters < 0 ? characters : 0;
}

static void encode_group(const uint8_t *bytes, size_t n, uint8_t *ret_text)
{
	uint32_t bits = (uint32_t)bytes[0] << 16 | (n > 1 ? (uint32_t)bytes[1] << 8 : 0) | (n > 2 ? bytes[2] : 0);

	for (unsigned i = 0; i < GROUP; i++)
		ret_text[i] = i <= n ? (uint8_t)alphabet[bits >> (18 - 6 * i) & 63] : '=';
}

int base64_encode(const void *bytes, size_t size, struct secbuf *ret_text)
{
	const uint8_t *source = bytes;
	size_t at = ret_text->size, room;

	if (__builtin_mul_overflow(size / 3 + (size % 3 != 0), (size_t)GROUP, &room) ||
	    __builtin_add_overflow(room, at, &room) || secbuf_resize(ret_text, room) < 0)
		return -ENOMEM;
	for (size_t i = 0; i < size; i += 3, at += GROUP)
		encode_group(source + i, size - i < 3 ? size - i : 3, ret_text->data + at);
	return 0;
}
