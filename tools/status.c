/* SPDX-License-Identifier: Apache-2.0
 * status: hushctl status prints what there is, and how the daemon is doing.
 */
#include "tools/command.h"
#include "tools/target.h"

static const char status_usage[] =
	"usage: hushctl status\n"
	"Prints what a mount says of itself, or what is in a store: a key and its value a line, for scripts too.\n"
	"\n" TARGET_USAGE;

int command_status(int argc, char **argv)
{
	__attribute__((cleanup(target_closep))) struct target *target = NULL;
	int status;

	if (!target_begin(argc, argv, status_usage, 0, NULL, &target, &status))
		return status;
	return target_status(target, stdout) < 0 ? COMMAND_FAILED : COMMAND_DONE;
}
