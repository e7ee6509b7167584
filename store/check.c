/* SPDX-License-Identifier: Apache-2.0
 * check: reads the whole file of an open store again, and opens what opening a store leaves sealed: the values.
 *
 * One scan is one snapshot with its own manifest, so commits may go on around it. That the snapshot is of this store's
 * present, and not an earlier state that somebody put back in its place, tells its generation. What is read is held as
 * opening a store holds it (names and metadata), apart from the index that readers use.
 */
#include "store/load.h"
#include "store/log.h"

#include <errno.h>
#include <inttypes.h>

#define CHECK_STEP 64 /* values between two reports of progress */

struct check {
	struct store *store;
	store_progress *progress;
	void *context;
	uint64_t values, total;
};

static int check_refuse(const struct check *check, const struct resource *resource, uint64_t generation,
			const char *what)
{
	log_error("%s: version %" PRIu64 " of resource %014" PRIx64
		  " %s: the store file was changed without the key; restore it from a backup",
		  check->store->path, generation, resource_node(resource), what);
	return -EBADMSG;
}

/* The current value is to be what the record says. */
static int check_current(const struct check *check, const struct resource *resource, const struct secbuf *value)
{
	uint8_t hash[CRYPTO_HASH_BYTES];

	seal_value_hash(&check->store->seal, value->data, value->size, hash);
	if (value->size != resource->record->size || !crypto_equal(hash, resource->record->value_hash, sizeof(hash)))
		return check_refuse(check, resource, resource->record->generation,
				    "is not what its metadata record says");
	return 0;
}

static int check_value(void *context, const struct resource *resource, uint64_t generation, const uint8_t *data,
		       size_t size)
{
	struct check *check = context;
	struct seal_value_info info;
	SECBUF_AUTO value = {0};
	int r;

	if (store_is_locked(check->store))
		return -ENOKEY; /* whoever locks it waits for us */
	r = seal_open_value(&check->store->seal, &resource->id, generation, data, size, &value, &info);
	if (r == -EBADMSG)
		return check_refuse(check, resource, generation, "does not open");
	if (r == 0 && resource->exists && generation == resource->record->generation)
		r = check_current(check, resource, &value);
	check->values++;
	if (check->progress && check->values % CHECK_STEP == 0)
		check->progress(check->context, check->values, check->total);
	return r;
}

/* The generation that the store is at when all commits that are under way have been published. */
static int check_generation(struct store *store, uint64_t *ret_generation)
{
	struct store_status status;
	int r = commit_header(store, NULL, "to check the store");

	store_get_status(store, &status);
	*ret_generation = status.generation;
	return r;
}

/* Read everything into an index of its own. */
static int check_scan(struct check *check, struct seal_manifest *ret_manifest)
{
	struct index index = {0};
	int r = lock_enter(check->store);

	if (r < 0)
		return r;
	r = load_index(check->store, check_value, check, &index, ret_manifest);
	lock_leave(check->store);
	index_deinit(&index);
	return r;
}

int store_check(struct store *store, store_progress *progress, void *context, struct store_checked *ret_checked)
{
	struct check check = {.store = store, .progress = progress, .context = context};
	struct seal_manifest manifest;
	struct store_status before;
	uint64_t after = 0;
	int r;

	store_get_status(store, &before);
	check.total = before.rows;
	r = check_scan(&check, &manifest);
	if (r == 0)
		r = check_generation(store, &after);
	if (r < 0)
		return r;
	if (manifest.generation < before.generation || manifest.generation > after) {
		log_error("%s: the file is of generation %" PRIu64 " and the store of %" PRIu64
			  ": the file was put back to another state; restore it from a backup",
			  store->path, manifest.generation, after);
		return -EBADMSG;
	}
	if (progress)
		progress(context, check.total, check.total);
	*ret_checked = (struct store_checked){.resources = manifest.rows - 1 - check.values, /* but the header */
					      .values = check.values,
					      .rows = manifest.rows};
	return 0;
}
