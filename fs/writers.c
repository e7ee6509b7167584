/* SPDX-License-Identifier: Apache-2.0
 * writers: a short list. One that is full counts everybody as having written.
 */
#include "fs/writers.h"

#include "store/log.h"

#include <signal.h>

static bool writers_have(const struct writers *writers, pid_t process)
{
	if (writers->n_others > WRITERS_KEPT)
		return true; /* who knows */
	for (unsigned i = 0; i < writers->n_others; i++)
		if (writers->others[i] == process)
			return true;
	return false;
}

/* Said once: it is how the daemon was started. */
static void writers_warn_unseen(void)
{
	static bool said;

	if (!said)
		log_warning("programs that this daemon can't see write to the mount, so it can't tell one that is killed from one that "
			    "has finished: start it in the PID namespace of the machine (hostPID: true, docker run --pid=host)");
	said = true;
}

void writers_wrote(struct writers *writers, pid_t thread)
{
	pid_t process;

	if (thread == 0)
		writers_warn_unseen();
	if (thread == writers->last)
		return;
	writers->last = thread;
	process = writer_process(thread);
	if (process == writers->opener || writers_have(writers, process))
		return;
	if (writers->n_others < WRITERS_KEPT)
		writers->others[writers->n_others] = process;
	writers->n_others++;
}

/* Any that has it open may have been going to write; but a reader of a pipe that has enough ends those before it with
 * SIGPIPE every day. */
struct writers_close writers_judge(const struct writers *writers, const struct writer_fate *fate)
{
	bool opener = !fate->process || !writers->opener || fate->process == writers->opener || fate->other_gone;

	return (struct writers_close){
		.opener = opener,
		.holds = fate->holds,
		.broken = fate->killed_by &&
			  (fate->killed_by != SIGPIPE || opener || writers_have(writers, fate->process)),
	};
}

struct writers_close writers_closes(const struct writers *writers, pid_t thread, uint64_t ino)
{
	const struct writer_fate fate = writer_fate(thread, writers->opener, ino);

	return writers_judge(writers, &fate);
}
