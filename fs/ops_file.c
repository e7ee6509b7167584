/* SPDX-License-Identifier: Apache-2.0
 * ops_file: open files.
 *
 * STAGE_HANDLE is set in the handles of the stage; a read handle is the generation of the version it pinned.
 */
#include "fs/node.h"
#include "fs/ops_internal.h"

#include <errno.h>
#include <fcntl.h>

#define OPS_COPY_BYTES (1024u * 1024) /* of one copy_file_range at most */

/* The stage's view of an existing secret that is opened for writing. */
int ops_stage_existing(fuse_req_t req, fuse_ino_t ino, bool truncate, uint64_t *ret_handle)
{
	struct ops_context *context = ops_context(req);
	struct stage_open open = {.ino = ino, .truncate = truncate, .uid = fuse_req_ctx(req)->uid};
	struct store_info info;
	int r;

	r = store_look(context->tree.store, node_resource(ino), &info);
	if (r < 0 || !info.exists || record_is_absent(&info.record.inodes[tree_inode(ino)]))
		return -ENOENT;
	open.name = info.record.name;
	open.info = &info;
	open.process = ops_process(req);
	open.thread = fuse_req_ctx(req)->pid;
	return stage_open(context->stage, &open, ret_handle);
}

static bool ops_writes(const struct fuse_file_info *fi)
{
	return (fi->flags & O_ACCMODE) != O_RDONLY; /* O_TRUNC comes as a setattr */
}

/* Pin the current version for a reader, as the ledger is to know: unless the worker before has done that for this request. */
static int ops_pin(struct ops_context *context, fuse_ino_t ino, uint64_t *ret_generation)
{
	struct store_held held = {.node = node_resource(ino), .inode = tree_inode(ino)};
	struct store_info info;
	int r;

	if (ledger_has_stepped(context->ledger, ret_generation))
		return 0;
	r = store_pin(context->tree.store, held.node, &held.generation);
	if (r < 0)
		return r;
	if (store_look(context->tree.store, held.node, &info) == 0) {
		held.size = info.record.size;
		held.attributes = info.record.inodes[held.inode];
	}
	ledger_pin(context->ledger, &held);
	*ret_generation = held.generation;
	return 0;
}

static void ops_unpin(struct ops_context *context, fuse_ino_t ino, uint64_t generation)
{
	uint64_t stepped;

	if (ledger_has_stepped(context->ledger, &stepped))
		return;
	ledger_unpin(context->ledger, node_resource(ino), generation);
	store_unpin(context->tree.store, node_resource(ino), generation);
}

/* Nobody has got that handle. */
static void ops_undo_open(struct ops_context *context, fuse_ino_t ino, uint64_t handle)
{
	if (handle & STAGE_HANDLE)
		stage_discard(context->stage, handle);
	else if (handle)
		ops_unpin(context, ino, handle);
}

/* Is it better left to the worker that is about to take over? The kernel sends to that what was not answered. */
static bool ops_leave(fuse_req_t req)
{
	if (!ops_context(req)->yielding)
		return false;
	fuse_reply_none(req);
	return true;
}

