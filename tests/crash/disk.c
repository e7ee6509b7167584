/* SPDX-License-Identifier: Apache-2.0
 * disk: files as numbers, and names for them. What is sure is kept as it is; what isn't as a list of changes.
 */
#include "tests/crash/disk.h"

#include "tests/crash/fault.h"
#include "tests/unit/fixture.h"

#include <dirent.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_FILES = 256, MAX_NAMES = 16, NAME_BYTES = 64, NOBODY = -1 };

struct change {
	enum fault_change change;
	int file;
	char name[NAME_BYTES], to[NAME_BYTES];
	uint8_t *data;
	size_t size;
	uint64_t offset;
};

struct bytes {
	uint8_t *data;
	size_t size, capacity;
};

struct names {
	char name[MAX_NAMES][NAME_BYTES];
	int file[MAX_NAMES]; /* NOBODY: not in use */
};

/* Numbers of changes. */
struct list {
	size_t *at;
	size_t count, capacity;
};

static char recorded[256]; /* the folder */
static void (*announce)(size_t change);
static struct change *changes;
static size_t n_changes, changes_capacity, now;
static int n_files;
static struct names names_at_record, names_sure;
static struct bytes files_sure[MAX_FILES];
static struct list files_unsure[MAX_FILES], names_unsure;

static void list_add(struct list *list, size_t value)
{
	if (list->count == list->capacity) {
		list->capacity = list->capacity ? list->capacity * 2 : 64;
		list->at = reallocarray(list->at, list->capacity, sizeof(*list->at));
		fixture_must(list->at);
	}
	list->at[list->count++] = value;
}

static void bytes_resize(struct bytes *bytes, size_t size)
{
	if (size > bytes->capacity) {
		bytes->capacity = size * 2;
		bytes->data = realloc(bytes->data, bytes->capacity);
		fixture_must(bytes->data);
	}
	if (size > bytes->size)
		memset(bytes->data + bytes->size, 0, size - bytes->size);
	bytes->size = size;
}

static int *names_find(struct names *names, const char *name)
{
	for (int i = 0; i < MAX_NAMES; i++)
		if (names->file[i] != NOBODY && strcmp(names->name[i], name) == 0)
			return &names->file[i];
	return NULL;
}

static void names_set(struct names *names, const char *name, int file)
{
	int *found = names_find(names, name);

	for (int i = 0; i < MAX_NAMES && !found; i++)
		if (names->file[i] == NOBODY) {
			snprintf(names->name[i], NAME_BYTES, "%s", name);
			found = &names->file[i];
		}
	fixture_must(found);
	*found = file;
}

static void names_drop(struct names *names, const char *name)
{
	int *found = names_find(names, name);

	if (found)
		*found = NOBODY;
}

/* --- recording */

/* Its name in the folder; NULL if it lies elsewhere. */
static const char *name_of(const char *path)
{
	size_t size = strlen(recorded);

	if (!path || strncmp(path, recorded, size) != 0 || path[size] != '/' || strchr(path + size + 1, '/'))
		return NULL;
	return path + size + 1;
}

static void note(const struct fault_event *event)
{
	bool of_folder = event->change == FAULT_FOLDER_SYNCED;
	const char *name = name_of(event->path);
	struct change *change;
	int *file;

	if (!name && !(of_folder && strcmp(event->path, recorded) == 0))
		return;
	if (name && event->change != FAULT_CREATED && !of_folder && !names_find(&names_at_record, name))
		return; /* somebody still has it open, but it has no name any more */
	announce(n_changes);
	if (n_changes == changes_capacity) {
		struct change *grown;

		changes_capacity = changes_capacity ? changes_capacity * 2 : 1024;
		grown = reallocarray(changes, changes_capacity, sizeof(*changes));
		fixture_must(grown);
		changes = grown;
	}
	change = &changes[n_changes++];
	*change = (struct change){.change = event->change, .size = event->size, .offset = event->offset, .file = NOBODY};
	if (of_folder)
		return;
	snprintf(change->name, NAME_BYTES, "%s", name);
	if (event->change == FAULT_CREATED) {
		fixture_must(n_files < MAX_FILES);
		names_set(&names_at_record, name, n_files++);
	}
	file = names_find(&names_at_record, name);
	change->file = *file;
	if (event->data) {
		change->data = malloc(event->size);
		fixture_must(change->data);
		memcpy(change->data, event->data, event->size);
	}
	if (event->change == FAULT_RENAMED) {
		snprintf(change->to, NAME_BYTES, "%s", name_of(event->to));
		names_set(&names_at_record, change->to, change->file);
	}
	if (event->change == FAULT_DELETED || event->change == FAULT_RENAMED)
		names_drop(&names_at_record, name);
}

static void names_clear(struct names *names)
{
	for (int i = 0; i < MAX_NAMES; i++)
		names->file[i] = NOBODY;
}

