/* SPDX-License-Identifier: Apache-2.0
 * notify: what the kernel keeps of a file against our will, and how it is made to let go.
 *
 * Reads are direct, but mmap(2), sendfile(2) and splice(2) go through the page cache, and a file has one set of pages and
 * one size (i_size) there, whoever has which version open. So pages are dropped when a file that was read in this way is
 * closed, and what only one process may see of a file's attributes is told to it without the kernel keeping it.
 */
#ifndef FS_NOTIFY_H
#define FS_NOTIFY_H

#include <stdint.h>

struct fuse_session;
struct notify;

/* notify_new - starts its helper (helper.h). NULL without memory or processes. */
struct notify *notify_new(struct fuse_session *session);

/* notify_free - NULL is allowed. Returns NULL. */
struct notify *notify_free(struct notify *notify);

/* All that follow are for the serving thread. notify_attached - the session has its connection. */
void notify_attached(struct notify *notify);

/* notify_paged - the file @ino was read through the page cache. Does not block. */
void notify_paged(struct notify *notify, uint64_t ino);

/* notify_closed - somebody has closed the file: its pages are dropped, if it has any. Does not block. */
void notify_closed(struct notify *notify, uint64_t ino);

/* notify_drop_all - all pages that were read so far are dropped when it returns, also those that somebody has mapped. Waits for reads that
 * are being served, so not for the serving thread. */
void notify_drop_all(struct notify *notify);

/* notify_private - the attributes of @ino that are about to be answered are for who asks alone: the kernel keeps none
 * that were asked for before this. Does not block. */
void notify_private(struct notify *notify, uint64_t ino);

#endif
