/* SPDX-License-Identifier: Apache-2.0
 * children: work in numbered pieces that two processes share; one that crashes is counted, and another goes on after that piece.
 */
#ifndef TESTS_CHILDREN_H
#define TESTS_CHILDREN_H

#include <stddef.h>

#define CHILDREN 2

struct children_work {
	size_t n; /* pieces */
	/* In a child, before its first piece: an arena is empty there (fixture.h). @child: from 0 to CHILDREN - 1. */
	void (*begin)(void *context, unsigned child);
	void (*piece)(void *context, unsigned child, size_t number);
	void *context; /* figures must be in memory that is shared */
};

/* children_run - all pieces. How many of them ended the process that did them; says which. */
unsigned children_run(const struct children_work *work);

#endif
