/* SPDX-License-Identifier: Apache-2.0
 * target_store: a store file that no daemon has open.
 */
#include "tools/target_internal.h"

#include "store/anchor.h"
#include "store/apply.h"
#include "tools/output.h"
#include "tools/unmounted.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

int target_store_open(const struct target_options *options, struct target *target)
{
	const struct unmounted where = {.store = options->store, .key = options->key, .anchor = options->anchor};
	struct store_options how = unmounted_keeps_all;
	__attribute__((cleanup(key_freep))) struct key *key = NULL;

	if (options->changes)
		how.history = STORE_HISTORY_DEFAULT;
	how.anchor_later = options->accept_rollback;
	return unmounted_open(&where, &how, &key, &target->anchor, &target->store);
}

static void target_store_close(struct target *target)
{
	store_close(target->store);
	anchor_close(target->anchor);
}

static struct target_entry target_store_entry(const struct store_info *info)
{
	const struct record *record = &info->record;
	struct timespec modified = record->inodes[record_file(record->name.kind)].mtime;
	bool born = record->born.tv_sec || record->born.tv_nsec;

	return (struct target_entry){.name = record->name,
				     .size = record->size,
				     .created = born ? record->born : modified,
				     .modified = modified};
}

static int target_store_find(struct target *target, const struct name *name, struct target_entry *ret_entry)
{
	struct store_info info;
	int r = store_look(target->store, store_node(target->store, name), &info);

	if (r < 0 || !info.exists)
		return r < 0 ? r : -ENOENT;
	*ret_entry = target_store_entry(&info);
	return 0;
}

static int target_store_list(struct target *target, enum name_kind kind, const char *mesh,
			     struct target_entries *entries)
{
	struct store_info info = {0};
	uint64_t folder = 0;
	int r = 0;

	if (kind == NAME_SECRET) {
		struct target_entry entry;
		struct name name;

		if (name_set(&name, NAME_MESH, "", mesh) < 0)
			return -ENOENT;
		folder = store_node(target->store, &name);
		r = target_store_find(target, &name, &entry);
	}
	if (r < 0)
		return r;
	while ((r = store_next(target->store, kind, folder, info.node, &info)) == 0) {
		struct target_entry entry = target_store_entry(&info);

		r = target_entries_add(entries, &entry);
		if (r < 0)
			return r;
	}
	return r == -ENOENT ? 0 : r;
}

static bool target_store_can_read(struct target *target, const struct name *name)
{
	(void)target;
	(void)name;
	return true;
}

static int target_store_read(struct target *target, const struct name *name, struct secbuf *ret_value)
{
	uint64_t node = store_node(target->store, name);
	uint64_t generation;
	int r = store_pin(target->store, node, &generation);

	if (r < 0)
		return r;
	r = store_read(target->store, node, generation, ret_value);
	store_unpin(target->store, node, generation);
	return r;
}

static int target_store_apply(struct target *target, struct bundle *bundle, struct bundle_error *ret_error)
{
	int r = apply_run(target->store, bundle, geteuid(), getegid(), ret_error);

	if (r == -ENOMEM)
		snprintf(ret_error->text, sizeof(ret_error->text),
			 "does not fit into the memory that may be locked; nothing was changed; raise the limit with "
			 "ulimit -l");
	return r;
}

static int target_store_remove(struct target *target, const struct name *names, size_t n,
			       struct bundle_error *ret_error)
{
	struct name *gone = NULL;
	size_t n_gone;
	int r = apply_remove(target->store, names, n, &gone, &n_gone, ret_error);

	free(gone);
	return r;
}

static int target_store_status(struct target *target, FILE *out)
{
	struct store_status status;
	int r;

	store_get_status(target->store, &status);
	r = fprintf(out, "version: %s\nstore: ", HUSHFS_VERSION);
	for (size_t i = 0; r >= 0 && i < sizeof(status.id); i++)
		r = fprintf(out, "%02x", status.id[i]);
	if (r >= 0)
		r = fprintf(out,
			    "\ngeneration: %" PRIu64 "\nmeshes: %zu\nsecrets: %zu\nglobal-secrets: %zu\nrows: %" PRIu64
			    "\n",
			    status.generation, status.meshes, status.secrets, status.global_secrets, status.rows);
	return r < 0 ? output_failed(errno) : 0;
}

static void target_store_progress(void *context, uint64_t done, uint64_t total)
{
	(void)context;
	output_progress("checking", done, total);
}

static int target_store_check(struct target *target, struct store_checked *ret_checked)
{
	int r = store_check(target->store, target_store_progress, NULL, ret_checked);

	output_progress_end();
	return r;
}

static int target_store_copy(struct target *target, const char *path)
{
	return store_copy(target->store, path);
}

const struct target_calls target_store_calls = {
	.list = target_store_list,
	.find = target_store_find,
	.can_read = target_store_can_read,
	.read = target_store_read,
	.apply = target_store_apply,
	.remove = target_store_remove,
	.status = target_store_status,
	.check = target_store_check,
	.copy = target_store_copy,
	.close = target_store_close,
};
