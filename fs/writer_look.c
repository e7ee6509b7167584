/* SPDX-License-Identifier: Apache-2.0
 * writer_look: asks /proc. Only for requests about something that is being written, so its cost does not matter.
 */
#include "fs/writer_internal.h"

#include "fs/channel.h"
#include "fs/helper.h"
#include "fs/writer.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A file of /proc/TID as text. Its size, or -1. */
static ssize_t writer_read_proc(pid_t tid, const char *file, char *ret_text, size_t bytes)
{
	char path[64];
	ssize_t n;
	int fd;

	if (tid <= 0)
		return -1;
	snprintf(path, sizeof(path), "/proc/%d/%s", tid, file);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	n = read(fd, ret_text, bytes - 1);
	close(fd);
	if (n < 0)
		return -1;
	ret_text[n] = '\0';
	return n;
}

static pid_t writer_process_of(pid_t tid)
{
	char status[512]; /* Tgid is the fourth line */
	const char *field;

	if (writer_read_proc(tid, "status", status, sizeof(status)) < 0)
		return 0;
	field = strstr(status, "\nTgid:");
	return field ? (pid_t)strtol(field + 6, NULL, 10) : 0;
}

/* A process that is ending has no memory any more when it closes its files. Others must not be asked for their stat:
 * one that closes a file in execve() holds the lock that reading stat takes, and waits for our answer. */
static bool writer_is_ending(pid_t tid)
{
	char pages[128]; /* the first number is the size */

	return writer_read_proc(tid, "statm", pages, sizeof(pages)) > 0 && strncmp(pages, "0 ", 2) == 0;
}

/* Who may not trace it (it is not dumpable, and we aren't root) is told 0, whatever ends it. Only of one that is ending: as with its stat. */
static bool writer_is_hidden(pid_t tid)
{
	char path[64], program[1];

	snprintf(path, sizeof(path), "/proc/%d/exe", tid);
	return readlink(path, program, sizeof(program)) < 0 && errno == EACCES;
}

/* A line of /proc/TID/status, as the bits of its signals: 1 << (number - 1). */
static uint64_t writer_signals(const char *status, const char *name)
{
	const char *line = strstr(status, name);

	return line ? strtoull(line + strlen(name), NULL, 16) : 0;
}

#define WRITER_SIGNAL(number) (UINT64_C(1) << ((number)-1))

/* A number of /proc/TID/stat, by its place there (proc(5)); 0 if it can't be read. */
static uint64_t writer_stat(pid_t tid, int place)
{
	char stat[2048];
	char *field;

	if (writer_read_proc(tid, "stat", stat, sizeof(stat)) < 0)
		return 0;
	field = strrchr(stat, ')'); /* ends the name, the only field with blanks: the 2nd */
	for (int i = 2; field && i < place; i++)
		field = strchr(field + 1, ' ');
	return field ? strtoull(field, NULL, 10) : 0;
}

#define WRITER_STAT_FLAGS 9
#define WRITER_STAT_EXIT 52
#define WRITER_SIGNALED 0x400 /* PF_SIGNALED: a signal ends this thread, or another thread ends all */

/* What was sent to it anybody may see, and a signal that ends it at once stays among what is pending; also where another thread got it, as this one
 * had it blocked. One that all have blocked stays there as well, and ends nothing: of all there still is the first. */
static int writer_ended_by_pending(pid_t tid)
{
	const uint64_t harmless = WRITER_SIGNAL(SIGCHLD) | WRITER_SIGNAL(SIGCONT) | WRITER_SIGNAL(SIGURG) | WRITER_SIGNAL(SIGWINCH) |
				  WRITER_SIGNAL(SIGSTOP) | WRITER_SIGNAL(SIGTSTP) | WRITER_SIGNAL(SIGTTIN) | WRITER_SIGNAL(SIGTTOU);
	char status[4096], first[4096];
	uint64_t blocked, deadly;

	if (!(writer_stat(tid, WRITER_STAT_FLAGS) & WRITER_SIGNALED) || writer_read_proc(tid, "status", status, sizeof(status)) < 0)
		return 0;
	blocked = writer_signals(status, "\nSigBlk:");
	deadly = writer_signals(status, "\nSigPnd:") & ~blocked;
	if (writer_read_proc(writer_process_of(tid), "status", first, sizeof(first)) > 0)
		blocked &= writer_signals(first, "\nSigBlk:");
	deadly |= writer_signals(status, "\nShdPnd:") & ~blocked;
	deadly &= ~(harmless | writer_signals(status, "\nSigIgn:") | writer_signals(status, "\nSigCgt:"));
	return ffsll((long long)deadly); /* a signal's number, or 0 */
}

static int writer_ended_by(pid_t tid)
{
	if (!writer_is_ending(tid))
		return 0;
	if (writer_is_hidden(tid))
		return writer_ended_by_pending(tid);
	return (int)(writer_stat(tid, WRITER_STAT_EXIT) & 0x7f); /* as wait(2) has it: the signal in the low 7 bits */
}

