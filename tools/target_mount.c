/* SPDX-License-Identifier: Apache-2.0
 * target_mount: a mount's resources are its files, so that the rights of who runs the command count, and others'
 * inotify sees what it does.
 *
 * What is being looked at may change meanwhile: a name that is gone when its turn comes was removed, and is no error.
 */
#include "tools/target_internal.h"

#include "store/log.h"
#include "store/mesh.h"
#include "tools/arena.h"
#include "tools/mountinfo.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#define TARGET_MOUNT_CREATED "user.hushfs.created" /* "SECONDS.NANOSECONDS" */

int target_mount_failed(const struct target *target, const char *path, int error)
{
	if (error == EACCES || error == EPERM)
		log_error("%s: %s; its owner can open it to you (chmod, setfacl)", path, strerror(error));
	else if (error == ENOTCONN)
		log_error("%s: the daemon of this mount is gone; unmount it with fusermount3 -u and mount it again",
			  target->path);
	else if (error == ENOKEY)
		log_error("%s: it is locked: hushctl unlock", path);
	else if (error == EIO)
		log_error("%s: what is stored is not what was written; the daemon's log says more (journalctl -t hushfs)", path);
	else
		log_error("%s: %s", path, strerror(error));
	return -error;
}

int target_ask(const struct target *target)
{
	struct statvfs answers;

	return statvfs(target->path, &answers) < 0 && errno == ENOTCONN ? target_mount_failed(target, target->path, ENOTCONN) : 0;
}

int target_mount_open(const char *mount, struct target *target)
{
	const char *variable = getenv("HUSH_MOUNT");
	struct statvfs answers;
	struct stat st;
	int r;

	if (mount)
		r = mountinfo_find(mount, "--mount", &target->path);
	else if (variable && *variable)
		r = mountinfo_find(variable, "$HUSH_MOUNT", &target->path);
	else
		r = mountinfo_find(NULL, NULL, &target->path);
	if (r < 0)
		return r;
	/* attributes may be those that the kernel has kept; but only they say who gets in */
	if (stat(target->path, &st) == 0 && statvfs(target->path, &answers) == 0)
		return 0;
	r = -errno;
	if (r == -EACCES)
		log_error("%s: only who mounted it gets in, unless it is mounted with -o allow_other", target->path);
	else
		target_mount_failed(target, target->path, errno);
	free(target->path);
	return r;
}

static void target_mount_close(struct target *target)
{
	(void)target;
}

/* The file of a resource. */
static void target_mount_path(const struct target *target, const struct name *name,
			      char ret_path[static TARGET_PATH_BYTES])
{
	if (name->kind == NAME_MESH)
		snprintf(ret_path, TARGET_PATH_BYTES, "%s/meshes/%s/mesh.yaml", target->path, name->name);
	else if (name->kind == NAME_SECRET)
		snprintf(ret_path, TARGET_PATH_BYTES, "%s/meshes/%s/secrets/%s", target->path, name->mesh, name->name);
	else
		snprintf(ret_path, TARGET_PATH_BYTES, "%s/global/%s", target->path, name->name);
}

/* The folder of a Mesh. */
static void target_mount_mesh_path(const struct target *target, const char *mesh,
				   char ret_path[static TARGET_PATH_BYTES])
{
	snprintf(ret_path, TARGET_PATH_BYTES, "%s/meshes/%s", target->path, mesh);
}

/* When it was made: an older daemon doesn't say, then it is when it was changed. -ENOENT: it has been removed meanwhile. */
static int target_mount_created(const char *path, struct timespec modified, struct timespec *ret_created)
{
	char text[64] = "";
	intmax_t seconds;
	long nanoseconds;

	*ret_created = modified;
	if (getxattr(path, TARGET_MOUNT_CREATED, text, sizeof(text) - 1) < 0)
		return errno == ENOENT || errno == ENOTDIR ? -ENOENT : 0;
	if (sscanf(text, "%jd.%ld", &seconds, &nanoseconds) == 2)
		*ret_created = (struct timespec){.tv_sec = (time_t)seconds, .tv_nsec = nanoseconds};
	return 0;
}

/* lstat; that a part of the path is no folder means that it is not there. Other errors are said. */
static int target_mount_stat(const struct target *target, const char *path, struct stat *ret_st)
{
	if (lstat(path, ret_st) == 0)
		return 0;
	return errno == ENOENT || errno == ENOTDIR ? -ENOENT : target_mount_failed(target, path, errno);
}

