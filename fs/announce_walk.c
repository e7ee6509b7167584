/* SPDX-License-Identifier: Apache-2.0
 * announce_walk: the helper that walks the own mount, and makes the calls that watchers are to see.
 *
 * What was updated is opened for writing, gets a new mtime and is closed. What was created is looked up in vain, so
 * that open(2) with O_CREAT or mkdir(2) asks for it to be made. What was removed is found, as if it were there, and
 * removed.
 *
 * The mount is held open only meanwhile, else it could not be unmounted. Whatever else was mounted on it or in it is
 * left alone (RESOLVE_NO_XDEV), as is everything if the mount point shows another device.
 */
#include "fs/announce_internal.h"

#include "fs/channel.h"
#include "fs/mount.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* The device that a descriptor shows, without asking who serves it. 0 if that can't be said. */
static dev_t announce_device(int fd)
{
	struct statx st;

	if (statx(fd, "", AT_STATX_DONT_SYNC | AT_EMPTY_PATH, STATX_TYPE, &st) < 0)
		return 0;
	return makedev(st.stx_dev_major, st.stx_dev_minor);
}

/* openat(2) of a path within the mount. The descriptor, or -errno: -EAGAIN of what somebody has a lease of, for which it is not waited. */
static int announce_open(int folder, const char *path, int flags)
{
	const struct open_how how = {.flags = (unsigned)flags | O_CLOEXEC | O_NOFOLLOW | (flags & O_PATH ? 0 : O_NONBLOCK),
				     .mode = flags & O_CREAT ? 0600 : 0,
				     .resolve = RESOLVE_BENEATH | RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS};
	long fd = syscall(SYS_openat2, folder, path, &how, sizeof(how));

	return fd < 0 ? -errno : (int)fd;
}

/* The mount's root, if it is still ours. */
static int announce_open_root(const char *mountpoint, dev_t device)
{
	int fd = open(mountpoint, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd >= 0 && announce_device(fd) != device) {
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

/* Its owner may not open a file with the mode 0400, but may set its times; so may be done where somebody has a lease (fcntl(2)). */
static int announce_updated(int folder, const char *file)
{
	int fd = announce_open(folder, file, O_WRONLY);

	if (fd == -EACCES || fd == -EAGAIN)
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
	const char *mountpoint;
	int root, folder;
	char path[NAME_RESOURCE_BYTES + 32];
};

/* Whatever the sender has become: one name, in a folder that this helper names. */
static bool announce_is_sound(const struct announce_change *change)
{
	const struct name *name = &change->name;
	struct name checked;

	return memchr(name->name, '\0', sizeof(name->name)) && memchr(name->mesh, '\0', sizeof(name->mesh)) &&
	       name->kind != NAME_ROOT && name_set(&checked, name->kind, name->mesh, name->name) == 0;
}

static int announce_one(struct announce_walk *walk, const struct announce_change *change)
{
	char path[sizeof(walk->path)];

	if (!announce_is_sound(change))
		return -EINVAL;
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

static void announce_walk_end(struct announce_walk *walk)
{
	if (walk->folder >= 0)
		close(walk->folder);
	if (walk->root >= 0)
		close(walk->root);
	walk->root = walk->folder = -1;
}

static int announce_walk_order(struct announce_walk *walk, const struct announce_order *order)
{
	switch (order->kind) {
	case ANNOUNCE_BEGIN:
		announce_walk_end(walk);
		walk->root = announce_open_root(walk->mountpoint, order->device);
		return walk->root < 0 ? walk->root : 0;
	case ANNOUNCE_CHANGE:
		return announce_one(walk, &order->change);
	case ANNOUNCE_END:
	default:
		announce_walk_end(walk);
		return 0;
	}
}

void announce_walk(int channel, const void *mountpoint)
{
	struct announce_walk walk = {.mountpoint = mountpoint, .root = -1, .folder = -1};
	struct announce_order order;

	while (channel_receive_bytes(channel, &order, sizeof(order), NULL) == sizeof(order)) {
		int r;

		if (order.kind == ANNOUNCE_DETACH) {
			mount_detach(mountpoint);
			continue;
		}
		r = announce_walk_order(&walk, &order);
		channel_send_bytes(channel, &r, sizeof(r), -1);
	}
}
