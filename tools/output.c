/* SPDX-License-Identifier: Apache-2.0
 * output: what a document of each kind says, in each form.
 */
#include "tools/output.h"

#include "store/log.h"
#include "store/yaml.h"
#include "tools/emit.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <unistd.h>

static void output_value(struct emit *emit, const char *key, const struct secbuf *value)
{
	if (value)
		emit_base64(emit, key, value);
	else
		emit_string(emit, key, "***");
}

static void output_secret(struct emit *emit, const struct output_form *form, const struct target_entry *entry,
			  const struct secbuf *value)
{
	emit_string(emit, "type", name_type(entry->name.kind));
	if (entry->name.kind == NAME_SECRET)
		emit_string(emit, "mesh", entry->name.mesh);
	emit_string(emit, "name", entry->name.name);
	if (form->times) {
		emit_time(emit, "creationTime", &entry->created);
		emit_time(emit, "modificationTime", &entry->modified);
	}
	output_value(emit, "data", value);
}

static void output_kubernetes_secret(struct emit *emit, const struct output_form *form,
				     const struct target_entry *entry, const struct secbuf *value)
{
	bool global = entry->name.kind == NAME_GLOBAL_SECRET;

	emit_string(emit, "apiVersion", "v1");
	emit_string(emit, "kind", "Secret");
	emit_map_begin(emit, "metadata");
	emit_string(emit, "name", entry->name.name);
	emit_string(emit, "namespace", form->namespace ? form->namespace : BUNDLE_NAMESPACE);
	if (form->times)
		emit_time(emit, "creationTimestamp", &entry->created);
	if (!global) {
		emit_map_begin(emit, "labels");
		emit_string(emit, BUNDLE_MESH_LABEL, entry->name.mesh);
		emit_map_end(emit);
	}
	emit_map_end(emit);
	emit_map_begin(emit, "data");
	output_value(emit, "value", value);
	emit_map_end(emit);
	emit_string(emit, "type", global ? BUNDLE_TYPE_GLOBAL : BUNDLE_TYPE_SECRET);
}

/* The next of a Mesh's fields from the key @at on that has not been written already. */
static uint32_t output_field(const struct yaml_stream *stream, uint32_t at)
{
	static const char *const written[] = {"type", "name", "creationTime", "modificationTime"};

	for (size_t i = 0; at != YAML_NONE && i < sizeof(written) / sizeof(written[0]); i++) {
		if (yaml_equals(stream, at, written[i])) {
			at = yaml_after(stream, yaml_after(stream, at));
			i = (size_t)-1;
		}
	}
	return at;
}

static uint32_t output_next_field(const struct yaml_stream *stream, uint32_t key)
{
	return output_field(stream, yaml_after(stream, yaml_after(stream, key)));
}

/* @first: of its fields besides the name; YAML_NONE if it has none. */
static void output_mesh(struct emit *emit, const struct output_form *form, const struct target_entry *entry,
			const struct yaml_stream *stream, uint32_t first)
{
	emit_string(emit, "type", "Mesh");
	emit_string(emit, "name", entry->name.name);
	if (form->times) {
		emit_time(emit, "creationTime", &entry->created);
		emit_time(emit, "modificationTime", &entry->modified);
	}
	for (uint32_t key = first; key != YAML_NONE; key = output_next_field(stream, key))
		emit_entry(emit, stream, key);
}

/* The labels of a Mesh (@labels), or all else; below @in, if there is any. */
static void output_part(struct emit *emit, const struct yaml_stream *stream, uint32_t first, bool labels, const char *in)
{
	bool begun = !in;

	for (uint32_t key = first; key != YAML_NONE; key = output_next_field(stream, key)) {
		if (yaml_equals(stream, key, "labels") != labels)
			continue;
		if (!begun)
			emit_map_begin(emit, in);
		begun = true;
		emit_entry(emit, stream, key);
	}
	if (in && begun)
		emit_map_end(emit);
}

/* Labels stand at the top of the Universal form, and in the metadata of this one. */
static void output_kubernetes_mesh(struct emit *emit, const struct output_form *form, const struct target_entry *entry,
				   const struct yaml_stream *stream, uint32_t first)
{
	emit_string(emit, "apiVersion", "kuma.io/v1alpha1");
	emit_string(emit, "kind", "Mesh");
	emit_map_begin(emit, "metadata");
	emit_string(emit, "name", entry->name.name);
	if (form->times)
		emit_time(emit, "creationTimestamp", &entry->created);
	output_part(emit, stream, first, true, NULL);
	emit_map_end(emit);
	output_part(emit, stream, first, false, "spec");
}

