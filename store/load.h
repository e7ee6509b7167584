/* SPDX-License-Identifier: Apache-2.0
 * load: read a whole store into the index, believing nothing that the manifest does not vouch for.
 */
#ifndef STORE_LOAD_H
#define STORE_LOAD_H

#include "store/internal.h"

/* load_all - fill the index and the manifest of @store, whose engine and keys are open; no other thread runs yet.
 * -EBADMSG if a row was changed, added, removed, moved or replayed without the key (logged); -ENOMEM. */
int load_all(struct store *store);

#endif
