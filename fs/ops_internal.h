/* SPDX-License-Identifier: Apache-2.0
 * ops_internal: what the files of operations share. Only they include it, and with it libfuse.
 *
 * A request is answered at once from memory, or by the commit thread when its transaction is on disk (struct change).
 */
#ifndef FS_OPS_INTERNAL_H
#define FS_OPS_INTERNAL_H

#include "fs/ops.h"

#include <errno.h>
#include <fuse_lowlevel.h>

/* ops.c */

struct ops_context *ops_context(fuse_req_t req);
void ops_reply_error(fuse_req_t req, int r);

/* ops_stale - the error of a request for an inode: one that was removed since the kernel looked it up is ESTALE. The
 * kernel then looks the name up once more, so that open(2) with O_CREAT makes it anew, and stat(2) says ENOENT. */
static inline int ops_stale(int r)
{
	return r == -ENOENT ? -ESTALE : r;
}

/* ops_process - the process behind a request, 0 if not known. Asks /proc. */
pid_t ops_process(fuse_req_t req);

/* ops_entry - a lookup's answer, of which the kernel is to keep neither name nor attributes. ops_keep_entry - it may keep what can be kept of it;
 * @turn: kept_turn from before it was looked up. */
struct fuse_entry_param ops_entry(fuse_req_t req, const struct stat *attributes);
void ops_keep_entry(fuse_req_t req, unsigned turn, struct fuse_entry_param *entry);

/* ops_reply_entry - with ops_entry, or if @r is an error with that. */
void ops_reply_entry(fuse_req_t req, int r, const struct stat *attributes);

/* ops_attributes_seconds - for how long it may keep those. */
double ops_attributes_seconds(fuse_req_t req, unsigned turn, const struct stat *attributes);

/* ops_attributes - as everybody sees it. */
int ops_attributes(fuse_req_t req, uint64_t ino, struct stat *ret_attributes);
void ops_reply_attributes(fuse_req_t req, uint64_t ino);

/* ops_owner - whose a new entry of @parent is that is asked for with @mode: a folder with the setgid bit hands its group
 * down. @ret_default: the folder's default ACL, which takes the place of the umask; to be handed down too. */
struct record_attributes ops_owner(fuse_req_t req, fuse_ino_t parent, mode_t mode, struct acl *ret_default);

/* ops_new_file - the same for a file: attributes and ACL. */
struct record_attributes ops_new_file(fuse_req_t req, fuse_ino_t parent, mode_t mode, struct acl_list *ret_acls);

/* ops_in_group - is the process behind @req in @group? False if that can't be known. Asks /proc if it isn't its first group. */
bool ops_in_group(fuse_req_t req, gid_t group);

/* ops_is_aside - has the process behind @req renamed this secret away, to make it anew? */
bool ops_is_aside(fuse_req_t req, uint64_t ino);

/* ops_was_committed - is it sent again, and was committed by a worker that died before it answered? Then it has replied: done. */
bool ops_was_committed(fuse_req_t req);

/* ops_was_made - the same for one that made the entry @name, which is the reply. */
bool ops_was_made(fuse_req_t req, fuse_ino_t parent, const char *name);

/* ops_decode_attributes - what setattr is to set, but the size: RECORD_SET_…. */
unsigned ops_decode_attributes(const struct stat *st, int to_set, struct record_attributes *ret_attributes);

/* ops_change.c */

struct change {
	fuse_req_t req;
	uint64_t unique; /* its number */
	uint64_t ino;    /* to be replied with, where the request wants attributes */
	uint64_t handle; /* a stage entry that ends with it, or 0 */
	uint64_t closed; /* a stage entry of which a descriptor is closed, or 0 */
	uint64_t scratch; /* the scratch file that becomes a resource with it, or 0 */
	uint64_t gone;    /* a folder that is gone with it, or 0 */
	void (*reply)(struct change *change);
};

void change_reply_ok(struct change *change);
void change_reply_attributes(struct change *change);
void change_reply_entry(struct change *change);

/* change_new - NULL without memory, after replying so. */
struct change *change_new(fuse_req_t req, void (*reply)(struct change *change), uint64_t ino);

/* change_done - a stage_done: the end of any change. Replies and frees. */
void change_done(void *context, int result);

/* change_txn - a transaction of one op, to be filled in and submitted. NULL without memory, after replying so. */
struct store_txn *change_txn(fuse_req_t req, enum store_op_kind kind, const struct name *name,
			     void (*reply)(struct change *change), uint64_t ino);
void change_submit(fuse_req_t req, struct store_txn *txn);

/* change_txn_done - what a transaction calls at its end; also to give up one that was not submitted. */
void change_txn_done(struct store_txn *txn, int result);

/* ops_scratch.c */

/* ops_scratch_place - is @name in @parent one that only a scratch file can have? */
bool ops_scratch_place(fuse_req_t req, fuse_ino_t parent, const char *name, struct scratch_place *ret_place);

