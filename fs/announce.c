/* SPDX-License-Identifier: Apache-2.0
 * announce: walking the own mount, and what the walker is told.
 *
 * What was updated is opened for writing, gets a new mtime and is closed. What was created is looked up in vain, so
 * that open(2) with O_CREAT or mkdir(2) asks for it to be made. What was removed is found, as if it were there, and
 * removed.
 *
 * The mount is held open only meanwhile, else it could not be unmounted. Whatever else was mounted on it or in it is
 * left alone (RESOLVE_NO_XDEV), as is everything if the mount point shows another device.
 */
#include "fs/announce.h"

#include "fs/node.h"
#include "store/log.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

struct announce {
	const struct tree *tree;
	const char *mountpoint; /* NULL: not mounted */
	dev_t device;
	atomic_int thread; /* that announces; 0: none */
	pthread_mutex_t lock;
	struct announce_change now; /* what it is about; under the lock */
};

struct announce *announce_new(const struct tree *tree)
{
	struct announce *announce = calloc(1, sizeof(*announce));

	if (announce) {
		announce->tree = tree;
		pthread_mutex_init(&announce->lock, NULL);
	}
	return announce;
}

struct announce *announce_free(struct announce *announce)
{
	if (announce) {
		pthread_mutex_destroy(&announce->lock);
		free(announce);
	}
	return NULL;
}

/* The device that a path shows, without asking who serves it. 0 if there is nothing. */
static dev_t announce_device(int fd, const char *path)
{
	int flags = AT_STATX_DONT_SYNC | AT_SYMLINK_NOFOLLOW | (path[0] ? 0 : AT_EMPTY_PATH);
	struct statx st;

	if (statx(fd, path, flags, STATX_TYPE, &st) < 0)
		return 0;
	return makedev(st.stx_dev_major, st.stx_dev_minor);
}

void announce_mounted(struct announce *announce, const char *mountpoint, dev_t device)
{
	announce->device = device;
	announce->mountpoint = device ? mountpoint : NULL;
}

/* openat(2) of a path within the mount. The descriptor, or -errno. */
static int announce_open(int folder, const char *path, int flags)
{
	const struct open_how how = {.flags = (unsigned)flags | O_CLOEXEC | O_NOFOLLOW,
				     .mode = flags & O_CREAT ? 0600 : 0,
				     .resolve = RESOLVE_BENEATH | RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS};
	long fd = syscall(SYS_openat2, folder, path, &how, sizeof(how));

	return fd < 0 ? -errno : (int)fd;
}

/* The mount's root, if it is still ours. */
static int announce_open_root(const struct announce *announce)
{
	int fd = announce->mountpoint ? open(announce->mountpoint, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) : -1;

	if (fd >= 0 && announce_device(fd, "") != announce->device) {
		close(fd);
		fd = -1;
	}
	return fd < 0 ? -ENOENT : fd;
}

/* Only its mtime, of a descriptor made with any flags. */
static int announce_touch(int fd)
{
	const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_nsec = UTIME_NOW}};
	int r = utimensat(fd, "", times, AT_EMPTY_PATH) < 0 ? -errno : 0;

	close(fd);
	return r;
}

/* Its owner may not open a file with the mode 0400, but may set its times. */
static int announce_updated(int folder, const char *file)
{
	int fd = announce_open(folder, file, O_WRONLY);

	if (fd == -EACCES)
		fd = announce_open(folder, file, O_PATH);
	return fd < 0 ? fd : announce_touch(fd);
}

static int announce_created(int folder, const struct name *name)
{
	int fd;

	if (name->kind == NAME_MESH)
		return mkdirat(folder, name->name, 0700) < 0 ? -errno : 0;
	fd = announce_open(folder, name->name, O_WRONLY | O_CREAT | O_EXCL);
	if (fd >= 0)
		close(fd);
	return fd < 0 ? fd : 0;
}

/* In the order of rm -r. */
static int announce_removed(int folder, const struct name *name)
{
	int mesh, r;

	if (name->kind != NAME_MESH)
		return unlinkat(folder, name->name, 0) < 0 ? -errno : 0;
	mesh = announce_open(folder, name->name, O_PATH | O_DIRECTORY);
	if (mesh < 0)
		return mesh;
	r = unlinkat(mesh, "mesh.yaml", 0) < 0 || unlinkat(mesh, "secrets", AT_REMOVEDIR) < 0 ||
			    unlinkat(folder, name->name, AT_REMOVEDIR) < 0
		    ? -errno
		    : 0;
	close(mesh);
	return r;
}

/* The path of the folder in which a change is to be seen. */
static void announce_folder(const struct announce_change *change, char *ret_path, size_t bytes)
{
	const struct name *name = &change->name;

	if (name->kind == NAME_SECRET)
		snprintf(ret_path, bytes, "meshes/%s/secrets", name->mesh);
	else if (name->kind == NAME_MESH && change->kind == ANNOUNCE_UPDATED)
		snprintf(ret_path, bytes, "meshes/%s", name->name);
	else
		snprintf(ret_path, bytes, name->kind == NAME_MESH ? "meshes" : "global");
}

