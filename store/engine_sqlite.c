/* SPDX-License-Identifier: Apache-2.0
 * engine_sqlite: one table in one SQLite file, one connection that has the file to itself.
 *
 * WAL with synchronous=FULL: a commit is one fdatasync. locking_mode=EXCLUSIVE keeps others out and needs no -shm
 * file; the lock is a POSIX one, so nothing in this process may open the file beside SQLite (closing any
 * descriptor of it would drop the lock). The file comes from a disk that others could have written: whatever SQLite
 * can do on behalf of a schema is off, and the schema must be ours to the letter.
 */
#include "store/engine_internal.h"

#include "store/folder.h"
#include "store/log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define APPLICATION_ID "1752527720" /* 0x68757368, "hush" */
#define ENGINE_ATTEMPTS 20
#define ENGINE_PAUSE_US 50000 /* at most, between two */
#define ENGINE_SCHEMA_STEPS 100000 /* of SQLite's machine, to read two rows: it takes some hundred */
#define TABLE_SQL "CREATE TABLE row(key BLOB NOT NULL UNIQUE, data BLOB NOT NULL)"

static const char engine_setup[] = "PRAGMA locking_mode=EXCLUSIVE;"
				   "PRAGMA temp_store=MEMORY;"
				   "PRAGMA mmap_size=0;"
				   "PRAGMA cell_size_check=ON;"
				   "PRAGMA secure_delete=ON;"
				   "PRAGMA trusted_schema=OFF;";
static const char engine_journal[] = "PRAGMA journal_mode=WAL;"
				     "PRAGMA synchronous=FULL;"
				     "PRAGMA journal_size_limit=16777216;";

/* What the system said; 0 if SQLite has not kept it. Of a commit it keeps it with the file that was written. */
static int engine_system_errno(struct engine *engine)
{
	static sqlite3_file closed; /* as it is if there is none */
	int error = sqlite3_system_errno(engine->db);
	sqlite3_file *journal = &closed;

	if (error)
		return error;
	sqlite3_file_control(engine->db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &journal);
	if (journal->pMethods)
		journal->pMethods->xFileControl(journal, SQLITE_FCNTL_LAST_ERRNO, &error);
	if (error == 0)
		sqlite3_file_control(engine->db, "main", SQLITE_FCNTL_LAST_ERRNO, &error);
	return error;
}

static int engine_refuse_schema(const struct engine *engine)
{
	log_error("%s: the schema was changed without the key: the store is refused; restore it from a backup", engine->path);
	return -EBADMSG;
}

int engine_no_space(const struct engine *engine, const char *what)
{
	log_error("%s: no space left on the disk (%s)", engine->path, what);
	return -ENOSPC;
}

/* SQLite's result as an errno, and the line that says so. */
int engine_error(struct engine *engine, const char *what)
{
	int code = sqlite3_extended_errcode(engine->db);
	int error = sqlite3_system_errno(engine->db);

	switch (code & 0xff) {
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		log_error("%s: the store is in use by another hushfs or hushctl: use its mount, or unmount it first", engine->path);
		return -EBUSY;
	case SQLITE_NOTADB:
		log_error("%s: this is not a hushfs store: give the file that hushctl init made", engine->path);
		return -EMEDIUMTYPE;
	case SQLITE_CORRUPT:
		log_error("%s: the file is damaged (%s): restore it from a backup", engine->path, what);
		return -EBADMSG;
	case SQLITE_INTERRUPT:
		return engine_refuse_schema(engine);
	case SQLITE_FULL:
		return engine_no_space(engine, what);
	case SQLITE_NOMEM:
		log_error("%s: no memory (%s); is there a limit (ulimit -v, in a unit MemoryMax=)?", engine->path, what);
		return -ENOMEM;
	case SQLITE_READONLY:
		log_error("%s: the file or its folder is read-only, or somebody else's (%s)", engine->path, what);
		return -EROFS;
	case SQLITE_CANTOPEN:
		log_error("%s: cannot open the store: %s", engine->path, error ? log_reason(error) : "is its path too long?");
		return error ? -error : -EIO;
	default:
		error = engine_system_errno(engine);
		if (code == SQLITE_IOERR_WRITE && error == EDQUOT)
			return engine_no_space(engine, what);
		log_error("%s: %s failed: %s%s%s", engine->path, what, sqlite3_errmsg(engine->db),
			  error ? ", " : "", error ? log_reason(error) : "");
		engine->sync_failed |= code == SQLITE_IOERR_FSYNC;
		return -EIO;
	}
}

