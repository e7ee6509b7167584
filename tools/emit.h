/* SPDX-License-Identifier: Apache-2.0
 * emit: one document in YAML or JSON, key by key, so that what it says is written down once for both.
 *
 * All of it is in the arena. Functions remember the first failure, which emit_end gives.
 */
#ifndef TOOLS_EMIT_H
#define TOOLS_EMIT_H

#include "store/secmem.h"
#include "store/yaml.h"

#include <stdbool.h>
#include <stddef.h>
#include <time.h>

struct emit {
	struct secbuf *text; /* borrowed; it is appended to */
	bool json, in_list;
	unsigned depth; /* of what is open */
	bool fresh;	/* nothing is in it yet */
	int result;
};

/* emit_begin - a document of its own, or as item @number (from 0) of a list. emit_end - 0, -ENOMEM. */
void emit_begin(struct emit *emit, bool json, struct secbuf *text);
void emit_begin_item(struct emit *emit, bool json, size_t number, struct secbuf *text);
int emit_end(struct emit *emit);

void emit_map_begin(struct emit *emit, const char *key);
void emit_map_end(struct emit *emit);

void emit_string(struct emit *emit, const char *key, const char *string);

/* emit_time - RFC 3339, in UTC, to the second. */
void emit_time(struct emit *emit, const char *key, const struct timespec *time);

/* emit_base64 - a string, of these bytes. */
void emit_base64(struct emit *emit, const char *key, const struct secbuf *bytes);

/* emit_entry - a key of a YAML mapping and all that is below it, as it came. */
void emit_entry(struct emit *emit, const struct yaml_stream *stream, uint32_t key);

#endif
