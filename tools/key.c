/* SPDX-License-Identifier: Apache-2.0
 * key: hushctl key says and changes which keys open a store.
 */
#include "store/log.h"
#include "tools/arena.h"
#include "tools/command.h"
#include "tools/rotate.h"
#include "tools/unmounted.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* clang-format off */
static const char key_usage[] =
	"usage: hushctl key list --store FILE [FLAGS]         which slots are used; * has opened it\n"
	"       hushctl key add --store FILE [FLAGS]          a further key\n"
	"       hushctl key remove SLOT --store FILE [FLAGS]  a key no longer opens it\n"
	"       hushctl key rotate --store FILE [FLAGS]       a fresh key in the place of the one that opens it\n"
	"A store has 8 slots for keys, numbered from 0. Who kept a key that was removed, and an old copy of the\n"
	"store, has the root key, and can read what was added since if he gets that, too: hushctl rekey helps\n"
	"against it.\n"
	"\n"
	UNMOUNTED_USAGE
	"  --yes                    remove: also the key that has opened it\n" FLAGS_USAGE
	"\n"
	"Without a new key, add asks for a passphrase; so does rotate, unless the key is --key-file F: then F gets\n"
	"a fresh key, and opens the store at every moment, also if this is killed (run it again then).\n"
	"A backup from before, or another store with this F, still takes the old key: keep a copy of it for them.\n";
/* clang-format on */

struct key_command {
	struct unmounted where;
	bool yes;
	unsigned slot; /* remove */

	struct key *key; /* that opened @store */
	struct anchor *anchor;
	struct store *store;
	uint8_t kinds[STORE_KEY_SLOTS];
	unsigned current;
};

/* The reasons that are no fault of the store, which has told of those. */
static int key_say(const struct key_command *command, int r)
{
	const char *path = command->where.store;

	if (r == -EEXIST)
		log_error("%s: the new key opens it already (hushctl key list); nothing was changed", path);
	else if (r == -ENOENT)
		log_error("%s: key slot %u is free; hushctl key list tells which are used", path, command->slot);
	else if (r == -EBUSY)
		log_error("%s: slot %u has the last key: without it nobody could open the store; add another first",
			  path, command->slot);
	return r;
}

static unsigned key_count(const struct key_command *command)
{
	unsigned used = 0;

	for (unsigned i = 0; i < STORE_KEY_SLOTS; i++)
		used += command->kinds[i] != 0;
	return used;
}

static int key_list(struct key_command *command)
{
	static const char *const names[] = {[KEY_FILE] = "key file", [KEY_PASSPHRASE] = "passphrase"};

	puts("SLOT   KIND         OPENED");
	for (unsigned i = 0; i < STORE_KEY_SLOTS; i++)
		if (command->kinds[i])
			printf(i == command->current ? "%-4u   %-10s   *\n" : "%-4u   %s\n", i,
			       names[command->kinds[i]]);
	return 0;
}

static int key_add(struct key_command *command)
{
	const struct key_source *source = &command->where.new_key;
	__attribute__((cleanup(key_freep))) struct key *key = NULL;
	unsigned slot;
	bool made;
	int r;

	if (key_count(command) == STORE_KEY_SLOTS) { /* before a key is made */
		log_error("%s: all %d key slots are used: remove one first (hushctl key remove)", command->where.store,
			  STORE_KEY_SLOTS);
		return -ENOSPC;
	}
	r = key_read_new(source, &key, &made);
	if (r < 0)
		return r;
	r = store_key_add(command->store, key, &slot);
	if (r < 0 && made)
		unlink(source->key_file);
	if (r == 0)
		printf("%s: the new key is in slot %u\n", command->where.store, slot);
	return key_say(command, r);
}

/* May the key go that this was opened with? Whoever takes the wrong slot is out. */
static bool key_is_sure(const struct key_command *command)
{
	char answer[16] = "";

	if (command->yes)
		return true;
	if (!isatty(STDIN_FILENO) || !isatty(STDERR_FILENO)) {
		log_error("%s: slot %u has the key that you opened it with: give --yes if that is the one to go",
			  command->where.store, command->slot);
		return false;
	}
	fprintf(stderr, "Slot %u has the key that you opened the store with. Remove it? (y/n) ", command->slot);
	if (!fgets(answer, sizeof(answer), stdin) || strcmp(answer, "y\n") != 0) {
		log_error("%s: nothing was changed", command->where.store);
		return false;
	}
	return true;
}

