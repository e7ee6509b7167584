/* SPDX-License-Identifier: Apache-2.0
 * control_job: what is carried out: bundles, removals, checks and copies. Locking is in control_lock.c.
 *
 * Watchers are told after the commit and before the request is answered: when `hushctl apply` returns, their events are
 * there.
 */
#include "fs/control_internal.h"
#include "fs/kept.h"
#include "fs/node.h"
#include "store/apply.h"
#include "store/clock.h"
#include "store/crypto.h"
#include "store/log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define JOB_PROGRESS_NS (200 * CLOCK_MS)
#define JOB_COPY_SUFFIX ".copying-" /* and 16 digits: a name that nobody gives to a file of theirs */
#define JOB_COPY_DIGITS 16

int control_job_fail(struct control_file *file, const struct bundle_error *error, int r)
{
	static const char *const names[] = {"apply", "delete", "check", "backup", "lock", "unlock"};
	char line[BUNDLE_LINE_BYTES];

	if (error && error->text[0])
		bundle_error_line(error, line);
	else if (r == -ENOKEY)
		snprintf(line, sizeof(line), CONTROL_LOCKED);
	else
		snprintf(line, sizeof(line), "%s", strerror(-r));
	log_error("/.hush/%s: %s", names[file->open.kind], line);
	control_say(file, line);
	return r;
}

int control_job_take_turn(struct control *control, pthread_mutex_t *turn)
{
	bool stopping;

	pthread_mutex_lock(turn);
	pthread_mutex_lock(&control->lock);
	stopping = control->stopping;
	pthread_mutex_unlock(&control->lock);
	return stopping ? -ESHUTDOWN : 0;
}

/* A folder comes before what is in it. */
static size_t job_add_applied(const struct bundle *bundle, bool meshes, struct announce_change *changes, size_t n)
{
	for (size_t i = 0; i < bundle->n; i++) {
		const struct bundle_item *item = &bundle->items[i];

		if ((item->name.kind == NAME_MESH) != meshes ||
		    (item->outcome != STORE_CREATED && item->outcome != STORE_UPDATED))
			continue;
		changes[n].kind = item->outcome == STORE_CREATED ? ANNOUNCE_CREATED : ANNOUNCE_UPDATED;
		changes[n++].name = item->name;
	}
	return n;
}

/* Somebody may have found what is new already, and would not be told of it then. */
static void job_hide_created(struct control *control, const struct announce_change *changes, size_t n, bool hide)
{
	for (size_t i = 0; i < n; i++)
		if (changes[i].kind == ANNOUNCE_CREATED)
			(hide ? kept_hide : kept_show)(control->kept, &changes[i].name);
}

static void job_announce_applied(struct control *control, const struct bundle *bundle)
{
	struct announce_change *changes = calloc(bundle->n, sizeof(*changes));
	size_t n;

	if (!changes) {
		log_warning("no memory to tell watchers of %zu changes", bundle->n);
		return;
	}
	n = job_add_applied(bundle, true, changes, 0);
	n = job_add_applied(bundle, false, changes, n);
	job_hide_created(control, changes, n, true);
	announce_run(control->announce, changes, n);
	job_hide_created(control, changes, n, false);
	free(changes);
}

static int job_apply(struct control_file *file, struct secbuf *text)
{
	struct control *control = file->control;
	const struct bundle_options options = {.value_bytes = store_get_options(control->tree->store)->value_bytes};
	struct bundle_error error = {0};
	char line[BUNDLE_LINE_BYTES];
	BUNDLE_AUTO bundle = {0};
	int r = bundle_parse(text->data, text->size, &options, &bundle, &error);

	secbuf_deinit(text);
	if (r < 0)
		return control_job_fail(file, &error, r);
	r = control_job_take_turn(control, &control->turn);
	if (r == 0)
		r = apply_run(control->tree->store, &bundle, file->open.uid, file->open.gid, &error);
	if (r == 0)
		job_announce_applied(control, &bundle);
	pthread_mutex_unlock(&control->turn);
	if (r < 0)
		return control_job_fail(file, &error, r);
	for (size_t i = 0; i < bundle.n; i++) {
		bundle_line(&bundle.items[i].name, bundle.items[i].outcome, line);
		control_say(file, line);
	}
	return 0;
}

/* What is to be removed. A zeroed struct is empty. */
struct job_names {
	struct name *names;             /* owned arrays */
	struct announce_change *meshes; /* those that are to be removed, as they are */
	size_t n, n_meshes;
};

static void job_names_deinit(struct job_names *names)
{
	free(names->names);
	free(names->meshes);
}

#define JOB_NAMES_AUTO __attribute__((cleanup(job_names_deinit))) struct job_names

