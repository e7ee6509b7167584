/* SPDX-License-Identifier: Apache-2.0
 * scratch: files whose names cannot be a resource, which is what tools write beside the file that they save: editors'
 * backups and swap files, the new file of sed -i.
 *
 * Ordinary files in locked memory, gone with the daemon: nothing is staged, everybody who has one open shares its
 * bytes. Only the uid that made one finds it, so two users may each have one of the same name. Renaming one to a
 * valid name commits it (see scratch_commit); so none may be longer than a secret, and who
 * writes one hears of that at once. Bounded in number, bytes and age; a file's mode is shown with the sticky
 * bit, and one that is left lying is told of in the log, so that nobody takes it for a secret.
 *
 * Functions return 0 or -errno and don't block. Any thread may call.
 */
#ifndef FS_SCRATCH_H
#define FS_SCRATCH_H

#include "fs/tree.h"
#include "store/store.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#define SCRATCH_BYTES_LEAST (256u * 1024)
#define SCRATCH_FILES 256
#define SCRATCH_SECONDS 3600
#define SCRATCH_NOTICE_SECONDS 60 /* left lying this long: a line in the log */

struct scratch;

/* Which file: @name in the folder @parent (an inode), made by @uid. */
struct scratch_place {
	uint64_t parent;
	const char *name; /* at most TREE_NAME_BYTES */
	uid_t uid;
};

/* scratch_new - @max_bytes: of all files, @max_file: of one; @seconds: how long one is kept that nobody has open or changes. NULL
 * without memory. */
struct scratch *scratch_new(size_t max_bytes, size_t max_file, unsigned seconds);

/* scratch_free - drop them all. NULL is allowed. Returns NULL. */
struct scratch *scratch_free(struct scratch *scratch);

/* scratch_usage - how many files there are, and their bytes. */
void scratch_usage(struct scratch *scratch, size_t *ret_files, size_t *ret_bytes);

/* scratch_lock - the store was locked: all bytes are wiped and all names gone, and until scratch_unlock nothing can be made. A file that
 * is open gives -ENOKEY meanwhile to whoever reads, writes or commits it; one that had bytes for good (scratch_is_wiped). */
void scratch_lock(struct scratch *scratch);
void scratch_unlock(struct scratch *scratch);
bool scratch_is_wiped(struct scratch *scratch, uint64_t ino);

/* scratch_put - a new file; one that is there by that name is replaced. @bytes: its content, transferred; NULL: none.
 * -ENOSPC: too many files, or no room; -ENOMEM. */
int scratch_put(struct scratch *scratch, const struct scratch_place *place, const struct record_attributes *attributes,
		struct secbuf *bytes, uint64_t *ret_ino);

/* scratch_find - -ENOENT. */
int scratch_find(struct scratch *scratch, const struct scratch_place *place, uint64_t *ret_ino);

/* scratch_next - the file after the inode @after (0: the first) of @uid's in a folder; its offset is its inode. -ENOENT. */
int scratch_next(struct scratch *scratch, uint64_t parent, uid_t uid, uint64_t after, struct tree_entry *ret_entry);

/* scratch_attributes - as stat(2) shows them; st_nlink is 0 for one that was removed and is still open. -ENOENT. */
int scratch_attributes(struct scratch *scratch, uint64_t ino, struct stat *ret_attributes);

/* scratch_set_attributes - @set: RECORD_SET_…. -ENOENT. */
int scratch_set_attributes(struct scratch *scratch, uint64_t ino, unsigned set,
			   const struct record_attributes *attributes);

/* scratch_acls, scratch_set_acls - those of a file, so RECORD_SELF's access ACL; it is made without. -ENOENT. */
int scratch_acls(struct scratch *scratch, uint64_t ino, struct acl_list *ret_acls);
int scratch_set_acls(struct scratch *scratch, uint64_t ino, const struct acl_list *acls);

/* scratch_open - one open more, which ends with scratch_release. -ENOENT. */
int scratch_open(struct scratch *scratch, uint64_t ino);
void scratch_release(struct scratch *scratch, uint64_t ino);

/* scratch_read - append up to @size bytes from @offset to @ret_bytes; the caller frees. -ENOENT, -ENOMEM. */
int scratch_read(struct scratch *scratch, uint64_t ino, uint64_t offset, size_t size, struct secbuf *ret_bytes);

/* scratch_write, scratch_resize - as pwrite(2) (@append: at the end) and ftruncate(2). -ENOENT, -ENOSPC, -EFBIG. */
int scratch_write(struct scratch *scratch, uint64_t ino, const void *data, size_t size, uint64_t offset, bool append);
int scratch_resize(struct scratch *scratch, uint64_t ino, uint64_t size);

/* scratch_extend - to at least @size bytes, as fallocate(2). Errors as scratch_write. */
int scratch_extend(struct scratch *scratch, uint64_t ino, uint64_t size);

/* scratch_unlink - -ENOENT. */
int scratch_unlink(struct scratch *scratch, const struct scratch_place *place);

/* scratch_rename - to another name that cannot be a resource, in the same folder. -ENOENT; -EEXIST if @exclusive. */
int scratch_rename(struct scratch *scratch, const struct scratch_place *place, const char *to, bool exclusive);

/* scratch_drop_folder - the folder @parent is gone, and with it what anybody had there. */
void scratch_drop_folder(struct scratch *scratch, uint64_t parent);

/* scratch_commit - what makes the file the resource @op->name: fills in value and attributes of a STORE_PUT. When that is on disk,
 * scratch_committed takes the file's name away. Who has it open can write on: it belongs to the resource from then
 * on, and scratch_is_ahead says whether it has bytes that are not committed yet. -ENOENT, -ENOMEM. */
int scratch_commit(struct scratch *scratch, uint64_t ino, struct store_op *op);
void scratch_committed(struct scratch *scratch, uint64_t ino, const struct store_op *op);
bool scratch_is_ahead(struct scratch *scratch, uint64_t ino, struct name *ret_name);

/* scratch_replaced - something was renamed over the resource @name: files that became it write to nothing any more.
 * scratch_renamed - it was renamed (@created: the new name's record.created), over what had the name @to: they follow. */
void scratch_replaced(struct scratch *scratch, const struct name *name);
void scratch_renamed(struct scratch *scratch, const struct name *from, const struct name *to, uint64_t created);

/* scratch_abandon - who wrote it was killed: nothing more of it is to be committed. */
void scratch_abandon(struct scratch *scratch, uint64_t ino);

/* scratch_tend - drop what is too old, and tell of what was left lying. How many ms until it wants to be called
 * again, -1: not at all. */
int scratch_tend(struct scratch *scratch);

#endif
