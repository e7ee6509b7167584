/* SPDX-License-Identifier: Apache-2.0
 * emit: where commas, blanks and line breaks go. A list's items stand below its key without more blanks in YAML, as
 * kumactl writes them, and two levels deeper in JSON.
 */
#include "tools/emit.h"

#include "store/base64.h"
#include "tools/json.h"

#include <string.h>

#define EMIT_LIST_DEPTH 3 /* in JSON: of the keys of an item of the list in a listing */

static void emit_bytes(struct emit *emit, const void *bytes, size_t size)
{
	if (emit->result == 0)
		emit->result = secbuf_write(emit->text, emit->text->size, bytes, size);
}

static void emit_text(struct emit *emit, const char *text)
{
	emit_bytes(emit, text, strlen(text));
}

static void emit_indent(struct emit *emit, unsigned depth)
{
	for (unsigned i = 0; i < depth; i++)
		emit_text(emit, "  ");
}

void emit_begin(struct emit *emit, bool json, struct secbuf *text)
{
	*emit = (struct emit){.text = text, .json = json, .depth = json ? 1 : 0, .fresh = true};
	emit_text(emit, json ? "{" : "");
}

void emit_begin_item(struct emit *emit, bool json, size_t number, struct secbuf *text)
{
	*emit = (struct emit){
		.text = text, .json = json, .in_list = true, .depth = json ? EMIT_LIST_DEPTH : 1, .fresh = true};
	emit_text(emit, !json ? "- " : number ? ",\n    {" : "\n    {");
}

/* What stands before a value. */
static void emit_key(struct emit *emit, const char *key)
{
	if (emit->json) {
		emit_text(emit, emit->fresh ? "\n" : ",\n");
		emit_indent(emit, emit->depth);
		emit_text(emit, "\"");
	} else if (!emit->fresh || !emit->in_list) { /* else it stands behind the dash */
		emit_indent(emit, emit->depth);
	}
	emit_text(emit, key);
	emit_text(emit, emit->json ? "\": " : ":");
	emit->fresh = false;
}

static void emit_close(struct emit *emit)
{
	emit->depth--;
	emit->fresh = false;
	if (emit->json) {
		emit_text(emit, "\n");
		emit_indent(emit, emit->depth);
		emit_text(emit, "}");
	}
}

int emit_end(struct emit *emit)
{
	if (emit->json)
		emit_close(emit);
	if (emit->json && !emit->in_list)
		emit_text(emit, "\n");
	return emit->result;
}

void emit_map_begin(struct emit *emit, const char *key)
{
	emit_key(emit, key);
	emit_text(emit, emit->json ? "{" : "\n");
	emit->depth++;
	emit->fresh = emit->json;
}

void emit_map_end(struct emit *emit)
{
	emit_close(emit);
}

static void emit_scalar(struct emit *emit, const char *string, size_t size)
{
	emit_text(emit, emit->json ? "" : " ");
	if (emit->result == 0)
		emit->result = emit->json ? json_string(string, size, emit->text)
					  : yaml_write_string(string, size, emit->text);
	emit_text(emit, emit->json ? "" : "\n");
}

void emit_string(struct emit *emit, const char *key, const char *string)
{
	emit_key(emit, key);
	emit_scalar(emit, string, strlen(string));
}

void emit_time(struct emit *emit, const char *key, const struct timespec *time)
{
	struct tm tm = {0};
	char text[64];

	gmtime_r(&time->tv_sec, &tm);
	strftime(text, sizeof(text), "\"%Y-%m-%dT%H:%M:%SZ\"", &tm);
	emit_key(emit, key);
	emit_text(emit, emit->json ? "" : " ");
	emit_text(emit, text); /* with quotes in YAML too: without, it would be a time and no string */
	emit_text(emit, emit->json ? "" : "\n");
}

void emit_base64(struct emit *emit, const char *key, const struct secbuf *bytes)
{
	SECBUF_AUTO text = {0};

	emit_key(emit, key);
	if (emit->result == 0)
		emit->result = base64_encode(bytes->data, bytes->size, &text);
	emit_scalar(emit, text.data ? (const char *)text.data : "", text.size);
}

void emit_entry(struct emit *emit, const struct yaml_stream *stream, uint32_t key)
{
	if (emit->result < 0)
		return;
	if (!emit->json) {
		emit->result = yaml_write_entry(stream, key, 2 * emit->depth, emit->text);
		emit->fresh = false;
		return;
	}
	emit_text(emit, emit->fresh ? "\n" : ",\n");
	emit_indent(emit, emit->depth);
	emit->fresh = false;
	if (emit->result == 0)
		emit->result = json_entry(stream, key, emit->depth, emit->text);
}
