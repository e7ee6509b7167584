/* SPDX-License-Identifier: Apache-2.0
 * writer: which process is behind a request.
 */
#ifndef FS_WRITER_H
#define FS_WRITER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define WRITER_DESCRIPTORS 1024 /* of a process, the lowest ones, that are looked at: all that it has by the usual limit (ulimit -n) */

/* writer_start - from now on helpers (helper.h) look, with the rights that this process still has. Before, this process looks itself. All
 * that follow but writer_fate_answer are for the serving thread alone. -errno (logged). writer_stop - let the helpers end. */
int writer_start(void);
void writer_stop(void);

/* writer_process - the process id of the thread @tid, as FUSE requests carry thread ids. 0 if it can't be known:
 * the thread is in a pid namespace that we don't see, or is gone. */
pid_t writer_process(pid_t tid);

/* writer_killed_by - the signal that is ending the thread @tid, which is closing its files at this moment. 0 if none is, or if that
 * can't be known: it takes the rights to trace the process, and no Landlock for who looks (it hides the field). */
int writer_killed_by(pid_t tid);

/* writer_is_gone - has the process ended? False if that can't be known. */
bool writer_is_gone(pid_t process);

/* writer_is_member - is @group one of the supplementary groups of @tid? False if that can't be known. */
bool writer_is_member(pid_t tid, gid_t group);

/* writer_is_capable - has the thread @tid the capability @capability (CAP_...) over a file of that owner and group: do they exist in its user
 * namespace? False if that can't be known. */
bool writer_is_capable(pid_t tid, int capability, uid_t owner, gid_t group);

/* writer_fate - writer_process and writer_killed_by of @tid and writer_is_gone of @other, asked for at once. And unless @ino is 0: has the
 * process of @tid a descriptor (another than the one that it is closing) by which it may write to the file @ino? False if that can't be
 * known, or if it isn't among the first WRITER_DESCRIPTORS. */
struct writer_fate {
	pid_t process;
	int killed_by;
	bool other_gone;
	bool holds;
};
struct writer_fate writer_fate(pid_t tid, pid_t other, uint64_t ino);

/* writer_fate_ask - the same without waiting for the answer, if the helper that is for such questions can take one more. writer_fate_answer - what it
 * is, waiting for it. Each question has to be taken back so, once, and in the order of asking; that is for one thread, which may be another. */
struct writer_asked {
	bool on_its_way;
	pid_t thread;
	struct writer_fate fate; /* of it the process, as far as that is known, if it is on its way */
};
struct writer_asked writer_fate_ask(pid_t tid, pid_t other, uint64_t ino);
struct writer_fate writer_fate_answer(const struct writer_asked *asked);

#endif
