/* SPDX-License-Identifier: Apache-2.0
 * bundle: a walk over the documents of a text; each is the resource of one form, or a list of such.
 *
 * Kuma ignores fields that it doesn't know, so that a mistyped `data` makes an empty secret: here what is no field of a Secret is
 * refused. What Kuma and Kubernetes themselves print (times, labels, metadata) passes.
 */
#include "store/bundle.h"

#include "store/base64.h"
#include "store/log.h"
#include "store/mesh.h"
#include "store/nearest.h"
#include "store/yaml.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char bundle_bad_name[] =
	"invalid characters. A lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or "
	"'.', and must start and end with an alphanumeric character";

static const char *const bundle_universal_fields[] = {"type", "mesh", "name", "data", "creationTime", "modificationTime",
						      "labels", "kri", "status", NULL};
static const char *const bundle_kubernetes_fields[] = {"apiVersion", "kind", "metadata", "data", "stringData", "type",
						       "immutable", "status", NULL};
static const char *const bundle_data_fields[] = {"value", NULL};

struct bundle_reader {
	struct yaml_stream *stream;
	const struct bundle_options *options;
	struct bundle *bundle;
	struct bundle_error *error;
	bool in_list;
	const char *list_version; /* of a list whose kind says that of its parts (SecretList), which the API then leaves out there; else "" */
	char list_kind[32];
};

/* Fill in the error, and give it. What is shown of a document is a name or a key; whatever else may be in it is no text for a terminal. */
__attribute__((format(printf, 3, 4))) static int bundle_refuse(struct bundle_reader *reader, uint32_t node,
								const char *format, ...)
{
	struct bundle_error *error = reader->error;
	va_list arguments;

	error->document = yaml_number(reader->stream);
	error->line = yaml_line(reader->stream, node);
	va_start(arguments, format);
	vsnprintf(error->text, sizeof(error->text), format, arguments);
	va_end(arguments);
	log_printable(error->text);
	return -EINVAL;
}

/* Is every key of the mapping @node one of @fields? @path: what stands before it, with a dot. */
static int bundle_check_fields(struct bundle_reader *reader, uint32_t node, const char *path, const char *const *fields)
{
	const struct yaml_stream *stream = reader->stream;

	for (uint32_t key = yaml_first(stream, node); key; key = yaml_after(stream, yaml_after(stream, key))) {
		const char *const *field = fields;
		const char *meant;

		while (*field && !yaml_equals(stream, key, *field))
			field++;
		if (*field)
			continue;
		meant = nearest(yaml_text(stream, key, NULL), fields);
		return bundle_refuse(reader, key, "%s%.64s: there is no such field%s%s%s", path,
				     yaml_text(stream, key, NULL), meant ? "; did you mean \"" : "", meant ? meant : "",
				     meant ? "\"?" : "");
	}
	return 0;
}

/* A field that is to be a string, or absent: then *@ret_text is "" and *@ret_node is @parent, for errors. */
static int bundle_string(struct bundle_reader *reader, uint32_t parent, const char *path, const char *key,
			 const char **ret_text, uint32_t *ret_node)
{
	uint32_t node = yaml_find(reader->stream, parent, key);

	*ret_node = node ? node : parent;
	*ret_text = "";
	if (yaml_is_null(reader->stream, node))
		return 0;
	if (yaml_kind(reader->stream, node) != YAML_SCALAR)
		return bundle_refuse(reader, node, "%s%s: has to be a string", path, key);
	*ret_text = yaml_text(reader->stream, node, NULL);
	return 0;
}

/* A field that is to be a mapping, or absent. */
static int bundle_mapping(struct bundle_reader *reader, uint32_t parent, const char *path, const char *key,
			  uint32_t *ret_node)
{
	uint32_t node = yaml_find(reader->stream, parent, key);

	*ret_node = YAML_NONE;
	if (yaml_is_null(reader->stream, node))
		return 0;
	if (yaml_kind(reader->stream, node) != YAML_MAPPING)
		return bundle_refuse(reader, node, "%s%s: has to be a mapping", path, key);
	*ret_node = node;
	return 0;
}

