/* SPDX-License-Identifier: Apache-2.0
 * tree: the mounted tree as a view of the store: names to inodes, attributes, listings.
 *
 * It sees what is committed and knows nothing of FUSE. What somebody is about to write is in stage.h.
 * Functions return 0 or -errno and don't block. Any thread may call.
 */
#ifndef FS_TREE_H
#define FS_TREE_H

#include "store/store.h"

#include <stdint.h>
#include <sys/stat.h>

#define TREE_NAME_BYTES 255

struct tree {
	struct store *store;
	uint64_t root;           /* the store's number of the record that has /, /meshes and /global */
	uid_t uid;               /* whom /.hush belongs to */
	gid_t gid;
	uint64_t handles;        /* where the numbers of open files begin: another worker's are never ours */
	struct timespec started; /* CLOCK_REALTIME; the times of /.hush */
	struct timespec up;      /* the same moment, CLOCK_BOOTTIME */
};

struct tree_entry {
	char name[TREE_NAME_BYTES + 1];
	uint64_t offset; /* where a listing goes on after this entry; stays right whatever comes and goes */
	struct stat attributes;
};

void tree_init(struct tree *tree, struct store *store, uid_t uid, gid_t gid);

/* tree_attributes - as stat(2) shows them. -ENOENT; a removed secret that is still open has st_nlink 0. */
int tree_attributes(const struct tree *tree, uint64_t ino, struct stat *ret_attributes);

/* tree_is_gone - is it the folder of a mesh that was removed? Then somebody has it open: attributes without links. */
bool tree_is_gone(const struct tree *tree, uint64_t ino, struct stat *ret_attributes);

/* tree_lookup - the entry @name of the folder @parent. -ENOENT, -ENOTDIR, -ENAMETOOLONG. */
int tree_lookup(const struct tree *tree, uint64_t parent, const char *name, struct stat *ret_attributes);

/* tree_next - the entry of the folder @ino after @offset (0: the first). -ENOENT at the end, -ENOTDIR. */
int tree_next(const struct tree *tree, uint64_t ino, uint64_t offset, struct tree_entry *ret_entry);

/* tree_name - the identity that @name would have as a file in @parent (a secret; as mesh.yaml a mesh) or a folder (a mesh), whether it is
 * there or not. -EPERM if nothing can be made there, -EINVAL if it is not a valid name, -ENAMETOOLONG, -ENOENT (no such mesh). */
int tree_name(const struct tree *tree, uint64_t parent, const char *name, struct name *ret_name);

/* tree_resource - whose attributes @ino shows: the resource and which of its inodes. -ENOENT; -EPERM for /.hush. */
int tree_resource(const struct tree *tree, uint64_t ino, struct store_info *ret_info, enum record_inode *ret_inode);

/* tree_ino - the inode of a secret, a global secret or a mesh. tree_value_ino - of the file that has its value. */
uint64_t tree_ino(const struct tree *tree, const struct name *name);
uint64_t tree_value_ino(const struct tree *tree, const struct name *name);

/* tree_inode - which inode of its resource @ino is. */
enum record_inode tree_inode(uint64_t ino);

/* tree_generation - the kernel tells an inode from one that had its number before by this. A file keeps its identity when it is removed and
 * made again. A mesh's folders do not: the kernel marks a removed folder as dead for good, so one that is made again while the
 * old one is open has to be another. tree_generation_of - of a mesh's inode, other than mesh.yaml. */
uint32_t tree_generation(const struct tree *tree, uint64_t ino);
uint32_t tree_generation_of(const struct record *mesh, enum record_inode inode);

/* tree_fill - attributes of a file or folder as stat(2) has them. */
void tree_fill(uint64_t ino, const struct record_attributes *from, uint64_t size, struct stat *ret_attributes);

#endif
