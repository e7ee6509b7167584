/* SPDX-License-Identifier: Apache-2.0
 * tree: every folder is either a fixed list of names or one of the store's folders.
 *
 * A listing's offset is a small number for what is fixed, and past that the resource's own number: the next
 * entry is the one with the next greater number, so entries that come and go don't move the others.
 */
#include "fs/tree.h"

#include "fs/node.h"

#include <errno.h>
#include <string.h>

#define OFFSET_FIXED 16 /* below: ".", ".." and fixed entries; above: OFFSET_FIXED + the resource's number */

struct fixed {
	enum node_kind parent;
	const char *name;
	enum node_kind kind;
	bool hidden; /* from listings */
};

static const struct fixed tree_fixed[] = {
	{NODE_ROOT, "meshes", NODE_MESHES, false},
	{NODE_ROOT, "global", NODE_GLOBAL, false},
	{NODE_ROOT, ".hush", NODE_HUSH, true},
	{NODE_HUSH, "status", NODE_STATUS, false},
	{NODE_HUSH, "apply", NODE_APPLY, false},
	{NODE_HUSH, "delete", NODE_DELETE, false},
	{NODE_HUSH, "check", NODE_CHECK, false},
	{NODE_HUSH, "backup", NODE_BACKUP, false},
	{NODE_HUSH, "lock", NODE_LOCK, false},
	{NODE_HUSH, "unlock", NODE_UNLOCK, false},
	{NODE_MESH, "secrets", NODE_SECRETS, false},
	{NODE_MESH, "mesh.yaml", NODE_MESH_YAML, false},
};
#define N_FIXED (sizeof(tree_fixed) / sizeof(tree_fixed[0]))

void tree_init(struct tree *tree, struct store *store, uid_t uid, gid_t gid)
{
	const struct name root = {.kind = NAME_ROOT};

	*tree = (struct tree){.store = store, .root = store_node(store, &root), .uid = uid, .gid = gid};
	clock_gettime(CLOCK_REALTIME, &tree->started);
	clock_gettime(CLOCK_BOOTTIME, &tree->up);
}

/* The kind of resources that a folder lists, 0 if it lists none. */
static enum name_kind tree_folder_kind(uint64_t ino)
{
	switch (node_kind(ino)) {
	case NODE_MESHES:
		return NAME_MESH;
	case NODE_SECRETS:
		return NAME_SECRET;
	case NODE_GLOBAL:
		return NAME_GLOBAL_SECRET;
	default:
		return 0;
	}
}

static uint64_t tree_ino_of(enum name_kind kind, uint64_t resource)
{
	static const enum node_kind kinds[] = {[NAME_MESH] = NODE_MESH,
					       [NAME_SECRET] = NODE_SECRET,
					       [NAME_GLOBAL_SECRET] = NODE_GLOBAL_SECRET};

	return node_make(kinds[kind], resource);
}

uint64_t tree_ino(const struct tree *tree, const struct name *name)
{
	return tree_ino_of(name->kind, store_node(tree->store, name));
}

static bool tree_is_hush(uint64_t ino)
{
	return node_kind(ino) == NODE_HUSH || node_is_control(ino);
}

uint64_t tree_value_ino(const struct tree *tree, const struct name *name)
{
	uint64_t resource = store_node(tree->store, name);

	return name->kind == NAME_MESH ? node_make(NODE_MESH_YAML, resource) : tree_ino_of(name->kind, resource);
}

static bool tree_is_folder(uint64_t ino)
{
	switch (node_kind(ino)) {
	case NODE_ROOT:
	case NODE_MESHES:
	case NODE_GLOBAL:
	case NODE_HUSH:
	case NODE_MESH:
	case NODE_SECRETS:
		return true;
	default:
		return false;
	}
}

enum record_inode tree_inode(uint64_t ino)
{
	switch (node_kind(ino)) {
	case NODE_MESHES:
		return RECORD_MESHES;
	case NODE_GLOBAL:
		return RECORD_GLOBAL;
	case NODE_SECRETS:
		return RECORD_MESH_SECRETS;
	case NODE_MESH_YAML:
		return RECORD_MESH_YAML;
	default:
		return RECORD_SELF;
	}
}

int tree_resource(const struct tree *tree, uint64_t ino, struct store_info *ret_info, enum record_inode *ret_inode)
{
	enum node_kind kind = node_kind(ino);
	bool root = kind == NODE_ROOT || kind == NODE_MESHES || kind == NODE_GLOBAL;

	if (tree_is_hush(ino))
		return -EPERM;
	*ret_inode = tree_inode(ino);
	return store_look(tree->store, root ? tree->root : node_resource(ino), ret_info);
}

