/* SPDX-License-Identifier: Apache-2.0
 * watch: get --watch. inotify says which names to look at; what has changed is found by comparing with what was seen
 * before.
 *
 * So an event that changed nothing prints nothing, and none is needed for each step of a change. An event may come a
 * moment before what it is about: a name is looked at again after a while. Only names and times are looked at, never a
 * value.
 */
#include "tools/watch.h"

#include "store/log.h"
#include "tools/kind.h"
#include "tools/listing.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#define WATCH_TOUCHED_MAX 64 /* names; with more of them at a time all are looked at */
#define WATCH_PATH_BYTES (PATH_MAX + 512)
#define WATCH_EVENTS                                                                                                   \
	(IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_CLOSE_WRITE | IN_MODIFY | IN_ATTRIB | IN_DELETE_SELF)

static const int watch_later_ms[] = {100, 1000}; /* when to look again */
#define WATCH_LATER (sizeof(watch_later_ms) / sizeof(watch_later_ms[0]))
#define WATCH_ASK_MS 2000 /* when to ask whether somebody serves the mount: inotify doesn't tell */

struct watch {
	const struct get *get;
	struct listing listing;
	int inotify;
	int folder; /* the watch of the folder whose names are the resources' names; -1 if there is none */
	struct target_entry *known; /* owned, sorted by name: what was printed last */
	size_t n, capacity;
	char touched[WATCH_TOUCHED_MAX][NAME_RESOURCE_BYTES + 1];
	size_t n_touched;
	bool all;     /* look at all names */
	size_t later; /* how often what was touched has been looked at again */
};

