/* SPDX-License-Identifier: Apache-2.0
 * key: where the key that opens a store comes from: a key file, a systemd credential, a passphrase.
 *
 * Never from the command line or the environment: both can be read by others.
 */
#ifndef STORE_KEY_H
#define STORE_KEY_H

#include "store/crypto.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KEY_PASSPHRASE_BYTES 1024 /* a passphrase is shorter than this */

enum key_kind {
	KEY_FILE = 1,       /* @bytes are 32 random bytes: the key itself */
	KEY_PASSPHRASE = 2, /* @bytes are what somebody typed: Argon2id makes the key of it */
};

/* Key material, in the arena. */
struct key {
	enum key_kind kind;
	size_t size;
	uint8_t bytes[KEY_PASSPHRASE_BYTES + 1]; /* so that one that is too long is seen to be */
};

/* Where to look; the first that is set counts. With none, the systemd credential
 * $CREDENTIALS_DIRECTORY/hushfs.key if there is one, else the terminal is asked. */
struct key_source {
	const char *key_file;        /* a path, or NULL */
	const char *passphrase_file; /* a path, or NULL; its first line counts, without the newline */
};

/* key_read - read it; at a terminal, ask without echo. The caller frees with key_free. May block on a person.
 * 0; -errno from the file; -EINVAL for a key file that is not 32 bytes or an empty or too long passphrase;
 * -EPERM for a file that others may read; -ENOKEY with no source and no terminal; -ENOMEM. Each is logged. */
int key_read(const struct key_source *source, struct key **ret_key);

/* key_read_new - as key_read, for a new store: a key file that is absent is made (32 random bytes, mode 0600,
 * on disk before this returns; *@ret_made says so), and a typed passphrase is asked for twice. */
int key_read_new(const struct key_source *source, struct key **ret_key, bool *ret_made);

/* key_free - wipe and free. Returns NULL. */
struct key *key_free(struct key *key);
void key_freep(struct key **key);

#endif
