/* SPDX-License-Identifier: Apache-2.0
 * name: which names a resource may have, and a resource's identity.
 */
#ifndef STORE_NAME_H
#define STORE_NAME_H

#include <stdbool.h>
#include <stddef.h>

#define NAME_MESH_BYTES 63      /* longest name of a mesh */
#define NAME_RESOURCE_BYTES 253 /* longest name of a secret */

/* The kinds of resources; the numbers stand in the on-disk format. */
enum name_kind {
	NAME_ROOT = 1,          /* the folders that are always there; one in a store, without a name */
	NAME_MESH = 2,          /* @name only */
	NAME_SECRET = 3,        /* @mesh and @name */
	NAME_GLOBAL_SECRET = 4, /* @name only */
};

/* What tells one resource from all others, as Kuma's (type, mesh, name). */
struct name {
	enum name_kind kind;
	char mesh[NAME_MESH_BYTES + 1];
	char name[NAME_RESOURCE_BYTES + 1];
};

/* name_is_valid - may a resource of @kind be called @name (of @bytes bytes, no NUL needed)?
 * Accepts what either of Kuma's rules accepts: ^[0-9a-z-_]*$ without the empty name (2.1), and an
 * RFC 1123 subdomain (from 2.5); at most 253 bytes, 63 for a mesh. */
bool name_is_valid(enum name_kind kind, const char *name, size_t bytes);

/* name_is_subdomain - is it an RFC 1123 subdomain, but for its length: what Kubernetes allows as a name? */
bool name_is_subdomain(const char *name, size_t bytes);

/* name_set - fill in an identity. @mesh is used by NAME_SECRET alone, otherwise "".
 * 0, or -EINVAL if a name is not valid. */
int name_set(struct name *ret_name, enum name_kind kind, const char *mesh, const char *name);

/* name_mesh - the Mesh that a Secret belongs to. */
struct name name_mesh(const struct name *secret);

/* name_type - what Kuma calls a kind: Mesh, Secret, GlobalSecret. Not of the root. */
const char *name_type(enum name_kind kind);

/* name_equal - are they the same resource? */
bool name_equal(const struct name *a, const struct name *b);

#endif
