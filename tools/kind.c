/* SPDX-License-Identifier: Apache-2.0
 * kind: the words are kumactl's; singular and plural mean the same, as for kubectl.
 */
#include "tools/kind.h"

#include "store/log.h"
#include "store/nearest.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const char *const kind_words[] = {"secret", "secrets", "global-secret", "global-secrets", "mesh",
					 "meshes", NULL};
static const enum name_kind kind_meanings[] = {NAME_SECRET,	   NAME_SECRET, NAME_GLOBAL_SECRET,
					       NAME_GLOBAL_SECRET, NAME_MESH,	NAME_MESH};

int kind_parse(const char *command, const char *word, enum name_kind *ret_kind)
{
	const char *meant = nearest(word, kind_words);

	for (size_t i = 0; kind_words[i]; i++) {
		if (strcmp(word, kind_words[i]) == 0) {
			*ret_kind = kind_meanings[i];
			return 0;
		}
	}
	if (meant)
		log_error("%s: there is no type %s; did you mean %s?", command, word, meant);
	else
		log_error("%s: there is no type %s; there are secret, global-secret and mesh", command, word);
	return -EINVAL;
}

void kind_missing(enum name_kind kind, const char *name, char ret_text[static KIND_SENTENCE_BYTES])
{
	snprintf(ret_text, KIND_SENTENCE_BYTES, "there is no %s with name \"%.300s\"", name_type(kind), name);
}
