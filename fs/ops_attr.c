/* SPDX-License-Identifier: Apache-2.0
 * ops_attr: stat, chmod, chown, utimensat, truncate.
 */
#include "fs/node.h"
#include "fs/ops_internal.h"

#include <errno.h>
#include <fcntl.h>

/* The size of the version that a reader has open: where its end is, whatever the current one's size. */
static int ops_size_of_version(struct ops_context *context, fuse_ino_t ino, uint64_t generation, struct stat *st)
{
	SECBUF_AUTO value = {0};
	struct store_info info;
	int r;

	if (store_look(context->tree.store, node_resource(ino), &info) == 0 && info.record.generation == generation)
		return 0;
	r = store_read(context->tree.store, node_resource(ino), generation, &value);
	if (r == 0)
		st->st_size = (off_t)value.size;
	return r;
}

/* O_TRUNC is a cut by path right after opening. So is truncate(2), of a file that the same thread has open to write; but before that the kernel
 * asks for the attributes, which it doesn't keep of such a file. With set-id bits it does so before O_TRUNC, too: then it stays unclear. */
static void ops_not_cutting(fuse_req_t req, fuse_ino_t ino)
{
	struct ops_context *context = ops_context(req);
	pid_t thread = fuse_req_ctx(req)->pid;
	struct stat st;

	if (tree_attributes(&context->tree, ino, &st) == 0 && (st.st_mode & (S_ISUID | S_ISGID)))
		return;
	if (stage_entries(context->stage))
		stage_looked_up(context->stage, thread);
	ledger_opening_done(context->ledger, thread);
}

/* As the writer with @handle sees it, or if that is 0 who asks; -ENOENT if that writes nothing. */
static int ops_staged_attributes(fuse_req_t req, fuse_ino_t ino, uint64_t handle, struct stat *st)
{
	struct ops_context *context = ops_context(req);
	int r = stage_attributes(context->stage, ino, handle, ops_process(req), st);

	if (r == 0 && !handle)
		notify_attributes(context->notify, ino); /* and so what is answered to it */
	if (handle) /* which the kernel keeps */
		st->st_ino = ino;
	return r;
}

/* With the size of the version that is open as @handle, or that who asks has just opened. */
static int ops_committed_attributes(fuse_req_t req, fuse_ino_t ino, uint64_t handle, struct stat *st)
{
	struct ops_context *context = ops_context(req);
	int r = ops_attributes(req, ino, st);
	off_t size = st->st_size;
	uint64_t generation;

	if (r < 0 || !node_is_value(ino) || (handle & STAGE_HANDLE))
		return r;
	if (handle)
		return ops_size_of_version(context, ino, handle, st);
	generation = opener_version(&context->openers, fuse_req_ctx(req)->pid, ino);
	if (generation && ops_size_of_version(context, ino, generation, st) == 0 && st->st_size != size)
		notify_attributes(context->notify, ino); /* and so what is answered to it */
	return 0;
}

/* Who writes a file sees what it has written. The kernel has one size of a file for all, by which it cuts off what others copy
 * (sendfile, copy_file_range): so it is told not to keep this one, unless it asks on behalf of an open file (@fi: lseek to
 * the end), for which it uses what it keeps. */
void ops_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct ops_context *context = ops_context(req);
	unsigned turn = kept_turn(&context->kept);
	uint64_t handle = fi ? fi->fh : 0;
	struct stat st;
	int r = -ENOENT;

	if (ops_announce_attributes(req, ino))
		return;
	ops_not_cutting(req, ino);
	if (tree_is_gone(&context->tree, ino, &st)) {
		fuse_reply_attr(req, &st, 0);
		return;
	}
	if (node_is_value(ino) && (handle ? handle & STAGE_HANDLE : stage_entries(context->stage)))
		r = ops_staged_attributes(req, ino, handle, &st);
	if (r == -ENOENT)
		r = ops_committed_attributes(req, ino, handle, &st);
	if (r < 0)
		ops_reply_error(req, ops_stale(r));
	else
		fuse_reply_attr(req, &st, ops_attributes_seconds(req, turn, &st));
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

