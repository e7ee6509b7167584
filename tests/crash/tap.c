/* SPDX-License-Identifier: Apache-2.0
 * tap: what was printed is written at once, as a program may be killed.
 */
#include "tests/crash/tap.h"

#include <stdio.h>
#include <stdlib.h>

static int checks, failures;

bool check(bool ok, const char *name)
{
	printf("%s %d - %s\n", ok ? "ok" : "not ok", ++checks, name);
	fflush(stdout);
	failures += !ok;
	return ok;
}

int check_done(void)
{
	printf("1..%d\n", checks);
	return failures ? EXIT_FAILURE : EXIT_SUCCESS;
}
