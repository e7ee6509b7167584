/* SPDX-License-Identifier: Apache-2.0
 * notify: the inodes that have pages, and a helper that makes the kernel drop them.
 *
 * Dropping pages waits for those that are just being read, and so for the serving thread: hence a process of its own. Dropping attributes
 * waits for nothing.
 */
#include "fs/notify.h"

#include "fs/channel.h"
#include "fs/helper.h"
#include "store/log.h"

#include <errno.h>
#include <fuse_lowlevel.h>
#include <linux/fuse.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

struct notify {
	struct fuse_session *session;
	struct helper helper;
	struct notify_inode {
		uint64_t ino;
		bool due; /* somebody has closed it */
	} *inodes; /* owned array, in no order */
	size_t n, capacity;
};

/* The helper: first comes the connection, then the numbers of inodes. */
static void notify_serve(int channel, const void *context)
{
	uint64_t ino;
	int fuse;

	(void)context;
	if (channel_receive_bytes(channel, &ino, sizeof(ino), &fuse) != sizeof(ino) || fuse < 0)
		return;
	while (channel_receive_bytes(channel, &ino, sizeof(ino), NULL) == sizeof(ino)) {
		const struct {
			struct fuse_out_header header;
			struct fuse_notify_inval_inode_out inode;
		} notification = {.header = {.len = sizeof(notification), .error = FUSE_NOTIFY_INVAL_INODE},
				  .inode = {.ino = ino}};

		if (write(fuse, &notification, sizeof(notification)) < 0 && errno == ENODEV)
			return;
	}
}

struct notify *notify_new(struct fuse_session *session)
{
	struct notify *notify = calloc(1, sizeof(*notify));

	if (!notify)
		return NULL;
	notify->session = session;
	if (helper_start(notify_serve, NULL, &notify->helper) < 0) {
		free(notify);
		return NULL;
	}
	return notify;
}

struct notify *notify_free(struct notify *notify)
{
	if (notify) {
		helper_stop(&notify->helper);
		free(notify->inodes);
		free(notify);
	}
	return NULL;
}

void notify_attached(struct notify *notify)
{
	const uint64_t none = 0;

	channel_send_bytes(notify->helper.channel, &none, sizeof(none), fuse_session_fd(notify->session));
}

/* Hand over what is due, as far as the helper is ready for it; the rest goes with the next. */
static void notify_send(struct notify *notify)
{
	for (size_t i = 0; i < notify->n;) {
		if (!notify->inodes[i].due) {
			i++;
			continue;
		}
		if (channel_send_bytes(notify->helper.channel, &notify->inodes[i].ino, sizeof(uint64_t), -1) == -EAGAIN)
			return;
		notify->inodes[i] = notify->inodes[--notify->n];
	}
}

/* NULL if it is not there. */
static struct notify_inode *notify_find(struct notify *notify, uint64_t ino)
{
	for (size_t i = 0; i < notify->n; i++)
		if (notify->inodes[i].ino == ino)
			return &notify->inodes[i];
	return NULL;
}

/* NULL without memory. */
static struct notify_inode *notify_add(struct notify *notify, uint64_t ino)
{
	if (notify->n == notify->capacity) {
		size_t capacity = notify->capacity ? 2 * notify->capacity : 16;
		struct notify_inode *inodes = reallocarray(notify->inodes, capacity, sizeof(*inodes));

		if (!inodes)
			return NULL;
		notify->inodes = inodes;
		notify->capacity = capacity;
	}
	notify->inodes[notify->n] = (struct notify_inode){.ino = ino};
	return &notify->inodes[notify->n++];
}

void notify_paged(struct notify *notify, uint64_t ino)
{
	if (!notify_find(notify, ino) && !notify_add(notify, ino))
		log_warning("no memory to see to it that the kernel keeps no pages of a file");
}

void notify_closed(struct notify *notify, uint64_t ino)
{
	struct notify_inode *inode = notify_find(notify, ino);

	if (!inode)
		return;
	inode->due = true;
	notify_send(notify);
}

void notify_private(struct notify *notify, uint64_t ino)
{
	fuse_lowlevel_notify_inval_inode(notify->session, ino, -1, 0);
}
