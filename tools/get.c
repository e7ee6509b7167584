/* SPDX-License-Identifier: Apache-2.0
 * get: hushctl get shows resources, as kumactl get does.
 *
 * Values are read one at a time and written before the next one is read, so that a list may be longer than locked
 * memory.
 */
#include "tools/get.h"

#include "store/log.h"
#include "tools/arena.h"
#include "tools/command.h"
#include "tools/kind.h"
#include "tools/listing.h"
#include "tools/watch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char get_usage[] =
	"usage: hushctl get TYPE [NAME] [-m MESH] [-o FORM]\n"
	"Shows resources. TYPE: secrets, global-secrets, meshes, or one of them with its NAME: secret, global-secret, "
	"mesh.\n"
	"\n"
	"  -m, --mesh MESH      whose secrets (default)\n"
	"  -o, --output FORM    table, yaml, json, or raw: the bytes of one, and nothing else (table)\n"
	"  --format FORMAT      universal or kubernetes (universal; with -n or --field-selector kubernetes)\n"
	"  -n, --namespace NAME in Kubernetes documents (" BUNDLE_NAMESPACE ")\n"
	"  --field-selector type=TYPE  as kubectl has it, with " BUNDLE_TYPE_SECRET " or " BUNDLE_TYPE_GLOBAL "\n"
	"  -w, --watch          go on, with a line for each that is added, changed or deleted\n" TARGET_USAGE "\n"
	"Tables have no values; yaml, json and raw do. In the Kubernetes form secrets are those of all meshes and the globals,\n"
	"unless a mesh is given.\n";

struct get_flags {
	struct target_options options;
	const char *mesh, *output, *format, *namespace, *selector;
	bool watch;
};

static int get_check(const char *command, const struct get *get, const struct get_flags *flags)
{
	if (get->output == FORM_RAW && !get->name)
		log_error("%s: -o raw is for one resource: give its NAME", command);
	else if (get->output == FORM_RAW && get->form.kubernetes)
		log_error("%s: -o raw is the value alone, without a document around it: leave out --format", command);
	else if (flags->watch && get->output != FORM_TABLE)
		log_error("%s: --watch prints a table: leave out -o", command);
	else if (flags->watch && !get->mesh)
		log_error("%s: --watch is for one mesh: give -m MESH", command);
	else if (flags->watch && flags->options.store)
		log_error("%s: --watch needs a mount: nobody changes a store that is not mounted", command);
	else
		return 0;
	return -EINVAL;
}

/* What is after --field-selector: which Secrets. */
static int get_parse_selector(const char *command, const char *selector, enum name_kind *ret_only)
{
	*ret_only = 0;
	if (!selector)
		return 0;
	if (strcmp(selector, "type=" BUNDLE_TYPE_SECRET) == 0)
		*ret_only = NAME_SECRET;
	else if (strcmp(selector, "type=" BUNDLE_TYPE_GLOBAL) == 0)
		*ret_only = NAME_GLOBAL_SECRET;
	else
		log_error("%s: --field-selector %s: there are type=" BUNDLE_TYPE_SECRET " and type=" BUNDLE_TYPE_GLOBAL,
			  command, selector);
	return *ret_only ? 0 : -EINVAL;
}

/* What the command line says: 1 if that is only to help. */
static int get_parse(int argc, char **argv, struct get_flags *ret_flags, struct get *ret_get)
{
	struct get_flags *f = ret_flags;
	const struct flag table[] = {{.name = "mesh", .letter = 'm', .text = &f->mesh},
				     {.name = "output", .letter = 'o', .text = &f->output},
				     {.name = "format", .text = &f->format},
				     {.name = "namespace", .letter = 'n', .text = &f->namespace},
				     {.name = "field-selector", .text = &f->selector},
				     {.name = "watch", .letter = 'w', .is_set = &f->watch},
				     TARGET_FLAGS(f->options),
				     {0}};
	int n;
	int r = flags_parse(argc, argv, get_usage, table, &n);

	if (r != 0)
		return r;
	if (n < 1 || n > 2) {
		log_error(n < 1 ? "%s: give a TYPE; see hushctl get --help"
				: "%s: give one NAME; see hushctl get --help",
			  argv[0]);
		return -EINVAL;
	}
	*ret_get = (struct get){.name = n == 2 ? argv[2] : NULL,
				.form = {.times = true, .namespace = f->namespace}};
	r = kind_parse(argv[0], argv[1], &ret_get->kind);
	if (r == 0)
		r = form_parse_output(argv[0], f->output, &ret_get->output);
	if (r == 0)
		r = form_parse_format(argv[0], f->format, &ret_get->form.kubernetes);
	if (r == 0)
		r = get_parse_selector(argv[0], f->selector, &ret_get->only);
	if (!f->format)
		ret_get->form.kubernetes = f->namespace || f->selector;
	ret_get->mesh = f->mesh || ret_get->form.kubernetes ? f->mesh : "default";
	ret_get->form.json = ret_get->output == FORM_JSON;
	return r < 0 ? r : get_check(argv[0], ret_get, f);
}