/* Where @name is in what is known, or would be. */
static size_t watch_position(const struct watch *watch, const char *name, bool *ret_known)
{
	size_t low = 0, high = watch->n;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (strcmp(watch->known[middle].name.name, name) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	*ret_known = low < watch->n && strcmp(watch->known[low].name.name, name) == 0;
	return low;
}

static int watch_insert(struct watch *watch, size_t at, const struct target_entry *entry)
{
	if (watch->n == watch->capacity) {
		size_t capacity = 2 * watch->capacity + 16;
		struct target_entry *known = reallocarray(watch->known, capacity, sizeof(*known));

		if (!known)
			return log_no_memory("for so many resources");
		watch->known = known;
		watch->capacity = capacity;
	}
	memmove(&watch->known[at + 1], &watch->known[at], (watch->n - at) * sizeof(*entry));
	watch->known[at] = *entry;
	watch->n++;
	return 0;
}

static bool watch_same_time(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

static bool watch_same(const struct target_entry *a, const struct target_entry *b)
{
	return a->size == b->size && watch_same_time(&a->modified, &b->modified) &&
	       watch_same_time(&a->created, &b->created);
}

/* It is there, as @entry. */
static int watch_is(struct watch *watch, const struct target_entry *entry)
{
	bool known;
	size_t at = watch_position(watch, entry->name.name, &known);
	int r = 0;

	if (known && watch_same(&watch->known[at], entry))
		return 0;
	if (known)
		watch->known[at] = *entry;
	else
		r = watch_insert(watch, at, entry);
	clock_gettime(CLOCK_REALTIME, &watch->listing.now);
	return r < 0 ? r : listing_add(&watch->listing, entry);
}

/* It is not there. */
static int watch_is_gone(struct watch *watch, const char *name)
{
	bool known;
	size_t at = watch_position(watch, name, &known);
	struct name gone;

	if (!known)
		return 0;
	gone = watch->known[at].name;
	watch->n--;
	memmove(&watch->known[at], &watch->known[at + 1], (watch->n - at) * sizeof(watch->known[0]));
	return listing_add_removed(&watch->listing, &gone);
}

static bool watch_wants(const struct watch *watch, const char *name)
{
	return !watch->get->name || strcmp(watch->get->name, name) == 0;
}

/* Is one of the sorted @entries @name? */
static bool watch_has(const struct target_entry *entries, size_t n, const char *name)
{
	struct watch list = {.known = (struct target_entry *)entries, .n = n};
	bool found;

	watch_position(&list, name, &found);
	return found;
}

/* Look at all names. A mesh that is not there has none. */
static int watch_look_at_all(struct watch *watch)
{
	struct target_entry *entries = NULL;
	size_t n = 0;
	int r = target_list(watch->get->target, watch->get->kind, watch->get->mesh, &entries, &n);

	if (r == -ENOENT)
		r = 0;
	for (size_t i = 0; r == 0 && i < watch->n;) {
		if (watch_has(entries, n, watch->known[i].name.name))
			i++;
		else
			r = watch_is_gone(watch, watch->known[i].name.name);
	}
	for (size_t i = 0; r == 0 && i < n; i++)
		if (watch_wants(watch, entries[i].name.name))
			r = watch_is(watch, &entries[i]);
	free(entries);
	return r;
}

static int watch_look_at(struct watch *watch, const char *file)
{
	const struct get *get = watch->get;
	struct target_entry entry;
	struct name name;
	int r;

	if (!watch_wants(watch, file) ||
	    name_set(&name, get->kind, get->kind == NAME_SECRET ? get->mesh : "", file) < 0)
		return 0;
	r = target_find(get->target, &name, &entry);
	if (r == -ENOENT)
		return watch_is_gone(watch, file);
	return r < 0 ? r : watch_is(watch, &entry);
}

static int watch_look(struct watch *watch)
{
	int r = watch->all ? watch_look_at_all(watch) : 0;

	for (size_t i = 0; r == 0 && !watch->all && i < watch->n_touched; i++)
		r = watch_look_at(watch, watch->touched[i]);
	return r < 0 ? r : listing_print(&watch->listing);
}

/* Watch a folder of the mount; -1 if it is not there. -errno, said. */
static int watch_folder(struct watch *watch, const char *folder, int *ret_watch)
{
	char path[WATCH_PATH_BYTES];
	int r;

	snprintf(path, sizeof(path), "%s/%s", target_path(watch->get->target), folder);
	*ret_watch = inotify_add_watch(watch->inotify, path, WATCH_EVENTS | IN_ONLYDIR);
	if (*ret_watch >= 0 || errno == ENOENT || errno == ENOTDIR)
		return 0;
	r = -errno;
	if (r == -ENOSPC)
		log_error("%s: no more folders can be watched; raise fs.inotify.max_user_watches", path);
	else
		log_error("%s: %s", path, log_reason(errno));
	return r;
}

static int watch_mesh_folder(struct watch *watch, const char *mesh, const char *below, int *ret_watch)
{
	char folder[NAME_MESH_BYTES + 32];

	snprintf(folder, sizeof(folder), "meshes/%.63s%s", mesh, below);
	return watch_folder(watch, folder, ret_watch);
}

/* Each Mesh's own folder, for its mesh.yaml. */
static int watch_meshes(struct watch *watch)
{
	struct target_entry *entries = NULL;
	size_t n = 0;
	int ignored;
	int r = target_list(watch->get->target, NAME_MESH, NULL, &entries, &n);

	for (size_t i = 0; r == 0 && i < n; i++)
		if (watch_wants(watch, entries[i].name.name))
			r = watch_mesh_folder(watch, entries[i].name.name, "", &ignored);
	free(entries);
	return r;
}

/* Watch all folders that matter, those too that have been made meanwhile: a Mesh may be removed and made again. */
static int watch_folders(struct watch *watch)
{
	int ignored;
	int r;

	if (watch->get->kind == NAME_GLOBAL_SECRET)
		return watch_folder(watch, "global", &watch->folder);
	r = watch_folder(watch, "meshes", &ignored);
	if (r == 0 && watch->get->kind == NAME_MESH)
		return watch_meshes(watch);
	if (r == 0)
		r = watch_mesh_folder(watch, watch->get->mesh, "", &ignored);
	return r < 0 ? r : watch_mesh_folder(watch, watch->get->mesh, "/secrets", &watch->folder);
}

static void watch_touch(struct watch *watch, const char *name)
{
	for (size_t i = 0; i < watch->n_touched; i++)
		if (strcmp(watch->touched[i], name) == 0)
			return;
	if (strlen(name) > NAME_RESOURCE_BYTES)
		return; /* it is no resource */
	if (watch->n_touched == WATCH_TOUCHED_MAX)
		watch->all = true;
	else
		memcpy(watch->touched[watch->n_touched++], name, strlen(name) + 1);
}

/* Take what inotify has to say. */
static int watch_take(struct watch *watch)
{
	_Alignas(struct inotify_event) char bytes[16384];
	ssize_t n = read(watch->inotify, bytes, sizeof(bytes));
	bool folders = false;

	if (n < 0)
		return errno == EINTR || errno == EAGAIN ? 0 : -errno;
	for (char *at = bytes; at < bytes + n;) {
		const struct inotify_event *event = (const struct inotify_event *)at;

		if (event->mask & IN_UNMOUNT) {
			log_error("%s: it was unmounted", target_path(watch->get->target));
			return -ENODEV;
		}
		if (event->wd == watch->folder && event->len)
			watch_touch(watch, event->name);
		else
			folders = true; /* also that events were lost */
		at += sizeof(*event) + event->len;
	}
	watch->later = 0;
	watch->all |= folders;
	return folders ? watch_folders(watch) : 0;
}

/* Nothing has happened for a while, and what was touched has been looked at again. */
static void watch_settle(struct watch *watch)
{
	if (++watch->later < WATCH_LATER)
		return;
	watch->n_touched = 0;
	watch->all = false;
}

static bool watch_is_settled(const struct watch *watch)
{
	return !watch->all && watch->n_touched == 0;
}

/* Wait for something to look at. 1 if it is only to be looked at again; 0; -errno. */
static int watch_wait(struct watch *watch)
{
	struct pollfd fds[2] = {{.fd = watch->inotify, .events = POLLIN}, {.fd = STDOUT_FILENO}};
	bool settled = watch_is_settled(watch);
	int n = poll(fds, 2, settled ? WATCH_ASK_MS : watch_later_ms[watch->later]);

	if (n < 0)
		return -errno;
	if (fds[1].revents & (POLLERR | POLLHUP))
		return output_failed(EPIPE); /* whoever reads has gone */
	if (fds[0].revents)
		return watch_take(watch);
	return settled ? target_ask(watch->get->target) : 1;
}

/* The state at the beginning. */
static int watch_begin(struct watch *watch)
{
	struct target_entry *entries = NULL;
	size_t n = 0;
	int r = watch_folders(watch);

	if (r == 0)
		r = target_list(watch->get->target, watch->get->kind, watch->get->mesh, &entries, &n);
	if (r == -ENOENT) {
		char why[KIND_SENTENCE_BYTES];

		kind_missing(NAME_MESH, watch->get->mesh, why);
		log_error("%s", why);
	}
	if (watch->get->kind == NAME_SECRET && !watch->get->form.kubernetes)
		watch->listing.table.widths[0] = strlen(watch->get->mesh); /* of all that are to come */
	if (r == 0)
		r = listing_begin(&watch->listing);
	free(entries);
	if (r == 0)
		r = watch_look_at_all(watch);
	return r < 0 ? r : listing_print(&watch->listing);
}

int watch_run(const struct get *get)
{
	struct watch *watch = calloc(1, sizeof(*watch));
	int r;

	if (!watch)
		return log_no_memory("to watch");
	watch->get = get;
	watch->folder = -1;
	watch->listing = (struct listing){.target = get->target, .kind = get->kind, .kubernetes = get->form.kubernetes};
	watch->inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	r = watch->inotify < 0 ? -errno : 0;
	if (r < 0)
		log_error("cannot watch: %s%s", strerror(-r), r == -EMFILE ? "; raise fs.inotify.max_user_instances, or ulimit -n" : "");
	else
		r = watch_begin(watch);
	while (r == 0) {
		bool again;

		r = watch_wait(watch);
		again = r == 1;
		if (r >= 0)
			r = watch_look(watch);
		if (again)
			watch_settle(watch);
	}
	close(watch->inotify);
	listing_deinit(&watch->listing);
	free(watch->known);
	free(watch);
	return r;
}
