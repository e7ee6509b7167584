/* SPDX-License-Identifier: Apache-2.0
 * ops_announce: the requests of the helper that tells watchers (announce.h). The kernel gets the answers that a change
 * would get, and nothing is changed.
 */
#include "fs/ops_internal.h"

static bool ops_is_announcing(fuse_req_t req)
{
	return announce_is(ops_context(req)->announce, fuse_req_ctx(req)->pid);
}

/* The same of a worker that has died: its helper was killed, and is gone when it is answered. Nor is anything carried out for the own one, whatever
 * makes it ask. */
static bool ops_was_announcing(fuse_req_t req)
{
	const struct ops_context *context = ops_context(req);
	pid_t thread = fuse_req_ctx(req)->pid;

	if (thread != announce_helper(context->announce) && !ledger_was_helper(context->ledger, thread))
		return false;
	ops_reply_error(req, -EINTR);
	return true;
}

bool ops_announce_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fuse_entry_param entry;
	uint32_t generation;
	struct stat st;
	int r;

	if (!ops_is_announcing(req))
		return ops_was_announcing(req);
	r = announce_lookup(ops_context(req)->announce, parent, name, &st, &generation);
	if (r < 0) {
		ops_reply_error(req, r);
		return true;
	}
	entry = ops_entry(req, &st);
	entry.generation = generation;
	fuse_reply_entry(req, &entry);
	return true;
}

/* Of GETATTR and SETATTR. */
bool ops_announce_attributes(fuse_req_t req, fuse_ino_t ino)
{
	struct stat st;

	if (!ops_is_announcing(req))
		return ops_was_announcing(req);
	announce_attributes(ops_context(req)->announce, ino, &st);
	fuse_reply_attr(req, &st, 0);
	return true;
}

/* A handle of nothing: 0. */
bool ops_announce_open(fuse_req_t req, struct fuse_file_info *fi)
{
	if (!ops_is_announcing(req))
		return ops_was_announcing(req);
	fi->fh = 0;
	fi->direct_io = fi->noflush = 1;
	fuse_reply_open(req, fi);
	return true;
}

/* As is what is there already, unless somebody has removed it since. */
bool ops_announce_create(fuse_req_t req, fuse_ino_t parent, const char *name, struct fuse_file_info *fi)
{
	struct fuse_entry_param entry;
	struct stat st;
	int r;

	if (!ops_is_announcing(req))
		return ops_was_announcing(req);
	fi->fh = 0;
	fi->direct_io = fi->noflush = 1;
	r = tree_lookup(&ops_context(req)->tree, parent, name, &st);
	if (r < 0) {
		ops_reply_error(req, r);
	} else {
		entry = ops_entry(req, &st);
		fuse_reply_create(req, &entry, fi);
	}
	return true;
}

bool ops_announce_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct stat st;

	if (!ops_is_announcing(req))
		return ops_was_announcing(req);
	ops_reply_entry(req, tree_lookup(&ops_context(req)->tree, parent, name, &st), &st);
	return true;
}

/* UNLINK and RMDIR: done, unless somebody has made another since. */
bool ops_announce_remove(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct stat st;

	if (!ops_is_announcing(req))
		return ops_was_announcing(req);
	ops_reply_error(req, tree_lookup(&ops_context(req)->tree, parent, name, &st) == 0 ? -EEXIST : 0);
	return true;
}
