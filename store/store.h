/* SPDX-License-Identifier: Apache-2.0
 * store: resources kept in one encrypted file. What fs/ and tools/ build on.
 *
 * Reading sees the last committed state. Changes go through transactions: all of one or nothing, on disk before
 * it is answered; one thread commits whatever waits as one batch, so many writers share one sync.
 * Functions return 0 or -errno and have logged the reason if the store (not the caller's request) caused it. Any thread may call,
 * except where said. Values are plaintext only in the arena (secmem.h), which must exist.
 */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include "store/key.h"
#include "store/name.h"
#include "store/record.h"
#include "store/secmem.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define STORE_VALUE_BYTES_DEFAULT (1024u * 1024)
#define STORE_VALUE_BYTES_MAX (16u * 1024 * 1024)
#define STORE_HISTORY_DEFAULT 10
#define STORE_HISTORY_MAX 1000

struct store;
struct store_txn;
struct header;
struct anchor; /* anchor.h */

/* A version that readers have had open since before the store was opened, as another process had it. */
struct store_held {
	uint64_t node;
	uint64_t generation;
	uint32_t pins;                       /* each to be given back with store_unpin */
	enum record_inode inode;             /* which of the resource's inodes is open, */
	uint32_t size;                       /* and what it looks like, in case that the resource was removed */
	struct record_attributes attributes;
};

struct store_options {
	size_t value_bytes; /* longest value */
	unsigned history;   /* versions kept of each resource besides the current one */
	size_t cache_bytes; /* sealed values kept in memory */
	const struct store_held *held; /* borrowed during store_open, older generations first; those that are gone are passed over */
	size_t n_held;
	struct anchor *anchor; /* what says that it is no older copy; NULL: nothing does. Borrowed until store_close */
	bool anchor_later;     /* it is looked at, and neither refuses the store nor is written to: for store_accept */
	/* Called from the commit thread, unless NULL, when a transaction's @request is about to be committed with @generation; with 0: it
	 * was not, after all. Must not block for long. */
	void (*committing)(void *context, uint64_t request, uint64_t generation);
	void *context;
};

/* A resource as it stands. */
struct store_info {
	uint64_t node; /* its number in this store: 56 bits, from its name alone, so it stays across replacing it */
	bool exists;   /* false: removed, and only a pinned version can still be read */
	struct record record;
};

struct store_status {
	uint8_t id[16];
	uint64_t generation;
	size_t meshes, secrets, global_secrets;
	bool disk_failed;   /* see store_is_read_only */
	bool anchored;      /* it has an anchor, */
	bool anchor_failed; /* which can't be written any more: nothing can be changed until the store is opened again */
	uint64_t rows; /* on disk: the header, metadata records and values */
};

/* store_create - make the store file @path with the mesh `default`, opened by @key; everything in it belongs to
 * @uid and @gid. On disk when it returns; after a failure there is no file. The folder must belong to the
 * caller (or root) and not be writable for others: -EPERM. -EEXIST if there is a file. */
int store_create(const char *path, const struct key *key, uid_t uid, gid_t gid);

/* store_open - verify every row and load the index; starts the commit thread. Reads the whole file.
 * -ENOENT, -EMEDIUMTYPE (not a store), -EPROTONOSUPPORT (newer), -EBUSY (in use), -EKEYREJECTED (wrong key),
 * -EBADMSG (changed without the key), -EPERM (folder as above, of the file itself if @path is a link), -ESTALE (not the newest state that its anchor
 * knows). */
int store_open(const char *path, const struct key *key, const struct store_options *options, struct store **ret_store);

/* store_stop - commit what waits, answer it, and end the commit thread: after it nothing may be submitted.
 * NULL is allowed. */
void store_stop(struct store *store);

/* store_close - store_stop, then close. NULL is allowed. Returns NULL. */
struct store *store_close(struct store *store);

/* Who has to know of each change before it is answered. */
struct store_watcher {
	/* From the commit thread: a transaction's changes are to be seen, its done not called yet; also if it failed. Must not block. */
	void (*committed)(void *context, const struct store_txn *txn);
	/* By store_run, before it hands a transaction over and, @over, when that has ended. May block. */
	void (*running)(void *context, const struct store_txn *txn, bool over);
	void *context;
};