void ops_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct ops_context *context = ops_context(req);
	pid_t thread = fuse_req_ctx(req)->pid; /* which goes with the answer */
	int r = 0;

	if (ops_announce_open(req, fi) || (ops_writes(fi) && ops_leave(req)))
		return;
	if (node_is_control(ino)) {
		ops_control_open(req, ino, fi);
		return;
	}
	/* not only when it is read: whoever copies a file empties the other one in between */
	if (store_is_locked(context->tree.store)) {
		ops_reply_error(req, -ENOKEY);
		return;
	}
	if (node_kind(ino) == NODE_SCRATCH) {
		ops_scratch_open(req, ino, fi);
		return;
	}
	if (ops_writes(fi) && store_is_read_only(context->tree.store)) {
		ops_reply_error(req, -EROFS);
		return;
	}
	fi->direct_io = 1;
	fi->fh = 0;
	if (ops_writes(fi)) {
		r = ops_stage_existing(req, ino, false, &fi->fh);
	} else {
		r = ops_pin(context, ino, &fi->fh);
		fi->noflush = 1;
	}
	if (r == -ENOENT && stage_entries(context->stage)) {
		fi->noflush = 0;
		r = stage_share(context->stage, ino, ops_process(req), &fi->fh);
	}
	if (r == 0) {
		r = ops_may_open(req, ino, fi->flags);
		if (r < 0)
			ops_undo_open(context, ino, fi->fh);
	}
	if (r == 0 && ops_writes(fi))
		ledger_opening(context->ledger, ino, thread);
	if (r < 0) {
		/* a reader takes ENOENT for an answer: the kernel would look only once more */
		ops_reply_error(req, ops_writes(fi) ? ops_stale(r) : r);
	} else if (fuse_reply_open(req, fi) == -ENOENT) { /* interrupted: release will not come */
		ops_undo_open(context, ino, fi->fh);
	} else if (!(fi->fh & STAGE_HANDLE)) { /* while the answer is on its way, and the request to read */
		opener_put(&context->openers, thread, ino, fi->fh);
		store_prefetch(context->tree.store, node_resource(ino), fi->fh);
	}
}

void ops_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, struct fuse_file_info *fi)
{
	struct ops_context *context = ops_context(req);
	struct stage_open open = {
		.uid = fuse_req_ctx(req)->uid, .gid = fuse_req_ctx(req)->gid, .truncate = fi->flags & O_TRUNC, .thread = STAGE_NO_THREAD};
	struct fuse_entry_param entry;
	struct scratch_place place;
	struct store_info info;
	struct stat st;
	int r;

	if (ops_announce_create(req, parent, name, fi) || ops_leave(req))
		return;
	if (ops_scratch_place(req, parent, name, &place)) {
		ops_scratch_create(req, &place, mode, fi);
		return;
	}
	r = node_kind(parent) == NODE_MESHES ? -EPERM : tree_name(&context->tree, parent, name, &open.name);
	if (r == 0 && store_is_read_only(context->tree.store))
		r = -EROFS;
	if (r < 0) {
		ops_reply_error(req, r);
		return;
	}
	open.ino = tree_value_ino(&context->tree, &open.name);
	open.attributes = ops_new_file(req, parent, mode, &open.acls);
	open.process = ops_process(req);
	if (store_look(context->tree.store, node_resource(open.ino), &info) == 0 && info.exists) {
		/* a mesh.yaml that was removed is in the store still; else somebody was faster */
		open.anew = ops_is_aside(req, open.ino) || record_is_absent(&info.record.inodes[tree_inode(open.ino)]);
		open.info = &info;
		open.truncate |= open.anew;
	}
	if ((fi->flags & O_EXCL) && !open.anew && (open.info || stage_is_new(context->stage, &open.name)))
		r = -EEXIST;
	fi->direct_io = 1;
	if (r == 0)
		r = stage_open(context->stage, &open, &fi->fh);
	if (r == 0 && open.anew)
		aside_drop(&context->aside, open.process, open.ino);
	if (r == -ENOENT) { /* and somebody else removed it again */
		open.info = NULL;
		r = stage_open(context->stage, &open, &fi->fh);
	}
	if (r == 0 && open.info && !open.anew) {
		r = ops_may_create(req, open.ino, fi->flags);
		if (r < 0)
			stage_discard(context->stage, fi->fh);
	}
	if (r < 0) {
		ops_reply_error(req, r);
		return;
	}
	if (open.info)
		tree_fill(open.ino, &info.record.inodes[tree_inode(open.ino)], info.record.size, &st);
	else
		tree_fill(open.ino, &open.attributes, 0, &st);
	entry = ops_entry(req, &st);
	if (fuse_reply_create(req, &entry, fi) == -ENOENT)
		stage_discard(context->stage, fi->fh);
}

