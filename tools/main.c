/* SPDX-License-Identifier: Apache-2.0
 * hushctl: the table of commands.
 */
#include "store/log.h"
#include "tools/command.h"

#include <stdio.h>
#include <string.h>

static const struct {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *description;
} commands[] = {
	{"init", command_init, "make a store"},
	{"key", command_key, "list, add, remove or rotate the keys of a store"},
	{"rekey", command_rekey, "seal a store again under a new root key"},
};
#define N_COMMANDS (sizeof(commands) / sizeof(commands[0]))

static void usage(FILE *out)
{
	fputs("usage: hushctl COMMAND [ARGUMENTS]; hushctl COMMAND --help says more\n\n", out);
	for (size_t i = 0; i < N_COMMANDS; i++)
		fprintf(out, "  %-8s %s\n", commands[i].name, commands[i].description);
	fputs("  --help   --version\n", out);
}

int main(int argc, char **argv)
{
	log_init("hushctl");
	if (argc < 2) {
		usage(stderr);
		return COMMAND_USAGE;
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0) {
		usage(stdout);
		return COMMAND_DONE;
	}
	if (strcmp(argv[1], "--version") == 0) {
		puts("hushctl " HUSHFS_VERSION);
		return COMMAND_DONE;
	}
	for (size_t i = 0; i < N_COMMANDS; i++)
		if (strcmp(argv[1], commands[i].name) == 0)
			return commands[i].run(argc - 1, argv + 1);
	log_error("%s: there is no such command; hushctl --help lists them", argv[1]);
	return COMMAND_USAGE;
}
