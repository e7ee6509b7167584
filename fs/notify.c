/* SPDX-License-Identifier: Apache-2.0
 * notify: the inodes that have pages, and helpers that make the kernel drop those and names.
 *
 * Dropping pages waits for those that are just being read, and so for the serving thread, as dropping names does for whoever has the folder's
 * lock: hence processes of their own. They are two, since whoever lists a folder has its lock until he has taken what he is told, which may be never: that is no
 * reason to keep a value's pages. Dropping attributes waits for nothing.
 */
#include "fs/notify.h"

#include "fs/channel.h"
#include "fs/helper.h"
#include "store/log.h"
#include "store/name.h"

#include <errno.h>
#include <fuse_lowlevel.h>
#include <linux/fuse.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

/* The body of FUSE_NOTIFY_INVAL_ENTRY; Debian 12's headers have no flags yet. An older kernel takes no notice of them, and looks the name up
 * anew as well. */
struct notify_entry {
	uint64_t folder;
	uint32_t name_bytes;
	uint32_t flags;
};
#define NOTIFY_EXPIRE_ONLY 1 /* FUSE_EXPIRE_ONLY: what is mounted there stays, and who is in there */

#define NOTIFY_NOBODY "\x01" /* a name that nothing has */

/* What a helper is told: to drop the pages of an inode, or (with a name) a name in it; and whether to say when that is done. */
struct notify_order {
	uint64_t ino;
	uint64_t answer;
	char name[NAME_RESOURCE_BYTES + 1]; /* "": pages */
};

struct notify_helper {
	struct helper process;
	pthread_mutex_t asking; /* who waits for its answer */
};

struct notify {
	struct fuse_session *session;
	struct notify_helper pages, names;
	pthread_mutex_t lock; /* guards what follows: pages are dropped by who locks the store, too */
	struct notify_inode {
		uint64_t ino;
		bool due; /* somebody has closed it */
	} *inodes; /* owned array, in no order */
	size_t n, capacity;
};

static ssize_t notify_drop_pages(int fuse, uint64_t ino)
{
	const struct {
		struct fuse_out_header header;
		struct fuse_notify_inval_inode_out inode;
	} notification = {.header = {.len = sizeof(notification), .error = FUSE_NOTIFY_INVAL_INODE}, .inode = {.ino = ino}};

	return write(fuse, &notification, sizeof(notification));
}

static ssize_t notify_drop_name(int fuse, uint64_t folder, const char *name)
{
	struct fuse_out_header header = {.error = FUSE_NOTIFY_INVAL_ENTRY};
	const struct notify_entry entry = {.folder = folder, .name_bytes = (uint32_t)strlen(name), .flags = NOTIFY_EXPIRE_ONLY};
	const struct iovec parts[] = {
		{&header, sizeof(header)}, {(void *)&entry, sizeof(entry)}, {(void *)name, entry.name_bytes + 1}};

	header.len = (uint32_t)(sizeof(header) + sizeof(entry) + entry.name_bytes + 1);
	return writev(fuse, parts, 3);
}

/* A helper: first comes the connection, then the orders. */
static void notify_serve(int channel, const void *context)
{
	struct notify_order order;
	int fuse;

	(void)context;
	if (channel_receive_bytes(channel, &order, sizeof(order), &fuse) != sizeof(order) || fuse < 0)
		return;
	while (channel_receive_bytes(channel, &order, sizeof(order), NULL) == sizeof(order)) {
		order.name[sizeof(order.name) - 1] = '\0';
		if ((order.name[0] ? notify_drop_name(fuse, order.ino, order.name) : notify_drop_pages(fuse, order.ino)) < 0 &&
		    errno == ENODEV)
			return;
		if (order.answer)
			channel_send_bytes(channel, &order, sizeof(order), -1);
	}
}

struct notify *notify_new(struct fuse_session *session)
{
	struct notify *notify = calloc(1, sizeof(*notify));

