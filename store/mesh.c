/* SPDX-License-Identifier: Apache-2.0
 * mesh: the mTLS backend of a Mesh, found in its document; a Mesh's document, written.
 *
 * Everything else in a Mesh is carried along as it came. A document is checked here for what it says by itself; whether the secrets exist
 * that it names is seen by the store (ops.c), whether they fit each other by hushctl.
 */
#include "store/mesh.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int mesh_document(const char *name, struct secbuf *ret_yaml)
{
	static const char type[] = "type: Mesh\nname: ";
	int r = secbuf_write(ret_yaml, ret_yaml->size, type, sizeof(type) - 1);

	if (r == 0)
		r = yaml_write_string(name, strlen(name), ret_yaml);
	return r < 0 ? r : secbuf_write(ret_yaml, ret_yaml->size, "\n", 1);
}

/* What is being read. */
struct mesh_reader {
	struct yaml_stream *stream;
	const char *mesh;
	unsigned backend; /* index, for errors */
	struct mesh_error *error;
};

/* Fill in the error, and give it. */
__attribute__((format(printf, 3, 4))) static int mesh_refuse(struct mesh_reader *reader, uint32_t node,
							      const char *format, ...)
{
	va_list arguments;

	reader->error->line = yaml_line(reader->stream, node);
	va_start(arguments, format);
	vsnprintf(reader->error->text, sizeof(reader->error->text), format, arguments);
	va_end(arguments);
	return -EINVAL;
}

/* The value of @key, which is to be of @kind; YAML_NONE in *@ret_node if there is none. */
static int mesh_field(struct mesh_reader *reader, uint32_t parent, const char *path, const char *key,
		      enum yaml_kind kind, uint32_t *ret_node)
{
	static const char *const kinds[] = {
		[YAML_SCALAR] = "a string", [YAML_SEQUENCE] = "a list", [YAML_MAPPING] = "a mapping"};
	uint32_t node = yaml_find(reader->stream, parent, key);

	*ret_node = YAML_NONE;
	if (yaml_is_null(reader->stream, node))
		return 0;
	if (yaml_kind(reader->stream, node) != kind)
		return mesh_refuse(reader, node, "%s%s: has to be %s", path, key, kinds[kind]);
	*ret_node = node;
	return 0;
}

/* `cert` or `key` of a provided CA. */
static int mesh_source(struct mesh_reader *reader, uint32_t backend, uint32_t conf, const char *key,
		       struct mesh_data_source *ret_source)
{
	static const struct {
		const char *key;
		enum mesh_source kind;
	} sources[] = {{"secret", MESH_SOURCE_SECRET},
		       {"file", MESH_SOURCE_FILE},
		       {"inline", MESH_SOURCE_INLINE},
		       {"inlineString", MESH_SOURCE_INLINE_STRING}};
	char path[MESH_FIELD_BYTES];
	uint32_t source;
	size_t size;
	int r;

	snprintf(path, sizeof(path), "mtls.backends[%u].conf.", reader->backend);
	r = mesh_field(reader, conf, path, key, YAML_MAPPING, &source);
	if (r < 0)
		return r;
	if (!source)
		return mesh_refuse(reader, conf ? conf : backend, "%s%s: has to be defined", path, key);
	snprintf(path, sizeof(path), "mtls.backends[%u].conf.%s", reader->backend, key);
	for (size_t i = 0; i < sizeof(sources) / sizeof(sources[0]); i++) {
		uint32_t node = yaml_find(reader->stream, source, sources[i].key);

		if (!node)
			continue;
		if (ret_source->kind)
			return mesh_refuse(reader, node, "%s: only one data source can be chosen", path);
		if (yaml_kind(reader->stream, node) != YAML_SCALAR)
			return mesh_refuse(reader, node, "%s.%s: has to be a string", path, sources[i].key);
		if (yaml_is_null(reader->stream, node) || yaml_equals(reader->stream, node, ""))
			return mesh_refuse(reader, node, "%s.%s: cannot be empty", path, sources[i].key);
		ret_source->kind = sources[i].kind;
		ret_source->node = node;
	}
	if (!ret_source->kind)
		return mesh_refuse(reader, source,
				   "%s: data source has to be chosen. Available sources: secret, file, inline", path);
	if (ret_source->kind != MESH_SOURCE_SECRET)
		return 0;
	yaml_text(reader->stream, ret_source->node, &size);
	if (size > NAME_RESOURCE_BYTES)
		return mesh_refuse(reader, ret_source->node, "%s.secret: longer than %d bytes", path, NAME_RESOURCE_BYTES);
	strcpy(ret_source->secret, yaml_text(reader->stream, ret_source->node, NULL));
	return 0;
}

