/* SPDX-License-Identifier: Apache-2.0
 * lint: hushctl lint tells which secrets policies name that do not exist.
 *
 * Kuma notices that only when traffic fails. Policies name a secret in many places, but always as `secret: NAME`, or as a `secretRef`
 * with a name: so every such field of a document of Kuma's is looked at, wherever it stands. Secrets among the documents count as
 * existing.
 */
#include "store/bundle.h"
#include "store/log.h"
#include "store/yaml.h"
#include "tools/arena.h"
#include "tools/command.h"
#include "tools/input.h"
#include "tools/target.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const char lint_usage[] =
	"usage: hushctl lint -f FILE|DIR|- [-v KEY=VALUE]...\n"
	"Looks for secrets that the policies in the documents name (secret: and secretRef) and that do not exist in their\n"
	"mesh. Prints a line for each, with file and line; exit status 1 if there is any.\n"
	"\n"
	"  -f, --file F         a file, - for standard input, or a folder (its .yaml, .yml and .json files)\n"
	"  -v, --var KEY=VALUE  what {{ KEY }} stands for in the documents\n" TARGET_USAGE;

struct lint {
	struct target *target;
	struct bundle secrets; /* among the documents themselves */
	const char *path;
	struct yaml_stream *stream;
	char mesh[NAME_MESH_BYTES + 1]; /* that the document belongs to */
	size_t documents, references, missing;
};

static bool lint_exists(struct lint *lint, enum name_kind kind, const char *text)
{
	struct target_entry entry;
	struct name name;

	if (name_set(&name, kind, lint->mesh, text) < 0)
		return false;
	for (size_t i = 0; i < lint->secrets.n; i++)
		if (name_equal(&lint->secrets.items[i].name, &name))
			return true;
	return target_find(lint->target, &name, &entry) == 0;
}

/* One reference: @node has the secret's name. */
static void lint_reference(struct lint *lint, uint32_t node)
{
	const char *text = yaml_text(lint->stream, node, NULL);

	lint->references++;
	if (lint_exists(lint, NAME_SECRET, text))
		return;
	lint->missing++;
	printf("%s: document %u, line %u: secret \"%.253s\" does not exist in mesh \"%s\"%s\n", lint->path,
	       yaml_number(lint->stream), yaml_line(lint->stream, node), text, lint->mesh,
	       lint_exists(lint, NAME_GLOBAL_SECRET, text) ? "; there is a GlobalSecret of that name, which does not count" : "");
}

/* The node with the name, of `secret: NAME`, `secretRef: NAME`, `secretRef: {kind: Secret, name: NAME}`. */
static uint32_t lint_name(const struct yaml_stream *stream, uint32_t key, uint32_t value)
{
	if (!yaml_equals(stream, key, "secret") && !yaml_equals(stream, key, "secretRef"))
		return YAML_NONE;
	if (yaml_kind(stream, value) == YAML_MAPPING)
		value = yaml_find(stream, value, "name");
	return !yaml_is_null(stream, value) && yaml_kind(stream, value) == YAML_SCALAR ? value : YAML_NONE;
}

/* All references below @node; as deep as documents go (YAML_DEPTH_MAX). */
static void lint_walk(struct lint *lint, uint32_t node)
{
	const struct yaml_stream *stream = lint->stream;
	const bool mapping = yaml_kind(stream, node) == YAML_MAPPING;
	uint32_t value;

	if (yaml_kind(stream, node) == YAML_SCALAR)
		return;
	for (uint32_t at = yaml_first(stream, node); at; at = yaml_after(stream, value)) {
		uint32_t name;

		value = mapping ? yaml_after(stream, at) : at;
		name = mapping ? lint_name(stream, at, value) : YAML_NONE;
		if (name)
			lint_reference(lint, name);
		else
			lint_walk(lint, value);
	}
}

/* The mesh of a document: a Mesh is its own; else the field or the label says it; else it is `default`, as Kuma has it. */
static void lint_set_mesh(struct lint *lint, uint32_t root)
{
	const struct yaml_stream *stream = lint->stream;
	uint32_t metadata = yaml_find(stream, root, "metadata");
	uint32_t mesh = yaml_find(stream, root, "mesh");

	if (yaml_equals(stream, yaml_find(stream, root, "kind"), "Mesh"))
		mesh = yaml_find(stream, metadata, "name");
	else if (yaml_equals(stream, yaml_find(stream, root, "type"), "Mesh"))
		mesh = yaml_find(stream, root, "name");
	if (!mesh)
		mesh = yaml_find(stream, yaml_find(stream, metadata ? metadata : root, "labels"), BUNDLE_MESH_LABEL);
	snprintf(lint->mesh, sizeof(lint->mesh), "%s", mesh ? yaml_text(stream, mesh, NULL) : "default");
}

