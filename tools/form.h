/* SPDX-License-Identifier: Apache-2.0
 * form: the words behind -o and --format.
 */
#ifndef TOOLS_FORM_H
#define TOOLS_FORM_H

#include <stdbool.h>

enum form_output { FORM_TABLE, FORM_YAML, FORM_JSON, FORM_RAW };

/* form_parse_output - what -o @word means; NULL: a table. -EINVAL after saying, for @command, what there is. */
int form_parse_output(const char *command, const char *word, enum form_output *ret_output);

/* form_parse_format - does --format @word mean Kubernetes? NULL: no. -EINVAL likewise. */
int form_parse_format(const char *command, const char *word, bool *ret_kubernetes);

#endif
