/* SPDX-License-Identifier: Apache-2.0
 * ops: no state of their own. A request is answered at once from memory, or by the commit thread when its
 * transaction is on disk (struct change); the serving thread never waits for a disk, but where stage.h says so.
 *
 * Nothing is cached by the kernel: timeouts are 0 and reads are direct, so what it shows is what the store has.
 * Handles: STAGE_HANDLE is set in those of the stage; a read handle is the generation of the version it pinned.
 */
#include "fs/ops.h"

#include "fs/node.h"
#include "fs/status.h"
#include "fs/writer.h"
#include "store/log.h"
#include "store/mesh.h"

#include <errno.h>
#include <fuse_lowlevel.h>
#include <inttypes.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#define OPS_WRITE_BYTES (256 * 1024) /* of one WRITE request at most */
#define OPS_LIST_BYTES (64 * 1024)   /* of one READDIR answer at most */

static struct ops_context *ops_context(fuse_req_t req)
{
	return fuse_req_userdata(req);
}

static pid_t ops_process(fuse_req_t req)
{
	return writer_process(fuse_req_ctx(req)->pid);
}

static void ops_reply_error(fuse_req_t req, int r)
{
	fuse_reply_err(req, -r);
}

static struct fuse_entry_param ops_entry(const struct stat *attributes)
{
	return (struct fuse_entry_param){.ino = attributes->st_ino, .generation = 1, .attr = *attributes};
}

/* As the process behind @req sees it: what it is writing itself, or what is committed. */
static int ops_attributes(fuse_req_t req, uint64_t ino, uint64_t handle, struct stat *ret_attributes)
{
	struct ops_context *context = ops_context(req);

	if (node_is_value(ino) && stage_entries(context->stage) &&
	    stage_attributes(context->stage, ino, handle, ops_process(req), ret_attributes) == 0)
		return 0;
	return tree_attributes(&context->tree, ino, ret_attributes);
}

static void ops_init(void *userdata, struct fuse_conn_info *conn)
{
	(void)userdata;
	/* splice would leave copies in pipes that nobody wipes; the kernel is to cache nothing */
	conn->want &= ~(unsigned)(FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE |
				  FUSE_CAP_AUTO_INVAL_DATA | FUSE_CAP_WRITEBACK_CACHE);
	conn->want |= conn->capable & FUSE_CAP_ATOMIC_O_TRUNC;
	conn->max_write = OPS_WRITE_BYTES;
	conn->time_gran = 1;
}

static void ops_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct ops_context *context = ops_context(req);
	struct fuse_entry_param entry;
	struct name identity;
	uint64_t handle;
	struct stat st;
	int r;

	r = tree_lookup(&context->tree, parent, name, &st);
	if (r == -ENOENT && stage_entries(context->stage) &&
	    tree_name(&context->tree, parent, name, &identity) == 0 && stage_is_new(context->stage, &identity))
		r = stage_lookup(context->stage, &identity, ops_process(req), &handle, &st);
	if (r < 0) {
		ops_reply_error(req, r);
		return;
	}
	entry = ops_entry(&st);
	fuse_reply_entry(req, &entry);
}

/* The kernel counts its references; there is no table that would have to know. */
static void ops_forget(fuse_req_t req, fuse_ino_t ino, uint64_t nlookup)
{
	(void)ino;
	(void)nlookup;
	fuse_reply_none(req);
}

static void ops_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
	(void)count;
	(void)forgets;
	fuse_reply_none(req);
}

static void ops_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct stat st;
	int r = ops_attributes(req, ino, fi && (fi->fh & STAGE_HANDLE) ? fi->fh : 0, &st);

	if (r < 0)
		ops_reply_error(req, r);
	else
		fuse_reply_attr(req, &st, 0);
}

/*
 * Changes: a transaction that answers a request when it is on disk.
 */

struct change {
	fuse_req_t req;
	uint64_t ino;    /* to be replied with, where the request wants attributes */
	uint64_t handle; /* a stage entry that ends with it, or 0 */
	void (*reply)(struct change *change);
};

static void change_reply_ok(struct change *change)
{
	fuse_reply_err(change->req, 0);
}

static void change_reply_attributes(struct change *change)
{
	struct stat st;
	int r = ops_attributes(change->req, change->ino, 0, &st);

	if (r < 0)
		ops_reply_error(change->req, r);
	else
		fuse_reply_attr(change->req, &st, 0);
}

