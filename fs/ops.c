/* SPDX-License-Identifier: Apache-2.0
 * ops: the table, what does not change anything, and what the other files of operations share. No state of their own.
 *
 * The serving thread never waits for a disk, but where stage.h says so. Reads are direct, and of names and attributes the kernel keeps only
 * what it is made to let go of when it changes (kept.h): so what it shows is what the store has.
 */
#include "fs/ops.h"

#include "fs/node.h"
#include "fs/ops_internal.h"
#include "fs/writer.h"
#include "store/inherit.h"

#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <linux/fuse.h>
#include <stdio.h>
#include <sys/statvfs.h>

#define OPS_REQUEST_BYTES (1024 * 1024) /* of one READ or WRITE at most: what libfuse has room for, see loop.c */

struct ops_context *ops_context(fuse_req_t req)
{
	return fuse_req_userdata(req);
}

pid_t ops_process(fuse_req_t req)
{
	return writer_process(fuse_req_ctx(req)->pid);
}

void ops_reply_error(fuse_req_t req, int r)
{
	fuse_reply_err(req, -r);
}

struct fuse_entry_param ops_entry(fuse_req_t req, const struct stat *attributes)
{
	return (struct fuse_entry_param){.ino = attributes->st_ino,
					 .generation = tree_generation(&ops_context(req)->tree, attributes->st_ino),
					 .attr = *attributes};
}

void ops_reply_entry(fuse_req_t req, int r, const struct stat *attributes)
{
	struct fuse_entry_param entry;

	if (r < 0) {
		ops_reply_error(req, r);
		return;
	}
	entry = ops_entry(req, attributes);
	fuse_reply_entry(req, &entry);
}

bool ops_in_group(fuse_req_t req, gid_t group)
{
	const struct fuse_ctx *ctx = fuse_req_ctx(req);

	return ctx->gid == group || writer_is_member(ctx->pid, group);
}

/* Is it the same for everybody, and nothing that is going on changes it? */
static bool ops_may_keep(fuse_req_t req, unsigned turn, const struct stat *attributes)
{
	struct ops_context *context = ops_context(req);

	switch (node_kind(attributes->st_ino)) {
	case NODE_ROOT:
	case NODE_MESHES:
	case NODE_GLOBAL:
	case NODE_MESH:
	case NODE_SECRETS:
	case NODE_MESH_YAML:
	case NODE_SECRET:
	case NODE_GLOBAL_SECRET:
		return attributes->st_nlink && !aside_any(&context->aside) && kept_may(&context->kept, turn, attributes->st_ino);
	default:
		return false;
	}
}

/* Whoever has an older version of a file open is told that one's size, which the kernel has to ask for. */
double ops_attributes_seconds(fuse_req_t req, unsigned turn, const struct stat *attributes)
{
	const struct tree *tree = &ops_context(req)->tree;

	if (!ops_may_keep(req, turn, attributes) ||
	    (node_is_value(attributes->st_ino) && store_has_former(tree->store, node_resource(attributes->st_ino))))
		return 0;
	return KEPT_SECONDS;
}

void ops_keep_entry(fuse_req_t req, unsigned turn, struct fuse_entry_param *entry)
{
	entry->attr_timeout = ops_attributes_seconds(req, turn, &entry->attr);
	if (ops_may_keep(req, turn, &entry->attr) && !ledger_is_renamed(ops_context(req)->ledger, entry->ino))
		entry->entry_timeout = KEPT_SECONDS;
}

int ops_attributes(fuse_req_t req, uint64_t ino, struct stat *ret_attributes)
{
	struct ops_context *context = ops_context(req);
	int r;

	if (node_kind(ino) == NODE_SCRATCH)
		return scratch_attributes(context->scratch, ino, ret_attributes);
	r = tree_attributes(&context->tree, ino, ret_attributes);
	if (r < 0 && node_is_value(ino)) /* not published yet */
		r = stage_attributes(context->stage, ino, 0, ops_process(req), ret_attributes);
	return r;
}

/* O_TRUNC comes right after opening; but see ops_getattr. */
static bool ops_may_come_before_cut(uint32_t opcode)
{
	return opcode == FUSE_SETATTR || opcode == FUSE_GETATTR || opcode == FUSE_GETXATTR || opcode == FUSE_OPEN ||
	       opcode == FUSE_INTERRUPT;
}

/* Who makes a change, or publishes it, is told from then on what it has made of it. */
static bool ops_changes(uint32_t opcode)
{
	return opcode == FUSE_SETATTR || opcode == FUSE_WRITE || opcode == FUSE_COPY_FILE_RANGE || opcode == FUSE_FALLOCATE ||
	       opcode == FUSE_FLUSH || opcode == FUSE_FSYNC || opcode == FUSE_CREATE || opcode == FUSE_UNLINK || opcode == FUSE_RENAME ||
	       opcode == FUSE_RENAME2;
}

void ops_begin(struct ops_context *context, uint64_t unique, uint32_t opcode, pid_t thread)
{
	context->unique = unique & ~LEDGER_RESENT;
	ledger_begin(context->ledger, unique);
	if (!ops_may_come_before_cut(opcode))
		ledger_opening_done(context->ledger, thread);
	if (ops_changes(opcode))
		opener_forget(&context->openers, thread);
}

bool ops_was_committed(fuse_req_t req)
{
	struct ops_context *context = ops_context(req);

	if (!ledger_was_committed(context->ledger))
		return false;
	fuse_reply_err(req, 0);
	ledger_answered(context->ledger, context->unique);
	return true;
}