static int bundle_check_name(struct bundle_reader *reader, uint32_t node, const char *field, enum name_kind kind,
			     const char *name)
{
	size_t longest = kind == NAME_MESH ? NAME_MESH_BYTES : NAME_RESOURCE_BYTES;

	if (!*name)
		return bundle_refuse(reader, node, "%s: cannot be empty", field);
	if (strlen(name) > longest)
		return bundle_refuse(reader, node, "%s: longer than %zu bytes", field, longest);
	if (!name_is_valid(kind, name, strlen(name)))
		return bundle_refuse(reader, node, "%s: %s", field, bundle_bad_name);
	return 0;
}

/* Append an item; its value is for the caller to fill in. */
static int bundle_add(struct bundle_reader *reader, uint32_t node, const struct name *name, bool kubernetes,
		      struct bundle_item **ret_item)
{
	struct bundle *bundle = reader->bundle;

	if (bundle->n == bundle->capacity) {
		size_t capacity = bundle->capacity ? 2 * bundle->capacity : 16;
		struct bundle_item *items = reallocarray(bundle->items, capacity, sizeof(*items));

		if (!items)
			return -ENOMEM;
		bundle->items = items;
		bundle->capacity = capacity;
	}
	*ret_item = &bundle->items[bundle->n++];
	**ret_item = (struct bundle_item){.name = *name,
					  .document = yaml_number(reader->stream),
					  .line = yaml_line(reader->stream, node),
					  .kubernetes = kubernetes,
					  .in_list = reader->in_list};
	return 0;
}

static int bundle_check_size(struct bundle_reader *reader, uint32_t node, const char *field, size_t size)
{
	if (size > reader->options->value_bytes)
		return bundle_refuse(reader, node, "%s: longer than the %zu bytes that a secret may have", field,
				     reader->options->value_bytes);
	return 0;
}

/* @node is base64 text. */
static int bundle_decode(struct bundle_reader *reader, uint32_t node, const char *field, struct secbuf *ret_value)
{
	const char *text;
	size_t size, at;
	int r;

	if (yaml_kind(reader->stream, node) != YAML_SCALAR)
		return bundle_refuse(reader, node, "%s: has to be a string of base64", field);
	text = yaml_text(reader->stream, node, &size);
	r = base64_decode(text, size, ret_value, &at);
	if (r == -EINVAL)
		return bundle_refuse(reader, node, "%s: illegal base64 data at input byte %zu", field, at);
	return r < 0 ? r : bundle_check_size(reader, node, field, ret_value->size);
}

static int bundle_universal_secret(struct bundle_reader *reader, uint32_t node, enum name_kind kind)
{
	struct bundle_item *item;
	uint32_t mesh_node, name_node, data = yaml_find(reader->stream, node, "data");
	const char *mesh, *text;
	struct name name;
	int r;

	r = bundle_check_fields(reader, node, "", bundle_universal_fields);
	if (r == 0)
		r = bundle_string(reader, node, "", "mesh", &mesh, &mesh_node);
	if (r == 0)
		r = bundle_string(reader, node, "", "name", &text, &name_node);
	if (r == 0 && kind == NAME_GLOBAL_SECRET && *mesh)
		r = bundle_refuse(reader, mesh_node, "mesh: mesh cannot be set on global secret");
	if (r == 0 && kind == NAME_SECRET)
		r = bundle_check_name(reader, mesh_node, "mesh", NAME_MESH, mesh);
	if (r == 0)
		r = bundle_check_name(reader, name_node, "name", kind, text);
	if (r < 0)
		return r;
	name_set(&name, kind, mesh, text);
	r = bundle_add(reader, node, &name, false, &item);
	if (r < 0 || yaml_is_null(reader->stream, data))
		return r;
	return bundle_decode(reader, data, "data", &item->value);
}

