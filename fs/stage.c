/* SPDX-License-Identifier: Apache-2.0
 * stage: a list of entries, each a value being made upon a base version that it keeps pinned.
 *
 * An entry's content is either @data alone (whole), or the base followed by @data (only appends so far, which
 * are then committed as an append to whatever is current, so that appends of several writers lose nothing).
 * Publishing moves the bytes into the transaction: the entry is then as freshly opened, upon the version that it
 * made. If the commit fails the bytes come back, and closing or syncing again tries again.
 */
#include "fs/stage.h"

#include "fs/writer.h"
#include "store/log.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#define STAGE_DISK_MARGIN (64u * 1024)
#define STAGED_WRITERS 8 /* processes remembered as having written to an entry */

struct staged {
	LIST_ENTRY(staged) link;
	uint64_t handle;
	unsigned opens;   /* that share it */
	struct name name; /* what it will be published as */
	uint64_t ino;     /* by which the kernel knows it, also after a rename */
	uint64_t created; /* of the resource it was opened on; see struct store_op */
	bool fresh;       /* it does not exist in the store yet */
	bool anew;        /* it does, but its maker is making another in its place */
	bool unlinked;    /* it is never to be published */
	uid_t uid;
	pid_t process;                       /* who opened it */
	pid_t opening;                       /* the thread that did, as long as O_TRUNC may come after it */
	pid_t last_writer;                   /* a thread */
	pid_t writers[STAGED_WRITERS];       /* processes that wrote to it, besides the one that opened it */
	unsigned n_writers;                  /* may be more than are remembered */
	struct record_attributes attributes; /* of a fresh one, or one that is made anew; and times set by hand */
	struct acl_list acls;                /* of such a one */
	unsigned set;                        /* RECORD_SET_MTIME, RECORD_SET_ATIME: @attributes has them */

	uint64_t base_node, base; /* the pinned version, 0 if there is none */
	size_t base_bytes;
	struct secbuf data;
	bool whole;     /* @data is everything */
	bool flushed;   /* a descriptor was closed, so there was one: open(2) was not interrupted */
	bool truncated; /* opened with O_TRUNC, and not published since */
	bool written;   /* and something was written or cut since */
	bool in_flight; /* a commit has the data */
	int failed;     /* a write that was refused: what is here is not what was meant, so closing says it again */
};

struct stage {
	struct tree *tree;
	struct store *store;
	size_t max_bytes, max_value;
	pthread_mutex_t lock;
	pthread_cond_t landed; /* some entry is no longer in flight */
	LIST_HEAD(, staged) entries;
	uint64_t last_handle;
	size_t bytes; /* in entries and in flight */
	size_t count;
};

/* What a commit in flight remembers. */
struct publishing {
	struct stage *stage;
	uint64_t handle;
	stage_done *done;
	void *context;
	bool whole;
	size_t bytes;
};

struct stage *stage_new(struct tree *tree, size_t max_bytes)
{
	struct stage *stage = calloc(1, sizeof(*stage));

	if (!stage)
		return NULL;
	stage->tree = tree;
	stage->store = tree->store;
	stage->max_bytes = max_bytes;
	stage->max_value = store_get_options(tree->store)->value_bytes;
	pthread_mutex_init(&stage->lock, NULL);
	pthread_cond_init(&stage->landed, NULL);
	LIST_INIT(&stage->entries);
	return stage;
}

/* Take an entry out. With the lock. */
static void staged_free(struct stage *stage, struct staged *entry)
{
	if (entry->base)
		store_unpin(stage->store, entry->base_node, entry->base);
	stage->bytes -= entry->data.size;
	stage->count--;
	secbuf_deinit(&entry->data);
	LIST_REMOVE(entry, link);
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
	bytes = stage->bytes;
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

static struct staged *stage_find(struct stage *stage, uint64_t handle)
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
		entry->opening = 0; /* it is being used */
	return entry;
}

