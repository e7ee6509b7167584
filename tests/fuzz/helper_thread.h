/* SPDX-License-Identifier: Apache-2.0
 * helper_thread: a daemon's helpers as threads of the test, where daemons are started thousands of times: a fork takes longer than all the rest.
 *
 * The linker puts it in the place of helper_start (--wrap, HELPER_THREAD_HOOKS in the Makefile).
 */
#ifndef TESTS_HELPER_THREAD_H
#define TESTS_HELPER_THREAD_H

/* helper_thread_wait - until those have ended whose channel was closed: all, when nothing is served. */
void helper_thread_wait(void);

#endif
