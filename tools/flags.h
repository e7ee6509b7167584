/* SPDX-License-Identifier: Apache-2.0
 * flags: a command's flags, as kumactl's users type them: before and after the other arguments, --name value, --name=value, -n value.
 *
 * A flag is never taken for the short of a longer one: whoever types --key for --key-file means a key, which is not to stand there.
 */
#ifndef TOOLS_FLAGS_H
#define TOOLS_FLAGS_H

#include <stdbool.h>
#include <stddef.h>

#define FLAGS_LIST_MAX 64

/* A flag that may be given several times. */
struct flags_list {
	const char *items[FLAGS_LIST_MAX];
	size_t n;
};

/* Where a flag's value goes; one of the three is set. The last row of a table is zeroed. */
struct flag {
	const char *name; /* without -- */
	char letter;      /* 0: none */
	bool *is_set;
	const char **text;
	struct flags_list *list;
};

/* What every command understands besides, for its usage. */
#define FLAGS_USAGE                                                                                                    \
	"  -h, --help           print this\n"                                                                         \
	"  -V, --version        print the version\n"

/* flags_print_version - to stdout. */
void flags_print_version(void);

/* flags_only - say that the command takes nothing but flags. The word that stands there is not shown: it may be a passphrase. -EINVAL. */
int flags_only(const char *command);

/* flags_parse - @argv[0] is the command. What is no flag is moved to the front, @argv[1] to @argv[*ret_n]; after -- nothing is a flag.
 * --help (-h) prints @usage to stdout: 1; so does --version (-V) the version. -EINVAL after saying in one line what is wrong. 0. */
int flags_parse(int argc, char **argv, const char *usage, const struct flag *flags, int *ret_n);

#endif
