/* SPDX-License-Identifier: Apache-2.0
 * anchor: two slots that are written in turn, so that a write which is cut off leaves the state before.
 *
 * A slot that does not open under the store's key is not believed, and says nothing: it may be torn, or be of the next
 * epoch, as a rekey writes it before the store is replaced. What counts is the newest slot that opens. Both are written
 * before the first commit is acknowledged, so one that opens there always is, unless the anchor is not this store's.
 */
#include "store/anchor.h"

#include "store/bytes.h"
#include "store/folder.h"
#include "store/log.h"
#include "store/seal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Offsets in a slot, in bytes. */
enum {
	AT_MAGIC = 0,
	AT_VERSION = 8,
	AT_RESERVED = 10,
	AT_EPOCH = 12,
	AT_STORE_ID = 16,
	AT_SEALED = AT_STORE_ID + HEADER_STORE_ID_BYTES, /* what stands before is the associated data */

	/* what is sealed */
	PLAIN_GENERATION = 0,
	PLAIN_SUM = 8,
	PLAIN_BYTES = 56,
};

_Static_assert(AT_SEALED + PLAIN_BYTES + CRYPTO_SEAL_OVERHEAD == ANCHOR_SLOT_BYTES, "the sealed part ends the slot");

#define ANCHOR_VERSION 1
static const uint8_t anchor_magic[8] = {'H', 'U', 'S', 'H', 'A', 'N', 'C', 'H'};

struct anchor {
	char *path;
	int fd;
	bool read_only;
	unsigned newest;                 /* the slot that holds the newest state */
	uint8_t slot[ANCHOR_SLOT_BYTES]; /* as written last */
	const char *key_flag, *key_path; /* of hushctl, for the key of the store */
};

/* --- the file --------------------------------------------------------------------------------------------------- */

static int anchor_check_file(const char *path, int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0) {
		log_error("%s: %s", path, log_reason(errno));
		return -errno;
	}
	if (!S_ISREG(st.st_mode)) {
		log_error("%s: the anchor is to be a file", path);
		return -EINVAL;
	}
	if (st.st_uid != geteuid() && st.st_uid != 0) {
		log_error("%s: the anchor belongs to user %u, who could put it back as well: use one that is yours", path,
			  st.st_uid);
		return -EPERM;
	}
	if (st.st_mode & (S_IWGRP | S_IWOTH)) {
		log_error("%s: others may write to the anchor: chmod 600 %s", path, path);
		return -EPERM;
	}
	return 0;
}

/* Its name is to last as long as the store does. */
static int anchor_open_file(const char *path, bool read_only)
{
	const int flags = O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;
	int fd = open(path, (read_only ? O_RDONLY : O_RDWR) | flags);
	int r;

	if (fd < 0 && errno == ENOENT && !read_only) {
		fd = open(path, O_RDWR | O_CREAT | flags, 0600);
		r = fd < 0 ? 0 : folder_sync(path);
		if (r < 0) {
			log_error("%s: cannot sync the folder of the anchor: %s", path, log_reason(-r));
			close(fd);
			return r;
		}
	}
	if (fd >= 0)
		return fd;
	r = -errno;
	if (r == -ENOENT && read_only)
		log_error("%s: there is no such anchor; a mount that isn't read-only makes it", path);
	else
		log_error("%s: cannot open the anchor: %s", path, r == -ELOOP ? "it is a symbolic link" : log_reason(-r));
	return r;
}

int anchor_open(const char *path, bool read_only, struct anchor **ret_anchor)
{
	struct anchor *anchor;
	int fd = anchor_open_file(path, read_only);
	int r = fd < 0 ? fd : anchor_check_file(path, fd);

	if (r < 0) {
		if (fd >= 0)
			close(fd);
		return r;
	}
	anchor = calloc(1, sizeof(*anchor));
	if (anchor)
		anchor->path = strdup(path);
	if (!anchor || !anchor->path) {
		free(anchor);
		close(fd);
		return log_no_memory("to open the anchor");
	}
	anchor->fd = fd;
	anchor->read_only = read_only;
	anchor->key_flag = " --key-file ";
	anchor->key_path = "FILE";
	*ret_anchor = anchor;
	return 0;
}

struct anchor *anchor_close(struct anchor *anchor)
{
	if (anchor) {
		close(anchor->fd);
		free(anchor->path);
		free(anchor);
	}
	return NULL;
}

