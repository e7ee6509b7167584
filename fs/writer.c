/* SPDX-License-Identifier: Apache-2.0
 * writer: asks /proc. Only for requests about something that is being written, so its cost does not matter.
 */
#include "fs/writer.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

pid_t writer_process(pid_t tid)
{
	char path[64], status[512];
	const char *field;
	ssize_t n;
	int fd;

	if (tid <= 0)
		return 0;
	snprintf(path, sizeof(path), "/proc/%d/status", tid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	n = read(fd, status, sizeof(status) - 1); /* Tgid is the fourth line */
	close(fd);
	if (n <= 0)
		return 0;
	status[n] = '\0';
	field = strstr(status, "\nTgid:");
	return field ? (pid_t)strtol(field + 6, NULL, 10) : 0;
}

bool writer_is_gone(pid_t process)
{
	return process > 0 && kill(process, 0) < 0 && errno == ESRCH;
}