static void change_reply_entry(struct change *change)
{
	struct fuse_entry_param entry;
	struct stat st;
	int r = tree_attributes(&ops_context(change->req)->tree, change->ino, &st);

	if (r < 0) {
		ops_reply_error(change->req, r);
		return;
	}
	entry = ops_entry(&st);
	fuse_reply_entry(change->req, &entry);
}

/* NULL without memory, after replying so. */
static struct change *change_new(fuse_req_t req, void (*reply)(struct change *change), uint64_t ino)
{
	struct change *change = calloc(1, sizeof(*change));

	if (!change) {
		ops_reply_error(req, -ENOMEM);
		return NULL;
	}
	change->req = req;
	change->reply = reply;
	change->ino = ino;
	return change;
}

/* A stage_done: the end of any change. */
static void change_done(void *context, int result)
{
	struct change *change = context;

	if (change->handle)
		stage_discard(ops_context(change->req)->stage, change->handle);
	if (result < 0)
		ops_reply_error(change->req, result);
	else
		change->reply(change);
	free(change);
}

static void change_txn_done(struct store_txn *txn, int result)
{
	const struct store_op *op = &txn->ops[0];
	struct change *change = txn->context;

	if (result == 0 && op->kind == STORE_RENAME)
		stage_renamed(ops_context(change->req)->stage, &op->name, &op->to, op->ret_created);
	change_done(change, result);
	store_txn_free(txn);
}

/* A transaction of one op, to be filled in and submitted. NULL without memory, after replying so. */
static struct store_txn *change_txn(fuse_req_t req, enum store_op_kind kind, const struct name *name,
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
	txn->ops[0].kind = kind;
	txn->ops[0].name = *name;
	txn->ops[0].writer = fuse_req_ctx(req)->uid;
	return txn;
}

static void change_submit(fuse_req_t req, struct store_txn *txn)
{
	store_submit(ops_context(req)->tree.store, txn);
}

/*
 * Attributes
 */

static struct timespec ops_time(const struct timespec *given, bool now)
{
	struct timespec time = *given;

	if (now)
		clock_gettime(CLOCK_REALTIME, &time);
	return time;
}

static unsigned ops_decode_attributes(const struct stat *st, int to_set, struct record_attributes *ret_attributes)
{
	unsigned set = 0;

	ret_attributes->uid = st->st_uid;
	ret_attributes->gid = st->st_gid;
	ret_attributes->mode = st->st_mode & 07777;
	ret_attributes->mtime = ops_time(&st->st_mtim, to_set & FUSE_SET_ATTR_MTIME_NOW);
	ret_attributes->atime = ops_time(&st->st_atim, to_set & FUSE_SET_ATTR_ATIME_NOW);
	set |= to_set & FUSE_SET_ATTR_UID ? STORE_SET_UID : 0;
	set |= to_set & FUSE_SET_ATTR_GID ? STORE_SET_GID : 0;
	set |= to_set & FUSE_SET_ATTR_MODE ? STORE_SET_MODE : 0;
	set |= to_set & (FUSE_SET_ATTR_MTIME | FUSE_SET_ATTR_MTIME_NOW) ? STORE_SET_MTIME : 0;
	set |= to_set & (FUSE_SET_ATTR_ATIME | FUSE_SET_ATTR_ATIME_NOW) ? STORE_SET_ATIME : 0;
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
		struct stat st;

		r = ops_attributes(req, ino, 0, &st);
		if (r < 0)
			ops_reply_error(req, r);
		else
			fuse_reply_attr(req, &st, 0);
		return;
	}
	r = tree_resource(&context->tree, ino, &info, &inode);
	if (r < 0) {
		ops_reply_error(req, r);
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

/* The stage's view of an existing secret that is opened for writing. */
static int ops_stage_existing(fuse_req_t req, fuse_ino_t ino, bool truncate, uint64_t *ret_handle)
{
	struct ops_context *context = ops_context(req);
	struct stage_open open = {.ino = ino, .truncate = truncate, .uid = fuse_req_ctx(req)->uid};
	struct store_info info;
	int r;

	if (node_kind(ino) == NODE_MESH_YAML)
		return -EACCES; /* a Mesh is changed by mkdir and rmdir only */
	r = store_look(context->tree.store, node_resource(ino), &info);
	if (r < 0 || !info.exists)
		return -ENOENT;
	open.name = info.record.name;
	open.info = &info;
	open.process = ops_process(req);
	return stage_open(context->stage, &open, ret_handle);
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
		ops_reply_error(req, r);
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

static void ops_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *st, int to_set, struct fuse_file_info *fi)
{
	struct record_attributes attributes = {0};
	unsigned set = ops_decode_attributes(st, to_set, &attributes);
	int r;

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

/*
 * Folders
 */

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
		struct fuse_entry_param param = ops_entry(&entry.attributes);
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

static void ops_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi)
{
	(void)fi;
	ops_list(req, ino, size, offset, false);
}

static void ops_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi)
{
	(void)fi;
	ops_list(req, ino, size, offset, true);
}

