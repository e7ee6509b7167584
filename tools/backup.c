/* SPDX-License-Identifier: Apache-2.0
 * backup: hushctl backup makes a consistent copy of a store, also while it is mounted.
 */
#include "store/log.h"
#include "tools/command.h"
#include "tools/target.h"

#include <errno.h>

static const char backup_usage[] =
	"usage: hushctl backup FILE\n"
	"Makes a copy of the store in the new file FILE, which the same keys open. It never overwrites.\n"
	"\n" TARGET_USAGE;

int command_backup(int argc, char **argv)
{
	__attribute__((cleanup(target_closep))) struct target *target = NULL;
	struct target_options options = {0};
	const struct flag flags[] = {TARGET_FLAGS(options), {0}};
	int n;
	int r = flags_parse(argc, argv, backup_usage, flags, &n);

	if (r == 0 && n != 1) {
		log_error("%s: give one FILE; see hushctl backup --help", argv[0]);
		r = -EINVAL;
	}
	if (r != 0)
		return r < 0 ? COMMAND_USAGE : COMMAND_DONE;
	r = target_open(&options, &target);
	if (r < 0)
		return r == -EINVAL ? COMMAND_USAGE : COMMAND_FAILED;
	return target_backup(target, argv[1]) < 0 ? COMMAND_FAILED : COMMAND_DONE;
}
