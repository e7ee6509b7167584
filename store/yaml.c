/* SPDX-License-Identifier: Apache-2.0
 * yaml: libyaml's events, checked one by one and put into the tree. The only file that knows libyaml.
 *
 * libyaml takes anything that the standard allows, and some of it costs far more than its size: nesting without end,
 * aliases of aliases, thousands of %TAG lines that it compares with each other. So each event is checked before the
 * next one is asked for, and the %TAG lines are counted beforehand. What libyaml says of a fault is static text and has
 * nothing of the document in it; where people would not understand it, it is put in other words. No message here may
 * have any of the document's text.
 */
#include "store/yaml_internal.h"

#include "store/crypto.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <yaml.h>

#define TAG_LINES_MAX 16

/* A sequence or mapping whose end has not come yet. */
struct open_node {
	uint32_t node;
	uint32_t last;    /* its newest item, key or value */
	bool key_is_next; /* in a mapping */
};

struct builder {
	struct yaml_stream *stream;
	struct open_node open[YAML_DEPTH_MAX];
	unsigned depth;
};

/* What libyaml says, and what is said instead. */
static const struct {
	const char *problem, *words;
	bool at_context; /* the line where it began says more than the one where it was noticed */
} wordings[] = {
	{"could not find expected ':'", "a key without \":\" after it", true},
	{"did not find expected key", "a key was expected: is the indentation right?", false},
	{"did not find expected '-' indicator", "\"- \" was expected: is the indentation right?", false},
	{"mapping values are not allowed in this context",
	 "\": \" can't stand here: is the indentation right, is a text with \": \" in quotes?", false},
	{"block sequence entries are not allowed in this context", "\"- \" can't stand here: is the indentation right?",
	 false},
	{"block mapping entries are not allowed in this context", "a key can't stand here: is the indentation right?",
	 false},
	{"mapping keys are not allowed in this context", "\"? \" can't stand here: is the indentation right?", false},
	{"found unexpected end of stream", "a quote that is not closed", true},
	{"found unexpected document indicator", "a quote that is not closed", true},
	{"did not find expected ',' or ']'", "\"]\" or a comma is missing", true},
	{"did not find expected ',' or '}'", "\"}\" or a comma is missing", true},
	{"did not find expected node content", "something is missing: a bracket that is not closed, or a value", false},
	{"did not find expected <document start>",
	 "this does not belong to the document before: is \"---\" missing, is the indentation right?", false},
	{"found a tab character that violates indentation", "a tab where only blanks can indent", false},
	{"found a tab character where an indentation space is expected", "a tab where only blanks can indent", false},
	{"did not find expected alphabetic or numeric character",
	 "a text that begins with \"*\" or \"&\" must be in quotes (aliases and anchors are not allowed)", false},
	{"found undefined tag handle", "tags (\"!\") are not allowed", false},
	{"found unknown escape character", "an unknown escape (\"\\\") in double quotes", false},
	{"did not find expected hexdecimal number", "an escape (\"\\\") without its hexadecimal digits", false},
	{"found invalid Unicode character escape code", "an escape (\"\\\") that is no character", false},
	{"found unknown directive name", "an unknown directive (\"%\")", false},
	{"found duplicate %YAML directive", "%YAML stands twice", false},
	{"found incompatible YAML document", "a version of YAML that is not 1.1 or 1.2", false},
	{"invalid leading UTF-8 octet", "invalid UTF-8", false},
	{"invalid trailing UTF-8 octet", "invalid UTF-8", false},
	{"incomplete UTF-8 octet sequence", "invalid UTF-8", false},
	{"invalid length of a UTF-8 sequence", "invalid UTF-8", false},
	{"invalid Unicode character", "invalid UTF-8", false},
	{"control characters are not allowed", "a control character", false},
};