/* Who owns what is made in @parent: a folder with the setgid bit hands its group down. */
static struct record_attributes ops_owner(fuse_req_t req, fuse_ino_t parent, mode_t mode)
{
	const struct fuse_ctx *ctx = fuse_req_ctx(req);
	struct record_attributes owner = {.uid = ctx->uid, .gid = ctx->gid, .mode = mode & 07777};
	struct stat st;

	if (tree_attributes(&ops_context(req)->tree, parent, &st) == 0 && (st.st_mode & S_ISGID))
		owner.gid = st.st_gid;
	return owner;
}

static void ops_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
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

static void ops_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
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

static void ops_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
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

static void ops_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t to_parent, const char *to_name,
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
static void ops_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent, const char *name)
{
	(void)ino;
	(void)parent;
	(void)name;
	ops_reply_error(req, -EPERM);
}

static void ops_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name)
{
	(void)target;
	(void)parent;
	(void)name;
	ops_reply_error(req, -EPERM);
}

/* A regular file made with mknod(2) is an empty secret. */
static void ops_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t device)
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

/*
 * Files
 */

static bool ops_writes(const struct fuse_file_info *fi)
{
	return (fi->flags & O_ACCMODE) != O_RDONLY || (fi->flags & O_TRUNC);
}

static void ops_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct ops_context *context = ops_context(req);
	int r = 0;

	fi->direct_io = 1;
	fi->fh = 0;
	if (node_kind(ino) == NODE_STATUS) {
		r = ops_writes(fi) ? -EACCES : 0;
		fi->noflush = 1;
	} else if (ops_writes(fi)) {
		r = ops_stage_existing(req, ino, fi->flags & O_TRUNC, &fi->fh);
	} else {
		r = store_pin(context->tree.store, node_resource(ino), &fi->fh);
		fi->noflush = 1;
	}
	if (r < 0) {
		ops_reply_error(req, r);
	} else if (fuse_reply_open(req, fi) == -ENOENT) { /* interrupted: release will not come */
		if (fi->fh & STAGE_HANDLE)
			stage_discard(context->stage, fi->fh);
		else if (fi->fh)
			store_unpin(context->tree.store, node_resource(ino), fi->fh);
	}
}

static void ops_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, struct fuse_file_info *fi)
{
	struct ops_context *context = ops_context(req);
	struct stage_open open = {.uid = fuse_req_ctx(req)->uid};
	struct fuse_entry_param entry;
	struct store_info info;
	struct stat st;
	int r;

	r = tree_name(&context->tree, parent, name, &open.name);
	if (r == 0 && open.name.kind == NAME_MESH)
		r = -EPERM;
	if (r < 0) {
		ops_reply_error(req, r);
		return;
	}
	open.ino = tree_ino(&context->tree, &open.name);
	open.attributes = ops_owner(req, parent, mode);
	open.process = ops_process(req);
	if (store_look(context->tree.store, node_resource(open.ino), &info) == 0 && info.exists) {
		open.info = &info; /* somebody was faster */
		open.truncate = fi->flags & O_TRUNC;
	}
	if ((fi->flags & O_EXCL) && (open.info || stage_is_new(context->stage, &open.name)))
		r = -EEXIST;
	fi->direct_io = 1;
	if (r == 0)
		r = stage_open(context->stage, &open, &fi->fh);
	if (r < 0) {
		ops_reply_error(req, r);
		return;
	}
	if (open.info)
		tree_attributes(&context->tree, open.ino, &st);
	else
		tree_fill(open.ino, &open.attributes, 0, &st);
	entry = ops_entry(&st);
	if (fuse_reply_create(req, &entry, fi) == -ENOENT)
		stage_discard(context->stage, fi->fh);
}