static void stage_leave(struct stage *stage)
{
	pthread_mutex_unlock(&stage->lock);
}

/* Stand upon the version that is current now. */
static void staged_rebase(struct stage *stage, struct staged *entry)
{
	struct store_info info;

	if (entry->base)
		store_unpin(stage->store, entry->base_node, entry->base);
	entry->base = 0;
	entry->base_bytes = 0;
	entry->base_node = store_node(stage->store, &entry->name);
	if (store_pin(stage->store, entry->base_node, &entry->base) == 0 &&
	    store_look(stage->store, entry->base_node, &info) == 0)
		entry->base_bytes = info.record.size;
}

int stage_open(struct stage *stage, const struct stage_open *open, uint64_t *ret_handle)
{
	struct staged *entry = calloc(1, sizeof(*entry));

	if (!entry)
		return -ENOMEM;
	entry->name = open->name;
	entry->ino = open->ino;
	entry->attributes = open->attributes;
	entry->acls = open->acls;
	entry->uid = open->uid;
	entry->process = open->process;
	entry->opening = open->thread;
	entry->fresh = !open->info;
	entry->anew = open->anew;
	if (open->info)
		entry->created = open->info->record.created;
	if (open->info && !open->anew) {
		entry->attributes = open->info->record.inodes[RECORD_SELF];
	} else {
		clock_gettime(CLOCK_REALTIME, &entry->attributes.mtime);
		entry->attributes.ctime = entry->attributes.atime = entry->attributes.mtime;
	}
	entry->whole = entry->fresh || open->truncate;
	entry->truncated = open->info && open->truncate;

	pthread_mutex_lock(&stage->lock);
	entry->handle = STAGE_HANDLE | ++stage->last_handle;
	entry->opens = 1;
	if (!entry->whole)
		staged_rebase(stage, entry);
	if (!entry->whole && !entry->base) {
		stage_leave(stage);
		free(entry);
		return -ENOENT;
	}
	LIST_INSERT_HEAD(&stage->entries, entry, link);
	stage->count++;
	*ret_handle = entry->handle;
	stage_leave(stage);
	return 0;
}

/* The bytes of what is staged, and the pages that a commit touches besides: what the disk has to have. */
static bool stage_fits_disk(const struct stage *stage, size_t bytes)
{
	return bytes + bytes / 8 + STAGE_DISK_MARGIN <= store_room(stage->store);
}

/* May @data grow to @size bytes, upon a base of @base bytes? */
static int stage_check_growth(const struct stage *stage, const struct staged *entry, size_t base, uint64_t size)
{
	if (size > stage->max_value || base + size > stage->max_value)
		return -EFBIG;
	if (size <= entry->data.size)
		return 0;
	size = stage->bytes + (size - entry->data.size);
	return size > stage->max_bytes || !stage_fits_disk(stage, size) ? -ENOSPC : 0;
}

/* The arena being full is the same to a writer as the bound being reached. */
static int stage_resize_data(struct stage *stage, struct staged *entry, size_t size)
{
	size_t before = entry->data.size;

	if (secbuf_resize(&entry->data, size) < 0)
		return -ENOSPC;
	stage->bytes = stage->bytes - before + size;
	return 0;
}

/* Make @data everything: put the base in front of what was appended. */
static int staged_load(struct stage *stage, struct staged *entry)
{
	SECBUF_AUTO base = {0};
	size_t appended = entry->data.size;
	int r;

	if (entry->whole)
		return 0;
	if (entry->base) {
		r = stage_check_growth(stage, entry, 0, entry->base_bytes + appended);
		if (r == 0)
			r = store_read(stage->store, entry->base_node, entry->base, &base);
		if (r == 0)
			r = stage_resize_data(stage, entry, base.size + appended);
		if (r < 0)
			return r;
		if (base.size) {
			memmove(entry->data.data + base.size, entry->data.data, appended);
			memcpy(entry->data.data, base.data, base.size);
		}
	}
	entry->whole = true;
	return 0;
}