/* A resource of Kuma's that is no Secret: the Universal form, or its API group. */
static bool lint_is_policy(const struct yaml_stream *stream, uint32_t root)
{
	uint32_t version = yaml_find(stream, root, "apiVersion"), type = yaml_find(stream, root, "type");

	if (version)
		return strncmp(yaml_text(stream, version, NULL), "kuma.io/", 8) == 0;
	return type && !yaml_equals(stream, type, "Secret") && !yaml_equals(stream, type, "GlobalSecret");
}

static void lint_document(struct lint *lint, uint32_t root)
{
	uint32_t items = yaml_find(lint->stream, root, "items");

	if (lint_is_policy(lint->stream, root)) {
		lint->documents++;
		lint_set_mesh(lint, root);
		lint_walk(lint, root);
	} else if (items && yaml_kind(lint->stream, items) == YAML_SEQUENCE) {
		for (uint32_t item = yaml_first(lint->stream, items); item; item = yaml_after(lint->stream, item))
			lint_document(lint, item);
	}
}

static int lint_failed(const char *path, int r, unsigned document, unsigned line, const char *text)
{
	if (r == -EINVAL)
		log_error("%s: document %u, line %u: %s", path, document, line, text);
	else
		arena_full(path);
	return r;
}

static int lint_text(struct lint *lint, const struct input_text *text)
{
	struct yaml_error error;
	int r;

	lint->path = text->path;
	r = yaml_stream_new(text->text.data, text->text.size, &lint->stream);
	while (r >= 0 && (r = yaml_stream_next(lint->stream, &error)) == 1)
		lint_document(lint, yaml_root(lint->stream));
	lint->stream = yaml_stream_free(lint->stream);
	return r < 0 ? lint_failed(text->path, r, error.document, error.line, error.text) : 0;
}

/* The Secrets among the documents. */
static int lint_secrets(struct lint *lint, const struct input_text *text)
{
	const struct bundle_options options = {.skip_others = true, .value_bytes = STORE_VALUE_BYTES_MAX};
	struct bundle_error error;
	int r = bundle_parse(text->text.data, text->text.size, &options, &lint->secrets, &error);

	return r < 0 ? lint_failed(text->path, r, error.document, error.line, error.text) : 0;
}

static int lint_do(struct lint *lint, const struct flags_list *files, const struct flags_list *variables)
{
	INPUT_AUTO input = {0};
	int r;

	r = input_read(files, &input);
	if (r == 0)
		r = input_fill(&input, variables);
	for (size_t i = 0; i < input.n && r == 0; i++)
		r = lint_secrets(lint, &input.texts[i]);
	for (size_t i = 0; i < input.n && r == 0; i++)
		r = lint_text(lint, &input.texts[i]);
	if (r < 0)
		return r;
	printf("%zu document%s, %zu reference%s to secrets, %zu of them to secrets that do not exist\n", lint->documents,
	       lint->documents == 1 ? "" : "s", lint->references, lint->references == 1 ? "" : "s", lint->missing);
	return lint->missing ? -ENOENT : 0;
}

int command_lint(int argc, char **argv)
{
	__attribute__((cleanup(target_closep))) struct target *target = NULL;
	struct flags_list files = {0}, variables = {0};
	struct target_options options = {0};
	const struct flag flags[] = {{.name = "file", .letter = 'f', .list = &files},
				     {.name = "var", .letter = 'v', .list = &variables},
				     TARGET_FLAGS(options),
				     {0}};
	struct lint lint = {0};
	int n, status, r = flags_parse(argc, argv, lint_usage, flags, &n);

	if (r != 0)
		return r < 0 ? COMMAND_USAGE : COMMAND_DONE;
	if (n > 0 || !files.n) {
		log_error("lint: give the documents with -f; see hushctl lint --help");
		return COMMAND_USAGE;
	}
	if (input_check_variables("lint", &variables) < 0)
		return COMMAND_USAGE;
	status = target_open(&options, &target);
	if (status != COMMAND_DONE)
		return status;
	lint.target = target;
	r = lint_do(&lint, &files, &variables);
	bundle_deinit(&lint.secrets);
	return r < 0 ? COMMAND_FAILED : COMMAND_DONE;
}
