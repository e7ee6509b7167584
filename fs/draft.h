/* SPDX-License-Identifier: Apache-2.0
 * draft: a value that is being made.
 *
 * It is either @data alone (whole), or a base version, which it keeps pinned, followed by @data: only appends so far. Those are
 * committed as an append to whatever is current then, so that appends of several writers lose nothing.
 * Not locked: the stage's lock guards all of it.
 */
#ifndef FS_DRAFT_H
#define FS_DRAFT_H

#include "store/store.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What all drafts of a stage share. */
struct drafts {
	struct store *store;
	size_t max_bytes; /* of all together */
	size_t max_value; /* of one */
	size_t bytes;     /* in drafts, and in commits under way */
	size_t limit;     /* of @bytes, at most @max_bytes: for who is about to write */
};

/* A zeroed struct is an empty draft without a base. */
struct draft {
	uint64_t base_node, base; /* the pinned version; @base is 0 if there is none */
	size_t base_bytes;
	struct secbuf data;
	size_t taken; /* bytes of it that a commit has, until it has ended */
	bool whole;   /* @data is everything */
};

/* draft_rebase - stand upon the version of the resource @node that is current now, if it has one. */
void draft_rebase(struct drafts *drafts, struct draft *draft, uint64_t node);

/* draft_deinit - unpin, wipe, free. */
void draft_deinit(struct drafts *drafts, struct draft *draft);

/* draft_wipe - all that was written to it is gone. */
void draft_wipe(struct drafts *drafts, struct draft *draft);

size_t draft_size(const struct draft *draft);

/* draft_is_base - is it the base and nothing else? */
static inline bool draft_is_base(const struct draft *draft)
{
	return draft->base && !draft->whole && !draft->data.size && !draft->taken;
}

/* drafts_fit_disk - has the disk room to commit @bytes? */
bool drafts_fit_disk(const struct drafts *drafts, size_t bytes);

/* draft_write - as pwrite(2); @append: at the end, whatever @offset. -EFBIG beyond the longest value, -ENOSPC beyond the
 * bound of all or what the disk has left, -EIO if the base cannot be read. */
int draft_write(struct drafts *drafts, struct draft *draft, const void *data, size_t size, uint64_t offset, bool append);

/* draft_resize - as ftruncate(2). Errors as draft_write. */
int draft_resize(struct drafts *drafts, struct draft *draft, uint64_t size);

/* draft_read - append up to @size bytes from @offset to @ret_bytes. -EIO, -ENOMEM. */
int draft_read(struct drafts *drafts, const struct draft *draft, uint64_t offset, size_t size, struct secbuf *ret_bytes);

/* draft_take - hand the data over to a commit, which then counts among @drafts->bytes. draft_give - that has failed: here it is again. */
struct secbuf draft_take(struct draft *draft);
void draft_give(struct draft *draft, struct secbuf *data);

#endif
