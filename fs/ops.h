/* SPDX-License-Identifier: Apache-2.0
 * ops: the FUSE operations, as thin adapters: decode the request, call tree or stage, reply.
 */
#ifndef FS_OPS_H
#define FS_OPS_H

#include "fs/announce.h"
#include "fs/aside.h"
#include "fs/autolock.h"
#include "fs/control.h"
#include "fs/notify.h"
#include "fs/scratch.h"
#include "fs/stage.h"
#include "fs/tree.h"

/* What the operations work on: the session's userdata. */
struct ops_context {
	struct tree tree;
	struct stage *stage;
	struct scratch *scratch;
	struct aside aside;
	struct autolock autolock;
	struct notify *notify; /* the loop's */
	struct announce *announce;
	struct control *control;
};

struct fuse_lowlevel_ops;

/* ops_table - for fuse_session_new; constant. */
const struct fuse_lowlevel_ops *ops_table(void);

#endif
