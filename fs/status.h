/* SPDX-License-Identifier: Apache-2.0
 * status: what /.hush/status says.
 */
#ifndef FS_STATUS_H
#define FS_STATUS_H

#include "fs/scratch.h"
#include "fs/stage.h"
#include "fs/tree.h"

#include <stddef.h>

#define STATUS_BYTES 1024

/* status_text - one "key: value" a line. Returns its size in bytes, without the final NUL. */
size_t status_text(const struct tree *tree, struct stage *stage, struct scratch *scratch,
		   char ret_text[static STATUS_BYTES]);

#endif