/* The page that documents it writes `config`, the field is `conf`. */
static int mesh_conf(struct mesh_reader *reader, uint32_t backend, uint32_t *ret_conf)
{
	char path[MESH_FIELD_BYTES];

	for (uint32_t key = yaml_first(reader->stream, backend); key;
	     key = yaml_after(reader->stream, yaml_after(reader->stream, key))) {
		if (!yaml_equals(reader->stream, key, "config"))
			continue;
		if (yaml_find(reader->stream, backend, "conf"))
			return mesh_refuse(reader, key, "mtls.backends[%u].config: there is conf too, which is the same: "
							"give one of them", reader->backend);
		yaml_set_text(reader->stream, key, "conf");
		break;
	}
	snprintf(path, sizeof(path), "mtls.backends[%u].", reader->backend);
	return mesh_field(reader, backend, path, "conf", YAML_MAPPING, ret_conf);
}

/* The names that Kuma gives to what it makes for a builtin CA. */
static int mesh_builtin(struct mesh_reader *reader, uint32_t backend, struct mesh_backend *ret_backend)
{
	bool fits = snprintf(ret_backend->cert.secret, sizeof(ret_backend->cert.secret), "%s.ca-builtin-cert-%s",
			     reader->mesh, ret_backend->name) <= NAME_RESOURCE_BYTES;

	fits &= snprintf(ret_backend->key.secret, sizeof(ret_backend->key.secret), "%s.ca-builtin-key-%s",
			 reader->mesh, ret_backend->name) <= NAME_RESOURCE_BYTES;
	if (!fits)
		return mesh_refuse(reader, backend, "mtls.backends[%u].name: too long for the names of its secrets",
				   reader->backend);
	ret_backend->cert.kind = ret_backend->key.kind = MESH_SOURCE_SECRET;
	return 0;
}

static int mesh_backend(struct mesh_reader *reader, uint32_t backend, struct mesh_backend *ret_backend)
{
	char path[MESH_FIELD_BYTES];
	uint32_t name, type, conf;
	size_t size;
	int r;

	snprintf(path, sizeof(path), "mtls.backends[%u].", reader->backend);
	if (yaml_kind(reader->stream, backend) != YAML_MAPPING)
		return mesh_refuse(reader, backend, "mtls.backends[%u]: has to be a mapping", reader->backend);
	r = mesh_field(reader, backend, path, "name", YAML_SCALAR, &name);
	if (r == 0)
		r = mesh_field(reader, backend, path, "type", YAML_SCALAR, &type);
	if (r == 0)
		r = mesh_conf(reader, backend, &conf);
	if (r < 0)
		return r;
	yaml_text(reader->stream, name, &size);
	if (size > NAME_RESOURCE_BYTES)
		return mesh_refuse(reader, name, "%sname: longer than %d bytes", path, NAME_RESOURCE_BYTES);
	strcpy(ret_backend->name, yaml_text(reader->stream, name, NULL));
	ret_backend->present = true;
	if (yaml_equals(reader->stream, type, "builtin"))
		return mesh_builtin(reader, backend, ret_backend);
	if (!yaml_equals(reader->stream, type, "provided"))
		return 0;
	ret_backend->provided = true;
	r = mesh_source(reader, backend, conf, "cert", &ret_backend->cert);
	return r < 0 ? r : mesh_source(reader, backend, conf, "key", &ret_backend->key);
}

/* Is there one before @backend with its name? */
static bool mesh_name_is_used(const struct yaml_stream *stream, uint32_t backends, uint32_t backend)
{
	const char *name = yaml_text(stream, yaml_find(stream, backend, "name"), NULL);

	for (uint32_t other = yaml_first(stream, backends); other != backend; other = yaml_after(stream, other))
		if (yaml_equals(stream, yaml_find(stream, other, "name"), name))
			return true;
	return false;
}