uint32_t tree_generation_of(const struct record *mesh, enum record_inode inode)
{
	return (uint32_t)(mesh->created + mesh->inodes[inode].removals); /* the kernel keeps 32 bits of it */
}

uint32_t tree_generation(const struct tree *tree, uint64_t ino)
{
	struct store_info info;
	enum record_inode inode;

	if ((node_kind(ino) != NODE_MESH && node_kind(ino) != NODE_SECRETS) ||
	    tree_resource(tree, ino, &info, &inode) < 0)
		return 1;
	return tree_generation_of(&info.record, inode);
}

void tree_fill(uint64_t ino, const struct record_attributes *from, uint64_t size, struct stat *ret_attributes)
{
	bool folder = tree_is_folder(ino);

	*ret_attributes = (struct stat){
		.st_ino = ino,
		.st_mode = from->mode | (folder ? S_IFDIR : S_IFREG),
		.st_nlink = folder ? 2 : 1,
		.st_uid = from->uid,
		.st_gid = from->gid,
		.st_size = (off_t)size,
		.st_blksize = 4096,
		.st_blocks = (blkcnt_t)((size + 511) / 512),
		.st_atim = from->atime,
		.st_mtim = from->mtime,
		.st_ctim = from->ctime,
	};
}

/* /.hush and what is in it: nobody's but the owner's. */
static void tree_fill_hush(const struct tree *tree, uint64_t ino, struct stat *ret_attributes)
{
	static const mode_t modes[NODE_KINDS] = {[NODE_HUSH] = 0700,   [NODE_STATUS] = 0400, [NODE_APPLY] = 0600,
						 [NODE_DELETE] = 0600, [NODE_CHECK] = 0400,  [NODE_BACKUP] = 0400,
						 [NODE_LOCK] = 0600,   [NODE_UNLOCK] = 0600};
	const struct record_attributes hush = {
		.uid = tree->uid,
		.gid = tree->gid,
		.mode = modes[node_kind(ino)],
		.mtime = tree->started,
		.ctime = tree->started,
		.atime = tree->started,
	};

	tree_fill(ino, &hush, 0, ret_attributes);
}

/* A folder has a link from each folder in it. */
static nlink_t tree_subfolders(const struct tree *tree, uint64_t ino, const struct record *record)
{
	struct store_status status;

	switch (node_kind(ino)) {
	case NODE_ROOT:
		return 2;
	case NODE_MESH:
		return !record_is_absent(&record->inodes[RECORD_MESH_SECRETS]);
	case NODE_MESHES:
		store_get_status(tree->store, &status);
		return (nlink_t)status.meshes;
	default:
		return 0;
	}
}

static void tree_fill_info(const struct tree *tree, uint64_t ino, const struct store_info *info,
			   enum record_inode inode, struct stat *ret_attributes)
{
	tree_fill(ino, &info->record.inodes[inode], node_is_value(ino) ? info->record.size : 0, ret_attributes);
	ret_attributes->st_nlink += tree_subfolders(tree, ino, &info->record);
	if (!info->exists || record_is_absent(&info->record.inodes[inode]))
		ret_attributes->st_nlink = 0;
}

int tree_attributes(const struct tree *tree, uint64_t ino, struct stat *ret_attributes)
{
	struct store_info info;
	enum record_inode inode;
	int r;

	if (tree_is_hush(ino)) {
		tree_fill_hush(tree, ino, ret_attributes);
		return 0;
	}
	r = tree_resource(tree, ino, &info, &inode);
	if (r == 0)
		tree_fill_info(tree, ino, &info, inode, ret_attributes);
	return r;
}

bool tree_is_gone(const struct tree *tree, uint64_t ino, struct stat *ret_attributes)
{
	static const struct record_attributes none;
	struct store_info info;

	if ((node_kind(ino) != NODE_MESH && node_kind(ino) != NODE_SECRETS) ||
	    store_look(tree->store, node_resource(ino), &info) == 0)
		return false;
	tree_fill(ino, &none, 0, ret_attributes);
	ret_attributes->st_nlink = 0;
	return true;
}

/* A mesh's folder has two entries; the names of others are not valid. */
static int tree_name_in_mesh(const struct tree *tree, uint64_t parent, const char *name, struct name *ret_name)
{
	struct store_info mesh;

	if (store_look(tree->store, node_resource(parent), &mesh) < 0 || !mesh.exists)
		return -ENOENT;
	if (strcmp(name, "mesh.yaml") != 0)
		return strcmp(name, "secrets") == 0 ? -EPERM : -EINVAL;
	*ret_name = mesh.record.name;
	return 0;
}

