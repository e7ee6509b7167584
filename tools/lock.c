/* SPDX-License-Identifier: Apache-2.0
 * lock: hushctl lock has the daemon forget the keys of a mount.
 */
#include "store/log.h"
#include "tools/command.h"
#include "tools/target.h"

#include <errno.h>
#include <stdio.h>

static const char lock_usage[] =
	"usage: hushctl lock [--mount DIR]\n"
	"The daemon wipes the keys and all values from memory. The mount stays, and names are listed; reading and writing\n"
	"fails (Required key not available) until hushctl unlock. What is just being written is dropped.\n"
	"\n" TARGET_MOUNT_USAGE FLAGS_USAGE;

int command_lock(int argc, char **argv)
{
	__attribute__((cleanup(target_closep))) struct target *target = NULL;
	struct target_options options = {0};
	const struct flag flags[] = {
		{.name = "mount", .text = &options.mount}, {.name = "store", .text = &options.store}, {0}};
	int n;
	int r = flags_parse(argc, argv, lock_usage, flags, &n);

	if (r == 0 && n > 0) {
		r = flags_only(argv[0]);
	} else if (r == 0 && options.store) {
		log_error("%s: a store that is not mounted has no lock: nobody has its keys in memory", argv[0]);
		r = -EINVAL;
	}
	if (r != 0)
		return r < 0 ? COMMAND_USAGE : COMMAND_DONE;
	if (target_open(&options, &target) != COMMAND_DONE || target_lock(target) < 0)
		return COMMAND_FAILED;
	puts("locked");
	return COMMAND_DONE;
}
