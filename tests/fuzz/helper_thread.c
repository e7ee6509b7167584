/* SPDX-License-Identifier: Apache-2.0
 * helper_thread: what a process lets go of when it ends, a thread does by itself.
 */
#include "tests/fuzz/helper_thread.h"

#include "fs/channel.h"
#include "fs/helper.h"
#include "tests/unit/fixture.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <unistd.h>

struct helper_thread {
	void (*serve)(int channel, const void *context);
	const void *context;
	int channel;
};

static _Thread_local int helper_thread_passed = -1; /* the descriptor that came over its channel */
static _Atomic unsigned helper_threads;

ssize_t __real_channel_receive_bytes(int channel, void *ret_bytes, size_t size, int *ret_passed);
ssize_t __wrap_channel_receive_bytes(int channel, void *ret_bytes, size_t size, int *ret_passed);
ssize_t __wrap_channel_receive_bytes(int channel, void *ret_bytes, size_t size, int *ret_passed)
{
	ssize_t n = __real_channel_receive_bytes(channel, ret_bytes, size, ret_passed);

	if (ret_passed)
		helper_thread_passed = *ret_passed;
	return n;
}

static void *helper_thread_run(void *context)
{
	struct helper_thread *thread = context;

	thread->serve(thread->channel, thread->context);
	if (helper_thread_passed >= 0)
		close(helper_thread_passed);
	close(thread->channel);
	free(thread);
	atomic_fetch_sub(&helper_threads, 1);
	return NULL;
}

int __wrap_helper_start(void (*serve)(int channel, const void *context), const void *context, struct helper *ret_helper);
int __wrap_helper_start(void (*serve)(int channel, const void *context), const void *context, struct helper *ret_helper)
{
	struct helper_thread *thread = malloc(sizeof(*thread));
	pthread_t id;

	fixture_must(thread);
	*thread = (struct helper_thread){.serve = serve, .context = context};
	*ret_helper = (struct helper){.pid = 0};
	fixture_must(channel_new(&ret_helper->channel, &thread->channel) == 0);
	atomic_fetch_add(&helper_threads, 1);
	fixture_must(pthread_create(&id, NULL, helper_thread_run, thread) == 0 && pthread_detach(id) == 0);
	return 0;
}

void helper_thread_wait(void)
{
	while (atomic_load(&helper_threads))
		sched_yield();
}
