/* SPDX-License-Identifier: Apache-2.0
 * stage: what is being written and nobody else may see yet. It decides when a write is finished.
 *
 * Each open for writing has an entry with a private copy in locked memory; it is published whole, as one
 * transaction:
 * - at close (FLUSH), if something was written, the closing process is the one that opened the file, and it has no other descriptor
 *   of it. A shell's redirection closes a duplicate before anything is written, and again whenever one of its
 *   builtins is redirected, and its children close theirs when they end: none of these publishes.
 * - at fsync;
 * - when the last descriptor is closed (RELEASE), if that has not happened: also a file that was only created or
 *   truncated.
 * If a signal ends a process that has the file open to write, nothing is published: the old value stays.
 * A new file's name appears when it is first published; before, only the process that made it finds it.
 *
 * One thread (the one that serves requests) calls these, but stage_lock_drop, stage_reserve and stage_unreserve, which any thread may; what a
 * commit ends runs on the commit thread. Nobody holds the stage's lock over a commit.
 */
#ifndef FS_STAGE_H
#define FS_STAGE_H

#include "fs/tree.h"
#include "store/store.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define STAGE_BYTES_DEFAULT (16u * 1024 * 1024)
#define STAGE_HANDLE (UINT64_C(1) << 63) /* set in all handles of the stage, clear in a version's generation */

#define STAGE_NO_THREAD ((pid_t)-1) /* 0 is any that the daemon can't see */

struct stage;
struct kept;

/* What a commit's end calls: 0 or -errno. From the commit thread, or at once from the caller's. */
typedef void stage_done(void *context, int result);

/* Who opens, and how. */
struct stage_open {
	struct name name;
	uint64_t ino;
	const struct store_info *info; /* as it stands, or NULL: it is new */
	struct record_attributes attributes; /* uid, gid and mode of what is new or made anew */
	struct acl_list acls;                /* and its ACL */
	bool truncate;
	bool anew; /* who opens it has set @info aside (aside.h): for it, and when it is published, it is new */
	uid_t uid;
	gid_t gid;     /* of who makes a new one, which need not be the file's */
	pid_t process; /* 0: not known */
	pid_t thread; /* that may cut it right after this (O_TRUNC), or STAGE_NO_THREAD */
};

/* stage_new - @max_bytes: of all that is staged at a time. @kept (or NULL) is to keep nothing of what is being written. NULL without memory. */
struct stage *stage_new(struct tree *tree, struct kept *kept, size_t max_bytes);

/* stage_free - drops what was not published, when no commit can end any more (store_stop). NULL is allowed. Returns NULL. */
struct stage *stage_free(struct stage *stage);

/* stage_bytes, stage_entries - how much is staged at the moment. */
size_t stage_bytes(struct stage *stage);
size_t stage_entries(struct stage *stage);

/* stage_lock_drop - the store was locked: wipe what is staged. What was written so far is never published; closing it says -ENOKEY. Waits
 * for commits under way, so not for the serving thread. */
void stage_lock_drop(struct stage *stage);

/* stage_reserve - @bytes that are written elsewhere (control.h) count among what is staged, until stage_unreserve. -ENOSPC; @commits: also
 * if the disk has no room for them. */
int stage_reserve(struct stage *stage, size_t bytes, bool commits);
void stage_unreserve(struct stage *stage, size_t bytes);

/* stage_open - a new entry. -ENOENT if the resource is gone, -ENOMEM, -ENOKEY. */
int stage_open(struct stage *stage, const struct stage_open *open, uint64_t *ret_handle);

/* stage_share - one open more of a new file that @process is making; it ends with stage_release or stage_discard. -ENOENT. */
int stage_share(struct stage *stage, uint64_t ino, pid_t process, uint64_t *ret_handle);

/* stage_cut_opened - the kernel carries out O_TRUNC as a cut of the file (not of the handle) right after opening it. If that
 * is what @thread is about, do it to the entry. -ENOENT if @thread has not just opened @ino. */
int stage_cut_opened(struct stage *stage, uint64_t ino, pid_t thread);

/* stage_looked_up - @thread is about something else than what it has opened last. */
void stage_looked_up(struct stage *stage, pid_t thread);

/* stage_write - by @thread. @append: to the end, whatever @offset. -EFBIG beyond the longest value, -ENOSPC beyond the stage's
 * bound or what the disk has left, -EIO if the value it builds upon cannot be read, -ENOKEY if the store is locked or was since. */
int stage_write(struct stage *stage, uint64_t handle, pid_t thread, const void *data, size_t size, uint64_t offset,
		bool append);