void ops_scratch_create(fuse_req_t req, const struct scratch_place *place, mode_t mode, struct fuse_file_info *fi);
void ops_scratch_mknod(fuse_req_t req, const struct scratch_place *place, mode_t mode);
void ops_scratch_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void ops_scratch_setattr(fuse_req_t req, fuse_ino_t ino, const struct stat *st, int to_set);

/* ops_scratch_commit - make it the resource @name. */
void ops_scratch_commit(fuse_req_t req, fuse_ino_t ino, const struct name *name, bool exclusive);

/* ops_scratch_sync - fsync, or (@closing) flush: one that has become a resource is committed again if it was changed. */
void ops_scratch_sync(fuse_req_t req, fuse_ino_t ino, bool closing);

/* ops_announce.c: requests that announce_run has the kernel make. Each says whether it was one, and then has replied. */

bool ops_announce_lookup(fuse_req_t req, fuse_ino_t parent, const char *name);
bool ops_announce_attributes(fuse_req_t req, fuse_ino_t ino);
bool ops_announce_open(fuse_req_t req, struct fuse_file_info *fi);
bool ops_announce_create(fuse_req_t req, fuse_ino_t parent, const char *name, struct fuse_file_info *fi);
bool ops_announce_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name);
bool ops_announce_remove(fuse_req_t req, fuse_ino_t parent, const char *name);

/* ops_control.c: the control files of /.hush. */

void ops_control_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void ops_control_truncate(fuse_req_t req, fuse_ino_t ino, uint64_t size, const struct fuse_file_info *fi);
void ops_control_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, const struct fuse_file_info *fi);
void ops_control_flush(fuse_req_t req, const struct fuse_file_info *fi);
void ops_control_fsync(fuse_req_t req, const struct fuse_file_info *fi);
void ops_ioctl(fuse_req_t req, fuse_ino_t ino, unsigned command, void *argument, struct fuse_file_info *fi,
	       unsigned flags, const void *in, size_t in_size, size_t out_size);

/* The operations */

/* ops_attr.c */
void ops_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void ops_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *st, int to_set, struct fuse_file_info *fi);

/* ops_set_attributes - of a file or folder, wherever it is kept. @set: RECORD_SET_…, of it one ACL at most (@acl). */
void ops_set_attributes(fuse_req_t req, fuse_ino_t ino, unsigned set, const struct record_attributes *attributes,
			const struct acl *acl, void (*reply)(struct change *change));

/* ops_may.c: the kernel has checked who asks, but maybe for a file whose place another has taken since. */

/* ops_may_open - may it open @ino with @flags as that is now? 0. If it was changed a moment ago and does not let it, as far as /proc tells: -ESTALE, for
 * the kernel to look at it again, and ask again; -EACCES if that was of no use, as it was changed once more. To be asked when a version is pinned: what
 * that is of is no newer. ops_may_create - the same of CREATE, for a file that the kernel did not find, and that is there. */
int ops_may_open(fuse_req_t req, fuse_ino_t ino, int flags);
int ops_may_create(fuse_req_t req, fuse_ino_t ino, int flags);

/* ops_may_read - may it read @ino as that is now, whatever it has opened? */
bool ops_may_read(fuse_req_t req, fuse_ino_t ino);

/* ops_may_set - may it set these (RECORD_SET_..., @mode if that is among them) of @file as that is now? Asks /proc if it isn't the owner. */
bool ops_may_set(fuse_req_t req, const struct record_attributes *file, unsigned set, mode_t mode);

/* ops_xattr.c */

/* ops_get_acl - of a scratch file, of a new file while it is made, or what is committed. Not present if there is none. */
void ops_get_acl(fuse_req_t req, fuse_ino_t ino, enum acl_kind kind, struct acl *ret_acl);

void ops_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value, size_t size, int flags);
void ops_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size);
void ops_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size);
void ops_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name);

/* ops_folder.c */
void ops_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi);
void ops_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi);
void ops_fsyncdir(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi);
void ops_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode);
void ops_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name);
void ops_unlink(fuse_req_t req, fuse_ino_t parent, const char *name);
void ops_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent, const char *name);
void ops_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name);
void ops_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t device);

/* ops_rename.c */
void ops_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t to_parent, const char *to_name,
		unsigned flags);

/* ops_file.c */
int ops_stage_existing(fuse_req_t req, fuse_ino_t ino, bool truncate, uint64_t *ret_handle);
void ops_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void ops_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, struct fuse_file_info *fi);
void ops_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi);
void ops_write(fuse_req_t req, fuse_ino_t ino, const char *data, size_t size, off_t offset, struct fuse_file_info *fi);
void ops_copy_file_range(fuse_req_t req, fuse_ino_t ino, off_t offset, struct fuse_file_info *fi, fuse_ino_t to_ino,
			 off_t to_offset, struct fuse_file_info *to_fi, size_t size, int flags);
void ops_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t offset, off_t length, struct fuse_file_info *fi);
void ops_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void ops_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi);
void ops_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);

#endif