int engine_run(struct engine *engine, const char *sql, const char *what)
{
	return sqlite3_exec(engine->db, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : engine_error(engine, what);
}

int engine_prepare(struct engine *engine, const char *sql, sqlite3_stmt **ret_statement)
{
	return sqlite3_prepare_v3(engine->db, sql, -1, SQLITE_PREPARE_PERSISTENT, ret_statement, NULL) == SQLITE_OK
		       ? 0
		       : engine_error(engine, "preparing a statement");
}

/* A statement that gives no row. */
int engine_step(struct engine *engine, sqlite3_stmt *statement, const char *what)
{
	int r = sqlite3_step(statement) == SQLITE_DONE ? 0 : engine_error(engine, what);

	sqlite3_reset(statement);
	return r;
}

/* A connection to an existing file, with everything dangerous off. Nothing of the file is read yet. */
static int engine_connect(const char *path, struct engine **ret_engine)
{
	struct engine *engine = calloc(1, sizeof(*engine));

	if (engine)
		engine->path = strdup(path);
	if (!engine || !engine->path) {
		free(engine);
		return log_no_memory("to open the store");
	}
	engine->file = engine->journal_file = -1;
	pthread_mutex_init(&engine->changing, NULL);
	pthread_mutex_init(&engine->lock, NULL);
	errno = 0; /* which SQLite takes for the reason, even if it has asked nobody */
	if (sqlite3_open_v2(path, &engine->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE,
			    NULL) != SQLITE_OK) {
		int r = engine_error(engine, "opening");

		engine_close(engine);
		return r;
	}
	if (sqlite3_db_readonly(engine->db, "main") == 1) { /* SQLite would go on, and fail to lock it */
		log_error("%s: the file or its folder is read-only, or somebody else's: a store opens only where it can be written to", path);
		engine_close(engine);
		return -EROFS;
	}
	sqlite3_db_config(engine->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	sqlite3_db_config(engine->db, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
	sqlite3_db_config(engine->db, SQLITE_DBCONFIG_ENABLE_VIEW, 0, NULL);
	sqlite3_db_config(engine->db, SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0, NULL);
	sqlite3_db_config(engine->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
	sqlite3_db_config(engine->db, SQLITE_DBCONFIG_DQS_DDL, 0, NULL);
	sqlite3_db_config(engine->db, SQLITE_DBCONFIG_DQS_DML, 0, NULL);
	*ret_engine = engine;
	return 0;
}

void engine_leave(struct engine *engine)
{
	sqlite3_file *journal = NULL;
	sqlite3_int64 size = 0;

	if (!engine)
		return;
	sqlite3_file_control(engine->db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &journal);
	if (journal->pMethods)
		journal->pMethods->xFileSize(journal, &size);
	if (size == 0) /* then closing removes it */
		return;
	engine->read_only = true;
	sqlite3_db_config(engine->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
}

struct engine *engine_close(struct engine *engine)
{
	if (engine) {
		if (engine->journal_file >= 0)
			engine_may_change(engine); /* else closing leaves the journal as it is: it removes whatever has its name */
		sqlite3_finalize(engine->get);
		sqlite3_finalize(engine->get_at);
		sqlite3_finalize(engine->put);
		sqlite3_finalize(engine->remove);
		sqlite3_finalize(engine->replace);
		sqlite3_finalize(engine->begin);
		sqlite3_finalize(engine->commit);
		sqlite3_finalize(engine->rollback);
		sqlite3_finalize(engine->measure);
		sqlite3_close(engine->db);
		if (engine->journal_file >= 0)
			close(engine->journal_file);
		if (engine->file >= 0)
			close(engine->file);
		pthread_mutex_destroy(&engine->lock);
		pthread_mutex_destroy(&engine->changing);
		free(engine->path);
		free(engine);
	}
	return NULL;
}

uint64_t engine_room(const struct engine *engine)
{
	struct statvfs disk;

	if (statvfs(engine->path, &disk) < 0 || disk.f_blocks == 0) /* a filesystem without a bound, as ramfs, says 0 of all */
		return UINT64_MAX;
	return (uint64_t)disk.f_frsize * (geteuid() == 0 ? disk.f_bfree : disk.f_bavail);
}

static int engine_prepare_all(struct engine *engine)
{
	int r;

	r = engine_prepare(engine, "SELECT data FROM row WHERE key=?1", &engine->get);
	if (r == 0) /* the + keeps the index of keys out of it */
		r = engine_prepare(engine, "SELECT data FROM row WHERE +key=?1 AND rowid=?2", &engine->get_at);
	if (r == 0)
		r = engine_prepare(engine,
				   "INSERT INTO row(key,data) VALUES(?1,?2)"
				   " ON CONFLICT(key) DO UPDATE SET data=excluded.data",
				   &engine->put);
	if (r == 0)
		r = engine_prepare(engine, "DELETE FROM row WHERE key=?1", &engine->remove);
	if (r == 0)
		r = engine_prepare(engine, "UPDATE OR IGNORE row SET key=?2,data=?3 WHERE key=?1 AND length(data)=length(?3)",
				   &engine->replace);
	if (r == 0)
		r = engine_prepare(engine, "BEGIN IMMEDIATE", &engine->begin);
	if (r == 0)
		r = engine_prepare(engine, "COMMIT", &engine->commit);
	if (r == 0)
		r = engine_prepare(engine, "ROLLBACK", &engine->rollback);
	if (r == 0)
		r = engine_prepare(engine, "SELECT page_count*page_size FROM pragma_page_count,pragma_page_size",
				   &engine->measure);
	return r;
}

/* Called when a statement takes too long. */
static int engine_give_up(void *context)
{
	(void)context;
	return 1;
}

/* Pages can be made to lead to each other so that reading the schema would have no end. */
int engine_check_format(struct engine *engine)
{
	static const char sql[] = "SELECT (SELECT application_id FROM pragma_application_id)=" APPLICATION_ID
				  ", count(*)=2 AND sum(sql='" TABLE_SQL "')=1"
				  " AND sum(name='sqlite_autoindex_row_1' AND tbl_name='row' AND sql IS NULL)=1"
				  " FROM sqlite_schema";
	sqlite3_stmt *statement = NULL;
	bool ours, intact;
	int r;

	sqlite3_progress_handler(engine->db, ENGINE_SCHEMA_STEPS, engine_give_up, NULL);
	r = engine_prepare(engine, sql, &statement);
	if (r == 0 && sqlite3_step(statement) != SQLITE_ROW)
		r = engine_error(engine, "reading the schema");
	ours = r == 0 && sqlite3_column_int(statement, 0);
	intact = r == 0 && sqlite3_column_int(statement, 1);
	sqlite3_finalize(statement);
	sqlite3_progress_handler(engine->db, 0, NULL, NULL);
	if (r == 0 && !ours) {
		log_error("%s: this is not a hushfs store: give the file that hushctl init made", engine->path);
		r = -EMEDIUMTYPE;
	} else if (r == 0 && !intact) {
		r = engine_refuse_schema(engine);
	}
	return r;
}

/* What was opened may have been replaced (store_rekey) before it could be locked. */
bool engine_has_moved(struct engine *engine)
{
	int moved = 0;

	sqlite3_file_control(engine->db, "main", SQLITE_FCNTL_HAS_MOVED, &moved);
	return moved;
}

/* Try to lock it. True if it isn't to be had now, but may be later. */
static bool engine_is_busy(struct engine *engine)
{
	return (sqlite3_exec(engine->db, "BEGIN EXCLUSIVE; COMMIT;", NULL, NULL, NULL) & 0xff) == SQLITE_BUSY ||
	       engine_has_moved(engine);
}

/* A connection that has the file to itself: "in use" is to be known at the start, not at the first write. Of two that start
 * at once each can keep the other from it, so both let go and try again for a while. */
static int engine_connect_alone(const char *path, struct engine **ret_engine)
{
	for (unsigned attempt = 1;; attempt++) {
		struct engine *engine = NULL;
		uint16_t pause = 0;
		bool busy;
		int r = engine_connect(path, &engine);

		if (r == 0)
			r = engine_run(engine, engine_setup, "setting up");
		busy = r == 0 && engine_is_busy(engine);
		if (busy && attempt < ENGINE_ATTEMPTS) {
			engine_close(engine);
			sqlite3_randomness(sizeof(pause), &pause);
			usleep(pause % ENGINE_PAUSE_US);
			continue;
		}
		if (r == 0 && sqlite3_errcode(engine->db) != SQLITE_OK) {
			r = engine_error(engine, "locking");
		} else if (busy) {
			log_error("%s: the store is replaced all the time: try again", path);
			r = -EBUSY;
		}
		if (r == 0) {
			*ret_engine = engine;
			return 0;
		}
		engine_leave(engine);
		engine_close(engine);
		return r;
	}
}

/* What a process that was killed has committed and not synced is in the kernel's memory, and so seen here: it is to be on disk before anybody
 * is told of it. From then on the journal is written through ours. */
static int engine_take_journal(struct engine *engine)
{
	sqlite3_file *journal = NULL;
	sqlite3_int64 size = 0;

	sqlite3_file_control(engine->db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &journal); /* that has been read from, so it is open */
	if ((journal->pMethods->xFileSize(journal, &size) == SQLITE_OK && size == 0) ||
	    journal->pMethods->xSync(journal, SQLITE_SYNC_NORMAL) == SQLITE_OK) {
		engine_journal_attach(&engine->journal, journal);
		return 0;
	}
	log_error("%s: cannot sync the journal that was left: see to the disk (dmesg), and try again", engine->path);
	return -EIO;
}

/* The bytes that the pages take. */
int engine_measure(struct engine *engine, sqlite3_int64 *ret_bytes)
{
	int r = 0;

	if (sqlite3_step(engine->measure) == SQLITE_ROW)
		*ret_bytes = sqlite3_column_int64(engine->measure, 0);
	else
		r = engine_error(engine, "measuring the file");
	sqlite3_reset(engine->measure);
	return r;
}

/* The bytes that the file has; @otherwise if that can't be asked. */
sqlite3_int64 engine_file_bytes(struct engine *engine, sqlite3_int64 otherwise)
{
	sqlite3_file *file = NULL;
	sqlite3_int64 bytes;

	sqlite3_file_control(engine->db, "main", SQLITE_FCNTL_FILE_POINTER, &file);
	return file->pMethods->xFileSize(file, &bytes) == SQLITE_OK ? bytes : otherwise;
}

/* To take room for it: SQLite would do so with a write for each page. Once it has its lock, which closing any descriptor of the file would give up:
 * so this one is closed last. */
static int engine_reopen(struct engine *engine)
{
	int r = 0;

	engine->file = open(engine->path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
	if (engine->file < 0) {
		r = -errno;
		log_error("%s: cannot open the store: %s", engine->path, log_reason(-r));
	}
	return r;
}

int engine_open(const char *path, struct engine **ret_engine)
{
	struct engine *engine = NULL;
	sqlite3_int64 pages = 0, found;
	struct stat st;
	int r;

	/* SQLite would say "unable to open" of all these; stat does not touch its lock */
	if (stat(path, &st) < 0) {
		r = -errno;
		if (r == -ENOENT)
			log_error("%s: there is no such store; make one with: hushctl init --key-file FILE %s", path, path);
		else
			log_error("%s: cannot reach the store: %s", path, log_reason(-r));
		return r;
	}
	if (!S_ISREG(st.st_mode)) {
		log_error("%s: this is no file, so not a hushfs store: give the file that hushctl init made", path);
		return -EMEDIUMTYPE;
	}
	if (st.st_size == 0) { /* locking would make a database of it */
		log_error("%s: this is an empty file, not a hushfs store: give the one that hushctl init made", path);
		return -EMEDIUMTYPE;
	}
	r = engine_check_journals(path);
	if (r == 0)
		r = engine_connect_alone(path, &engine);
	if (r == 0)
		r = engine_check_format(engine);
	if (r == 0)
		r = engine_run(engine, engine_journal, "starting the journal");
	if (r == 0)
		r = engine_prepare_all(engine);
	if (r == 0) /* the first read, with which SQLite opens the journal of a file that had none (engine_settle, a copy) */
		r = engine_measure(engine, &pages);
	if (r == 0)
		r = engine_take_journal(engine);
	if (r == 0)
		r = engine_reopen(engine);
	if (r == 0)
		r = engine_hold_journal(engine);
	if (r < 0) {
		engine_leave(engine);
		engine_close(engine);
		return r;
	}
	found = engine_file_bytes(engine, 0);
	engine->bytes = found < pages ? found : pages; /* the rest is in the journal */
	sqlite3_wal_hook(engine->db, engine_committed, engine);
	*ret_engine = engine;
	return 0;
}

/* The row that @get finds by what was bound to it, and by @key. With the lock. */
static int engine_find(struct engine *engine, sqlite3_stmt *get, const uint8_t *key, size_t key_size, uint8_t **ret_data, size_t *ret_size)
{
	size_t size;
	int r = 0;

	sqlite3_bind_blob(get, 1, key, (int)key_size, SQLITE_STATIC);
	switch (sqlite3_step(get)) {
	case SQLITE_ROW:
		size = (size_t)sqlite3_column_bytes(get, 0);
		*ret_data = malloc(size ? size : 1);
		if (!*ret_data) {
			r = log_no_memory("to read a row");
			break;
		}
		if (size)
			memcpy(*ret_data, sqlite3_column_blob(get, 0), size);
		*ret_size = size;
		break;
	case SQLITE_DONE:
		r = -ENOENT;
		break;
	default:
		r = engine_error(engine, "reading a row");
	}
	sqlite3_reset(get);
	return r;
}

int engine_get_at(struct engine *engine, uint64_t place, const uint8_t *key, size_t key_size, uint8_t **ret_data, size_t *ret_size)
{
	int r = -ENOENT;

	pthread_mutex_lock(&engine->lock);
	engine_is_cut(engine); /* then the log says so; what can be read still is */
	sqlite3_bind_int64(engine->get_at, 2, (sqlite3_int64)place);
	if (place)
		r = engine_find(engine, engine->get_at, key, key_size, ret_data, ret_size);
	if (r == -ENOENT)
		r = engine_find(engine, engine->get, key, key_size, ret_data, ret_size);
	pthread_mutex_unlock(&engine->lock);
	return r;
}

int engine_get(struct engine *engine, const uint8_t *key, size_t key_size, uint8_t **ret_data, size_t *ret_size)
{
	return engine_get_at(engine, 0, key, key_size, ret_data, ret_size);
}

/* A new empty file with its mode, which SQLite then gives its journal too. */
static int engine_make_file(const char *path, const char *what)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	int r = fd < 0 ? -errno : 0;

	if (r < 0)
		log_error("%s: cannot make the %s: %s", path, what, log_reason(-r));
	else
		close(fd);
	return r;
}

int engine_create(const char *path, const struct engine_change *changes, size_t n_changes)
{
	struct engine *engine = NULL;
	int r;

	r = engine_make_file(path, "store");
	if (r < 0)
		return r;
	r = engine_connect(path, &engine);
	if (r == 0)
		r = engine_run(engine, engine_setup, "setting up");
	if (r == 0)
		r = engine_run(engine, "BEGIN IMMEDIATE;PRAGMA application_id=" APPLICATION_ID ";" TABLE_SQL ";",
			       "making the table");
	if (r == 0)
		r = engine_prepare_all(engine);
	for (size_t i = 0; i < n_changes && r == 0; i++)
		r = engine_apply(engine, &changes[i]);
	if (r == 0)
		r = engine_run(engine, "COMMIT", "committing");
	if (r == 0)
		r = engine_run(engine, engine_journal, "starting the journal");
	engine_close(engine); /* moves the journal into the file */
	if (r < 0)
		engine_remove(path);
	return r;
}

/* Have the bytes and the name of a file that SQLite is done with on disk. */
static int engine_sync_file(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	int r = fd < 0 || fsync(fd) < 0 ? -errno : 0;

	if (fd >= 0)
		close(fd);
	if (r == 0)
		r = folder_sync(path);
	if (r < 0)
		log_error("%s: cannot sync it: %s", path, log_reason(-r));
	return r;
}

int engine_copy(struct engine *engine, const char *path)
{
	sqlite3_stmt *copy = NULL;
	char what[PATH_MAX + 32];
	int r;

	r = engine_make_file(path, "copy");
	if (r < 0)
		return r;
	snprintf(what, sizeof(what), "writing the copy %s", path);
	pthread_mutex_lock(&engine->changing);
	pthread_mutex_lock(&engine->lock);
	r = engine_prepare(engine, "VACUUM INTO ?1", &copy);
	if (r == 0) {
		sqlite3_bind_text(copy, 1, path, -1, SQLITE_STATIC);
		if (sqlite3_step(copy) != SQLITE_DONE)
			r = engine_error(engine, what);
	}
	sqlite3_finalize(copy);
	pthread_mutex_unlock(&engine->lock);
	pthread_mutex_unlock(&engine->changing);
	if (r == 0)
		r = engine_sync_file(path);
	if (r < 0)
		engine_remove(path);
	return r;
}
