/* SPDX-License-Identifier: Apache-2.0
 * acl: two encodings of the same thing. In a list each ACL is a head (which inode and kind, how many names, bits) and
 * its names, 5 bytes each; a head that begins with 0 ends the list.
 */
#include "store/acl.h"

#include "store/bytes.h"

#include <errno.h>
#include <linux/posix_acl.h>
#include <linux/posix_acl_xattr.h>
#include <string.h>

enum {
	/* of a packed ACL */
	AT_PLACE = 0, /* 1 + 2 * inode + kind */
	AT_COUNT = 1,
	AT_BITS = 2,
	HEAD_BYTES = 4,
	NAMED_BYTES = 5,

	/* of its bits */
	BITS_MODE = 0777, /* of a default ACL */
	BITS_GROUP_SHIFT = 9,
	BITS_MASK = 1 << 12,

	/* of a packed name's first byte; its id follows */
	NAMED_GROUP = 8,

	/* of the kernel's format */
	XATTR_HEAD_BYTES = sizeof(struct posix_acl_xattr_header),
	XATTR_ENTRY_BYTES = sizeof(struct posix_acl_xattr_entry),
};

_Static_assert(HEAD_BYTES + ACL_NAMED_MAX * NAMED_BYTES <= ACL_LIST_BYTES, "the largest ACL fits");
_Static_assert(HEAD_BYTES + (ACL_NAMED_MAX + 1) * NAMED_BYTES > ACL_LIST_BYTES, "and is as large as fits");

static bool acl_names(const struct acl *acl, bool group, uint32_t id)
{
	for (unsigned i = 0; i < acl->count; i++)
		if (acl->named[i].group == group && acl->named[i].id == id)
			return true;
	return false;
}

static int acl_add_named(struct acl *acl, bool group, uint8_t permission, uint32_t id)
{
	if (id == (uint32_t)ACL_UNDEFINED_ID || acl_names(acl, group, id))
		return -EINVAL;
	if (acl->count == ACL_NAMED_MAX)
		return -ENOSPC;
	acl->named[acl->count++] = (struct acl_named){.group = group, .permission = permission, .id = id};
	return 0;
}

int acl_parse(enum acl_kind kind, const void *xattr, size_t size, struct acl *ret_acl)
{
	const uint8_t *p = xattr;
	struct acl acl = {.present = true};
	unsigned seen = 0, mask = 0;
	int r = 0;

	if (size < XATTR_HEAD_BYTES || (size - XATTR_HEAD_BYTES) % XATTR_ENTRY_BYTES)
		return -EINVAL;
	if (bytes_get32(p) != POSIX_ACL_XATTR_VERSION)
		return -EOPNOTSUPP;
	for (size_t at = XATTR_HEAD_BYTES; at < size && r == 0; at += XATTR_ENTRY_BYTES) {
		unsigned tag = bytes_get16(p + at), permission = bytes_get16(p + at + 2);
		uint32_t id = bytes_get32(p + at + 4);

		if (permission > 7)
			return -EINVAL;
		if (tag == ACL_USER || tag == ACL_GROUP) {
			r = acl_add_named(&acl, tag == ACL_GROUP, (uint8_t)permission, id);
			continue;
		}
		if (seen & tag)
			return -EINVAL;
		seen |= tag;
		if (tag == ACL_USER_OBJ)
			acl.mode |= permission << 6;
		else if (tag == ACL_GROUP_OBJ)
			acl.group = (uint8_t)permission;
		else if (tag == ACL_MASK)
			mask = permission;
		else if (tag == ACL_OTHER)
			acl.mode |= permission;
		else
			return -EINVAL;
	}
	if (r < 0)
		return r;
	acl.mask = seen & ACL_MASK;
	if ((seen | ACL_MASK) != (ACL_USER_OBJ | ACL_GROUP_OBJ | ACL_MASK | ACL_OTHER) || (acl.count && !acl.mask))
		return -EINVAL;
	acl.mode |= (acl.mask ? mask : acl.group) << 3;
	if (kind == ACL_KIND_ACCESS && !acl.mask)
		acl = (struct acl){.mode = acl.mode};
	*ret_acl = acl;
	return 0;
}

static uint8_t *acl_format_entry(uint8_t *p, unsigned tag, unsigned permission, uint32_t id)
{
	bytes_put16(p, (uint16_t)tag);
	bytes_put16(p + 2, (uint16_t)permission);
	bytes_put32(p + 4, id);
	return p + XATTR_ENTRY_BYTES;
}

static uint8_t *acl_format_named(uint8_t *p, const struct acl *acl, bool group)
{
	for (unsigned i = 0; i < acl->count; i++)
		if (acl->named[i].group == group)
			p = acl_format_entry(p, group ? ACL_GROUP : ACL_USER, acl->named[i].permission,
					     acl->named[i].id);
	return p;
}

size_t acl_format(const struct acl *acl, uint8_t ret_xattr[static ACL_XATTR_BYTES_MAX])
{
	const uint32_t none = (uint32_t)ACL_UNDEFINED_ID;
	uint8_t *p = ret_xattr + XATTR_HEAD_BYTES;

	bytes_put32(ret_xattr, POSIX_ACL_XATTR_VERSION);
	p = acl_format_entry(p, ACL_USER_OBJ, acl->mode >> 6 & 7, none);
	p = acl_format_named(p, acl, false);
	p = acl_format_entry(p, ACL_GROUP_OBJ, acl->group, none);
	p = acl_format_named(p, acl, true);
	if (acl->mask)
		p = acl_format_entry(p, ACL_MASK, acl->mode >> 3 & 7, none);
	p = acl_format_entry(p, ACL_OTHER, acl->mode & 7, none);
	return (size_t)(p - ret_xattr);
}

