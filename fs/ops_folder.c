/* SPDX-License-Identifier: Apache-2.0
 * ops_folder: listings, and making and removing entries.
 */
#include "fs/node.h"
#include "fs/ops_internal.h"
#include "store/inherit.h"
#include "store/mesh.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define OPS_LIST_BYTES (64 * 1024)              /* of one READDIR answer at most */
#define OPS_SCRATCH_OFFSET (UINT64_C(1) << 62) /* in a listing's offset: among the scratch files, the rest is an inode */

/* The next entry of a folder: what is committed, then the caller's scratch files. */
static int ops_next(fuse_req_t req, fuse_ino_t ino, uint64_t offset, struct tree_entry *ret_entry)
{
	struct ops_context *context = ops_context(req);
	int r = -ENOENT;

	while (!(offset & OPS_SCRATCH_OFFSET)) {
		r = tree_next(&context->tree, ino, offset, ret_entry);
		if (r != 0 || !ops_is_aside(req, ret_entry->attributes.st_ino))
			break;
		offset = ret_entry->offset;
	}
	if (r != -ENOENT)
		return r;
	r = scratch_next(context->scratch, ino, fuse_req_ctx(req)->uid, offset & OPS_SCRATCH_OFFSET ? offset & ~OPS_SCRATCH_OFFSET : 0,
			 ret_entry);
	ret_entry->offset |= OPS_SCRATCH_OFFSET;
	return r;
}