/* Is the version that was opened still the one that others get? Or was it the last one: of what was removed some may have another open. */
static bool ops_is_current(const struct ops_context *context, fuse_ino_t ino, uint64_t generation)
{
	struct store_info info;

	return store_look(context->tree.store, node_resource(ino), &info) < 0 || info.record.generation == generation;
}

/* Is it that nothing has the name, and somebody else, who has the same pages, writes to what had it, or is making another? */
static bool ops_shares_pages(const struct ops_context *context, fuse_ino_t ino, uint64_t handle)
{
	struct stat st;

	return (tree_attributes(&context->tree, ino, &st) < 0 || st.st_nlink == 0) && !stage_is_alone(context->stage, handle, ino);
}

/* What is asked for of an open file: @size bytes at @start of @value, which is to be wiped. */
struct ops_part {
	struct secbuf value;
	size_t start, size;
	uint64_t generation; /* of a version that is pinned; else 0 */
};

/* For the page cache, which belongs to all who have the file open: so the current version is the only one that may go there.
 * mmap(2) leaves open whether a later change is seen. A part of it would make sendfile(2) mix two versions. Who may not read that one gets nothing. */
static int ops_read_paged(fuse_req_t req, fuse_ino_t ino, uint64_t generation, uint64_t offset, struct ops_part *ret_part)
{
	struct ops_context *context = ops_context(req);
	uint64_t current = generation;
	int r = notify_paged(context->notify, ino);

	if (r < 0)
		return r;
	if (ops_is_current(context, ino, generation)) {
		ret_part->generation = generation;
		return store_read(context->tree.store, node_resource(ino), generation, &ret_part->value);
	}
	if (offset == 0)
		r = store_pin(context->tree.store, node_resource(ino), &current);
	if (offset > 0 || r < 0)
		return -EIO;
	r = ops_may_read(req, ino) ? store_read(context->tree.store, node_resource(ino), current, &ret_part->value) : -EACCES;
	store_unpin(context->tree.store, node_resource(ino), current);
	return r;
}

static int ops_read_version(fuse_req_t req, fuse_ino_t ino, uint64_t generation, size_t size, uint64_t offset,
			    bool paged, struct ops_part *ret_part)
{
	size_t left;
	int r;

	*ret_part = (struct ops_part){.generation = paged ? 0 : generation};
	r = paged ? ops_read_paged(req, ino, generation, offset, ret_part)
		  : store_read(ops_context(req)->tree.store, node_resource(ino), generation, &ret_part->value);
	if (r < 0)
		return r;
	ret_part->start = offset < ret_part->value.size ? (size_t)offset : ret_part->value.size;
	left = ret_part->value.size - ret_part->start;
	ret_part->size = size < left ? size : left;
	return 0;
}

/* As whoever has the file open sees it. To be handed to ops_read_done. */
static int ops_read_part(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, const struct fuse_file_info *fi,
			 bool paged, struct ops_part *ret_part)
{
	struct ops_context *context = ops_context(req);
	struct secbuf bytes = {0};
	uint64_t generation;
	struct stat st;
	int r = 0;

	autolock_used(&context->autolock);
	if (paged && node_kind(ino) != NODE_SCRATCH && ops_shares_pages(context, ino, fi->fh))
		return -EIO;
	if (!(fi->fh & STAGE_HANDLE) && node_kind(ino) != NODE_SCRATCH)
		return ops_read_version(req, ino, fi->fh, size, (uint64_t)offset, paged, ret_part);
	if (paged && stage_version(context->stage, fi->fh, node_resource(ino), &generation) == 0)
		return ops_read_version(req, ino, generation, size, (uint64_t)offset, paged, ret_part);
	if (paged && node_kind(ino) != NODE_SCRATCH && tree_attributes(&context->tree, ino, &st) == 0)
		r = -EIO; /* what is being written: others may have the file open, and so its pages */
	else if (paged)
		r = notify_paged(context->notify, ino);
	if (r == 0)
		r = node_kind(ino) == NODE_SCRATCH ? scratch_read(context->scratch, ino, (uint64_t)offset, size, &bytes)
						   : stage_read(context->stage, fi->fh, (uint64_t)offset, size, &bytes);
	*ret_part = (struct ops_part){.value = bytes, .size = bytes.size};
	return r;
}

