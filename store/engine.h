/* SPDX-License-Identifier: Apache-2.0
 * engine: keeps rows (a key and bytes) in one file, transactionally. It sees ciphertext only.
 *
 * This is the whole of what the store asks of a database; another one can stand behind the same functions.
 * Each error is logged here, with the file's path. Any thread may call; calls on one engine exclude each other,
 * so a get may wait for a commit's sync.
 */
#ifndef STORE_ENGINE_H
#define STORE_ENGINE_H

#include <stddef.h>
#include <stdint.h>

struct engine;

/* A row to be written; @data NULL removes the row with that key. Both are borrowed. */
struct engine_change {
	const uint8_t *key;
	size_t key_size;
	const uint8_t *data;
	size_t size;
};

/* Called for each row; @key and @data are valid during the call. Returns 0 to go on, or -errno to stop. */
typedef int engine_visit(void *context, const uint8_t *key, size_t key_size, const uint8_t *data, size_t size);

/* engine_create - make the file @path (mode 0600) with @changes as its only rows, on disk when this returns.
 * After a failure there is no file. -EEXIST if there is one already. */
int engine_create(const char *path, const struct engine_change *changes, size_t n_changes);

/* engine_open - open it for this process alone, until engine_close; also completes what a crash left behind.
 * -ENOENT; -EMEDIUMTYPE if it is not such a file; -EBUSY if another process has it; -EBADMSG if it is damaged. */
int engine_open(const char *path, struct engine **ret_engine);

/* engine_close - NULL is allowed. Returns NULL. */
struct engine *engine_close(struct engine *engine);

/* engine_room - bytes left where it keeps the rows; UINT64_MAX if that can't be known. */
uint64_t engine_room(const struct engine *engine);

/* engine_get - the row with @key; the caller frees *@ret_data with free(). -ENOENT if there is none. */
int engine_get(struct engine *engine, const uint8_t *key, size_t key_size, uint8_t **ret_data, size_t *ret_size);

/* engine_scan - every row, in the order of the keys' bytes. Returns what stopped it, or 0. */
int engine_scan(struct engine *engine, engine_visit *visit, void *context);

/* engine_commit - all changes in their order, or none; on disk when this returns 0.
 * -ENOSPC, -EIO, -EROFS, -ENOMEM. */
int engine_commit(struct engine *engine, const struct engine_change *changes, size_t n_changes);

#endif
