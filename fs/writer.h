/* SPDX-License-Identifier: Apache-2.0
 * writer: which process is behind a request.
 */
#ifndef FS_WRITER_H
#define FS_WRITER_H

#include <stdbool.h>
#include <sys/types.h>

/* writer_process - the process id of the thread @tid, as FUSE requests carry thread ids. 0 if it can't be known:
 * the thread is in a pid namespace that we don't see, or is gone. */
pid_t writer_process(pid_t tid);

/* writer_is_killed - is a signal ending the thread @tid, which is closing its files at this moment? False if that
 * can't be known: it takes the rights to trace the process, and no Landlock in ours (it hides the field). */
bool writer_is_killed(pid_t tid);

/* writer_is_gone - has the process ended? False if that can't be known. */
bool writer_is_gone(pid_t process);

#endif