/* As kumactl has it: in which mesh. */
static void get_where(const struct get *get, char ret_where[static KIND_SENTENCE_BYTES])
{
	if (get->kind == NAME_SECRET && get->mesh && *get->mesh)
		snprintf(ret_where, KIND_SENTENCE_BYTES, " in %.300s mesh", get->mesh);
	else
		ret_where[0] = '\0';
}

/* Say that there is nothing, as there is no @kind of that name. */
static int get_missing(const struct get *get, enum name_kind kind, const char *name)
{
	char where[KIND_SENTENCE_BYTES], why[KIND_SENTENCE_BYTES];

	get_where(get, where);
	kind_missing(kind, name, why);
	log_error("No resources found%s: %s", where, why);
	return -ENOENT;
}

static int get_no_mesh(const struct get *get)
{
	return get_missing(get, NAME_MESH, get->mesh);
}

/* Say that there is nothing; that one is missing is an error: -ENOENT. */
static int get_none(const struct get *get)
{
	char where[KIND_SENTENCE_BYTES];

	if (get->name)
		return get_missing(get, get->kind, get->name);
	get_where(get, where);
	fprintf(stderr, "No resources found%s\n", where);
	return 0;
}

/* Append a resource with its value and write that. -ENOENT is not said. */
static int get_document(const struct get *get, const struct target_entry *entry, const size_t *number,
			struct secbuf *text)
{
	SECBUF_AUTO value = {0};
	int r = target_read(get->target, &entry->name, &value);

	if (r < 0)
		return r;
	r = number ? output_document_in_list(&get->form, *number, entry, &value, text)
		   : output_document(&get->form, entry, &value, text);
	if (r == -ENOMEM)
		return arena_full(entry->name.name);
	if (r == 0)
		r = output_write(text, stdout);
	secbuf_resize(text, 0);
	return r;
}

static int get_raw(const struct get *get, const struct target_entry *entry)
{
	SECBUF_AUTO value = {0};
	int r = target_read(get->target, &entry->name, &value);

	return r < 0 ? r : output_write(&value, stdout);
}

static int get_table(const struct get *get, const struct target_entry *entries, size_t n)
{
	LISTING_AUTO listing = {.target = get->target, .kind = get->kind, .kubernetes = get->form.kubernetes};
	int r = listing_begin(&listing);

	for (size_t i = 0; r == 0 && i < n; i++)
		r = listing_add(&listing, &entries[i]);
	return r < 0 ? r : listing_print(&listing);
}

static int get_compare(const void *a, const void *b)
{
	const struct target_entry *one = a, *other = b;

	return strcmp(one->name.name, other->name.name);
}

/* All Secrets, as kubectl sees them: sorted by name. */
static int get_list_everywhere(const struct get *get, struct target_entry **ret_entries, size_t *ret_n)
{
	struct target_entry *secrets = NULL, *globals = NULL, *all;
	size_t n_secrets = 0, n_globals = 0;
	int r = 0;

	if (get->only != NAME_GLOBAL_SECRET)
		r = target_list(get->target, NAME_SECRET, NULL, &secrets, &n_secrets);
	if (r == 0 && get->only != NAME_SECRET)
		r = target_list(get->target, NAME_GLOBAL_SECRET, NULL, &globals, &n_globals);
	all = r == 0 ? reallocarray(secrets, n_secrets + n_globals + 1, sizeof(*all)) : NULL;
	if (r == 0 && !all)
		r = log_no_memory("for so many resources");
	if (r < 0) {
		free(secrets);
		free(globals);
		return r;
	}
	if (n_globals)
		memcpy(all + n_secrets, globals, n_globals * sizeof(*all));
	free(globals);
	qsort(all, n_secrets + n_globals, sizeof(*all), get_compare);
	*ret_entries = all;
	*ret_n = n_secrets + n_globals;
	return 0;
}