/* The folder that was used last, as most changes come in rows. */
struct announce_walk {
	int root, folder;
	char path[NAME_MESH_BYTES + 32];
};

static int announce_one(struct announce_walk *walk, const struct announce_change *change)
{
	char path[sizeof(walk->path)];

	announce_folder(change, path, sizeof(path));
	if (walk->folder < 0 || strcmp(path, walk->path) != 0) {
		if (walk->folder >= 0)
			close(walk->folder);
		strcpy(walk->path, path);
		walk->folder = announce_open(walk->root, path, O_PATH | O_DIRECTORY);
		if (walk->folder < 0)
			return walk->folder;
	}
	switch (change->kind) {
	case ANNOUNCE_CREATED:
		return announce_created(walk->folder, &change->name);
	case ANNOUNCE_REMOVED:
		return announce_removed(walk->folder, &change->name);
	case ANNOUNCE_UPDATED:
	default:
		return announce_updated(walk->folder, change->name.kind == NAME_MESH ? "mesh.yaml" : change->name.name);
	}
}

/* Somebody may have changed it again meanwhile, and was seen doing so. */
static bool announce_is_overtaken(int r)
{
	return r == -ENOENT || r == -EEXIST || r == -ESTALE;
}

void announce_run(struct announce *announce, const struct announce_change *changes, size_t n)
{
	struct announce_walk walk = {.root = announce_open_root(announce), .folder = -1};
	size_t failed = walk.root < 0 ? n : 0;
	int first = -ENOENT;

	atomic_store(&announce->thread, gettid());
	for (size_t i = 0; i < n && walk.root >= 0; i++) {
		int r;

		pthread_mutex_lock(&announce->lock);
		announce->now = changes[i];
		pthread_mutex_unlock(&announce->lock);
		r = announce_one(&walk, &changes[i]);
		if (r < 0 && !announce_is_overtaken(r))
			first = failed++ ? first : r;
	}
	if (walk.folder >= 0)
		close(walk.folder);
	if (walk.root >= 0)
		close(walk.root);
	atomic_store(&announce->thread, 0);
	if (failed)
		log_warning("watchers were not told of %zu changes: %s", failed,
			    walk.root < 0 ? "this mount is not at its place any more" : strerror(-first));
}

bool announce_is(struct announce *announce, pid_t thread)
{
	return announce && thread > 0 && atomic_load(&announce->thread) == thread;
}

static struct announce_change announce_now(struct announce *announce)
{
	struct announce_change now;

	pthread_mutex_lock(&announce->lock);
	now = announce->now;
	pthread_mutex_unlock(&announce->lock);
	return now;
}

/* The inode that @name in @parent had. 0 if it is not on the way to what was removed. */
static uint64_t announce_removed_ino(const struct announce *announce, const struct announce_change *now,
				     uint64_t parent, const char *name)
{
	switch (node_kind(parent)) {
	case NODE_MESHES:
		return node_make(NODE_MESH, now->mesh);
	case NODE_MESH:
		return node_make(strcmp(name, "secrets") == 0 ? NODE_SECRETS : NODE_MESH_YAML, node_resource(parent));
	case NODE_SECRETS:
	case NODE_GLOBAL:
		return tree_ino(announce->tree, &now->name);
	default:
		return 0;
	}
}

/* Whoever may walk here is the daemon: what is gone is its own. */
static void announce_fill_removed(const struct announce *announce, uint64_t ino, struct stat *ret_attributes)
{
	const struct record_attributes own = {
		.uid = announce->tree->uid, .gid = announce->tree->gid, .mode = node_is_value(ino) ? 0600 : 0700};

	tree_fill(ino, &own, 0, ret_attributes);
}

int announce_lookup(struct announce *announce, uint64_t parent, const char *name, struct stat *ret_attributes,
		    uint32_t *ret_generation)
{
	const struct announce_change now = announce_now(announce);
	uint64_t ino;
	int r = tree_lookup(announce->tree, parent, name, ret_attributes);

	if (r == 0)
		*ret_generation = tree_generation(announce->tree, ret_attributes->st_ino);
	if (r == 0 && now.kind == ANNOUNCE_CREATED && ret_attributes->st_ino == tree_ino(announce->tree, &now.name))
		return -ENOENT;
	if (r != -ENOENT || now.kind != ANNOUNCE_REMOVED)
		return r;
	ino = announce_removed_ino(announce, &now, parent, name);
	if (!ino)
		return r;
	announce_fill_removed(announce, ino, ret_attributes);
	*ret_generation = node_kind(ino) == NODE_MESH	   ? now.generations[RECORD_SELF]
			  : node_kind(ino) == NODE_SECRETS ? now.generations[RECORD_MESH_SECRETS]
							   : 1;
	return 0;
}

void announce_attributes(struct announce *announce, uint64_t ino, struct stat *ret_attributes)
{
	if (tree_attributes(announce->tree, ino, ret_attributes) < 0 || ret_attributes->st_nlink == 0)
		announce_fill_removed(announce, ino, ret_attributes);
}
