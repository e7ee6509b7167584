/* SPDX-License-Identifier: Apache-2.0
 * ops: the FUSE operations, as thin adapters: decode the request, call tree or stage, reply.
 */
#ifndef FS_OPS_H
#define FS_OPS_H

#include "fs/announce.h"
#include "fs/aside.h"
#include "fs/autolock.h"
#include "fs/control.h"
#include "fs/kept.h"
#include "fs/ledger.h"
#include "fs/notify.h"
#include "fs/opener.h"
#include "fs/sandbox.h"
#include "fs/scratch.h"
#include "fs/stage.h"
#include "fs/tree.h"

#define OPS_AGAIN 64

/* What the operations work on: the session's userdata. */
struct ops_context {
	struct tree tree;
	struct stage *stage;
	struct scratch *scratch;
	struct aside aside;
	struct openers openers;
	struct autolock autolock;
	struct notify *notify; /* the loop's */
	struct kept kept;
	struct announce *announce;
	struct control *control;
	struct ledger *ledger; /* NULL: none comes after this one, or was before */
	uint64_t unique;       /* of the request that is being served, whether it is sent again or not */
	bool yielding;         /* another worker is about to go on: what would be open for writing is left to it */
	bool muted;            /* the kernel has had the answer to INIT already */
	uint64_t restarts;     /* workers that died before this one */
	unsigned failed_upgrades; /* since this one serves */
	struct ops_again { /* who was told to ask again, and of which file as it was then (ops_may.c); by thread */
		pid_t thread;  /* 0: nobody */
		uint64_t ino;
		struct timespec ctime;
	} again[OPS_AGAIN];
	struct sandbox sandbox; /* in which it is served; zeroed: in none */
	pid_t keeper;          /* 0: it is gone */
};

/* ops_begin - the serving thread begins with the request @unique (as the kernel numbers it) of @thread. */
void ops_begin(struct ops_context *context, uint64_t unique, uint32_t opcode, pid_t thread);

struct fuse_lowlevel_ops;

/* ops_table - for fuse_session_new; constant. */
const struct fuse_lowlevel_ops *ops_table(void);

#endif
