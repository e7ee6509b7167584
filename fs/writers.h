/* SPDX-License-Identifier: Apache-2.0
 * writers: the processes that have written to an open file, and what it means when one of them closes it.
 *
 * Not locked: whoever keeps the open file guards it.
 */
#ifndef FS_WRITERS_H
#define FS_WRITERS_H

#include "fs/writer.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define WRITERS_KEPT 8 /* processes remembered as having written, besides the one that opened it */

struct writers {
	pid_t opener; /* process; 0: not known */
	pid_t last;   /* a thread */
	pid_t others[WRITERS_KEPT];
	unsigned n_others; /* may be more than are remembered */
};

/* What closing a descriptor means. */
struct writers_close {
	bool opener; /* by whoever opened the file, or for it if that is gone */
	bool broken; /* by somebody whom a signal ends: what was written may not be whole */
	bool holds;  /* by who has another one to write to the same file, as far as was asked for */
};

/* writers_wrote - @thread has written. Asks /proc when it is another than the last. */
void writers_wrote(struct writers *writers, pid_t thread);

/* writers_closes - @thread is closing a descriptor of the file @ino (0: whether it has others does not matter). Asks /proc. */
struct writers_close writers_closes(const struct writers *writers, pid_t thread, uint64_t ino);

/* writers_judge - the same of what is known already: @fate of that thread, and of @writers->opener as the other process. */
struct writers_close writers_judge(const struct writers *writers, const struct writer_fate *fate);

#endif