void anchor_say_place(const char *path, const char *store)
{
	if (folder_same(path, store))
		log_warning("%s: the anchor is in the folder of the store: who puts an older copy of that folder back is not "
			    "noticed; keep it elsewhere",
			    path);
}

/* --- slots ------------------------------------------------------------------------------------------------------ */

enum slot_kind {
	SLOT_UNUSED, /* all zero */
	SLOT_BROKEN,
	SLOT_FOREIGN,
	SLOT_OLDER_EPOCH, /* of this store, but under another root key, so nobody can say whether it is whole */
	SLOT_NEWER_EPOCH,
	SLOT_OURS,
};

/* A state of a store. */
struct slot {
	enum slot_kind kind;
	uint64_t generation; /* these two of SLOT_OURS */
	uint8_t sum[CRYPTO_HASH_BYTES];
};

static void slot_seal(const struct seal *seal, const struct seal_manifest *manifest,
		      uint8_t ret_slot[static ANCHOR_SLOT_BYTES])
{
	uint8_t plain[PLAIN_BYTES] = {0};

	bytes_put64(plain + PLAIN_GENERATION, manifest->generation);
	memcpy(plain + PLAIN_SUM, manifest->sum, CRYPTO_HASH_BYTES);
	memset(ret_slot, 0, ANCHOR_SLOT_BYTES);
	memcpy(ret_slot + AT_MAGIC, anchor_magic, sizeof(anchor_magic));
	bytes_put16(ret_slot + AT_VERSION, ANCHOR_VERSION);
	bytes_put32(ret_slot + AT_EPOCH, seal->epoch);
	memcpy(ret_slot + AT_STORE_ID, seal->store_id, HEADER_STORE_ID_BYTES);
	crypto_seal(ret_slot + AT_SEALED, seal->keys->anchor, seal->keys->nonce, ret_slot, AT_SEALED, plain, sizeof(plain));
	secmem_wipe(plain, sizeof(plain));
}

static struct slot slot_open(const struct seal *seal, const uint8_t bytes[static ANCHOR_SLOT_BYTES])
{
	static const uint8_t unused[ANCHOR_SLOT_BYTES];
	struct slot slot = {.kind = SLOT_BROKEN};
	uint8_t plain[PLAIN_BYTES];
	uint32_t epoch = bytes_get32(bytes + AT_EPOCH);

	if (memcmp(bytes, unused, sizeof(unused)) == 0)
		slot.kind = SLOT_UNUSED;
	else if (memcmp(bytes + AT_MAGIC, anchor_magic, sizeof(anchor_magic)) != 0 ||
		 bytes_get16(bytes + AT_VERSION) != ANCHOR_VERSION)
		slot.kind = SLOT_BROKEN;
	else if (memcmp(bytes + AT_STORE_ID, seal->store_id, HEADER_STORE_ID_BYTES) != 0)
		slot.kind = SLOT_FOREIGN;
	else if (epoch != seal->epoch)
		slot.kind = epoch < seal->epoch ? SLOT_OLDER_EPOCH : SLOT_NEWER_EPOCH;
	else if (crypto_open(plain, seal->keys->anchor, bytes, AT_SEALED, bytes + AT_SEALED,
			     ANCHOR_SLOT_BYTES - AT_SEALED) == 0) {
		slot.kind = SLOT_OURS;
		slot.generation = bytes_get64(plain + PLAIN_GENERATION);
		memcpy(slot.sum, plain + PLAIN_SUM, sizeof(slot.sum));
		secmem_wipe(plain, sizeof(plain));
	}
	return slot;
}

/* Whoever takes another file for an anchor must not have it overwritten, even if he says that he accepts what there is. One that was
 * only begun has zeros after the first slot. */
static bool anchor_looks_ours(const uint8_t bytes[static ANCHOR_BYTES], size_t size)
{
	static const uint8_t unused[ANCHOR_BYTES - ANCHOR_SLOT_BYTES];

	return size == 0 || (size == ANCHOR_BYTES && memcmp(bytes + ANCHOR_SLOT_BYTES, unused, sizeof(unused)) == 0) ||
	       memcmp(bytes, anchor_magic, sizeof(anchor_magic)) == 0 ||
	       memcmp(bytes + ANCHOR_SECOND_AT, anchor_magic, sizeof(anchor_magic)) == 0;
}

