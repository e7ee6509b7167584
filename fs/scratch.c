/* SPDX-License-Identifier: Apache-2.0
 * scratch: a list, newest last. There are few, and only the name of one that is being saved is asked for often.
 */
#include "fs/scratch.h"

#include "fs/node.h"
#include "store/log.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

struct scratch_file {
	TAILQ_ENTRY(scratch_file) link;
	uint64_t ino;
	uint64_t parent;
	char name[TREE_NAME_BYTES + 1]; /* "" when it has none any more */
	uid_t maker;
	struct record_attributes attributes;
	struct acl_list acls;
	unsigned set; /* RECORD_SET_…: the times that somebody set by hand */
	struct secbuf data;
	unsigned opens;
	int64_t used; /* seconds, CLOCK_MONOTONIC */
	bool told;    /* the log has a line about it */
	bool wiped;   /* it had bytes when the store was locked: it is never to be read or committed again */

	struct name resource;  /* what it was committed as; kind 0: nothing */
	uint64_t created;      /* that resource's record.created */
	unsigned changes;      /* of its bytes */
	unsigned committed;    /* @changes when they were last taken for a commit */
};

struct scratch {
	pthread_mutex_t lock;
	TAILQ_HEAD(, scratch_file) files; /* ascending by inode */
	size_t count, bytes, max_bytes, max_file;
	uint64_t last; /* number given to a file */
	unsigned seconds;
	bool locked;
};

static int64_t scratch_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	return now.tv_sec;
}

struct scratch *scratch_new(size_t max_bytes, size_t max_file, unsigned seconds)
{
	struct scratch *scratch = calloc(1, sizeof(*scratch));
	struct timespec now;

	if (!scratch)
		return NULL;
	pthread_mutex_init(&scratch->lock, NULL);
	TAILQ_INIT(&scratch->files);
	scratch->max_bytes = max_bytes;
	scratch->max_file = max_file;
	scratch->seconds = seconds;
	/* not the numbers that a daemon before this one gave to the same kernel */
	clock_gettime(CLOCK_REALTIME, &now);
	scratch->last = ((uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec) / 1024;
	return scratch;
}

/* With the lock, as all functions of this file that take a file. */
static void scratch_file_free(struct scratch *scratch, struct scratch_file *file)
{
	TAILQ_REMOVE(&scratch->files, file, link);
	scratch->count--;
	scratch->bytes -= file->data.size;
	secbuf_deinit(&file->data);
	free(file);
}

struct scratch *scratch_free(struct scratch *scratch)
{
	if (scratch) {
		while (!TAILQ_EMPTY(&scratch->files))
			scratch_file_free(scratch, TAILQ_FIRST(&scratch->files)); /* NOLINT(clang-analyzer-unix.Malloc): another each time */
		pthread_mutex_destroy(&scratch->lock);
		free(scratch);
	}
	return NULL;
}

void scratch_usage(struct scratch *scratch, size_t *ret_files, size_t *ret_bytes)
{
	pthread_mutex_lock(&scratch->lock);
	*ret_files = scratch->count;
	*ret_bytes = scratch->bytes;
	pthread_mutex_unlock(&scratch->lock);
}

static struct scratch_file *scratch_at(struct scratch *scratch, const struct scratch_place *place)
{
	struct scratch_file *file;

	TAILQ_FOREACH(file, &scratch->files, link)
		if (file->parent == place->parent && file->maker == place->uid &&
		    strcmp(file->name, place->name) == 0)
			return file;
	return NULL;
}

/* Lock, and find a file. Unlocks and returns NULL if there is none. */
static struct scratch_file *scratch_enter(struct scratch *scratch, uint64_t ino)
{
	struct scratch_file *file;

	pthread_mutex_lock(&scratch->lock);
	TAILQ_FOREACH(file, &scratch->files, link)
		if (file->ino == ino)
			return file;
	pthread_mutex_unlock(&scratch->lock);
	return NULL;
}

static int scratch_leave(struct scratch *scratch, int r)
{
	pthread_mutex_unlock(&scratch->lock);
	return r;
}

/* Take its name away; without one it lives as long as it is open. */
static void scratch_forget_name(struct scratch *scratch, struct scratch_file *file)
{
	file->name[0] = '\0';
	if (!file->opens)
		scratch_file_free(scratch, file);
}

static int scratch_check_lock(const struct scratch *scratch, const struct scratch_file *file)
{
	return scratch->locked || file->wiped ? -ENOKEY : 0;
}

void scratch_lock(struct scratch *scratch)
{
	struct scratch_file *file, *next;

	pthread_mutex_lock(&scratch->lock);
	scratch->locked = true;
	for (file = TAILQ_FIRST(&scratch->files); file; file = next) {
		next = TAILQ_NEXT(file, link);
		file->wiped |= file->data.size != 0;
		scratch->bytes -= file->data.size;
		secbuf_deinit(&file->data);
		scratch_forget_name(scratch, file);
	}
	pthread_mutex_unlock(&scratch->lock);
}

void scratch_unlock(struct scratch *scratch)
{
	pthread_mutex_lock(&scratch->lock);
	scratch->locked = false;
	pthread_mutex_unlock(&scratch->lock);
}

int scratch_put(struct scratch *scratch, const struct scratch_place *place, const struct record_attributes *attributes,
		struct secbuf *bytes, uint64_t *ret_ino)
{
	struct scratch_file *file, *before;
	size_t size = bytes ? bytes->size : 0;

