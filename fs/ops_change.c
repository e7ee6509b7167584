/* SPDX-License-Identifier: Apache-2.0
 * ops_change: requests that are answered by the commit thread, when their transaction is on disk.
 */
#include "fs/ops_internal.h"
#include "store/log.h"

#include <errno.h>
#include <stdlib.h>

void change_reply_ok(struct change *change)
{
	fuse_reply_err(change->req, 0);
}

void change_reply_attributes(struct change *change)
{
	ops_reply_attributes(change->req, change->ino);
}

void change_reply_entry(struct change *change)
{
	struct stat st;

	ops_reply_entry(change->req, tree_attributes(&ops_context(change->req)->tree, change->ino, &st), &st);
}

struct change *change_new(fuse_req_t req, void (*reply)(struct change *change), uint64_t ino)
{
	struct change *change = calloc(1, sizeof(*change));

	if (!change) {
		ops_reply_error(req, -ENOMEM);
		return NULL;
	}
	change->req = req;
	change->unique = ops_context(req)->unique;
	change->reply = reply;
	change->ino = ino;
	return change;
}

void change_done(void *context, int result)
{
	struct change *change = context;
	struct ops_context *ops = ops_context(change->req);

	if (change->handle)
		stage_discard(ops->stage, change->handle);
	if (result < 0)
		ops_reply_error(change->req, result);
	else
		change->reply(change);
	ledger_answered(ops->ledger, change->unique);
	free(change);
}

/* The store's answer as the system call's. */
static int change_result(const struct store_op *op, int result)
{
	if (op->kind != STORE_SET_ATTRIBUTES)
		return result;
	return op->inode == RECORD_MESH_YAML && result == -ENOTEMPTY ? -EBUSY : ops_stale(result);
}

/* A scratch file got the name of a resource, or what is written to one that did was committed again. */
static void change_scratch_committed(struct ops_context *context, uint64_t ino, const struct store_op *op)
{
	if (!op->only_created) {
		stage_replaced(context->stage, &op->name);
		scratch_replaced(context->scratch, &op->name);
	}
	scratch_committed(context->scratch, ino, op);
}

void change_txn_done(struct store_txn *txn, int result)
{
	const struct store_op *op = &txn->ops[0];
	struct change *change = txn->context;
	struct ops_context *context = ops_context(change->req);

	if (result == 0 && op->kind == STORE_RENAME) {
		stage_renamed(context->stage, &op->name, &op->to, op->ret_created);
		scratch_renamed(context->scratch, &op->name, &op->to, op->ret_created);
	}
	if (result == 0 && change->gone)
		scratch_drop_folder(context->scratch, change->gone);
	if (result == 0 && change->gone && op->kind == STORE_REMOVE)
		scratch_drop_folder(context->scratch, tree_ino(&context->tree, &op->name));
	if (result < 0 && txn->ret_why[0])
		log_error("%s\"%s\": %s", op->name.kind == NAME_MESH ? "mesh.yaml of " : "", op->name.name, txn->ret_why);
	if (result == 0 && change->scratch)
		change_scratch_committed(context, change->scratch, op);
	change_done(change, change_result(op, result));
	store_txn_free(txn);
}

struct store_txn *change_txn(fuse_req_t req, enum store_op_kind kind, const struct name *name,
				    void (*reply)(struct change *change), uint64_t ino)
{
	struct store_txn *txn = store_txn_new(1);
	struct change *change;

	if (!txn) {
		ops_reply_error(req, -ENOMEM);
		return NULL;
	}
	change = change_new(req, reply, ino);
	if (!change)
		return store_txn_free(txn);
	txn->done = change_txn_done;
	txn->context = change;
	txn->request = change->unique;
	txn->ops[0].kind = kind;
	txn->ops[0].name = *name;
	txn->ops[0].writer = fuse_req_ctx(req)->uid;
	return txn;
}

void change_submit(fuse_req_t req, struct store_txn *txn)
{
	store_submit(ops_context(req)->tree.store, txn);
}
