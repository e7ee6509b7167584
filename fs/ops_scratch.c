/* SPDX-License-Identifier: Apache-2.0
 * ops_scratch: the operations on files with names that no resource can have.
 */
#include "fs/node.h"
#include "fs/ops_internal.h"
#include "fs/writer.h"

#include <errno.h>
#include <fcntl.h>

bool ops_scratch_place(fuse_req_t req, fuse_ino_t parent, const char *name, struct scratch_place *ret_place)
{
	struct name identity;

	if (node_kind(parent) != NODE_SECRETS && node_kind(parent) != NODE_GLOBAL && node_kind(parent) != NODE_MESH)
		return false;
	*ret_place = (struct scratch_place){.parent = parent, .name = name, .uid = fuse_req_ctx(req)->uid};
	return tree_name(&ops_context(req)->tree, parent, name, &identity) == -EINVAL;
}

/* Find the file, or make it. */
static int ops_scratch_make(fuse_req_t req, const struct scratch_place *place, mode_t mode, bool exclusive,
			    uint64_t *ret_ino)
{
	struct scratch *scratch = ops_context(req)->scratch;
	struct record_attributes owner;
	struct acl_list acls;
	int r;

	if (scratch_find(scratch, place, ret_ino) == 0)
		return exclusive ? -EEXIST : 0;
	owner = ops_new_file(req, place->parent, mode, &acls);
	r = scratch_put(scratch, place, &owner, NULL, ret_ino);
	return r < 0 ? r : scratch_set_acls(scratch, *ret_ino, &acls);
}

void ops_scratch_create(fuse_req_t req, const struct scratch_place *place, mode_t mode, struct fuse_file_info *fi)
{
	struct scratch *scratch = ops_context(req)->scratch;
	struct fuse_entry_param entry;
	struct stat st;
	uint64_t ino;
	int r;

	r = ops_scratch_make(req, place, mode, fi->flags & O_EXCL, &ino);
	if (r == 0)
		r = scratch_open(scratch, ino);
	if (r < 0) {
		ops_reply_error(req, r);
		return;
	}
	if (fi->flags & O_TRUNC)
		scratch_resize(scratch, ino, 0);
	scratch_attributes(scratch, ino, &st);
	entry = ops_entry(req, &st);
	fi->direct_io = 1;
	if (fuse_reply_create(req, &entry, fi) == -ENOENT)
		scratch_release(scratch, ino);
}

void ops_scratch_mknod(fuse_req_t req, const struct scratch_place *place, mode_t mode)
{
	struct stat st;
	uint64_t ino;
	int r;

	r = ops_scratch_make(req, place, mode, true, &ino);
	if (r == 0)
		r = scratch_attributes(ops_context(req)->scratch, ino, &st);
	ops_reply_entry(req, r, &st);
}

void ops_scratch_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct scratch *scratch = ops_context(req)->scratch;
	int r = scratch_open(scratch, ino);

	if (r < 0) {
		ops_reply_error(req, r);
		return;
	}
	fi->direct_io = 1;
	if (fuse_reply_open(req, fi) == -ENOENT) /* interrupted: release will not come */
		scratch_release(scratch, ino);
}

void ops_scratch_setattr(fuse_req_t req, fuse_ino_t ino, const struct stat *st, int to_set)
{
	struct scratch *scratch = ops_context(req)->scratch;
	struct record_attributes attributes;
	unsigned set = ops_decode_attributes(st, to_set, &attributes);
	int r = 0;

	if (to_set & FUSE_SET_ATTR_SIZE)
		r = scratch_resize(scratch, ino, (uint64_t)st->st_size);
	if (r < 0)
		ops_reply_error(req, r == -ENOENT ? -EIO : r);
	else
		ops_set_attributes(req, ino, set, &attributes, NULL, change_reply_attributes);
}

void ops_scratch_commit(fuse_req_t req, fuse_ino_t ino, const struct name *name, bool exclusive)
{
	struct store_txn *txn = change_txn(req, STORE_PUT, name, change_reply_ok, 0);
	struct change *change;
	int r;

	if (!txn)
		return;
	change = txn->context;
	change->scratch = ino;
	txn->ops[0].exclusive = exclusive;
	r = scratch_commit(ops_context(req)->scratch, ino, &txn->ops[0]);
	if (r < 0)
		change_txn_done(txn, r);
	else
		change_submit(req, txn);
}

void ops_scratch_sync(fuse_req_t req, fuse_ino_t ino, bool closing)
{
	struct scratch *scratch = ops_context(req)->scratch;
	struct name name;
	struct stat st;

	if (scratch_is_wiped(scratch, ino)) {
		ops_reply_error(req, -ENOKEY);
	} else if (scratch_attributes(scratch, ino, &st) < 0) { /* gone with the worker that had it */
		ops_reply_error(req, -EIO);
	} else if (!scratch_is_ahead(scratch, ino, &name)) {
		fuse_reply_err(req, 0);
	} else if (closing && writer_killed_by(fuse_req_ctx(req)->pid)) {
		scratch_abandon(scratch, ino);
		fuse_reply_err(req, 0);
	} else {
		ops_scratch_commit(req, ino, &name, false);
	}
}