/* @fields: the mapping that has the Mesh's own fields, or YAML_NONE; @labels: of the Kubernetes form. */
static int bundle_mesh(struct bundle_reader *reader, uint32_t node, const char *text, uint32_t fields, uint32_t labels,
		       bool kubernetes)
{
	struct mesh_backend backend;
	struct mesh_error error;
	struct bundle_item *item;
	struct name name;
	int r;

	name_set(&name, NAME_MESH, "", text);
	r = mesh_parse(reader->stream, fields, text, &backend, &error);
	if (r == -EINVAL) {
		bundle_refuse(reader, node, "%s%s", kubernetes ? "spec." : "", error.text);
		reader->error->line = error.line;
	}
	if (r == 0)
		r = bundle_add(reader, node, &name, kubernetes, &item);
	if (r == 0)
		r = mesh_write(reader->stream, fields, text, &item->value);
	if (r == 0 && labels && !yaml_find(reader->stream, fields, "labels"))
		r = yaml_write_entry(reader->stream, labels, 0, &item->value);
	return r < 0 ? r : bundle_check_size(reader, node, "Mesh", item->value.size);
}

static int bundle_universal(struct bundle_reader *reader, uint32_t node)
{
	static const char *const types[] = {"Secret", "GlobalSecret", "Mesh", NULL};
	const char *type, *name, *meant;
	uint32_t type_node, name_node;
	int r;

	r = bundle_string(reader, node, "", "type", &type, &type_node);
	if (r < 0)
		return r;
	if (strcmp(type, "Secret") == 0)
		return bundle_universal_secret(reader, node, NAME_SECRET);
	if (strcmp(type, "GlobalSecret") == 0)
		return bundle_universal_secret(reader, node, NAME_GLOBAL_SECRET);
	if (strcmp(type, "Mesh") == 0) {
		r = bundle_string(reader, node, "", "name", &name, &name_node);
		if (r == 0)
			r = bundle_check_name(reader, name_node, "name", NAME_MESH, name);
		return r < 0 ? r : bundle_mesh(reader, node, name, node, YAML_NONE, false);
	}
	if (!*type)
		return bundle_refuse(reader, type_node, "type: cannot be empty: it is Secret, GlobalSecret or Mesh");
	if (reader->options->skip_others) {
		reader->bundle->skipped++;
		return 0;
	}
	meant = nearest(type, types);
	return bundle_refuse(reader, type_node, "type: \"%.64s\" is none of Secret, GlobalSecret, Mesh; %s%s%s", type,
			     meant ? "did you mean \"" : "hushctl apply --skip-others passes over all others", meant ? meant : "",
			     meant ? "\"?" : "");
}

/* Whose is this Kubernetes Secret? 1: not ours, and to be skipped. */
static int bundle_check_owner(struct bundle_reader *reader, uint32_t node, uint32_t metadata, enum name_kind *ret_kind)
{
	const char *wanted = reader->options->namespace, *type, *namespace;
	uint32_t type_node, namespace_node;
	bool ours;
	int r;

	r = bundle_string(reader, node, "", "type", &type, &type_node);
	if (r == 0)
		r = bundle_string(reader, metadata, "metadata.", "namespace", &namespace, &namespace_node);
	if (r < 0)
		return r;
	*ret_kind = strcmp(type, BUNDLE_TYPE_GLOBAL) == 0 ? NAME_GLOBAL_SECRET : NAME_SECRET;
	ours = !*namespace || (wanted ? strcmp(namespace, wanted) == 0
				      : strcmp(namespace, BUNDLE_NAMESPACE) == 0 ||
						strcmp(namespace, BUNDLE_NAMESPACE_KUMA) == 0);
	if (*ret_kind == NAME_SECRET && strcmp(type, BUNDLE_TYPE_SECRET) != 0) {
		if (reader->options->skip_others)
			return 1;
		return bundle_refuse(reader, type_node,
				     "type: \"%.64s\": only Secrets of the types " BUNDLE_TYPE_SECRET " and " BUNDLE_TYPE_GLOBAL
				     " are managed; hushctl apply --skip-others passes over all others", type);
	}
	if (!ours && reader->options->skip_others)
		return 1;
	if (!ours)
		return bundle_refuse(reader, namespace_node,
				     "metadata.namespace: \"%.64s\": only Secrets in the control plane's namespace (%s) are "
				     "managed; hushctl apply --namespace NAME names another, --skip-others passes over it",
				     namespace, wanted ? wanted : BUNDLE_NAMESPACE ", " BUNDLE_NAMESPACE_KUMA);
	return 0;
}

