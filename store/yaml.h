/* SPDX-License-Identifier: Apache-2.0
 * yaml: a stream of YAML documents (JSON is YAML) as trees, with bounds on everything a document could grow.
 *
 * What Kuma's documents do not need and others could do harm with is refused: anchors and aliases, tags, keys that are
 * no scalars or stand twice in one mapping, UTF-16, NUL, depth beyond YAML_DEPTH_MAX. One document is in memory at a
 * time. All of it, libyaml's own buffers too (yaml_memory.c), is in the arena (secmem.h), so it is wiped when it is
 * freed. 1 MiB of anything is read or refused within 8 MiB besides the text itself, and three times the time of 1 MiB
 * of ordinary documents (some 50 ms). Nothing here blocks; one thread at a time may use a stream. Errors name the line
 * and never a value.
 *
 * libyaml's own names begin with yaml_ too: those here are taken by none of its functions.
 */
#ifndef STORE_YAML_H
#define STORE_YAML_H

#include "store/secmem.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define YAML_DEPTH_MAX 32      /* of sequences and mappings in each other */
#define YAML_DEPTH_CHEAP 8     /* what is deeper costs libyaml more and more: of that there may be */
#define YAML_DEEP_MAX 65536    /* so many nodes in the whole text, or one for each 16 bytes of it */
#define YAML_NODES_MAX 262144  /* in one document */
#define YAML_KEY_BYTES_MAX 512 /* of a mapping's key */
#define YAML_NONE 0            /* no such node */

enum yaml_kind {
	YAML_SCALAR = 1,
	YAML_SEQUENCE,
	YAML_MAPPING,
};

struct yaml_error {
	unsigned document; /* from 1 */
	unsigned line;     /* from 1, in the whole text */
	char text[200];    /* what is wrong, without where */
};

struct yaml_stream;

/* yaml_stream_new - begin reading @text, which is borrowed until yaml_stream_free. -ENOMEM. */
int yaml_stream_new(const void *text, size_t size, struct yaml_stream **ret_stream);

/* yaml_stream_free - NULL is allowed. Returns NULL. */
struct yaml_stream *yaml_stream_free(struct yaml_stream *stream);
void yaml_stream_freep(struct yaml_stream **stream);

/* yaml_stream_next - read the next document that is not empty; the one before is gone. 1; 0 at the end; -EINVAL with
 * *@ret_error; -ENOMEM (the arena is full). After an error nothing more can be read. */
int yaml_stream_next(struct yaml_stream *stream, struct yaml_error *ret_error);

/* yaml_number - of the document that was read last, from 1; empty ones count. */
unsigned yaml_number(const struct yaml_stream *stream);

/* The tree. A node is a number, valid until the next document is read. YAML_NONE is no kind (0) and has line 0 and
 * nothing below or after it. */
uint32_t yaml_root(const struct yaml_stream *stream);
enum yaml_kind yaml_kind(const struct yaml_stream *stream, uint32_t node);
unsigned yaml_line(const struct yaml_stream *stream, uint32_t node);

/* yaml_first - a sequence's first item, a mapping's first key. yaml_after - the next item; from a key its value, from
 * that the next key. YAML_NONE at the end. */
uint32_t yaml_first(const struct yaml_stream *stream, uint32_t node);
uint32_t yaml_after(const struct yaml_stream *stream, uint32_t node);

/* yaml_find - the value of @key in a mapping; YAML_NONE if there is none or @node is no mapping. */
uint32_t yaml_find(const struct yaml_stream *stream, uint32_t node, const char *key);

/* yaml_text - a scalar's text, UTF-8, with a NUL after it and none in it; "" for what is no scalar. @ret_size may be
 * NULL. */
const char *yaml_text(const struct yaml_stream *stream, uint32_t node, size_t *ret_size);

/* yaml_equals - is it a scalar with this text? */
bool yaml_equals(const struct yaml_stream *stream, uint32_t node, const char *text);

/* yaml_is_plain - a scalar without quotes, so that "12" or "true" is no string. yaml_is_null - YAML_NONE, or such a
 * scalar that is empty, ~ or null. */
bool yaml_is_plain(const struct yaml_stream *stream, uint32_t node);
bool yaml_is_null(const struct yaml_stream *stream, uint32_t node);

/* yaml_set_text - give a scalar this text (borrowed; a literal): it is another key from now on, and a string. */
void yaml_set_text(struct yaml_stream *stream, uint32_t node, const char *text);

/* Writing (yaml_write.c): appends to @text. 0 or -ENOMEM. */

/* yaml_write_node - a node in block style, each line with @indent blanks in front, strings quoted where they need it. A
 * mapping or sequence begins on a line of its own and ends with a newline; a scalar is written without either: the
 * caller ends its line. Read again it is equal. */
int yaml_write_node(const struct yaml_stream *stream, uint32_t node, unsigned indent, struct secbuf *text);

/* yaml_write_entry - "key: value\n" or "key:\n" and what it has below, at @indent, from a key node and its value. */
int yaml_write_entry(const struct yaml_stream *stream, uint32_t key, unsigned indent, struct secbuf *text);

/* yaml_write_string - a string (UTF-8) as a scalar in one line, quoted if it would otherwise be something else. */
int yaml_write_string(const char *string, size_t size, struct secbuf *text);

#endif