mode_t acl_inherit(const struct acl *from, mode_t mode, struct acl *ret_access)
{
	mode &= from->mode | (mode_t)~0777;
	*ret_access = from->mask ? *from : (struct acl){0};
	ret_access->mode = mode & 0777;
	return mode;
}

static uint8_t acl_place(unsigned inode, enum acl_kind kind)
{
	return (uint8_t)(1 + 2 * inode + kind);
}

/* Bytes of the packed ACL at @p, with @room bytes to the end of the list; 0 at the list's end, or if it cannot be. */
static size_t acl_packed_bytes(const uint8_t *p, size_t room)
{
	size_t bytes;

	if (room < HEAD_BYTES || !p[AT_PLACE])
		return 0;
	bytes = HEAD_BYTES + (size_t)p[AT_COUNT] * NAMED_BYTES;
	return bytes <= room ? bytes : 0;
}

static void acl_pack(uint8_t place, enum acl_kind kind, const struct acl *acl, uint8_t *ret_packed)
{
	unsigned mode = kind == ACL_KIND_DEFAULT ? acl->mode & BITS_MODE : 0;

	ret_packed[AT_PLACE] = place;
	ret_packed[AT_COUNT] = (uint8_t)acl->count;
	bytes_put16(ret_packed + AT_BITS,
		    (uint16_t)(mode | (unsigned)acl->group << BITS_GROUP_SHIFT | (acl->mask ? BITS_MASK : 0)));
	for (unsigned i = 0; i < acl->count; i++) {
		uint8_t *p = ret_packed + HEAD_BYTES + i * NAMED_BYTES;

		p[0] = (uint8_t)(acl->named[i].permission | (acl->named[i].group ? NAMED_GROUP : 0));
		bytes_put32(p + 1, acl->named[i].id);
	}
}

/* The ACL at @p, which acl_packed_bytes has measured. -EBADMSG if acl_pack cannot have made it. */
static int acl_unpack(const uint8_t *p, struct acl *ret_acl)
{
	unsigned bits = bytes_get16(p + AT_BITS);
	enum acl_kind kind = (p[AT_PLACE] - 1) & 1 ? ACL_KIND_DEFAULT : ACL_KIND_ACCESS;
	struct acl acl = {.present = true,
			  .mask = bits & BITS_MASK,
			  .group = bits >> BITS_GROUP_SHIFT & 7,
			  .mode = bits & BITS_MODE};

	if (bits >= 2 * BITS_MASK || (kind == ACL_KIND_ACCESS && acl.mode))
		return -EBADMSG;
	for (unsigned i = 0; i < p[AT_COUNT]; i++) {
		const uint8_t *named = p + HEAD_BYTES + i * NAMED_BYTES;

		if (named[0] >= 2 * NAMED_GROUP ||
		    acl_add_named(&acl, named[0] & NAMED_GROUP, named[0] & 7, bytes_get32(named + 1)) < 0)
			return -EBADMSG;
	}
	if (!acl.mask && (kind == ACL_KIND_ACCESS || acl.count || acl.group != (acl.mode >> 3 & 7)))
		return -EBADMSG;
	*ret_acl = acl;
	return 0;
}

unsigned acl_group_permission(const struct acl *acl, mode_t mode)
{
	unsigned group = mode >> 3 & 7;

	return acl->present ? group & acl->group : group;
}

void acl_get(const struct acl_list *list, unsigned inode, enum acl_kind kind, struct acl *ret_acl)
{
	size_t at = 0, bytes;

	*ret_acl = (struct acl){0};
	while ((bytes = acl_packed_bytes(list->bytes + at, ACL_LIST_BYTES - at)) > 0) {
		if (list->bytes[at] == acl_place(inode, kind)) {
			acl_unpack(list->bytes + at, ret_acl);
			return;
		}
		at += bytes;
	}
}

int acl_put(struct acl_list *list, unsigned inode, enum acl_kind kind, const struct acl *acl)
{
	uint8_t place = acl_place(inode, kind);
	struct acl_list changed = {0};
	size_t used = 0, at = 0, bytes;

	while ((bytes = acl_packed_bytes(list->bytes + at, ACL_LIST_BYTES - at)) > 0) {
		if (list->bytes[at] != place) {
			memcpy(changed.bytes + used, list->bytes + at, bytes);
			used += bytes;
		}
		at += bytes;
	}
	if (acl->present) {
		if (used + HEAD_BYTES + acl->count * NAMED_BYTES > ACL_LIST_BYTES)
			return -ENOSPC;
		acl_pack(place, kind, acl, changed.bytes + used);
	}
	*list = changed;
	return 0;
}

int acl_check(const struct acl_list *list, unsigned inodes, unsigned defaults)
{
	unsigned seen = 0;
	size_t at = 0, bytes;
	struct acl acl;

	while ((bytes = acl_packed_bytes(list->bytes + at, ACL_LIST_BYTES - at)) > 0) {
		unsigned place = list->bytes[at] - 1u, inode = place / 2;

		if (inode >= inodes || seen & 1u << place || (place % 2 && !(defaults & 1u << inode)) ||
		    acl_unpack(list->bytes + at, &acl) < 0)
			return -EBADMSG;
		seen |= 1u << place;
		at += bytes;
	}
	while (at < ACL_LIST_BYTES)
		if (list->bytes[at++])
			return -EBADMSG;
	return 0;
}
