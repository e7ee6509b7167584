/* SPDX-License-Identifier: Apache-2.0
 * name: Kuma's two rules for names, and identities made of them.
 */
#include "store/name.h"

#include <errno.h>
#include <string.h>

static bool name_is_alphanumeric(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

/* ^[0-9a-z-_]*$ as Kuma 2.1 had it. */
static bool name_is_old_style(const char *name, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		if (!name_is_alphanumeric(name[i]) && name[i] != '-' && name[i] != '_')
			return false;
	return true;
}

/* [a-z0-9]([-a-z0-9]*[a-z0-9])? joined by dots: each label starts and ends alphanumeric. */
bool name_is_subdomain(const char *name, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++) {
		bool at_edge = i == 0 || i + 1 == bytes || name[i - 1] == '.' || name[i + 1] == '.';

		if (name_is_alphanumeric(name[i]))
			continue;
		if (name[i] == '-' && !at_edge)
			continue;
		if (name[i] == '.' && i > 0 && i + 1 < bytes && name[i - 1] != '.')
			continue;
		return false;
	}
	return true;
}

bool name_is_valid(enum name_kind kind, const char *name, size_t bytes)
{
	size_t longest = kind == NAME_MESH ? NAME_MESH_BYTES : NAME_RESOURCE_BYTES;

	if (bytes == 0 || bytes > longest)
		return false;
	return name_is_old_style(name, bytes) || name_is_subdomain(name, bytes);
}

int name_set(struct name *ret_name, enum name_kind kind, const char *mesh, const char *name)
{
	struct name result = {.kind = kind};

	if (kind == NAME_SECRET) {
		if (!name_is_valid(NAME_MESH, mesh, strlen(mesh)))
			return -EINVAL;
		strcpy(result.mesh, mesh);
	}
	if (kind != NAME_ROOT) {
		if (!name_is_valid(kind, name, strlen(name)))
			return -EINVAL;
		strcpy(result.name, name);
	}
	*ret_name = result;
	return 0;
}

struct name name_mesh(const struct name *secret)
{
	struct name mesh = {.kind = NAME_MESH};

	strcpy(mesh.name, secret->mesh);
	return mesh;
}

const char *name_type(enum name_kind kind)
{
	static const char *const types[] = {
		[NAME_MESH] = "Mesh", [NAME_SECRET] = "Secret", [NAME_GLOBAL_SECRET] = "GlobalSecret"};

	return types[kind];
}

bool name_equal(const struct name *a, const struct name *b)
{
	return a->kind == b->kind && strcmp(a->mesh, b->mesh) == 0 && strcmp(a->name, b->name) == 0;
}
