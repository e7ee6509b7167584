/* SPDX-License-Identifier: Apache-2.0
 * rotate: a fresh key in the place of a key file.
 */
#ifndef TOOLS_ROTATE_H
#define TOOLS_ROTATE_H

#include "store/store.h"

/* rotate_key_file - put a fresh key in the file @path, whose key opened @store; at every moment the file at that path opens it, and
 * afterwards the key that it had does not. What a rotation that was killed has left is tidied first. -errno, said. */
int rotate_key_file(struct store *store, const char *path);

#endif
