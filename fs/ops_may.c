/* SPDX-License-Identifier: Apache-2.0
 * ops_may: what the kernel has allowed for the file as it knew it, and not for the one that has taken its place.
 *
 * The kernel decides who may do what, by the attributes that it has. A file that another one is renamed over goes on, on any other filesystem, as
 * what is open of it; here a name has one inode, whatever is behind it. So what was on its way when that happened, and what is asked for by somebody who has
 * the old file open, is for the old one: it is looked at again here, as far as the request tells who asks.
 */
#include "fs/node.h"
#include "fs/ops_internal.h"
#include "fs/writer.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sys/stat.h>
#include <time.h>

#define OPS_MAY_SECONDS 10 /* after a change; what was asked for before is answered by then */

enum { MAY_WRITE = 2, MAY_READ = 4 };

/* Does one of the ACL's names let it? */
static bool ops_acl_lets(fuse_req_t req, const struct acl *acl, unsigned want)
{
	unsigned mask = acl->mode >> 3 & 7;

	for (unsigned i = 0; i < acl->count; i++) {
		const struct acl_named *named = &acl->named[i];

		if ((named->permission & mask & want) == want &&
		    (named->group ? ops_in_group(req, named->id) : named->id == fuse_req_ctx(req)->uid))
			return true;
	}
	return false;
}

/* As in acl(5), but that any entry will do: what lets less than others' permissions is seen to by the kernel. Of root nothing is asked. */
static bool ops_lets(fuse_req_t req, const struct store_info *info, enum record_inode inode, unsigned want)
{
	const struct record_attributes *file = &info->record.inodes[inode];
	const struct fuse_ctx *ctx = fuse_req_ctx(req);
	struct acl acl;

	if (ctx->uid == 0 || (file->mode & want) == want)
		return true;
	if (ctx->uid == file->uid)
		return (file->mode >> 6 & want) == want;
	acl_get(&info->record.acls, inode, ACL_KIND_ACCESS, &acl);
	acl.mode = file->mode & 0777;
	return ((acl_group_permission(&acl, file->mode) & want) == want && ops_in_group(req, file->gid)) || (acl.present && ops_acl_lets(req, &acl, want));
}

static unsigned ops_wants(int flags)
{
	int access = flags & O_ACCMODE;

	return (access == O_WRONLY ? 0 : MAY_READ) | (access == O_RDONLY ? 0 : MAY_WRITE);
}

/* May it, by its groups and capabilities? As far as /proc tells. */
static bool ops_is_let(fuse_req_t req, const struct store_info *info, enum record_inode inode, unsigned want)
{
	const struct record_attributes *file = &info->record.inodes[inode];
	pid_t thread = fuse_req_ctx(req)->pid;

	return ops_lets(req, info, inode, want) || writer_is_capable(thread, CAP_DAC_OVERRIDE, file->uid, file->gid) ||
	       (want == MAY_READ && writer_is_capable(thread, CAP_DAC_READ_SEARCH, file->uid, file->gid));
}

static struct ops_again *ops_again(fuse_req_t req)
{
	return &ops_context(req)->again[(unsigned)fuse_req_ctx(req)->pid % OPS_AGAIN];
}

static bool ops_is_recent(const struct timespec *when)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return now.tv_sec - when->tv_sec < OPS_MAY_SECONDS; /* also if the clock was set back */
}

/* Have the kernel look at the attributes as they are now, when it is told to ask again, which that thread is once. */
static void ops_ask_again(fuse_req_t req, fuse_ino_t ino, const struct timespec *ctime)
{
	notify_attributes(ops_context(req)->notify, ino);
	*ops_again(req) = (struct ops_again){.thread = fuse_req_ctx(req)->pid, .ino = ino, .ctime = *ctime};
}

/* Was that thread told so, of this file? *@ret_same: as it is now, so that the kernel has looked at that. Once. */
static bool ops_was_told(fuse_req_t req, fuse_ino_t ino, const struct timespec *ctime, bool *ret_same)
{
	struct ops_again *again = ops_again(req);
	bool told = again->thread == fuse_req_ctx(req)->pid && again->ino == ino;

	*ret_same = again->ctime.tv_sec == ctime->tv_sec && again->ctime.tv_nsec == ctime->tv_nsec;
	if (told)
		again->thread = 0;
	return told;
}

/* @checked: by the kernel, maybe with what it was before. Who may isn't told to ask again: a program hears of the second ESTALE, which is what it gets if
 * the worker that has told it so has died, or another thread's question took the place of this one's. */
static int ops_may(fuse_req_t req, fuse_ino_t ino, int flags, bool checked)
{
	struct store_info info;
	enum record_inode inode = tree_inode(ino);
	const struct record_attributes *file = &info.record.inodes[inode];
	bool same;

	if (!fuse_req_ctx(req)->pid || store_look(ops_context(req)->tree.store, node_resource(ino), &info) < 0 || !info.exists ||
	    (checked && !ops_is_recent(&file->ctime)) || ops_is_let(req, &info, inode, ops_wants(flags)))
		return 0;
	if (!ops_was_told(req, ino, &file->ctime, &same)) {
		ops_ask_again(req, ino, &file->ctime);
		return -ESTALE;
	}
	return checked && same ? 0 : -EACCES; /* else it has become another once more */
}

int ops_may_open(fuse_req_t req, fuse_ino_t ino, int flags)
{
	return ops_may(req, ino, flags, true);
}

int ops_may_create(fuse_req_t req, fuse_ino_t ino, int flags)
{
	return ops_may(req, ino, flags, false);
}

bool ops_may_read(fuse_req_t req, fuse_ino_t ino)
{
	struct store_info info;

	return store_look(ops_context(req)->tree.store, node_resource(ino), &info) < 0 || !info.exists ||
	       ops_is_let(req, &info, tree_inode(ino), MAY_READ);
}

/* Whoever writes a file takes its set-id bits away. */
static bool ops_takes_set_id(const struct record_attributes *file, mode_t mode)
{
	return (file->mode & ~(mode_t)(S_ISUID | S_ISGID)) == (mode & ~(mode_t)(S_ISUID | S_ISGID)) && !(mode & ~file->mode);
}

bool ops_may_set(fuse_req_t req, const struct record_attributes *file, unsigned set, mode_t mode)
{
	const struct fuse_ctx *ctx = fuse_req_ctx(req);
	bool owners = set & (RECORD_SET_ACL | RECORD_SET_DEFAULT_ACL);

	owners |= (set & RECORD_SET_MODE) && !ops_takes_set_id(file, mode);
	if (ctx->uid == 0 || ctx->uid == file->uid)
		return true;
	if ((set & (RECORD_SET_UID | RECORD_SET_GID)) && !writer_is_capable(ctx->pid, CAP_CHOWN, file->uid, file->gid))
		return false;
	return !owners || writer_is_capable(ctx->pid, CAP_FOWNER, file->uid, file->gid);
}
