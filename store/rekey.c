/* SPDX-License-Identifier: Apache-2.0
 * rekey: the whole store sealed again under a new root key, in a new file that then takes the old one's place.
 *
 * The new file is made beside the old one, in commits that each leave a whole store: a resource's record comes with its
 * current value, after its older versions, and after its mesh. So a kill leaves the old store and a part of the new
 * one, and going on is to add what is not there yet. The part says by its generation which state of the old store it is
 * of: while it grows it has the old store's, and the one after that when all is there. Then it is opened as anybody
 * would open it and compared with the old one, byte by byte; only then it is renamed.
 *
 * The old store stays open, and so locked, until it has been replaced: nobody can write to it meanwhile.
 */
#include "store/folder.h"
#include "store/internal.h"
#include "store/log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define REKEY_ROWS 256             /* of a commit, about */
#define REKEY_BYTES (1024u * 1024) /* the same */
#define REKEY_SPARE 2              /* rows that may not be parted from those before */

struct rekey {
	char path[PATH_MAX];       /* of the store */
	char path_fresh[PATH_MAX]; /* of what is made */
	const struct key *new_key;
	struct anchor *anchor; /* or NULL */
	struct store *old;
	struct store *fresh;
	bool ours;        /* what lies at @path_fresh was made by a rekey of this store */
	bool resumed;     /* a part of it by an earlier call */
	struct stat made; /* that file */
	store_progress *progress;
	void *context;
	uint64_t done, total; /* values that were sealed, and then compared */

	/* the next commit */
	struct seal_key keys[REKEY_ROWS + REKEY_SPARE];
	struct seal_row rows[REKEY_ROWS + REKEY_SPARE];
	size_t n_rows, bytes;
};

/* Nothing is pruned on the way: nothing is committed to the old store at all, and what is read of it is all that it
 * has. */
static const struct store_options rekey_options = {.value_bytes = STORE_VALUE_BYTES_MAX, .history = UINT_MAX};

/* --- committing to the new file */

static void rekey_forget_rows(struct rekey *rekey)
{
	for (size_t i = 0; i < rekey->n_rows; i++)
		free(rekey->rows[i].data);
	rekey->n_rows = rekey->bytes = 0;
}

/* Commit the rows that wait, with the manifest. */
static int rekey_commit(struct rekey *rekey)
{
	struct engine_change changes[REKEY_ROWS + REKEY_SPARE + 1];
	struct seal_key key = seal_key(SEAL_MANIFEST, NULL, 0);
	struct store *fresh = rekey->fresh;
	struct seal_row manifest = {0};
	size_t n = rekey->n_rows;
	int r;

	for (size_t i = 0; i < n; i++)
		changes[i] = (struct engine_change){rekey->keys[i].bytes, rekey->keys[i].size, rekey->rows[i].data,
						    rekey->rows[i].size};
	r = seal_manifest(&fresh->seal, &fresh->manifest, &manifest);
	if (r == 0) {
		changes[n] = (struct engine_change){key.bytes, key.size, manifest.data, manifest.size};
		r = engine_commit(fresh->engine, changes, n + 1);
	}
	free(manifest.data);
	rekey_forget_rows(rekey);
	return r;
}

/* Takes @row over. */
static void rekey_add(struct rekey *rekey, const struct seal_key *key, struct seal_row row)
{
	struct store *fresh = rekey->fresh;
	uint8_t hash[CRYPTO_HASH_BYTES];

	seal_row_hash(&fresh->seal, key, row.data, row.size, hash);
	crypto_set_add(fresh->manifest.sum, hash);
	fresh->manifest.rows++;
	rekey->keys[rekey->n_rows] = *key;
	rekey->rows[rekey->n_rows++] = row;
	rekey->bytes += row.size;
}

static int rekey_commit_if_full(struct rekey *rekey)
{
	return rekey->n_rows >= REKEY_ROWS || rekey->bytes >= REKEY_BYTES ? rekey_commit(rekey) : 0;
}

/* --- copying */