	if (!notify) {
		log_no_memory("to serve the mount");
		return NULL;
	}
	notify->session = session;
	pthread_mutex_init(&notify->lock, NULL);
	pthread_mutex_init(&notify->pages.asking, NULL);
	pthread_mutex_init(&notify->names.asking, NULL);
	notify->pages.process.channel = notify->names.process.channel = -1;
	if (helper_start(notify_serve, NULL, &notify->pages.process) < 0 || helper_start(notify_serve, NULL, &notify->names.process) < 0)
		return notify_free(notify);
	return notify;
}

struct notify *notify_free(struct notify *notify)
{
	if (notify) {
		helper_stop(&notify->pages.process);
		helper_stop(&notify->names.process);
		pthread_mutex_destroy(&notify->lock);
		pthread_mutex_destroy(&notify->pages.asking);
		pthread_mutex_destroy(&notify->names.asking);
		free(notify->inodes);
		free(notify);
	}
	return NULL;
}

void notify_attached(struct notify *notify)
{
	const struct notify_order none = {0};

	channel_send_bytes(notify->pages.process.channel, &none, sizeof(none), fuse_session_fd(notify->session));
	channel_send_bytes(notify->names.process.channel, &none, sizeof(none), fuse_session_fd(notify->session));
}

/* Hand over what is due, as far as the helper is ready for it; the rest goes with the next. With the lock. */
static void notify_send(struct notify *notify)
{
	for (size_t i = 0; i < notify->n;) {
		const struct notify_order order = {.ino = notify->inodes[i].ino};

		if (!notify->inodes[i].due) {
			i++;
			continue;
		}
		if (channel_send_bytes(notify->pages.process.channel, &order, sizeof(order), -1) == -EAGAIN)
			return;
		notify->inodes[i] = notify->inodes[--notify->n];
	}
}

/* With the lock. NULL if it is not there. */
static struct notify_inode *notify_find(struct notify *notify, uint64_t ino)
{
	for (size_t i = 0; i < notify->n; i++)
		if (notify->inodes[i].ino == ino)
			return &notify->inodes[i];
	return NULL;
}

/* With the lock. NULL without memory. */
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

int notify_paged(struct notify *notify, uint64_t ino)
{
	bool noted;

	pthread_mutex_lock(&notify->lock);
	noted = notify_find(notify, ino) || notify_add(notify, ino);
	pthread_mutex_unlock(&notify->lock);
	return noted ? 0 : log_no_memory("to read a mapped file");
}

void notify_closed(struct notify *notify, uint64_t ino)
{
	struct notify_inode *inode;

	pthread_mutex_lock(&notify->lock);
	inode = notify_find(notify, ino);
	if (inode) {
		inode->due = true;
		notify_send(notify);
	}
	pthread_mutex_unlock(&notify->lock);
}

/* One that has pages, due or not, taken out; 0 if there is none. */
static uint64_t notify_take(struct notify *notify)
{
	uint64_t ino;

	pthread_mutex_lock(&notify->lock);
	ino = notify->n ? notify->inodes[--notify->n].ino : 0;
	pthread_mutex_unlock(&notify->lock);
	return ino;
}

static void notify_ask(struct notify_helper *helper, uint64_t ino, const char *name)
{
	struct notify_order order = {.ino = ino, .answer = 1}, answer;

	snprintf(order.name, sizeof(order.name), "%s", name);
	pthread_mutex_lock(&helper->asking);
	helper_ask(&helper->process, &order, sizeof(order), &answer, sizeof(answer));
	pthread_mutex_unlock(&helper->asking);
}

void notify_drop_all(struct notify *notify)
{
	uint64_t ino;

	while ((ino = notify_take(notify)))
		notify_ask(&notify->pages, ino, "");
}

void notify_folder(struct notify *notify, uint64_t ino)
{
	notify_ask(&notify->names, ino, NOTIFY_NOBODY);
}

void notify_name(struct notify *notify, uint64_t folder, const char *name)
{
	notify_ask(&notify->names, folder, name);
}

void notify_attributes(struct notify *notify, uint64_t ino)
{
	fuse_lowlevel_notify_inval_inode(notify->session, ino, -1, 0);
}
