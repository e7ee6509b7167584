/* SPDX-License-Identifier: Apache-2.0
 * mesh: the Mesh resource's own document: what of it matters here, and how it is kept.
 *
 * All that matters is its mTLS backend, as that names secrets. The rules and messages are Kuma's
 * (pkg/core/resources/apis/mesh/mesh_validator.go, pkg/plugins/ca/provided).
 */
#ifndef STORE_MESH_H
#define STORE_MESH_H

#include "store/name.h"
#include "store/secmem.h"
#include "store/yaml.h"

#define MESH_FIELD_BYTES 96

/* Where a CA's certificate or key comes from. */
enum mesh_source {
	MESH_SOURCE_NONE = 0,
	MESH_SOURCE_SECRET,
	MESH_SOURCE_FILE,          /* on the control plane's disk */
	MESH_SOURCE_INLINE,        /* base64 */
	MESH_SOURCE_INLINE_STRING, /* as it is */
};

/* One of the two: which node of the document has it, and for a secret its name. */
struct mesh_data_source {
	enum mesh_source kind;
	uint32_t node;                        /* its value, for the line and for inline data; valid as long as the stream's document */
	char secret[NAME_RESOURCE_BYTES + 1]; /* MESH_SOURCE_SECRET; of a builtin CA the name that Kuma gives it */
};

/* The mTLS backend of a Mesh, of which Kuma allows one. */
struct mesh_backend {
	bool present;
	bool provided;        /* type: provided; else builtin, or one that is not known here and names no secrets */
	bool skip_validation; /* mtls.skipValidation */
	char name[NAME_RESOURCE_BYTES + 1];
	struct mesh_data_source cert, key;
};

/* An error's place. */
struct mesh_error {
	unsigned line;
	char text[400]; /* "mtls.backends[0].conf.cert: has to be defined" */
};

/* mesh_document - the YAML of a Mesh with nothing but a name. @name is valid. 0 or -ENOMEM. */
int mesh_document(const char *name, struct secbuf *ret_yaml);

/* mesh_parse - the backend of the Mesh @mesh whose fields are in the mapping @fields (of a Universal document its root, of a Kubernetes one
 * its spec). Renames `config` to `conf`. -EINVAL with *@ret_error. */
int mesh_parse(struct yaml_stream *stream, uint32_t fields, const char *mesh, struct mesh_backend *ret_backend,
	       struct mesh_error *ret_error);

/* mesh_write - its document in the Universal form: type, name, then all other fields as they came. 0 or -ENOMEM. */
int mesh_write(const struct yaml_stream *stream, uint32_t fields, const char *mesh, struct secbuf *ret_yaml);

/* mesh_read - the backend of a Mesh that is stored, from its YAML (@ret_backend's nodes are of no use). -EINVAL, -ENOMEM. */
int mesh_read(const struct secbuf *yaml, const char *mesh, struct mesh_backend *ret_backend);

/* mesh_uses - does it name the secret @name? */
bool mesh_uses(const struct mesh_backend *backend, const char *name);

#define MESH_IN_USE_BYTES (4 * NAME_RESOURCE_BYTES + 256)

/* mesh_in_use - the sentence that Kuma says when a secret that is in use is to be removed. */
void mesh_in_use(const char *mesh, const struct mesh_backend *backend, const char *secret,
		 char ret_text[static MESH_IN_USE_BYTES]);

#endif
