/* SPDX-License-Identifier: Apache-2.0
 * target: which of the two it is, and what is the same for both.
 */
#include "tools/target_internal.h"

#include "store/folder.h"
#include "store/log.h"
#include "tools/arena.h"
#include "tools/command.h"
#include "tools/kind.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TARGET_ENTRIES_FIRST 64

static int target_check_options(const struct target_options *options)
{
	bool has_key = options->key.key_file || options->key.passphrase_file;

	if (options->mount && options->store)
		log_error("give --mount or --store, not both");
	else if (has_key && !options->store)
		log_error("--key-file and --passphrase-file open a store: give --store FILE too");
	else if (options->anchor && !options->store)
		log_error("--anchor is for a store that is not mounted: give --store FILE too (a mount has its own: -o anchor)");
	else if (options->accept_rollback && !options->anchor)
		log_error("--accept-rollback: give the --anchor FILE that is to accept the store");
	else if (options->key.key_file && options->key.passphrase_file)
		log_error("give --key-file or --passphrase-file, not both");
	else
		return 0;
	return -EINVAL;
}

int target_open(const struct target_options *options, struct target **ret_target)
{
	struct target *target;
	int r;

	if (target_check_options(options) < 0)
		return COMMAND_USAGE;
	if (arena_init() < 0)
		return COMMAND_FAILED;
	target = calloc(1, sizeof(*target));
	if (!target) {
		log_no_memory("to begin");
		return COMMAND_FAILED;
	}
	target->calls = options->store ? &target_store_calls : &target_mount_calls;
	r = options->store ? target_store_open(options, target) : target_mount_open(options->mount, target);
	if (r < 0) {
		free(target);
		return COMMAND_FAILED;
	}
	*ret_target = target;
	return COMMAND_DONE;
}

bool target_begin(int argc, char **argv, const char *usage, int n_words, const char *wanted, struct target **ret_target,
		  int *ret_status)
{
	struct target_options options = {0};
	const struct flag flags[] = {TARGET_FLAGS(options), {0}};
	int n;
	int r = flags_parse(argc, argv, usage, flags, &n);

	if (r == 0 && n > 0 && n_words == 0) {
		r = flags_only(argv[0]);
	} else if (r == 0 && n != n_words) {
		log_error("%s: %s; see hushctl %s --help", argv[0], wanted, argv[0]);
		r = -EINVAL;
	}
	*ret_status = r < 0 ? COMMAND_USAGE : COMMAND_DONE;
	if (r != 0)
		return false;
	*ret_status = target_open(&options, ret_target);
	return *ret_status == COMMAND_DONE;
}

struct target *target_close(struct target *target)
{
	if (target) {
		target->calls->close(target);
		free(target->path);
		free(target);
	}
	return NULL;
}

void target_closep(struct target **target)
{
	*target = target_close(*target);
}

const char *target_path(const struct target *target)
{
	return target->path;
}

int target_entries_add(struct target_entries *entries, const struct target_entry *entry)
{
	if (entries->n == entries->capacity) {
		size_t capacity = entries->capacity ? 2 * entries->capacity : TARGET_ENTRIES_FIRST;
		struct target_entry *items = reallocarray(entries->items, capacity, sizeof(*items));

		if (!items)
			return log_no_memory("for so many resources");
		entries->items = items;
		entries->capacity = capacity;
	}
	entries->items[entries->n++] = *entry;
	return 0;
}

static int target_compare(const void *a, const void *b)
{
	const struct target_entry *one = a, *other = b;
	int order = strcmp(one->name.mesh, other->name.mesh);

	return order ? order : strcmp(one->name.name, other->name.name);
}

/* Of NAME_SECRET in all meshes. */
static int target_list_all(struct target *target, struct target_entries *entries)
{
	struct target_entries meshes = {0};
	int r = target->calls->list(target, NAME_MESH, NULL, &meshes);

	for (size_t i = 0; r == 0 && i < meshes.n; i++) {
		r = target->calls->list(target, NAME_SECRET, meshes.items[i].name.name, entries);
		if (r == -ENOENT)
			r = 0; /* it was removed meanwhile */
	}
	free(meshes.items);
	return r;
}

