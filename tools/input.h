/* SPDX-License-Identifier: Apache-2.0
 * input: the documents that a command line names with -f: a file, a folder of them, or - for standard input.
 */
#ifndef TOOLS_INPUT_H
#define TOOLS_INPUT_H

#include "store/secmem.h"
#include "tools/flags.h"

#include <stddef.h>

#define INPUT_BYTES_MAX (16u * 1024 * 1024) /* of all together: a bundle is one transaction */

struct input_text {
	char *path; /* as errors name it; owned */
	struct secbuf text;
};

/* A zeroed struct is empty. */
struct input {
	struct input_text *texts; /* owned array */
	size_t n;
};

/* input_read - read what @paths name: of a folder the files that end with .yaml, .yml or .json, sorted, not those in folders below. -errno
 * after saying what is wrong. */
int input_read(const struct flags_list *paths, struct input *ret_input);

/* input_deinit - wipe and free. */
void input_deinit(struct input *input);

/* input_check_variables - is each of @variables of @command "key=value"? -EINVAL, said. */
int input_check_variables(const char *command, const struct flags_list *variables);

/* input_fill - put @variables (each "key=value") in the place of {{ key }}, in all texts; without any variable nothing is done.
 * Mustache without sections: {{{ key }}} and {{& key }} are the same, {{! … }} is left out. A key that is not given is an error.
 * -errno, said. */
int input_fill(struct input *input, const struct flags_list *variables);

#define INPUT_AUTO __attribute__((cleanup(input_deinit))) struct input

#endif