static int key_remove(struct key_command *command)
{
	int r;

	if (command->slot == command->current && key_count(command) > 1 && !key_is_sure(command))
		return -EPERM;
	r = store_key_remove(command->store, command->slot);
	if (r == 0)
		printf("%s: slot %u is free; hushctl rekey makes what its key could read unreadable to who kept it\n",
		       command->where.store, command->slot);
	return key_say(command, r > 0 ? -EIO : r);
}

static int key_rotate(struct key_command *command)
{
	const struct unmounted *where = &command->where;
	__attribute__((cleanup(key_freep))) struct key *key = NULL;
	bool made;
	int r;

	if (where->key.key_file && !unmounted_has_new(where)) {
		r = rotate_key_file(command->store, where->key.key_file);
		if (r == 0)
			printf("%s: has a fresh key; the old one no longer opens %s\n", where->key.key_file,
			       where->store);
		return r;
	}
	r = key_read_new(&where->new_key, &key, &made);
	if (r < 0)
		return r;
	/* a key file that was made stays even if this fails: a commit that could not be synced may still be found after
	 * a crash */
	r = store_key_replace(command->store, command->current, key);
	if (r == 0)
		printf("%s: slot %u has the new key; the old one no longer opens it\n", where->store, command->current);
	return key_say(command, r > 0 ? -EIO : r);
}

static const struct {
	const char *name;
	int (*run)(struct key_command *command);
	int n_arguments;
} key_commands[] = {{"list", key_list, 0}, {"add", key_add, 0}, {"remove", key_remove, 1}, {"rotate", key_rotate, 0}};
#define N_KEY_COMMANDS (sizeof(key_commands) / sizeof(key_commands[0]))

/* Which of them: an index, or -EINVAL after saying why. */
static int key_choose(int n, char **argv, struct key_command *command)
{
	for (size_t i = 0; n > 0 && i < N_KEY_COMMANDS; i++) {
		if (strcmp(argv[1], key_commands[i].name) != 0)
			continue;
		if (n - 1 != key_commands[i].n_arguments) {
			log_error("key: %s takes %s; see hushctl key --help", argv[1],
				  key_commands[i].n_arguments ? "one SLOT" : "no argument");
			return -EINVAL;
		}
		if (n == 2 && (strlen(argv[2]) != 1 || argv[2][0] < '0' || argv[2][0] >= '0' + STORE_KEY_SLOTS)) {
			log_error("key: %s: SLOT is a number from 0 to %d", argv[2], STORE_KEY_SLOTS - 1);
			return -EINVAL;
		}
		if (n == 2)
			command->slot = (unsigned)(argv[2][0] - '0');
		return (int)i;
	}
	log_error("key: give list, add, remove or rotate; see hushctl key --help");
	return -EINVAL;
}

static int key_run(struct key_command *command, int number)
{
	int r = unmounted_open(&command->where, &unmounted_keeps_all, &command->key, &command->anchor, &command->store);

	if (r < 0)
		return r;
	store_keys(command->store, command->kinds, &command->current);
	r = key_commands[number].run(command);
	store_close(command->store);
	anchor_close(command->anchor);
	key_free(command->key);
	return r;
}

int command_key(int argc, char **argv)
{
	struct key_command command = {0};
	const struct flag flags[] = {UNMOUNTED_FLAGS(command.where), {.name = "yes", .is_set = &command.yes}, {0}};
	int n, number, r;

	r = flags_parse(argc, argv, key_usage, flags, &n);
	if (r != 0)
		return r < 0 ? COMMAND_USAGE : COMMAND_DONE;
	number = key_choose(n, argv, &command);
	if (number < 0 || unmounted_check("key", &command.where) < 0)
		return COMMAND_USAGE;
	r = arena_init();
	if (r >= 0)
		r = key_run(&command, number);
	return r < 0 ? COMMAND_FAILED : COMMAND_DONE;
}
