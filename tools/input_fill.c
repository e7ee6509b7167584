/* SPDX-License-Identifier: Apache-2.0
 * input_fill: variables in documents, as kumactl's -v has them.
 *
 * Each text is copied once, from one tag to the next. Kuma puts nothing in the place of a key that is not given; that would make an empty
 * secret of a typing error, so it is refused.
 */
#include "tools/input.h"

#include "store/log.h"
#include "tools/arena.h"

#include <errno.h>
#include <string.h>

/* A text being filled in. */
struct fill {
	const char *path;
	const struct flags_list *variables;
	const char *at, *end;
	unsigned line;
};

static const char *fill_find(const char *at, const char *end, const char *what)
{
	return memmem(at, (size_t)(end - at), what, strlen(what));
}

/* What stands behind the = of the variable @key; NULL if it is not given. The last one counts. */
static const char *fill_variable(const struct flags_list *variables, const char *key, size_t size)
{
	for (size_t i = variables->n; i-- > 0;)
		if (strncmp(variables->items[i], key, size) == 0 && variables->items[i][size] == '=')
			return variables->items[i] + size + 1;
	return NULL;
}

/* The tag that begins at @fill->at, of which *@key is what it names, of *@size bytes (0: a comment). Moves behind it. -EINVAL, said. */
static int fill_tag(struct fill *fill, const char **key, size_t *size)
{
	const bool triple = fill->end - fill->at > 2 && fill->at[2] == '{';
	const char *close = triple ? "}}}" : "}}";
	const char *from = fill->at + 2 + triple, *to = fill_find(from, fill->end, close);

	if (!to) {
		log_error("%s: line %u: no }} follows this {{", fill->path, fill->line);
		return -EINVAL;
	}
	fill->at = to + strlen(close);
	*size = 0;
	if (*from == '!')
		return 0;
	from += *from == '&';
	while (from < to && (*from == ' ' || *from == '\t'))
		from++;
	while (to > from && (to[-1] == ' ' || to[-1] == '\t'))
		to--;
	if (from == to || strchr("#/^>=", *from)) {
		log_error("%s: line %u: only {{ key }} is understood, no sections or partials", fill->path, fill->line);
		return -EINVAL;
	}
	*key = from;
	*size = (size_t)(to - from);
	return 0;
}

static int fill_text(struct fill *fill, struct secbuf *filled)
{
	int r = 0;

	while (r == 0 && fill->at < fill->end) {
		const char *tag = fill_find(fill->at, fill->end, "{{"), *value = "", *key;
		size_t size;

		if (!tag)
			tag = fill->end;
		for (const char *c = fill->at; c < tag; c++)
			fill->line += *c == '\n';
		r = secbuf_write(filled, filled->size, fill->at, (size_t)(tag - fill->at));
		fill->at = tag;
		if (r < 0 || tag == fill->end)
			break;
		r = fill_tag(fill, &key, &size);
		if (r == 0 && size) {
			value = fill_variable(fill->variables, key, size);
			if (!value) {
				log_error("%s: line %u: {{ %.*s }} has no value: give it with -v %.*s=VALUE", fill->path,
					  fill->line, (int)size, key, (int)size, key);
				return -EINVAL;
			}
		}
		if (r == 0)
			r = secbuf_write(filled, filled->size, value, strlen(value));
	}
	if (r == -ENOMEM)
		arena_full(fill->path);
	return r;
}

int input_check_variables(const char *command, const struct flags_list *variables)
{
	for (size_t i = 0; i < variables->n; i++) {
		if (strchr(variables->items[i], '=') && variables->items[i][0] != '=')
			continue;
		log_error("%s: -v: give KEY=VALUE; see hushctl %s --help", command, command);
		return -EINVAL;
	}
	return 0;
}

int input_fill(struct input *input, const struct flags_list *variables)
{
	int r = 0;

	for (size_t i = 0; variables->n && i < input->n && r == 0; i++) {
		struct secbuf *text = &input->texts[i].text;
		SECBUF_AUTO filled = {0};
		struct fill fill = {.path = input->texts[i].path,
				    .variables = variables,
				    .at = (const char *)text->data,
				    .end = (const char *)text->data + text->size,
				    .line = 1};
		struct secbuf before = *text;

		r = fill_text(&fill, &filled);
		if (r == 0) {
			*text = filled;
			filled = before; /* to be wiped */
		}
	}
	return r;
}
