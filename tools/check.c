/* SPDX-License-Identifier: Apache-2.0
 * check: hushctl check verifies a whole store, mounted or not.
 */
#include "tools/command.h"
#include "tools/target.h"

#include <inttypes.h>

static const char check_usage[] =
	"usage: hushctl check\n"
	"Reads the whole store and verifies that every row and every value in it is what was written.\n"
	"\n" TARGET_USAGE;

int command_check(int argc, char **argv)
{
	__attribute__((cleanup(target_closep))) struct target *target = NULL;
	struct store_checked checked = {0};
	int status;

	if (!target_begin(argc, argv, check_usage, 0, "there is nothing to be named", &target, &status))
		return status;
	if (target_check(target, &checked) < 0)
		return COMMAND_FAILED;
	printf("all is as it was written: %" PRIu64 " resources, %" PRIu64 " values, %" PRIu64 " rows\n",
	       checked.resources, checked.values, checked.rows);
	return COMMAND_DONE;
}
