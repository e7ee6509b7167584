/* SPDX-License-Identifier: Apache-2.0
 * engine_journal: SQLite's journal, written in few large pieces. Under the lock of the engine.
 */
#ifndef STORE_ENGINE_JOURNAL_H
#define STORE_ENGINE_JOURNAL_H

#include <sqlite3.h>
#include <stdint.h>

#define ENGINE_JOURNAL_BYTES (128u * 1024)

struct engine_journal {
	sqlite3_io_methods methods;     /* the file's, some of them ours. The first: by it the rest is found from the file */
	const sqlite3_io_methods *real; /* those it had */
	sqlite3_int64 at;               /* where the bytes that wait go */
	int waiting;                    /* how many */
	uint8_t bytes[ENGINE_JOURNAL_BYTES];
};

/* engine_journal_attach - from now on all that SQLite does with @file, which is open, goes through @journal. Until the file is closed. */
void engine_journal_attach(struct engine_journal *journal, sqlite3_file *file);

/* engine_journal_forget - what waits is of a transaction that has failed, and is not to be written. Before it is undone, for which SQLite reads. */
void engine_journal_forget(struct engine_journal *journal);

#endif
