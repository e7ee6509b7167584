/* SPDX-License-Identifier: Apache-2.0
 * stage: a list of entries, each with a draft; when one is finished.
 *
 * Publishing moves the bytes into a transaction: the entry is then as freshly opened, upon the version that it made. If
 * the commit fails the bytes come back, and closing or syncing again tries again. The RELEASE that follows a close(2) that failed
 * does not: its caller was told that the old value stays.
 */
#include "fs/kept.h"
#include "fs/node.h"
#include "fs/stage_internal.h"
#include "store/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* What a commit in flight remembers. */
struct publishing {
	struct stage *stage;
	uint64_t handle;
	stage_done *done; /* or NULL */
	void *context;
	bool closing; /* by close(2), which will say what came of it: */
	struct writer_asked asked;
	bool judged; /* and @close is what that means */
	struct writers_close close;
};

struct stage *stage_new(struct tree *tree, struct kept *kept, size_t max_bytes)
{
	struct stage *stage = calloc(1, sizeof(*stage));

	if (!stage)
		return NULL;
	stage->tree = tree;
	stage->kept = kept;
	stage->drafts = (struct drafts){.store = tree->store,
					.max_bytes = max_bytes,
					.max_value = store_get_options(tree->store)->value_bytes};
	stage->last_handle = tree->handles;
	pthread_mutex_init(&stage->lock, NULL);
	pthread_cond_init(&stage->landed, NULL);
	LIST_INIT(&stage->entries);
	return stage;
}

/* Take an entry out. With the lock. */
static void staged_free(struct stage *stage, struct staged *entry)
{
	draft_deinit(&stage->drafts, &entry->draft);
	stage->count--;
	LIST_REMOVE(entry, link);
	kept_release(stage->kept, entry->ino);
	free(entry);
}

struct stage *stage_free(struct stage *stage)
{
	if (stage) {
		while (!LIST_EMPTY(&stage->entries))
			staged_free(stage, LIST_FIRST(&stage->entries));
		pthread_cond_destroy(&stage->landed);
		pthread_mutex_destroy(&stage->lock);
		free(stage);
	}
	return NULL;
}

size_t stage_bytes(struct stage *stage)
{
	size_t bytes;

	pthread_mutex_lock(&stage->lock);
	bytes = stage->drafts.bytes;
	pthread_mutex_unlock(&stage->lock);
	return bytes;
}

size_t stage_entries(struct stage *stage)
{
	size_t count;

	pthread_mutex_lock(&stage->lock);
	count = stage->count;
	pthread_mutex_unlock(&stage->lock);
	return count;
}

int stage_reserve(struct stage *stage, size_t bytes, bool commits)
{
	int r;

	pthread_mutex_lock(&stage->lock);
	r = bytes > stage->drafts.max_bytes - stage->drafts.bytes ? -ENOSPC : 0;
	if (commits && !drafts_fit_disk(&stage->drafts, stage->drafts.bytes + bytes))
		r = -ENOSPC;
	if (r == 0)
		stage->drafts.bytes += bytes;
	pthread_mutex_unlock(&stage->lock);
	return r;
}

void stage_unreserve(struct stage *stage, size_t bytes)
{
	pthread_mutex_lock(&stage->lock);
	stage->drafts.bytes -= bytes;
	pthread_mutex_unlock(&stage->lock);
}

struct staged *stage_find(const struct stage *stage, uint64_t handle)
{
	struct staged *entry;

	LIST_FOREACH(entry, &stage->entries, link)
		if (entry->handle == handle)
			return entry;
	return NULL;
}

/* Lock, and find the entry when no commit has its data. Unlocks and returns NULL if there is no such entry. */
static struct staged *stage_enter(struct stage *stage, uint64_t handle)
{
	struct staged *entry;