static bool staged_was_written_by(const struct staged *entry, pid_t process)
{
	if (entry->n_writers > STAGED_WRITERS)
		return true; /* who knows */
	for (unsigned i = 0; i < entry->n_writers; i++)
		if (entry->writers[i] == process)
			return true;
	return false;
}

static void staged_remember_writer(struct staged *entry, pid_t thread)
{
	pid_t process;

	if (thread == entry->last_writer)
		return;
	entry->last_writer = thread;
	process = writer_process(thread);
	if (process == entry->process || staged_was_written_by(entry, process))
		return;
	if (entry->n_writers < STAGED_WRITERS)
		entry->writers[entry->n_writers] = process;
	entry->n_writers++;
}

int stage_write(struct stage *stage, uint64_t handle, pid_t thread, const void *data, size_t size, uint64_t offset,
		bool append)
{
	struct staged *entry = stage_enter(stage, handle);
	size_t end;
	int r = 0;

	if (!entry)
		return -EIO;
	if (!append)
		r = staged_load(stage, entry);
	if (r == 0) {
		if (append)
			offset = entry->data.size;
		if (offset > stage->max_value || size > stage->max_value)
			r = -EFBIG;
	}
	if (r == 0) {
		end = offset + size > entry->data.size ? offset + size : entry->data.size;
		r = stage_check_growth(stage, entry, entry->whole ? 0 : entry->base_bytes, end);
		if (r == 0)
			r = stage_resize_data(stage, entry, end);
	}
	if (r == 0 && size) {
		memcpy(entry->data.data + offset, data, size);
		entry->written = true;
		staged_remember_writer(entry, thread);
	}
	if (r < 0)
		entry->failed = r;
	stage_leave(stage);
	return r;
}