/* data.value, or stringData.value, which Kubernetes takes if both are there. */
static int bundle_kubernetes_value(struct bundle_reader *reader, uint32_t node, struct secbuf *ret_value)
{
	uint32_t data, strings, value;
	const char *text;
	size_t size;
	int r;

	r = bundle_mapping(reader, node, "", "data", &data);
	if (r == 0)
		r = bundle_mapping(reader, node, "", "stringData", &strings);
	if (r == 0)
		r = bundle_check_fields(reader, data, "data.", bundle_data_fields);
	if (r == 0)
		r = bundle_check_fields(reader, strings, "stringData.", bundle_data_fields);
	if (r < 0)
		return r;
	value = yaml_find(reader->stream, strings, "value");
	if (!yaml_is_null(reader->stream, value)) {
		if (yaml_kind(reader->stream, value) != YAML_SCALAR)
			return bundle_refuse(reader, value, "stringData.value: has to be a string");
		text = yaml_text(reader->stream, value, &size);
		r = bundle_check_size(reader, value, "stringData.value", size);
		return r < 0 ? r : secbuf_write(ret_value, 0, text, size);
	}
	value = yaml_find(reader->stream, data, "value");
	if (yaml_is_null(reader->stream, value))
		return bundle_refuse(reader, value ? value : data ? data : node, "data.value: cannot be empty");
	return bundle_decode(reader, value, "data.value", ret_value);
}

static int bundle_kubernetes_secret(struct bundle_reader *reader, uint32_t node, uint32_t metadata)
{
	uint32_t labels, mesh_node, name_node;
	const char *mesh, *text;
	struct bundle_item *item;
	enum name_kind kind;
	struct name name;
	int r;

	r = bundle_check_owner(reader, node, metadata, &kind);
	if (r == 1)
		reader->bundle->skipped++;
	if (r != 0)
		return r < 0 ? r : 0;
	r = bundle_check_fields(reader, node, "", bundle_kubernetes_fields);
	if (r == 0)
		r = bundle_mapping(reader, metadata, "metadata.", "labels", &labels);
	if (r == 0)
		r = bundle_string(reader, labels, "metadata.labels.", BUNDLE_MESH_LABEL, &mesh, &mesh_node);
	if (r == 0)
		r = bundle_string(reader, metadata, "metadata.", "name", &text, &name_node);
	if (r == 0 && kind == NAME_GLOBAL_SECRET && *mesh)
		r = bundle_refuse(reader, mesh_node,
				  "metadata.labels[\"" BUNDLE_MESH_LABEL "\"]: mesh cannot be set on global secret");
	if (r == 0 && !*mesh)
		mesh = "default";
	if (r == 0)
		r = bundle_check_name(reader, mesh_node, "metadata.labels[\"" BUNDLE_MESH_LABEL "\"]", NAME_MESH, mesh);
	if (r == 0)
		r = bundle_check_name(reader, name_node ? name_node : node, "metadata.name", kind, text);
	if (r < 0)
		return r;
	name_set(&name, kind, mesh, text);
	r = bundle_add(reader, node, &name, true, &item);
	return r < 0 ? r : bundle_kubernetes_value(reader, node, &item->value);
}

/* By these a document is in the Kubernetes form; a Mesh is kept in the Universal one, with the fields of @spec at its top. */
static int bundle_check_spec(struct bundle_reader *reader, uint32_t spec)
{
	static const char *const fields[] = {"apiVersion", "kind"};

	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		uint32_t field = yaml_find(reader->stream, spec, fields[i]);

		if (field)
			return bundle_refuse(reader, field, "spec.%s: there is no such field", fields[i]);
	}
	return 0;
}

static int bundle_kubernetes_mesh(struct bundle_reader *reader, uint32_t node, uint32_t metadata)
{
	uint32_t spec, labels = YAML_NONE, name_node;
	const char *name;
	int r;

	r = bundle_mapping(reader, node, "", "spec", &spec);
	if (r == 0)
		r = bundle_check_spec(reader, spec);
	if (r == 0)
		r = bundle_string(reader, metadata, "metadata.", "name", &name, &name_node);
	if (r == 0)
		r = bundle_check_name(reader, name_node ? name_node : node, "metadata.name", NAME_MESH, name);
	for (uint32_t key = yaml_first(reader->stream, metadata); key && !labels && r == 0;
	     key = yaml_after(reader->stream, yaml_after(reader->stream, key)))
		if (yaml_equals(reader->stream, key, "labels"))
			labels = key;
	return r < 0 ? r : bundle_mesh(reader, node, name, spec, labels, true);
}

