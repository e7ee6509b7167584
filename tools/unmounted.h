/* SPDX-License-Identifier: Apache-2.0
 * unmounted: what the commands that change a store's keys take: a store that nobody has mounted, what opens it now, and what is to.
 */
#ifndef TOOLS_UNMOUNTED_H
#define TOOLS_UNMOUNTED_H

#include "store/anchor.h"
#include "store/key.h"
#include "store/store.h"
#include "tools/flags.h"

struct unmounted {
	const char *store;         /* --store */
	struct key_source key;     /* --key-file, --passphrase-file */
	struct key_source new_key; /* --new-key-file, --new-passphrase-file */
	const char *anchor;        /* --anchor; or NULL */
};

/* Rows of a table of flags. */
#define UNMOUNTED_FLAGS(u)                                                                                             \
	{.name = "store", .text = &(u).store}, {.name = "key-file", .text = &(u).key.key_file},                        \
		{.name = "passphrase-file", .text = &(u).key.passphrase_file},                                         \
		{.name = "new-key-file", .text = &(u).new_key.key_file}, {.name = "anchor", .text = &(u).anchor},      \
	{                                                                                                              \
		.name = "new-passphrase-file", .text = &(u).new_key.passphrase_file                                    \
	}

#define UNMOUNTED_USAGE                                                                                                \
	"  --store FILE             the store; unmount it first: a daemon that has it keeps it for itself\n"           \
	"  --key-file F, --passphrase-file F\n"                                                                        \
	"                           what opens it now (else a systemd credential, else it is asked for)\n"             \
	"  --anchor F               what it is mounted with as -o anchor: an older copy of the store is refused, and\n"    \
	"                           the anchor goes on knowing the newest\n"                                           \
	"  --new-key-file F         the new key is the 32 bytes of F; F is made if it is absent\n"                     \
	"  --new-passphrase-file F  the new passphrase is the first line of F\n"

/* unmounted_check - has the command line what it takes? 0 or -EINVAL after saying what is wrong. */
int unmounted_check(const char *command, const struct unmounted *options);

/* unmounted_has_new - was a new key named? */
bool unmounted_has_new(const struct unmounted *options);

extern const struct store_options unmounted_keeps_all; /* @how: no version is pruned */

/* unmounted_open - read the key, and open the store with its anchor as @how says, whose own anchor is NULL. Crypto and arena are set up. The caller
 * frees *@ret_key, closes *@ret_store, and after that *@ret_anchor, which is NULL if there is none. -errno, said. */
int unmounted_open(const struct unmounted *options, const struct store_options *how, struct key **ret_key, struct anchor **ret_anchor,
		   struct store **ret_store);

#endif
