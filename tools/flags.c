/* SPDX-License-Identifier: Apache-2.0
 * flags: a walk over argv with a table.
 */
#include "tools/flags.h"

#include "store/log.h"
#include "store/nearest.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* The flag that @argument names, and the value behind its =, or NULL. */
static const struct flag *flags_find(const struct flag *flags, const char *argument, const char **ret_value)
{
	const char *name = argument + 2;
	size_t size = strcspn(name, "=");

	*ret_value = NULL;
	for (const struct flag *f = flags; f->name || f->letter; f++) {
		if (argument[1] != '-' && f->letter && argument[1] == f->letter) {
			*ret_value = argument[2] ? argument + 2 + (argument[2] == '=') : NULL;
			return f;
		}
		if (argument[1] == '-' && f->name && strlen(f->name) == size && strncmp(f->name, name, size) == 0) {
			*ret_value = name[size] ? name + size + 1 : NULL;
			return f;
		}
	}
	return NULL;
}

#define FLAGS_NAME_BYTES 64
#define FLAGS_MAX 32

/* Say that there is no such flag. Only what stands before = is shown: behind it may be what should not be seen. */
static void flags_unknown(const char *command, const struct flag *flags, const char *argument)
{
	const char *names[FLAGS_MAX + 1] = {NULL};
	const char *meant = NULL;
	char name[FLAGS_NAME_BYTES];
	size_t n = 0;

	for (const struct flag *f = flags; (f->name || f->letter) && n < FLAGS_MAX; f++)
		if (f->name)
			names[n++] = f->name;
	snprintf(name, sizeof(name), "%.*s", (int)strcspn(argument, "="), argument);
	if (argument[1] == '-')
		meant = nearest(name + 2, names);
	if (meant)
		log_error("%s: there is no flag %s; did you mean --%s?", command, name, meant);
	else
		log_error("%s: there is no flag %s; see hushctl %s --help", command, name, command);
}

static int flags_set(const char *command, const struct flag *flag, const char *argument, const char *value)
{
	if (flag->is_set) {
		if (value) {
			log_error("%s: %.*s takes no value; see hushctl %s --help", command,
				  (int)strcspn(argument, "="), argument, command);
			return -EINVAL;
		}
		*flag->is_set = true;
	} else if (!value) {
		log_error("%s: %s lacks its value; see hushctl %s --help", command, argument, command);
		return -EINVAL;
	} else if (flag->text) {
		*flag->text = value;
	} else if (flag->list->n == FLAGS_LIST_MAX) {
		log_error("%s: %s may be given %d times at the most", command, argument, FLAGS_LIST_MAX);
		return -EINVAL;
	} else {
		flag->list->items[flag->list->n++] = value;
	}
	return 0;
}

int flags_only(const char *command)
{
	log_error("%s: it takes flags only, and no other word; see hushctl %s --help", command, command);
	return -EINVAL;
}

void flags_print_version(void)
{
	puts("hushctl " HUSHFS_VERSION);
}

int flags_parse(int argc, char **argv, const char *usage, const struct flag *flags, int *ret_n)
{
	bool all_others = false;
	int n = 0;

	for (int i = 1; i < argc; i++) {
		char *argument = argv[i];
		const struct flag *flag;
		const char *value;

		if (all_others || argument[0] != '-' || !argument[1]) {
			argv[++n] = argument;
			continue;
		}
		if (strcmp(argument, "--") == 0) {
			all_others = true;
			continue;
		}
		if (strcmp(argument, "--help") == 0 || strcmp(argument, "-h") == 0) {
			fputs(usage, stdout);
			return 1;
		}
		if (strcmp(argument, "--version") == 0 || strcmp(argument, "-V") == 0) {
			flags_print_version();
			return 1;
		}
		flag = flags_find(flags, argument, &value);
		if (!flag) {
			flags_unknown(argv[0], flags, argument);
			return -EINVAL;
		}
		if (!value && !flag->is_set && i + 1 < argc)
			value = argv[++i];
		if (flags_set(argv[0], flag, argument, value) < 0)
			return -EINVAL;
	}
	*ret_n = n;
	return 0;
}
