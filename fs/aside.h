/* SPDX-License-Identifier: Apache-2.0
 * aside: secrets that a process has renamed to a scratch name, to make them anew.
 *
 * An editor that renames the old file to its backup and then writes the new one leaves a moment without the file. Here
 * everybody else goes on finding the old value in that moment; only for the process that renamed it, it is not there,
 * until that makes it anew, somebody replaces it, or the process ends.
 *
 * Not locked: the serving thread alone calls.
 */
#ifndef FS_ASIDE_H
#define FS_ASIDE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define ASIDE_NAMES 64 /* the oldest gives way */

struct aside {
	struct aside_name {
		pid_t process; /* 0: unused */
		uint64_t ino;
		uint64_t generation;
	} names[ASIDE_NAMES];
	unsigned n;    /* used ones */
	unsigned next; /* to be used, or overwritten */
};

/* aside_put - @process has renamed the secret @ino away, when it had the value of @generation. */
void aside_put(struct aside *aside, pid_t process, uint64_t ino, uint64_t generation);

/* aside_has - is it still so? @generation: of its value now. */
bool aside_has(struct aside *aside, pid_t process, uint64_t ino, uint64_t generation);

/* aside_drop - the process is making it anew; if nothing comes of that, it is put aside again. */
void aside_drop(struct aside *aside, pid_t process, uint64_t ino);

#endif
