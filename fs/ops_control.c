/* SPDX-License-Identifier: Apache-2.0
 * ops_control: the files of /.hush that do something, see control.h.
 */
#include "fs/node.h"
#include "fs/ops_internal.h"
#include "fs/status.h"
#include "store/key_text.h"

#include <fcntl.h>

static void ops_control_done(void *context, int result, const void *bytes, size_t size)
{
	fuse_req_t req = context;

	if (result < 0)
		ops_reply_error(req, result);
	else
		fuse_reply_err(req, 0);
	(void)bytes;
	(void)size;
}

static void ops_control_read_done(void *context, int result, const void *bytes, size_t size)
{
	fuse_req_t req = context;

	if (result < 0)
		ops_reply_error(req, result);
	else
		fuse_reply_buf(req, bytes, size);
}

static bool ops_control_is_read_only(fuse_ino_t ino)
{
	return node_kind(ino) == NODE_STATUS || node_kind(ino) == NODE_CHECK || node_kind(ino) == NODE_BACKUP;
}

void ops_control_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	static const enum control_kind kinds[NODE_KINDS] = {
		[NODE_STATUS] = CONTROL_STATUS, [NODE_APPLY] = CONTROL_APPLY, [NODE_DELETE] = CONTROL_DELETE,
		[NODE_CHECK] = CONTROL_CHECK,	[NODE_BACKUP] = CONTROL_BACKUP, [NODE_LOCK] = CONTROL_LOCK,
		[NODE_UNLOCK] = CONTROL_UNLOCK};
	const struct control_open open = {.kind = kinds[node_kind(ino)],
					  .ino = ino,
					  .uid = fuse_req_ctx(req)->uid,
					  .gid = fuse_req_ctx(req)->gid,
					  .process = ops_process(req)};
	struct control *control = ops_context(req)->control;
	int r = 0;

	if (ops_control_is_read_only(ino)) {
		r = (fi->flags & O_ACCMODE) == O_RDONLY ? 0 : -EACCES;
		fi->noflush = 1;
	}
	fi->direct_io = 1;
	if (r == 0)
		r = control_open(control, &open, &fi->fh);
	if (r < 0)
		ops_reply_error(req, r);
	else if (fuse_reply_open(req, fi) == -ENOENT) /* interrupted: release will not come */
		control_release(control, fi->fh);
}

/* O_TRUNC comes as a cut of the file: what is gathered belongs to an open file, and that is new. */
void ops_control_truncate(fuse_req_t req, fuse_ino_t ino, uint64_t size, const struct fuse_file_info *fi)
{
	int r = ops_control_is_read_only(ino) ? -EACCES : fi ? control_truncate(ops_context(req)->control, fi->fh, size) : size ? -EINVAL : 0;

	if (r < 0)
		ops_reply_error(req, r);
	else
		ops_reply_attributes(req, ino);
}

/* A reader need not wait for the end of what it has asked for. Runs with a lock of the request, which lives until it
 * returns. */
static void ops_control_interrupted(fuse_req_t req, void *context)
{
	control_interrupt(context, req);
}

/* Of one that was opened with a worker before this one: the status has no request that could be lost with that. */
static void ops_control_read_status(fuse_req_t req, size_t size, size_t offset)
{
	char text[STATUS_BYTES];
	size_t bytes = status_text(ops_context(req), text), start = offset < bytes ? offset : bytes;

	fuse_reply_buf(req, text + start, size < bytes - start ? size : bytes - start);
}

void ops_control_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, const struct fuse_file_info *fi)
{
	struct control *control = ops_context(req)->control;
	const struct control_waiter waiter = {.done = ops_control_read_done, .context = req};

	fuse_req_interrupt_func(req, ops_control_interrupted, control); /* interrupts come on this thread too */
	if (fuse_req_interrupted(req))
		ops_reply_error(req, -EINTR);
	else if (node_kind(ino) == NODE_STATUS && !control_is_open(control, fi->fh))
		ops_control_read_status(req, size, (size_t)offset);
	else
		control_read(control, fi->fh, size, (uint64_t)offset, &waiter);
}

void ops_control_flush(fuse_req_t req, const struct fuse_file_info *fi)
{
	const struct control_waiter waiter = {.done = ops_control_done, .context = req};

	control_flush(ops_context(req)->control, fi->fh, fuse_req_ctx(req)->pid, &waiter);
}

void ops_control_fsync(fuse_req_t req, const struct fuse_file_info *fi)
{
	const struct control_waiter waiter = {.done = ops_control_done, .context = req};

	control_sync(ops_context(req)->control, fi->fh, &waiter);
}

static void ops_ioctl_done(void *context, int result, const void *bytes, size_t size)
{
	fuse_req_t req = context;

	if (result < 0)
		ops_reply_error(req, result);
	else
		fuse_reply_ioctl(req, 0, NULL, 0);
	(void)bytes;
	(void)size;
}

/* A request to lock or unlock, as one that is written and then synced. */
void ops_ioctl(fuse_req_t req, fuse_ino_t ino, unsigned command, void *argument, struct fuse_file_info *fi,
	       unsigned flags, const void *in, size_t in_size, size_t out_size)
{
	const struct control_waiter waiter = {.done = ops_ioctl_done, .context = req};
	const struct key_text_request *request = in;
	struct control *control = ops_context(req)->control;
	int r;

	(void)argument;
	(void)flags;
	(void)out_size;
	if ((node_kind(ino) != NODE_LOCK && node_kind(ino) != NODE_UNLOCK) || command != KEY_TEXT_IOCTL)
		r = -ENOTTY;
	else if (in_size != sizeof(*request) || request->size > sizeof(request->text))
		r = -EINVAL;
	else
		r = control_write(control, fi->fh, fuse_req_ctx(req)->pid, request->text, request->size);
	if (r < 0)
		ops_reply_error(req, r);
	else
		control_sync(control, fi->fh, &waiter);
}