/* A Mesh's document is read and written anew, as it may be wanted as JSON or below spec. */
static int output_read_mesh(const struct target_entry *entry, const struct secbuf *value,
			    struct yaml_stream **ret_stream)
{
	struct yaml_error error = {0};
	int r = yaml_stream_new(value->data, value->size, ret_stream);

	if (r == 0)
		r = yaml_stream_next(*ret_stream, &error);
	if (r == -EINVAL)
		log_error("mesh.yaml of \"%s\": line %u: %s; is this hushctl older than the daemon?", entry->name.name, error.line, error.text);
	return r < 0 ? r : 0;
}

static int output_mesh_fields(struct emit *emit, const struct output_form *form, const struct target_entry *entry,
			      const struct secbuf *value)
{
	__attribute__((cleanup(yaml_stream_freep))) struct yaml_stream *stream = NULL;
	uint32_t first = YAML_NONE;
	int r = value ? output_read_mesh(entry, value, &stream) : 0;

	if (r < 0)
		return r;
	if (value)
		first = output_field(stream, yaml_first(stream, yaml_root(stream)));
	if (form->kubernetes)
		output_kubernetes_mesh(emit, form, entry, stream, first);
	else
		output_mesh(emit, form, entry, stream, first);
	return 0;
}

static int output_fields(struct emit *emit, const struct output_form *form, const struct target_entry *entry,
			 const struct secbuf *value)
{
	int r = 0;

	if (entry->name.kind == NAME_MESH)
		r = output_mesh_fields(emit, form, entry, value);
	else if (form->kubernetes)
		output_kubernetes_secret(emit, form, entry, value);
	else
		output_secret(emit, form, entry, value);
	return r < 0 ? r : emit_end(emit);
}

int output_document(const struct output_form *form, const struct target_entry *entry, const struct secbuf *value,
		    struct secbuf *text)
{
	struct emit emit;

	emit_begin(&emit, form->json, text);
	return output_fields(&emit, form, entry, value);
}

int output_document_in_list(const struct output_form *form, size_t number, const struct target_entry *entry,
			    const struct secbuf *value, struct secbuf *text)
{
	struct emit emit;

	emit_begin_item(&emit, form->json, number, text);
	return output_fields(&emit, form, entry, value);
}

__attribute__((format(printf, 2, 3))) static int output_append(struct secbuf *text, const char *format, ...)
{
	char line[128];
	va_list arguments;
	int size;

	va_start(arguments, format);
	size = vsnprintf(line, sizeof(line), format, arguments);
	va_end(arguments);
	return secbuf_write(text, text->size, line, (size_t)size);
}

int output_list_begin(const struct output_form *form, size_t total, struct secbuf *text)
{
	if (form->json && form->kubernetes)
		return output_append(text, "{\n  \"apiVersion\": \"v1\",\n  \"kind\": \"List\",\n  \"items\": [");
	if (form->json)
		return output_append(text, "{\n  \"total\": %zu,\n  \"items\": [", total);
	if (form->kubernetes)
		return output_append(text, "apiVersion: v1\nkind: List\nitems:%s\n", total ? "" : " []");
	return output_append(text, "items:%s\n", total ? "" : " []");
}

int output_list_end(const struct output_form *form, size_t total, struct secbuf *text)
{
	if (form->json)
		return output_append(text, "%s]%s\n}\n", total ? "\n  " : "",
				     form->kubernetes ? "" : ",\n  \"next\": null");
	return form->kubernetes ? 0 : output_append(text, "next: null\ntotal: %zu\n", total);
}

int output_failed(int error)
{
	if (error != EPIPE) /* whoever reads has had enough */
		log_error("standard output: %s", log_reason(error));
	return -error;
}

int output_write(const struct secbuf *text, FILE *out)
{
	size_t at = 0;

	if (fflush(out) != 0)
		return output_failed(errno);
	while (at < text->size) {
		/* not through stdio, whose buffer nobody wipes */
		ssize_t written = write(fileno(out), text->data + at, text->size - at);

		if (written < 0 && errno != EINTR)
			return output_failed(errno);
		at += written > 0 ? (size_t)written : 0;
	}
	return 0;
}

void output_progress(const char *what, uint64_t done, uint64_t total)
{
	if (isatty(STDERR_FILENO))
		fprintf(stderr, "\r\033[K%s: %" PRIu64 " of %" PRIu64, what, done, total);
}

void output_progress_end(void)
{
	if (isatty(STDERR_FILENO))
		fputs("\r\033[K", stderr);
}
