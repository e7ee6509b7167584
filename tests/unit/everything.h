/* SPDX-License-Identifier: Apache-2.0
 * everything: a store with some of all that a store can hold, and comparing two stores to the last byte.
 */
#ifndef TESTS_EVERYTHING_H
#define TESTS_EVERYTHING_H

#include "store/internal.h"
#include "tests/unit/fixture.h"

/* everything_make - the fixture's store: two meshes, secrets of all sizes with older versions, attributes, ACLs, a secret that was removed
 * while it was open and one that was made again. Some 900 rows. */
void everything_make(const struct fixture *fixture);

/* everything_load - open @path, without changing it; NULL if @key does not open it. */
struct store *everything_load(const char *path, const struct key *key);

/* everything_same - have both the same resources, with the same attributes, times, generations and versions? Says what differs. What
 * nobody needs any more counts for nothing. */
bool everything_same(struct store *a, struct store *b);

/* everything_opens - how many rows of @store open under the keys of @other? The header counts for its MAC. */
size_t everything_opens(struct store *store, const struct store *other);

#endif