/* "secret MESH NAME", "global-secret NAME" or "mesh NAME". -EINVAL. */
static int job_parse_line(char *line, struct name *ret_name)
{
	static const char blanks[] = " \t\r";
	char *rest, *words[4] = {0};
	size_t n = 0;

	for (char *word = strtok_r(line, blanks, &rest); word && n < 4; word = strtok_r(NULL, blanks, &rest))
		words[n++] = word;
	if (n == 3 && strcmp(words[0], "secret") == 0)
		return name_set(ret_name, NAME_SECRET, words[1], words[2]);
	if (n == 2 && strcmp(words[0], "global-secret") == 0)
		return name_set(ret_name, NAME_GLOBAL_SECRET, "", words[1]);
	if (n == 2 && strcmp(words[0], "mesh") == 0)
		return name_set(ret_name, NAME_MESH, "", words[1]);
	return -EINVAL;
}

/* Cuts up @text, which ends with a NUL. */
static int job_parse_names(char *text, struct job_names *names, struct bundle_error *ret_error)
{
	size_t lines = 1;
	char *line, *rest = text;

	for (const char *c = text; *c; c++)
		lines += *c == '\n';
	names->names = calloc(lines, sizeof(*names->names));
	names->meshes = calloc(lines, sizeof(*names->meshes));
	if (!names->names || !names->meshes)
		return -ENOMEM;
	for (unsigned number = 1; (line = strsep(&rest, "\n")); number++) {
		if (line[strspn(line, " \t\r")] == '\0')
			continue;
		if (job_parse_line(line, &names->names[names->n]) < 0) {
			snprintf(ret_error->text, sizeof(ret_error->text),
				 "line %u: give secret MESH NAME, global-secret NAME or mesh NAME, of valid names",
				 number);
			return -EINVAL;
		}
		names->n++;
	}
	if (names->n)
		return 0;
	snprintf(ret_error->text, sizeof(ret_error->text), "no names were given");
	return -EINVAL;
}

/* The kernel knows a mesh's folders by numbers that are gone with it. */
static void job_look_at_meshes(const struct control *control, struct job_names *names)
{
	for (size_t i = 0; i < names->n; i++) {
		struct announce_change *mesh = &names->meshes[names->n_meshes];
		struct store_info info;

		if (names->names[i].kind != NAME_MESH ||
		    store_look(control->tree->store, store_node(control->tree->store, &names->names[i]), &info) < 0)
			continue;
		*mesh = (struct announce_change){.kind = ANNOUNCE_REMOVED, .name = names->names[i], .mesh = info.node};
		for (int inode = 0; inode < RECORD_INODES; inode++)
			mesh->generations[inode] = tree_generation_of(&info.record, inode);
		names->n_meshes++;
	}
}

/* How the removal of @name is announced: as part of its mesh's, if that was removed too. */
static struct announce_change job_removal(const struct job_names *names, const struct name *name)
{
	const char *mesh = name->kind == NAME_SECRET ? name->mesh : name->kind == NAME_MESH ? name->name : "";
	struct announce_change change = {0};

	for (size_t i = 0; i < names->n_meshes; i++)
		if (strcmp(names->meshes[i].name.name, mesh) == 0)
			change = names->meshes[i];
	change.kind = ANNOUNCE_REMOVED;
	change.name = *name;
	return change;
}

static void job_announce_removed(struct control *control, const struct job_names *names, const struct name *gone,
				 size_t n_gone)
{
	struct announce_change *changes = calloc(n_gone, sizeof(*changes));

	if (!changes) {
		log_warning("no memory to tell watchers of %zu changes", n_gone);
		return;
	}
	for (size_t i = 0; i < n_gone; i++)
		changes[i] = job_removal(names, &gone[i]);
	announce_run(control->announce, changes, n_gone);
	free(changes);
}

/* Scratch files in a mesh's folders go with it. */
static void job_drop_scratch(struct control *control, const struct name *gone, size_t n_gone)
{
	for (size_t i = 0; i < n_gone; i++) {
		uint64_t mesh = store_node(control->tree->store, &gone[i]);

		if (gone[i].kind != NAME_MESH)
			continue;
		scratch_drop_folder(control->scratch, node_make(NODE_SECRETS, mesh));
		scratch_drop_folder(control->scratch, node_make(NODE_MESH, mesh));
	}
}

/* All of it, once the names are known. */
static int job_remove(struct control *control, struct job_names *names, struct bundle_error *ret_error)
{
	struct name *gone = NULL;
	size_t n_gone;
	int r = control_job_take_turn(control, &control->turn);

	job_look_at_meshes(control, names);
	if (r == 0)
		r = apply_remove(control->tree->store, names->names, names->n, &gone, &n_gone, ret_error);
	if (r == 0) {
		job_drop_scratch(control, gone, n_gone);
		job_announce_removed(control, names, gone, n_gone);
	}
	pthread_mutex_unlock(&control->turn);
	free(gone);
	return r;
}

