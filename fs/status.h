/* SPDX-License-Identifier: Apache-2.0
 * status: what /.hush/status says.
 */
#ifndef FS_STATUS_H
#define FS_STATUS_H

#include <stddef.h>

#define STATUS_BYTES 1024

struct ops_context;

/* status_text - one "key: value" a line. Returns its size in bytes, without the final NUL. */
size_t status_text(const struct ops_context *context, char ret_text[static STATUS_BYTES]);

#endif