static int refuse(struct yaml_stream *stream, size_t line, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Keep an error, as of document stream->number. Nothing can be read after it. */
static int refuse(struct yaml_stream *stream, size_t line, const char *format, ...)
{
	va_list arguments;

	stream->error.document = stream->number ? stream->number : 1;
	stream->error.line = line < UINT32_MAX ? (unsigned)line : UINT32_MAX; /* GCOVR_EXCL_BR_LINE: takes 4 GiB */
	va_start(arguments, format);
	vsnprintf(stream->error.text, sizeof(stream->error.text), format, arguments);
	va_end(arguments);
	return -EINVAL;
}

static size_t line_of(yaml_mark_t mark)
{
	return mark.line + 1;
}

/* The line that the byte at @end is in; *@documents goes up for each line that begins a document, after line @after. */
static size_t line_at(const struct yaml_stream *stream, size_t end, size_t after, unsigned *documents)
{
	const char *text = (const char *)stream->text, *newline;
	size_t line = 1;

	for (size_t at = 0; (newline = memchr(text + at, '\n', end - at)); at = (size_t)(newline - text) + 1) {
		line++;
		if (line > after && end - (size_t)(newline - text) >= 4 && memcmp(newline, "\n---", 4) == 0)
			++*documents;
	}
	return line;
}

/* A fault that libyaml found before it knew what it reads: it decodes ahead of the documents. */
static int refuse_bytes(struct yaml_stream *stream, const char *words)
{
	const yaml_parser_t *parser = stream->parser;
	size_t bad = parser->problem_offset < stream->size ? parser->problem_offset : stream->size;
	size_t line;

	if (stream->number == 0)
		stream->number = 1;
	line = line_at(stream, bad, line_of(parser->mark), &stream->number);
	return refuse(stream, line, "%s", words);
}

static int refuse_problem(struct yaml_stream *stream)
{
	const yaml_parser_t *parser = stream->parser;
	const char *words = parser->problem ? parser->problem : "no YAML";
	yaml_mark_t mark = parser->problem_mark;

	if (parser->error == YAML_MEMORY_ERROR)
		return -ENOMEM;
	for (size_t i = 0; i < sizeof(wordings) / sizeof(wordings[0]); i++) {
		if (strcmp(words, wordings[i].problem) == 0) {
			words = wordings[i].words;
			if (wordings[i].at_context)
				mark = parser->context_mark;
			break;
		}
	}
	if (parser->encoding == YAML_UTF16LE_ENCODING || parser->encoding == YAML_UTF16BE_ENCODING)
		return refuse(stream, 1, "UTF-16: it must be UTF-8");
	if (parser->error == YAML_READER_ERROR)
		return refuse_bytes(stream, parser->problem_value == 0 ? "a NUL byte: is it UTF-8 text?" : words);
	if (strcmp(words, "found character that cannot start any token") == 0)
		words = *parser->buffer.pointer == '\t' ? "a tab where only blanks can indent"
							: "a text that begins with this character must be in quotes";
	return refuse(stream, line_of(mark), "%s", words);
}

/* Anchors and tags. */
static int check_properties(struct yaml_stream *stream, const yaml_event_t *event)
{
	const yaml_char_t *anchor, *tag;

	if (event->type == YAML_SCALAR_EVENT)
		anchor = event->data.scalar.anchor, tag = event->data.scalar.tag;
	else if (event->type == YAML_SEQUENCE_START_EVENT)
		anchor = event->data.sequence_start.anchor, tag = event->data.sequence_start.tag;
	else
		anchor = event->data.mapping_start.anchor, tag = event->data.mapping_start.tag;
	if (anchor)
		return refuse(stream, line_of(event->start_mark), "anchors (\"&\") are not allowed");
	if (tag)
		return refuse(stream, line_of(event->start_mark), "tags (\"!\") are not allowed");
	return 0;
}

/* Put a new node in its place: the root, or the newest of what is open. */
static int link_node(struct builder *builder, const yaml_event_t *event, uint32_t node)
{
	struct yaml_tree *tree = &builder->stream->tree;
	struct open_node *parent = builder->depth ? &builder->open[builder->depth - 1] : NULL;

	if (!parent) {
		tree->root = node;
		return 0;
	}
	if (yaml_tree_at(tree, parent->node)->kind == YAML_MAPPING) {
		if (parent->key_is_next && event->type != YAML_SCALAR_EVENT)
			return refuse(builder->stream, line_of(event->start_mark), "a key must be a text");
		if (parent->key_is_next && event->data.scalar.length > YAML_KEY_BYTES_MAX)
			return refuse(builder->stream, line_of(event->start_mark), "a key of more than %d bytes",
				      YAML_KEY_BYTES_MAX);
		parent->key_is_next = !parent->key_is_next;
	}
	if (parent->last)
		yaml_tree_at(tree, parent->last)->next = node;
	else
		yaml_tree_at(tree, parent->node)->first = node;
	parent->last = node;
	return 0;
}

/* libyaml looks at all open brackets with each token. */
static int check_deep(struct builder *builder, const yaml_event_t *event)
{
	struct yaml_stream *stream = builder->stream;
	size_t most = stream->size / 16 > YAML_DEEP_MAX ? stream->size / 16 : YAML_DEEP_MAX;

	if (builder->depth <= YAML_DEPTH_CHEAP || ++stream->deep <= most)
		return 0;
	return refuse(stream, line_of(event->start_mark), "more than %zu nodes more than %d deep", most,
		      YAML_DEPTH_CHEAP);
}

static int add_node(struct builder *builder, const yaml_event_t *event, enum yaml_kind kind, uint32_t *ret_node)
{
	int r = check_properties(builder->stream, event);

	if (r == 0)
		r = check_deep(builder, event);
	if (r < 0)
		return r;
	r = yaml_tree_add(&builder->stream->tree, kind, line_of(event->start_mark), ret_node);
	if (r == -E2BIG)
		return refuse(builder->stream, line_of(event->start_mark), "more than %d nodes in one document: give it in several",
			      YAML_NODES_MAX);
	return r < 0 ? r : link_node(builder, event, *ret_node);
}

static int on_scalar(struct builder *builder, const yaml_event_t *event)
{
	const char *text = (const char *)event->data.scalar.value;
	uint32_t node;
	int r;

	r = add_node(builder, event, YAML_SCALAR, &node);
	if (r < 0)
		return r;
	if (memchr(text, 0, event->data.scalar.length))
		return refuse(builder->stream, line_of(event->start_mark), "a NUL character (\"\\0\") is not allowed");
	yaml_tree_at(&builder->stream->tree, node)->plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
	return yaml_tree_set_text(&builder->stream->tree, node, text, event->data.scalar.length);
}

static int on_start(struct builder *builder, const yaml_event_t *event, enum yaml_kind kind)
{
	uint32_t node;
	int r = add_node(builder, event, kind, &node);

	if (r < 0)
		return r;
	if (builder->depth == YAML_DEPTH_MAX)
		return refuse(builder->stream, line_of(event->start_mark), "nested more than %d deep", YAML_DEPTH_MAX);
	builder->open[builder->depth++] = (struct open_node){.node = node, .key_is_next = kind == YAML_MAPPING};
	return 0;
}

static int on_end(struct builder *builder)
{
	struct yaml_stream *stream = builder->stream;
	uint32_t node = builder->open[--builder->depth].node, first, second;
	int r;

	if (yaml_kind(stream, node) != YAML_MAPPING)
		return 0;
	r = yaml_tree_find_duplicate(&stream->tree, node, &first, &second);
	if (r <= 0)
		return r;
	return refuse(stream, yaml_line(stream, second), "this key stands twice: already in line %u",
		      yaml_line(stream, first));
}

static int on_document(struct yaml_stream *stream, const yaml_event_t *event)
{
	stream->number++;
	if (event->data.document_start.tag_directives.start != event->data.document_start.tag_directives.end)
		return refuse(stream, line_of(event->start_mark), "%%TAG is not allowed");
	return 0;
}

/* 1 when a document or the stream has ended. */
static int on_event(struct builder *builder, const yaml_event_t *event)
{
	struct yaml_stream *stream = builder->stream;

	switch (event->type) {
	case YAML_STREAM_START_EVENT:
		if (event->data.stream_start.encoding != YAML_UTF8_ENCODING)
			return refuse(stream, 1, "UTF-16: it must be UTF-8");
		return 0;
	case YAML_DOCUMENT_START_EVENT:
		return on_document(stream, event);
	case YAML_SCALAR_EVENT:
		return on_scalar(builder, event);
	case YAML_SEQUENCE_START_EVENT:
		return on_start(builder, event, YAML_SEQUENCE);
	case YAML_MAPPING_START_EVENT:
		return on_start(builder, event, YAML_MAPPING);
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT:
		return on_end(builder);
	case YAML_ALIAS_EVENT:
		return refuse(stream, line_of(event->start_mark),
			      "aliases are not allowed; a text that begins with \"*\" must be in quotes");
	case YAML_STREAM_END_EVENT:
		stream->end = 0;
		return 1;
	default: /* YAML_DOCUMENT_END_EVENT */
		return 1;
	}
}

/* The next document, also an empty one. stream->end is 0 if there was none. */
static int read_document(struct yaml_stream *stream)
{
	struct builder builder; /* not zeroed as a whole: an empty document takes no longer than that */
	int r = 0;

	builder.stream = stream;
	builder.depth = 0;
	yaml_tree_reset(&stream->tree);
	while (r == 0) {
		yaml_event_t event;

		if (!yaml_parser_parse(stream->parser, &event))
			return refuse_problem(stream);
		r = on_event(&builder, &event);
		yaml_event_delete(&event);
	}
	return r < 0 ? r : 0;
}

/* libyaml compares each %TAG with all before, and says nothing until it has them all. */
static int check_directives(struct yaml_stream *stream)
{
	const uint8_t *text = stream->text, *end = text + stream->size, *at = text;
	unsigned lines = 0, documents = 1;
	size_t line;

	while ((at = memmem(at, (size_t)(end - at), "%TAG", 4))) {
		if (at == text || at[-1] < ' ' || at[-1] > '~') /* after a line break or a BOM */
			lines++;
		if (lines > TAG_LINES_MAX) {
			line = line_at(stream, (size_t)(at - text), 1, &documents);
			stream->number = documents;
			return refuse(stream, line, "more than %d lines that begin with %%TAG", TAG_LINES_MAX);
		}
		at += 4;
	}
	return 0;
}

static bool is_empty(const struct yaml_stream *stream)
{
	return yaml_is_plain(stream, stream->tree.root) && yaml_equals(stream, stream->tree.root, "");
}

int yaml_stream_next(struct yaml_stream *stream, struct yaml_error *ret_error)
{
	int r = 0;

	yaml_memory_use(&stream->memory);
	if (stream->end == 1 && stream->number == 0)
		r = check_directives(stream);
	while (r == 0 && stream->end == 1) {
		r = read_document(stream);
		if (r == 0 && stream->end == 1 && !is_empty(stream))
			r = 1;
	}
	yaml_memory_use(NULL);
	if (r == 1)
		return 1;
	if (r < 0)
		stream->end = r;
	yaml_tree_reset(&stream->tree);
	if (stream->end == -EINVAL)
		*ret_error = stream->error;
	return stream->end;
}

unsigned yaml_number(const struct yaml_stream *stream)
{
	return stream->number;
}

int yaml_stream_new(const void *text, size_t size, struct yaml_stream **ret_stream)
{
	struct yaml_stream *stream = secmem_alloc(sizeof(*stream));

	if (!stream)
		return -ENOMEM;
	stream->parser = secmem_alloc(sizeof(*stream->parser));
	yaml_memory_use(&stream->memory);
	if (!stream->parser || !yaml_parser_initialize(stream->parser)) {
		yaml_stream_free(stream);
		return -ENOMEM;
	}
	yaml_memory_use(NULL);
	stream->text = size ? text : (const void *)"";
	stream->size = size;
	stream->end = 1;
	crypto_random(&stream->tree.hash_point, sizeof(stream->tree.hash_point));
	stream->tree.hash_point >>= 3; /* 61 bits */
	yaml_parser_set_input_string(stream->parser, stream->text, size);
	*ret_stream = stream;
	return 0;
}

struct yaml_stream *yaml_stream_free(struct yaml_stream *stream)
{
	if (!stream)
		return NULL;
	yaml_memory_use(&stream->memory);
	if (stream->parser)
		yaml_parser_delete(stream->parser);
	yaml_memory_use(NULL);
	yaml_memory_deinit(&stream->memory);
	yaml_tree_deinit(&stream->tree);
	secmem_free(stream->parser);
	return secmem_free(stream);
}

void yaml_stream_freep(struct yaml_stream **stream)
{
	*stream = yaml_stream_free(*stream);
}
