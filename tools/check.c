/* SPDX-License-Identifier: Apache-2.0
 * check: hushctl check verifies a whole store, mounted or not; and is the only way to have an anchor accept another state of it.
 */
#include "tools/command.h"
#include "tools/target.h"

#include <inttypes.h>

static const char check_usage[] =
	"usage: hushctl check [--accept-rollback]\n"
	"Reads the whole store and verifies that every row and every value in it is what was written.\n"
	"\n"
	"  --accept-rollback    with --store and --anchor: if all of it is, have the anchor accept the store as it is,\n"
	"                       though it has seen a newer one (you have restored a backup), or can't tell\n" TARGET_USAGE;

static int check_parse(int argc, char **argv, struct target_options *ret_options)
{
	const struct flag flags[] = {TARGET_FLAGS(*ret_options),
				     {.name = "accept-rollback", .is_set = &ret_options->accept_rollback},
				     {0}};
	int n;
	int r = flags_parse(argc, argv, check_usage, flags, &n);

	return r == 0 && n > 0 ? flags_only(argv[0]) : r;
}

static int check_accept(struct target *target, const struct target_options *options)
{
	struct store_accepted accepted;
	int r = target_accept(target, &accepted);

	if (r < 0)
		return r;
	if (!accepted.refused)
		printf("%s: the anchor %s had nothing against it, at generation %" PRIu64 "\n", options->store, options->anchor,
		       accepted.generation);
	else if (accepted.known)
		printf("%s: accepted as generation %" PRIu64 "; what the anchor %s had seen, up to %" PRIu64 ", is given up\n",
		       options->store, accepted.generation, options->anchor, accepted.known);
	else
		printf("%s: accepted as generation %" PRIu64 "; the anchor %s could not tell what it had seen\n", options->store,
		       accepted.generation, options->anchor);
	return 0;
}

int command_check(int argc, char **argv)
{
	__attribute__((cleanup(target_closep))) struct target *target = NULL;
	struct target_options options = {0};
	struct store_checked checked = {0};
	int status, r = check_parse(argc, argv, &options);

	if (r != 0)
		return r < 0 ? COMMAND_USAGE : COMMAND_DONE;
	status = target_open(&options, &target);
	if (status != COMMAND_DONE)
		return status;
	if (target_check(target, &checked) < 0)
		return COMMAND_FAILED;
	printf("all is as it was written: %" PRIu64 " resources, %" PRIu64 " values, %" PRIu64 " rows\n",
	       checked.resources, checked.values, checked.rows);
	return options.accept_rollback && check_accept(target, &options) < 0 ? COMMAND_FAILED : COMMAND_DONE;
}
