/* SPDX-License-Identifier: Apache-2.0
 * unmounted: the command line of the commands that change a store's keys, and the opening of a store.
 */
#include "tools/unmounted.h"

#include "store/log.h"

#include <errno.h>
#include <unistd.h>

const struct store_options unmounted_keeps_all = {.value_bytes = STORE_VALUE_BYTES_MAX, .history = STORE_HISTORY_MAX};

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

/* Before anybody is asked for a passphrase. */
static int unmounted_is_there(const char *store)
{
	int r = access(store, F_OK) < 0 ? -errno : 0;

	if (r == -ENOENT)
		log_error("%s: there is no such store; make one with: hushctl init --key-file FILE %s", store, store);
	else if (r < 0)
		log_error("%s: cannot reach the store: %s", store, log_reason(-r));
	return r;
}

int unmounted_open(const struct unmounted *options, const struct store_options *how, struct key **ret_key, struct anchor **ret_anchor,
		   struct store **ret_store)
{
	struct store_options store_options = *how;
	struct key *key = NULL;
	int r = unmounted_is_there(options->store);

	if (r == 0)
		r = key_read(&options->key, &key);
	if (r == 0 && options->anchor)
		r = anchor_open(options->anchor, false, &store_options.anchor);
	if (r == 0 && options->anchor) {
		anchor_say_place(options->anchor, options->store);
		anchor_suggest_key(store_options.anchor, &options->key, key->kind);
	}
	if (r == 0)
		r = store_open(options->store, key, &store_options, ret_store);
	if (r < 0) {
		anchor_close(store_options.anchor);
		key_free(key);
		return r;
	}
	*ret_anchor = store_options.anchor;
	*ret_key = key;
	return 0;
}
