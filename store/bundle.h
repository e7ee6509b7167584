/* SPDX-License-Identifier: Apache-2.0
 * bundle: resource documents as people write them, and the resources that they are.
 *
 * Universal and Kubernetes form, also mixed, in lists and as JSON; see Kuma's documentation of Secrets. The whole text is read
 * before anything is done with it. Errors name document, line and field, and never a value.
 */
#ifndef STORE_BUNDLE_H
#define STORE_BUNDLE_H

#include "store/name.h"
#include "store/secmem.h"
#include "store/store.h"

#include <stdbool.h>
#include <stddef.h>

#define BUNDLE_LINE_BYTES 800

/* Words of the Kubernetes form. */
#define BUNDLE_MESH_LABEL "kuma.io/mesh"
#define BUNDLE_TYPE_SECRET "system.kuma.io/secret"
#define BUNDLE_TYPE_GLOBAL "system.kuma.io/global-secret"
#define BUNDLE_NAMESPACE "kong-mesh-system" /* of the control plane */
#define BUNDLE_NAMESPACE_KUMA "kuma-system"

struct bundle_item {
	struct name name;
	struct secbuf value;        /* decoded bytes; of a Mesh its document in the Universal form */
	unsigned document;          /* from 1 */
	unsigned line;              /* where its document, or its part of a list, begins */
	bool kubernetes;            /* the form it came in */
	bool in_list;               /* it was a part of a list: its document is not that of it alone */
	size_t source;              /* for whoever reads several texts: which; 0 */
	enum store_outcome outcome; /* once it is applied */
};

/* A zeroed struct is an empty bundle. */
struct bundle {
	struct bundle_item *items; /* owned array, in the order of the documents */
	size_t n, capacity;
	size_t skipped; /* resources of others */
};

struct bundle_options {
	const char *namespace; /* of the control plane; NULL: either of those above. None in a document is always right */
	bool skip_others;      /* resources of other types, and Kubernetes Secrets in other namespaces, are skipped and counted; else an error */
	size_t value_bytes;    /* longest value */
};

struct bundle_error {
	unsigned document, line; /* 0: it is about the whole */
	size_t source;           /* of the item that it is about */
	char text[400];          /* what is wrong, without where */
};

/* bundle_parse - append the resources of @text. -EINVAL with *@ret_error; -ENOMEM. On failure @bundle is as it was. */
int bundle_parse(const void *text, size_t size, const struct bundle_options *options, struct bundle *bundle,
		 struct bundle_error *ret_error);

/* bundle_deinit - wipe and free. */
void bundle_deinit(struct bundle *bundle);

/* bundle_write - append the document of @item, in the form that it came in, as bundle_parse reads it. -ENOMEM. */
int bundle_write(const struct bundle_item *item, struct secbuf *text);

/* bundle_line - what kumactl says of a resource that was applied: resource type="Secret" mesh="default" name="x" Created */
void bundle_line(const struct name *name, enum store_outcome outcome, char ret_line[static BUNDLE_LINE_BYTES]);

/* bundle_error_line - "document 3, line 14: data: cannot be empty". */
void bundle_error_line(const struct bundle_error *error, char ret_line[static BUNDLE_LINE_BYTES]);

#define BUNDLE_AUTO __attribute__((cleanup(bundle_deinit))) struct bundle

#endif