int target_list(struct target *target, enum name_kind kind, const char *mesh, struct target_entry **ret_entries,
		size_t *ret_n)
{
	struct target_entries entries = {0};
	int r;

	if (kind == NAME_SECRET && !mesh)
		r = target_list_all(target, &entries);
	else
		r = target->calls->list(target, kind, mesh, &entries);
	if (r < 0) {
		free(entries.items);
		return r;
	}
	if (entries.n)
		qsort(entries.items, entries.n, sizeof(entries.items[0]), target_compare);
	*ret_entries = entries.items;
	*ret_n = entries.n;
	return 0;
}

int target_find(struct target *target, const struct name *name, struct target_entry *ret_entry)
{
	return target->calls->find(target, name, ret_entry);
}

bool target_can_read(struct target *target, const struct name *name)
{
	return target->calls->can_read(target, name);
}

int target_read(struct target *target, const struct name *name, struct secbuf *ret_value)
{
	return target->calls->read(target, name, ret_value);
}

int target_apply(struct target *target, struct bundle *bundle, struct bundle_error *ret_error)
{
	return target->calls->apply(target, bundle, ret_error);
}

int target_missing(const struct name *name, struct bundle_error *ret_error)
{
	char text[KIND_SENTENCE_BYTES];
	const char *in = name->kind == NAME_SECRET ? name->mesh : "";

	kind_missing(name->kind, name->name, text);
	snprintf(ret_error->text, sizeof(ret_error->text), "%.320s%s%s%s", text, *in ? " in mesh \"" : "", in, *in ? "\"" : "");
	return -ENOENT;
}

int target_remove(struct target *target, const struct name *names, size_t n, struct bundle_error *ret_error)
{
	struct target_entry entry;

	*ret_error = (struct bundle_error){0};
	for (size_t i = 0; i < n; i++) {
		int r = target_find(target, &names[i], &entry);

		if (r == -ENOENT)
			return target_missing(&names[i], ret_error);
		if (r < 0)
			return r;
	}
	return target->calls->remove(target, names, n, ret_error);
}

int target_status(struct target *target, FILE *out)
{
	return target->calls->status(target, out);
}

int target_check(struct target *target, struct store_checked *ret_checked)
{
	return target->calls->check(target, ret_checked);
}

int target_accept(struct target *target, struct store_accepted *ret_accepted)
{
	return store_accept(target->store, ret_accepted);
}

/* Give what is complete its name, unless there is a file meanwhile. */
static int target_place(const char *from, const char *path)
{
	int r = folder_place(from, path);

	if (r == 0)
		r = folder_sync(path);
	if (r == -EEXIST)
		log_error("%s: there is a file already; nothing was changed", path);
	else if (r < 0)
		log_error("%s: cannot make the copy: %s", path, log_reason(-r));
	return r;
}

static char *target_leaves[2]; /* what an interrupted backup would leave; NULL: nothing */

static void target_interrupted(int number)
{
	int interrupted = errno; /* NOLINT(bugprone-signal-handler,cert-sig30-c): of the thread, as POSIX allows */

	for (size_t i = 0; i < 2 && target_leaves[i]; i++)
		unlink(target_leaves[i]);
	signal(number, SIG_DFL);
	raise(number);
	errno = interrupted; /* NOLINT(bugprone-signal-handler,cert-sig30-c): as above */
}

/* Take away the copy that is being made if a signal ends this. What is ignored stays so. */
static void target_interruptible(void)
{
	static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		if (signal(numbers[i], target_interrupted) == SIG_IGN)
			signal(numbers[i], SIG_IGN);
}

int target_backup(struct target *target, const char *path)
{
	char *beside, *journal;
	bool made;
	int r;

	if (access(path, F_OK) == 0) {
		log_error("%s: there is a file already; nothing was changed", path);
		return -EEXIST;
	}
	if (asprintf(&beside, "%s.part-%d", path, (int)getpid()) < 0)
		return log_no_memory("to make the copy");
	if (asprintf(&journal, "%s" STORE_COPY_JOURNAL, beside) < 0) {
		free(beside);
		return log_no_memory("to make the copy");
	}
	target_leaves[0] = beside;
	target_leaves[1] = journal;
	target_interruptible();
	r = target->calls->copy(target, beside);
	made = r != -EEXIST;
	if (r == 0)
		r = target_place(beside, path);
	if (r < 0 && made)
		unlink(beside);
	target_leaves[0] = NULL;
	free(journal);
	free(beside);
	return r;
}
