/* SPDX-License-Identifier: Apache-2.0
 * key_text: a key as it is written to a mount that is locked: a line that says which kind it is, and then its bytes.
 *
 *     key-file            32 bytes
 *     passphrase          what somebody typed; a newline at its end is not part of it
 *
 * A mount that is read-only can't be written to, so lock and unlock in its /.hush take the same as an ioctl of a file
 * that is open to read.
 */
#ifndef STORE_KEY_TEXT_H
#define STORE_KEY_TEXT_H

#include "store/key.h"
#include "store/secmem.h"

#include <sys/ioctl.h>

#define KEY_TEXT_BYTES (KEY_PASSPHRASE_BYTES + 16) /* at most */

struct key_text_request {
	uint32_t size;
	uint8_t text[KEY_TEXT_BYTES]; /* of it @size bytes; for lock any */
};

#define KEY_TEXT_IOCTL _IOW('h', 1, struct key_text_request)

/* key_text_write - append. -ENOMEM. */
int key_text_write(const struct key *key, struct secbuf *text);

/* key_text_read - the caller frees with key_free. -EINVAL if it is none; -ENOMEM. */
int key_text_read(const struct secbuf *text, struct key **ret_key);

#endif