	pthread_mutex_lock(&stage->lock);
	entry = stage_find(stage, handle);
	while (entry && entry->in_flight) {
		pthread_cond_wait(&stage->landed, &stage->lock);
		entry = stage_find(stage, handle);
	}
	if (!entry)
		pthread_mutex_unlock(&stage->lock);
	else
		entry->opening = STAGE_NO_THREAD; /* it is being used */
	return entry;
}

static void stage_leave(struct stage *stage)
{
	pthread_mutex_unlock(&stage->lock);
}

static void staged_set_name(const struct stage *stage, struct staged *entry, const struct name *name)
{
	entry->name = *name;
	entry->named = tree_value_ino(stage->tree, name);
}

int stage_open(struct stage *stage, const struct stage_open *open, uint64_t *ret_handle)
{
	struct staged *entry = calloc(1, sizeof(*entry));
	int r;

	if (!entry)
		return -ENOMEM;
	staged_set_name(stage, entry, &open->name);
	entry->ino = open->ino;
	entry->attributes = open->attributes;
	entry->acls = open->acls;
	entry->uid = open->uid;
	entry->gid = open->gid;
	entry->writers.opener = open->process;
	entry->opening = open->thread;
	entry->fresh = !open->info;
	entry->anew = open->anew;
	if (open->info)
		entry->created = open->info->record.created;
	if (open->info && !open->anew) {
		entry->attributes = open->info->record.inodes[tree_inode(open->ino)];
	} else {
		clock_gettime(CLOCK_REALTIME, &entry->attributes.mtime);
		entry->attributes.ctime = entry->attributes.atime = entry->attributes.mtime;
	}
	entry->draft.whole = open->truncate;
	entry->truncated = open->info && open->truncate;

	pthread_mutex_lock(&stage->lock);
	entry->handle = STAGE_HANDLE | ++stage->last_handle;
	entry->opens = 1;
	r = stage_lock_check(stage, NULL);
	if (r == 0 && !entry->fresh && !entry->draft.whole) /* of what somebody has made meanwhile it has nothing */
		draft_rebase(&stage->drafts, &entry->draft, store_node(stage->tree->store, &entry->name));
	if (r == 0 && !entry->fresh && !entry->draft.whole && !entry->draft.base)
		r = -ENOENT;
	if (r < 0) {
		stage_leave(stage);
		free(entry);
		return r;
	}
	LIST_INSERT_HEAD(&stage->entries, entry, link);
	stage->count++;
	kept_hold(stage->kept, entry->ino);
	*ret_handle = entry->handle;
	stage_leave(stage);
	return 0;
}

/* How much may be staged in all when @entry has grown? Somebody who may write one secret is not to keep all others from writing, so a user has one half,
 * or one longest value; but root and who mounted have all. With the lock. */
static size_t stage_limit(const struct stage *stage, const struct staged *entry)
{
	const struct drafts *drafts = &stage->drafts;
	size_t share = drafts->max_bytes / 2 > drafts->max_value ? drafts->max_bytes / 2 : drafts->max_value;
	size_t limit = drafts->bytes + share;
	const struct staged *other;

	if (entry->uid == 0 || entry->uid == stage->tree->uid)
		return drafts->max_bytes;
	LIST_FOREACH(other, &stage->entries, link)
		if (other->uid == entry->uid)
			limit -= other->draft.data.size + other->draft.taken;
	return limit < drafts->max_bytes ? limit : drafts->max_bytes;
}

/* May anything be put into an entry? With the lock. */
static int stage_write_check(const struct stage *stage, const struct staged *entry)
{
	int r = stage_lock_check(stage, entry);

	return r == 0 && store_is_read_only(stage->tree->store) ? -EROFS : r;
}

int stage_write(struct stage *stage, uint64_t handle, pid_t thread, const void *data, size_t size, uint64_t offset,
		bool append)
{
	struct staged *entry = stage_enter(stage, handle);
	int r;

	if (!entry)
		return -EIO;
	r = stage_write_check(stage, entry);
	stage->drafts.limit = stage_limit(stage, entry);
	if (r == 0)
		r = draft_write(&stage->drafts, &entry->draft, data, size, offset, append);
	if (r == 0 && size) {
		entry->written = true;
		entry->refused = false;
		writers_wrote(&entry->writers, thread);
	}
	if (r < 0)
		entry->failed = r;
	stage_leave(stage);
	return r;
}