void disk_record(const char *folder, void (*before)(size_t change))
{
	struct stat st;
	char path[600];
	DIR *dir;

	snprintf(recorded, sizeof(recorded), "%s", folder);
	announce = before;
	names_clear(&names_at_record);
	dir = opendir(folder);
	fixture_must(dir);
	for (struct dirent *entry; (entry = readdir(dir));) {
		snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
		if (lstat(path, &st) < 0 || !S_ISREG(st.st_mode))
			continue;
		names_set(&names_at_record, entry->d_name, n_files);
		free(files_sure[n_files].data);
		files_sure[n_files].data = fixture_read(path, &files_sure[n_files].size);
		files_sure[n_files].capacity = files_sure[n_files].size;
		n_files++;
	}
	closedir(dir);
	names_sure = names_at_record;
	fault_observe(note);
}

void disk_stop(void)
{
	fault_observe(NULL);
}

void disk_forget(void)
{
	for (size_t i = 0; i < n_changes; i++)
		free(changes[i].data);
	for (int i = 0; i < n_files; i++) {
		free(files_sure[i].data);
		free(files_unsure[i].at);
		files_sure[i] = (struct bytes){0};
		files_unsure[i] = (struct list){0};
	}
	free(names_unsure.at);
	names_unsure = (struct list){0};
	free(changes);
	changes = NULL;
	n_changes = changes_capacity = now = 0;
	n_files = 0;
}

size_t disk_changes(void)
{
	return n_changes;
}

/* --- going through it */

/* Is that part of a change on disk? */
static bool is_kept(enum disk_mode mode, uint64_t *seed)
{
	return mode == DISK_ALL || (mode != DISK_NONE && fixture_random(seed, 2));
}

static void apply_write(struct bytes *bytes, const struct change *change, enum disk_mode mode, uint64_t *seed)
{
	size_t end = change->offset + change->size;

	if (mode != DISK_TORN && !is_kept(mode, seed))
		return;
	for (size_t at = change->offset, next; at < end; at = next) {
		next = mode == DISK_TORN ? (at / DISK_SECTOR_BYTES + 1) * DISK_SECTOR_BYTES : end;
		if (next > end)
			next = end;
		if (mode == DISK_TORN && !is_kept(mode, seed))
			continue;
		if (next > bytes->size)
			bytes_resize(bytes, next);
		memcpy(bytes->data + at, change->data + (at - change->offset), next - at);
	}
}

static void apply_to_file(struct bytes *bytes, const struct change *change, enum disk_mode mode, uint64_t *seed)
{
	if (change->change == FAULT_WRITTEN)
		apply_write(bytes, change, mode, seed);
	else if (is_kept(mode, seed))
		bytes_resize(bytes, change->offset);
}

static void apply_to_names(struct names *names, const struct change *change, enum disk_mode mode, uint64_t *seed)
{
	if (!is_kept(mode, seed))
		return;
	if (change->change == FAULT_CREATED)
		names_set(names, change->name, change->file);
	if (change->change == FAULT_RENAMED)
		names_set(names, change->to, change->file);
	if (change->change == FAULT_DELETED || change->change == FAULT_RENAMED)
		names_drop(names, change->name);
}

static void advance_one(size_t number)
{
	const struct change *change = &changes[number];
	struct list *list;

	switch (change->change) {
	case FAULT_WRITTEN:
	case FAULT_RESIZED:
		list_add(&files_unsure[change->file], number);
		break;
	case FAULT_SYNCED:
		list = &files_unsure[change->file];
		for (size_t i = 0; i < list->count; i++)
			apply_to_file(&files_sure[change->file], &changes[list->at[i]], DISK_ALL, NULL);
		list->count = 0;
		break;
	case FAULT_FOLDER_SYNCED:
		for (size_t i = 0; i < names_unsure.count; i++)
			apply_to_names(&names_sure, &changes[names_unsure.at[i]], DISK_ALL, NULL);
		names_unsure.count = 0;
		break;
	case FAULT_CREATED:
	case FAULT_DELETED:
	case FAULT_RENAMED:
		list_add(&names_unsure, number);
		break;
	}
}

void disk_advance(size_t change)
{
	while (now < change)
		advance_one(now++);
}

static void empty_folder(const char *folder)
{
	DIR *dir = opendir(folder);
	char path[600];

	fixture_must(dir);
	for (struct dirent *entry; (entry = readdir(dir));) {
		snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
		unlink(path); /* not . and .. */
	}
	closedir(dir);
}

void disk_write_out(const char *folder, enum disk_mode mode, uint64_t *seed)
{
	static struct bytes bytes;
	struct names names = names_sure;
	char path[600];

	empty_folder(folder);
	for (size_t i = 0; i < names_unsure.count; i++)
		apply_to_names(&names, &changes[names_unsure.at[i]], mode, seed);
	for (int i = 0; i < MAX_NAMES; i++) {
		const struct list *list = &files_unsure[names.file[i] == NOBODY ? 0 : names.file[i]];

		if (names.file[i] == NOBODY)
			continue;
		bytes_resize(&bytes, 0);
		bytes_resize(&bytes, files_sure[names.file[i]].size);
		if (bytes.size)
			memcpy(bytes.data, files_sure[names.file[i]].data, bytes.size);
		for (size_t j = 0; j < list->count; j++)
			apply_to_file(&bytes, &changes[list->at[j]], mode, seed);
		snprintf(path, sizeof(path), "%s/%s", folder, names.name[i]);
		fixture_write(path, bytes.data ? (const void *)bytes.data : "", bytes.size, 0600);
	}
}
