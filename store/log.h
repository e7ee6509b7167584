/* SPDX-License-Identifier: Apache-2.0
 * log: one line for people, to stderr or to syslog.
 *
 * A line carries names, ids and numbers, never a secret's value and never a key. Whoever detects an error logs
 * it once; callers forward the -errno and stay silent. Any thread may call.
 */
#ifndef STORE_LOG_H
#define STORE_LOG_H

/* log_init - say who is speaking. @program is kept, not copied. Until then the name is "hushfs". */
void log_init(const char *program);

/* log_connect - get ready for log_to_syslog, for who can't connect any more by then. */
void log_connect(void);

/* log_to_syslog - from now on to syslog (facility daemon) instead of stderr. */
void log_to_syslog(void);

/* log_error, log_warning, log_info - one line, printf-like, without a final newline. errno is preserved. */
void log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_warning(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* log_reason - what the errno @error says; of one that a limit of this process brings about, also which limit that is. */
const char *log_reason(int error);

/* log_printable - in @text, of which a part is another's, "?" for each byte that would begin a line or command a terminal. */
void log_printable(char *text);

/* log_no_memory - say that there is none left @for_what, as "to serve the mount". -ENOMEM. */
int log_no_memory(const char *for_what);

#endif
