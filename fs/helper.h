/* SPDX-License-Identifier: Apache-2.0
 * helper: a process beside the worker, for calls that can wait for the worker itself.
 *
 * Who waits for an answer of a worker that dies waits on, also when it is killed, until another worker answers. A thread of
 * the worker that did so would keep the dead one's lock on the store, which the other needs. So what calls into the own mount is done by
 * processes that have nothing: no store, no key. They die with the worker.
 *
 * They keep the rights of who has started the daemon, which the worker gives up; so they take nothing from a worker but numbers, and names
 * that they look at.
 */
#ifndef FS_HELPER_H
#define FS_HELPER_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct helper {
	pid_t pid;
	int channel; /* messages as channel_send_bytes; -1: there is no helper */
};

/* helper_for - this process is going to become the user @uid, while helpers that are started from now on stay who they are. */
void helper_for(uid_t uid);

/* helper_start - run @serve(its end of the channel, @context) in a process of its own, until it returns; that it must when the channel ends. Call
 * before there are threads or secrets. -errno (logged). */
int helper_start(void (*serve)(int channel, const void *context), const void *context, struct helper *ret_helper);

/* helper_ask - send one message, behind what was sent before and is not taken yet, wait for the answer, both of a fixed size. If the helper is gone, so is this process: another worker begins
 * with others. One thread at a time. */
void helper_ask(const struct helper *helper, const void *question, size_t question_size, void *ret_answer, size_t answer_size);

/* helper_tell - send one message without waiting; what it answers is there for helper_hear. False if it has too much to do. helper_hear - wait for the
 * next answer. Each for one thread at a time. If the helper is gone, as helper_ask. */
bool helper_tell(const struct helper *helper, const void *question, size_t question_size);
void helper_hear(const struct helper *helper, void *ret_answer, size_t answer_size);

/* helper_answer - for the helper: wait until @channel takes an answer. */
void helper_answer(int channel, const void *answer, size_t size);

/* helper_stop - let it end. */
void helper_stop(struct helper *helper);

#endif