static int get_list(const struct get *get, struct target_entry **ret_entries, size_t *ret_n)
{
	if (get->kind == NAME_SECRET && !get->mesh)
		return get_list_everywhere(get, ret_entries, ret_n);
	return target_list(get->target, get->kind, get->mesh, ret_entries, ret_n);
}

/* One that is somewhere: on Kubernetes there can't be two of a name. */
static int get_find_everywhere(const struct get *get, struct target_entry *ret_entry)
{
	struct target_entry *entries;
	size_t n, found = 0;
	int r = get_list_everywhere(get, &entries, &n);

	if (r < 0)
		return r;
	for (size_t i = 0; i < n; i++) {
		if (strcmp(entries[i].name.name, get->name) == 0) {
			*ret_entry = entries[i];
			found++;
		}
	}
	free(entries);
	if (found > 1) {
		log_error("there are %zu Secrets with name \"%s\": give -m MESH, or get global-secret", found, get->name);
		return -EEXIST;
	}
	return found ? 0 : -ENOENT;
}

static int get_find(const struct get *get, struct target_entry *ret_entry)
{
	struct name name;

	if (get->kind == NAME_SECRET && !get->mesh)
		return get_find_everywhere(get, ret_entry);
	if (name_set(&name, get->kind, get->kind == NAME_SECRET ? get->mesh : "", get->name) < 0)
		return -ENOENT;
	return target_find(get->target, &name, ret_entry);
}

/* What is missing of a Secret that isn't there: it alone, or its mesh too? */
static int get_none_of_mesh(const struct get *get)
{
	struct target_entry entry;
	struct name mesh;

	if (get->kind == NAME_SECRET && get->mesh &&
	    (name_set(&mesh, NAME_MESH, "", get->mesh) < 0 || target_find(get->target, &mesh, &entry) == -ENOENT))
		return get_no_mesh(get);
	return get_none(get);
}

static int get_one(const struct get *get)
{
	SECBUF_AUTO text = {0};
	struct target_entry entry;
	int r = get_find(get, &entry);

	if (r == 0 && get->output == FORM_TABLE)
		r = get_table(get, &entry, 1);
	else if (r == 0 && get->output == FORM_RAW)
		r = get_raw(get, &entry);
	else if (r == 0)
		r = get_document(get, &entry, NULL, &text);
	return r == -ENOENT ? get_none_of_mesh(get) : r;
}

/* One that is removed while the list is printed is left out. */
static int get_documents(const struct get *get, const struct target_entry *entries, size_t n)
{
	SECBUF_AUTO text = {0};
	size_t number = 0;
	int r = output_list_begin(&get->form, n, &text);

	for (size_t i = 0; r == 0 && i < n; i++) {
		r = get_document(get, &entries[i], &number, &text);
		number += r == 0;
		r = r == -ENOENT ? 0 : r;
	}
	if (r < 0)
		return r;
	r = output_list_end(&get->form, number, &text);
	return r < 0 ? r : output_write(&text, stdout);
}

static int get_all(const struct get *get)
{
	struct target_entry *entries = NULL;
	size_t n = 0;
	int r = get_list(get, &entries, &n);

	if (r == -ENOENT)
		r = get_no_mesh(get);
	else if (r == 0 && get->output != FORM_TABLE)
		r = get_documents(get, entries, n);
	else if (r == 0 && n == 0)
		r = get_none(get);
	else if (r == 0)
		r = get_table(get, entries, n);
	free(entries);
	return r;
}

int command_get(int argc, char **argv)
{
	__attribute__((cleanup(target_closep))) struct target *target = NULL;
	struct get_flags flags = {0};
	struct get get;
	int status, r = get_parse(argc, argv, &flags, &get);

	if (r != 0)
		return r < 0 ? COMMAND_USAGE : COMMAND_DONE;
	status = target_open(&flags.options, &target);
	if (status != COMMAND_DONE)
		return status;
	get.target = target;
	if (flags.watch)
		r = watch_run(&get);
	else
		r = get.name ? get_one(&get) : get_all(&get);
	return r < 0 ? COMMAND_FAILED : COMMAND_DONE;
}
