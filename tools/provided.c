/* SPDX-License-Identifier: Apache-2.0
 * provided: from a Mesh's document to two PEM texts.
 */
#include "tools/provided.h"

#include "store/base64.h"
#include "store/mesh.h"
#include "tools/tls.h"

#include <errno.h>
#include <stdio.h>

/* Read an item's document, which was written by mesh_write. */
static int provided_read(const struct bundle_item *item, struct yaml_stream **ret_stream,
			 struct mesh_backend *ret_backend)
{
	struct mesh_error wrong;
	struct yaml_error error;
	int r = yaml_stream_new(item->value.data, item->value.size, ret_stream);

	if (r == 0)
		r = yaml_stream_next(*ret_stream, &error);
	if (r < 0)
		return r;
	return mesh_parse(*ret_stream, yaml_root(*ret_stream), item->name.name, ret_backend, &wrong);
}

/* The bytes of a certificate or key. -ENOENT if nobody here can know them. */
static int provided_source(struct target *target, const struct bundle *bundle, const char *mesh,
			   const struct yaml_stream *stream, const struct mesh_data_source *source,
			   struct secbuf *ret_bytes)
{
	struct name name;
	const char *text;
	size_t size, at;

	switch (source->kind) {
	case MESH_SOURCE_INLINE:
		text = yaml_text(stream, source->node, &size);
		return base64_decode(text, size, ret_bytes, &at);
	case MESH_SOURCE_INLINE_STRING:
		text = yaml_text(stream, source->node, &size);
		return secbuf_write(ret_bytes, 0, text, size);
	case MESH_SOURCE_SECRET:
		if (name_set(&name, NAME_SECRET, mesh, source->secret) < 0)
			return -ENOENT;
		for (size_t i = bundle->n; i-- > 0;)
			if (name_equal(&bundle->items[i].name, &name))
				return secbuf_write(ret_bytes, 0, bundle->items[i].value.data, bundle->items[i].value.size);
		return target ? target_read(target, &name, ret_bytes) : -ENOENT;
	case MESH_SOURCE_FILE: /* on the control plane's disk */
	case MESH_SOURCE_NONE:
		break;
	}
	return -ENOENT;
}

int provided_check(struct target *target, const struct bundle *bundle, const struct bundle_item *item,
		   struct bundle_error *ret_error)
{
	__attribute__((cleanup(yaml_stream_freep))) struct yaml_stream *stream = NULL;
	SECBUF_AUTO cert = {0};
	SECBUF_AUTO key = {0};
	struct mesh_backend backend;
	char why[TLS_WHY_BYTES] = ".cert.inline: illegal base64 data";
	int r;

	r = provided_read(item, &stream, &backend);
	if (r < 0 || !backend.provided || backend.skip_validation)
		return r;
	r = provided_source(target, bundle, item->name.name, stream, &backend.cert, &cert);
	if (r == 0) {
		snprintf(why, sizeof(why), ".key.inline: illegal base64 data");
		r = provided_source(target, bundle, item->name.name, stream, &backend.key, &key);
	}
	if (r == 0)
		r = tls_check(&cert, &key, why);
	if (r == -EINVAL) {
		*ret_error = (struct bundle_error){.document = item->document, .line = item->line, .source = item->source};
		snprintf(ret_error->text, sizeof(ret_error->text), "%smtls.backends[0].conf%s",
			 item->kubernetes ? "spec." : "", why);
	}
	return r == -ENOENT ? 0 : r;
}

int provided_mask(struct bundle_item *item)
{
	__attribute__((cleanup(yaml_stream_freep))) struct yaml_stream *stream = NULL;
	SECBUF_AUTO masked = {0};
	struct mesh_backend backend;
	struct secbuf before;
	int r;

	r = provided_read(item, &stream, &backend);
	if (r < 0)
		return r;
	for (int i = 0; i < 2; i++) {
		const struct mesh_data_source *source = i ? &backend.key : &backend.cert;

		if (source->kind == MESH_SOURCE_INLINE || source->kind == MESH_SOURCE_INLINE_STRING)
			yaml_set_text(stream, source->node, "***");
	}
	r = mesh_write(stream, yaml_root(stream), item->name.name, &masked);
	if (r < 0)
		return r;
	before = item->value;
	item->value = masked;
	masked = before; /* to be wiped */
	return 0;
}
