/* SPDX-License-Identifier: Apache-2.0
 * fuzz_name: any bytes as the name of a resource, against Kuma's two rules as they are written in its sources. The
 * first byte says of which kind.
 */
#include "tests/fuzz/fuzz.h"

#include "store/name.h"
#include "tests/unit/fixture.h"

#include <regex.h>
#include <string.h>

#define LABEL "[a-z0-9]([-a-z0-9]*[a-z0-9])?"

static bool matches(const char *name)
{
	static const char *const rules[] = {"^[0-9a-z_-]+$", "^" LABEL "(\\." LABEL ")*$"};
	static regex_t compiled[2];
	static bool ready;

	for (size_t i = 0; i < 2 && !ready; i++)
		fixture_must(regcomp(&compiled[i], rules[i], REG_EXTENDED | REG_NOSUB) == 0);
	ready = true;
	return regexec(&compiled[0], name, 0, NULL, 0) == 0 || regexec(&compiled[1], name, 0, NULL, 0) == 0;
}

static bool is_valid(enum name_kind kind, const uint8_t *data, size_t size)
{
	size_t longest = kind == NAME_MESH ? 63 : 253;
	char name[254] = "";

	if (size > longest || memchr(data, 0, size))
		return false;
	memcpy(name, data, size);
	return matches(name);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const enum name_kind kinds[] = {NAME_MESH, NAME_SECRET, NAME_GLOBAL_SECRET};
	enum name_kind kind;
	struct name name;
	char text[300] = "";
	bool valid;

	if (size == 0)
		return 0;
	kind = kinds[data[0] % 3];
	data++;
	size--;
	valid = name_is_valid(kind, (const char *)data, size);
	fixture_must(valid == is_valid(kind, data, size));
	if (size >= sizeof(text) || memchr(data, 0, size))
		return 0;
	memcpy(text, data, size);
	fixture_must((name_set(&name, kind, "default", text) == 0) == valid);
	fixture_must(!valid || strcmp(name.name, text) == 0);
	return 0;
}
