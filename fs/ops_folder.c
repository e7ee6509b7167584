/* SPDX-License-Identifier: Apache-2.0
 * ops_folder: listings, and making, removing and renaming entries.
 */
#include "fs/ops_internal.h"
#include "store/mesh.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define OPS_LIST_BYTES (64 * 1024) /* of one READDIR answer at most */

static void ops_list(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, bool plus)
{
	struct ops_context *context = ops_context(req);
	struct tree_entry entry;
	size_t room = size < OPS_LIST_BYTES ? size : OPS_LIST_BYTES;
	char *buffer = malloc(room);
	size_t used = 0;
	int r;

	if (!buffer) {
		ops_reply_error(req, -ENOMEM);
		return;
	}
	while ((r = tree_next(&context->tree, ino, (uint64_t)offset, &entry)) == 0) {
		struct fuse_entry_param param = ops_entry(req, &entry.attributes);
		size_t bytes;

		offset = (off_t)entry.offset;
		bytes = plus ? fuse_add_direntry_plus(req, buffer + used, room - used, entry.name, &param, offset)
			     : fuse_add_direntry(req, buffer + used, room - used, entry.name, &entry.attributes,
						 offset);
		if (bytes > room - used)
			break;
		used += bytes;
	}
	if (r < 0 && r != -ENOENT)
		ops_reply_error(req, r);
	else
		fuse_reply_buf(req, buffer, used);
	free(buffer);
}

void ops_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi)
{
	(void)fi;
	ops_list(req, ino, size, offset, false);
}

void ops_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi)
{
	(void)fi;
	ops_list(req, ino, size, offset, true);
}

void ops_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	struct ops_context *context = ops_context(req);
	struct record_attributes owner = ops_owner(req, parent, mode);
	struct name mesh;
	struct store_txn *txn;
	struct store_op *op;
	int r;

	r = tree_name(&context->tree, parent, name, &mesh);
	if (r < 0 || mesh.kind != NAME_MESH) {
		ops_reply_error(req, r < 0 ? r : -EPERM);
		return;
	}
	txn = change_txn(req, STORE_PUT, &mesh, change_reply_entry, tree_ino(&context->tree, &mesh));
	if (!txn)
		return;
	op = &txn->ops[0];
	op->exclusive = true;
	for (int i = 0; i < RECORD_INODES; i++)
		op->attributes[i] = owner;
	op->attributes[RECORD_MESH_SECRETS].mode = 0700;
	op->attributes[RECORD_MESH_YAML].mode = 0644;
	if (mesh_document(name, &op->value) < 0)
		change_txn_done(txn, -ENOMEM);
	else
		change_submit(req, txn);
}

/* The identity of something to be removed: a mesh for rmdir, a secret for unlink. */
static int ops_name_to_remove(fuse_req_t req, fuse_ino_t parent, const char *name, bool folder, struct name *ret_name)
{
	struct ops_context *context = ops_context(req);
	struct stat st;
	int r;

	r = tree_name(&context->tree, parent, name, ret_name);
	if (r == 0 && (ret_name->kind == NAME_MESH) != folder)
		r = folder ? -ENOTDIR : -EISDIR;
	if (r == -EINVAL)
		r = -ENOENT;
	if (r == -EPERM && tree_lookup(&context->tree, parent, name, &st) < 0)
		r = -ENOENT;
	return r;
}

void ops_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct store_txn *txn;
	struct name mesh;
	int r = ops_name_to_remove(req, parent, name, true, &mesh);

	if (r < 0) {
		ops_reply_error(req, r);
		return;
	}
	txn = change_txn(req, STORE_REMOVE, &mesh, change_reply_ok, 0);
	if (txn)
		change_submit(req, txn);
}