void ops_set_attributes(fuse_req_t req, fuse_ino_t ino, unsigned set, const struct record_attributes *attributes,
			const struct acl *acl, void (*reply)(struct change *change))
{
	struct ops_context *context = ops_context(req);
	struct store_info info;
	enum record_inode inode;
	struct record_attributes making;
	struct acl_list acls = {0};
	struct store_txn *txn;
	int r = 0;

	if (node_kind(ino) == NODE_SCRATCH) {
		r = set ? scratch_set_attributes(context->scratch, ino, set, attributes) : 0;
		if (r == 0 && (set & RECORD_SET_ACL)) {
			acl_put(&acls, RECORD_SELF, ACL_KIND_ACCESS, acl);
			r = scratch_set_acls(context->scratch, ino, &acls);
		}
		set = 0;
	} else if (node_is_value(ino) && stage_entries(context->stage)) {
		/* what another makes there may be a new file, in the place of the one that is meant, which was removed */
		if (stage_making(context->stage, ino, ops_process(req), &making) < 0 || ops_may_set(req, &making, set, attributes->mode))
			set = stage_set_attributes(context->stage, ino, ops_process(req), set, attributes, acl);
	}
	if (r < 0) {
		ops_reply_error(req, ops_stale(r));
		return;
	}
	if (!set) {
		struct change *change = change_new(req, reply, ino);

		if (change)
			change_done(change, 0);
		return;
	}
	r = tree_resource(&context->tree, ino, &info, &inode);
	if (r == 0 && !info.record.name.kind) /* it was removed while another worker served: its name is not known */
		r = -ENOENT;
	if (r == 0 && !ops_may_set(req, &info.record.inodes[inode], set, attributes->mode))
		r = -EPERM;
	if (r < 0) {
		ops_reply_error(req, ops_stale(r));
		return;
	}
	txn = change_txn(req, STORE_SET_ATTRIBUTES, &info.record.name, reply, ino);
	if (!txn)
		return;
	txn->ops[0].inode = inode;
	txn->ops[0].set = set;
	txn->ops[0].attributes[0] = *attributes;
	txn->ops[0].owned = fuse_req_ctx(req)->uid != 0;
	txn->ops[0].owner = info.record.inodes[inode].uid;
	if (acl)
		acl_put(&txn->ops[0].acls, inode, set & RECORD_SET_ACL ? ACL_KIND_ACCESS : ACL_KIND_DEFAULT, acl);
	change_submit(req, txn);
}

static void ops_reply_resized(fuse_req_t req, fuse_ino_t ino, unsigned set, const struct record_attributes *attributes,
			      int r)
{
	if (r < 0)
		ops_reply_error(req, ops_stale(r));
	else
		ops_set_attributes(req, ino, set, attributes, NULL, change_reply_attributes);
}

/* truncate(2) by path: an open, a cut and a close in one; unless it is what O_TRUNC becomes, or of a file that its maker has not
 * published yet. */
static void ops_truncate(fuse_req_t req, fuse_ino_t ino, uint64_t size, unsigned set,
			 const struct record_attributes *attributes)
{
	struct ops_context *context = ops_context(req);
	bool former = ledger_was_opening(context->ledger, ino, fuse_req_ctx(req)->pid);
	struct change *change;
	uint64_t handle;
	int r;

	ledger_opening_done(context->ledger, fuse_req_ctx(req)->pid);
	if (size == 0 && stage_cut_opened(context->stage, ino, fuse_req_ctx(req)->pid) == 0) {
		ops_reply_resized(req, ino, set, attributes, 0);
		return;
	}
	if (size == 0 && former) { /* what was opened is lost, which writing to it tells; the value stays */
		ops_reply_attributes(req, ino);
		return;
	}
	if (stage_share(context->stage, ino, ops_process(req), &handle) == 0) {
		r = stage_resize(context->stage, handle, size);
		stage_discard(context->stage, handle);
		ops_reply_resized(req, ino, set, attributes, r);
		return;
	}
	r = ops_stage_existing(req, ino, size == 0, &handle);
	if (r == 0) {
		r = ops_may_open(req, ino, O_WRONLY);
		if (r < 0)
			stage_discard(context->stage, handle);
	}
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
	stage_sync(context->stage, handle, change->unique, change_done, change);
}

/* The answer has what is committed, not what was cut: see ops_getattr. */
void ops_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *st, int to_set, struct fuse_file_info *fi)
{
	struct ops_context *context = ops_context(req);
	struct record_attributes attributes = {0};
	unsigned set = ops_decode_attributes(st, to_set, &attributes);
	uint64_t size = (uint64_t)st->st_size;

	if (ops_announce_attributes(req, ino))
		return;
	if (ledger_was_committed(context->ledger)) {
		ops_reply_attributes(req, ino);
		ledger_answered(context->ledger, context->unique);
		return;
	}
	if (node_kind(ino) == NODE_SCRATCH)
		ops_scratch_setattr(req, ino, st, to_set);
	else if (node_is_control(ino) && (to_set & FUSE_SET_ATTR_SIZE))
		ops_control_truncate(req, ino, size, fi);
	else if (!(to_set & FUSE_SET_ATTR_SIZE))
		ops_set_attributes(req, ino, set, &attributes, NULL, change_reply_attributes);
	else if (!node_is_value(ino))
		ops_reply_error(req, -EISDIR);
	else if (fi && (fi->fh & STAGE_HANDLE)) {
		notify_closed(context->notify, ino); /* the kernel itself drops pages that are written to, but not those that are cut off */
		ops_reply_resized(req, ino, set, &attributes, stage_resize(context->stage, fi->fh, size));
	} else
		ops_truncate(req, ino, size, set, &attributes);
}