int stage_share(struct stage *stage, uint64_t ino, pid_t process, uint64_t *ret_handle)
{
	struct staged *entry;
	struct store_info info;

	if (store_look(stage->tree->store, node_resource(ino), &info) == 0 && info.exists)
		return -ENOENT; /* somebody has published one meanwhile */
	pthread_mutex_lock(&stage->lock);
	LIST_FOREACH(entry, &stage->entries, link)
		if (entry->fresh && !entry->unlinked && entry->ino == ino && process && entry->writers.opener == process)
			break;
	if (entry) {
		entry->opens++;
		*ret_handle = entry->handle;
	}
	pthread_mutex_unlock(&stage->lock);
	return entry ? 0 : -ENOENT;
}

int stage_cut_opened(struct stage *stage, uint64_t ino, pid_t thread)
{
	struct staged *entry;

	pthread_mutex_lock(&stage->lock);
	LIST_FOREACH(entry, &stage->entries, link)
		if (entry->opening == thread && entry->ino == ino && !entry->in_flight &&
		    stage_lock_check(stage, entry) == 0)
			break;
	if (entry) {
		entry->opening = STAGE_NO_THREAD;
		entry->truncated = true;
		draft_resize(&stage->drafts, &entry->draft, 0);
	}
	pthread_mutex_unlock(&stage->lock);
	return entry ? 0 : -ENOENT;
}

void stage_looked_up(struct stage *stage, pid_t thread)
{
	struct staged *entry;

	pthread_mutex_lock(&stage->lock);
	LIST_FOREACH(entry, &stage->entries, link)
		if (entry->opening == thread)
			entry->opening = STAGE_NO_THREAD;
	pthread_mutex_unlock(&stage->lock);
}

/* With the lock. */
static int staged_resize(struct stage *stage, struct staged *entry, uint64_t size)
{
	int r = stage_write_check(stage, size ? entry : NULL);

	stage->drafts.limit = stage_limit(stage, entry);
	if (r == 0)
		r = draft_resize(&stage->drafts, &entry->draft, size);
	if (r < 0)
		return r;
	entry->written = true;
	entry->refused = false;
	if (size == 0 && entry->failed != -EINTR)
		entry->failed = 0; /* whoever empties the file begins anew */
	return 0;
}

int stage_resize(struct stage *stage, uint64_t handle, uint64_t size)
{
	struct staged *entry = stage_enter(stage, handle);
	int r;

	if (!entry)
		return -EIO;
	r = staged_resize(stage, entry, size);
	stage_leave(stage);
	return r;
}

int stage_extend(struct stage *stage, uint64_t handle, uint64_t size)
{
	struct staged *entry = stage_enter(stage, handle);
	int r = 0;

	if (!entry)
		return -EIO;
	if (size > draft_size(&entry->draft))
		r = staged_resize(stage, entry, size);
	stage_leave(stage);
	return r;
}

int stage_read(struct stage *stage, uint64_t handle, uint64_t offset, size_t size, struct secbuf *ret_bytes)
{
	struct staged *entry = stage_enter(stage, handle);
	int r;

	if (!entry)
		return -EIO;
	r = stage_lock_check(stage, entry);
	if (r == 0)
		r = draft_read(&stage->drafts, &entry->draft, offset, size, ret_bytes);
	stage_leave(stage);
	return r;
}

int stage_version(struct stage *stage, uint64_t handle, uint64_t node, uint64_t *ret_generation)
{
	struct staged *entry = stage_enter(stage, handle);
	int r = -ENOENT;

	if (!entry)
		return r;
	if (!entry->published && draft_is_base(&entry->draft) && entry->draft.base_node == node) {
		*ret_generation = entry->draft.base;
		r = 0;
	}
	stage_leave(stage);
	return r;
}