void ops_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct ops_context *context = ops_context(req);
	struct store_info info;
	struct name secret;
	struct store_txn *txn;
	uint64_t handle;
	struct stat st;
	int r = ops_name_to_remove(req, parent, name, false, &secret);

	if (r < 0) {
		ops_reply_error(req, r);
		return;
	}
	if ((store_look(context->tree.store, store_node(context->tree.store, &secret), &info) < 0 || !info.exists) &&
	    stage_lookup(context->stage, &secret, ops_process(req), &handle, &st) == 0) {
		stage_unlink(context->stage, handle);
		fuse_reply_err(req, 0);
		return;
	}
	txn = change_txn(req, STORE_REMOVE, &secret, change_reply_ok, 0);
	if (txn)
		change_submit(req, txn);
}

/* Errors as rename(2) has them; a secret belongs to one mesh, so across meshes it is EXDEV and mv copies. */
static int ops_rename_names(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t to_parent,
			    const char *to_name, struct name *ret_from, struct name *ret_to)
{
	struct ops_context *context = ops_context(req);
	int r, to;

	r = tree_name(&context->tree, parent, name, ret_from);
	to = tree_name(&context->tree, to_parent, to_name, ret_to);
	if (r == -EINVAL || r == -ENOENT)
		return -ENOENT;
	if (r < 0)
		return r;
	if (to < 0)
		return to;
	if (ret_from->kind == NAME_MESH || parent != to_parent)
		return -EXDEV;
	return 0;
}

void ops_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t to_parent, const char *to_name,
		       unsigned flags)
{
	struct ops_context *context = ops_context(req);
	bool exclusive = flags & RENAME_NOREPLACE;
	struct store_info info;
	struct store_txn *txn;
	struct name from, to;
	uint64_t handle;
	struct stat st;
	int r;

	if (flags & ~(unsigned)RENAME_NOREPLACE) {
		ops_reply_error(req, -EINVAL);
		return;
	}
	r = ops_rename_names(req, parent, name, to_parent, to_name, &from, &to);
	if (r < 0) {
		ops_reply_error(req, r);
		return;
	}
	if ((store_look(context->tree.store, store_node(context->tree.store, &from), &info) < 0 || !info.exists) &&
	    stage_lookup(context->stage, &from, ops_process(req), &handle, &st) == 0) {
		struct change *change = change_new(req, change_reply_ok, 0);

		if (change)
			stage_publish_as(context->stage, handle, &to, exclusive, change_done, change);
		return;
	}
	txn = change_txn(req, STORE_RENAME, &from, change_reply_ok, 0);
	if (!txn)
		return;
	txn->ops[0].to = to;
	txn->ops[0].exclusive = exclusive;
	change_submit(req, txn);
}

/* link(2), symlink(2), mknod(2): "the filesystem does not support the creation of" such: EPERM. */
void ops_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent, const char *name)
{
	(void)ino;
	(void)parent;
	(void)name;
	ops_reply_error(req, -EPERM);
}

void ops_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name)
{
	(void)target;
	(void)parent;
	(void)name;
	ops_reply_error(req, -EPERM);
}

/* A regular file made with mknod(2) is an empty secret. */
void ops_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t device)
{
	struct ops_context *context = ops_context(req);
	struct store_txn *txn;
	struct name secret;
	int r;

	(void)device;
	r = tree_name(&context->tree, parent, name, &secret);
	if (r == 0 && (!S_ISREG(mode) || secret.kind == NAME_MESH))
		r = -EPERM;
	if (r == 0 && stage_is_new(context->stage, &secret))
		r = -EEXIST;
	if (r < 0) {
		ops_reply_error(req, r);
		return;
	}
	txn = change_txn(req, STORE_PUT, &secret, change_reply_entry, tree_ino(&context->tree, &secret));
	if (!txn)
		return;
	txn->ops[0].exclusive = true;
	txn->ops[0].attributes[0] = ops_owner(req, parent, mode);
	change_submit(req, txn);
}

/* A folder's changes are on disk before they are answered. */
void ops_fsyncdir(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	(void)ino;
	(void)datasync;
	(void)fi;
	fuse_reply_err(req, 0);
}
