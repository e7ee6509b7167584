/* SPDX-License-Identifier: Apache-2.0
 * ops_rename: rename(2), between names of resources and scratch names.
 */
#include "fs/node.h"
#include "fs/ops_internal.h"

#include <errno.h>
#include <stdio.h>

/* One side of a rename. */
struct rename_end {
	bool scratch;
	struct scratch_place place; /* of a scratch file */
	struct name name;           /* of a resource, whether it is there or not */
};

static int rename_end(fuse_req_t req, fuse_ino_t parent, const char *name, struct rename_end *ret_end)
{
	ret_end->scratch = ops_scratch_place(req, parent, name, &ret_end->place);
	return ret_end->scratch ? 0 : tree_name(&ops_context(req)->tree, parent, name, &ret_end->name);
}

/* Errors as rename(2) has them; a secret belongs to one mesh, so across meshes it is EXDEV and mv copies. */
static int rename_ends(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t to_parent, const char *to_name,
		       struct rename_end *ret_from, struct rename_end *ret_to)
{
	int r = rename_end(req, parent, name, ret_from);
	int to = rename_end(req, to_parent, to_name, ret_to);

	if (r == -EINVAL)
		return -ENOENT;
	if (r < 0)
		return r;
	if (to < 0)
		return to;
	if (parent != to_parent)
		return -EXDEV;
	if (node_kind(parent) == NODE_MESHES)
		return -EPERM; /* after EXDEV mv would make the new one, which its mesh.yaml is refused by, and leave it */
	return 0;
}

/* What was new gets its name. */
static void rename_scratch(fuse_req_t req, const struct rename_end *from, const struct rename_end *to, bool exclusive)
{
	struct scratch *scratch = ops_context(req)->scratch;
	uint64_t ino;
	int r;

	if (to->scratch) {
		ops_reply_error(req, scratch_rename(scratch, &from->place, to->place.name, exclusive));
		return;
	}
	r = scratch_find(scratch, &from->place, &ino);
	if (r < 0)
		ops_reply_error(req, r);
	else
		ops_scratch_commit(req, ino, &to->name, exclusive);
}

/* A secret becomes a backup: that is a copy, and others go on finding the secret (see aside.h). Its value was sealed for
 * good, so nothing is lost if whoever does this never writes a new one. */
static void rename_to_scratch(fuse_req_t req, const struct store_info *info, const struct scratch_place *to,
			      bool exclusive)
{
	struct ops_context *context = ops_context(req);
	uint64_t from = tree_value_ino(&context->tree, &info->record.name);
	SECBUF_AUTO value = {0};
	uint64_t generation, ino;
	int r;

	r = exclusive && scratch_find(context->scratch, to, &ino) == 0 ? -EEXIST : 0;
	if (r == 0)
		r = store_pin(context->tree.store, info->node, &generation);
	if (r == 0) {
		r = store_read(context->tree.store, info->node, generation, &value);
		store_unpin(context->tree.store, info->node, generation);
	}
	if (r == 0)
		r = scratch_put(context->scratch, to, &info->record.inodes[tree_inode(from)], &value, &ino);
	if (r == 0 && info->record.name.kind != NAME_MESH) /* a mesh has those of its folders there */
		r = scratch_set_acls(context->scratch, ino, &info->record.acls);
	if (r == 0)
		aside_put(&context->aside, ops_process(req), from, generation);
	ops_reply_error(req, r);
}

/* A resource gets another resource's name. */
static void rename_resource(fuse_req_t req, const struct name *from, const struct name *to, bool exclusive)
{
	struct store_txn *txn = change_txn(req, STORE_RENAME, from, change_reply_ok, 0);

	if (!txn)
		return;
	txn->ops[0].to = *to;
	txn->ops[0].exclusive = exclusive;
	change_submit(req, txn);
}

void ops_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t to_parent, const char *to_name,
		unsigned flags)
{
	struct ops_context *context = ops_context(req);
	bool exclusive = flags & RENAME_NOREPLACE;
	struct rename_end from, to;
	struct store_info info;
	uint64_t handle;
	struct stat st;
	bool exists;
	int r;

	if (ops_was_committed(req))
		return;
	r = flags & ~(unsigned)RENAME_NOREPLACE ? -EINVAL : rename_ends(req, parent, name, to_parent, to_name, &from, &to);
	if (r < 0) {
		ops_reply_error(req, r);
		return;
	}
	exists = !from.scratch && store_look(context->tree.store, store_node(context->tree.store, &from.name), &info) == 0 && info.exists;
	if (exists && !ledger_renaming(context->ledger, tree_value_ino(&context->tree, &from.name))) {
		ops_reply_error(req, -ESTALE);
		return;
	}
	if (!to.scratch && ops_is_aside(req, tree_value_ino(&context->tree, &to.name))) {
		exclusive = false; /* what it renamed away is not there for it */
		aside_drop(&context->aside, ops_process(req), tree_value_ino(&context->tree, &to.name));
	}
	if (!to.scratch && to.name.kind == NAME_MESH) /* which is there, but its mesh.yaml may have been removed */
		exclusive = exclusive && tree_lookup(&context->tree, to_parent, to_name, &st) == 0;
	if (from.scratch) {
		rename_scratch(req, &from, &to, exclusive);
		return;
	}
	if (!exists && stage_lookup(context->stage, &from.name, ops_process(req), &handle, &st) == 0) {
		struct change *change = NULL;

		if (to.scratch)
			ops_reply_error(req, -EINVAL); /* what is staged for a resource is going to be one */
		else
			change = change_new(req, change_reply_ok, 0);
		if (change)
			stage_publish_as(context->stage, handle, &to.name, exclusive, change->unique, change_done, change);
	} else if (!exists && to.scratch) {
		ops_reply_error(req, -ENOENT);
	} else if (to.scratch) {
		rename_to_scratch(req, &info, &to.place, exclusive);
	} else {
		rename_resource(req, &from.name, &to.name, exclusive);
	}
}