static void ops_read_status(fuse_req_t req, size_t size, off_t offset)
{
	struct ops_context *context = ops_context(req);
	char text[STATUS_BYTES];
	size_t bytes = status_text(&context->tree, context->stage, text);
	size_t start = (size_t)offset < bytes ? (size_t)offset : bytes;

	fuse_reply_buf(req, text + start, size < bytes - start ? size : bytes - start);
}

static void ops_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi)
{
	struct ops_context *context = ops_context(req);
	SECBUF_AUTO bytes = {0};
	size_t start = 0;
	int r;

	if (node_kind(ino) == NODE_STATUS) {
		ops_read_status(req, size, offset);
		return;
	}
	if (fi->fh & STAGE_HANDLE) {
		r = stage_read(context->stage, fi->fh, (uint64_t)offset, size, &bytes);
	} else {
		r = store_read(context->tree.store, node_resource(ino), fi->fh, &bytes);
		start = (size_t)offset < bytes.size ? (size_t)offset : bytes.size;
	}
	if (r < 0)
		ops_reply_error(req, r == -ENOENT ? -EIO : r);
	else
		fuse_reply_buf(req, (const char *)bytes.data + start,
			       size < bytes.size - start ? size : bytes.size - start);
}

static void ops_write(fuse_req_t req, fuse_ino_t ino, const char *data, size_t size, off_t offset,
		      struct fuse_file_info *fi)
{
	int r;

	(void)ino;
	r = stage_write(ops_context(req)->stage, fi->fh, data, size, (uint64_t)offset, fi->flags & O_APPEND);
	if (r < 0)
		ops_reply_error(req, r);
	else
		fuse_reply_write(req, size);
}

static void ops_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct change *change;

	if (!(fi->fh & STAGE_HANDLE)) {
		fuse_reply_err(req, 0);
		return;
	}
	change = change_new(req, change_reply_ok, ino);
	if (change)
		stage_flush(ops_context(req)->stage, fi->fh, ops_process(req), change_done, change);
}

static void ops_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	struct change *change;

	(void)datasync;
	if (!(fi->fh & STAGE_HANDLE)) {
		fuse_reply_err(req, 0); /* what it reads is on disk */
		return;
	}
	change = change_new(req, change_reply_ok, ino);
	if (change)
		stage_sync(ops_context(req)->stage, fi->fh, change_done, change);
}

static void ops_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct ops_context *context = ops_context(req);

	if (fi->fh & STAGE_HANDLE)
		stage_release(context->stage, fi->fh);
	else if (fi->fh)
		store_unpin(context->tree.store, node_resource(ino), fi->fh);
	fuse_reply_err(req, 0);
}

/* A folder's changes are on disk before they are answered. */
static void ops_fsyncdir(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	(void)ino;
	(void)datasync;
	(void)fi;
	fuse_reply_err(req, 0);
}

/* The room of the disk that the store is on. */
static void ops_statfs(fuse_req_t req, fuse_ino_t ino)
{
	struct ops_context *context = ops_context(req);
	struct store_status status;
	struct statvfs disk;
	char path[PATH_MAX];

	(void)ino;
	snprintf(path, sizeof(path), "%s", store_path(context->tree.store));
	if (statvfs(dirname(path), &disk) < 0) {
		ops_reply_error(req, -errno);
		return;
	}
	store_get_status(context->tree.store, &status);
	disk.f_files = status.meshes + status.secrets + status.global_secrets;
	disk.f_ffree = disk.f_favail = disk.f_bfree;
	disk.f_files += disk.f_ffree;
	disk.f_namemax = NAME_RESOURCE_BYTES;
	fuse_reply_statfs(req, &disk);
}

const struct fuse_lowlevel_ops *ops_table(void)
{
	static const struct fuse_lowlevel_ops table = {
		.init = ops_init,
		.lookup = ops_lookup,
		.forget = ops_forget,
		.forget_multi = ops_forget_multi,
		.getattr = ops_getattr,
		.setattr = ops_setattr,
		.mknod = ops_mknod,
		.mkdir = ops_mkdir,
		.unlink = ops_unlink,
		.rmdir = ops_rmdir,
		.symlink = ops_symlink,
		.rename = ops_rename,
		.link = ops_link,
		.open = ops_open,
		.create = ops_create,
		.read = ops_read,
		.write = ops_write,
		.flush = ops_flush,
		.fsync = ops_fsync,
		.release = ops_release,
		.readdir = ops_readdir,
		.readdirplus = ops_readdirplus,
		.fsyncdir = ops_fsyncdir,
		.statfs = ops_statfs,
	};

	return &table;
}
