/* SPDX-License-Identifier: Apache-2.0
 * ledger: what a worker has to know of the one before it that died. Memory that all workers of a mount share, one after the other.
 *
 * - Which versions the kernel's read handles are pinned to, so that they can be read on.
 * - Which requests are being committed and with which generation, so that one that was committed and not answered is not
 *   carried out again when the kernel sends it again.
 * - Which names the kernel keeps nothing of, so that they can be renamed.
 * - Which threads have opened a file to write and may be about to cut it (O_TRUNC comes as a request of its own): the cut is
 *   for the dead worker's stage, not for the file.
 *
 * Only numbers and attributes are in it, no names and no values. A worker may be killed between any two stores to it.
 * All functions but ledger_committing and ledger_answered are for the serving thread. A NULL ledger keeps nothing.
 */
#ifndef FS_LEDGER_H
#define FS_LEDGER_H

#include "store/store.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define LEDGER_PINS 65536    /* different versions; of more, only these are kept beyond a worker's death */
#define LEDGER_REQUESTS 1024 /* that are being committed at a time */
#define LEDGER_OPENINGS 1024
#define LEDGER_RENAMES 1024 /* names that are not kept; an older one gives way */
#define LEDGER_HELPERS 64 /* of the workers before */

#define LEDGER_RESENT (UINT64_C(1) << 63) /* in the number of a request that the kernel sends again */

struct ledger;

/* ledger_make - memory of that size, empty. -errno (logged). */
int ledger_make(int *ret_fd);

/* ledger_open - take it over from the worker before: nobody else may use it any more. -EPROTO if it is of another version,
 * -errno (logged). */
int ledger_open(int fd, struct ledger **ret_ledger);

/* ledger_free - let go of it; it stays as it is for the next worker. NULL is allowed. Returns NULL. */
struct ledger *ledger_free(struct ledger *ledger);

/* ledger_pins - all pins, in the order that store_open wants; the caller frees. NULL if there are none, or without memory (logged). */
struct store_held *ledger_pins(const struct ledger *ledger, size_t *ret_n);

/* ledger_opened - the store is at @generation: now it is known which of the requests in it were committed. */
void ledger_opened(struct ledger *ledger, uint64_t generation);

/* ledger_begin - the loop begins with the request @unique: the one before is answered, or waits for a commit. */
void ledger_begin(struct ledger *ledger, uint64_t unique);

/* ledger_pin, ledger_unpin - the request that was begun hands out, or ends, a handle of a version. */
void ledger_pin(struct ledger *ledger, const struct store_held *held);
void ledger_unpin(struct ledger *ledger, uint64_t node, uint64_t generation);

/* ledger_is_former - may a handle of this version be one that a worker before handed out? */
bool ledger_is_former(struct ledger *ledger, uint64_t node, uint64_t generation);

/* ledger_has_stepped - has the worker before done the pinning or unpinning of the request that was begun? @ret_generation: of what it
 * pinned or unpinned. */
bool ledger_has_stepped(struct ledger *ledger, uint64_t *ret_generation);

/* ledger_committing - @unique is about to be committed with @generation; 0: it was not. ledger_answered - it is answered. Any thread. */
void ledger_committing(struct ledger *ledger, uint64_t unique, uint64_t generation);
void ledger_answered(struct ledger *ledger, uint64_t unique);

/* ledger_was_committed - was the request that was begun committed by a worker before? */
bool ledger_was_committed(struct ledger *ledger);

/* ledger_opening - @thread has opened @ino to write. ledger_opening_done - it has done something else since, or this is the cut. */
void ledger_opening(struct ledger *ledger, uint64_t ino, pid_t thread);
void ledger_opening_done(struct ledger *ledger, pid_t thread);

/* ledger_renaming - the kernel takes what it keeps of a name along when that is renamed, while here an inode belongs to its name: so only a name of
 * which it keeps nothing is renamed. May the inode @ino be? If not, say ESTALE: the kernel looks the name up once more and asks again.
 * ledger_is_renamed - its name is not to be kept: it may be renamed, and was or will be. ledger_looked_up - and this is answered now. */
bool ledger_renaming(struct ledger *ledger, uint64_t ino);
bool ledger_is_renamed(const struct ledger *ledger, uint64_t ino);
void ledger_looked_up(struct ledger *ledger, uint64_t ino);

/* ledger_helper - the process @helper of this worker makes calls on the mount, which are not to be carried out. ledger_was_helper - is
 * the request that was begun one of those, of a worker before? */
void ledger_helper(struct ledger *ledger, pid_t helper);
bool ledger_was_helper(const struct ledger *ledger, pid_t thread);

/* ledger_was_opening - had @thread done that with a worker before, and nothing since? */
bool ledger_was_opening(struct ledger *ledger, uint64_t ino, pid_t thread);

#endif
