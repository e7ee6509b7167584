/* SPDX-License-Identifier: Apache-2.0
 * anchor: a small file elsewhere that knows the newest state of a store, so that an older copy of the whole store is not taken for it.
 *
 * It is written after a commit is on disk and before that is acknowledged. So the store is never older than its anchor, whenever it is
 * killed, unless an older copy was put in its place. README.md, "Anchor", has the layout. The descriptor is opened once and used from
 * then on, so that who opens it may give up the right to. Not for several threads at once.
 */
#ifndef STORE_ANCHOR_H
#define STORE_ANCHOR_H

#include "store/key.h"

#include <stdbool.h>
#include <stdint.h>

#define ANCHOR_SLOT_BYTES 128
#define ANCHOR_SECOND_AT 4096 /* offset of the second slot: no block of a disk has both */
#define ANCHOR_BYTES (ANCHOR_SECOND_AT + ANCHOR_SLOT_BYTES)

struct anchor;
struct seal;
struct seal_manifest;

/* anchor_open - make the file @path (0600) unless it is there, and hold it. @read_only: it must be there, and is never written to.
 * The caller closes. -ENOENT; -ELOOP for a link; -EINVAL if it is no file; -EPERM if it is another user's, or others may write to it; -ENOMEM,
 * and what open(2) says. Each is logged. */
int anchor_open(const char *path, bool read_only, struct anchor **ret_anchor);

/* anchor_close - NULL is allowed. Returns NULL. */
struct anchor *anchor_close(struct anchor *anchor);

/* anchor_suggest_key - the key of the store is a @kind and comes from @source: what is suggested when the store is refused is a command that
 * takes it from there. Its paths have to stay as long as the anchor. */
void anchor_suggest_key(struct anchor *anchor, const struct key_source *source, enum key_kind kind);

/* anchor_say_place - warn if @path is in the same folder as the store @store: who can put back the one can put back the other. */
void anchor_say_place(const char *path, const char *store);

/* For store/ alone, with the keys of the store in @seal. */

/* What the anchor says of a store that has a certain manifest. */
enum anchor_verdict {
	ANCHOR_SAME,      /* it is the newest state */
	ANCHOR_BEHIND,    /* it is newer than the anchor: commits that were not acknowledged, or made without it */
	ANCHOR_UNUSED,    /* the anchor has not known any store yet */
	ANCHOR_OLDER,     /* the store is older, */
	ANCHOR_OTHER,     /* or of the same generation, but not that state, */
	ANCHOR_UNREKEYED, /* or from before a rekey */
	ANCHOR_REKEYED,   /* the store was rekeyed without the anchor */
	ANCHOR_FOREIGN,   /* it is the anchor of another store */
	ANCHOR_DAMAGED,
};

/* anchor_look - the verdict on the store whose keys and manifest these are; up to ANCHOR_UNUSED all is well. @ret_generation: the newest that the
 * anchor has seen, 0 if it can't tell. -EINVAL if it is no anchor, or what read(2) says (logged). */
int anchor_look(struct anchor *anchor, const struct seal *seal, const struct seal_manifest *manifest,
		enum anchor_verdict *ret_verdict, uint64_t *ret_generation);

/* anchor_check - the same for the store @path that is being opened, and write it, unless the anchor is read-only. -ESTALE after
 * saying what is wrong and what to do. 1 if the store may be used and the anchor can't be written (logged): then nothing may be committed. */
int anchor_check(struct anchor *anchor, const struct seal *seal, const struct seal_manifest *manifest, const char *path);

/* anchor_write - the state that the store has now; on disk when it returns. After anchor_look or anchor_check. Until the next call, which
 * takes the other slot, the state before is there as well. A read-only anchor is left alone. -EIO, -ENOSPC and the like (logged). */
int anchor_write(struct anchor *anchor, const struct seal *seal, const struct seal_manifest *manifest);

/* anchor_repeat - what was written last takes the place of the state before, too. As anchor_write. */
int anchor_repeat(struct anchor *anchor);

/* anchor_renew - the same in both slots, whatever there was; the file gets its full length first, so that a shorter one was cut. */
int anchor_renew(struct anchor *anchor, const struct seal *seal, const struct seal_manifest *manifest);

#endif
