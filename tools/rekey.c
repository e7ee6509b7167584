/* SPDX-License-Identifier: Apache-2.0
 * rekey: hushctl rekey seals a store again under a new root key.
 */
#include "store/log.h"
#include "tools/arena.h"
#include "tools/command.h"
#include "tools/output.h"
#include "tools/unmounted.h"

#include <errno.h>
#include <stdio.h>

/* clang-format off */
static const char rekey_usage[] =
	"usage: hushctl rekey --store FILE [FLAGS]\n"
	"Seals everything in the store FILE, which must not be mounted, again under a new root key: who kept an old\n"
	"key and an old copy of the store can read nothing of the new one. All versions stay. It is made beside the\n"
	"old one, as FILE.rekey, so the disk must have room for both; killed at any moment nothing is lost, and the\n"
	"next call goes on.\n"
	"\n"
	UNMOUNTED_USAGE
	"  --drop-other-keys        if further keys open it: they won't afterwards (add them again: hushctl key add)\n" FLAGS_USAGE
	"\n"
	"Without a new key, the one that opens it now goes on.\n";
/* clang-format on */

static void rekey_progress(void *context, uint64_t done, uint64_t total)
{
	(void)context;
	output_progress("rekey", done, total);
}

/* A slot's key is not known, only what it wraps: nothing can be wrapped for it anew. */
static int rekey_check_slots(const struct unmounted *where, struct store *store, bool drop_others)
{
	uint8_t kinds[STORE_KEY_SLOTS];
	unsigned current, others = 0;

	store_keys(store, kinds, &current);
	for (unsigned i = 0; i < STORE_KEY_SLOTS; i++)
		others += kinds[i] && i != current;
	if (!others || drop_others)
		return 0;
	log_error("%s: %u other key%s, which would not afterwards: give --drop-other-keys, and add them again",
		  where->store, others, others == 1 ? " opens it" : "s open it");
	return -EPERM;
}

static int rekey_run(const struct unmounted *where, bool drop_others)
{
	__attribute__((cleanup(key_freep))) struct key *key = NULL;
	__attribute__((cleanup(key_freep))) struct key *new_key = NULL;
	struct anchor *anchor;
	struct store *store;
	bool made;
	int r;

	r = unmounted_open(where, &unmounted_keeps_all, &key, &anchor, &store);
	if (r < 0)
		return r;
	r = rekey_check_slots(where, store, drop_others);
	store_close(store);
	/* a new key file that was made stays if this fails: the next call takes it and goes on */
	if (r == 0 && unmounted_has_new(where))
		r = key_read_new(&where->new_key, &new_key, &made);
	if (r == 0)
		r = store_rekey(where->store, key, new_key ? new_key : key, anchor, rekey_progress, NULL);
	output_progress_end();
	anchor_close(anchor);
	if (r == 0)
		printf("%s: everything is sealed under a new root key\n", where->store);
	return r;
}

int command_rekey(int argc, char **argv)
{
	struct unmounted where = {0};
	bool drop_others = false;
	const struct flag flags[] = {UNMOUNTED_FLAGS(where), {.name = "drop-other-keys", .is_set = &drop_others}, {0}};
	int n, r;

	r = flags_parse(argc, argv, rekey_usage, flags, &n);
	if (r != 0)
		return r < 0 ? COMMAND_USAGE : COMMAND_DONE;
	if ((n > 0 && flags_only(argv[0]) < 0) || unmounted_check("rekey", &where) < 0)
		return COMMAND_USAGE;
	r = arena_init();
	if (r >= 0)
		r = rekey_run(&where, drop_others);
	return r < 0 ? COMMAND_FAILED : COMMAND_DONE;
}