bool stage_is_alone(struct stage *stage, uint64_t handle, uint64_t ino)
{
	struct staged *entry;

	pthread_mutex_lock(&stage->lock);
	LIST_FOREACH(entry, &stage->entries, link)
		if (entry->ino == ino && entry->handle != handle)
			break;
	pthread_mutex_unlock(&stage->lock);
	return !entry;
}

static void stage_published(struct store_txn *txn, int result);

/* What a line of the log has before the name. */
static const char *staged_kind(const struct name *name)
{
	return name->kind == NAME_MESH ? "mesh.yaml of " : "";
}

/* Move the entry's data into a transaction, at whose end @done (or NULL) is called. With the lock. NULL without memory (logged). */
static struct store_txn *staged_transaction(struct stage *stage, struct staged *entry, uint64_t request, stage_done *done,
					    void *context)
{
	struct publishing *publishing = calloc(1, sizeof(*publishing));
	struct store_txn *txn = store_txn_new(1);
	struct store_op *op;

	if (!publishing || !txn) {
		log_error("%s\"%s\": no memory to commit what was written; the old value stays", staged_kind(&entry->name), entry->name.name);
		free(publishing);
		return store_txn_free(txn);
	}
	*publishing = (struct publishing){
		.stage = stage, .handle = entry->handle, .done = done, .context = context};
	txn->request = request;
	txn->done = stage_published;
	txn->context = publishing;
	op = &txn->ops[0];
	op->kind = entry->draft.whole ? STORE_PUT : STORE_APPEND;
	op->name = entry->name;
	op->only_created = entry->fresh ? 0 : entry->created;
	op->unaware = entry->fresh;
	op->writer = entry->uid;
	op->group = entry->gid;
	op->set = entry->set | (entry->anew ? RECORD_SET_UID | RECORD_SET_GID | RECORD_SET_MODE | RECORD_SET_ACL : 0);
	if (entry->name.kind == NAME_MESH)
		op->set &= RECORD_SET_TIMES; /* made anew or not, mesh.yaml is as much the mesh's as its folder */
	op->attributes[0] = entry->attributes;
	op->acls = entry->acls;
	op->value = draft_take(&entry->draft);
	entry->in_flight = true;
	return txn;
}

/* Something was renamed over @name: who has the old one open (but @by) goes on with that, which nobody else sees. */
static void staged_replace(struct stage *stage, const struct name *name, const struct staged *by)
{
	struct staged *entry;

	LIST_FOREACH(entry, &stage->entries, link)
		if (entry != by && name_equal(&entry->name, name))
			entry->unlinked = true;
}

void stage_replaced(struct stage *stage, const struct name *name)
{
	pthread_mutex_lock(&stage->lock);
	staged_replace(stage, name, NULL);
	pthread_mutex_unlock(&stage->lock);
}

/* Why nothing of it will be published, as close(2) says it: EINTR would mean "go on". */
static int staged_failure(const struct staged *entry)
{
	return entry->failed == -EINTR ? -EIO : entry->failed;
}

/* Closing it publishes nothing: what that says. With the lock. */
static int staged_closed(struct staged *entry, const struct writers_close *close)
{
	if (close->broken)
		entry->failed = -EINTR;
	return close->opener ? staged_failure(entry) : 0;
}

/* Is it not the close that publishes? */
static bool publishing_is_withheld(const struct publishing *publishing)
{
	const struct writers_close *close = &publishing->close;

	return publishing->closing && (close->broken || !close->opener || close->holds);
}

