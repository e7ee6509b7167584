/* SPDX-License-Identifier: Apache-2.0
 * draft: bytes upon a base. The base is read only when somebody writes elsewhere than at the end.
 */
#include "fs/draft.h"

#include <errno.h>
#include <string.h>

#define DRAFT_DISK_MARGIN (64u * 1024) /* the pages that a commit touches besides */

void draft_rebase(struct drafts *drafts, struct draft *draft, uint64_t node)
{
	struct store_info info;

	if (draft->base)
		store_unpin(drafts->store, draft->base_node, draft->base);
	draft->base = 0;
	draft->base_bytes = draft->taken = 0;
	draft->base_node = node;
	if (store_pin(drafts->store, node, &draft->base) == 0 && store_look(drafts->store, node, &info) == 0)
		draft->base_bytes = info.record.size;
}

void draft_wipe(struct drafts *drafts, struct draft *draft)
{
	drafts->bytes -= draft->data.size;
	secbuf_deinit(&draft->data);
}

void draft_deinit(struct drafts *drafts, struct draft *draft)
{
	if (draft->base)
		store_unpin(drafts->store, draft->base_node, draft->base);
	draft_wipe(drafts, draft);
	*draft = (struct draft){0};
}

size_t draft_size(const struct draft *draft)
{
	return draft->data.size + draft->taken + (draft->whole ? 0 : draft->base_bytes);
}

bool drafts_fit_disk(const struct drafts *drafts, size_t bytes)
{
	return 2 * (bytes + bytes / 8) + DRAFT_DISK_MARGIN <= store_room(drafts->store);
}

/* May @data grow to @size bytes, upon a base of @base bytes? */
static int draft_check_growth(const struct drafts *drafts, const struct draft *draft, size_t base, uint64_t size)
{
	if (size > drafts->max_value || base + size > drafts->max_value)
		return -EFBIG;
	if (size <= draft->data.size)
		return 0;
	size = drafts->bytes + (size - draft->data.size);
	return size > drafts->limit || !drafts_fit_disk(drafts, size) ? -ENOSPC : 0;
}

/* The arena being full is the same to a writer as the bound being reached. */
static int draft_resize_data(struct drafts *drafts, struct draft *draft, size_t size)
{
	size_t before = draft->data.size;

	if (secbuf_resize(&draft->data, size) < 0)
		return -ENOSPC;
	drafts->bytes = drafts->bytes - before + size;
	return 0;
}

/* Make @data everything: put the base in front of what was appended. */
static int draft_load(struct drafts *drafts, struct draft *draft)
{
	SECBUF_AUTO base = {0};
	size_t appended = draft->data.size;
	int r;

	if (draft->whole)
		return 0;
	if (draft->base) {
		r = draft_check_growth(drafts, draft, 0, draft->base_bytes + appended);
		if (r == 0)
			r = store_read(drafts->store, draft->base_node, draft->base, &base);
		if (r == 0)
			r = draft_resize_data(drafts, draft, base.size + appended);
		if (r < 0)
			return r;
		if (base.size) {
			memmove(draft->data.data + base.size, draft->data.data, appended);
			memcpy(draft->data.data, base.data, base.size);
		}
	}
	draft->whole = true;
	return 0;
}

int draft_write(struct drafts *drafts, struct draft *draft, const void *data, size_t size, uint64_t offset, bool append)
{
	size_t end;
	int r = append ? 0 : draft_load(drafts, draft);

	if (r < 0)
		return r;
	if (append)
		offset = draft->data.size;
	if (offset > drafts->max_value || size > drafts->max_value)
		return -EFBIG;
	end = offset + size > draft->data.size ? offset + size : draft->data.size;
	r = draft_check_growth(drafts, draft, draft->whole ? 0 : draft->base_bytes, end);
	if (r == 0)
		r = draft_resize_data(drafts, draft, end);
	if (r == 0 && size)
		memcpy(draft->data.data + offset, data, size);
	return r;
}

int draft_resize(struct drafts *drafts, struct draft *draft, uint64_t size)
{
	int r = 0;

	if (size == 0 && !draft->whole) {
		draft_resize_data(drafts, draft, 0);
		draft->whole = true;
	} else {
		r = draft_load(drafts, draft);
	}
	if (r == 0)
		r = draft_check_growth(drafts, draft, 0, size);
	return r < 0 ? r : draft_resize_data(drafts, draft, size);
}

/* Append to @ret_bytes the part of @from that lies in @size bytes at @offset of the whole, where @from starts at @at. */
static int draft_slice(const struct secbuf *from, size_t at, uint64_t offset, size_t size, struct secbuf *ret_bytes)
{
	uint64_t start = offset > at ? offset : at;
	uint64_t end = offset + size < at + from->size ? offset + size : at + from->size;

	if (start >= end)
		return 0;
	return secbuf_write(ret_bytes, ret_bytes->size, from->data + (start - at), end - start);
}

int draft_read(struct drafts *drafts, const struct draft *draft, uint64_t offset, size_t size, struct secbuf *ret_bytes)
{
	SECBUF_AUTO base = {0};
	int r = 0;

	if (!draft->whole && draft->base) {
		r = store_read(drafts->store, draft->base_node, draft->base, &base);
		if (r == 0)
			r = draft_slice(&base, 0, offset, size, ret_bytes);
	}
	return r < 0 ? r : draft_slice(&draft->data, base.size, offset, size, ret_bytes);
}

struct secbuf draft_take(struct draft *draft)
{
	struct secbuf data = draft->data;

	draft->taken = data.size;
	draft->data = (struct secbuf){0};
	return data;
}

void draft_give(struct draft *draft, struct secbuf *data)
{
	draft->taken = 0;
	draft->data = *data;
	*data = (struct secbuf){0}; /* transferred */
}
