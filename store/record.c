/* SPDX-License-Identifier: Apache-2.0
 * record: fixed offsets, little-endian; what is not named is zero and kept for fields to come. In memory without what is zero.
 */
#include "store/record.h"

#include "store/bytes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Offsets, in bytes. */
enum {
	AT_VERSION = 0,
	AT_KIND = 2,
	AT_MESH_SIZE = 3,
	AT_NAME_SIZE = 4,
	AT_GENERATION = 8,
	AT_CREATED = 16,
	AT_SIZE = 24,
	AT_VALUE_HASH = 32,
	AT_INODES = 64,
	INODE_BYTES = 56,
	AT_MESH = AT_INODES + RECORD_INODES * INODE_BYTES,
	AT_NAME = AT_MESH + 64,
	AT_ACLS = AT_NAME + 256,
	AT_BORN = AT_ACLS + ACL_LIST_BYTES,
	AT_BORN_NS = AT_BORN + 8,
	AT_END = AT_BORN_NS + 4,

	/* within an inode's attributes */
	INODE_UID = 0,
	INODE_GID = 4,
	INODE_MODE = 8,
	INODE_MTIME = 16,
	INODE_CTIME = 24,
	INODE_ATIME = 32,
	INODE_MTIME_NS = 40,
	INODE_CTIME_NS = 44,
	INODE_ATIME_NS = 48,
	INODE_REMOVALS = 52,
};

_Static_assert(AT_END <= RECORD_BYTES, "a record holds its fields");

void record_set_attributes(struct record_attributes *to, unsigned set, const struct record_attributes *from)
{
	if (set & RECORD_SET_UID)
		to->uid = from->uid;
	if (set & RECORD_SET_GID)
		to->gid = from->gid;
	if (set & RECORD_SET_MODE)
		to->mode = from->mode & 07777;
	if (set & RECORD_SET_MTIME)
		to->mtime = from->mtime;
	if (set & RECORD_SET_ATIME)
		to->atime = from->atime;
	if (set & (record_is_absent(to) ? RECORD_SET_PRESENT : RECORD_SET_ABSENT))
		to->removals++;
}

