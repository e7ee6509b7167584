/* SPDX-License-Identifier: Apache-2.0
 * arena: hushctl's locked memory. Nothing of a secret is ever in memory that could be swapped out: what can't be locked
 * is not used.
 */
#ifndef TOOLS_ARENA_H
#define TOOLS_ARENA_H

/* arena_init - set up the primitives and the arena, as large as may be locked, unless that is done. -EIO, -ENOMEM, -EPERM (nothing may be
 * locked): said. */
int arena_init(void);

/* arena_full - say that @what does not fit into it, and what to do. Returns -ENOMEM. */
int arena_full(const char *what);

#endif
