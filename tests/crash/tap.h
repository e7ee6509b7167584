/* SPDX-License-Identifier: Apache-2.0
 * tap: named checks, as the runner counts them.
 */
#ifndef TESTS_TAP_H
#define TESTS_TAP_H

#include <stdbool.h>

/* check - a line of TAP; returns @ok. */
bool check(bool ok, const char *name);

/* check_done - the plan, at the end. Returns the exit status. */
int check_done(void);

#endif
