/* SPDX-License-Identifier: Apache-2.0
 * helper: a process beside the worker, for calls that can wait for the worker itself.
 *
 * Who waits for an answer of a worker that dies waits on, also when it is killed, until another worker answers. A thread of
 * the worker that did so would keep the dead one's lock on the store, which the other needs. So what calls into the own mount is done by
 * processes that have nothing: no store, no key. They die with the worker.
 */
#ifndef FS_HELPER_H
#define FS_HELPER_H

#include <sys/types.h>

struct helper {
	pid_t pid;
	int channel; /* messages as channel_send_bytes; -1: there is no helper */
};

/* helper_start - run @serve(its end of the channel) in a process of its own, until it returns; that it must when the channel ends. Call before
 * there are threads or secrets. -errno (logged). */
int helper_start(void (*serve)(int channel), struct helper *ret_helper);

/* helper_stop - let it end. */
void helper_stop(struct helper *helper);

#endif
