/* SPDX-License-Identifier: Apache-2.0
 * state: a walk over the folders.
 */
#include "tests/crash/state.h"

#include "tests/unit/fixture.h"

#include <inttypes.h>
#include <string.h>

/* A resource a line, by name: their numbers are others after a rekey. */
struct state {
	char lines[STATE_RESOURCES_MAX][STATE_LINE_BYTES];
	size_t n;
};

static void state_add_resource(struct store *store, const struct store_info *info, struct state *state)
{
	const struct record *record = &info->record;
	uint64_t generation, acls = 0;
	SECBUF_AUTO value = {0};
	int n;

	fixture_must(store_pin(store, info->node, &generation) == 0);
	fixture_must(store_read(store, info->node, generation, &value) == 0);
	store_unpin(store, info->node, generation);
	for (size_t i = 0; i < sizeof(record->acls.bytes); i++)
		acls = acls * 31 + record->acls.bytes[i];
	fixture_must(state->n < STATE_RESOURCES_MAX);
	n = snprintf(state->lines[state->n++], STATE_LINE_BYTES, "%d %s/%s %o %u %" PRIx64 " %.*s\n", record->name.kind,
		     record->name.mesh, record->name.name, record->inodes[0].mode, record->inodes[0].uid, acls,
		     (int)value.size, (const char *)value.data);
	fixture_must(n > 0 && n < STATE_LINE_BYTES);
}

static int state_compare(const void *a, const void *b)
{
	return strcmp(a, b);
}

static void state_add_folder(struct store *store, enum name_kind kind, uint64_t mesh, struct state *state)
{
	struct store_info info;

	for (uint64_t after = 0; store_next(store, kind, mesh, after, &info) == 0; after = info.node) {
		state_add_resource(store, &info, state);
		if (kind == NAME_MESH)
			state_add_folder(store, NAME_SECRET, info.node, state);
	}
}

void state_take(struct store *store, char ret_text[static STATE_BYTES])
{
	static struct state state;

	state.n = 0;
	state_add_folder(store, NAME_MESH, 0, &state);
	state_add_folder(store, NAME_GLOBAL_SECRET, 0, &state);
	qsort(state.lines, state.n, STATE_LINE_BYTES, state_compare);
	ret_text[0] = '\0';
	for (size_t i = 0; i < state.n; i++)
		strcat(ret_text, state.lines[i]);
}

void state_must_be(struct store *store, const char *expected)
{
	static char state[STATE_BYTES];

	state_take(store, state);
	if (strcmp(state, expected) != 0)
		fprintf(stderr, "the store has\n%sinstead of\n%s", state, expected);
	fixture_must(strcmp(state, expected) == 0);
}
