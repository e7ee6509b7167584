/* SPDX-License-Identifier: Apache-2.0
 * log: a line is composed in one buffer and written with one call, so that lines of threads don't mix.
 */
#include "store/log.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

static const char *log_program = "hushfs";
static bool log_syslog;

void log_init(const char *program)
{
	log_program = program;
}

void log_connect(void)
{
	tzset(); /* reads a file */
	openlog(log_program, LOG_PID | LOG_NDELAY, LOG_DAEMON);
}

void log_to_syslog(void)
{
	openlog(log_program, LOG_PID, LOG_DAEMON);
	log_syslog = true;
}

__attribute__((format(printf, 2, 0))) static void log_line(int priority, const char *format, va_list args)
{
	int saved = errno;

	if (log_syslog) {
		vsyslog(priority, format, args);
	} else {
		char line[PATH_MAX + 1024]; /* what is the matter stands behind a path */
		int head = snprintf(line, sizeof(line), "%s: ", log_program);
		int body = vsnprintf(line + head, sizeof(line) - (size_t)head - 1, format, args);
		size_t used = (size_t)head + (size_t)(body > 0 ? body : 0);

		if (used > sizeof(line) - 2)
			used = sizeof(line) - 2;
		line[used++] = '\n';
		if (write(STDERR_FILENO, line, used) < 0) {
			/* nobody is left to be told */
		}
	}
	errno = saved;
}

#define LOG_AT(priority)                                                                           \
	do {                                                                                       \
		va_list args;                                                                      \
		va_start(args, format);                                                            \
		log_line(priority, format, args);                                                  \
		va_end(args);                                                                      \
	} while (0)

void log_error(const char *format, ...)
{
	LOG_AT(LOG_ERR);
}

void log_warning(const char *format, ...)
{
	LOG_AT(LOG_WARNING);
}

void log_info(const char *format, ...)
{
	LOG_AT(LOG_INFO);
}

const char *log_reason(int error)
{
	switch (error) {
	case EMFILE:
		return "Too many open files: raise the limit (ulimit -n)";
	case EFBIG:
		return "File too large: is there a limit (ulimit -f)?";
	default:
		return strerror(error);
	}
}

void log_printable(char *text)
{
	for (unsigned char *c = (unsigned char *)text; *c; c++) {
		bool two = c[0] == 0xc2 && c[1] >= 0x80 && c[1] <= 0x9f; /* U+0080 to U+009F */

		if (two)
			c[1] = '?';
		if (two || *c < ' ' || *c == 0x7f)
			*c = '?';
	}
}

int log_no_memory(const char *for_what)
{
	log_error("no memory left %s; is there a limit (ulimit -v, in a unit MemoryMax=)?", for_what);
	return -ENOMEM;
}
