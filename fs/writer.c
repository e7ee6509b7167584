/* SPDX-License-Identifier: Apache-2.0
 * writer: has a helper look (writer_look.c), which may see what a worker that has given up its rights may not.
 *
 * Which process a thread is of is asked several times while a file is opened and written. Those answers are kept for a moment, each in the place
 * that the thread's number gives it: the number of a thread that has ended is given out again only after all others.
 */
#include "fs/writer.h"

#include "fs/helper.h"
#include "fs/writer_internal.h"
#include "store/log.h"

#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define WRITER_KEPT 64
#define WRITER_KEPT_MS 50

static struct helper writer_helper = {.channel = -1};
static struct helper writer_later_helper = {.channel = -1}; /* what only a commit waits for, in a row of its own */

static struct writer_kept {
	pid_t thread, process; /* 0: none */
	int64_t until_ms;
} writer_all_kept[WRITER_KEPT];

int writer_start(void)
{
	int r = helper_start(writer_serve, NULL, &writer_helper);

	return r < 0 ? r : helper_start(writer_serve, NULL, &writer_later_helper);
}

void writer_stop(void)
{
	helper_stop(&writer_helper);
	helper_stop(&writer_later_helper);
}

static struct writer_answer writer_ask(const struct writer_question *question)
{
	struct writer_answer answer;

	if (writer_helper.channel < 0)
		return writer_look(question);
	helper_ask(&writer_helper, question, sizeof(*question), &answer, sizeof(answer));
	return answer;
}

static int64_t writer_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static struct writer_kept *writer_kept_of(pid_t tid)
{
	return &writer_all_kept[(unsigned)tid % WRITER_KEPT];
}

/* From the kept answer, if it is one about this thread, and fresh; else 0. */
static pid_t writer_known(pid_t tid)
{
	const struct writer_kept *kept = writer_kept_of(tid);

	return kept->thread == tid && writer_now_ms() <= kept->until_ms ? kept->process : 0;
}

static pid_t writer_keep(pid_t tid, pid_t process)
{
	*writer_kept_of(tid) = (struct writer_kept){.thread = tid, .process = process, .until_ms = writer_now_ms() + WRITER_KEPT_MS};
	return process;
}

pid_t writer_process(pid_t tid)
{
	pid_t known = writer_known(tid);

	return known ? known : writer_keep(tid, writer_ask(&(struct writer_question){.wants = WRITER_PROCESS, .thread = tid}).process);
}

int writer_killed_by(pid_t tid)
{
	return writer_ask(&(struct writer_question){.wants = WRITER_KILLED_BY, .thread = tid}).killed_by;
}

bool writer_is_gone(pid_t process)
{
	return writer_ask(&(struct writer_question){.wants = WRITER_GONE, .process = process}).gone;
}

bool writer_is_member(pid_t tid, gid_t group)
{
	return writer_ask(&(struct writer_question){.wants = WRITER_MEMBER, .thread = tid, .group = group}).member;
}

bool writer_is_capable(pid_t tid, int capability, uid_t owner, gid_t group)
{
	return writer_ask(&(struct writer_question){
				  .wants = WRITER_CAPABLE, .thread = tid, .group = group, .owner = owner, .capability = capability})
		.capable;
}

/* What has to be looked for. @process: of @tid; 0: that is asked for, too. */
static struct writer_question writer_fate_question(pid_t tid, pid_t process, pid_t other, uint64_t ino)
{
	return (struct writer_question){.wants = WRITER_KILLED_BY | (process ? 0 : WRITER_PROCESS) |
						 (process && process == other ? 0 : WRITER_GONE) | (ino ? WRITER_HOLDS : 0),
					.thread = tid,
					.process = other,
					.ino = ino};
}

static struct writer_fate writer_fate_of(pid_t process, const struct writer_answer *answer)
{
	return (struct writer_fate){.process = process ? process : answer->process,
				    .killed_by = answer->killed_by,
				    .other_gone = answer->gone,
				    .holds = answer->holds};
}

struct writer_fate writer_fate(pid_t tid, pid_t other, uint64_t ino)
{
	pid_t process = writer_known(tid);
	const struct writer_question question = writer_fate_question(tid, process, other, ino);
	const struct writer_answer answer = writer_ask(&question);

	if (!process)
		writer_keep(tid, answer.process);
	return writer_fate_of(process, &answer);
}

struct writer_asked writer_fate_ask(pid_t tid, pid_t other, uint64_t ino)
{
	pid_t process = writer_known(tid);
	const struct writer_question question = writer_fate_question(tid, process, other, ino);

	if (writer_later_helper.channel >= 0 && helper_tell(&writer_later_helper, &question, sizeof(question)))
		return (struct writer_asked){.on_its_way = true, .thread = tid, .fate.process = process};
	return (struct writer_asked){.fate = writer_fate(tid, other, ino)};
}

struct writer_fate writer_fate_answer(const struct writer_asked *asked)
{
	struct writer_answer answer;

	if (!asked->on_its_way)
		return asked->fate;
	helper_hear(&writer_later_helper, &answer, sizeof(answer));
	if (answer.thread != asked->thread) { /* GCOVR_EXCL_BR_LINE: they are asked about in the order in which they are submitted */
		log_error("a helper has answered about another writer than it was asked about, so this worker can't go on");
		_exit(EXIT_FAILURE);
	}
	return writer_fate_of(asked->fate.process, &answer);
}
