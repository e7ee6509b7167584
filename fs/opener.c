/* SPDX-License-Identifier: Apache-2.0
 * opener: a table with a place for each thread and file, by a hash of both.
 */
#include "fs/opener.h"

#include "store/clock.h"

static size_t opener_place(pid_t thread, uint64_t ino)
{
	return ((uint64_t)thread + (ino >> 8)) % OPENER_PLACES; /* the kind of the inode is in its first byte */
}

void opener_put(struct openers *openers, pid_t thread, uint64_t ino, uint64_t generation)
{
	openers->places[opener_place(thread, ino)] = (struct opener){
		.thread = thread, .ino = ino, .generation = generation, .until_ns = clock_now_ns() + OPENER_MS * CLOCK_MS};
}

uint64_t opener_version(const struct openers *openers, pid_t thread, uint64_t ino)
{
	const struct opener *opener = &openers->places[opener_place(thread, ino)];

	return thread && opener->thread == thread && opener->ino == ino && clock_now_ns() < opener->until_ns ? opener->generation : 0;
}

void opener_forget(struct openers *openers, pid_t thread)
{
	for (size_t i = 0; i < OPENER_PLACES; i++)
		if (openers->places[i].thread == thread)
			openers->places[i].thread = 0;
}

void opener_drop(struct openers *openers, uint64_t ino, uint64_t generation)
{
	for (size_t i = 0; i < OPENER_PLACES; i++)
		if (openers->places[i].ino == ino && openers->places[i].generation == generation)
			openers->places[i].thread = 0;
}
