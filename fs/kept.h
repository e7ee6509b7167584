/* SPDX-License-Identifier: Apache-2.0
 * kept: what the kernel may keep of names and attributes, and how it lets go before a change is answered.
 *
 * Only what is committed and the same for everybody is kept, for KEPT_SECONDS at the most. Three things end that earlier:
 * - A commit: before it is answered, the attributes of all that it changed are dropped. What was asked for before and is
 *   still on its way is not kept either: the kernel numbers what it asks for and what is dropped (attr_version). That goes for inodes
 *   that it has. One that it does not have yet may be on its way with a lookup, which holds the folder's lock; but whoever changes a file that is open has its inode
 *   and its folders', and whoever makes, removes or renames an entry has the folder's lock.
 * - Neither is so for a change through a control file: so before it the folders' locks are waited for, and removed names let go of.
 * - A hold: nothing of an inode that somebody is writing, or that such a change is about, is kept (kept_hold).
 * A removed or renamed name is the kernel's to know, as it was asked for through it; but see ledger_renaming.
 */
#ifndef FS_KEPT_H
#define FS_KEPT_H

#include "fs/notify.h"
#include "fs/tree.h"
#include "store/store.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#define KEPT_SECONDS 10.0 /* that it ends at all is for what nobody has thought of */
#define KEPT_BUCKETS 4096

struct kept {
	const struct tree *tree;
	struct notify *notify; /* borrowed */
	pthread_mutex_t lock; /* guards what follows */
	struct kept_bucket {
		unsigned holds; /* of all inodes that fall into it */
		bool mixed;     /* of more than one, since there were none */
		uint64_t ino;   /* else of this one */
	} buckets[KEPT_BUCKETS];
	unsigned turns; /* of holds that have begun or ended */
};

/* kept_init - nothing is held. From now on it hears of the changes of @tree's store. All are borrowed. */
void kept_init(struct kept *kept, const struct tree *tree, struct notify *notify);

/* kept_hold - the kernel lets go of the attributes of @ino, and keeps none and no name of it until kept_release. Any thread; does not
 * block. NULL is allowed. */
void kept_hold(struct kept *kept, uint64_t ino);
void kept_release(struct kept *kept, uint64_t ino);

/* kept_turn - to be asked before attributes are read that may be kept. kept_may - may they? @turn: from then. Any thread. */
unsigned kept_turn(struct kept *kept);
bool kept_may(struct kept *kept, unsigned turn, uint64_t ino);

/* kept_hide - whoever asks for @name next has to look it up, and nothing of it is kept until kept_show. May block, see notify_name. */
void kept_hide(struct kept *kept, const struct name *name);
void kept_show(struct kept *kept, const struct name *name);

/* kept_drop_all - of every resource: a worker before this one may have died between a commit and what followed. Does not block. */
void kept_drop_all(struct kept *kept);

#endif