static int rekey_fetch(struct store *store, const struct resource *resource, const struct version *version,
		       struct secbuf *ret_value, struct seal_value_info *ret_info)
{
	struct version_row wanted = index_row(resource, version);
	struct seal_row row;
	int r = store_fetch(store, &wanted, &row, ret_value, ret_info);

	if (r == 0)
		free(row.data);
	if (r == -EIO)
		log_error("%s: version %" PRIu64 " of resource %014" PRIx64
			  " was changed in the store file without the key; restore it from a backup",
			  store->path, version->generation, resource_node(resource));
	if (r == -ENOMEM)
		log_error("%s: no locked memory left to open a value: raise the limit (ulimit -l)", store->path);
	return r;
}

static void rekey_step(struct rekey *rekey)
{
	rekey->done++;
	if (rekey->progress)
		rekey->progress(rekey->context, rekey->done, rekey->total);
}

/* Seal @version anew. @record (NULL for an older version): the record whose current value it is, to which the hash
 * under the new key goes. */
static int rekey_version(struct rekey *rekey, const struct resource *old, const struct version *version,
			 const struct seal_id *id, struct record *record)
{
	const struct seal *seal = &rekey->fresh->seal;
	struct seal_key key = seal_key(SEAL_VALUE, id, version->generation);
	uint8_t hash[CRYPTO_HASH_BYTES];
	struct seal_value_info info;
	SECBUF_AUTO value = {0};
	struct seal_row row;
	int r;

	r = rekey_fetch(rekey->old, old, version, &value, &info);
	if (r < 0)
		return r;
	seal_value_hash(seal, value.data, value.size, hash);
	r = seal_value(seal, id, version->generation, value.data, hash, &info, &row);
	if (r < 0) {
		log_error("%s: no locked memory left to seal a value: raise the limit (ulimit -l)", rekey->path);
		return r;
	}
	if (record)
		memcpy(record->value_hash, hash, sizeof(hash));
	rekey_add(rekey, &key, row);
	return 0;
}

/* The older versions, each unless an earlier call had it. Any order will do; nobody counts them as long as their
 * resource has no record. */
static int rekey_history(struct rekey *rekey, const struct resource *old, const struct seal_id *id,
			 const struct resource *fresh)
{
	int r = 0;

	for (const struct version *v = old->versions->older; v && r == 0; v = v->older) {
		if (v->doomed)
			continue;
		if (!fresh || !index_version(fresh, v->generation))
			r = rekey_version(rekey, old, v, id, NULL);
		rekey_step(rekey);
		if (r == 0)
			r = rekey_commit_if_full(rekey);
	}
	return r;
}

static int rekey_resource(struct rekey *rekey, const struct resource *old)
{
	const struct resource *fresh;
	struct record record;
	struct seal_key key;
	struct seal_row row;
	struct seal_id id;
	int r;

	resource_record(old, &record);
	id = seal_id(&rekey->fresh->seal, &record.name);
	key = seal_key(SEAL_RECORD, &id, 0);
	fresh = index_find(&rekey->fresh->index, index_node(&id));
	r = rekey_history(rekey, old, &id, fresh);
	if (r == 0 && !(fresh && fresh->exists)) {
		r = rekey_version(rekey, old, old->versions, &id, &record);
		if (r == 0)
			r = seal_record(&rekey->fresh->seal, &id, rekey->old->manifest.generation + 1, &record, &row);
		if (r == 0)
			rekey_add(rekey, &key, row);
	}
	rekey_step(rekey);
	return r < 0 ? r : rekey_commit_if_full(rekey);
}

typedef int rekey_visit(struct rekey *rekey, const struct resource *old);

/* All resources of the old store, each mesh before its secrets. */
static int rekey_each(struct rekey *rekey, rekey_visit *visit)
{
	const struct name root_name = {.kind = NAME_ROOT};
	struct index *index = &rekey->old->index;
	const struct resource *root = index_find(index, store_node(rekey->old, &root_name));
	int r = root && root->exists ? visit(rekey, root) : 0; /* GCOVR_EXCL_BR_LINE: every store has it */

	for (size_t i = 0; i < index->meshes.count && r == 0; i++) {
		const struct resource *mesh = index->meshes.entries[i];

		r = visit(rekey, mesh);
		for (size_t j = 0; j < mesh->secrets->count && r == 0; j++)
			r = visit(rekey, mesh->secrets->entries[j]);
	}
	for (size_t i = 0; i < index->globals.count && r == 0; i++)
		r = visit(rekey, index->globals.entries[i]);
	return r;
}

