/* SPDX-License-Identifier: Apache-2.0
 * fault: one plan and one observer for the whole process, under one lock.
 */
#include "tests/crash/fault.h"

#include <errno.h>
#include <pthread.h>

static pthread_mutex_t fault_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t fault_observer_lock = PTHREAD_MUTEX_INITIALIZER;
static struct fault_plan fault_plan;
static unsigned fault_counts[FAULT_CALLS], fault_failed;
static bool fault_armed;
static fault_observer *fault_listener;

void fault_arm(const struct fault_plan *plan)
{
	pthread_mutex_lock(&fault_lock);
	fault_plan = *plan;
	fault_failed = 0;
	for (int i = 0; i < FAULT_CALLS; i++)
		fault_counts[i] = 0;
	fault_armed = true;
	pthread_mutex_unlock(&fault_lock);
}

void fault_disarm(void)
{
	pthread_mutex_lock(&fault_lock);
	fault_armed = false;
	pthread_mutex_unlock(&fault_lock);
}

unsigned fault_fired(void)
{
	unsigned fired;

	pthread_mutex_lock(&fault_lock);
	fired = fault_failed;
	pthread_mutex_unlock(&fault_lock);
	return fired;
}

unsigned fault_count(enum fault_call call)
{
	unsigned count;

	pthread_mutex_lock(&fault_lock);
	count = fault_counts[call];
	pthread_mutex_unlock(&fault_lock);
	return count;
}

const char *fault_name(enum fault_call call)
{
	static const char *const names[] = {"open", "read", "write", "resize", "sync", "delete", "rename", "look"};

	return names[call];
}

const char *fault_how_name(enum fault_how how)
{
	static const char *const names[] = {"EIO", "ENOSPC", "EDQUOT", "short"};

	return names[how];
}

bool fault_is_due(enum fault_call call, enum fault_how *ret_how)
{
	bool due = false;

	pthread_mutex_lock(&fault_lock);
	if (fault_armed) {
		unsigned count = ++fault_counts[call];

		due = call == fault_plan.call && fault_plan.at &&
		      (fault_plan.for_ever ? count >= fault_plan.at : count == fault_plan.at);
		fault_failed += due;
	}
	*ret_how = fault_plan.how;
	pthread_mutex_unlock(&fault_lock);
	return due;
}

int fault_errno(enum fault_how how)
{
	return how == FAULT_ENOSPC ? ENOSPC : how == FAULT_EDQUOT ? EDQUOT : EIO;
}

void fault_observe(fault_observer *observer)
{
	pthread_mutex_lock(&fault_observer_lock);
	fault_listener = observer;
	pthread_mutex_unlock(&fault_observer_lock);
}

void fault_tell(const struct fault_event *event)
{
	pthread_mutex_lock(&fault_observer_lock);
	if (fault_listener)
		fault_listener(event);
	pthread_mutex_unlock(&fault_observer_lock);
}
