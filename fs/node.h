/* SPDX-License-Identifier: Apache-2.0
 * node: inode numbers. A number is what the thing is (5 bits) and which resource it belongs to (56 bits).
 *
 * It is a function of the resource's name alone: there is no table, forgetting is a no-op, another worker
 * gives the same numbers, and a name that is removed and made again has the inode it had. The root is 1 because
 * FUSE says so.
 */
#ifndef FS_NODE_H
#define FS_NODE_H

#include <stdbool.h>
#include <stdint.h>

#define NODE_KINDS 32 /* at most */

enum node_kind {
	NODE_ROOT = 1,           /* / */
	NODE_MESHES = 2,         /* /meshes */
	NODE_GLOBAL = 3,         /* /global */
	NODE_HUSH = 4,           /* /.hush */
	NODE_STATUS = 5,         /* /.hush/status */
	NODE_APPLY = 6,          /* /.hush/apply, and so on */
	NODE_DELETE = 7,
	NODE_MESH = 8,           /* /meshes/<mesh> */
	NODE_SECRETS = 9,        /* /meshes/<mesh>/secrets */
	NODE_MESH_YAML = 10,     /* /meshes/<mesh>/mesh.yaml */
	NODE_SECRET = 11,        /* /meshes/<mesh>/secrets/<name> */
	NODE_GLOBAL_SECRET = 12, /* /global/<name> */
	NODE_SCRATCH = 13,       /* a file with a name that no resource can have; its number is its own, see scratch.h */
	NODE_CHECK = 14,
	NODE_BACKUP = 15,
	NODE_LOCK = 16,
	NODE_UNLOCK = 17,
};

/* node_make - @resource is the store's number of it (store_node); 0 for the folders that are always there, and for what is in /.hush the
 * root's: small numbers are those of terminals and pipes too, and /proc tells files by their numbers alone (writer_holds). */
static inline uint64_t node_make(enum node_kind kind, uint64_t resource)
{
	return resource << 5 | kind;
}

static inline enum node_kind node_kind(uint64_t ino)
{
	return (enum node_kind)(ino & (NODE_KINDS - 1));
}

static inline uint64_t node_resource(uint64_t ino)
{
	return ino >> 5;
}

/* node_is_control - a file of /.hush. */
static inline bool node_is_control(uint64_t ino)
{
	switch (node_kind(ino)) {
	case NODE_STATUS:
	case NODE_APPLY:
	case NODE_DELETE:
	case NODE_CHECK:
	case NODE_BACKUP:
	case NODE_LOCK:
	case NODE_UNLOCK:
		return true;
	default:
		return false;
	}
}

/* node_is_value - is it a file whose bytes are a resource's value? */
static inline bool node_is_value(uint64_t ino)
{
	return node_kind(ino) == NODE_SECRET || node_kind(ino) == NODE_GLOBAL_SECRET ||
	       node_kind(ino) == NODE_MESH_YAML;
}

#endif
