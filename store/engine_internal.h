/* SPDX-License-Identifier: Apache-2.0
 * engine_internal: what the files of the engine share: an open file, and how SQLite is asked. Of engine_*.c alone, under the lock.
 */
#ifndef STORE_ENGINE_INTERNAL_H
#define STORE_ENGINE_INTERNAL_H

#include "store/engine.h"
#include "store/engine_journal.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <sys/stat.h>

struct engine {
	pthread_mutex_t changing; /* held by what changes rows, and by a scan from its begin to its end; before the other */
	pthread_mutex_t lock;     /* over each call of SQLite */
	sqlite3 *db;
	sqlite3_stmt *get, *get_at;
	sqlite3_stmt *put;
	sqlite3_stmt *remove;
	sqlite3_stmt *replace;
	sqlite3_stmt *begin, *commit, *rollback; /* prepared, so that a transaction can be ended when memory has run out */
	sqlite3_stmt *measure;
	char *path;
	int file;              /* the one that SQLite has open, once more (engine_reopen); -1 */
	sqlite3_int64 bytes;   /* the file has at least so many, as far as anybody but us leaves it alone */
	int journal_pages;     /* as of the last commit */
	bool journal_stays;    /* it could not be moved into the file, and that was logged */
	bool journal_is_named; /* its name is on disk */
	bool sync_failed;      /* in the call that is under way */
	atomic_bool read_only; /* see engine_distrust */
	struct engine_journal journal;
	int journal_file;        /* of the journal, whatever its name; -1 if there is none (engine_settle) */
	struct stat journal_was; /* when we had last written to it (engine_note_journal) */
};

/* engine_error - SQLite's last result as -errno, and the line that says so: @what failed. */
int engine_error(struct engine *engine, const char *what);

/* engine_no_space - log that there is none left for @what. -ENOSPC. */
int engine_no_space(const struct engine *engine, const char *what);

/* engine_run - carry out statements that take no value and of which no row is wanted. */
int engine_run(struct engine *engine, const char *sql, const char *what);

/* engine_prepare - one that is used again and again; the caller finalizes it. */
int engine_prepare(struct engine *engine, const char *sql, sqlite3_stmt **ret_statement);

/* engine_step - carry out a prepared one that gives no row, and have it ready for the next time. */
int engine_step(struct engine *engine, sqlite3_stmt *statement, const char *what);

/* engine_measure - the bytes that the pages take, those in the journal and of the open transaction too. */
int engine_measure(struct engine *engine, sqlite3_int64 *ret_bytes);

/* engine_file_bytes - the bytes that the file has; @otherwise if that can't be asked. */
sqlite3_int64 engine_file_bytes(struct engine *engine, sqlite3_int64 otherwise);

/* engine_check_journals - before SQLite opens the file @path, which is there: are its journals files, and such as we leave? To open a FIFO would
 * take for ever; and of a rollback journal that ends with the name of another file (the super-journal of a transaction over several databases,
 * which we have none of) SQLite deletes that file. -EBADMSG, or -errno; logged. */
int engine_check_journals(const char *path);

/* engine_check_format - is it ours: the application id, and a schema of our one table and nothing else? -EMEDIUMTYPE, -EBADMSG; logged. */
int engine_check_format(struct engine *engine);

/* engine_has_moved - is the name that it was opened by another file's now, or nobody's? */
bool engine_has_moved(struct engine *engine);

/* engine_hold_journal - that SQLite has opened: it is the engine's from now on, and another that has its name later is not. -errno; logged. */
int engine_hold_journal(struct engine *engine);

/* engine_note_journal - this process alone has written to the journal until now. */
void engine_note_journal(struct engine *engine);

/* engine_may_change - before the file or its journal is written to, or the journal removed: are both still what whoever opens the store finds, and as
 * we have written them? Otherwise -EIO the first time, and -EROFS from then on. What was committed is moved into the file then, even if it has
 * moved: the journal may have kept its name, under which nobody finds it with the file. But not if the file has no name at all, as the journal is all
 * that is left then; nor if another has written to the journal, whose it is then. Nor is it emptied if somebody has opened another file that
 * has our name, or if the journal has another. */
int engine_may_change(struct engine *engine);

/* engine_apply - write or remove one row, within a transaction. */
int engine_apply(struct engine *engine, const struct engine_change *change);

/* engine_committed - for sqlite3_wal_hook, with the engine as its context. */
int engine_committed(void *context, sqlite3 *db, const char *name, int pages);

/* engine_is_cut - before the file is read or written: has somebody made it shorter? Then it is read-only from now on, which is logged once. */
bool engine_is_cut(struct engine *engine);

#endif
