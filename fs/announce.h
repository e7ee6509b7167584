/* SPDX-License-Identifier: Apache-2.0
 * announce: tells watchers (inotify) of changes that no program made through the mount.
 *
 * The kernel tells watchers of calls that go through the mount, and of nothing else. So the thread that has made a
 * change has a helper make the calls that a program would have made: on its own mount, one after the other. Whoever serves them
 * knows the helper and answers them as if they did something: announce_is, announce_lookup, announce_attributes.
 */
#ifndef FS_ANNOUNCE_H
#define FS_ANNOUNCE_H

#include "fs/tree.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

enum announce_kind {
	ANNOUNCE_CREATED,
	ANNOUNCE_UPDATED,
	ANNOUNCE_REMOVED,
};

struct announce_change {
	enum announce_kind kind;
	struct name name;                    /* of a Mesh: created or removed its folder, updated its mesh.yaml */
	uint64_t mesh;                       /* of a removed mesh, or a secret that went with it: the mesh's number, */
	uint32_t generations[RECORD_INODES]; /* and the generations of its inodes (tree_generation_of) */
};

struct announce;

/* announce_new - starts a helper (helper.h); @tree may be filled in later. @mountpoint: what announce_run is to walk, an
 * absolute path (borrowed). NULL without memory or processes (logged). announce_free - NULL is allowed. Returns NULL. */
struct announce *announce_new(const struct tree *tree, const char *mountpoint);
struct announce *announce_free(struct announce *announce);

/* announce_mounted - what is mounted there has the device @device. Before that, and if something else is mounted there later, nothing is
 * announced. */
void announce_mounted(struct announce *announce, dev_t device);

/* announce_detach - have the helper take the mount out of the tree. Does not wait for that. */
void announce_detach(struct announce *announce);

/* announce_run - in this order. Waits for the serving thread, so it must hold no lock that a request needs; one thread
 * at a time. What can't be announced is logged. */
void announce_run(struct announce *announce, const struct announce_change *changes, size_t n);

/* announce_helper - which process it is. */
pid_t announce_helper(const struct announce *announce);

/* For the serving thread. announce_is - is a request of @thread one of announce_run's? NULL is allowed. */
bool announce_is(struct announce *announce, pid_t thread);

/* announce_lookup - what is to be created is not there yet, and what was removed is there still. -ENOENT.
 * @ret_generation: of the inode. */
int announce_lookup(struct announce *announce, uint64_t parent, const char *name, struct stat *ret_attributes,
		    uint32_t *ret_generation);

/* announce_attributes - also of what was removed. */
void announce_attributes(struct announce *announce, uint64_t ino, struct stat *ret_attributes);

#endif
