/* SPDX-License-Identifier: Apache-2.0
 * writer_internal: what writer.c asks its helper (writer_look.c). Nobody else includes it.
 */
#ifndef FS_WRITER_INTERNAL_H
#define FS_WRITER_INTERNAL_H

#include <stdint.h>
#include <sys/types.h>

enum {
	WRITER_PROCESS = 1 << 0,
	WRITER_KILLED_BY = 1 << 1,
	WRITER_GONE = 1 << 2,
	WRITER_HOLDS = 1 << 3,
	WRITER_MEMBER = 1 << 4,
	WRITER_CAPABLE = 1 << 5,
};

/* One message each. */
struct writer_question {
	uint32_t wants; /* WRITER_... */
	pid_t thread;   /* PROCESS, KILLED_BY, HOLDS, MEMBER, CAPABLE */
	pid_t process;  /* GONE */
	gid_t group;    /* MEMBER, CAPABLE */
	uint64_t ino;   /* HOLDS */
	uid_t owner;    /* CAPABLE */
	int32_t capability;
};

struct writer_answer {
	pid_t thread; /* of the question */
	pid_t process;
	int killed_by;
	uint32_t gone, holds, member, capable; /* 0 or 1; all of it is sent, so it has no padding, in which the stack would show */
};

/* writer_look - see writer.h. */
struct writer_answer writer_look(const struct writer_question *question);

/* writer_serve - for helper_start. */
void writer_serve(int channel, const void *context);

#endif
