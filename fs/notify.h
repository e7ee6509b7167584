/* SPDX-License-Identifier: Apache-2.0
 * notify: how the kernel is made to let go of what it keeps: pages, attributes, names.
 *
 * Reads are direct, but mmap(2), sendfile(2) and splice(2) go through the page cache, and a file has one set of pages and
 * one size (i_size) there, whoever has which version open. So pages are dropped when a file that was read in this way is
 * closed, and what only one process may see of a file's attributes is told to it without the kernel keeping it. Which attributes and names
 * it may keep at all is in kept.h.
 */
#ifndef FS_NOTIFY_H
#define FS_NOTIFY_H

#include <stdint.h>

struct fuse_session;
struct notify;

/* notify_new - starts its helpers (helper.h). NULL without memory or processes (logged). */
struct notify *notify_new(struct fuse_session *session);

/* notify_free - NULL is allowed. Returns NULL. */
struct notify *notify_free(struct notify *notify);

/* notify_attached - the session has its connection. For the serving thread, as is what follows about pages. */
void notify_attached(struct notify *notify);

/* notify_paged - the file @ino is about to be read through the page cache. Does not block. -ENOMEM (logged): it would stay there. */
int notify_paged(struct notify *notify, uint64_t ino);

/* notify_closed - somebody has closed the file, or cut it: its pages are dropped soon, if it has any. Does not block. */
void notify_closed(struct notify *notify, uint64_t ino);

/* notify_drop_all - all pages that were read so far are dropped when it returns, also those that somebody has mapped. Waits for reads that
 * are being served, so not for the serving thread. */
void notify_drop_all(struct notify *notify);

/* notify_attributes - those of @ino, and its ACLs, are dropped; also if what is answered now was asked for before this. Any thread; does not block. */
void notify_attributes(struct notify *notify, uint64_t ino);

/* notify_folder - waits until all that was answered about entries of the folder @ino has arrived (what looks up or lists holds its lock).
 * notify_name - the same, and the name @name there has to be looked up anew. Both wait for whoever changes the folder, and so for
 * the serving thread and for commits. */
void notify_folder(struct notify *notify, uint64_t ino);
void notify_name(struct notify *notify, uint64_t folder, const char *name);

#endif
