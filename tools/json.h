/* SPDX-License-Identifier: Apache-2.0
 * json: what was read as YAML, written as JSON with two blanks a level. Appends to a text in the arena; 0 or -ENOMEM.
 */
#ifndef TOOLS_JSON_H
#define TOOLS_JSON_H

#include "store/secmem.h"
#include "store/yaml.h"

#include <stddef.h>

/* json_string - with its quotes. @string is UTF-8. */
int json_string(const char *string, size_t size, struct secbuf *text);

/* json_entry - "key": and its value, @depth levels deep: that is where the lines after the first begin. */
int json_entry(const struct yaml_stream *stream, uint32_t key, unsigned depth, struct secbuf *text);

#endif
