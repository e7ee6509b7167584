/* SPDX-License-Identifier: Apache-2.0
 * load: read a whole store into an index, believing nothing that the manifest does not vouch for.
 */
#ifndef STORE_LOAD_H
#define STORE_LOAD_H

#include "store/internal.h"

/* Called for each value row, sealed as it is, when its resource's record (if it has one: @resource->exists) is known. Nothing may be changed
 * from here. Returns 0, or -errno to stop. */
typedef int load_visit(void *context, const struct resource *resource, uint64_t generation, const uint8_t *data,
		       size_t size);

/* load_index - fill @index (empty; the caller ends it with index_deinit, also after a failure) from one snapshot of the file of
 * @store, whose engine and keys are open. @visit may be NULL.
 * -EBADMSG if a row was changed, added, removed, moved or replayed without the key (logged); -ENOMEM. */
int load_index(const struct store *store, load_visit *visit, void *context, struct index *index,
	       struct seal_manifest *ret_manifest);

/* load_all - the same for the index and the manifest of @store itself; no other thread runs yet. */
int load_all(struct store *store);

#endif
