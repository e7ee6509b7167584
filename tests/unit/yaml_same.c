/* SPDX-License-Identifier: Apache-2.0
 * yaml_same: quotes make a difference where the text without them would be null, a boolean, a number, a date or a merge
 * key in YAML 1.1 or 1.2. That is told here by the patterns of the two specifications, unlike in yaml_write.c.
 */
#include "tests/unit/yaml_same.h"

#include <regex.h>
#include <stdio.h>
#include <stdlib.h>

static const char no_string[] =
	"^("
	"|~|null|Null|NULL|=|<<"
	"|y|Y|yes|Yes|YES|n|N|no|No|NO|true|True|TRUE|false|False|FALSE|on|On|ON|off|Off|OFF"
	"|[-+]?0b[01_]+|[-+]?0o?[0-7_]+|[-+]?[0-9][0-9_]*|[-+]?0x[0-9a-fA-F_]+|[-+]?[1-9][0-9_]*(:[0-5]?[0-9])+"
	"|[-+]?([0-9][0-9_]*)?\\.[0-9_]*([eE][-+]?[0-9]+)?|[-+]?[0-9][0-9_]*([eE][-+]?[0-9]+)"
	"|[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+\\.[0-9_]*|[-+]?\\.(inf|Inf|INF)|\\.(nan|NaN|NAN)"
	"|[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(([Tt]|[ \t]+)[0-9:. \tZ+-]*)?"
	")$";

static bool is_no_string(const char *text)
{
	static regex_t pattern;
	static bool compiled;

	if (!compiled && regcomp(&pattern, no_string, REG_EXTENDED | REG_NOSUB) != 0) {
		fprintf(stderr, "the pattern does not compile\n");
		abort();
	}
	compiled = true;
	return regexec(&pattern, text, 0, NULL, 0) == 0;
}

static bool same_scalar(const struct yaml_stream *a, uint32_t node_a, const struct yaml_stream *b, uint32_t node_b)
{
	const char *text = yaml_text(a, node_a, NULL);

	if (!yaml_equals(b, node_b, text))
		return false;
	return yaml_is_plain(a, node_a) == yaml_is_plain(b, node_b) || !is_no_string(text);
}

bool yaml_same(const struct yaml_stream *a, uint32_t node_a, const struct yaml_stream *b, uint32_t node_b)
{
	bool is_mapping = yaml_kind(a, node_a) == YAML_MAPPING, is_key = is_mapping;

	if (yaml_kind(a, node_a) != yaml_kind(b, node_b))
		return false;
	if (yaml_kind(a, node_a) == YAML_SCALAR)
		return same_scalar(a, node_a, b, node_b);
	node_a = yaml_first(a, node_a);
	node_b = yaml_first(b, node_b);
	while (node_a && node_b) {
		/* an empty key has no meaning that quotes could change */
		bool empty_key = is_key && yaml_equals(a, node_a, "") && yaml_equals(b, node_b, "");

		if (!empty_key && !yaml_same(a, node_a, b, node_b))
			return false;
		is_key = is_mapping && !is_key;
		node_a = yaml_after(a, node_a);
		node_b = yaml_after(b, node_b);
	}
	return node_a == node_b;
}
