/* SPDX-License-Identifier: Apache-2.0
 * aside: a small ring. What has ended is found out when somebody asks.
 */
#include "fs/aside.h"

#include "fs/writer.h"

void aside_init(struct aside *aside)
{
	*aside = (struct aside){.lock = PTHREAD_MUTEX_INITIALIZER};
}

/* These two with the lock. */
static void aside_clear(struct aside *aside, struct aside_name *name)
{
	if (name->process)
		aside->n--;
	name->process = 0;
}

static void aside_remove(struct aside *aside, pid_t process, uint64_t ino)
{
	for (unsigned i = 0; i < ASIDE_NAMES && aside->n; i++)
		if (aside->names[i].process == process && aside->names[i].ino == ino)
			aside_clear(aside, &aside->names[i]);
}

void aside_put(struct aside *aside, pid_t process, uint64_t ino, uint64_t generation)
{
	struct aside_name *name;

	pthread_mutex_lock(&aside->lock);
	name = &aside->names[aside->next++ % ASIDE_NAMES];
	aside_remove(aside, process, ino);
	aside_clear(aside, name);
	*name = (struct aside_name){.process = process, .ino = ino, .generation = generation};
	aside->n += process != 0;
	pthread_mutex_unlock(&aside->lock);
}

bool aside_any(struct aside *aside)
{
	bool any;

	pthread_mutex_lock(&aside->lock);
	any = aside->n;
	pthread_mutex_unlock(&aside->lock);
	return any;
}

bool aside_has(struct aside *aside, pid_t process, uint64_t ino, uint64_t generation)
{
	bool found = false;

	pthread_mutex_lock(&aside->lock);
	for (unsigned i = 0; i < ASIDE_NAMES && aside->n; i++) {
		struct aside_name *name = &aside->names[i];

		if (name->process && (writer_is_gone(name->process) ||
				      (name->ino == ino && name->generation != generation)))
			aside_clear(aside, name);
		found |= name->process && name->process == process && name->ino == ino;
	}
	pthread_mutex_unlock(&aside->lock);
	return found;
}

void aside_drop(struct aside *aside, pid_t process, uint64_t ino)
{
	pthread_mutex_lock(&aside->lock);
	aside_remove(aside, process, ino);
	pthread_mutex_unlock(&aside->lock);
}
