/* SPDX-License-Identifier: Apache-2.0
 * check: hushctl check verifies a whole store, mounted or not.
 */
#include "store/log.h"
#include "tools/command.h"
#include "tools/target.h"

#include <errno.h>
#include <inttypes.h>

static const char check_usage[] =
	"usage: hushctl check\n"
	"Reads the whole store and verifies that every row and every value in it is what was written.\n"
	"\n" TARGET_USAGE;

int command_check(int argc, char **argv)
{
	__attribute__((cleanup(target_closep))) struct target *target = NULL;
	struct target_options options = {0};
	const struct flag flags[] = {TARGET_FLAGS(options), {0}};
	struct store_checked checked = {0};
	int n;
	int r = flags_parse(argc, argv, check_usage, flags, &n);

	if (r == 0 && n > 0) {
		log_error("%s: there is nothing to be named; see hushctl check --help", argv[0]);
		r = -EINVAL;
	}
	if (r != 0)
		return r < 0 ? COMMAND_USAGE : COMMAND_DONE;
	r = target_open(&options, &target);
	if (r < 0)
		return r == -EINVAL ? COMMAND_USAGE : COMMAND_FAILED;
	r = target_check(target, &checked);
	if (r < 0)
		return COMMAND_FAILED;
	printf("all is as it was written: %" PRIu64 " resources, %" PRIu64 " values, %" PRIu64 " rows\n",
	       checked.resources, checked.values, checked.rows);
	return COMMAND_DONE;
}
