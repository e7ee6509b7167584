/* SPDX-License-Identifier: Apache-2.0
 * engine_journal: writes to the journal wait for each other, and go to the file together.
 *
 * SQLite writes 24 bytes and 4096 for each page: 1 MiB in 514 calls, which take longer than the sync after them. Here those that follow one another
 * are written at once: before a sync, before anything is asked of the file, and when there is no more room for them. So the file gets
 * the same bytes in the same order, and each sync covers what it would have. A write that fails is told by the call that it had to wait for, to
 * which a transaction fails as well; its bytes are not tried again, as SQLite writes them anew or not at all.
 */
#include "store/engine_journal.h"

#include <string.h>

_Static_assert(ENGINE_JOURNAL_BYTES >= 65536, "SQLite writes a page at a time, which is no longer");

static struct engine_journal *journal_of(const sqlite3_file *file)
{
	return (struct engine_journal *)file->pMethods;
}

static int journal_flush(sqlite3_file *file)
{
	struct engine_journal *journal = journal_of(file);
	int bytes = journal->waiting;

	journal->waiting = 0;
	return bytes ? journal->real->xWrite(file, journal->bytes, bytes, journal->at) : SQLITE_OK;
}

static int journal_write(sqlite3_file *file, const void *bytes, int size, sqlite3_int64 at)
{
	struct engine_journal *journal = journal_of(file);

	if (at != journal->at + journal->waiting || (unsigned)(journal->waiting + size) > sizeof(journal->bytes)) {
		int code = journal_flush(file);

		if (code != SQLITE_OK)
			return code;
		journal->at = at;
	}
	memcpy(journal->bytes + journal->waiting, bytes, (size_t)size);
	journal->waiting += size;
	return SQLITE_OK;
}

static int journal_read(sqlite3_file *file, void *ret_bytes, int size, sqlite3_int64 at)
{
	int code = journal_flush(file);

	return code == SQLITE_OK ? journal_of(file)->real->xRead(file, ret_bytes, size, at) : code;
}

static int journal_truncate(sqlite3_file *file, sqlite3_int64 size)
{
	int code = journal_flush(file);

	return code == SQLITE_OK ? journal_of(file)->real->xTruncate(file, size) : code;
}

static int journal_sync(sqlite3_file *file, int flags)
{
	int code = journal_flush(file);

	return code == SQLITE_OK ? journal_of(file)->real->xSync(file, flags) : code;
}

static int journal_file_size(sqlite3_file *file, sqlite3_int64 *ret_size)
{
	int code = journal_flush(file);

	return code == SQLITE_OK ? journal_of(file)->real->xFileSize(file, ret_size) : code;
}

/* What waits belongs to no commit: that was synced. */
static int journal_close(sqlite3_file *file)
{
	file->pMethods = journal_of(file)->real;
	return file->pMethods->xClose(file);
}

void engine_journal_forget(struct engine_journal *journal)
{
	journal->waiting = 0;
}

void engine_journal_attach(struct engine_journal *journal, sqlite3_file *file)
{
	journal->real = file->pMethods;
	journal->methods = *journal->real;
	journal->methods.xWrite = journal_write;
	journal->methods.xRead = journal_read;
	journal->methods.xTruncate = journal_truncate;
	journal->methods.xSync = journal_sync;
	journal->methods.xFileSize = journal_file_size;
	journal->methods.xClose = journal_close;
	file->pMethods = &journal->methods;
}