bool ops_was_made(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct ops_context *context = ops_context(req);
	struct stat st;

	if (!ledger_was_committed(context->ledger))
		return false;
	ops_reply_entry(req, tree_lookup(&context->tree, parent, name, &st), &st); /* somebody may have removed it since */
	ledger_answered(context->ledger, context->unique);
	return true;
}

void ops_reply_attributes(fuse_req_t req, uint64_t ino)
{
	struct stat st;
	int r = ops_attributes(req, ino, &st);

	if (r < 0)
		ops_reply_error(req, ops_stale(r));
	else
		fuse_reply_attr(req, &st, 0);
}

struct record_attributes ops_owner(fuse_req_t req, fuse_ino_t parent, mode_t mode, struct acl *ret_default)
{
	const struct fuse_ctx *ctx = fuse_req_ctx(req);
	struct record_attributes owner = {.uid = ctx->uid, .gid = ctx->gid, .mode = mode & 07777};
	struct stat st;

	if (tree_attributes(&ops_context(req)->tree, parent, &st) == 0 && (st.st_mode & S_ISGID)) {
		owner.gid = st.st_gid;
		owner.mode |= S_ISDIR(mode) ? S_ISGID : 0;
	}
	ops_get_acl(req, parent, ACL_KIND_DEFAULT, ret_default);
	if (!ret_default->present)
		owner.mode &= ~ctx->umask;
	return owner;
}

struct record_attributes ops_new_file(fuse_req_t req, fuse_ino_t parent, mode_t mode, struct acl_list *ret_acls)
{
	struct acl folder;
	struct record_attributes owner = ops_owner(req, parent, mode, &folder);

	*ret_acls = (struct acl_list){0};
	inherit_file(&folder, &owner.mode, ret_acls);
	return owner;
}

bool ops_is_aside(fuse_req_t req, uint64_t ino)
{
	struct ops_context *context = ops_context(req);
	struct store_info info;

	return aside_any(&context->aside) && node_is_value(ino) &&
	       store_look(context->tree.store, node_resource(ino), &info) == 0 &&
	       aside_has(&context->aside, ops_process(req), ino, info.record.generation);
}

/* The kernel hears of the answer of the first worker alone: what a later version asks for here has to be the same, or not to matter. */
static void ops_init(void *userdata, struct fuse_conn_info *conn)
{
	(void)userdata;
	/* splice would leave copies in pipes that nobody wipes; the kernel is to cache no bytes */
	conn->want &= ~(unsigned)(FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE |
				  FUSE_CAP_AUTO_INVAL_DATA | FUSE_CAP_WRITEBACK_CACHE);
	/* opening with O_TRUNC would set the size that the kernel has for everybody to 0, long before anything is published */
	conn->want &= ~(unsigned)FUSE_CAP_ATOMIC_O_TRUNC;
	/* the kernel is to check ACLs as well as modes, and to leave the umask to us: a folder's default ACL replaces it */
	conn->want |= conn->capable & (FUSE_CAP_POSIX_ACL | FUSE_CAP_DONT_MASK);
	conn->max_write = OPS_REQUEST_BYTES;
	/* RELEASE is to come before whatever is asked for after it, since it may publish: the kernel holds back those that are more than this */
	conn->max_background = UINT16_MAX;
	conn->time_gran = 1;
}

/* What is not committed: a file that the process is making, or a scratch file of its user. */
static int ops_lookup_uncommitted(fuse_req_t req, fuse_ino_t parent, const char *name, struct stat *ret_attributes)
{
	struct ops_context *context = ops_context(req);
	struct scratch_place place;
	struct name identity;
	uint64_t found;

	if (ops_scratch_place(req, parent, name, &place))
		return scratch_find(context->scratch, &place, &found) == 0
			       ? scratch_attributes(context->scratch, found, ret_attributes)
			       : -ENOENT;
	if (stage_entries(context->stage) && tree_name(&context->tree, parent, name, &identity) == 0 &&
	    stage_is_new(context->stage, &identity))
		return stage_lookup(context->stage, &identity, ops_process(req), &found, ret_attributes);
	return -ENOENT;
}

static void ops_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct ops_context *context = ops_context(req);
	unsigned turn = kept_turn(&context->kept);
	struct fuse_entry_param entry;
	struct stat st;
	int r;

	if (ops_announce_lookup(req, parent, name))
		return;
	if (stage_entries(context->stage))
		stage_looked_up(context->stage, fuse_req_ctx(req)->pid);
	r = tree_lookup(&context->tree, parent, name, &st);
	if (r == -ENOENT)
		r = ops_lookup_uncommitted(req, parent, name, &st);
	else if (r == 0 && ops_is_aside(req, st.st_ino))
		r = -ENOENT;
	if (r < 0) {
		ops_reply_error(req, r);
		return;
	}
	entry = ops_entry(req, &st);
	ops_keep_entry(req, turn, &entry);
	ledger_looked_up(context->ledger, entry.ino);
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
	disk.f_namemax = TREE_NAME_BYTES;
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
		.setxattr = ops_setxattr,
		.getxattr = ops_getxattr,
		.listxattr = ops_listxattr,
		.removexattr = ops_removexattr,
		.link = ops_link,
		.open = ops_open,
		.create = ops_create,
		.read = ops_read,
		.write = ops_write,
		.copy_file_range = ops_copy_file_range,
		.fallocate = ops_fallocate,
		.flush = ops_flush,
		.fsync = ops_fsync,
		.release = ops_release,
		.readdir = ops_readdir,
		.readdirplus = ops_readdirplus,
		.fsyncdir = ops_fsyncdir,
		.statfs = ops_statfs,
		.ioctl = ops_ioctl,
	};

	return &table;
}
