/* SPDX-License-Identifier: Apache-2.0
 * status: hushctl status prints what there is, and how the daemon is doing.
 */
#include "store/log.h"
#include "tools/command.h"
#include "tools/target.h"

#include <errno.h>

static const char status_usage[] =
	"usage: hushctl status\n"
	"Prints what a mount says of itself, or what is in a store: a key and its value a line, for scripts too.\n"
	"\n" TARGET_USAGE;

int command_status(int argc, char **argv)
{
	__attribute__((cleanup(target_closep))) struct target *target = NULL;
	struct target_options options = {0};
	const struct flag flags[] = {TARGET_FLAGS(options), {0}};
	int n;
	int r = flags_parse(argc, argv, status_usage, flags, &n);

	if (r == 0 && n > 0) {
		log_error("%s: there is nothing to be named; see hushctl status --help", argv[0]);
		r = -EINVAL;
	}
	if (r != 0)
		return r < 0 ? COMMAND_USAGE : COMMAND_DONE;
	r = target_open(&options, &target);
	if (r < 0)
		return r == -EINVAL ? COMMAND_USAGE : COMMAND_FAILED;
	return target_status(target, stdout) < 0 ? COMMAND_FAILED : COMMAND_DONE;
}