static int bundle_kubernetes(struct bundle_reader *reader, uint32_t node)
{
	static const struct {
		const char *kind, *version;
		int (*read)(struct bundle_reader *reader, uint32_t node, uint32_t metadata);
	} kinds[] = {{"Secret", "v1", bundle_kubernetes_secret},
		     {"Mesh", "kuma.io/v1alpha1", bundle_kubernetes_mesh}};
	uint32_t version_node, kind_node, metadata;
	const char *version, *kind;
	int r;

	r = bundle_string(reader, node, "", "apiVersion", &version, &version_node);
	if (r == 0)
		r = bundle_string(reader, node, "", "kind", &kind, &kind_node);
	if (r == 0)
		r = bundle_mapping(reader, node, "", "metadata", &metadata);
	if (r < 0)
		return r;
	if (!*kind && !*version) {
		kind = reader->list_kind;
		version = reader->list_version;
	}
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (strcmp(kind, kinds[i].kind) != 0)
			continue;
		if (strcmp(version, kinds[i].version) == 0)
			return kinds[i].read(reader, node, metadata);
		if (!reader->options->skip_others)
			return bundle_refuse(reader, version_node, "apiVersion: of a %s it has to be %s", kind,
					     kinds[i].version);
	}
	if (!*kind)
		return bundle_refuse(reader, kind_node, "kind: cannot be empty: it is Secret, Mesh or List");
	if (reader->options->skip_others) {
		reader->bundle->skipped++;
		return 0;
	}
	return bundle_refuse(reader, kind_node, "kind: \"%.64s\" is none of Secret, Mesh, List; hushctl apply "
						"--skip-others passes over all others", kind);
}

/* One resource, in either form. */
static int bundle_resource(struct bundle_reader *reader, uint32_t node)
{
	if (yaml_kind(reader->stream, node) != YAML_MAPPING)
		return bundle_refuse(reader, node, "a resource has to be a mapping, with fields as \"type: Secret\"");
	if (yaml_find(reader->stream, node, "kind") || yaml_find(reader->stream, node, "apiVersion") ||
	    (*reader->list_kind && yaml_find(reader->stream, node, "metadata")))
		return bundle_kubernetes(reader, node);
	return bundle_universal(reader, node);
}

/* What kubectl, the API and kumactl give of several resources; the key `items` alone makes it one, as neither form has such a field. */
static bool bundle_is_list(struct bundle_reader *reader, uint32_t node, uint32_t *ret_items)
{
	const struct yaml_stream *stream = reader->stream;
	const char *kind = yaml_text(stream, yaml_find(stream, node, "kind"), NULL);
	size_t size = strlen(kind);

	reader->list_kind[0] = 0;
	reader->list_version = yaml_text(stream, yaml_find(stream, node, "apiVersion"), NULL);
	*ret_items = yaml_find(stream, node, "items");
	if (size >= 4 && strcmp(kind + size - 4, "List") == 0) {
		snprintf(reader->list_kind, sizeof(reader->list_kind), "%.*s", (int)(size - 4), kind);
		return true;
	}
	return *ret_items && !*kind && !yaml_find(stream, node, "type");
}

static int bundle_document(struct bundle_reader *reader, uint32_t node)
{
	uint32_t items;
	int r = 0;

	reader->in_list = bundle_is_list(reader, node, &items);
	if (!reader->in_list)
		return bundle_resource(reader, node);
	if (yaml_is_null(reader->stream, items))
		return 0;
	if (yaml_kind(reader->stream, items) != YAML_SEQUENCE)
		return bundle_refuse(reader, items, "items: has to be a list");
	for (uint32_t item = yaml_first(reader->stream, items); item && r == 0; item = yaml_after(reader->stream, item))
		r = bundle_resource(reader, item);
	return r;
}

/* Forget the items from @n on. */
static void bundle_cut(struct bundle *bundle, size_t n)
{
	while (bundle->n > n)
		secbuf_deinit(&bundle->items[--bundle->n].value);
}

