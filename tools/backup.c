/* SPDX-License-Identifier: Apache-2.0
 * backup: hushctl backup makes a consistent copy of a store, also while it is mounted.
 */
#include "tools/command.h"
#include "tools/target.h"

static const char backup_usage[] =
	"usage: hushctl backup FILE\n"
	"Makes a copy of the store in the new file FILE, which the same keys open. It never overwrites.\n"
	"\n" TARGET_USAGE;

int command_backup(int argc, char **argv)
{
	__attribute__((cleanup(target_closep))) struct target *target = NULL;
	int status;

	if (!target_begin(argc, argv, backup_usage, 1, "give one FILE", &target, &status))
		return status;
	return target_backup(target, argv[1]) < 0 ? COMMAND_FAILED : COMMAND_DONE;
}