int stage_share(struct stage *stage, uint64_t ino, pid_t process, uint64_t *ret_handle)
{
	struct staged *entry;

	pthread_mutex_lock(&stage->lock);
	LIST_FOREACH(entry, &stage->entries, link)
		if (entry->fresh && !entry->unlinked && entry->ino == ino && process && entry->process == process)
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
		if (entry->opening == thread && entry->ino == ino && !entry->in_flight)
			break;
	if (entry) {
		entry->opening = 0;
		entry->whole = entry->truncated = true;
		stage_resize_data(stage, entry, 0);
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
			entry->opening = 0;
	pthread_mutex_unlock(&stage->lock);
}

static size_t staged_size(const struct staged *entry)
{
	return entry->data.size + (entry->whole ? 0 : entry->base_bytes);
}

/* With the lock. */
static int staged_resize(struct stage *stage, struct staged *entry, uint64_t size)
{
	int r = 0;

	if (size == 0 && !entry->whole) {
		stage_resize_data(stage, entry, 0);
		entry->whole = true;
		entry->failed = 0; /* whoever empties the file begins anew */
	} else {
		r = staged_load(stage, entry);
	}
	if (r == 0)
		r = stage_check_growth(stage, entry, 0, size);
	if (r == 0)
		r = stage_resize_data(stage, entry, size);
	if (r == 0)
		entry->written = true;
	return r;
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
	if (size > staged_size(entry))
		r = staged_resize(stage, entry, size);
	stage_leave(stage);
	return r;
}

/* Append to @ret_bytes the part of @from that lies in @size bytes at @offset of the whole, where @from starts at @at. */
static int stage_slice(const struct secbuf *from, size_t at, uint64_t offset, size_t size, struct secbuf *ret_bytes)
{
	uint64_t start = offset > at ? offset : at;
	uint64_t end = offset + size < at + from->size ? offset + size : at + from->size;

	if (start >= end)
		return 0;
	return secbuf_write(ret_bytes, ret_bytes->size, from->data + (start - at), end - start);
}

int stage_read(struct stage *stage, uint64_t handle, uint64_t offset, size_t size, struct secbuf *ret_bytes)
{
	struct staged *entry = stage_enter(stage, handle);
	SECBUF_AUTO base = {0};
	int r = 0;

	if (!entry)
		return -EIO;
	if (!entry->whole && entry->base) {
		r = store_read(stage->store, entry->base_node, entry->base, &base);
		if (r == 0)
			r = stage_slice(&base, 0, offset, size, ret_bytes);
	}
	if (r == 0)
		r = stage_slice(&entry->data, base.size, offset, size, ret_bytes);
	stage_leave(stage);
	return r;
}

static void stage_published(struct store_txn *txn, int result);

/* Move the entry's data into a transaction. With the lock. NULL without memory. */
static struct store_txn *staged_transaction(struct stage *stage, struct staged *entry)
{
	struct publishing *publishing = calloc(1, sizeof(*publishing));
	struct store_txn *txn = store_txn_new(1);
	struct store_op *op;

	if (!publishing || !txn) {
		free(publishing);
		return store_txn_free(txn);
	}
	*publishing = (struct publishing){
		.stage = stage, .handle = entry->handle, .whole = entry->whole, .bytes = entry->data.size};
	txn->done = stage_published;
	txn->context = publishing;
	op = &txn->ops[0];
	op->kind = entry->whole ? STORE_PUT : STORE_APPEND;
	op->name = entry->name;
	op->only_created = entry->fresh ? 0 : entry->created;
	op->writer = entry->uid;
	op->set = entry->set | (entry->anew ? RECORD_SET_UID | RECORD_SET_GID | RECORD_SET_MODE | RECORD_SET_ACL : 0);
	op->attributes[0] = entry->attributes;
	op->acls = entry->acls;
	op->value = entry->data;
	entry->data = (struct secbuf){0}; /* transferred */
	entry->in_flight = true;
	return txn;
}

/* Something was renamed over @name: who has the old one open (but @by) goes on with that, which nobody else sees. */
static void staged_replace(struct stage *stage, const struct name *name, const struct staged *by)
{
	struct staged *entry;

	LIST_FOREACH(entry, &stage->entries, link)
		if (entry != by && !entry->fresh && name_equal(&entry->name, name))
			entry->unlinked = true;
}

void stage_replaced(struct stage *stage, const struct name *name)
{
	pthread_mutex_lock(&stage->lock);
	staged_replace(stage, name, NULL);
	pthread_mutex_unlock(&stage->lock);
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
	if (result == 0 && op->ret_outcome == STORE_GONE) {
		entry->unlinked = true; /* it lives as long as it is open */
		entry->data = op->value;
		op->value = (struct secbuf){0}; /* transferred */
	} else if (result == 0) {
		entry->name = op->name;
		entry->fresh = entry->anew = entry->truncated = entry->written = entry->whole = false;
		entry->created = op->ret_created;
		entry->set = 0;
		stage->bytes -= publishing->bytes;
		staged_rebase(stage, entry);
	} else {
		if (result != -EEXIST)
			log_error("\"%s\": what was written could not be kept: %s; the old value stays", op->name.name,
				  strerror(-result));
		entry->data = op->value;
		op->value = (struct secbuf){0}; /* transferred */
	}
	pthread_cond_broadcast(&stage->landed);
	pthread_mutex_unlock(&stage->lock);
	if (publishing->done)
		publishing->done(publishing->context, result);
	free(publishing);
	store_txn_free(txn);
}

/* Publish an entry as @to. With the lock, which it leaves. */
static void staged_publish(struct stage *stage, struct staged *entry, const struct name *to, bool exclusive,
			   stage_done *done, void *context)
{
	struct store_txn *txn = staged_transaction(stage, entry);

	if (txn) {
		struct publishing *publishing = txn->context;

		publishing->done = done;
		publishing->context = context;
		if (!name_equal(to, &entry->name)) /* a rename takes the attributes along */
			txn->ops[0].set |= RECORD_SET_UID | RECORD_SET_GID | RECORD_SET_MODE | RECORD_SET_ACL;
		txn->ops[0].name = *to;
		txn->ops[0].exclusive = exclusive;
	}
	stage_leave(stage);
	if (txn) {
		store_submit(stage->store, txn);
	} else {
		log_error("no memory to commit what was written");
		done(context, -ENOMEM);
	}
}

static bool staged_is_pending(const struct staged *entry)
{
	return !entry->unlinked && !entry->failed && (entry->fresh || entry->truncated || entry->written || entry->set);
}

/* Why nothing of it will be published, as close(2) says it: EINTR would mean "go on". */
static int staged_failure(const struct staged *entry)
{
	return entry->failed == -EINTR ? -EIO : entry->failed;
}

/* Does the end of a process by a signal mean that what is here is not whole? Of any that has it open, as it may have been going to
 * write; but a reader of a pipe that has enough ends those before it every day. */
static bool staged_is_broken_by(const struct staged *entry, pid_t process, bool opener, int killed_by)
{
	return killed_by && (killed_by != SIGPIPE || opener || staged_was_written_by(entry, process));
}

void stage_flush(struct stage *stage, uint64_t handle, pid_t thread, stage_done *done, void *context)
{
	pid_t process = writer_process(thread);
	int killed_by = writer_killed_by(thread);
	struct staged *entry = stage_enter(stage, handle);
	bool opener;
	int failed;

	if (!entry) {
		done(context, -EIO);
		return;
	}
	opener = !process || !entry->process || process == entry->process || writer_is_gone(entry->process);
	entry->flushed = true;
	if (staged_is_broken_by(entry, process, opener, killed_by))
		entry->failed = -EINTR;
	if (opener && entry->written && staged_is_pending(entry) && !writer_holds(thread, entry->ino)) {
		staged_publish(stage, entry, &entry->name, false, done, context);
		return;
	}
	failed = opener ? staged_failure(entry) : 0;
	stage_leave(stage);
	done(context, failed);
}

void stage_sync(struct stage *stage, uint64_t handle, stage_done *done, void *context)
{
	struct staged *entry = stage_enter(stage, handle);
	int failed;

	if (!entry) {
		done(context, -EIO);
		return;
	}
	if (staged_is_pending(entry)) {
		staged_publish(stage, entry, &entry->name, false, done, context);
		return;
	}
	failed = staged_failure(entry);
	stage_leave(stage);
	done(context, failed);
}

void stage_publish_as(struct stage *stage, uint64_t handle, const struct name *to, bool exclusive, stage_done *done,
		      void *context)
{
	struct staged *entry = stage_enter(stage, handle);

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
	staged_publish(stage, entry, to, exclusive, done, context);
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
	if (staged_is_pending(entry) && (entry->flushed || entry->written)) {
		struct store_txn *txn = staged_transaction(stage, entry);

		if (txn) {
			stage_leave(stage);
			store_submit(stage->store, txn);
			entry = stage_enter(stage, handle); /* waits until it has landed */
		} else {
			log_error("\"%s\": no memory to commit what was written; the old value stays",
				  entry->name.name);
		}
	} else if (entry->failed) {
		log_warning("\"%s\": %s, so nothing of it is kept; the old value stays", entry->name.name,
			    entry->failed == -EINTR ? "somebody who had it open to write was killed"
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

/* How an entry looks to who is writing it: @st is how its resource does. */
static void staged_fill(const struct staged *entry, struct stat *st)
{
	if (entry->unlinked)
		st->st_nlink = 0;
	if (entry->whole || entry->written)
		st->st_size = (off_t)staged_size(entry);
	st->st_blocks = (st->st_size + 511) / 512;
	if (entry->set & RECORD_SET_MTIME)
		st->st_mtim = entry->attributes.mtime;
	if (entry->set & RECORD_SET_ATIME)
		st->st_atim = entry->attributes.atime;
}

int stage_attributes(struct stage *stage, uint64_t ino, uint64_t handle, pid_t process, struct stat *ret_attributes)
{
	struct staged *entry;
	bool published = false;
	struct stat st;

	pthread_mutex_lock(&stage->lock);
	LIST_FOREACH(entry, &stage->entries, link) {
		bool theirs = entry->handle == handle || (!handle && process && entry->process == process);

		if (entry->ino != ino)
			continue;
		published = tree_attributes(stage->tree, entry->unlinked ? ino : tree_ino(stage->tree, &entry->name), &st) == 0;
		if (theirs || !published)
			break;
	}
	if (entry) {
		if (!published || entry->anew)
			tree_fill(ino, &entry->attributes, 0, &st);
		staged_fill(entry, &st);
		*ret_attributes = st;
	}
	pthread_mutex_unlock(&stage->lock);
	return entry ? 0 : -ENOENT;
}

int stage_lookup(struct stage *stage, const struct name *name, pid_t process, uint64_t *ret_handle,
		 struct stat *ret_attributes)
{
	struct staged *entry;
	int r = -ENOENT;

	pthread_mutex_lock(&stage->lock);
	LIST_FOREACH(entry, &stage->entries, link) {
		if (!entry->fresh || entry->unlinked || entry->process != process || !process ||
		    !name_equal(&entry->name, name))
			continue;
		tree_fill(entry->ino, &entry->attributes, entry->data.size, ret_attributes);
		*ret_handle = entry->handle;
		r = 0;
		break;
	}
	pthread_mutex_unlock(&stage->lock);
	return r;
}

bool stage_is_new(struct stage *stage, const struct name *name)
{
	struct staged *entry;

	pthread_mutex_lock(&stage->lock);
	LIST_FOREACH(entry, &stage->entries, link)
		if (entry->fresh && !entry->unlinked && name_equal(&entry->name, name))
			break;
	pthread_mutex_unlock(&stage->lock);
	return entry;
}

int stage_acls(struct stage *stage, uint64_t ino, struct acl_list *ret_acls)
{
	struct staged *entry;

	pthread_mutex_lock(&stage->lock);
	LIST_FOREACH(entry, &stage->entries, link)
		if (entry->ino == ino && entry->fresh)
			break;
	if (entry)
		*ret_acls = entry->acls;
	pthread_mutex_unlock(&stage->lock);
	return entry ? 0 : -ENOENT;
}

unsigned stage_set_attributes(struct stage *stage, uint64_t ino, pid_t process, unsigned set,
			      const struct record_attributes *attributes, const struct acl *acl)
{
	struct staged *entry;
	unsigned left = set;

	pthread_mutex_lock(&stage->lock);
	LIST_FOREACH(entry, &stage->entries, link) {
		if (entry->ino != ino || entry->in_flight)
			continue;
		if (entry->fresh || (entry->anew && process && entry->process == process)) {
			record_set_attributes(&entry->attributes, set, attributes);
			if (set & RECORD_SET_ACL)
				acl_put(&entry->acls, RECORD_SELF, ACL_KIND_ACCESS, acl);
			entry->set |= set & RECORD_SET_TIMES;
			left = 0;
		} else if (process && entry->process == process && staged_is_pending(entry)) {
			record_set_attributes(&entry->attributes, set & RECORD_SET_TIMES, attributes);
			entry->set |= set & RECORD_SET_TIMES;
			left &= ~(unsigned)RECORD_SET_TIMES;
		}
	}
	pthread_mutex_unlock(&stage->lock);
	return left;
}

void stage_renamed(struct stage *stage, const struct name *from, const struct name *to, uint64_t created)
{
	struct staged *entry;

	pthread_mutex_lock(&stage->lock);
	if (!name_equal(from, to))
		staged_replace(stage, to, NULL);
	LIST_FOREACH(entry, &stage->entries, link) {
		if (!entry->fresh && !entry->unlinked && name_equal(&entry->name, from)) {
			entry->name = *to;
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
