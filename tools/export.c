/* SPDX-License-Identifier: Apache-2.0
 * export: hushctl export writes all resources as documents that can be applied elsewhere.
 *
 * Without times, so that what is applied to an empty store and exported again is the same text. On Kubernetes all
 * secrets share one namespace: whether each name is there once is seen before anything is written.
 */
#include "store/log.h"
#include "tools/arena.h"
#include "tools/command.h"
#include "tools/form.h"
#include "tools/kind.h"
#include "tools/output.h"
#include "tools/target.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char export_usage[] =
	"usage: hushctl export [-m MESH] [--format universal|kubernetes]\n"
	"Writes all resources as YAML documents, with their values: meshes, then secrets, then global secrets.\n"
	"\n"
	"  -m, --mesh MESH      only this mesh and its secrets\n"
	"  --format FORMAT      universal or kubernetes (universal; with -n kubernetes)\n"
	"  -n, --namespace NAME in Kubernetes documents (" BUNDLE_NAMESPACE ")\n" TARGET_USAGE;

#define EXPORT_KINDS 3
#define EXPORT_CLASH_BYTES 700

struct exporter {
	struct target_options options;
	const char *mesh, *format;
	struct output_form form;
	struct target *target;
	struct {
		struct target_entry *entries; /* owned */
		size_t n;
	} lists[EXPORT_KINDS];
};

static const enum name_kind export_kinds[EXPORT_KINDS] = {NAME_MESH, NAME_SECRET, NAME_GLOBAL_SECRET};

static int export_parse(int argc, char **argv, struct exporter *ret)
{
	const struct flag table[] = {{.name = "mesh", .letter = 'm', .text = &ret->mesh},
				     {.name = "format", .text = &ret->format},
				     {.name = "namespace", .letter = 'n', .text = &ret->form.namespace},
				     TARGET_FLAGS(ret->options),
				     {0}};
	int n;
	int r = flags_parse(argc, argv, export_usage, table, &n);

	if (r != 0)
		return r;
	if (n > 0)
		return flags_only(argv[0]);
	ret->form.kubernetes = ret->form.namespace;
	return ret->format ? form_parse_format(argv[0], ret->format, &ret->form.kubernetes) : 0;
}

/* The one Mesh that is wanted. */
static int export_find_mesh(struct exporter *export)
{
	struct target_entry *entry = calloc(1, sizeof(*entry));
	struct name name;
	int r = entry ? 0 : log_no_memory("to export");

	export->lists[0].entries = entry;
	if (r == 0)
		r = name_set(&name, NAME_MESH, "", export->mesh) < 0 ? -ENOENT
								     : target_find(export->target, &name, entry);
	if (r == -ENOENT) {
		char missing[KIND_SENTENCE_BYTES];

		kind_missing(NAME_MESH, export->mesh, missing);
		log_error("%s", missing);
	}
	export->lists[0].n = 1;
	return r;
}

static int export_list(struct exporter *export)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < EXPORT_KINDS; i++) {
		if (export->mesh && export_kinds[i] == NAME_MESH)
			r = export_find_mesh(export);
		else if (!export->mesh || export_kinds[i] == NAME_SECRET)
			r = target_list(export->target, export_kinds[i], export->mesh, &export->lists[i].entries,
					&export->lists[i].n);
	}
	return r;
}

static int export_compare(const void *a, const void *b)
{
	const struct name *const *one = a, *const *other = b;
	int order = strcmp((*one)->name, (*other)->name);

	return order ? order : strcmp((*one)->mesh, (*other)->mesh);
}

/* Add to the list of names that clash, as long as it has room. */
static void export_clash(char text[static EXPORT_CLASH_BYTES], const struct name *name)
{
	size_t used = strlen(text);
	size_t room = EXPORT_CLASH_BYTES - used;
	const char *comma = used ? ", " : "";
	int bytes;

	if (name->kind == NAME_SECRET)
		bytes = snprintf(text + used, room, "%s%s in mesh %s", comma, name->name, name->mesh);
	else
		bytes = snprintf(text + used, room, "%s%s as a global secret", comma, name->name);
	if ((size_t)bytes >= room)
		text[used] = '\0';
}

/* Does each secret have a name of its own? */
static int export_check_names(struct exporter *export)
{
	size_t n_secrets = export->lists[1].n, n = n_secrets + export->lists[2].n;
	const struct name **names = calloc(n + 1, sizeof(*names));
	char text[EXPORT_CLASH_BYTES] = "";

	if (!names)
		return log_no_memory("to export");
	for (size_t i = 0; i < n; i++)
		names[i] = i < n_secrets ? &export->lists[1].entries[i].name
					 : &export->lists[2].entries[i - n_secrets].name;
	qsort(names, n, sizeof(*names), export_compare);
	for (size_t i = 0; i < n; i++)
		if ((i > 0 && strcmp(names[i - 1]->name, names[i]->name) == 0) ||
		    (i + 1 < n && strcmp(names[i + 1]->name, names[i]->name) == 0))
			export_clash(text, names[i]);
	free(names);
	if (!text[0])
		return 0;
	log_error("on Kubernetes all secrets share one namespace, but there are %s; rename them, or export one mesh "
		  "with --mesh",
		  text);
	return -EEXIST;
}

/* What can be here and not there: it is written all the same, as it can be applied to another store. */
static void export_warn(const struct exporter *export)
{
	for (size_t i = 0; i < EXPORT_KINDS; i++)
		for (size_t k = 0; k < export->lists[i].n; k++) {
			const struct target_entry *entry = &export->lists[i].entries[k];

			if (!name_is_subdomain(entry->name.name, strlen(entry->name.name)))
				log_warning("%s: Kubernetes refuses this name: there it has lower case letters, digits, - and ., and begins and ends "
					    "with one of the former; rename it", entry->name.name);
			else if (entry->name.kind != NAME_MESH && entry->size == 0)
				log_warning("%s: it is empty, which Kuma refuses on Kubernetes; give it a value", entry->name.name);
		}
}

/* One resource; one that is removed meanwhile is left out. */
static int export_document(struct exporter *export, const struct target_entry *entry, bool *first)
{
	SECBUF_AUTO value = {0};
	SECBUF_AUTO text = {0};
	int r = target_read(export->target, &entry->name, &value);

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	r = *first ? 0 : secbuf_write(&text, 0, "---\n", 4);
	if (r == 0)
		r = output_document(&export->form, entry, &value, &text);
	if (r == -ENOMEM)
		return arena_full(entry->name.name);
	*first = false;
	return r < 0 ? r : output_write(&text, stdout);
}

static int export_run(struct exporter *export)
{
	bool first = true;
	int r = export_list(export);

	if (r == 0 && export->form.kubernetes)
		r = export_check_names(export);
	if (r == 0 && export->form.kubernetes)
		export_warn(export);
	for (size_t i = 0; i < EXPORT_KINDS; i++)
		for (size_t k = 0; r == 0 && k < export->lists[i].n; k++)
			r = export_document(export, &export->lists[i].entries[k], &first);
	return r;
}

int command_export(int argc, char **argv)
{
	struct exporter export = {0};
	int status, r = export_parse(argc, argv, &export);

	if (r != 0)
		return r < 0 ? COMMAND_USAGE : COMMAND_DONE;
	status = target_open(&export.options, &export.target);
	if (status != COMMAND_DONE)
		return status;
	r = export_run(&export);
	for (size_t i = 0; i < EXPORT_KINDS; i++)
		free(export.lists[i].entries);
	target_close(export.target);
	return r < 0 ? COMMAND_FAILED : COMMAND_DONE;
}
