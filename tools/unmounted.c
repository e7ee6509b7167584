/* SPDX-License-Identifier: Apache-2.0
 * unmounted: the command line of the commands that change a store's keys, and the opening of that store.
 */
#include "tools/unmounted.h"

#include "store/log.h"

#include <errno.h>

int unmounted_check(const char *command, const struct unmounted *options)
{
	const char *wrong = NULL;

	if (!options->store)
		wrong = "give --store FILE";
	else if (options->key.key_file && options->key.passphrase_file)
		wrong = "give --key-file or --passphrase-file, not both";
	else if (options->new_key.key_file && options->new_key.passphrase_file)
		wrong = "give --new-key-file or --new-passphrase-file, not both";
	if (!wrong)
		return 0;
	log_error("%s: %s; see hushctl %s --help", command, wrong, command);
	return -EINVAL;
}

bool unmounted_has_new(const struct unmounted *options)
{
	return options->new_key.key_file || options->new_key.passphrase_file;
}

int unmounted_open(const struct unmounted *options, struct key **ret_key, struct anchor **ret_anchor, struct store **ret_store)
{
	struct store_options store_options = {.value_bytes = STORE_VALUE_BYTES_MAX, .history = STORE_HISTORY_MAX};
	struct anchor *anchor = NULL;
	struct key *key = NULL;
	int r = key_read(&options->key, &key);

	if (r == 0 && options->anchor)
		r = anchor_open(options->anchor, false, &anchor);
	if (r == 0 && anchor) {
		anchor_say_place(options->anchor, options->store);
		anchor_suggest_key(anchor, &options->key, key->kind);
	}
	store_options.anchor = anchor;
	if (r == 0)
		r = store_open(options->store, key, &store_options, ret_store);
	if (r < 0) {
		anchor_close(anchor);
		key_free(key);
		return r;
	}
	*ret_anchor = anchor;
	*ret_key = key;
	return 0;
}
