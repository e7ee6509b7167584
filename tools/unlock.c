/* SPDX-License-Identifier: Apache-2.0
 * unlock: hushctl unlock brings a key back to the daemon of a mount that was locked.
 */
#include "store/log.h"
#include "tools/command.h"
#include "tools/target.h"

#include <errno.h>
#include <stdio.h>

static const char unlock_usage[] =
	"usage: hushctl unlock [--mount DIR] [--key-file F | --passphrase-file F]\n"
	"Brings back what hushctl lock took away, with any key that opens the store.\n"
	"\n" TARGET_MOUNT_USAGE
	"  --key-file F, --passphrase-file F  the key (else a systemd credential, else it is asked for)\n" FLAGS_USAGE;

static int unlock_check(const char *command, const struct target_options *options, int n)
{
	if (n > 0)
		return flags_only(command);
	if (options->store)
		log_error("%s: a store that is not mounted has no lock: every command takes its key", command);
	else if (options->key.key_file && options->key.passphrase_file)
		log_error("%s: give --key-file or --passphrase-file, not both", command);
	else
		return 0;
	return -EINVAL;
}

int command_unlock(int argc, char **argv)
{
	__attribute__((cleanup(target_closep))) struct target *target = NULL;
	__attribute__((cleanup(key_freep))) struct key *key = NULL;
	struct target_options options = {0}, mount;
	const struct flag flags[] = {{.name = "mount", .text = &options.mount},
				     {.name = "store", .text = &options.store},
				     {.name = "key-file", .text = &options.key.key_file},
				     {.name = "passphrase-file", .text = &options.key.passphrase_file},
				     {0}};
	int n;
	int r = flags_parse(argc, argv, unlock_usage, flags, &n);

	if (r == 0)
		r = unlock_check(argv[0], &options, n);
	if (r != 0)
		return r < 0 ? COMMAND_USAGE : COMMAND_DONE;
	mount = (struct target_options){.mount = options.mount};
	if (target_open(&mount, &target) != COMMAND_DONE || key_read(&options.key, &key) < 0 || target_unlock(target, key) < 0)
		return COMMAND_FAILED;
	puts("unlocked");
	return COMMAND_DONE;
}