static int target_mount_find(struct target *target, const struct name *name, struct target_entry *ret_entry)
{
	char path[TARGET_PATH_BYTES];
	struct stat st;
	int r;

	target_mount_path(target, name, path);
	r = target_mount_stat(target, path, &st);
	if (r == -ENOENT && name->kind == NAME_MESH) {
		/* mesh.yaml can be removed by hand, and then the Mesh is one without fields */
		target_mount_mesh_path(target, name->name, path);
		r = target_mount_stat(target, path, &st);
		if (r == 0 && !S_ISDIR(st.st_mode))
			r = -ENOENT;
		st.st_size = 0;
	}
	if (r < 0)
		return r;
	*ret_entry = (struct target_entry){.name = *name, .size = (uint64_t)st.st_size, .modified = st.st_mtim};
	return target_mount_created(path, st.st_mtim, &ret_entry->created);
}

/* The folder of all resources of a kind (of one mesh). */
static void target_mount_folder(const struct target *target, enum name_kind kind, const char *mesh,
				char ret_path[static TARGET_PATH_BYTES])
{
	if (kind == NAME_MESH)
		snprintf(ret_path, TARGET_PATH_BYTES, "%s/meshes", target->path);
	else if (kind == NAME_SECRET)
		snprintf(ret_path, TARGET_PATH_BYTES, "%s/meshes/%s/secrets", target->path, mesh);
	else
		snprintf(ret_path, TARGET_PATH_BYTES, "%s/global", target->path);
}

/* One name of a folder; what is no resource is a scratch file. */
static int target_mount_add(struct target *target, enum name_kind kind, const char *mesh, const char *file,
			    struct target_entries *entries)
{
	struct target_entry entry;
	struct name name;
	int r;

	if (name_set(&name, kind, kind == NAME_SECRET ? mesh : "", file) < 0)
		return 0;
	r = target_mount_find(target, &name, &entry);
	if (r == 0)
		r = target_entries_add(entries, &entry);
	return r == -ENOENT ? 0 : r;
}

/* A Mesh of which somebody has removed secrets/ by hand has none. */
static int target_mount_no_folder(const struct target *target, enum name_kind kind, const char *mesh)
{
	char path[TARGET_PATH_BYTES];
	struct stat st;

	if (kind != NAME_SECRET)
		return -ENOENT;
	target_mount_mesh_path(target, mesh, path);
	return target_mount_stat(target, path, &st);
}

static int target_mount_list(struct target *target, enum name_kind kind, const char *mesh,
			     struct target_entries *entries)
{
	char path[TARGET_PATH_BYTES];
	struct dirent *file;
	struct name name;
	DIR *folder;
	int r = 0;

	if (kind == NAME_SECRET && name_set(&name, NAME_MESH, "", mesh) < 0)
		return -ENOENT; /* nor is it to lead elsewhere */
	target_mount_folder(target, kind, mesh, path);
	folder = opendir(path);
	if (!folder && (errno == ENOENT || errno == ENOTDIR))
		return target_mount_no_folder(target, kind, mesh);
	if (!folder)
		return target_mount_failed(target, path, errno);
	errno = 0;
	while (r == 0 && (file = readdir(folder))) {
		r = target_mount_add(target, kind, mesh, file->d_name, entries);
		errno = 0;
	}
	if (r == 0 && errno)
		r = target_mount_failed(target, path, errno);
	closedir(folder);
	return r;
}

/* All of a file, which says how long it is. -ENOMEM is not said. */
static int target_mount_read_file(const struct target *target, const char *path, int fd, struct secbuf *ret_value)
{
	struct stat st;
	size_t size = 0;
	int r = fstat(fd, &st) == 0 ? secbuf_resize(ret_value, (size_t)st.st_size + 1) : -errno;

	while (r == 0) {
		ssize_t n = read(fd, ret_value->data + size, ret_value->size - size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return target_mount_failed(target, path, errno);
		if (n == 0)
			return secbuf_resize(ret_value, size);
		size += (size_t)n;
		if (size == ret_value->size)
			r = secbuf_resize(ret_value, 2 * size);
	}
	return r;
}

static bool target_mount_can_read(struct target *target, const struct name *name)
{
	char path[TARGET_PATH_BYTES];
	int fd;

	target_mount_path(target, name, path);
	fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd >= 0)
		close(fd);
	return fd >= 0 || errno == ENOENT; /* see target_mount_find */
}

