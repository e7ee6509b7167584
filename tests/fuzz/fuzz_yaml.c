/* SPDX-License-Identifier: Apache-2.0
 * fuzz_yaml: any bytes as YAML. What is read of them is written, and what was written reads as the same; nothing stays
 * in the arena.
 */
#include "tests/fuzz/fuzz.h"

#include "store/secmem.h"
#include "store/yaml.h"
#include "tests/unit/fixture.h"
#include "tests/unit/yaml_same.h"

#include <errno.h>
#include <string.h>

static void check_written(const struct yaml_stream *stream)
{
	SECBUF_AUTO text = {0};
	struct yaml_stream *again;
	struct yaml_error error;

	fixture_must(yaml_write_node(stream, yaml_root(stream), 0, &text) == 0);
	if (yaml_kind(stream, yaml_root(stream)) == YAML_SCALAR) /* its line has no end yet */
		fixture_must(secbuf_write(&text, text.size, "\n", 1) == 0);
	fixture_must(yaml_stream_new(text.data, text.size, &again) == 0);
	fixture_must(yaml_stream_next(again, &error) == 1);
	fixture_must(yaml_same(stream, yaml_root(stream), again, yaml_root(again)));
	fixture_must(yaml_stream_next(again, &error) == 0);
	yaml_stream_free(again);
}

static void check_error(const struct yaml_error *error)
{
	size_t length = strnlen(error->text, sizeof(error->text));

	fixture_must(error->document > 0 && error->line > 0);
	fixture_must(length > 0 && length < sizeof(error->text));
	for (size_t i = 0; i < length; i++)
		fixture_must(error->text[i] >= ' ' && error->text[i] <= '~');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static bool ready;
	struct yaml_stream *stream;
	struct yaml_error error;
	unsigned number = 0;
	int r;

	if (!ready)
		fixture_init();
	ready = true;
	fixture_must(yaml_stream_new(data, size, &stream) == 0);
	while ((r = yaml_stream_next(stream, &error)) == 1) {
		fixture_must(yaml_number(stream) > number);
		number = yaml_number(stream);
		check_written(stream);
	}
	fixture_must(r == 0 || r == -EINVAL);
	if (r == -EINVAL)
		check_error(&error);
	yaml_stream_free(stream);
	fixture_must(secmem_in_use() == 0);
	return 0;
}
