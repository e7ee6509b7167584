/* SPDX-License-Identifier: Apache-2.0
 * engine_commit: changes of rows as one transaction, on disk when it is told; then from the journal into the file. Once a sync has failed, or
 * the file was cut short or is another's, or the journal is, nothing is changed any more.
 */
#include "store/engine_internal.h"

#include "store/folder.h"
#include "store/log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ENGINE_PAGE_BYTES 4096
#define ENGINE_JOURNAL_PAGES 1000 /* longer, it is moved into the file */

static const char engine_no_sync[] = "the disk failed to sync";

/* SQLite opens none whose name does not fit. */
static void engine_journal_name(const struct engine *engine, char ret_name[static PATH_MAX])
{
	snprintf(ret_name, PATH_MAX, "%s-wal", engine->path);
}

int engine_hold_journal(struct engine *engine)
{
	char journal[PATH_MAX];
	int r;

	engine_journal_name(engine, journal);
	engine->journal_file = open(journal, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	if (engine->journal_file < 0) {
		r = -errno;
		log_error("%s: cannot open the journal of the store: %s", journal, log_reason(-r));
		return r;
	}
	engine_note_journal(engine);
	return 0;
}

void engine_note_journal(struct engine *engine)
{
	fstat(engine->journal_file, &engine->journal_was);
}

/* Has somebody else written to it, who had another file of the store's name open? Also if he was killed since. */
static bool engine_journal_has_changed(const struct engine *engine)
{
	struct stat st;

	return fstat(engine->journal_file, &st) < 0 || memcmp(&st.st_mtim, &engine->journal_was.st_mtim, sizeof(st.st_mtim)) != 0;
}

/* Is the journal that others find under its name the one that we have open? */
static bool engine_finds_journal(const struct engine *engine)
{
	char journal[PATH_MAX];
	struct stat st;

	engine_journal_name(engine, journal);
	return stat(journal, &st) == 0 && st.st_ino == engine->journal_was.st_ino && st.st_dev == engine->journal_was.st_dev;
}

/* Have the kernel forget what it keeps of the journal's bytes: those that it could not write count as written. */
static void engine_forget_pages(const struct engine *engine)
{
	char journal[PATH_MAX];
	int fd;

	engine_journal_name(engine, journal);
	fd = open(journal, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return;
	posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	close(fd);
}

/* After a sync that failed. The kernel says it once and takes the bytes for written, so a later sync that succeeds says nothing about them:
 * nothing is committed on top of them. The journal stays as it is, for the next opening to find what the disk has of it. The same with a file
 * of which somebody has cut off the end. */
static void engine_distrust(struct engine *engine, const char *why)
{
	if (engine->read_only)
		return;
	engine->read_only = true;
	sqlite3_db_config(engine->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	engine_forget_pages(engine);
	log_error("%s: %s: the store is read-only from now on, until it is unmounted and mounted again, which verifies it; what was being "
		  "written at that moment may be there then, or not",
		  engine->path, why);
}

/* Nobody but us makes the file shorter. If it is, SQLite takes what was cut off for zeros: no row opens that is made of them, but more
 * commits would have them look like a part of the file. */
bool engine_is_cut(struct engine *engine)
{
	if (engine_file_bytes(engine, engine->bytes) >= engine->bytes)
		return false;
	engine_distrust(engine, "the file was cut short while it was open");
	return true;
}

/* Move all of the journal into the file. */
static int engine_empty_journal(struct engine *engine)
{
	int r = 0;

	engine->sync_failed = false;
	if (sqlite3_wal_checkpoint_v2(engine->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL) != SQLITE_OK)
		r = engine_error(engine, "moving the journal into the file");
	if (engine->sync_failed)
		engine_distrust(engine, engine_no_sync);
	engine_note_journal(engine);
	return r;
}

/* Move the journal into the file. What it holds is on disk, so that this fails is no failure of a commit. */
static void engine_checkpoint(struct engine *engine)
{
	int code;

	engine->sync_failed = false;
	code = sqlite3_wal_checkpoint_v2(engine->db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
	if (code == SQLITE_IOERR_FSYNC || (code != SQLITE_OK && !engine->journal_stays))
		engine_error(engine, "moving the journal into the file");
	engine->journal_stays = code != SQLITE_OK;
	if (engine->sync_failed)
		engine_distrust(engine, engine_no_sync);
}

/* Who opens what has the name now has the journal of that name as well, and begins it anew if there is nothing in it: so nobody is to do so
 * meanwhile. A descriptor that keeps them from it until it is closed; -ENOENT if nothing has the name, -EAGAIN if somebody has opened it. */
static int engine_bar_successor(const struct engine *engine)
{
	struct flock all = {.l_type = F_RDLCK, .l_whence = SEEK_SET};
	int fd = open(engine->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	int r;

	if (fd >= 0 && fcntl(fd, F_OFD_SETLK, &all) == 0)
		return fd;
	r = -errno;
	if (fd >= 0)
		close(fd);
	return r;
}

/* What was committed is moved from the journal into the file, if that has a name and the journal is still what we have written. That then is emptied
 * only if it has kept its name and nobody else uses it: under another name it may be another store's. */
static void engine_follow(struct engine *engine)
{
	struct stat st;
	int bar;

	if (fstat(engine->file, &st) < 0 || st.st_nlink == 0 || engine_journal_has_changed(engine))
		return;
	engine_checkpoint(engine);
	if (!engine_finds_journal(engine))
		return;
	bar = engine_bar_successor(engine);
	if (bar >= 0 || bar == -ENOENT)
		engine_empty_journal(engine);
	if (bar >= 0)
		close(bar);
}

/* Why whoever opens the store from now on would not find what is committed to it: it would not last. Or NULL. */
static const char *engine_loss(struct engine *engine)
{
	if (engine_has_moved(engine))
		return "the file was moved, replaced or removed while it was open (if another is to take its place, remove the journal with -wal "
		       "after its name, which belongs to the former)";
	if (engine_journal_has_changed(engine))
		return "its journal, with -wal after its name, was written to by another while it was open";
	return engine_finds_journal(engine) ? NULL : "its journal, with -wal after its name, was removed while it was open";
}

static bool engine_is_lost(struct engine *engine)
{
	const char *why = engine_loss(engine);

	if (!why)
		return false;
	engine_follow(engine);
	engine_distrust(engine, why);
	return true;
}

int engine_may_change(struct engine *engine)
{
	if (engine->read_only)
		return -EROFS;
	return engine_is_cut(engine) || engine_is_lost(engine) ? -EIO : 0;
}

bool engine_is_read_only(const struct engine *engine)
{
	return engine->read_only;
}

/* Called by SQLite after a commit, in place of its own checkpoint, of which nobody would hear that it failed. */
int engine_committed(void *context, sqlite3 *db, const char *name, int pages)
{
	struct engine *engine = context;

	(void)db;
	(void)name;
	engine->journal_pages = pages;
	return SQLITE_OK;
}

int engine_apply(struct engine *engine, const struct engine_change *change)
{
	sqlite3_stmt *statement = change->data ? engine->put : engine->remove;
	int r;

	sqlite3_bind_blob(statement, 1, change->key, (int)change->key_size, SQLITE_STATIC);
	if (change->data)
		sqlite3_bind_blob(statement, 2, change->data, (int)change->size, SQLITE_STATIC);
	r = engine_step(engine, statement, "writing a row");
	sqlite3_clear_bindings(statement);
	return r;
}

/* A row that goes gives its place to one of the same size that comes, unless that is there already: its pages are then written once, and not
 * some for the new row and zeros over the old one. 1: done; 0: it is not so. */
static int engine_apply_both(struct engine *engine, const struct engine_change *goes, const struct engine_change *comes)
{
	int r;

	sqlite3_bind_blob(engine->replace, 1, goes->key, (int)goes->key_size, SQLITE_STATIC);
	sqlite3_bind_blob(engine->replace, 2, comes->key, (int)comes->key_size, SQLITE_STATIC);
	sqlite3_bind_blob(engine->replace, 3, comes->data, (int)comes->size, SQLITE_STATIC);
	r = engine_step(engine, engine->replace, "writing a row");
	sqlite3_clear_bindings(engine->replace);
	return r < 0 ? r : sqlite3_changes(engine->db);
}

static int engine_apply_all(struct engine *engine, const struct engine_change *changes, size_t n_changes)
{
	int r = 0;

	for (size_t i = 0; i < n_changes && r >= 0; i++) {
		r = 0;
		if (i + 1 < n_changes && !changes[i].data && changes[i + 1].data)
			r = engine_apply_both(engine, &changes[i], &changes[i + 1]);
		if (r == 0)
			r = engine_apply(engine, &changes[i]);
		else if (r == 1)
			i++;
	}
	return r < 0 ? r : 0;
}

/* posix_fallocate(3), which some filesystems leave when a signal comes, also one that only stops the process and has it go on. */
static int engine_grow(const struct engine *engine, sqlite3_int64 at, sqlite3_int64 bytes)
{
	int error;

	do
		error = posix_fallocate(engine->file, at, bytes);
	while (error == EINTR);
	return error;
}

/* Take from the disk what the file will need when the journal is moved into it: so that needs no room, which may be gone by then. Within a
 * transaction, which makes it @ret_bytes. */
static int engine_make_room(struct engine *engine, sqlite3_int64 *ret_bytes)
{
	sqlite3_int64 size = 0, found;
	int error, r;

	r = engine_measure(engine, &size);
	if (r < 0)
		return r;
	*ret_bytes = size;
	found = engine_file_bytes(engine, size);
	if (size <= found)
		return 0;
	error = (uint64_t)(size - found) > engine_room(engine) ? ENOSPC : engine_grow(engine, found, size - found);
	if (error)
		r = error == ENOSPC || error == EDQUOT ? -ENOSPC : -EIO;
	if (r == -ENOSPC)
		engine_no_space(engine, "growing the file");
	else if (r < 0)
		log_error("%s: growing the file failed: %s", engine->path, log_reason(error));
	return r;
}

/* Absolutely, or for the disk that it is on. */
static bool engine_journal_is_long(const struct engine *engine)
{
	return engine->journal_pages >= ENGINE_JOURNAL_PAGES ||
	       (uint64_t)engine->journal_pages * ENGINE_PAGE_BYTES > engine_room(engine);
}

/* SQLite made the journal when the file was opened. It syncs the folder as well, and does not look at what comes of it. Where that can't even be
 * opened nothing was synced, so nothing has failed that a later sync would hide. */
static int engine_name_journal(struct engine *engine)
{
	int fd, r;

	if (engine->journal_is_named)
		return 0;
	fd = folder_open(engine->path);
	r = fd < 0 ? fd : fsync(fd) < 0 ? -errno : 0;
	if (r < 0)
		log_error("%s: cannot sync the folder of the store: %s", engine->path, log_reason(-r));
	engine->journal_is_named = r == 0;
	engine->sync_failed = fd >= 0 && r < 0;
	if (fd >= 0)
		close(fd);
	return r;
}

/* With both locks. */
static int engine_transact(struct engine *engine, const struct engine_change *changes, size_t n_changes)
{
	sqlite3_int64 bytes;
	int r = engine_may_change(engine);

	if (r < 0)
		return r;
	engine->sync_failed = false; /* of a copy on another disk, if it is set */
	r = engine_name_journal(engine);
	if (r == 0)
		r = engine_step(engine, engine->begin, "beginning a transaction");
	if (r == 0)
		r = engine_apply_all(engine, changes, n_changes);
	if (r == 0)
		r = engine_make_room(engine, &bytes);
	if (r == 0)
		r = engine_step(engine, engine->commit, "committing");
	if (r == 0)
		engine->bytes = bytes;
	if (r < 0) /* before it is undone, which would have it written */
		engine_journal_forget(&engine->journal);
	if (r < 0 && !sqlite3_get_autocommit(engine->db))
		engine_step(engine, engine->rollback, "undoing a transaction");
	if (r == 0 && engine_journal_is_long(engine))
		engine_checkpoint(engine);
	if (engine->sync_failed)
		engine_distrust(engine, engine_no_sync);
	engine_note_journal(engine);
	return r;
}

int engine_commit(struct engine *engine, const struct engine_change *changes, size_t n_changes)
{
	int r;

	pthread_mutex_lock(&engine->changing);
	pthread_mutex_lock(&engine->lock);
	r = engine_transact(engine, changes, n_changes);
	pthread_mutex_unlock(&engine->lock);
	pthread_mutex_unlock(&engine->changing);
	return r;
}

int engine_commit_lean(struct engine *engine, const struct engine_change *changes, size_t n_changes)
{
	int r;

	pthread_mutex_lock(&engine->changing);
	pthread_mutex_lock(&engine->lock);
	r = engine_may_change(engine);
	if (r == 0) {
		engine_checkpoint(engine); /* the journal then begins anew, where it has its room already */
		engine_run(engine, "PRAGMA secure_delete=FAST", "setting up"); /* else it takes more room, which it may not have */
		r = engine_transact(engine, changes, n_changes);
		engine_run(engine, "PRAGMA secure_delete=ON", "setting up");
	}
	pthread_mutex_unlock(&engine->lock);
	pthread_mutex_unlock(&engine->changing);
	return r;
}

int engine_flush(struct engine *engine)
{
	int r;

	pthread_mutex_lock(&engine->changing);
	pthread_mutex_lock(&engine->lock);
	r = engine_may_change(engine);
	if (r == 0)
		r = engine_empty_journal(engine);
	pthread_mutex_unlock(&engine->lock);
	pthread_mutex_unlock(&engine->changing);
	return r;
}

int engine_settle(struct engine *engine)
{
	char journal[PATH_MAX];
	int r;

	pthread_mutex_lock(&engine->changing);
	pthread_mutex_lock(&engine->lock);
	r = engine_may_change(engine);
	if (r == 0) /* out of WAL mode everything is in the file; as locking_mode stays, so does the lock, and with it an empty journal */
		r = engine_run(engine, "PRAGMA journal_mode=DELETE", "moving the journal into the file");
	if (r == 0) {
		close(engine->journal_file);
		engine->journal_file = -1;
	}
	pthread_mutex_unlock(&engine->lock);
	pthread_mutex_unlock(&engine->changing);
	if (r < 0)
		return r;
	snprintf(journal, sizeof(journal), "%s-journal", engine->path);
	unlink(journal);
	engine_journal_name(engine, journal);
	if (access(journal, F_OK) == 0) {
		log_error("%s: the journal cannot be moved into the store; try again", journal);
		return -EIO;
	}
	return 0;
}