/* Kuma: one backend at most, and the one that is enabled is among them. */
static int mesh_backends(struct mesh_reader *reader, uint32_t mtls, struct mesh_backend *ret_backend)
{
	uint32_t backends, enabled, second;
	int r;

	r = mesh_field(reader, mtls, "mtls.", "backends", YAML_SEQUENCE, &backends);
	if (r == 0)
		r = mesh_field(reader, mtls, "mtls.", "enabledBackend", YAML_SCALAR, &enabled);
	if (r < 0)
		return r;
	second = backends ? yaml_after(reader->stream, yaml_first(reader->stream, backends)) : YAML_NONE;
	if (second && mesh_name_is_used(reader->stream, backends, second))
		return mesh_refuse(reader, second, "mtls.backends[1].name: \"%.64s\" name is already used for another backend",
				   yaml_text(reader->stream, yaml_find(reader->stream, second, "name"), NULL));
	if (second)
		return mesh_refuse(reader, second, "mtls.backends: cannot have more than 1 backends");
	if (backends && yaml_first(reader->stream, backends))
		r = mesh_backend(reader, yaml_first(reader->stream, backends), ret_backend);
	if (r == 0 && enabled && !yaml_equals(reader->stream, enabled, "") &&
	    (!ret_backend->present || !yaml_equals(reader->stream, enabled, ret_backend->name)))
		return mesh_refuse(reader, enabled,
				   "mtls.enabledBackend: has to be set to one of the backends in the mesh");
	return r;
}

int mesh_parse(struct yaml_stream *stream, uint32_t fields, const char *mesh, struct mesh_backend *ret_backend,
	       struct mesh_error *ret_error)
{
	struct mesh_reader reader = {.stream = stream, .mesh = mesh, .error = ret_error};
	struct mesh_backend backend = {0};
	uint32_t mtls = YAML_NONE, skip = YAML_NONE;
	int r = 0;

	if (fields)
		r = mesh_field(&reader, fields, "", "mtls", YAML_MAPPING, &mtls);
	if (r == 0 && mtls)
		r = mesh_backends(&reader, mtls, &backend);
	if (r == 0 && mtls)
		r = mesh_field(&reader, mtls, "mtls.", "skipValidation", YAML_SCALAR, &skip);
	if (r < 0)
		return r;
	backend.skip_validation = yaml_equals(stream, skip, "true");
	*ret_backend = backend;
	return 0;
}

int mesh_write(const struct yaml_stream *stream, uint32_t fields, const char *mesh, struct secbuf *ret_yaml)
{
	/* what mesh_document writes, and what Kuma prints of its own accord */
	static const char *const left_out[] = {"type", "name", "creationTime", "modificationTime", "kri", "status"};
	int r = mesh_document(mesh, ret_yaml);

	for (uint32_t key = yaml_first(stream, fields); key && r == 0; key = yaml_after(stream, yaml_after(stream, key))) {
		bool left = false;

		for (size_t i = 0; i < sizeof(left_out) / sizeof(left_out[0]); i++)
			left |= yaml_equals(stream, key, left_out[i]);
		if (!left)
			r = yaml_write_entry(stream, key, 0, ret_yaml);
	}
	return r;
}

int mesh_read(const struct secbuf *yaml, const char *mesh, struct mesh_backend *ret_backend)
{
	__attribute__((cleanup(yaml_stream_freep))) struct yaml_stream *stream = NULL;
	struct mesh_error error;
	struct yaml_error wrong;
	int r;

	r = yaml_stream_new(yaml->data, yaml->size, &stream);
	if (r == 0)
		r = yaml_stream_next(stream, &wrong);
	if (r < 0)
		return r;
	return mesh_parse(stream, r ? yaml_root(stream) : YAML_NONE, mesh, ret_backend, &error);
}

bool mesh_uses(const struct mesh_backend *backend, const char *name)
{
	return (backend->cert.kind == MESH_SOURCE_SECRET && strcmp(backend->cert.secret, name) == 0) ||
	       (backend->key.kind == MESH_SOURCE_SECRET && strcmp(backend->key.secret, name) == 0);
}

void mesh_in_use(const char *mesh, const struct mesh_backend *backend, const char *secret,
		 char ret_text[static MESH_IN_USE_BYTES])
{
	snprintf(ret_text, MESH_IN_USE_BYTES,
		 "The secret \"%s\" that you are trying to remove is currently in use in Mesh \"%s\" in mTLS backend "
		 "\"%s\". Please remove the reference from the \"%s\" backend before removing the secret.",
		 secret, mesh, backend->name, backend->name);
}
