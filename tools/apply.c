/* SPDX-License-Identifier: Apache-2.0
 * apply: hushctl apply commits the resources of documents, all or none.
 *
 * All is read and looked through before anything is sent; the store then takes it as one transaction. An error names the file, the
 * document, the line and the field.
 */
#include "store/bundle.h"
#include "store/log.h"
#include "tools/arena.h"
#include "tools/command.h"
#include "tools/input.h"
#include "tools/output.h"
#include "tools/provided.h"
#include "tools/target.h"

#include <errno.h>
#include <stdio.h>

static const char apply_usage[] =
	"usage: hushctl apply -f FILE|DIR|- [-v KEY=VALUE]... [--dry-run [--show-values]]\n"
	"Creates or updates the Secrets, GlobalSecrets and Meshes of the documents, in the Universal or the Kubernetes form:\n"
	"all of them, or none.\n"
	"\n"
	"  -f, --file F         a file, - for standard input, or a folder (its .yaml, .yml and .json files)\n"
	"  -v, --var KEY=VALUE  what {{ KEY }} stands for in the documents\n"
	"  --dry-run            print what would be applied, and change nothing\n"
	"  --show-values        with --dry-run: the values too\n"
	"  -n, --namespace NAME the control plane's namespace (" BUNDLE_NAMESPACE " or " BUNDLE_NAMESPACE_KUMA ")\n"
	"  --skip-others        pass over what is no Secret or Mesh of this control plane, and count it\n" TARGET_USAGE;

struct apply_options {
	struct flags_list files, variables;
	bool dry_run, show_values;
	struct bundle_options bundle;
	struct target_options target;
};

static int apply_parse(int argc, char **argv, struct apply_options *options)
{
	const struct flag flags[] = {{.name = "file", .letter = 'f', .list = &options->files},
				     {.name = "var", .letter = 'v', .list = &options->variables},
				     {.name = "dry-run", .is_set = &options->dry_run},
				     {.name = "show-values", .is_set = &options->show_values},
				     {.name = "namespace", .letter = 'n', .text = &options->bundle.namespace},
				     {.name = "skip-others", .is_set = &options->bundle.skip_others},
				     TARGET_FLAGS(options->target),
				     {0}};
	int n, r = flags_parse(argc, argv, apply_usage, flags, &n);

	if (r != 0)
		return r;
	if (n > 0) {
		log_error("apply: \"%s\": give the documents with -f; see hushctl apply --help", argv[1]);
		return -EINVAL;
	}
	if (!options->files.n) {
		log_error("apply: give -f FILE, -f DIR or -f -; see hushctl apply --help");
		return -EINVAL;
	}
	options->bundle.value_bytes = STORE_VALUE_BYTES_MAX; /* the store knows its own bound */
	return input_check_variables("apply", &options->variables);
}

/* One line: where, and what is wrong there. */
static void apply_say(const struct input *input, const struct bundle_error *error)
{
	char line[BUNDLE_LINE_BYTES];

	bundle_error_line(error, line);
	log_error("%s%s%s", error->document ? input->texts[error->source].path : "", error->document ? ": " : "", line);
}

static int apply_read(const struct apply_options *options, struct input *input, struct bundle *bundle)
{
	struct bundle_error error = {0};
	int r;

	r = input_read(&options->files, input);
	if (r == 0)
		r = input_fill(input, &options->variables);
	for (size_t i = 0; i < input->n && r == 0; i++) {
		struct secbuf *text = &input->texts[i].text;
		size_t n = bundle->n;

		output_progress("reading", i + 1, input->n);
		r = bundle_parse(text->data, text->size, &options->bundle, bundle, &error);
		output_progress_end();
		for (; n < bundle->n; n++)
			bundle->items[n].source = i;
		error.source = i;
		if (r == -EINVAL)
			apply_say(input, &error);
		if (r == -ENOMEM)
			arena_full(input->texts[i].path);
		secbuf_deinit(text);
	}
	return r;
}

static int apply_check_meshes(struct target *target, const struct input *input, const struct bundle *bundle)
{
	struct bundle_error error;
	int r = 0;

	for (size_t i = 0; i < bundle->n && r == 0; i++) {
		const struct bundle_item *item = &bundle->items[i];

		if (item->name.kind != NAME_MESH)
			continue;
		r = provided_check(target, bundle, item, &error);
		if (r == -EINVAL)
			apply_say(input, &error);
		if (r == -ENOMEM)
			arena_full(item->name.name);
	}
	return r;
}

static int apply_print_dry(const struct apply_options *options, struct bundle *bundle)
{
	const struct output_form form = {0};
	SECBUF_AUTO text = {0};
	int r = 0;

	for (size_t i = 0; i < bundle->n && r == 0; i++) {
		struct bundle_item *item = &bundle->items[i];
		const struct target_entry entry = {.name = item->name, .size = item->value.size};
		bool shown = options->show_values;

		if (!shown && item->name.kind == NAME_MESH) {
			r = provided_mask(item);
			shown = true;
		}
		if (r == 0 && i)
			r = secbuf_write(&text, text.size, "---\n", 4);
		if (r == 0)
			r = output_document(&form, &entry, shown ? &item->value : NULL, &text);
	}
	if (r == -ENOMEM)
		arena_full("what is to be printed");
	return r < 0 ? r : output_write(&text, stdout);
}

static int apply_commit(const struct input *input, struct target *target, struct bundle *bundle)
{
	struct bundle_error error = {0};
	char line[BUNDLE_LINE_BYTES];
	int r;

	r = apply_check_meshes(target, input, bundle);
	if (r < 0)
		return r;
	output_progress("applying", 0, bundle->n);
	r = target_apply(target, bundle, &error);
	output_progress_end();
	if (r < 0 && error.text[0])
		apply_say(input, &error);
	for (size_t i = 0; i < bundle->n && r == 0; i++) {
		bundle_line(&bundle->items[i].name, bundle->items[i].outcome, line);
		puts(line);
	}
	return r;
}

/* @target: NULL for a dry run. */
static int apply_do(const struct apply_options *options, struct target *target)
{
	INPUT_AUTO input = {0};
	BUNDLE_AUTO bundle = {0};
	int r;

	r = apply_read(options, &input, &bundle);
	if (r < 0)
		return r;
	if (bundle.skipped)
		log_info("passed over %zu resource%s of others", bundle.skipped, bundle.skipped == 1 ? "" : "s");
	if (!bundle.n && bundle.skipped)
		return 0;
	if (!bundle.n) {
		log_error("no resource(s) passed to apply: there is no document in what -f names");
		return -EINVAL;
	}
	if (target)
		return apply_commit(&input, target, &bundle);
	r = apply_check_meshes(NULL, &input, &bundle);
	return r < 0 ? r : apply_print_dry(options, &bundle);
}

int command_apply(int argc, char **argv)
{
	__attribute__((cleanup(target_closep))) struct target *target = NULL;
	struct apply_options options = {.target.changes = true};
	int status, r = apply_parse(argc, argv, &options);

	if (r != 0)
		return r < 0 ? COMMAND_USAGE : COMMAND_DONE;
	if (options.dry_run)
		status = arena_init() < 0 ? COMMAND_FAILED : COMMAND_DONE;
	else
		status = target_open(&options.target, &target);
	if (status != COMMAND_DONE)
		return status;
	return apply_do(&options, target) < 0 ? COMMAND_FAILED : COMMAND_DONE;
}