/* stage_resize - as ftruncate(2). Errors as stage_write. */
int stage_resize(struct stage *stage, uint64_t handle, uint64_t size);

/* stage_extend - to at least @size bytes, as fallocate(2). Errors as stage_write. */
int stage_extend(struct stage *stage, uint64_t handle, uint64_t size);

/* stage_read - up to @size bytes from @offset as the writer sees them; the caller frees. -EIO, -ENOMEM,
 * -ENOKEY. */
int stage_read(struct stage *stage, uint64_t handle, uint64_t offset, size_t size, struct secbuf *ret_bytes);

/* stage_version - the version of the resource @node that the writer has opened, as long as it has changed nothing since: of what it stands upon later
 * the kernel may have pages of the one before. Pinned until that is released or published. -ENOENT. */
int stage_version(struct stage *stage, uint64_t handle, uint64_t node, uint64_t *ret_generation);

/* stage_is_alone - nobody but who has @handle (of the stage or not) is writing to what has the inode @ino. */
bool stage_is_alone(struct stage *stage, uint64_t handle, uint64_t ino);

/* stage_flush - one descriptor was closed by @thread. @request, here and below: store_txn.request, if there is something to be committed. */
void stage_flush(struct stage *stage, uint64_t handle, pid_t thread, uint64_t request, stage_done *done, void *context);

/* stage_refuse - closing a descriptor was refused before it came here: its caller was told that nothing is kept. */
void stage_refuse(struct stage *stage, uint64_t handle);

/* stage_sync - publish what there is. */
void stage_sync(struct stage *stage, uint64_t handle, uint64_t request, stage_done *done, void *context);

/* stage_release - the last descriptor was closed: publish what is not yet, waiting for the disk so that whoever comes next sees
 * it, but nothing that close(2) has refused. Nobody hears of an error but the log. */
void stage_release(struct stage *stage, uint64_t handle);

/* stage_discard - as stage_release, but nothing is published. */
void stage_discard(struct stage *stage, uint64_t handle);

/* stage_attributes - if @handle (0: none) or @process is writing @ino, or @ino is not published yet, what it looks
 * like from there. -ENOENT if it is for the tree to say. */
int stage_attributes(struct stage *stage, uint64_t ino, uint64_t handle, pid_t process, struct stat *ret_attributes);

/* stage_lookup - a new file that @process is making. -ENOENT. */
int stage_lookup(struct stage *stage, const struct name *name, pid_t process, uint64_t *ret_handle,
		 struct stat *ret_attributes);

/* stage_is_new - is anybody making this name? */
bool stage_is_new(struct stage *stage, const struct name *name);

/* stage_maker - the process that is making a secret anew with @handle (see struct stage_open), as long as nothing of that is published; else 0. */
pid_t stage_maker(struct stage *stage, uint64_t handle);

/* stage_acls - those of a new file, so RECORD_SELF's access ACL. -ENOENT if @ino is none. */
int stage_acls(struct stage *stage, uint64_t ino, struct acl_list *ret_acls);

/* stage_making - the attributes of the new file @ino that another than @process is making, which makes none there. -ENOENT if nobody is. */
int stage_making(struct stage *stage, uint64_t ino, pid_t process, struct record_attributes *ret_attributes);

/* stage_set_attributes - keep attributes for when @ino is published: all of them (@set: RECORD_SET_…; @acl if that has
 * RECORD_SET_ACL) of a new file, or that @process is making anew, the times of one that it is writing. Returns the ones that the
 * store has to set now. */
unsigned stage_set_attributes(struct stage *stage, uint64_t ino, pid_t process, unsigned set,
			      const struct record_attributes *attributes, const struct acl *acl);

/* stage_replaced - something was renamed over @name: what others have open of the old one is never to be published. */
void stage_replaced(struct stage *stage, const struct name *name);

/* stage_renamed - the store has renamed it: whoever is writing it goes on under the new name, and @to was replaced.
 * @created: the new name's record.created. */
void stage_renamed(struct stage *stage, const struct name *from, const struct name *to, uint64_t created);

/* stage_publish_as - a new file gets its name: publish it under @to, with its attributes. @exclusive: -EEXIST if that exists. */
void stage_publish_as(struct stage *stage, uint64_t handle, const struct name *to, bool exclusive, uint64_t request,
		      stage_done *done, void *context);

/* stage_unlink - a new file is removed before it was published: it never will be. */
void stage_unlink(struct stage *stage, uint64_t handle);

#endif
