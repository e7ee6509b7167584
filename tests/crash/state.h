/* SPDX-License-Identifier: Apache-2.0
 * state: all that an open store holds, as text: names, values, modes, owners, ACLs. Not times and generations.
 */
#ifndef TESTS_STATE_H
#define TESTS_STATE_H

#include "store/store.h"

#define STATE_RESOURCES_MAX 24
#define STATE_LINE_BYTES 512
#define STATE_BYTES (STATE_RESOURCES_MAX * STATE_LINE_BYTES)

/* state_take - a line a resource, sorted. */
void state_take(struct store *store, char ret_text[static STATE_BYTES]);

/* state_must_be - end the program, after saying what there is, unless it is @expected. */
void state_must_be(struct store *store, const char *expected);

#endif