/* A version of which there is more is kept for who goes on. */
static void ops_read_done(struct ops_context *context, struct ops_part *part)
{
	if (part->generation && part->size && part->start + part->size < part->value.size)
		store_keep(context->tree.store, part->generation, &part->value);
	secbuf_deinit(&part->value);
}

void ops_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi)
{
	bool paged = fi->lock_owner == 0; /* the kernel sends it with direct reads only */
	struct ops_context *context = ops_context(req);
	struct ops_part part = {0};
	int r;

	if (node_is_control(ino)) {
		ops_control_read(req, ino, size, offset, fi);
		return;
	}
	r = ops_read_part(req, ino, size, offset, fi, paged, &part);
	if (r < 0)
		ops_reply_error(req, r == -ENOENT ? -EIO : r);
	else
		fuse_reply_buf(req, part.size ? (const char *)part.value.data + part.start : NULL, part.size);
	ops_read_done(context, &part);
}

static int ops_write_bytes(fuse_req_t req, fuse_ino_t ino, const void *data, size_t size, off_t offset,
			   const struct fuse_file_info *fi)
{
	struct ops_context *context = ops_context(req);
	bool append = fi->flags & O_APPEND;

	autolock_used(&context->autolock);
	if (node_kind(ino) == NODE_SCRATCH)
		return scratch_write(context->scratch, ino, data, size, (uint64_t)offset, append);
	if (node_is_control(ino))
		return control_write(context->control, fi->fh, fuse_req_ctx(req)->pid, data, size);
	return stage_write(context->stage, fi->fh, fuse_req_ctx(req)->pid, data, size, (uint64_t)offset, append);
}

void ops_write(fuse_req_t req, fuse_ino_t ino, const char *data, size_t size, off_t offset, struct fuse_file_info *fi)
{
	int r = ops_write_bytes(req, ino, data, size, offset, fi);

	if (r < 0)
		ops_reply_error(req, r == -ENOENT ? -EIO : r);
	else
		fuse_reply_write(req, size);
}

/* Otherwise the kernel would do it through the page cache. */
void ops_copy_file_range(fuse_req_t req, fuse_ino_t ino, off_t offset, struct fuse_file_info *fi, fuse_ino_t to_ino,
			 off_t to_offset, struct fuse_file_info *to_fi, size_t size, int flags)
{
	struct ops_context *context = ops_context(req);
	struct ops_part part = {0};
	int r;

	(void)flags;
	if (node_is_control(ino)) {
		ops_reply_error(req, -EXDEV); /* copy by reading */
		return;
	}
	/* how much to copy was cut off at the current size: who has an older version open has to read it */
	if (!(fi->fh & STAGE_HANDLE) && node_is_value(ino) && !ops_is_current(context, ino, fi->fh)) {
		ops_reply_error(req, -EINVAL);
		return;
	}
	r = ops_read_part(req, ino, size < OPS_COPY_BYTES ? size : OPS_COPY_BYTES, offset, fi, false, &part);
	if (r == 0 && part.size)
		r = ops_write_bytes(req, to_ino, part.value.data + part.start, part.size, to_offset, to_fi);
	if (r < 0)
		ops_reply_error(req, r == -ENOENT ? -EIO : r);
	else
		fuse_reply_write(req, part.size);
	ops_read_done(context, &part);
}