/* Both, as they are on disk. A file that was cut or has grown has none that counts; an empty one was never used. */
static int anchor_read(const struct anchor *anchor, const struct seal *seal, struct slot ret_slots[static 2])
{
	uint8_t bytes[ANCHOR_BYTES + 1] = {0};
	ssize_t size = pread(anchor->fd, bytes, sizeof(bytes), 0);
	int r;

	if (size < 0) {
		r = -errno;
		log_error("%s: cannot read the anchor: %s", anchor->path, log_reason(-r));
		return r;
	}
	if (!anchor_looks_ours(bytes, (size_t)size)) {
		log_error("%s: this is not an anchor, or nothing is left of it: give another file", anchor->path);
		return -EINVAL;
	}
	ret_slots[0] = ret_slots[1] = (struct slot){.kind = SLOT_BROKEN};
	if (size == 0 || size == ANCHOR_BYTES) {
		ret_slots[0] = slot_open(seal, bytes);
		ret_slots[1] = slot_open(seal, bytes + ANCHOR_SECOND_AT);
	}
	return 0;
}

static int anchor_put(struct anchor *anchor)
{
	unsigned slot = !anchor->newest;
	ssize_t size;
	int r = 0;

	if (anchor->read_only)
		return 0;
	errno = EIO; /* a short write does not set it */
	size = pwrite(anchor->fd, anchor->slot, ANCHOR_SLOT_BYTES, slot ? ANCHOR_SECOND_AT : 0);
	if (size != ANCHOR_SLOT_BYTES || fdatasync(anchor->fd) < 0) {
		r = -errno;
		log_error("%s: cannot write the anchor: %s", anchor->path, log_reason(-r));
		return r;
	}
	anchor->newest = slot;
	return 0;
}

/* --- a store and its anchor ------------------------------------------------------------------------------------- */

static enum anchor_verdict anchor_compare(const struct slot *known, const struct seal_manifest *manifest)
{
	if (manifest->generation < known->generation)
		return ANCHOR_OLDER;
	if (manifest->generation > known->generation)
		return ANCHOR_BEHIND;
	return crypto_equal(manifest->sum, known->sum, sizeof(known->sum)) ? ANCHOR_SAME : ANCHOR_OTHER;
}

/* No slot opens. As long as the second was never written nothing has been acknowledged, whatever a torn first one looks like. */
static enum anchor_verdict anchor_explain(const struct slot slots[static 2])
{
	static const enum anchor_verdict verdicts[] = {
		[SLOT_FOREIGN] = ANCHOR_FOREIGN, [SLOT_OLDER_EPOCH] = ANCHOR_REKEYED, [SLOT_NEWER_EPOCH] = ANCHOR_UNREKEYED};
	enum slot_kind kind = slots[0].kind > slots[1].kind ? slots[0].kind : slots[1].kind;

	if (slots[1].kind == SLOT_UNUSED)
		return ANCHOR_UNUSED;
	return kind >= SLOT_FOREIGN ? verdicts[kind] : ANCHOR_DAMAGED;
}

int anchor_look(struct anchor *anchor, const struct seal *seal, const struct seal_manifest *manifest,
		enum anchor_verdict *ret_verdict, uint64_t *ret_generation)
{
	const struct slot *known;
	struct slot slots[2];
	int r = anchor_read(anchor, seal, slots);

	if (r < 0)
		return r;
	anchor->newest = slots[1].kind == SLOT_OURS &&
			 (slots[0].kind != SLOT_OURS || slots[1].generation > slots[0].generation);
	known = &slots[anchor->newest];
	*ret_generation = known->kind == SLOT_OURS ? known->generation : 0;
	if (known->kind == SLOT_OURS) {
		*ret_verdict = anchor_compare(known, manifest);
	} else {
		*ret_verdict = anchor_explain(slots);
		anchor->newest = 1; /* the first slot is the first to be written */
	}
	return 0;
}

#define ANCHOR_ACCEPT "or accept the store as it is: hushctl check --store %s%s%s --anchor %s --accept-rollback"

void anchor_suggest_key(struct anchor *anchor, const struct key_source *source, enum key_kind kind)
{
	if (source->key_file) {
		anchor->key_path = source->key_file;
	} else if (source->passphrase_file) {
		anchor->key_flag = " --passphrase-file ";
		anchor->key_path = source->passphrase_file;
	} else if (kind == KEY_PASSPHRASE) { /* it is asked for */
		anchor->key_flag = anchor->key_path = "";
	}
}