/* Who closes it was looked at meanwhile: the commit goes on, or takes nothing of it. */
static int stage_ready(struct store_txn *txn)
{
	struct publishing *publishing = txn->context;
	struct stage *stage = publishing->stage;

	if (!publishing->judged) {
		const struct writer_fate fate = writer_fate_answer(&publishing->asked);

		pthread_mutex_lock(&stage->lock);
		publishing->close = writers_judge(&stage_find(stage, publishing->handle)->writers, &fate);
		pthread_mutex_unlock(&stage->lock);
		publishing->judged = true;
	}
	return publishing_is_withheld(publishing) ? -ECANCELED : 0;
}

/* A commit has ended: give the entry its new base, or its data back. */
static void stage_published(struct store_txn *txn, int result)
{
	struct publishing *publishing = txn->context;
	struct stage *stage = publishing->stage;
	struct store_op *op = &txn->ops[0];
	struct staged *entry;

	pthread_mutex_lock(&stage->lock);
	entry = stage_find(stage, publishing->handle);
	entry->in_flight = false;
	if (result == 0 && !name_equal(&op->name, &entry->name))
		staged_replace(stage, &op->name, entry);
	if (publishing_is_withheld(publishing)) {
		draft_give(&entry->draft, &op->value);
		result = staged_closed(entry, &publishing->close);
	} else if (result == 0 && op->ret_outcome == STORE_GONE) {
		entry->unlinked = true; /* it lives as long as it is open */
		draft_give(&entry->draft, &op->value);
	} else if (result == 0) {
		staged_set_name(stage, entry, &op->name);
		entry->fresh = entry->anew = entry->truncated = entry->written = entry->refused = entry->draft.whole = false;
		entry->created = op->ret_created;
		entry->published = true;
		entry->set = 0;
		stage->drafts.bytes -= entry->draft.taken;
		draft_rebase(&stage->drafts, &entry->draft, store_node(stage->tree->store, &entry->name));
	} else {
		if (result != -EEXIST)
			log_error("%s\"%s\": what was written could not be kept: %s; the old value stays",
				  staged_kind(&op->name), op->name.name,
				  txn->ret_why[0] ? txn->ret_why : strerror(-result));
		entry->refused = publishing->closing;
		if (result == -EINVAL)
			entry->failed = result; /* and closing it for good is not to try again */
		draft_give(&entry->draft, &op->value);
	}
	pthread_cond_broadcast(&stage->landed);
	pthread_mutex_unlock(&stage->lock);
	if (publishing->done)
		publishing->done(publishing->context, result);
	free(publishing);
	store_txn_free(txn);
}

/* Publish it under that name. */
static void staged_name(const struct staged *entry, struct store_op *op, const struct name *to, bool exclusive)
{
	if (!name_equal(to, &entry->name)) { /* a rename replaces what is there, attributes and all */
		op->kind = STORE_PUT;
		op->set |= RECORD_SET_UID | RECORD_SET_GID | RECORD_SET_MODE | RECORD_SET_ACL;
		op->unaware = false;
	}
	op->name = *to;
	op->exclusive = exclusive;
}

/* It is close(2) by @thread that publishes, if it does: who that is can be found out while the commit is made ready. With the lock. */
static void staged_ask(const struct staged *entry, struct store_txn *txn, pid_t thread)
{
	struct publishing *publishing = txn->context;

	publishing->closing = true;
	publishing->asked = writer_fate_ask(thread, entry->writers.opener, entry->ino);
	txn->ready = stage_ready;
}

/* Hand it over; NULL: there was no memory for it. With the lock, which it leaves. */
static void stage_submit(struct stage *stage, struct store_txn *txn, stage_done *done, void *context)
{
	stage_leave(stage);
	if (txn) {
		store_submit(stage->tree->store, txn);
	} else {
		done(context, -ENOMEM);
	}
}