/* store_watch - from now on; before anything is submitted. One at a time. */
void store_watch(struct store *store, const struct store_watcher *watcher);

const struct store_options *store_get_options(const struct store *store);
const char *store_path(const struct store *store);
void store_get_status(struct store *store, struct store_status *ret_status);

/* Reading. None of these waits for a disk, but store_read and store_prefetch of a value that is not cached. */

/* store_node - the number that a resource of this name has or would have. */
uint64_t store_node(const struct store *store, const struct name *name);

/* store_look - by number; also finds a removed resource that is pinned (see exists). -ENOENT. */
int store_look(struct store *store, uint64_t node, struct store_info *ret_info);

/* store_room - how many bytes the disk that the store is on has left for it, what is kept for removing apart; UINT64_MAX if it does not
 * say. A commit takes up to twice what it writes. */
uint64_t store_room(const struct store *store);

/* store_is_read_only - has the disk failed to sync, was the file cut short or replaced while it was open, or its journal removed, or could the
 * anchor not be written? Nothing is committed any more then (-EROFS), until the store is opened again, which verifies it; reading goes on. The commit
 * at which it happened has failed with -EIO, and (if it was the disk) is there or not when the store is opened again. */
bool store_is_read_only(const struct store *store);

/* store_next - the resource after number @after (0: the first) in a folder: of all meshes (NAME_MESH), of the
 * globals (NAME_GLOBAL_SECRET), of the mesh @mesh_node (NAME_SECRET). -ENOENT at the end. */
int store_next(struct store *store, enum name_kind kind, uint64_t mesh_node, uint64_t after,
	       struct store_info *ret_info);

/* store_pin - keep the current version readable until store_unpin, whatever happens to the resource. -ENOENT. */
int store_pin(struct store *store, uint64_t node, uint64_t *ret_generation);
void store_unpin(struct store *store, uint64_t node, uint64_t generation);

/* store_has_former - is a version of this resource pinned that is not its current one? */
bool store_has_former(struct store *store, uint64_t node);

/* store_read - the bytes of a pinned version; the caller frees with secbuf_deinit.
 * -EIO if the row is not what was stored (logged), -ENOMEM if the arena is full, -ENOKEY if the store is locked. */
int store_read(struct store *store, uint64_t node, uint64_t generation, struct secbuf *ret_value);

/* store_prefetch - the caller is about to read a pinned version: have it in the cache, sealed, if it is the current one and no longer than 64 KiB.
 * May wait for the disk. Of what goes wrong store_read tells. */
void store_prefetch(struct store *store, uint64_t node, uint64_t generation);

/* store_keep - of @value, which store_read has opened, more will be asked for: it takes it over, for the next store_read of that version. One is
 * kept, until any is read, the version is unpinned or the store locked, or for a second. */
void store_keep(struct store *store, uint64_t generation, struct secbuf *value);

/* store_tend - wipe what was kept for long enough. How many ms until there is something to do; -1: never. */
int store_tend(struct store *store);

/* Changing. */

enum store_op_kind {
	STORE_PUT,            /* create it, or replace its value */
	STORE_APPEND,         /* create it, or add to the end of its value */
	STORE_SET_ATTRIBUTES, /* also of what was removed and is pinned, in memory; a mesh's secrets/ and mesh.yaml can't be made absent while it has secrets: -ENOTEMPTY */
	STORE_REMOVE,         /* with all its versions; a mesh must have no secrets: -ENOTEMPTY */
	STORE_RENAME,         /* to a name in the same mesh, or among the globals; what was there is replaced */
};

enum store_outcome {
	STORE_UNCHANGED, /* the bytes were the same: nothing was written */
	STORE_GONE,      /* what it was meant for (see only_created) is: nothing was written */
	STORE_CREATED,
	STORE_UPDATED,
};

