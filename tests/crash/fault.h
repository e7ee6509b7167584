/* SPDX-License-Identifier: Apache-2.0
 * fault: what the store asks of the disk, counted, told to who wants to know, and made to fail at one place.
 *
 * The calls come from SQLite (vfs.c) and from the store's own files (calls.c). None of them syncs for real: that takes time, and what a
 * sync is worth is what these tests are about. Any thread may call.
 */
#ifndef TESTS_FAULT_H
#define TESTS_FAULT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum fault_call {
	FAULT_OPEN,
	FAULT_READ,
	FAULT_WRITE,
	FAULT_RESIZE, /* truncating, and taking room for more */
	FAULT_SYNC,   /* of a file or of a folder */
	FAULT_DELETE,
	FAULT_RENAME,
	FAULT_LOOK, /* is there such a file, how large is it? */
	FAULT_CALLS
};

enum fault_how { FAULT_EIO, FAULT_ENOSPC, FAULT_EDQUOT, FAULT_SHORT };

/* The call of that kind that fails. */
struct fault_plan {
	enum fault_call call;
	enum fault_how how;
	unsigned at;   /* from 1; 0: none */
	bool for_ever; /* and all after it */
};

/* fault_arm - from now on, counting from 0. fault_disarm - nothing fails any more, and nothing is counted. */
void fault_arm(const struct fault_plan *plan);
void fault_disarm(void);

/* Since it was armed: fault_fired - how many calls have failed. fault_count - how many of a kind there were. */
unsigned fault_fired(void);
unsigned fault_count(enum fault_call call);

/* For people. */
const char *fault_name(enum fault_call call);
const char *fault_how_name(enum fault_how how);

/* fault_is_due - count a call; is it to fail? */
bool fault_is_due(enum fault_call call, enum fault_how *ret_how);

/* fault_errno - what a call says that fails so. */
int fault_errno(enum fault_how how);

enum fault_change { FAULT_CREATED, FAULT_WRITTEN, FAULT_RESIZED, FAULT_SYNCED, FAULT_DELETED, FAULT_RENAMED, FAULT_FOLDER_SYNCED };

/* What a call that succeeded has changed. */
struct fault_event {
	enum fault_change change;
	const char *path;
	const char *to;   /* FAULT_RENAMED */
	const void *data; /* FAULT_WRITTEN */
	size_t size;
	uint64_t offset; /* FAULT_RESIZED: the new size */
};

typedef void fault_observer(const struct fault_event *event);

/* fault_observe - @observer hears of all changes, one after the other; NULL: nobody does. */
void fault_observe(fault_observer *observer);
void fault_tell(const struct fault_event *event);

/* vfs_register - SQLite uses vfs.c from now on, and moves a journal into its file after @journal_pages pages, if it has that many (so
 * that a small test does it often); once in a process. */
void vfs_register(int journal_pages);

#endif
