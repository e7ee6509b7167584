/* SPDX-License-Identifier: Apache-2.0
 * fuzz_bundle: any bytes as resource documents. What is taken has valid names, and written again it is the same; what is refused
 * leaves nothing; nothing stays in the arena. The first byte says what is to be taken.
 */
#include "tests/fuzz/fuzz.h"

#include "store/bundle.h"
#include "store/mesh.h"
#include "tests/unit/fixture.h"

#include <errno.h>
#include <string.h>

static void check_written(const struct bundle_item *item, const struct bundle_options *options)
{
	const struct bundle_options any = {.value_bytes = 2 * options->value_bytes + 1024};
	SECBUF_AUTO text = {0};
	struct bundle_error error;
	BUNDLE_AUTO again = {0};

	fixture_must(bundle_write(item, &text) == 0);
	fixture_must(bundle_parse(text.data, text.size, &any, &again, &error) == 0);
	fixture_must(again.n == 1 && name_equal(&again.items[0].name, &item->name));
	fixture_must(again.items[0].value.size == item->value.size);
	fixture_must(!item->value.size || memcmp(again.items[0].value.data, item->value.data, item->value.size) == 0);
}

static void check_item(const struct bundle_item *item, const struct bundle_options *options)
{
	struct mesh_backend backend;
	struct name name;

	fixture_must(item->document > 0 && item->line > 0 && item->value.size <= options->value_bytes);
	fixture_must(name_set(&name, item->name.kind, item->name.mesh, item->name.name) == 0);
	fixture_must(name_equal(&name, &item->name));
	if (item->name.kind == NAME_MESH)
		fixture_must(mesh_read(&item->value, item->name.name, &backend) == 0);
	check_written(item, options);
}

static void check_error(const struct bundle_error *error)
{
	char line[BUNDLE_LINE_BYTES];

	fixture_must(error->document > 0 && error->line > 0 && error->text[0]);
	bundle_error_line(error, line);
	for (const char *c = line; *c; c++)
		fixture_must((unsigned char)*c >= ' ' && *c != 0x7f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static bool ready;
	struct bundle_options options = {.value_bytes = 4096};
	struct bundle_error error = {0};
	BUNDLE_AUTO bundle = {0};
	int r;

	if (!ready)
		fixture_init();
	ready = true;
	if (size == 0)
		return 0;
	options.skip_others = data[0] & 1;
	options.namespace = data[0] & 2 ? "mine" : NULL;
	r = bundle_parse(data + 1, size - 1, &options, &bundle, &error);
	fixture_must(r == 0 || r == -EINVAL);
	if (r == -EINVAL) {
		fixture_must(bundle.n == 0 && bundle.skipped == 0);
		check_error(&error);
	}
	for (size_t i = 0; i < bundle.n; i++)
		check_item(&bundle.items[i], &options);
	bundle_deinit(&bundle);
	fixture_must(secmem_in_use() == 0);
	return 0;
}
