/* SPDX-License-Identifier: Apache-2.0
 * engine: keeps rows (a key and bytes) in one file, transactionally. It sees ciphertext only.
 *
 * This is the whole of what the store asks of a database; another one can stand behind the same functions.
 * Each error is logged here, with the file's path. Any thread may call. Calls on one engine exclude each other, so a get
 * may wait for a commit's sync, or for a copy; but gets go on while a scan does.
 */
#ifndef STORE_ENGINE_H
#define STORE_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct engine;

#define ENGINE_KEY_BYTES 64 /* of a key at most; no key is empty */

/* A row to be written; @data NULL removes the row with that key. Both are borrowed. */
struct engine_change {
	const uint8_t *key;
	size_t key_size;
	const uint8_t *data;
	size_t size;
};

/* Called for each row; @key and @data are valid during the call, which may get rows and change none. @place is where it is found soonest, see
 * engine_get_at; never 0. Returns 0 to go on, or -errno to stop. */
typedef int engine_visit(void *context, const uint8_t *key, size_t key_size, const uint8_t *data, size_t size, uint64_t place);

/* engine_create - make the file @path (mode 0600) with @changes as its only rows, on disk when this returns.
 * After a failure there is no file; a kill may leave one that is only begun. -EEXIST if there is one already. */
int engine_create(const char *path, const struct engine_change *changes, size_t n_changes);

/* engine_open - open it for this process alone, until engine_close; also completes what a crash left behind, and has it on disk.
 * -ENOENT; -EMEDIUMTYPE if it is not such a file; -EROFS; -EBUSY if another process has it; -EBADMSG if it is damaged. */
int engine_open(const char *path, struct engine **ret_engine);

/* engine_looks_ours - without opening it: is @path a file that engine_create made, or began to make? False if there is none. */
bool engine_looks_ours(const char *path);

/* engine_is_begun - of one that looks so: was making it interrupted, so that there is nothing in it? */
bool engine_is_begun(const char *path);

/* engine_remove - remove the file @path, which nobody has open, with what belongs to it. That there is none is no error. */
int engine_remove(const char *path);

/* engine_leave - what was opened is refused: what its journal has may be another file's, and stays there when it is closed. NULL is allowed. */
void engine_leave(struct engine *engine);

/* engine_close - NULL is allowed. Returns NULL. */
struct engine *engine_close(struct engine *engine);

/* engine_room - bytes left where it keeps the rows; UINT64_MAX if that can't be known. */
uint64_t engine_room(const struct engine *engine);

/* engine_get - the row with @key; the caller frees *@ret_data with free(). -ENOENT if there is none. */
int engine_get(struct engine *engine, const uint8_t *key, size_t key_size, uint8_t **ret_data, size_t *ret_size);

/* engine_get_at - the same. It is looked for at @place first, where a scan has seen a row with that key; if another is there now, as if @place
 * weren't known, which is 0. */
int engine_get_at(struct engine *engine, uint64_t place, const uint8_t *key, size_t key_size, uint8_t **ret_data, size_t *ret_size);

/* In which order rows come. */
enum engine_order {
	ENGINE_BY_KEY, /* of the keys' bytes */
	ENGINE_STORED, /* as the file has them, so that it is read from its begin to its end, once: far faster with many */
};

/* engine_scan - every row as it is on disk, and that no part of the file is used twice, or free and used. ENGINE_STORED also sees that each key finds its row and
 * no other: -EBADMSG (logged).
 * Returns what stopped it, or 0. */
int engine_scan(struct engine *engine, enum engine_order order, engine_visit *visit, void *context);

/* engine_commit - all changes in their order, or none; on disk when this returns 0. A removal right before a new row of the same size
 * costs least, as that takes its place.
 * -ENOSPC, -EIO (also if the file was cut short, its name is another's, or its journal is gone or another's), -ENOMEM, -EROFS. After a failure
 * nothing of it is seen; but if it was the disk that failed to sync, the next opening may find all of it. */
int engine_commit(struct engine *engine, const struct engine_change *changes, size_t n_changes);

/* engine_commit_lean - the same, taking as little room on the disk as can be. What is removed is not overwritten, until its place is used again. */
int engine_commit_lean(struct engine *engine, const struct engine_change *changes, size_t n_changes);

/* engine_is_read_only - has the disk failed to sync, or was the file cut short or replaced while it was open, or its journal removed or used by
 * another? What is kept is not known then, so every commit is refused with -EROFS, until the file is closed and opened again. Reading goes on. Does
 * not wait. */
bool engine_is_read_only(const struct engine *engine);

/* engine_copy - all rows as of now into the new file @path (mode 0600), which engine_open then opens; on disk when this returns.
 * After a failure there is no file. -EEXIST. */
int engine_copy(struct engine *engine, const char *path);

/* engine_flush - bring everything into the file itself, so that it is whole alone once it is closed. Fails as engine_commit. */
int engine_flush(struct engine *engine);

/* engine_settle - bring everything into the file itself, so that it can be replaced by another of the same name: nothing that belongs to it
 * lies beside it any more. It stays this process's alone until engine_close; nothing may be committed to it. Fails as
 * engine_commit: so also if the name is another file's by now. */
int engine_settle(struct engine *engine);

#endif
