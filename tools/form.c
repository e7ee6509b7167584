/* SPDX-License-Identifier: Apache-2.0
 * form: lists of words.
 */
#include "tools/form.h"

#include "store/log.h"
#include "store/nearest.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

/* Which of the @words it is. */
static int form_parse(const char *command, const char *flag, const char *word, const char *const *words,
		      const char *all)
{
	const char *meant = nearest(word, words);

	for (int i = 0; words[i]; i++)
		if (strcmp(word, words[i]) == 0)
			return i;
	if (meant)
		log_error("%s: there is no %s %s; did you mean %s?", command, flag, word, meant);
	else
		log_error("%s: there is no %s %s; there are %s", command, flag, word, all);
	return -EINVAL;
}

int form_parse_output(const char *command, const char *word, enum form_output *ret_output)
{
	static const char *const words[] = {
		[FORM_TABLE] = "table", [FORM_YAML] = "yaml", [FORM_JSON] = "json", [FORM_RAW] = "raw", NULL};
	int r = word ? form_parse(command, "-o", word, words, "table, yaml, json and raw") : FORM_TABLE;

	if (r < 0)
		return r;
	*ret_output = (enum form_output)r;
	return 0;
}

int form_parse_format(const char *command, const char *word, bool *ret_kubernetes)
{
	static const char *const words[] = {"universal", "kubernetes", NULL};
	int r = word ? form_parse(command, "--format", word, words, "universal and kubernetes") : 0;

	if (r < 0)
		return r;
	*ret_kubernetes = r == 1;
	return 0;
}