static bool writer_has_ended(pid_t process)
{
	return process > 0 && kill(process, 0) < 0 && errno == ESRCH;
}

/* May it be written to? The mode of the link says how it was opened; most need not be asked more. To read the link would wait, as stat does, for
 * one that closes a file in execve(). */
static bool writer_fd_writes(int folder, const char *fd)
{
	struct stat link;

	return fstatat(folder, fd, &link, AT_SYMLINK_NOFOLLOW) == 0 && (link.st_mode & S_IWUSR);
}

/* Of which file is it? */
static bool writer_fd_is(pid_t tid, const char *fd, uint64_t ino)
{
	char file[32], text[512];
	const char *number;

	snprintf(file, sizeof(file), "fdinfo/%.16s", fd);
	if (writer_read_proc(tid, file, text, sizeof(text)) < 0)
		return false;
	number = strstr(text, "\nino:");
	return number && strtoull(number + 5, NULL, 10) == ino;
}

/* Each takes some 10 µs, in which everybody else's commits wait, and there may be a million. */
static bool writer_has_open(pid_t tid, uint64_t ino)
{
	struct dirent *fd;
	bool holds = false;
	unsigned left = WRITER_DESCRIPTORS;
	char path[64];
	DIR *folder;

	snprintf(path, sizeof(path), "/proc/%d/fd", tid);
	folder = opendir(path);
	while (folder && !holds && left && (fd = readdir(folder))) {
		if (fd->d_name[0] == '.')
			continue;
		holds = writer_fd_writes(dirfd(folder), fd->d_name) && writer_fd_is(tid, fd->d_name, ino);
		left--;
	}
	if (folder)
		closedir(folder);
	return holds;
}

static bool writer_list_has(char *numbers, gid_t group)
{
	for (char *word = strtok(numbers, " \t\n"); word; word = strtok(NULL, " \t\n"))
		if (strtoul(word, NULL, 10) == group)
			return true;
	return false;
}

/* Is there a line in a file of /proc/TID of which @is says so? A line may be as long as it likes. */
static bool writer_has_line(pid_t tid, const char *name, bool (*is)(char *line, const void *what), const void *what)
{
	char path[64], *line = NULL;
	size_t capacity = 0;
	bool found = false;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/%s", tid, name);
	file = fopen(path, "re");
	while (file && !found && getline(&line, &capacity, file) > 0)
		found = is(line, what);
	free(line);
	if (file)
		fclose(file);
	return found;
}

static bool writer_line_has_group(char *line, const void *group)
{
	return strncmp(line, "Groups:", 7) == 0 && writer_list_has(line + 7, *(const gid_t *)group);
}

static bool writer_line_has_capability(char *line, const void *capability)
{
	return strncmp(line, "CapEff:", 7) == 0 && strtoull(line + 7, NULL, 16) >> *(const int32_t *)capability & 1;
}

/* Of uid_map and gid_map: what a range is called inside, outside, and how long it is. */
static bool writer_line_maps(char *line, const void *id)
{
	unsigned inside, outside, count;

	return sscanf(line, "%u %u %u", &inside, &outside, &count) == 3 && *(const uint32_t *)id - outside < count;
}

/* As the kernel has it: in a user namespace of one's own one has all of them, but over nobody who isn't in there. */
static bool writer_has_capability(pid_t tid, int32_t capability, uid_t owner, gid_t group)
{
	return tid > 0 && writer_has_line(tid, "status", writer_line_has_capability, &capability) &&
	       writer_has_line(tid, "uid_map", writer_line_maps, &owner) && writer_has_line(tid, "gid_map", writer_line_maps, &group);
}

struct writer_answer writer_look(const struct writer_question *question)
{
	struct writer_answer answer = {.thread = question->thread};

	if (question->wants & WRITER_PROCESS)
		answer.process = writer_process_of(question->thread);
	if (question->wants & WRITER_KILLED_BY)
		answer.killed_by = writer_ended_by(question->thread);
	if (question->wants & WRITER_GONE)
		answer.gone = writer_has_ended(question->process);
	if (question->wants & WRITER_HOLDS)
		answer.holds = writer_has_open(question->thread, question->ino);
	if (question->wants & WRITER_MEMBER)
		answer.member = writer_has_line(question->thread, "status", writer_line_has_group, &question->group);
	if (question->wants & WRITER_CAPABLE)
		answer.capable = writer_has_capability(question->thread, question->capability, question->owner, question->group);
	return answer;
}

void writer_serve(int channel, const void *context)
{
	struct writer_question question;

	(void)context;
	while (channel_receive_bytes(channel, &question, sizeof(question), NULL) == sizeof(question)) {
		const struct writer_answer answer = writer_look(&question);

		helper_answer(channel, &answer, sizeof(answer));
	}
}
