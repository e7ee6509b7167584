/* SPDX-License-Identifier: Apache-2.0
 * ops_attr: stat, chmod, chown, utimensat, truncate.
 */
#include "fs/node.h"
#include "fs/ops_internal.h"

#include <errno.h>

void ops_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	ops_reply_attributes(req, ino, fi && (fi->fh & STAGE_HANDLE) ? fi->fh : 0);
}

static struct timespec ops_time(const struct timespec *given, bool now)
{
	struct timespec time = *given;

	if (now)
		clock_gettime(CLOCK_REALTIME, &time);
	return time;
}

unsigned ops_decode_attributes(const struct stat *st, int to_set, struct record_attributes *ret_attributes)
{
	unsigned set = 0;

	ret_attributes->uid = st->st_uid;
	ret_attributes->gid = st->st_gid;
	ret_attributes->mode = st->st_mode & 07777;
	ret_attributes->mtime = ops_time(&st->st_mtim, to_set & FUSE_SET_ATTR_MTIME_NOW);
	ret_attributes->atime = ops_time(&st->st_atim, to_set & FUSE_SET_ATTR_ATIME_NOW);
	set |= to_set & FUSE_SET_ATTR_UID ? RECORD_SET_UID : 0;
	set |= to_set & FUSE_SET_ATTR_GID ? RECORD_SET_GID : 0;
	set |= to_set & FUSE_SET_ATTR_MODE ? RECORD_SET_MODE : 0;
	set |= to_set & (FUSE_SET_ATTR_MTIME | FUSE_SET_ATTR_MTIME_NOW) ? RECORD_SET_MTIME : 0;
	set |= to_set & (FUSE_SET_ATTR_ATIME | FUSE_SET_ATTR_ATIME_NOW) ? RECORD_SET_ATIME : 0;
	return set;
}

static void ops_set_attributes(fuse_req_t req, fuse_ino_t ino, unsigned set, const struct record_attributes *attributes)
{
	struct ops_context *context = ops_context(req);
	struct store_info info;
	enum record_inode inode;
	struct store_txn *txn;
	int r;

	if (node_is_value(ino) && stage_entries(context->stage))
		set = stage_set_attributes(context->stage, ino, ops_process(req), set, attributes);
	if (!set) {
		ops_reply_attributes(req, ino, 0);
		return;
	}
	r = tree_resource(&context->tree, ino, &info, &inode);
	if (r < 0) {
		ops_reply_error(req, ops_stale(r));
		return;
	}
	txn = change_txn(req, STORE_SET_ATTRIBUTES, &info.record.name, change_reply_attributes, ino);
	if (!txn)
		return;
	txn->ops[0].inode = inode;
	txn->ops[0].set = set;
	txn->ops[0].attributes[0] = *attributes;
	change_submit(req, txn);
}

/* truncate(2) by path: an open, a cut and a close in one. */
static void ops_truncate(fuse_req_t req, fuse_ino_t ino, uint64_t size)
{
	struct ops_context *context = ops_context(req);
	struct change *change;
	uint64_t handle;
	int r;

	r = ops_stage_existing(req, ino, size == 0, &handle);
	if (r == 0) {
		r = stage_resize(context->stage, handle, size);
		if (r < 0)
			stage_discard(context->stage, handle);
	}
	if (r < 0) {
		ops_reply_error(req, ops_stale(r));
		return;
	}
	change = change_new(req, change_reply_attributes, ino);
	if (!change) {
		stage_discard(context->stage, handle);
		return;
	}
	change->handle = handle;
	stage_sync(context->stage, handle, change_done, change);
}

void ops_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *st, int to_set, struct fuse_file_info *fi)
{
	struct record_attributes attributes = {0};
	unsigned set = ops_decode_attributes(st, to_set, &attributes);
	int r;

	if (node_kind(ino) == NODE_SCRATCH) {
		ops_scratch_setattr(req, ino, st, to_set);
		return;
	}
	if (!(to_set & FUSE_SET_ATTR_SIZE)) {
		ops_set_attributes(req, ino, set, &attributes);
		return;
	}
	if (!node_is_value(ino)) {
		ops_reply_error(req, node_kind(ino) == NODE_STATUS ? -EACCES : -EISDIR);
		return;
	}
	if (!fi || !(fi->fh & STAGE_HANDLE)) {
		ops_truncate(req, ino, (uint64_t)st->st_size);
		return;
	}
	r = stage_resize(ops_context(req)->stage, fi->fh, (uint64_t)st->st_size);
	if (r < 0)
		ops_reply_error(req, r);
	else
		ops_set_attributes(req, ino, set, &attributes);
}
