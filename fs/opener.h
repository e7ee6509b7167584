/* SPDX-License-Identifier: Apache-2.0
 * opener: which version a thread has just opened to read. fstat(2) comes to us without the descriptor (the kernel sends it only with lseek(2)), so
 * when the value was replaced meanwhile it would tell the new one's size: whoever reads as many bytes as that would cut the old one off.
 *
 * The serving thread alone calls these.
 */
#ifndef FS_OPENER_H
#define FS_OPENER_H

#include <stdint.h>
#include <sys/types.h>

#define OPENER_PLACES 128 /* who comes later takes the place of another */
#define OPENER_MS 100     /* so long after opening it is told that version's size */

struct openers {
	struct opener {
		pid_t thread; /* 0: unused */
		uint64_t ino;
		uint64_t generation;
		int64_t until_ns;
	} places[OPENER_PLACES];
};

/* opener_put - @thread has opened the value @ino, in the version @generation. */
void opener_put(struct openers *openers, pid_t thread, uint64_t ino, uint64_t generation);

/* opener_version - the version of @ino that @thread has opened a moment ago; 0 if it has not. */
uint64_t opener_version(const struct openers *openers, pid_t thread, uint64_t ino);

/* opener_forget - @thread changes something. */
void opener_forget(struct openers *openers, pid_t thread);

/* opener_drop - somebody has closed that version: what is asked for from now on may be about the file as it is. */
void opener_drop(struct openers *openers, uint64_t ino, uint64_t generation);

#endif
