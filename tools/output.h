/* SPDX-License-Identifier: Apache-2.0
 * output: resources as people and programs read them: tables, YAML, JSON, in the Universal and the Kubernetes form.
 *
 * Values are written only where a secbuf with one is handed in.
 */
#ifndef TOOLS_OUTPUT_H
#define TOOLS_OUTPUT_H

#include "store/secmem.h"
#include "tools/target.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct output_form {
	bool json;             /* else YAML */
	bool kubernetes;       /* else Universal */
	bool times;            /* with creationTime and modificationTime, as `get` has them; documents to be applied do without */
	const char *namespace; /* Kubernetes; NULL: BUNDLE_NAMESPACE */
};

/* output_document - append one resource. @value: its bytes, or NULL to write "***" in their place (of a Mesh: nothing but its name).
 * -ENOMEM, which it does not say; -EINVAL for a Mesh whose document can't be read. */
int output_document(const struct output_form *form, const struct target_entry *entry, const struct secbuf *value,
		    struct secbuf *text);

/* output_list_begin, output_list_end - around several documents: {"total": N, "items": […], "next": null} or kind: List.
 * output_document_in_list - one of them. */
int output_list_begin(const struct output_form *form, size_t total, struct secbuf *text);
int output_document_in_list(const struct output_form *form, size_t number, const struct target_entry *entry,
			    const struct secbuf *value, struct secbuf *text);
int output_list_end(const struct output_form *form, size_t total, struct secbuf *text);

/* output_write - the text to @out; all of it is on its way when this returns. -errno, said. */
int output_write(const struct secbuf *text, FILE *out);

/* output_failed - say that standard output has this @error; of EPIPE nothing, as whoever reads has had enough. Returns -error. */
int output_failed(int error);

/* output_progress - "what: done of total", rewritten in place; nothing unless stderr is a terminal. output_progress_end - clear it. */
void output_progress(const char *what, uint64_t done, uint64_t total);
void output_progress_end(void);

#endif