	scratch_tend(scratch);
	pthread_mutex_lock(&scratch->lock);
	if (scratch->locked)
		return scratch_leave(scratch, -ENOKEY);
	before = scratch_at(scratch, place);
	if ((scratch->count >= SCRATCH_FILES && !before) || size > scratch->max_bytes - scratch->bytes)
		return scratch_leave(scratch, -ENOSPC);
	file = calloc(1, sizeof(*file));
	if (!file)
		return scratch_leave(scratch, -ENOMEM);
	file->ino = node_make(NODE_SCRATCH, ++scratch->last);
	file->parent = place->parent;
	strcpy(file->name, place->name);
	file->maker = place->uid;
	file->attributes = *attributes;
	file->attributes.mode &= ~(mode_t)S_ISVTX;
	file->used = scratch_now();
	if (bytes) {
		file->data = *bytes;
		*bytes = (struct secbuf){0}; /* transferred */
	} else {
		clock_gettime(CLOCK_REALTIME, &file->attributes.mtime);
		file->attributes.atime = file->attributes.ctime = file->attributes.mtime;
	}
	if (before)
		scratch_forget_name(scratch, before);
	TAILQ_INSERT_TAIL(&scratch->files, file, link);
	scratch->count++;
	scratch->bytes += size;
	*ret_ino = file->ino;
	return scratch_leave(scratch, 0);
}

int scratch_find(struct scratch *scratch, const struct scratch_place *place, uint64_t *ret_ino)
{
	struct scratch_file *file;

	pthread_mutex_lock(&scratch->lock);
	file = scratch_at(scratch, place);
	if (file)
		*ret_ino = file->ino;
	return scratch_leave(scratch, file ? 0 : -ENOENT);
}

static void scratch_fill(const struct scratch_file *file, struct stat *ret_attributes)
{
	tree_fill(file->ino, &file->attributes, file->data.size, ret_attributes);
	ret_attributes->st_mode |= S_ISVTX;
	ret_attributes->st_nlink = file->name[0] != '\0';
}

int scratch_next(struct scratch *scratch, uint64_t parent, uid_t uid, uint64_t after, struct tree_entry *ret_entry)
{
	struct scratch_file *file;

	pthread_mutex_lock(&scratch->lock);
	TAILQ_FOREACH(file, &scratch->files, link)
		if (file->ino > after && file->parent == parent && file->maker == uid && file->name[0])
			break;
	if (file) {
		strcpy(ret_entry->name, file->name);
		ret_entry->offset = file->ino;
		scratch_fill(file, &ret_entry->attributes);
	}
	return scratch_leave(scratch, file ? 0 : -ENOENT);
}

int scratch_attributes(struct scratch *scratch, uint64_t ino, struct stat *ret_attributes)
{
	struct scratch_file *file = scratch_enter(scratch, ino);

	if (!file)
		return -ENOENT;
	scratch_fill(file, ret_attributes);
	return scratch_leave(scratch, 0);
}

int scratch_set_attributes(struct scratch *scratch, uint64_t ino, unsigned set,
			   const struct record_attributes *attributes)
{
	struct scratch_file *file = scratch_enter(scratch, ino);

	if (!file)
		return -ENOENT;
	record_set_attributes(&file->attributes, set, attributes);
	file->set |= set & RECORD_SET_TIMES;
	file->attributes.mode &= ~(mode_t)S_ISVTX;
	clock_gettime(CLOCK_REALTIME, &file->attributes.ctime);
	return scratch_leave(scratch, 0);
}

int scratch_acls(struct scratch *scratch, uint64_t ino, struct acl_list *ret_acls)
{
	struct scratch_file *file = scratch_enter(scratch, ino);

	if (!file)
		return -ENOENT;
	*ret_acls = file->acls;
	return scratch_leave(scratch, 0);
}

int scratch_set_acls(struct scratch *scratch, uint64_t ino, const struct acl_list *acls)
{
	struct scratch_file *file = scratch_enter(scratch, ino);

	if (!file)
		return -ENOENT;
	file->acls = *acls;
	return scratch_leave(scratch, 0);
}

int scratch_open(struct scratch *scratch, uint64_t ino)
{
	struct scratch_file *file = scratch_enter(scratch, ino);

	if (!file)
		return -ENOENT;
	file->opens++;
	return scratch_leave(scratch, 0);
}

void scratch_release(struct scratch *scratch, uint64_t ino)
{
	struct scratch_file *file = scratch_enter(scratch, ino);

	if (!file)
		return;
	file->opens--;
	file->used = scratch_now();
	if (!file->name[0])
		scratch_forget_name(scratch, file);
	scratch_leave(scratch, 0);
}

int scratch_read(struct scratch *scratch, uint64_t ino, uint64_t offset, size_t size, struct secbuf *ret_bytes)
{
	struct scratch_file *file = scratch_enter(scratch, ino);
	size_t left;
	int r;

	if (!file)
		return -ENOENT;
	r = scratch_check_lock(scratch, file);
	if (r < 0)
		return scratch_leave(scratch, r);
	left = offset < file->data.size ? file->data.size - (size_t)offset : 0;
	if (left)
		r = secbuf_write(ret_bytes, ret_bytes->size, file->data.data + offset, size < left ? size : left);
	return scratch_leave(scratch, r);
}

/* The bytes are about to be others: make room for @size of them. */
static int scratch_change(struct scratch *scratch, struct scratch_file *file, uint64_t size)
{
	size_t before = file->data.size;

	if (scratch_check_lock(scratch, file) < 0)
		return -ENOKEY;
	if (size > scratch->max_file)
		return -EFBIG;
	if (size > before && size - before > scratch->max_bytes - scratch->bytes)
		return -ENOSPC;
	if (secbuf_resize(&file->data, (size_t)size) < 0)
		return -ENOSPC; /* the arena being full is the same to a writer as the bound being reached */
	scratch->bytes = scratch->bytes - before + (size_t)size;
	file->changes++;
	file->used = scratch_now();
	clock_gettime(CLOCK_REALTIME, &file->attributes.mtime);
	file->attributes.ctime = file->attributes.mtime;
	return 0;
}

int scratch_write(struct scratch *scratch, uint64_t ino, const void *data, size_t size, uint64_t offset, bool append)
{
	struct scratch_file *file = scratch_enter(scratch, ino);
	uint64_t end;
	int r;

	if (!file)
		return -ENOENT;
	if (append)
		offset = file->data.size;
	if (__builtin_add_overflow(offset, size, &end))
		end = UINT64_MAX; /* longer than any may be */
	if (end < file->data.size)
		end = file->data.size;
	r = scratch_change(scratch, file, end);
	if (r == 0 && size)
		memcpy(file->data.data + offset, data, size);
	return scratch_leave(scratch, r);
}

int scratch_resize(struct scratch *scratch, uint64_t ino, uint64_t size)
{
	struct scratch_file *file = scratch_enter(scratch, ino);

	if (!file)
		return -ENOENT;
	return scratch_leave(scratch, scratch_change(scratch, file, size));
}

int scratch_extend(struct scratch *scratch, uint64_t ino, uint64_t size)
{
	struct scratch_file *file = scratch_enter(scratch, ino);

	if (!file)
		return -ENOENT;
	return scratch_leave(scratch, size > file->data.size ? scratch_change(scratch, file, size) : 0);
}

int scratch_unlink(struct scratch *scratch, const struct scratch_place *place)
{
	struct scratch_file *file;

	pthread_mutex_lock(&scratch->lock);
	file = scratch_at(scratch, place);
	if (!file)
		return scratch_leave(scratch, -ENOENT);
	scratch_forget_name(scratch, file);
	return scratch_leave(scratch, 0);
}

int scratch_rename(struct scratch *scratch, const struct scratch_place *place, const char *to, bool exclusive)
{
	const struct scratch_place to_place = {.parent = place->parent, .uid = place->uid, .name = to};
	struct scratch_file *file, *replaced;

	pthread_mutex_lock(&scratch->lock);
	file = scratch_at(scratch, place);
	replaced = scratch_at(scratch, &to_place);
	if (!file)
		return scratch_leave(scratch, -ENOENT);
	if (replaced && exclusive)
		return scratch_leave(scratch, -EEXIST);
	if (replaced == file)
		return scratch_leave(scratch, 0);
	if (replaced)
		scratch_forget_name(scratch, replaced);
	strcpy(file->name, to);
	file->used = scratch_now();
	file->told = false;
	clock_gettime(CLOCK_REALTIME, &file->attributes.ctime);
	return scratch_leave(scratch, 0);
}

void scratch_drop_folder(struct scratch *scratch, uint64_t parent)
{
	struct scratch_file *file, *next;

	pthread_mutex_lock(&scratch->lock);
	for (file = TAILQ_FIRST(&scratch->files); file; file = next) {
		next = TAILQ_NEXT(file, link);
		if (file->parent == parent && file->name[0])
			scratch_forget_name(scratch, file);
	}
	pthread_mutex_unlock(&scratch->lock);
}

int scratch_commit(struct scratch *scratch, uint64_t ino, struct store_op *op)
{
	struct scratch_file *file = scratch_enter(scratch, ino);
	int r;

	if (!file)
		return -ENOENT;
	r = scratch_check_lock(scratch, file);
	if (r == 0)
		r = secbuf_write(&op->value, 0, file->data.data, file->data.size);
	op->attributes[0] = file->attributes;
	op->acls = file->acls;
	/* later on it is the resource that has attributes */
	if (!file->resource.kind)
		op->set = RECORD_SET_UID | RECORD_SET_GID | RECORD_SET_MODE | RECORD_SET_ACL | file->set;
	if (op->name.kind == NAME_MESH)
		op->set &= RECORD_SET_TIMES; /* whoever writes it, mesh.yaml is as much the mesh's as its folder */
	op->only_created = file->resource.kind ? file->created : 0;
	file->committed = file->changes;
	return scratch_leave(scratch, r);
}

void scratch_committed(struct scratch *scratch, uint64_t ino, const struct store_op *op)
{
	struct scratch_file *file = scratch_enter(scratch, ino);

	if (!file)
		return;
	file->resource = op->name;
	file->created = op->ret_created;
	scratch_forget_name(scratch, file);
	scratch_leave(scratch, 0);
}

bool scratch_is_wiped(struct scratch *scratch, uint64_t ino)
{
	struct scratch_file *file = scratch_enter(scratch, ino);
	bool wiped = file && file->wiped;

	if (file)
		scratch_leave(scratch, 0);
	return wiped;
}

bool scratch_is_ahead(struct scratch *scratch, uint64_t ino, struct name *ret_name)
{
	struct scratch_file *file = scratch_enter(scratch, ino);
	bool ahead;

	if (!file)
		return false;
	ahead = file->resource.kind && file->changes != file->committed;
	*ret_name = file->resource;
	scratch_leave(scratch, 0);
	return ahead;
}

/* With the lock. */
static void scratch_unbind(struct scratch *scratch, const struct name *name)
{
	struct scratch_file *file;

	TAILQ_FOREACH(file, &scratch->files, link)
		if (name_equal(&file->resource, name))
			file->resource.kind = 0;
}

void scratch_replaced(struct scratch *scratch, const struct name *name)
{
	pthread_mutex_lock(&scratch->lock);
	scratch_unbind(scratch, name);
	pthread_mutex_unlock(&scratch->lock);
}

void scratch_renamed(struct scratch *scratch, const struct name *from, const struct name *to, uint64_t created)
{
	struct scratch_file *file;

	if (name_equal(from, to))
		return;
	pthread_mutex_lock(&scratch->lock);
	scratch_unbind(scratch, to);
	TAILQ_FOREACH(file, &scratch->files, link) {
		if (!name_equal(&file->resource, from))
			continue;
		file->resource = *to;
		file->created = created;
	}
	pthread_mutex_unlock(&scratch->lock);
}

void scratch_abandon(struct scratch *scratch, uint64_t ino)
{
	struct scratch_file *file = scratch_enter(scratch, ino);

	if (!file)
		return;
	file->resource.kind = 0;
	scratch_leave(scratch, 0);
}

int scratch_tend(struct scratch *scratch)
{
	struct scratch_file *file, *next;
	int64_t now = scratch_now();
	int64_t due = INT64_MAX;

	pthread_mutex_lock(&scratch->lock);
	for (file = TAILQ_FIRST(&scratch->files); file; file = next) {
		int64_t lain = now - file->used, wait;

		next = TAILQ_NEXT(file, link);
		if (file->opens)
			continue;
		if (lain >= scratch->seconds) {
			log_warning("\"%s\": dropped: a scratch file of uid %u that nobody used for %u seconds",
				    file->name, file->maker, scratch->seconds);
			scratch_file_free(scratch, file);
			continue;
		}
		if (lain >= SCRATCH_NOTICE_SECONDS && !file->told) {
			log_warning("\"%s\": a secret can't have this name, so it is a scratch file of uid %u: in memory "
				    "only, and dropped in %" PRId64 " seconds; rename it to keep it",
				    file->name, file->maker, scratch->seconds - lain);
			file->told = true;
		}
		wait = (file->told || scratch->seconds < SCRATCH_NOTICE_SECONDS ? scratch->seconds
										: SCRATCH_NOTICE_SECONDS) - lain;
		due = wait < due ? wait : due;
	}
	pthread_mutex_unlock(&scratch->lock);
	return due == INT64_MAX ? -1 : (int)due * 1000 + 100; /* the coarse clock lags a little */
}