struct store_op {
	enum store_op_kind kind;
	struct name name;
	struct name to;         /* STORE_RENAME */
	bool exclusive;         /* -EEXIST if @name (STORE_RENAME: @to) is there already */
	uint64_t only_created;  /* STORE_PUT, STORE_APPEND, unless 0: only if record.created is this, otherwise do nothing and succeed: a
				 * resource that was removed is not brought back by somebody who still has it open */
	bool unaware;           /* STORE_PUT, STORE_APPEND: its writer found no such resource. One that somebody else has made since is written only as far as
				 * its mode lets @writer, of the group @group: else -EACCES */
	bool owned;             /* STORE_SET_ATTRIBUTES: only if @owner still owns the inode; else -EPERM */
	uid_t owner;
	struct secbuf value;    /* STORE_PUT, STORE_APPEND; freed with the transaction */
	uid_t writer;           /* kept with the value */
	gid_t group;            /* of @writer, for @unaware */
	enum record_inode inode;                               /* STORE_SET_ATTRIBUTES */
	unsigned set;                                          /* RECORD_SET_…: what of attributes[0] is to be set; for the first three */
	struct record_attributes attributes[RECORD_INODES];    /* uid, gid and mode of what is created; and see @set */
	struct acl_list acls;                                  /* of what is created; or what @set sets of @inode, none: remove it */
	enum store_outcome ret_outcome;
	uint64_t ret_created;   /* record.created of what was put, or renamed to */
};

#define STORE_WHY_BYTES 1024

/* A transaction: one allocation, ops included. */
struct store_txn {
	struct store_txn *next; /* the store's queue */
	uint64_t request;       /* for store_options.committing; 0: nobody's */
	/* Unless NULL: called from the commit thread when all but the commit is done for it, once or more, in the order of submitting and always before
	 * @done. May wait for an answer that is on its way, which others that go with it then wait for, too. -errno: it is refused with that. */
	int (*ready)(struct store_txn *txn);
	/* Called once, from the commit thread, after the changes are on disk and to be seen, or were refused.
	 * It must not block for long and frees the transaction. */
	void (*done)(struct store_txn *txn, int result);
	void *context;
	const struct header *header;   /* for keys.c, which changes key slots: the header as it will be, borrowed; else NULL */
	char ret_why[STORE_WHY_BYTES]; /* of a failure: a sentence for people, or "" if -errno says it all */
	size_t ret_failed;             /* and the op that was refused; n_ops if none was alone to blame */
	size_t n_ops;
	struct store_op ops[];
};

/* store_txn_new - zeroed, for @n_ops ops. NULL without memory. */
struct store_txn *store_txn_new(size_t n_ops);

/* store_txn_free - with the values. NULL is allowed. Returns NULL. */
struct store_txn *store_txn_free(struct store_txn *txn);

/* store_submit - hand it over; @txn->done will be called. Does not block. Transactions are carried out in
 * the order of submitting. Results: -ENOENT (no such resource, or no such mesh), -EEXIST, -ENOTEMPTY, -EXDEV, -EBUSY (a secret that its
 * mesh's mTLS backend names), -EINVAL (a Mesh document that can't be, or names a secret that does not exist),
 * -EFBIG (an append that grows too long), -ENOSPC (also of ACLs that have no room in the record), -EACCES (a default ACL
 * for a file), -ENOKEY (the store is locked, or was before this was on disk), -EROFS (see store_is_read_only), -EIO, -ENOMEM. The commit that
 * the anchor could not be told of gets -EIO, though it is on disk and to be seen: it could be taken back by who puts an older copy there. */
void store_submit(struct store *store, struct store_txn *txn);

/* store_run - the same, waiting for the result; @txn->done is not used, and the caller still owns @txn. */
int store_run(struct store *store, struct store_txn *txn);

/* Administration. These wait for the disk. */

/* Called now and then during long work, with how much of it is done. */
typedef void store_progress(void *context, uint64_t done, uint64_t total);

struct store_checked {
	uint64_t resources, values, rows;
};

/* store_check - read the whole file again: every row against the manifest, every record and value opened, every value what its record
 * says. Changes wait meanwhile, reading goes on. -EBADMSG after a line in the log for what is wrong. @progress may be NULL. */
