/* SPDX-License-Identifier: Apache-2.0
 * mesh: a new Mesh as YAML.
 */
#include "store/mesh.h"

#include "store/name.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* Would YAML (1.1 or 1.2) take this valid name for a string if it stood there without quotes? */
static bool mesh_name_is_plain(const char *name)
{
	static const char *const words[] = {"null", "true", "false", "yes", "no", "on", "off", "y", "n"};

	if (name[0] < 'a' || name[0] > 'z')
		return false;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strcmp(name, words[i]) == 0)
			return false;
	return true;
}

int mesh_document(const char *name, struct secbuf *ret_yaml)
{
	const char *quote = mesh_name_is_plain(name) ? "" : "\"";
	char text[NAME_MESH_BYTES + 64];
	int size = snprintf(text, sizeof(text), "type: Mesh\nname: %s%s%s\n", quote, name, quote);

	return secbuf_write(ret_yaml, 0, text, (size_t)size);
}