static void ops_list(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, bool plus)
{
	unsigned turn = kept_turn(&ops_context(req)->kept);
	struct tree_entry entry;
	size_t room = size < OPS_LIST_BYTES ? size : OPS_LIST_BYTES;
	char *buffer = malloc(room);
	size_t used = 0;
	int r;

	if (!buffer) {
		ops_reply_error(req, -ENOMEM);
		return;
	}
	while ((r = ops_next(req, ino, (uint64_t)offset, &entry)) == 0) {
		struct fuse_entry_param param = ops_entry(req, &entry.attributes);
		size_t bytes;

		offset = (off_t)entry.offset;
		if (plus)
			ops_keep_entry(req, turn, &param);
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

/* An entry that comes with each mesh: its secrets/ (@folder) or its mesh.yaml. Removing it is what `rm -r` does before it removes the
 * mesh; it comes back with the first secret. */
static bool ops_comes_with_mesh(fuse_ino_t parent, const char *name, bool folder)
{
	return node_kind(parent) == NODE_MESH && strcmp(name, folder ? "secrets" : "mesh.yaml") == 0;
}

/* @attributes and @acls: of what is made again; NULL: it is removed. */
static void ops_set_presence(fuse_req_t req, fuse_ino_t parent, enum record_inode inode,
			     const struct record_attributes *attributes, const struct acl_list *acls,
			     void (*reply)(struct change *change))
{
	struct ops_context *context = ops_context(req);
	uint64_t ino = node_make(inode == RECORD_MESH_SECRETS ? NODE_SECRETS : NODE_MESH_YAML, node_resource(parent));
	struct store_info mesh;
	struct store_txn *txn;
	struct change *change;

	if (store_look(context->tree.store, node_resource(parent), &mesh) < 0 || !mesh.exists) {
		ops_reply_error(req, -ENOENT);
		return;
	}
	txn = change_txn(req, STORE_SET_ATTRIBUTES, &mesh.record.name, reply, ino);
	if (!txn)
		return;
	change = txn->context;
	txn->ops[0].inode = inode;
	if (attributes) {
		txn->ops[0].set = RECORD_SET_PRESENT | RECORD_SET_UID | RECORD_SET_GID | RECORD_SET_MODE |
				  RECORD_SET_ACL | RECORD_SET_DEFAULT_ACL;
		txn->ops[0].attributes[0] = *attributes;
		txn->ops[0].acls = *acls;
	} else {
		txn->ops[0].set = RECORD_SET_ABSENT;
		change->gone = ino;
	}
	change_submit(req, txn);
}

static void ops_mkdir_mesh(fuse_req_t req, const struct name *mesh, const struct record_attributes *owner,
			   const struct acl *folder)
{
	struct store_txn *txn = change_txn(req, STORE_PUT, mesh, change_reply_entry,
					   tree_ino(&ops_context(req)->tree, mesh));
	struct store_op *op;
	int r;

	if (!txn)
		return;
	op = &txn->ops[0];
	op->exclusive = true;
	r = inherit_mesh(owner, folder, op);
	if (r == 0)
		r = mesh_document(mesh->name, &op->value);
	if (r < 0)
		change_txn_done(txn, r);
	else
		change_submit(req, txn);
}

void ops_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	struct acl folder;
	struct record_attributes owner = ops_owner(req, parent, mode | S_IFDIR, &folder);
	struct acl_list acls = {0};
	struct name mesh;
	int r;

	if (ops_announce_mkdir(req, parent, name) || ops_was_made(req, parent, name))
		return;
	if (ops_comes_with_mesh(parent, name, true)) {
		r = inherit_entry(&folder, RECORD_MESH_SECRETS, false, &owner.mode, &acls);
		if (r < 0)
			ops_reply_error(req, r);
		else
			ops_set_presence(req, parent, RECORD_MESH_SECRETS, &owner, &acls, change_reply_entry);
		return;
	}
	r = node_kind(parent) == NODE_MESHES ? tree_name(&ops_context(req)->tree, parent, name, &mesh) : -EPERM;
	if (r < 0)
		ops_reply_error(req, r);
	else
		ops_mkdir_mesh(req, &mesh, &owner, &folder);
}

/* Is there a scratch file of the caller's in a folder? Of others' it knows nothing. */
static bool ops_has_scratch(fuse_req_t req, fuse_ino_t ino)
{
	struct tree_entry entry;

	return scratch_next(ops_context(req)->scratch, ino, fuse_req_ctx(req)->uid, 0, &entry) == 0;
}

/* The identity of something to be removed: a mesh for rmdir, a secret for unlink. */
static int ops_name_to_remove(fuse_req_t req, fuse_ino_t parent, const char *name, bool folder, struct name *ret_name)
{
	struct ops_context *context = ops_context(req);
	struct stat st;
	int r;

	r = tree_name(&context->tree, parent, name, ret_name);
	if (r == 0 && (node_kind(parent) == NODE_MESHES) != folder)
		r = folder ? -ENOTDIR : -EISDIR;
	if (r == -EINVAL)
		r = -ENOENT;
	if (r == -EPERM && tree_lookup(&context->tree, parent, name, &st) < 0)
		r = -ENOENT;
	return r;
}

void ops_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct ops_context *context = ops_context(req);
	struct store_txn *txn;
	struct change *change;
	struct name mesh;
	int r;

	if (ops_announce_remove(req, parent, name) || ops_was_committed(req))
		return;
	if (ops_comes_with_mesh(parent, name, true)) {
		if (ops_has_scratch(req, node_make(NODE_SECRETS, node_resource(parent))))
			ops_reply_error(req, -ENOTEMPTY);
		else
			ops_set_presence(req, parent, RECORD_MESH_SECRETS, NULL, NULL, change_reply_ok);
		return;
	}
	r = ops_name_to_remove(req, parent, name, true, &mesh);
	if (r == 0 && ops_has_scratch(req, tree_ino(&context->tree, &mesh)))
		r = -ENOTEMPTY;
	if (r < 0) {
		ops_reply_error(req, r);
		return;
	}
	txn = change_txn(req, STORE_REMOVE, &mesh, change_reply_ok, 0);
	if (!txn)
		return;
	change = txn->context;
	change->gone = node_make(NODE_SECRETS, store_node(context->tree.store, &mesh));
	change_submit(req, txn);
}

void ops_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct ops_context *context = ops_context(req);
	struct scratch_place place;
	struct store_info info;
	struct name secret;
	struct store_txn *txn;
	uint64_t handle;
	struct stat st;
	int r;

	if (ops_announce_remove(req, parent, name) || ops_was_committed(req))
		return;
	if (ops_scratch_place(req, parent, name, &place)) {
		ops_reply_error(req, scratch_unlink(context->scratch, &place));
		return;
	}
	if (ops_comes_with_mesh(parent, name, false)) {
		ops_set_presence(req, parent, RECORD_MESH_YAML, NULL, NULL, change_reply_ok);
		return;
	}
	r = ops_name_to_remove(req, parent, name, false, &secret);
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
	struct scratch_place place;
	struct store_txn *txn;
	struct name secret;
	int r;

	(void)device;
	if (ops_was_made(req, parent, name))
		return;
	if (S_ISREG(mode) && ops_scratch_place(req, parent, name, &place)) {
		ops_scratch_mknod(req, &place, mode);
		return;
	}
	r = S_ISREG(mode) && node_kind(parent) != NODE_MESHES ? tree_name(&context->tree, parent, name, &secret) : -EPERM;
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
	txn->ops[0].attributes[0] = ops_new_file(req, parent, mode, &txn->ops[0].acls);
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
