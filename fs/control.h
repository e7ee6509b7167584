/* SPDX-License-Identifier: Apache-2.0
 * control: the files of /.hush: apply, delete, check, backup, lock, unlock, and status.
 *
 * Each open file has its own request and its own report. A request is the text that was written (apply, delete, lock, unlock); it is
 * carried out when whoever opened the file closes it (the rules of stage.h), at fsync, or at the first read after
 * writing. Of check and backup there is nothing to be written: check begins at the first read, backup when it is
 * opened. The report is a stream: a read gets what comes next of it, or waits for more. After a failed report a read
 * fails once, with the reason; whoever doesn't read that far hears of it from close or fsync.
 *
 * What is carried out has a thread of its own, so the serving thread never waits; a request that waits is answered from
 * there. Requests that change something are carried out one after the other.
 */
#ifndef FS_CONTROL_H
#define FS_CONTROL_H

#include "fs/announce.h"
#include "fs/scratch.h"
#include "fs/stage.h"
#include "fs/tree.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct control;
struct kept;

enum control_kind {
	CONTROL_APPLY,
	CONTROL_DELETE,
	CONTROL_CHECK,
	CONTROL_BACKUP,
	CONTROL_LOCK,
	CONTROL_UNLOCK,
	CONTROL_STATUS,
};

struct control_open {
	enum control_kind kind;
	uint64_t ino;
	uid_t uid; /* whom belongs what is created */
	gid_t gid;
	pid_t process; /* 0: not known */
};

/* What answers whoever waits: 0 with the bytes of a read, or -errno. Called once, from any thread, under a lock: it
 * must not call back. */
struct control_waiter {
	void (*done)(void *context, int result, const void *bytes, size_t size);
	void *context;
};

/* control_new - removes copies that a daemon before this one left beside the store. All that is given is borrowed. NULL
 * without memory. */
struct control *control_new(struct tree *tree, struct stage *stage, struct scratch *scratch, struct announce *announce);

/* control_set_status - whose status /.hush/status tells; borrowed. Before anything is read. */
struct ops_context;
void control_set_status(struct control *control, const struct ops_context *context);

/* control_set_key_holder - who else has the store's key: called when the store was locked (NULL), and with the key that has unlocked it. */
typedef void control_key_holder(void *context, const struct key *key);
void control_set_key_holder(struct control *control, control_key_holder *holder, void *context);

/* control_set_kept - by what the kernel is made to let go of pages when the store is locked, and of names; borrowed. Before anything is carried out. */
void control_set_kept(struct control *control, struct kept *kept);

/* control_lock - as if somebody had written to lock; nobody hears of the end but the log. */
void control_lock(struct control *control);

/* control_yield - another worker is about to open the store, with a key: from now on a lock is refused (-EBUSY). False if the store is locked, or
 * about to be: then that worker must not. */
bool control_yield(struct control *control);

/* control_stop - nothing more is begun; waits for what is being carried out. False if that doesn't end within some
 * seconds: then only the end of the process ends it. Before store_stop. NULL is allowed. */
bool control_stop(struct control *control);

/* control_free - after control_stop, and when nothing is open. NULL is allowed. Returns NULL. */
struct control *control_free(struct control *control);

/* control_open - -ENOMEM; -EAGAIN (no thread), -ESHUTDOWN (after control_stop): of a backup, which it begins. */
int control_open(struct control *control, const struct control_open *open, uint64_t *ret_handle);

/* control_is_open - false of what was opened with a worker before this one. */
bool control_is_open(struct control *control, uint64_t handle);

/* control_write - by @thread, to the end of the request; after one was carried out a new one begins. -EBUSY while one
 * is, -ENOSPC beyond what may be staged or what the disk has left for it, -ENOKEY (apply, delete) while the store is
 * locked, -EBADF for a file that is only read. */
int control_write(struct control *control, uint64_t handle, pid_t thread, const void *data, size_t size);

/* control_truncate - begin the request anew. -EINVAL unless to 0 bytes. */
int control_truncate(struct control *control, uint64_t handle, uint64_t size);

/* control_read - @offset matters to a backup and to the status alone; the status is as of when its beginning was read last. */
void control_read(struct control *control, uint64_t handle, size_t size, uint64_t offset,
		  const struct control_waiter *waiter);

/* control_flush - one descriptor was closed by @thread. control_sync - fsync. */
void control_flush(struct control *control, uint64_t handle, pid_t thread, const struct control_waiter *waiter);
void control_sync(struct control *control, uint64_t handle, const struct control_waiter *waiter);

/* control_release - the last descriptor was closed: what was not carried out yet is begun. */
void control_release(struct control *control, uint64_t handle);

/* control_in_use - has anybody a request open, written or not, or is one being carried out? */
bool control_in_use(struct control *control);

/* control_interrupt - the reader with this context waits no longer: it is answered with -EINTR. Nothing happens if none
 * does. */
void control_interrupt(struct control *control, const void *context);

#endif