int bundle_parse(const void *text, size_t size, const struct bundle_options *options, struct bundle *bundle,
		 struct bundle_error *ret_error)
{
	__attribute__((cleanup(yaml_stream_freep))) struct yaml_stream *stream = NULL;
	struct bundle_reader reader = {.options = options, .bundle = bundle, .error = ret_error};
	size_t n = bundle->n, skipped = bundle->skipped;
	struct yaml_error error;
	int r, more = 0;

	r = yaml_stream_new(text, size, &stream);
	reader.stream = stream;
	while (r == 0 && (more = yaml_stream_next(stream, &error)) == 1)
		r = bundle_document(&reader, yaml_root(stream));
	if (r == 0 && more < 0) {
		r = more;
		if (r == -EINVAL) {
			ret_error->document = error.document;
			ret_error->line = error.line;
			snprintf(ret_error->text, sizeof(ret_error->text), "%s", error.text);
		}
	}
	if (r < 0) {
		bundle_cut(bundle, n);
		bundle->skipped = skipped;
	}
	return r;
}

void bundle_deinit(struct bundle *bundle)
{
	bundle_cut(bundle, 0);
	free(bundle->items);
	*bundle = (struct bundle){0};
}

static int bundle_put(struct secbuf *text, const char *string)
{
	return secbuf_write(text, text->size, string, strlen(string));
}

/* A Secret without its value: the head of the Universal form is four lines of words that need no quotes but for the names. */
static int bundle_write_head(const struct bundle_item *item, struct secbuf *text)
{
	const struct name *name = &item->name;
	const bool in_mesh = name->kind == NAME_SECRET;
	int r;

	r = bundle_put(text, !item->kubernetes ? (in_mesh ? "type: Secret\nname: " : "type: GlobalSecret\nname: ")
			     : in_mesh	       ? "apiVersion: v1\nkind: Secret\ntype: " BUNDLE_TYPE_SECRET
						 "\nmetadata:\n  name: "
					       : "apiVersion: v1\nkind: Secret\ntype: " BUNDLE_TYPE_GLOBAL
						 "\nmetadata:\n  name: ");
	if (r == 0)
		r = yaml_write_string(name->name, strlen(name->name), text);
	if (r == 0 && in_mesh) {
		r = bundle_put(text, item->kubernetes ? "\n  labels:\n    " BUNDLE_MESH_LABEL ": " : "\nmesh: ");
		if (r == 0)
			r = yaml_write_string(name->mesh, strlen(name->mesh), text);
	}
	return r < 0 ? r : bundle_put(text, item->kubernetes ? "\ndata:\n  value: \"" : "\ndata: \"");
}

int bundle_write(const struct bundle_item *item, struct secbuf *text)
{
	int r = bundle_put(text, "---\n");

	if (r == 0 && item->name.kind == NAME_MESH)
		return secbuf_write(text, text->size, item->value.data, item->value.size);
	if (r == 0)
		r = bundle_write_head(item, text);
	if (r == 0)
		r = base64_encode(item->value.data, item->value.size, text);
	return r < 0 ? r : bundle_put(text, "\"\n");
}

void bundle_line(const struct name *name, enum store_outcome outcome, char ret_line[static BUNDLE_LINE_BYTES])
{
	static const char *const outcomes[] = {[STORE_UNCHANGED] = "Unchanged",
					       [STORE_GONE] = "Unchanged",
					       [STORE_CREATED] = "Created",
					       [STORE_UPDATED] = "Updated"};
	const bool in_mesh = name->kind == NAME_SECRET;

	snprintf(ret_line, BUNDLE_LINE_BYTES, "resource type=\"%s\"%s%s%s name=\"%s\" %s", name_type(name->kind),
		 in_mesh ? " mesh=\"" : "", name->mesh, in_mesh ? "\"" : "", name->name, outcomes[outcome]);
}

void bundle_error_line(const struct bundle_error *error, char ret_line[static BUNDLE_LINE_BYTES])
{
	if (error->document)
		snprintf(ret_line, BUNDLE_LINE_BYTES, "document %u, line %u: %s", error->document, error->line,
			 error->text);
	else
		snprintf(ret_line, BUNDLE_LINE_BYTES, "%s", error->text);
}