static int rekey_count(struct rekey *rekey, const struct resource *old)
{
	for (const struct version *v = old->versions; v; v = v->older)
		rekey->total += !v->doomed;
	return 0;
}

/* --- comparing */

static int rekey_differs(const struct rekey *rekey, const struct resource *old)
{
	if (!rekey->resumed)
		log_error("%s: resource %014" PRIx64 " is not the same in %s", rekey->path, resource_node(old),
			  rekey->path_fresh);
	return -EBADMSG;
}

/* A record as bytes; but for the hash, which is keyed. */
static void rekey_encode(struct record record, uint8_t ret_plain[static RECORD_BYTES])
{
	memset(record.value_hash, 0, sizeof(record.value_hash));
	record_encode(&record, ret_plain);
}

static int rekey_compare_version(struct rekey *rekey, const struct resource *old, const struct version *version,
				 const struct resource *fresh)
{
	const struct version *other = index_version(fresh, version->generation);
	struct seal_value_info info, other_info;
	SECBUF_AUTO value = {0}, other_value = {0};
	uint8_t hash[CRYPTO_HASH_BYTES];
	int r;

	if (!other || other->doomed)
		return rekey_differs(rekey, old);
	r = rekey_fetch(rekey->old, old, version, &value, &info);
	if (r == 0)
		r = rekey_fetch(rekey->fresh, fresh, other, &other_value, &other_info);
	if (r < 0)
		return r;
	if (value.size != other_value.size || (value.size && memcmp(value.data, other_value.data, value.size) != 0) ||
	    info.uid != other_info.uid || info.mtime.tv_sec != other_info.mtime.tv_sec ||
	    info.mtime.tv_nsec != other_info.mtime.tv_nsec)
		return rekey_differs(rekey, old);
	seal_value_hash(&rekey->fresh->seal, other_value.data, other_value.size, hash);
	if (version == old->versions && !crypto_equal(hash, fresh->record->value_hash, sizeof(hash)))
		return rekey_differs(rekey, old);
	return 0;
}

static int rekey_compare(struct rekey *rekey, const struct resource *old)
{
	uint8_t plain[RECORD_BYTES], other_plain[RECORD_BYTES];
	struct record record, other;
	const struct resource *fresh;
	int r = 0;

	resource_record(old, &record);
	fresh = index_find(&rekey->fresh->index, store_node(rekey->fresh, &record.name));
	if (!fresh || !fresh->exists)
		return rekey_differs(rekey, old);
	resource_record(fresh, &other);
	rekey_encode(record, plain);
	rekey_encode(other, other_plain);
	if (memcmp(plain, other_plain, sizeof(plain)) != 0)
		return rekey_differs(rekey, old);
	for (const struct version *v = old->versions; v && r == 0; v = v->older) {
		if (v->doomed)
			continue;
		r = rekey_compare_version(rekey, old, v, fresh);
		rekey_step(rekey);
	}
	return r;
}

static uint64_t rekey_resources(const struct store *store)
{
	return 1 + store->index.meshes.count + store->index.globals.count + store->index.secrets;
}

/* Open what was made, as its user will, and see that it is all there and nothing else. */
static int rekey_verify(struct rekey *rekey)
{
	int r = store_load(rekey->path_fresh, rekey->new_key, &rekey_options, &rekey->fresh);

	if (r == 0)
		r = rekey_each(rekey, rekey_compare);
	if (r == 0 && (rekey->fresh->manifest.generation != rekey->old->manifest.generation + 1 ||
		       rekey->fresh->manifest.rows != 1 + rekey_resources(rekey->old) + rekey->total / 2)) {
		if (!rekey->resumed)
			log_error("%s: there is something in it that is not in the store", rekey->path_fresh);
		r = -EBADMSG;
	}
	if (r == 0)
		r = engine_settle(rekey->fresh->engine);
	/* while its keys are here; the old one stays in the other slot until it has been replaced */
	if (r == 0 && rekey->anchor)
		r = anchor_write(rekey->anchor, &rekey->fresh->seal, &rekey->fresh->manifest);
	rekey->fresh = store_close(rekey->fresh);
	return r;
}

