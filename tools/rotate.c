/* SPDX-License-Identifier: Apache-2.0
 * rotate: a key file and the store's slots cannot change in one step, so for a while both keys open the store.
 *
 * 1. a fresh key is written to PATH.rotating; 2. it gets a slot, in one commit; 3. the two files are exchanged, in one
 * step; 4. the old key, now in PATH.rotating, loses its slot; 5. that file is removed. The key in PATH opens the store
 * all the time. After a kill PATH.rotating says what to do: whichever of the two keys is in it has to go.
 */
#include "tools/rotate.h"

#include "store/folder.h"
#include "store/log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct rotate {
	struct store *store;
	unsigned slot;             /* of the key in @path */
	char path[PATH_MAX];       /* the file itself, not a link to it */
	char path_fresh[PATH_MAX]; /* PATH.rotating */
};

static int rotate_unlink(const struct rotate *rotate)
{
	int r = unlink(rotate->path_fresh) < 0 ? -errno : 0;

	if (r == 0)
		r = folder_sync(rotate->path_fresh);
	if (r < 0)
		log_error("%s: cannot remove it: %s", rotate->path_fresh, log_reason(-r));
	return r;
}

/* The key in @slot opens nothing any more. */
static int rotate_remove(const struct rotate *rotate, unsigned slot)
{
	int r = store_key_remove(rotate->store, slot);

	return r > 0 ? -EIO : r;
}

/* Take away what a killed rotation left: its key, if that opens the store beside PATH's, and the file. */
static int rotate_tidy(const struct rotate *rotate)
{
	const struct key_source source = {.key_file = rotate->path_fresh};
	__attribute__((cleanup(key_freep))) struct key *key = NULL;
	struct stat st;
	unsigned slot;
	int r;

	if (lstat(rotate->path_fresh, &st) < 0)
		return 0;
	if (!S_ISREG(st.st_mode) || (st.st_size != 0 && st.st_size != CRYPTO_KEY_BYTES)) {
		log_error("%s: this is in the way, and no key that a rotation left: move it elsewhere",
			  rotate->path_fresh);
		return -EEXIST;
	}
	if (st.st_size == 0) /* killed before it was written */
		return rotate_unlink(rotate);
	r = key_read(&source, &key);
	if (r < 0)
		return r;
	r = store_key_slot(rotate->store, key, &slot);
	if (r == 0 && slot != rotate->slot)
		r = rotate_remove(rotate, slot);
	return r == 0 || r == -EKEYREJECTED ? rotate_unlink(rotate) : r;
}

/* Both keys open the store for a while. */
static int rotate_check_room(const struct rotate *rotate)
{
	uint8_t kinds[STORE_KEY_SLOTS];
	unsigned current;

	store_keys(rotate->store, kinds, &current);
	for (unsigned i = 0; i < STORE_KEY_SLOTS; i++)
		if (!kinds[i])
			return 0;
	log_error("%s: all %d key slots are used, and a rotation takes one for a while: remove one (hushctl key "
		  "remove), or give --new-key-file",
		  store_path(rotate->store), STORE_KEY_SLOTS);
	return -ENOSPC;
}

static int rotate_exchange(const struct rotate *rotate)
{
	int r = renameat2(AT_FDCWD, rotate->path_fresh, AT_FDCWD, rotate->path, RENAME_EXCHANGE) < 0 ? -errno : 0;

	if (r == -EINVAL || r == -ENOSYS)
		log_error("%s: this filesystem cannot exchange two files: give --new-key-file; nothing was changed",
			  rotate->path);
	else if (r < 0)
		log_error("%s: cannot put the fresh key in its place: %s; nothing was changed", rotate->path,
			  log_reason(-r));
	return r;
}

/* Steps 1 to 3; a failure leaves everything as it was. */
static int rotate_forth(const struct rotate *rotate)
{
	const struct key_source source = {.key_file = rotate->path_fresh};
	__attribute__((cleanup(key_freep))) struct key *fresh = NULL;
	unsigned slot;
	bool made;
	int r;

	r = key_read_new(&source, &fresh, &made);
	if (r < 0)
		return r;
	r = folder_give(rotate->path_fresh, rotate->path); /* it may be a daemon's that runs as another user */
	if (r == 0)
		r = store_key_add(rotate->store, fresh, &slot);
	if (r == 0) {
		r = rotate_exchange(rotate);
		if (r < 0)
			rotate_remove(rotate, slot);
	}
	if (r < 0)
		rotate_unlink(rotate);
	return r;
}

/* Steps 4 and 5. That the exchange is on disk comes first, or a power cut could leave the old key alone with a store
 * that it no longer opens. */
static int rotate_finish(const struct rotate *rotate)
{
	int r = folder_sync(rotate->path);

	if (r == 0)
		r = rotate_remove(rotate, rotate->slot);
	if (r < 0) {
		log_error(
			"%s: has a fresh key, but the old one (now in %s) still opens the store, too: %s; run it again",
			rotate->path, rotate->path_fresh, log_reason(-r));
		return r;
	}
	return rotate_unlink(rotate);
}

int rotate_key_file(struct store *store, const char *path)
{
	struct rotate rotate = {.store = store};
	uint8_t kinds[STORE_KEY_SLOTS];
	int r;

	store_keys(store, kinds, &rotate.slot);
	if (!realpath(path, rotate.path)) {
		r = -errno;
		log_error("%s: a fresh key can't take the place of this: %s; give the path of the key file, or --new-key-file", path,
			  log_reason(-r));
		return r;
	}
	if (snprintf(rotate.path_fresh, sizeof(rotate.path_fresh), "%s.rotating", rotate.path) >=
	    (int)sizeof(rotate.path_fresh)) {
		log_error("%s: its path is too long for a PATH.rotating beside it: move it, or give --new-key-file", path);
		return -ENAMETOOLONG;
	}
	r = rotate_tidy(&rotate);
	if (r == 0)
		r = rotate_check_room(&rotate);
	if (r == 0)
		r = rotate_forth(&rotate);
	if (r == 0)
		r = rotate_finish(&rotate);
	return r;
}
