/* SPDX-License-Identifier: Apache-2.0
 * hushctl: the table of commands.
 */
#include "store/log.h"
#include "store/nearest.h"
#include "tools/command.h"
#include "tools/flags.h"
#include "tools/output.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

static const struct {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *description;
} commands[] = {
	{"apply", command_apply, "create or update what documents say"},
	{"get", command_get, "show secrets, global secrets and meshes"},
	{"delete", command_delete, "remove secrets, global secrets and meshes"},
	{"export", command_export, "write all as documents that can be applied"},
	{"lint", command_lint, "find secrets that policies name and that do not exist"},
	{"init", command_init, "make a store"},
	{"status", command_status, "what there is, and how the daemon is doing"},
	{"check", command_check, "verify the whole store"},
	{"backup", command_backup, "copy the store, also while it is mounted"},
	{"lock", command_lock, "have the daemon forget the keys of a mount"},
	{"unlock", command_unlock, "bring them back"},
	{"key", command_key, "list, add, remove or rotate the keys of a store"},
	{"upgrade", command_upgrade, "have a mount go on with the version that is now installed"},
	{"rekey", command_rekey, "seal a store again under a new root key"},
};
#define N_COMMANDS (sizeof(commands) / sizeof(commands[0]))

static int main_usage(FILE *out, int status)
{
	fputs("usage: hushctl COMMAND [ARGUMENTS]; hushctl COMMAND --help says more\n\n", out);
	for (size_t i = 0; i < N_COMMANDS; i++)
		fprintf(out, "  %-8s %s\n", commands[i].name, commands[i].description);
	fputs("\n" FLAGS_USAGE, out);
	return status;
}

static int main_unknown(const char *word)
{
	const char *names[N_COMMANDS + 1] = {NULL};
	const char *meant;

	for (size_t i = 0; i < N_COMMANDS; i++)
		names[i] = commands[i].name;
	meant = nearest(word, names);
	if (word[0] == '-')
		log_error("%.*s: a COMMAND comes first, and its flags behind it; hushctl --help lists the commands",
			  (int)strcspn(word, "="), word);
	else if (meant)
		log_error("%s: there is no such command; did you mean %s?", word, meant);
	else
		log_error("%s: there is no such command; hushctl --help lists them", word);
	return COMMAND_USAGE;
}

static int main_run(int argc, char **argv)
{
	const char *word = argv[1];

	if (strcmp(word, "help") == 0 && argc > 2)
		return main_run(3, (char *[]){argv[0], argv[2], "--help", NULL});
	if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "help") == 0)
		return main_usage(stdout, COMMAND_DONE);
	if (strcmp(word, "--version") == 0 || strcmp(word, "-V") == 0) {
		flags_print_version();
		return COMMAND_DONE;
	}
	for (size_t i = 0; i < N_COMMANDS; i++)
		if (strcmp(word, commands[i].name) == 0)
			return commands[i].run(argc - 1, argv + 1);
	return main_unknown(word);
}

int main(int argc, char **argv)
{
	int status;

	log_init("hushctl");
	signal(SIGPIPE, SIG_IGN); /* a write says it, too, and then what was begun is ended in order */
	signal(SIGXFSZ, SIG_IGN); /* likewise, of a file that is longer than it may get (ulimit -f) */
	if (argc < 2)
		return main_usage(stderr, COMMAND_USAGE);
	status = main_run(argc, argv);
	if (fflush(stdout) == 0 || status != COMMAND_DONE)
		return status;
	output_failed(errno);
	return COMMAND_FAILED;
}