int store_check(struct store *store, store_progress *progress, void *context, struct store_checked *ret_checked);

#define STORE_COPY_JOURNAL "-journal"

/* store_copy - a consistent copy of the store in the new file @path (mode 0600), on disk when it returns; opened by the same keys.
 * -EEXIST. Changes wait meanwhile, and so does reading what is not cached. If the process ends meanwhile, there is a part of it, and @path with
 * STORE_COPY_JOURNAL. */
int store_copy(struct store *store, const char *path);

struct store_accepted {
	bool refused;        /* it would have been: the anchor knew another state, or none that it could tell */
	uint64_t known;      /* the generation that it had seen; 0 if it can't tell, or has not known any store */
	uint64_t generation; /* that it has seen now */
};

/* store_accept - have the anchor know the store as it is, whatever it knew. Of a store that was opened with anchor_later, and that nobody else uses meanwhile.
 * If it would have been refused, it gets a generation beyond all that the anchor has seen, so that the states that are given up are refused from now on. */
int store_accept(struct store *store, struct store_accepted *ret_accepted);

/* Locking: the keys are wiped from memory, until whoever has one that opens the store brings it again. Names and metadata stay, and all that
 * is done with them alone: looking, listing, pinning, a copy. What needs the keys is refused with -ENOKEY: store_read, whatever is
 * submitted, store_check, changes of key slots. */

/* store_lock - waits for what is being read and committed, and answers what waits to be. After it nothing that opens or seals a row is in
 * memory, and nothing that was submitted before holds a value. -ENOMEM, and nothing has changed. */
int store_lock(struct store *store);

/* store_unlock - with any key that opens the store. -EKEYREJECTED (logged), -EBADMSG, -ENOMEM. For a passphrase it takes Argon2id's time
 * and memory. Also if it is not locked. */
int store_unlock(struct store *store, const struct key *key);

bool store_is_locked(struct store *store);

/* Keys: slots of the header, numbered from 0. Each change is one commit. */

#define STORE_KEY_SLOTS 8

/* store_keys - which kind of key each slot is for (enum key_kind), 0 if it is free; @ret_current: which one opened the store;
 * STORE_KEY_SLOTS once that was removed. */
void store_keys(struct store *store, uint8_t ret_kinds[static STORE_KEY_SLOTS], unsigned *ret_current);

/* store_key_slot - the slot that @key opens. -EKEYREJECTED if none. For a passphrase it takes Argon2id's time and memory, as do the others. */
int store_key_slot(struct store *store, const struct key *key, unsigned *ret_slot);

/* store_key_add - -ENOSPC if all slots are used, -EEXIST if @key opens it already. */
int store_key_add(struct store *store, const struct key *key, unsigned *ret_slot);

/* store_key_remove - -ENOENT; -EBUSY for the last one. What was sealed stays readable to whoever kept both the key and an old copy
 * of the header: see store_rekey. 1 (logged): it is removed, but the file without its journal is such a copy, until it is opened again. */
int store_key_remove(struct store *store, unsigned slot);

/* store_key_replace - @key takes the place of what @slot had. -ENOENT; -EEXIST if @key opens another slot already; 1 as above. */
int store_key_replace(struct store *store, unsigned slot, const struct key *key);

/* store_rekey - seal everything in the store @path again, under a new root key in the next epoch, which only @new_key (may be @key) opens.
 * The store must not be open. It is made anew as @path.rekey and takes the old one's place at the end, so that a kill at any moment loses
 * nothing; the next call with the same keys goes on where that one was. After a failure the store is as it was, and there is no @path.rekey.
 * The arena must have room for three times the longest value. -EBUSY in use; -EEXIST if @path.rekey is something else; else as store_open,
 * and -ENOSPC, -EROFS, -EIO. @anchor (or NULL) goes on knowing it: before the new one takes the old one's place it has both. */
int store_rekey(const char *path, const struct key *key, const struct key *new_key, struct anchor *anchor,
		store_progress *progress, void *context);

#endif
