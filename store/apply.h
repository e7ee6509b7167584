/* SPDX-License-Identifier: Apache-2.0
 * apply: a bundle as one transaction, and removing resources by name as one.
 */
#ifndef STORE_APPLY_H
#define STORE_APPLY_H

#include "store/bundle.h"
#include "store/store.h"

/* apply_run - commit all resources of @bundle, or none; what is new belongs to @uid and @gid. Takes the values. Fills in the outcomes.
 * Waits for the disk. 0; -errno with *@ret_error, whose document and line are those of the item that was refused (0: of none). */
int apply_run(struct store *store, struct bundle *bundle, uid_t uid, gid_t gid, struct bundle_error *ret_error);

/* apply_remove - remove all of @names, or none; a mesh goes with its secrets. Waits for the disk.
 * @ret_names: all that went, in the order in which folders are left (secrets before their mesh); the caller frees with free(). */
int apply_remove(struct store *store, const struct name *names, size_t n, struct name **ret_names, size_t *ret_n,
		 struct bundle_error *ret_error);

#endif