static bool record_same_time(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

bool record_same_attributes(const struct record_attributes *a, const struct record_attributes *b)
{
	return a->uid == b->uid && a->gid == b->gid && a->mode == b->mode && a->removals == b->removals &&
	       record_same_time(&a->mtime, &b->mtime) && record_same_time(&a->ctime, &b->ctime) &&
	       record_same_time(&a->atime, &b->atime);
}

static void record_put_time(uint8_t *seconds, uint8_t *nanoseconds, const struct timespec *time)
{
	bytes_put64(seconds, (uint64_t)time->tv_sec);
	bytes_put32(nanoseconds, (uint32_t)time->tv_nsec);
}

static struct timespec record_get_time(const uint8_t *seconds, const uint8_t *nanoseconds)
{
	return (struct timespec){.tv_sec = (time_t)bytes_get64(seconds), .tv_nsec = bytes_get32(nanoseconds)};
}

static void record_put_attributes(uint8_t *q, const struct record_attributes *a)
{
	bytes_put32(q + INODE_UID, a->uid);
	bytes_put32(q + INODE_GID, a->gid);
	bytes_put32(q + INODE_MODE, a->mode);
	bytes_put32(q + INODE_REMOVALS, a->removals);
	record_put_time(q + INODE_MTIME, q + INODE_MTIME_NS, &a->mtime);
	record_put_time(q + INODE_CTIME, q + INODE_CTIME_NS, &a->ctime);
	record_put_time(q + INODE_ATIME, q + INODE_ATIME_NS, &a->atime);
}

static struct record_attributes record_get_attributes(const uint8_t *q)
{
	return (struct record_attributes){.uid = bytes_get32(q + INODE_UID),
					  .gid = bytes_get32(q + INODE_GID),
					  .mode = bytes_get32(q + INODE_MODE),
					  .removals = bytes_get32(q + INODE_REMOVALS),
					  .mtime = record_get_time(q + INODE_MTIME, q + INODE_MTIME_NS),
					  .ctime = record_get_time(q + INODE_CTIME, q + INODE_CTIME_NS),
					  .atime = record_get_time(q + INODE_ATIME, q + INODE_ATIME_NS)};
}

static bool record_is_secret(enum name_kind kind)
{
	return kind == NAME_SECRET || kind == NAME_GLOBAL_SECRET;
}

static unsigned record_inodes(enum name_kind kind)
{
	return record_is_secret(kind) ? RECORD_SELF + 1 : RECORD_INODES;
}

void record_encode(const struct record *record, uint8_t ret_plain[static RECORD_BYTES])
{
	uint8_t *p = ret_plain;

	memset(p, 0, RECORD_BYTES);
	bytes_put16(p + AT_VERSION, RECORD_VERSION);
	p[AT_KIND] = (uint8_t)record->name.kind;
	p[AT_MESH_SIZE] = (uint8_t)strlen(record->name.mesh);
	p[AT_NAME_SIZE] = (uint8_t)strlen(record->name.name);
	bytes_put64(p + AT_GENERATION, record->generation);
	bytes_put64(p + AT_CREATED, record->created);
	bytes_put32(p + AT_SIZE, record->size);
	memcpy(p + AT_VALUE_HASH, record->value_hash, CRYPTO_HASH_BYTES);
	for (int i = 0; i < RECORD_INODES; i++)
		record_put_attributes(p + AT_INODES + i * INODE_BYTES, &record->inodes[i]);
	memcpy(p + AT_MESH, record->name.mesh, p[AT_MESH_SIZE]);
	memcpy(p + AT_NAME, record->name.name, p[AT_NAME_SIZE]);
	memcpy(p + AT_ACLS, record->acls.bytes, ACL_LIST_BYTES);
	record_put_time(p + AT_BORN, p + AT_BORN_NS, &record->born);
}

/* Names as strings; name_set checks them once more, so that no caller meets an impossible one. */
static int record_decode_name(const uint8_t *p, struct name *ret_name)
{
	char mesh[NAME_MESH_BYTES + 1] = "";
	char name[NAME_RESOURCE_BYTES + 1] = "";

	if (p[AT_MESH_SIZE] > NAME_MESH_BYTES || p[AT_NAME_SIZE] > NAME_RESOURCE_BYTES ||
	    p[AT_KIND] < NAME_ROOT || p[AT_KIND] > NAME_GLOBAL_SECRET)
		return -EBADMSG;
	memcpy(mesh, p + AT_MESH, p[AT_MESH_SIZE]);
	memcpy(name, p + AT_NAME, p[AT_NAME_SIZE]);
	return name_set(ret_name, p[AT_KIND], mesh, name) < 0 ? -EBADMSG : 0;
}

bool record_has_default_acl(enum name_kind kind, enum record_inode inode)
{
	return kind == NAME_ROOT || (kind == NAME_MESH && inode != RECORD_MESH_YAML);
}

int record_set_acls(struct record *to, enum record_inode inode, unsigned set, const struct acl_list *from)
{
	struct acl_list acls = to->acls;
	struct acl acl;
	int r = 0;

	if (set & RECORD_SET_ACL) {
		acl_get(from, inode, ACL_KIND_ACCESS, &acl);
		r = acl_put(&acls, inode, ACL_KIND_ACCESS, &acl);
	}
	if (r == 0 && (set & RECORD_SET_DEFAULT_ACL)) {
		acl_get(from, inode, ACL_KIND_DEFAULT, &acl);
		r = record_has_default_acl(to->name.kind, inode) ? acl_put(&acls, inode, ACL_KIND_DEFAULT, &acl) : -EACCES;
	}
	if (r == 0)
		to->acls = acls;
	return r;
}

static int record_check_acls(const struct record *record)
{
	unsigned defaults = 0;

	for (unsigned i = 0; i < RECORD_INODES; i++)
		defaults |= (unsigned)record_has_default_acl(record->name.kind, i) << i;
	return acl_check(&record->acls, record_inodes(record->name.kind), defaults);
}

int record_decode(const uint8_t plain[static RECORD_BYTES], struct record *ret_record)
{
	const uint8_t *p = plain;
	struct record record = {0};

	if (bytes_get16(p + AT_VERSION) != RECORD_VERSION)
		return -EPROTONOSUPPORT;
	if (record_decode_name(p, &record.name) < 0)
		return -EBADMSG;
	record.generation = bytes_get64(p + AT_GENERATION);
	record.created = bytes_get64(p + AT_CREATED);
	record.size = bytes_get32(p + AT_SIZE);
	memcpy(record.value_hash, p + AT_VALUE_HASH, CRYPTO_HASH_BYTES);
	for (int i = 0; i < RECORD_INODES; i++)
		record.inodes[i] = record_get_attributes(p + AT_INODES + i * INODE_BYTES);
	memcpy(record.acls.bytes, p + AT_ACLS, ACL_LIST_BYTES);
	record.born = record_get_time(p + AT_BORN, p + AT_BORN_NS);
	if (record_check_acls(&record) < 0)
		return -EBADMSG;
	*ret_record = record;
	return 0;
}

struct record_packed *record_pack(const struct record *record)
{
	size_t mesh = strlen(record->name.mesh), name = strlen(record->name.name), acls = ACL_LIST_BYTES;
	unsigned inodes = record_inodes(record->name.kind);
	struct record_packed *packed;
	uint8_t *p;

	while (acls && !record->acls.bytes[acls - 1])
		acls--;
	packed = malloc(sizeof(*packed) + inodes * INODE_BYTES + mesh + name + acls);
	if (!packed)
		return NULL;
	*packed = (struct record_packed){.generation = record->generation,
					 .created = record->created,
					 .born = record->born,
					 .size = record->size,
					 .kind = (uint8_t)record->name.kind,
					 .mesh_bytes = (uint8_t)mesh,
					 .name_bytes = (uint8_t)name,
					 .acls_bytes = (uint8_t)acls};
	memcpy(packed->value_hash, record->value_hash, CRYPTO_HASH_BYTES);
	p = packed->rest;
	for (unsigned i = 0; i < inodes; i++, p += INODE_BYTES)
		record_put_attributes(p, &record->inodes[i]);
	memcpy(p, record->name.mesh, mesh);
	memcpy(p + mesh, record->name.name, name);
	memcpy(p + mesh + name, record->acls.bytes, acls);
	return packed;
}

void record_unpack(const struct record_packed *packed, struct record *ret_record)
{
	const uint8_t *p = packed->rest;
	struct record *record = ret_record;

	memset(record, 0, sizeof(*record));
	record->generation = packed->generation;
	record->created = packed->created;
	record->born = packed->born;
	record->size = packed->size;
	memcpy(record->value_hash, packed->value_hash, CRYPTO_HASH_BYTES);
	record->name.kind = packed->kind;
	for (unsigned i = 0; i < record_inodes(packed->kind); i++, p += INODE_BYTES)
		record->inodes[i] = record_get_attributes(p);
	memcpy(record->name.mesh, p, packed->mesh_bytes);
	memcpy(record->name.name, p + packed->mesh_bytes, packed->name_bytes);
	memcpy(record->acls.bytes, p + packed->mesh_bytes + packed->name_bytes, packed->acls_bytes);
}
