/* SPDX-License-Identifier: Apache-2.0
 * children: every other piece is one child's; where it stands is in shared memory.
 */
#include "tests/crash/children.h"

#include "tests/unit/fixture.h"

#include <sys/wait.h>
#include <unistd.h>

static pid_t children_start(const struct children_work *work, unsigned child, size_t *next)
{
	pid_t pid;

	fflush(stdout); /* or it has what is in the buffer, too */
	pid = fork();
	fixture_must(pid >= 0);
	if (pid > 0)
		return pid;
	work->begin(work->context, child);
	while (*next < work->n) {
		size_t number = *next;

		*next += CHILDREN;
		work->piece(work->context, child, number);
	}
	fflush(stdout);
	_exit(0);
}

unsigned children_run(const struct children_work *work)
{
	size_t *next = fixture_shared(CHILDREN * sizeof(*next));
	pid_t pids[CHILDREN];
	unsigned crashes = 0;
	int status;

	for (unsigned i = 0; i < CHILDREN; i++) {
		next[i] = i;
		pids[i] = children_start(work, i, &next[i]);
	}
	for (unsigned i = 0; i < CHILDREN; i++) {
		while (waitpid(pids[i], &status, 0) == pids[i] && !(WIFEXITED(status) && WEXITSTATUS(status) == 0)) {
			printf("# crashed with %#x at piece %zu\n", (unsigned)status, next[i] - CHILDREN);
			crashes++;
			pids[i] = children_start(work, i, &next[i]);
		}
	}
	return crashes;
}
