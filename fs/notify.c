/* SPDX-License-Identifier: Apache-2.0
 * notify: a thread and the inodes that it is to see to.
 *
 * Dropping pages waits for those that are just being read, and so for the serving thread: hence a thread of its own, which holds no lock
 * over that. Dropping attributes waits for nothing.
 */
#include "fs/notify.h"

#include "store/log.h"

#include <fuse_lowlevel.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#define NOTIFY_END_SECONDS 2

struct notify {
	struct fuse_session *session;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	bool stopping;
	struct notify_inode {
		uint64_t ino;
		bool due; /* somebody has closed it */
	} *inodes; /* owned array, in no order */
	size_t n, capacity;
};

/* One that is due (@all: or not), taken out; 0 if none is. With the lock. */
static uint64_t notify_take(struct notify *notify, bool all)
{
	for (size_t i = 0; i < notify->n; i++) {
		uint64_t ino = notify->inodes[i].ino;

		if (!notify->inodes[i].due && !all)
			continue;
		notify->inodes[i] = notify->inodes[--notify->n];
		return ino;
	}
	return 0;
}

static void *notify_serve(void *context)
{
	struct notify *notify = context;

	pthread_mutex_lock(&notify->lock);
	while (!notify->stopping) {
		uint64_t ino = notify_take(notify, false);

		if (!ino) {
			pthread_cond_wait(&notify->wake, &notify->lock);
			continue;
		}
		pthread_mutex_unlock(&notify->lock);
		fuse_lowlevel_notify_inval_inode(notify->session, ino, 0, 0);
		pthread_mutex_lock(&notify->lock);
	}
	pthread_mutex_unlock(&notify->lock);
	return NULL;
}

struct notify *notify_new(struct fuse_session *session)
{
	struct notify *notify = calloc(1, sizeof(*notify));

	if (!notify)
		return NULL;
	notify->session = session;
	pthread_mutex_init(&notify->lock, NULL);
	pthread_cond_init(&notify->wake, NULL);
	if (pthread_create(&notify->thread, NULL, notify_serve, notify) != 0) {
		free(notify);
		return NULL;
	}
	return notify;
}

bool notify_free(struct notify *notify)
{
	struct timespec until;

	if (!notify)
		return true;
	pthread_mutex_lock(&notify->lock);
	notify->stopping = true;
	pthread_cond_signal(&notify->wake);
	pthread_mutex_unlock(&notify->lock);
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += NOTIFY_END_SECONDS;
	if (pthread_timedjoin_np(notify->thread, NULL, &until) != 0)
		return false;
	pthread_cond_destroy(&notify->wake);
	pthread_mutex_destroy(&notify->lock);
	free(notify->inodes);
	free(notify);
	return true;
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

void notify_paged(struct notify *notify, uint64_t ino)
{
	pthread_mutex_lock(&notify->lock);
	if (!notify_find(notify, ino) && !notify_add(notify, ino))
		log_warning("no memory to see to it that the kernel keeps no pages of a file");
	pthread_mutex_unlock(&notify->lock);
}

void notify_closed(struct notify *notify, uint64_t ino)
{
	struct notify_inode *inode;

	pthread_mutex_lock(&notify->lock);
	inode = notify_find(notify, ino);
	if (inode) {
		inode->due = true;
		pthread_cond_signal(&notify->wake);
	}
	pthread_mutex_unlock(&notify->lock);
}

void notify_drop_all(struct notify *notify)
{
	uint64_t ino;

	do {
		pthread_mutex_lock(&notify->lock);
		ino = notify_take(notify, true);
		pthread_mutex_unlock(&notify->lock);
		if (ino)
			fuse_lowlevel_notify_inval_inode(notify->session, ino, 0, 0);
	} while (ino);
}

void notify_private(struct notify *notify, uint64_t ino)
{
	fuse_lowlevel_notify_inval_inode(notify->session, ino, -1, 0);
}