/* --- the new file */

/* Is what lies there for this store and this key: 1; from another rekey: 0; -EEXIST if it is another store. It is not
 * opened for real, as not to fit is no error. */
static int rekey_fits(const struct rekey *rekey)
{
	const struct header *old = &rekey->old->header;
	struct engine *engine = NULL;
	struct header header;
	unsigned slot;
	int r;

	r = engine_open(rekey->path_fresh, &engine);
	if (r == 0)
		r = store_read_header(engine, rekey->path_fresh, &header);
	if (r == 0 && memcmp(header_store_id(&header), header_store_id(old), HEADER_STORE_ID_BYTES) != 0) {
		log_error("%s: this is in the way, and another store: move it elsewhere", rekey->path_fresh);
		r = -EEXIST;
	}
	if (r == 0 && header_epoch(&header) == header_epoch(old) + 1) {
		r = header_slot_of(&header, rekey->new_key, &slot);
		if (r == 0)
			r = 1;
	}
	engine_close(engine);
	return r == -EKEYREJECTED || r == -EBADMSG ? 0 : r;
}

/* Open what an earlier call left: 1; 0 if there is none, or not of the state that the old store has now. */
static int rekey_resume(struct rekey *rekey)
{
	uint64_t generation = rekey->old->manifest.generation;
	int r;

	if (access(rekey->path_fresh, F_OK) < 0 || engine_is_begun(rekey->path_fresh))
		return 0;
	r = rekey_fits(rekey);
	if (r != 1)
		return r;
	r = store_load(rekey->path_fresh, rekey->new_key, &rekey_options, &rekey->fresh);
	if (r < 0)
		return r == -EBADMSG ? 0 : r;
	if (rekey->fresh->manifest.generation == generation || rekey->fresh->manifest.generation == generation + 1)
		return 1;
	rekey->fresh = store_close(rekey->fresh);
	return 0;
}

static int rekey_begin_anew(struct rekey *rekey)
{
	struct header_keys *keys;
	struct header header;
	int r = engine_remove(rekey->path_fresh);

	if (r == 0)
		r = header_renew(&rekey->old->header, &header, &keys, rekey->new_key);
	if (r == 0)
		r = store_make(rekey->path_fresh, &header, keys, rekey->old->manifest.generation, &rekey->fresh);
	return r;
}

static int rekey_begin(struct rekey *rekey)
{
	int r = rekey_resume(rekey);

	if (r < 0)
		return r;
	rekey->ours = true;
	rekey->resumed = r == 1;
	r = rekey->resumed ? 0 : rekey_begin_anew(rekey);
	lstat(rekey->path_fresh, &rekey->made); /* also what was left of one that failed */
	return r;
}

/* Or has somebody put another file in its place? That is neither used nor removed. */
static bool rekey_finds_made(const struct rekey *rekey)
{
	struct stat st = {0};

	lstat(rekey->path_fresh, &st); /* none, if there is nothing */
	return st.st_ino == rekey->made.st_ino;
}

/* Seal what is not there yet. The last commit says that all is there. */
static int rekey_fill(struct rekey *rekey)
{
	int r = rekey_each(rekey, rekey_resource);

	if (r == 0 && rekey->fresh->manifest.generation == rekey->old->manifest.generation) {
		rekey->fresh->manifest.generation++;
		r = rekey_commit(rekey);
	}
	rekey_forget_rows(rekey);
	return r;
}

/* The new file, complete and compared, and closed. */
static int rekey_make(struct rekey *rekey)
{
	int r;

	rekey->done = 0;
	r = rekey_begin(rekey);
	if (r == 0)
		r = rekey_fill(rekey);
	if (r == 0)
		r = engine_settle(rekey->fresh->engine); /* closing would not say that there is no room for it */
	rekey->fresh = store_close(rekey->fresh);
	if (r == 0)
		r = rekey_verify(rekey);
	return r;
}

