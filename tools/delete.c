/* SPDX-License-Identifier: Apache-2.0
 * delete: hushctl delete removes resources by name: all that are named, or none.
 */
#include "store/log.h"
#include "tools/command.h"
#include "tools/kind.h"
#include "tools/target.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char delete_usage[] =
	"usage: hushctl delete TYPE NAME... [-m MESH]\n"
	"Deletes resources: all that are named, or none. TYPE: secret, global-secret, or mesh, which takes its secrets\n"
	"along.\n"
	"\n"
	"  -m, --mesh MESH      whose secrets (default)\n"
	"  -y, --yes            don't ask before a mesh is deleted\n" TARGET_USAGE;

struct deletion {
	struct target_options options;
	const char *mesh;
	bool yes;
	enum name_kind kind;
	char *const *words; /* the names, as they were typed */
	size_t n_words;
	struct name *names; /* owned; each once */
	size_t n;
};

static int delete_parse(int argc, char **argv, struct deletion *ret)
{
	const struct flag table[] = {{.name = "mesh", .letter = 'm', .text = &ret->mesh},
				     {.name = "yes", .letter = 'y', .is_set = &ret->yes},
				     TARGET_FLAGS(ret->options),
				     {0}};
	int n;
	int r = flags_parse(argc, argv, delete_usage, table, &n);

	if (r != 0)
		return r;
	if (n < 1) {
		log_error("%s: give a TYPE and a NAME; see hushctl delete --help", argv[0]);
		return -EINVAL;
	}
	r = kind_parse(argv[0], argv[1], &ret->kind);
	if (r == 0 && n < 2) {
		log_error("%s: give the NAME of a %s; see hushctl delete --help", argv[0], name_type(ret->kind));
		r = -EINVAL;
	}
	ret->words = argv + 2;
	ret->n_words = (size_t)n - 1;
	return r;
}

static int delete_failed(const struct bundle_error *error, int r)
{
	if (error->text[0])
		log_error("%s", error->text);
	return r;
}

static bool delete_has(const struct deletion *delete, const struct name *name)
{
	for (size_t i = 0; i < delete->n; i++)
		if (name_equal(&delete->names[i], name))
			return true;
	return false;
}

static int delete_missing(const struct deletion *delete, const char *name)
{
	char missing[KIND_SENTENCE_BYTES];

	kind_missing(delete->kind, name, missing);
	log_error("%s", missing);
	return -ENOENT;
}

/* The resources that are meant. What can't be a name is the name of none. */
static int delete_resolve(struct deletion *delete)
{
	const char *mesh = delete->kind != NAME_SECRET ? "" : delete->mesh ? delete->mesh : "default";

	delete->names = calloc(delete->n_words, sizeof(delete->names[0]));
	if (!delete->names)
		return log_no_memory("for so many names");
	for (size_t i = 0; i < delete->n_words; i++) {
		struct name name;

		if (name_set(&name, delete->kind, mesh, delete->words[i]) < 0)
			return delete_missing(delete, delete->words[i]);
		if (!delete_has(delete, &name))
			delete->names[delete->n++] = name;
	}
	return 0;
}

/* Ask a person about one Mesh. -ECANCELED. */
static int delete_ask(const char *mesh, size_t n_secrets)
{
	char line[16];

	if (n_secrets == 0)
		fprintf(stderr, "Delete mesh \"%s\"? [y/N] ", mesh);
	else
		fprintf(stderr, "Delete mesh \"%s\" and its %zu secret%s? [y/N] ", mesh, n_secrets,
			n_secrets == 1 ? "" : "s");
	if (fgets(line, sizeof(line), stdin) && (strcasecmp(line, "y\n") == 0 || strcasecmp(line, "yes\n") == 0))
		return 0;
	log_error("nothing was deleted");
	return -ECANCELED;
}

/* Is it sure that one Mesh is to go? */
static int delete_confirm_mesh(const struct deletion *delete, struct target *target, const char *mesh)
{
	struct target_entry *entries = NULL;
	size_t n = 0;
	int r = target_list(target, NAME_SECRET, mesh, &entries, &n);

	free(entries);
	if (r < 0)
		return r == -ENOENT ? delete_missing(delete, mesh) : r;
	if (isatty(STDIN_FILENO) && isatty(STDERR_FILENO))
		return delete_ask(mesh, n);
	log_error("nothing was deleted: mesh \"%s\" would go with its %zu secret%s; confirm it with --yes", mesh, n, n == 1 ? "" : "s");
	return -ECANCELED;
}

static int delete_confirm(const struct deletion *delete, struct target *target)
{
	int r = 0;

	for (size_t i = 0; r == 0 && delete->kind == NAME_MESH && !delete->yes && i < delete->n; i++)
		r = delete_confirm_mesh(delete, target, delete->names[i].name);
	return r;
}

static int delete_run(struct deletion *delete, struct target *target)
{
	struct bundle_error error = {0};
	int r = delete_resolve(delete);

	if (r == 0)
		r = delete_confirm(delete, target);
	if (r == 0)
		r = delete_failed(&error, target_remove(target, delete->names, delete->n, &error));
	for (size_t i = 0; r == 0 && i < delete->n; i++)
		printf("deleted %s \"%s\"\n", name_type(delete->kind), delete->names[i].name);
	return r;
}

int command_delete(int argc, char **argv)
{
	__attribute__((cleanup(target_closep))) struct target *target = NULL;
	struct deletion delete = {.options.changes = true};
	int status, r = delete_parse(argc, argv, &delete);

	if (r != 0)
		return r < 0 ? COMMAND_USAGE : COMMAND_DONE;
	status = target_open(&delete.options, &target);
	if (status != COMMAND_DONE)
		return status;
	r = delete_run(&delete, target);
	free(delete.names);
	return r < 0 ? COMMAND_FAILED : COMMAND_DONE;
}