static int job_delete(struct control_file *file, struct secbuf *text)
{
	struct bundle_error error = {0};
	char line[BUNDLE_LINE_BYTES];
	JOB_NAMES_AUTO names = {0};
	int r = secbuf_write(text, text->size, "", 1);

	if (r == 0)
		r = job_parse_names((char *)text->data, &names, &error);
	secbuf_deinit(text);
	if (r == 0)
		r = job_remove(file->control, &names, &error);
	if (r < 0)
		return control_job_fail(file, &error, r); /* NOLINT(clang-analyzer-unix.Malloc): JOB_NAMES_AUTO frees them */
	for (size_t i = 0; i < names.n; i++) {
		snprintf(line, sizeof(line), "deleted %s \"%s\"", name_type(names.names[i].kind), names.names[i].name);
		control_say(file, line);
	}
	return 0;
}

struct job_progress {
	struct control_file *file;
	int64_t said_ns;
};

static void job_say_progress(void *context, uint64_t done, uint64_t total)
{
	struct job_progress *progress = context;
	int64_t now_ns = clock_now_ns();
	char line[80];

	if (now_ns - progress->said_ns < JOB_PROGRESS_NS)
		return;
	progress->said_ns = now_ns;
	snprintf(line, sizeof(line), "%" PRIu64 " of %" PRIu64 " rows", done, total);
	control_say(progress->file, line);
}

static int job_check(struct control_file *file)
{
	struct job_progress progress = {.file = file, .said_ns = clock_now_ns()};
	struct store_checked checked;
	char line[160];
	int r;

	r = store_check(file->control->tree->store, job_say_progress, &progress, &checked);
	if (r == -ENOKEY)
		return control_job_fail(file, NULL, r);
	if (r < 0) {
		control_say(file, r == -EBADMSG
					  ? "the store was changed without the key: the daemon's log says what is wrong"
					  : strerror(-r));
		return r == -EBADMSG ? -EIO : r;
	}
	snprintf(line, sizeof(line),
		 "%" PRIu64 " resources, %" PRIu64 " values, %" PRIu64 " rows: all as they were written",
		 checked.resources, checked.values, checked.rows);
	control_say(file, line);
	return 0;
}

/* The copy has its name only until it is open. */
static int job_backup(struct control_file *file)
{
	const struct store *store = file->control->tree->store;
	char path[PATH_MAX];
	uint64_t random;
	int r, fd;

	crypto_random(&random, sizeof(random));
	if (snprintf(path, sizeof(path), "%s" JOB_COPY_SUFFIX "%016" PRIx64, store_path(store), random) >=
	    (int)sizeof(path))
		return -ENAMETOOLONG;
	r = store_copy(file->control->tree->store, path);
	if (r < 0) {
		r = r == -EBADMSG ? -EIO : r;
		log_error("/.hush/backup: no copy was made: %s", strerror(-r));
		return r;
	}
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	r = fd < 0 ? -errno : 0;
	unlink(path);
	pthread_mutex_lock(&file->control->lock);
	file->copy_fd = fd;
	pthread_mutex_unlock(&file->control->lock);
	return r;
}

int control_job_run(struct control_file *file, struct secbuf *text)
{
	switch (file->open.kind) {
	case CONTROL_APPLY:
		return job_apply(file, text);
	case CONTROL_DELETE:
		return job_delete(file, text);
	case CONTROL_CHECK:
		return job_check(file);
	case CONTROL_LOCK:
		return control_lock_run(file, text);
	case CONTROL_UNLOCK:
		return control_unlock_run(file, text);
	case CONTROL_BACKUP:
	default:
		return job_backup(file);
	}
}

/* Is it a copy of the store @base, or a file that the database made beside one? */
static bool job_is_copy(const char *name, const char *base)
{
	size_t size = strlen(base);
	const char *digits = name + size + sizeof(JOB_COPY_SUFFIX) - 1;

	return strncmp(name, base, size) == 0 &&
	       strncmp(name + size, JOB_COPY_SUFFIX, sizeof(JOB_COPY_SUFFIX) - 1) == 0 &&
	       strspn(digits, "0123456789abcdef") == JOB_COPY_DIGITS &&
	       (digits[JOB_COPY_DIGITS] == '\0' || digits[JOB_COPY_DIGITS] == '-');
}

void control_job_tidy(const struct store *store)
{
	char path[PATH_MAX], folder_path[PATH_MAX];
	struct dirent *entry;
	DIR *folder;

	snprintf(path, sizeof(path), "%s", store_path(store));
	snprintf(folder_path, sizeof(folder_path), "%s", store_path(store));
	folder = opendir(dirname(folder_path));
	while (folder && (entry = readdir(folder)))
		if (job_is_copy(entry->d_name, basename(path)))
			unlinkat(dirfd(folder), entry->d_name, 0);
	if (folder)
		closedir(folder);
}