/* --- in the old one's place */

/* Whatever would be taken for a part of the new file is gone, also from the disk, before it has the old one's name. */
static int rekey_replace(const struct rekey *rekey)
{
	int r = folder_give(rekey->path_fresh, rekey->path);

	if (r == 0)
		r = engine_settle(rekey->old->engine);
	if (r < 0)
		return r;
	r = folder_sync(rekey->path);
	if (r == 0 && !rekey_finds_made(rekey)) {
		log_error("%s: it was moved, or another file was put in its place, which is left alone", rekey->path_fresh);
		return -EIO;
	}
	if (r == 0 && rename(rekey->path_fresh, rekey->path) < 0)
		r = -errno;
	if (r < 0)
		log_error("%s: cannot put it in the store's place: %s", rekey->path_fresh, log_reason(-r));
	return r;
}

static int rekey_run(struct rekey *rekey)
{
	int r;

	rekey_each(rekey, rekey_count);
	rekey->total *= 2;
	r = rekey_make(rekey);
	if (r == -EBADMSG && rekey->resumed && rekey_finds_made(rekey)) { /* what was left is of another history, or damaged */
		r = engine_remove(rekey->path_fresh);
		if (r == 0)
			r = rekey_make(rekey);
	}
	if (r == 0)
		r = rekey_replace(rekey);
	if (r < 0) {
		if (rekey->ours) { /* or it has been said what is in the way */
			if (rekey_finds_made(rekey))
				engine_remove(rekey->path_fresh);
			log_error("%s: it was not rekeyed, and is as it was", rekey->path);
		}
		return r;
	}
	r = folder_sync(rekey->path);
	if (r < 0)
		log_error(
			"%s: it was rekeyed, but may be found as it was after a power cut: cannot sync its folder: %s",
			rekey->path, log_reason(-r));
	if (r == 0 && rekey->anchor)
		r = anchor_repeat(rekey->anchor);
	return r;
}

/* The store's own name, as a link to it is not to be replaced, and the new file's; what is there must be ours to
 * remove. */
static int rekey_paths(struct rekey *rekey, const char *path)
{
	struct stat st;
	int r = folder_of_file(path, rekey->path);

	if (r < 0)
		return r;
	if (snprintf(rekey->path_fresh, sizeof(rekey->path_fresh), "%s.rekey", rekey->path) >=
	    (int)sizeof(rekey->path_fresh) - 8) {
		log_error("%s: the path is too long", path);
		return -ENAMETOOLONG;
	}
	if (lstat(rekey->path_fresh, &st) == 0 && !engine_looks_ours(rekey->path_fresh)) {
		log_error("%s: this is in the way, and not what an earlier rekey left: move it elsewhere",
			  rekey->path_fresh);
		return -EEXIST;
	}
	return 0;
}

void rekey_say_left(const char *path)
{
	char left[PATH_MAX];

	if (snprintf(left, sizeof(left), "%s.rekey", path) < (int)sizeof(left) && engine_looks_ours(left))
		log_warning("%s: a rekey that was cut off has left this, which the key that is gone may still open: finish it with hushctl "
			    "rekey, or remove this",
			    left);
}

int store_rekey(const char *path, const struct key *key, const struct key *new_key, struct anchor *anchor,
		store_progress *progress, void *context)
{
	struct rekey *rekey = calloc(1, sizeof(*rekey));
	struct store_options options = rekey_options;
	int r;

	if (!rekey)
		return log_no_memory("for a rekey");
	rekey->new_key = new_key;
	rekey->anchor = options.anchor = anchor;
	rekey->progress = progress;
	rekey->context = context;
	r = rekey_paths(rekey, path);
	if (r == 0)
		r = store_load(rekey->path, key, &options, &rekey->old);
	if (r == 0)
		r = rekey_run(rekey);
	store_close(rekey->old); /* and with it the lock */
	free(rekey);
	return r;
}