/* Only the plain form: there are no holes, and nothing to set aside for later. */
void ops_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t offset, off_t length, struct fuse_file_info *fi)
{
	struct ops_context *context = ops_context(req);
	uint64_t size = (uint64_t)offset + (uint64_t)length;
	int r;

	if (mode != 0 || node_is_control(ino))
		r = -EOPNOTSUPP;
	else if (node_kind(ino) == NODE_SCRATCH)
		r = scratch_extend(context->scratch, ino, size);
	else
		r = stage_extend(context->stage, fi->fh, size);
	ops_reply_error(req, r == -ENOENT ? -EIO : r);
}

/* Who has renamed a secret away and then failed to make it anew goes on not finding it: what it removes now, or renames its backup over,
 * is what it could not write, and not the value that all others have. */
static void ops_flushed(void *context, int result)
{
	struct change *change = context;
	struct ops_context *ops = ops_context(change->req);
	pid_t maker = result < 0 ? stage_maker(ops->stage, change->closed) : 0;
	struct store_info info;

	if (maker && store_look(ops->tree.store, node_resource(change->ino), &info) == 0 && info.exists &&
	    !record_is_absent(&info.record.inodes[tree_inode(change->ino)]))
		aside_put(&ops->aside, maker, change->ino, info.record.generation);
	change_done(change, result);
}

void ops_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct stage *stage = ops_context(req)->stage;
	pid_t thread = fuse_req_ctx(req)->pid;
	struct change *change;

	if (ops_was_committed(req))
		return;
	if (node_kind(ino) == NODE_SCRATCH) {
		ops_scratch_sync(req, ino, true);
		return;
	}
	if (node_is_control(ino)) {
		ops_control_flush(req, fi);
		return;
	}
	if (!(fi->fh & STAGE_HANDLE)) {
		fuse_reply_err(req, 0);
		return;
	}
	change = change_new(req, change_reply_ok, ino);
	if (!change) {
		stage_refuse(stage, fi->fh);
		return;
	}
	change->closed = fi->fh;
	stage_flush(stage, fi->fh, thread, change->unique, ops_flushed, change);
}

void ops_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	struct change *change;

	(void)datasync;
	if (ops_was_committed(req))
		return;
	if (node_kind(ino) == NODE_SCRATCH) {
		ops_scratch_sync(req, ino, false);
		return;
	}
	if (node_is_control(ino)) {
		ops_control_fsync(req, fi);
		return;
	}
	if (!(fi->fh & STAGE_HANDLE)) {
		fuse_reply_err(req, 0); /* what it reads is on disk */
		return;
	}
	change = change_new(req, change_reply_ok, ino);
	if (change)
		stage_sync(ops_context(req)->stage, fi->fh, change->unique, change_done, change);
}

/* Was it opened with a worker before? Then that one alone knew whether the kernel has pages of it. */
static bool ops_is_former(struct ops_context *context, fuse_ino_t ino, uint64_t handle)
{
	struct stat st;

	if (node_kind(ino) == NODE_SCRATCH)
		return scratch_attributes(context->scratch, ino, &st) < 0;
	if (handle & STAGE_HANDLE)
		return (handle & ~STAGE_HANDLE) < context->tree.handles;
	return ledger_is_former(context->ledger, node_resource(ino), handle);
}

void ops_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct ops_context *context = ops_context(req);

	if (!node_is_control(ino) && ops_is_former(context, ino, fi->fh))
		notify_paged(context->notify, ino);
	if (node_kind(ino) == NODE_SCRATCH)
		scratch_release(context->scratch, ino);
	else if (node_is_control(ino))
		control_release(context->control, fi->fh);
	else if (fi->fh & STAGE_HANDLE)
		stage_release(context->stage, fi->fh);
	else if (fi->fh) {
		opener_drop(&context->openers, ino, fi->fh);
		ops_unpin(context, ino, fi->fh);
	}
	notify_closed(context->notify, ino);
	fuse_reply_err(req, 0);
}
