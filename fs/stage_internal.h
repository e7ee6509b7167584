/* SPDX-License-Identifier: Apache-2.0
 * stage_internal: what stage.c and stage_view.c share. Nobody else includes it.
 */
#ifndef FS_STAGE_INTERNAL_H
#define FS_STAGE_INTERNAL_H

#include "fs/draft.h"
#include "fs/stage.h"
#include "fs/writers.h"

#include <pthread.h>
#include <sys/queue.h>

struct staged {
	LIST_ENTRY(staged) link;
	uint64_t handle;
	unsigned opens;   /* that share it */
	struct name name; /* what it will be published as */
	uint64_t named;   /* the inode that belongs to that; to find it out takes a hash */
	uint64_t ino;     /* by which the kernel knows it, also after a rename */
	uint64_t created; /* of the resource it was opened on; see struct store_op */
	bool fresh;       /* it does not exist in the store yet */
	bool anew;        /* it does, but its maker is making another in its place */
	bool unlinked;    /* it is never to be published */
	uid_t uid;
	gid_t gid;
	struct writers writers;
	pid_t opening;                       /* the thread that opened it, as long as O_TRUNC may come after it; else STAGE_NO_THREAD */
	struct record_attributes attributes; /* of a fresh one, or one that is made anew; and times set by hand */
	struct acl_list acls;                /* of such a one */
	unsigned set;                        /* RECORD_SET_MTIME, RECORD_SET_ATIME: @attributes has them */

	struct draft draft;
	bool flushed;   /* a descriptor was closed, so there was one: open(2) was not interrupted */
	bool truncated; /* opened with O_TRUNC, and not published since */
	bool written;   /* and something was written or cut since */
	bool in_flight; /* a commit has the data */
	bool published; /* so it stands upon another version than it was opened upon */
	bool refused;   /* closing it has said that it could not be kept: only if it is asked for again is that tried again */
	int failed;     /* a write that was refused: what is here is not what was meant, so closing says it again */
};

struct stage {
	struct tree *tree;
	struct kept *kept; /* or NULL */
	struct drafts drafts;
	pthread_mutex_t lock;
	pthread_cond_t landed; /* some entry is no longer in flight */
	LIST_HEAD(, staged) entries;
	uint64_t last_handle;
	size_t count;
};

/* stage_find - by handle; NULL if there is none. With the lock. */
struct staged *stage_find(const struct stage *stage, uint64_t handle);

/* stage_lock_check - with the lock: -ENOKEY if the store is locked, or was and with that @entry (NULL: a new one) lost what was
 * written. Else 0. */
int stage_lock_check(const struct stage *stage, const struct staged *entry);

/* staged_is_pending - is there something to be published? */
static inline bool staged_is_pending(const struct staged *entry)
{
	return !entry->unlinked && !entry->failed && (entry->fresh || entry->truncated || entry->written || entry->set);
}

#endif