static int anchor_refuse(const struct anchor *anchor, enum anchor_verdict verdict, uint64_t known, uint64_t generation,
			 const char *path)
{
	const char *flag = anchor->key_flag, *key = anchor->key_path;

	switch (verdict) {
	case ANCHOR_OLDER:
		log_error("%s: an older copy of the store was put in its place: it is of generation %" PRIu64 ", and the anchor %s "
			  "has seen %" PRIu64 ". Put the newest back, " ANCHOR_ACCEPT,
			  path, generation, anchor->path, known, path, flag, key, anchor->path);
		break;
	case ANCHOR_OTHER:
		log_error("%s: it is of generation %" PRIu64 ", but not the store that the anchor %s has seen then: a copy with another "
			  "history was put in its place. Put the right one back, " ANCHOR_ACCEPT,
			  path, generation, anchor->path, path, flag, key, anchor->path);
		break;
	case ANCHOR_UNREKEYED:
		log_error("%s: a copy of the store from before it was rekeyed was put in its place, as the anchor %s says. Put the newest "
			  "back, " ANCHOR_ACCEPT,
			  path, anchor->path, path, flag, key, anchor->path);
		break;
	case ANCHOR_REKEYED:
		log_error("%s: it was rekeyed without its anchor %s, which can't say whether it is the newest. If you did that, "
			  "accept the store as it is: hushctl check --store %s%s%s --anchor %s --accept-rollback",
			  path, anchor->path, path, flag, key, anchor->path);
		break;
	case ANCHOR_FOREIGN:
		log_error("%s: %s is the anchor of another store: each needs one of its own. Give the right one, " ANCHOR_ACCEPT, path,
			  anchor->path, path, flag, key, anchor->path);
		break;
	default:
		log_error("%s: the anchor %s is damaged, or of a newer hushfs, so that nobody can say whether this is the newest state. "
			  "Restore the anchor, " ANCHOR_ACCEPT,
			  path, anchor->path, path, flag, key, anchor->path);
	}
	return -ESTALE;
}

/* The first time. */
static int anchor_begin(struct anchor *anchor, const struct seal *seal, const struct seal_manifest *manifest, const char *path)
{
	int r;

	if (anchor->read_only) {
		log_error("%s: the anchor %s has not known any store yet; a mount that isn't read-only sees to it", path,
			  anchor->path);
		return -ESTALE;
	}
	r = anchor_renew(anchor, seal, manifest);
	if (r == 0)
		log_warning("%s: it has a new anchor, %s: older copies are refused from now on, from generation %" PRIu64, path,
			    anchor->path, manifest->generation);
	return r;
}

int anchor_check(struct anchor *anchor, const struct seal *seal, const struct seal_manifest *manifest, const char *path)
{
	enum anchor_verdict verdict;
	uint64_t known;
	int r = anchor_look(anchor, seal, manifest, &verdict, &known);

	if (r < 0)
		return r;
	if (verdict > ANCHOR_UNUSED)
		return anchor_refuse(anchor, verdict, known, manifest->generation, path);
	if (verdict == ANCHOR_UNUSED)
		return anchor_begin(anchor, seal, manifest, path);
	/* Also one that is up to date: to know now that it can be written, and as nobody knows what a sync that failed has left on the
	 * disk. It goes to the slot that isn't the newest, so to one that does not open. */
	return anchor_write(anchor, seal, manifest) < 0 ? 1 : 0;
}

int anchor_write(struct anchor *anchor, const struct seal *seal, const struct seal_manifest *manifest)
{
	slot_seal(seal, manifest, anchor->slot);
	return anchor_put(anchor);
}

int anchor_repeat(struct anchor *anchor)
{
	return anchor_put(anchor);
}

int anchor_renew(struct anchor *anchor, const struct seal *seal, const struct seal_manifest *manifest)
{
	int r = 0;

	if (ftruncate(anchor->fd, ANCHOR_BYTES) < 0 || fdatasync(anchor->fd) < 0) {
		r = -errno;
		log_error("%s: cannot write the anchor: %s", anchor->path, log_reason(-r));
	}
	if (r == 0)
		r = anchor_write(anchor, seal, manifest);
	return r < 0 ? r : anchor_repeat(anchor);
}
