/* SPDX-License-Identifier: Apache-2.0
 * kind: the types of resources, as they are typed and as they are called.
 */
#ifndef TOOLS_KIND_H
#define TOOLS_KIND_H

#include "store/name.h"

/* kind_parse - what @word (secret, secrets, global-secret, …) means. -EINVAL after saying, for @command, what there is.
 */
int kind_parse(const char *command, const char *word, enum name_kind *ret_kind);

#define KIND_SENTENCE_BYTES 800

/* kind_missing - what kumactl says of one that is not there: there is no Secret with name "web" */
void kind_missing(enum name_kind kind, const char *name, char ret_text[static KIND_SENTENCE_BYTES]);

#endif
