/* SPDX-License-Identifier: Apache-2.0
 * helper_thread: what a process lets go of when it ends, a thread does by itself.
 */
#include "tests/fuzz/helper_thread.h"

#include "fs/channel.h"
#include "fs/helper.h"
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
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
	int ours, r = thread ? 0 : -ENOMEM;
	pthread_t id;

	if (thread)
		*thread = (struct helper_thread){.serve = serve, .context = context};
	if (r == 0)
		r = channel_new(&ours, &thread->channel);
	if (r < 0) {
		free(thread);
		return r;
	}
	atomic_fetch_add(&helper_threads, 1);
	if (pthread_create(&id, NULL, helper_thread_run, thread) == 0 && pthread_detach(id) == 0) {
		*ret_helper = (struct helper){.channel = ours};
		return 0;
	}
	atomic_fetch_sub(&helper_threads, 1);
	close(ours);
	close(thread->channel);
	free(thread);
	return -EAGAIN;
}

void helper_thread_wait(void)
{
	while (atomic_load(&helper_threads))
		sched_yield();
}
