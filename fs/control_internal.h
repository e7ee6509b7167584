/* SPDX-License-Identifier: Apache-2.0
 * control_internal: what control.c, control_job.c and control_lock.c share. Nobody else includes it.
 */
#ifndef FS_CONTROL_INTERNAL_H
#define FS_CONTROL_INTERNAL_H

#include "fs/control.h"
#include "fs/writers.h"
#include "store/bundle.h"

#include <pthread.h>
#include <sys/queue.h>

#define CONTROL_LOCKED "it is locked: hushctl unlock" /* what there is to be said of -ENOKEY */

enum control_state {
	CONTROL_IDLE, /* nothing was carried out since the last write */
	CONTROL_RUNNING,
	CONTROL_DONE,
};

struct control_wait {
	TAILQ_ENTRY(control_wait) link;
	struct control_waiter waiter;
	bool reads; /* else it waits for the end */
	size_t size;
	uint64_t offset;
};

/* An open file. */
struct control_file {
	LIST_ENTRY(control_file) link;
	struct control *control;
	uint64_t handle;
	struct control_open open;
	struct writers writers;
	bool released; /* nobody has it open: it ends with what is being carried out */

	struct secbuf text; /* the request; of apply and delete counted among what is staged */
	int failed; /* a write that was refused, a writer that was killed, a lock: the text is not to be carried out */

	enum control_state state;
	int result;   /* once it is done */
	bool told;    /* and a reader was told that it failed */
	char *report; /* owned */
	size_t report_size, report_capacity, report_read;
	int copy_fd; /* of a backup that is done, or -1 */
	TAILQ_HEAD(, control_wait) waits;
};

struct control {
	struct tree *tree;
	struct stage *stage;
	struct scratch *scratch;
	struct announce *announce;
	const struct ops_context *status_of;
	control_key_holder *key_holder; /* NULL: nobody else has it */
	void *key_holder_context;
	struct kept *kept;
	pthread_mutex_t turn; /* whoever changes something has it; never taken by the serving thread */
	pthread_mutex_t lock_turn; /* whoever locks or unlocks has it: not @turn, as changes wait for other processes */
	pthread_mutex_t lock; /* guards all that follows, and the files */
	pthread_cond_t ended;
	LIST_HEAD(, control_file) files;
	uint64_t last_handle;
	unsigned running;
	bool stopping;
	bool yielding; /* another worker is about to have the store: it is not locked any more */
	bool locking;  /* it is being locked */
};

/* control_job_run - carry out the request of @file, whose text is in @text (freed here): the thread's whole work. Waits
 * for the disk. */
int control_job_run(struct control_file *file, struct secbuf *text);

/* control_job_take_turn - changes are made one after the other, so each waits for its turn, @turn or @lock_turn, and then has it also if this
 * fails: -ESHUTDOWN if the daemon is about to end. */
int control_job_take_turn(struct control *control, pthread_mutex_t *turn);

/* control_job_fail - one line for the reader and one for the log. @error may be NULL. Returns @r. */
int control_job_fail(struct control_file *file, const struct bundle_error *error, int r);

/* control_lock_run, control_unlock_run - as control_job_run, of these two. */
int control_lock_run(struct control_file *file, struct secbuf *text);
int control_unlock_run(struct control_file *file, struct secbuf *text);

/* control_lock_drop - the store was locked: requests that were written and not begun are wiped, those that are being carried out have ended
 * when it returns. For a thread that carries out something itself, without its turn. */
void control_lock_drop(struct control *control);

/* control_say - add a line to the report; readers that wait get it. */
void control_say(struct control_file *file, const char *line);

/* control_job_tidy - remove what an earlier daemon left of its copies. */
void control_job_tidy(const struct store *store);

#endif