int tree_name(const struct tree *tree, uint64_t parent, const char *name, struct name *ret_name)
{
	enum name_kind kind = tree_folder_kind(parent);
	struct store_info mesh = {0};

	if (strlen(name) > TREE_NAME_BYTES)
		return -ENAMETOOLONG;
	if (node_kind(parent) == NODE_MESH)
		return tree_name_in_mesh(tree, parent, name, ret_name);
	if (!kind)
		return -EPERM;
	if (kind == NAME_SECRET && (store_look(tree->store, node_resource(parent), &mesh) < 0 || !mesh.exists))
		return -ENOENT;
	return name_set(ret_name, kind, mesh.record.name.name, name);
}

/* A fixed entry of @parent. -ENOENT if it was removed by hand. */
static int tree_fixed_attributes(const struct tree *tree, const struct fixed *fixed, uint64_t parent,
				 struct stat *ret_attributes)
{
	uint64_t resource = fixed->parent == NODE_HUSH ? tree->root : node_resource(parent);
	int r = tree_attributes(tree, node_make(fixed->kind, resource), ret_attributes);

	return r == 0 && ret_attributes->st_nlink == 0 ? -ENOENT : r;
}

int tree_lookup(const struct tree *tree, uint64_t parent, const char *name, struct stat *ret_attributes)
{
	struct store_info info;
	struct name identity;
	uint64_t ino;
	int r;

	if (!tree_is_folder(parent))
		return -ENOTDIR;
	for (size_t i = 0; i < N_FIXED; i++)
		if (tree_fixed[i].parent == node_kind(parent) && strcmp(tree_fixed[i].name, name) == 0)
			return tree_fixed_attributes(tree, &tree_fixed[i], parent, ret_attributes);
	r = tree_name(tree, parent, name, &identity);
	if (r < 0)
		return r == -ENAMETOOLONG ? r : -ENOENT;
	ino = tree_ino(tree, &identity);
	r = store_look(tree->store, node_resource(ino), &info);
	if (r < 0 || !info.exists)
		return -ENOENT;
	tree_fill_info(tree, ino, &info, RECORD_SELF, ret_attributes);
	return 0;
}

/* The folder that a folder is in. */
static uint64_t tree_parent(uint64_t ino)
{
	switch (node_kind(ino)) {
	case NODE_MESH:
		return node_make(NODE_MESHES, 0);
	case NODE_SECRETS:
		return node_make(NODE_MESH, node_resource(ino));
	default:
		return NODE_ROOT;
	}
}

/* ".", ".." and the fixed entries of @ino; -ENOENT after the last. */
static int tree_next_fixed(const struct tree *tree, uint64_t ino, uint64_t offset, struct tree_entry *ret_entry)
{
	if (offset < 2) {
		strcpy(ret_entry->name, offset == 0 ? "." : "..");
		ret_entry->offset = offset + 1;
		return tree_attributes(tree, offset == 0 ? ino : tree_parent(ino), &ret_entry->attributes);
	}
	for (size_t i = offset - 2; i < N_FIXED; i++) {
		if (tree_fixed[i].parent != node_kind(ino) || tree_fixed[i].hidden ||
		    tree_fixed_attributes(tree, &tree_fixed[i], ino, &ret_entry->attributes) < 0)
			continue;
		strcpy(ret_entry->name, tree_fixed[i].name);
		ret_entry->offset = i + 3;
		return 0;
	}
	return -ENOENT;
}

int tree_next(const struct tree *tree, uint64_t ino, uint64_t offset, struct tree_entry *ret_entry)
{
	enum name_kind kind = tree_folder_kind(ino);
	struct store_info info;
	int r;

	if (!tree_is_folder(ino))
		return -ENOTDIR;
	if (offset < OFFSET_FIXED) {
		r = tree_next_fixed(tree, ino, offset, ret_entry);
		if (r != -ENOENT || !kind)
			return r;
		offset = OFFSET_FIXED;
	}
	if (!kind)
		return -ENOENT;
	r = store_next(tree->store, kind, node_resource(ino), offset - OFFSET_FIXED, &info);
	if (r < 0)
		return r;
	strcpy(ret_entry->name, info.record.name.name);
	ret_entry->offset = OFFSET_FIXED + info.node;
	tree_fill_info(tree, tree_ino_of(kind, info.node), &info, RECORD_SELF, &ret_entry->attributes);
	return 0;
}