void stage_flush(struct stage *stage, uint64_t handle, pid_t thread, uint64_t request, stage_done *done, void *context)
{
	struct staged *entry = stage_enter(stage, handle);
	struct writers_close close;
	struct store_txn *txn;
	int failed;

	if (!entry) {
		done(context, -EIO);
		return;
	}
	entry->flushed = true;
	if (entry->written && staged_is_pending(entry)) {
		txn = staged_transaction(stage, entry, request, done, context);
		if (txn)
			staged_ask(entry, txn, thread);
		else
			entry->refused = true;
		stage_submit(stage, txn, done, context);
		return;
	}
	close = writers_closes(&entry->writers, thread, 0);
	failed = staged_closed(entry, &close);
	stage_leave(stage);
	done(context, failed);
}

void stage_refuse(struct stage *stage, uint64_t handle)
{
	struct staged *entry = stage_enter(stage, handle);

	if (entry) {
		entry->refused = true;
		stage_leave(stage);
	}
}

void stage_sync(struct stage *stage, uint64_t handle, uint64_t request, stage_done *done, void *context)
{
	struct staged *entry = stage_enter(stage, handle);
	int failed;

	if (!entry) {
		done(context, -EIO);
		return;
	}
	if (staged_is_pending(entry)) {
		stage_submit(stage, staged_transaction(stage, entry, request, done, context), done, context);
		return;
	}
	failed = staged_failure(entry);
	stage_leave(stage);
	done(context, failed);
}

void stage_publish_as(struct stage *stage, uint64_t handle, const struct name *to, bool exclusive, uint64_t request,
		      stage_done *done, void *context)
{
	struct staged *entry = stage_enter(stage, handle);
	struct store_txn *txn;
	int failed;

	if (!entry) {
		done(context, -ENOENT);
		return;
	}
	failed = staged_failure(entry);
	if (failed) {
		stage_leave(stage);
		done(context, failed);
		return;
	}
	txn = staged_transaction(stage, entry, request, done, context);
	if (txn)
		staged_name(entry, &txn->ops[0], to, exclusive);
	stage_submit(stage, txn, done, context);
}

void stage_release(struct stage *stage, uint64_t handle)
{
	struct staged *entry = stage_enter(stage, handle);

	if (!entry)
		return;
	if (entry->opens > 1) {
		entry->opens--;
		stage_leave(stage);
		return;
	}
	if (staged_is_pending(entry) && !entry->refused && (entry->flushed || entry->written)) {
		struct store_txn *txn = staged_transaction(stage, entry, 0, NULL, NULL);

		if (txn) {
			stage_leave(stage);
			store_submit(stage->tree->store, txn);
			entry = stage_enter(stage, handle); /* waits until it has landed */
		}
	} else if (entry->failed && entry->failed != -EINVAL) {
		log_warning("%s\"%s\": %s, so nothing of it is kept; the old value stays", staged_kind(&entry->name), entry->name.name,
			    entry->failed == -EINTR   ? "somebody who had it open to write was killed"
			    : entry->failed == -ENOKEY ? "the store was locked before it was closed"
			    : entry->failed == -EROFS  ? "the store is read-only, as the disk failed"
						       : "a write to it was refused (too large, or no room)");
	}
	staged_free(stage, entry);
	stage_leave(stage);
}

void stage_discard(struct stage *stage, uint64_t handle)
{
	struct staged *entry = stage_enter(stage, handle);

	if (!entry)
		return;
	if (--entry->opens == 0)
		staged_free(stage, entry);
	stage_leave(stage);
}

void stage_renamed(struct stage *stage, const struct name *from, const struct name *to, uint64_t created)
{
	struct staged *entry;

	pthread_mutex_lock(&stage->lock);
	if (!name_equal(from, to))
		staged_replace(stage, to, NULL);
	LIST_FOREACH(entry, &stage->entries, link) {
		if (!entry->fresh && !entry->unlinked && name_equal(&entry->name, from)) {
			staged_set_name(stage, entry, to);
			entry->created = created;
		}
	}
	pthread_mutex_unlock(&stage->lock);
}

void stage_unlink(struct stage *stage, uint64_t handle)
{
	struct staged *entry = stage_enter(stage, handle);

	if (entry) {
		entry->unlinked = true;
		stage_leave(stage);
	}
}
