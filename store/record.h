/* SPDX-License-Identifier: Apache-2.0
 * record: a resource's metadata, in memory and as the plaintext that seal.c seals.
 *
 * All records have one size, so that the sealed rows tell nothing about names. The layout is in README.md,
 * "Metadata record".
 */
#ifndef STORE_RECORD_H
#define STORE_RECORD_H

#include "store/acl.h"
#include "store/crypto.h"
#include "store/name.h"

#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#define RECORD_BYTES 1024
#define RECORD_VERSION 1

/* A resource is up to three inodes of the mounted tree; each has attributes of its own. */
enum record_inode {
	RECORD_SELF = 0,         /* a secret's file; a mesh's folder; of the root: / */
	RECORD_MESH_SECRETS = 1, /* a mesh's secrets/ */
	RECORD_MESH_YAML = 2,    /* a mesh's mesh.yaml */
	RECORD_MESHES = 1,       /* of the root: /meshes */
	RECORD_GLOBAL = 2,       /* of the root: /global */
	RECORD_INODES = 3,
};

struct record_attributes {
	uid_t uid;
	gid_t gid;
	mode_t mode;           /* permission bits only, 07777 */
	struct timespec mtime; /* of the bytes; of a folder: of its entries */
	struct timespec ctime;
	struct timespec atime; /* only what utimensat() set: reading does not change it */
	uint32_t removals;     /* how often it was removed or made again, of what comes with a mesh; odd: it is not there */
};

/* Which attributes are to be set. */
enum record_set {
	RECORD_SET_UID = 1,
	RECORD_SET_GID = 2,
	RECORD_SET_MODE = 4,
	RECORD_SET_MTIME = 8,
	RECORD_SET_ATIME = 16,
	RECORD_SET_ABSENT = 32,  /* a mesh's secrets/ or mesh.yaml is removed by hand, */
	RECORD_SET_PRESENT = 64, /* and made again */
	RECORD_SET_ACL = 128,
	RECORD_SET_DEFAULT_ACL = 256,
	RECORD_SET_TIMES = RECORD_SET_MTIME | RECORD_SET_ATIME,
};

struct record {
	struct name name;
	uint64_t generation;                   /* of the current value; the root's is empty */
	uint64_t created;                      /* generation in which the resource was made */
	struct timespec born;                  /* and when; 0 if that was not kept */
	uint32_t size;                         /* bytes of the current value */
	uint8_t value_hash[CRYPTO_HASH_BYTES]; /* keyed hash of the current value */
	struct record_attributes inodes[RECORD_INODES];
	struct acl_list acls;
};

/* A record as it is kept in memory for long: what is empty takes no room, and of a secret only its file is there. On the heap; free with free(). */
struct record_packed {
	uint64_t generation;
	uint64_t created;
	struct timespec born;
	uint32_t size;
	uint8_t value_hash[CRYPTO_HASH_BYTES];
	uint8_t kind; /* enum name_kind */
	uint8_t mesh_bytes, name_bytes, acls_bytes;
	uint8_t rest[]; /* attributes, mesh, name, ACLs */
};

/* record_pack - NULL without memory. */
struct record_packed *record_pack(const struct record *record);

/* record_unpack - the reverse; inodes that the kind does not have come out zeroed. */
void record_unpack(const struct record_packed *packed, struct record *ret_record);

/* record_is_absent - was this entry of a mesh removed by hand? */
static inline bool record_is_absent(const struct record_attributes *attributes)
{
	return attributes->removals % 2;
}

/* record_file - which inode of a resource is the file with its value. */
static inline enum record_inode record_file(enum name_kind kind)
{
	return kind == NAME_MESH ? RECORD_MESH_YAML : RECORD_SELF;
}

/* record_set_attributes - copy the attributes that @set (RECORD_SET_…) names. */
void record_set_attributes(struct record_attributes *to, unsigned set, const struct record_attributes *from);

/* record_same_attributes - are they the same? */
bool record_same_attributes(const struct record_attributes *a, const struct record_attributes *b);

/* record_set_acls - copy the ACLs of @inode that @set names, or remove those that @from doesn't have. -ENOSPC; -EACCES: a
 * default ACL for a file. */
int record_set_acls(struct record *to, enum record_inode inode, unsigned set, const struct acl_list *from);

/* record_has_default_acl - may this inode have one? Folders may. */
bool record_has_default_acl(enum name_kind kind, enum record_inode inode);

/* record_encode - the plaintext of @record. Cannot fail. */
void record_encode(const struct record *record, uint8_t ret_plain[static RECORD_BYTES]);

/* record_decode - the reverse. -EPROTONOSUPPORT for an unknown record version, -EBADMSG if a field can't be. */
int record_decode(const uint8_t plain[static RECORD_BYTES], struct record *ret_record);

#endif