static int target_mount_read(struct target *target, const struct name *name, struct secbuf *ret_value)
{
	SECBUF_AUTO value = {0};
	char path[TARGET_PATH_BYTES];
	struct stat st;
	int r, fd;

	target_mount_path(target, name, path);
	fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd >= 0) {
		r = target_mount_read_file(target, path, fd, &value);
		close(fd);
	} else if (errno != ENOENT && errno != ENOTDIR) {
		return target_mount_failed(target, path, errno);
	} else if (name->kind == NAME_MESH) { /* see target_mount_find */
		target_mount_mesh_path(target, name->name, path);
		r = target_mount_stat(target, path, &st);
		if (r == 0)
			r = mesh_document(name->name, &value);
	} else {
		return -ENOENT;
	}
	if (r == 0) {
		*ret_value = value;
		value = (struct secbuf){0}; /* transferred */
	}
	return r == -ENOMEM ? arena_full(path) : r;
}

/* The mTLS backend of a Mesh. Who may not read that is told by the daemon what is in use, with less words. */
static struct mesh_backend target_mount_backend(struct target *target, const char *mesh)
{
	SECBUF_AUTO yaml = {0};
	struct mesh_backend backend = {0};
	struct name name;

	if (name_set(&name, NAME_MESH, "", mesh) < 0 || !target_mount_can_read(target, &name))
		return backend;
	if (target_read(target, &name, &yaml) < 0 || mesh_read(&yaml, mesh, &backend) < 0)
		return (struct mesh_backend){0};
	return backend;
}

/* Is it in use? Then the sentence that says so. */
static bool target_mount_in_use(const struct mesh_backend *backend, const struct name *name,
				struct bundle_error *ret_error)
{
	char text[MESH_IN_USE_BYTES];

	if (name->kind != NAME_SECRET || !mesh_uses(backend, name->name))
		return false;
	mesh_in_use(name->mesh, backend, name->name, text);
	snprintf(ret_error->text, sizeof(ret_error->text), "%.399s", text);
	return true;
}

/* So that it is all or none: is none of them in use? */
static int target_mount_check_use(struct target *target, const struct name *names, size_t n,
				  struct bundle_error *ret_error)
{
	struct mesh_backend backend = {0};
	const char *mesh = "";

	for (size_t i = 0; i < n; i++) {
		if (strcmp(names[i].mesh, mesh) != 0)
			backend = target_mount_backend(target, names[i].mesh);
		mesh = names[i].mesh;
		if (target_mount_in_use(&backend, &names[i], ret_error))
			return -EBUSY;
	}
	return 0;
}

static int target_mount_unlink(struct target *target, const struct name *name, struct bundle_error *ret_error)
{
	struct mesh_backend backend;
	char path[TARGET_PATH_BYTES];
	int error;

	target_mount_path(target, name, path);
	if (unlink(path) == 0)
		return 0;
	error = errno;
	if (error == ENOENT)
		return target_missing(name, ret_error);
	if (error == EBUSY) { /* the Mesh has changed meanwhile */
		backend = target_mount_backend(target, name->mesh);
		if (target_mount_in_use(&backend, name, ret_error))
			return -EBUSY;
	}
	snprintf(ret_error->text, sizeof(ret_error->text), "%.300s: %s", path,
		 error == ENOKEY ? "it is locked: hushctl unlock" : strerror(error));
	return -error;
}

/* Is it this user's mount, and not read-only? */
static bool target_mount_is_mine(const struct target *target)
{
	char path[TARGET_PATH_BYTES];

	snprintf(path, sizeof(path), "%s/.hush/delete", target->path);
	return faccessat(AT_FDCWD, path, W_OK, AT_EACCESS) == 0;
}

/* Several secrets of who has mounted it go in one transaction; of who hasn't, one file after the other. */
static int target_mount_remove(struct target *target, const struct name *names, size_t n,
			       struct bundle_error *ret_error)
{
	int r;

	if (names[0].kind == NAME_MESH)
		return target_control_remove(target, names, n, ret_error);
	r = target_mount_check_use(target, names, n, ret_error);
	if (r == 0 && n > 1 && target_mount_is_mine(target))
		return target_control_remove(target, names, n, ret_error);
	for (size_t i = 0; r == 0 && i < n; i++) {
		size_t used;

		r = target_mount_unlink(target, &names[i], ret_error);
		used = strlen(ret_error->text);
		if (r < 0 && i > 0)
			snprintf(ret_error->text + used, sizeof(ret_error->text) - used, "; %zu of %zu were deleted", i,
				 n);
	}
	return r;
}

const struct target_calls target_mount_calls = {
	.list = target_mount_list,
	.find = target_mount_find,
	.can_read = target_mount_can_read,
	.read = target_mount_read,
	.apply = target_control_apply,
	.remove = target_mount_remove,
	.status = target_control_status,
	.check = target_control_check,
	.copy = target_control_copy,
	.close = target_mount_close,
};
