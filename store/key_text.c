/* SPDX-License-Identifier: Apache-2.0
 * key_text: one line and some bytes.
 */
#include "store/key_text.h"

#include <errno.h>
#include <string.h>

static const char key_text_file[] = "key-file\n", key_text_passphrase[] = "passphrase\n";

int key_text_write(const struct key *key, struct secbuf *text)
{
	const char *line = key->kind == KEY_FILE ? key_text_file : key_text_passphrase;
	int r = secbuf_write(text, text->size, line, strlen(line));

	if (r == 0)
		r = secbuf_write(text, text->size, key->bytes, key->size);
	if (r == 0 && key->kind == KEY_PASSPHRASE) /* which may end with one of its own */
		r = secbuf_write(text, text->size, "\n", 1);
	return r;
}

static bool key_text_begins(const struct secbuf *text, const char *line)
{
	return text->size > strlen(line) && memcmp(text->data, line, strlen(line)) == 0;
}

int key_text_read(const struct secbuf *text, struct key **ret_key)
{
	bool file = key_text_begins(text, key_text_file);
	size_t start = strlen(file ? key_text_file : key_text_passphrase);
	struct key *key;
	size_t size;

	if (!file && !key_text_begins(text, key_text_passphrase))
		return -EINVAL;
	size = text->size - start;
	if (!file && text->data[text->size - 1] == '\n')
		size--;
	if (file ? size != CRYPTO_KEY_BYTES : !size || size >= KEY_PASSPHRASE_BYTES)
		return -EINVAL;
	key = secmem_alloc(sizeof(*key));
	if (!key)
		return -ENOMEM;
	key->kind = file ? KEY_FILE : KEY_PASSPHRASE;
	key->size = size;
	memcpy(key->bytes, text->data + start, size);
	*ret_key = key;
	return 0;
}
