/* SPDX-License-Identifier: Apache-2.0
 * fuzz_base64: any bytes encoded and decoded are the same; any text that is decoded is, but for what is skipped and for
 * bits left over, what encoding makes of its bytes.
 */
#include "tests/fuzz/fuzz.h"

#include "store/base64.h"
#include "tests/unit/fixture.h"

#include <errno.h>
#include <string.h>

static void check_bytes(const uint8_t *data, size_t size)
{
	SECBUF_AUTO text = {0};
	SECBUF_AUTO bytes = {0};
	size_t at;

	fixture_must(base64_encode(data, size, &text) == 0);
	fixture_must(text.size == (size + 2) / 3 * 4);
	fixture_must(base64_decode((const char *)text.data, text.size, &bytes, &at) == 0);
	fixture_must(bytes.size == size);
	fixture_must(size == 0 || memcmp(bytes.data, data, size) == 0);
}

/* The text without line breaks and blanks. */
static void strip(const uint8_t *data, size_t size, struct secbuf *ret_text)
{
	for (size_t i = 0; i < size; i++)
		if (data[i] == 0 || !strchr("\r\n\t ", data[i]))
			fixture_must(secbuf_write(ret_text, ret_text->size, &data[i], 1) == 0);
}

static void check_text(const uint8_t *data, size_t size)
{
	SECBUF_AUTO bytes = {0};
	SECBUF_AUTO stripped = {0};
	SECBUF_AUTO text = {0};
	size_t at = SIZE_MAX, last;
	int r = base64_decode((const char *)data, size, &bytes, &at);

	if (r < 0) {
		fixture_must(r == -EINVAL && at <= size && bytes.size == 0);
		return;
	}
	strip(data, size, &stripped);
	fixture_must(base64_encode(bytes.data, bytes.size, &text) == 0);
	fixture_must(text.size == stripped.size);
	if (text.size == 0)
		return;
	last = text.size - 1;
	while (text.data[last] == '=')
		last--;
	fixture_must(memcmp(text.data, stripped.data, last) == 0);
	fixture_must(memcmp(text.data + last + 1, stripped.data + last + 1, text.size - last - 1) == 0);
	fixture_must(last + 1 < text.size || text.data[last] == stripped.data[last]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static bool ready;

	if (!ready)
		fixture_init();
	ready = true;
	check_bytes(data, size);
	check_text(data, size);
	fixture_must(secmem_in_use() == 0);
	return 0;
}
