/* SPDX-License-Identifier: Apache-2.0
 * init: hushctl init makes a store, and its key file if that is absent.
 */
#include "store/key.h"
#include "store/log.h"
#include "store/secmem.h"
#include "store/store.h"
#include "tools/arena.h"
#include "tools/command.h"
#include "tools/flags.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <unistd.h>

static const char init_usage[] =
	"usage: hushctl init [--key-file F | --passphrase-file F] STORE\n"
	"Makes the file STORE with an empty mesh \"default\". It never overwrites.\n"
	"\n"
	"  --key-file F         the key is the 32 bytes of F; F is made if it is absent\n"
	"  --passphrase-file F  the passphrase is the first line of F\n" FLAGS_USAGE
	"\n"
	"Without either, the key is the systemd credential hushfs.key, or a passphrase is asked for.\n";

static int init_parse(int argc, char **argv, struct key_source *ret_source)
{
	const struct flag flags[] = {{.name = "key-file", .text = &ret_source->key_file},
				     {.name = "passphrase-file", .text = &ret_source->passphrase_file},
				     {0}};
	int n;
	int r = flags_parse(argc, argv, init_usage, flags, &n);

	if (r != 0)
		return r;
	if (n != 1 || !*argv[1])
		log_error("init: give one STORE; see hushctl init --help");
	else if (ret_source->key_file && ret_source->passphrase_file)
		log_error("init: give --key-file or --passphrase-file, not both");
	else
		return 0;
	return -EINVAL;
}

/* A key that was made for a store that then could not be made is of no use to anybody. */
static int init_make(const char *path, const struct key_source *source)
{
	struct key *key = NULL;
	bool made = false;
	int r;

	if (faccessat(AT_FDCWD, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0) { /* before anybody is asked for a passphrase, or a key is made */
		log_error("%s: there is a file already; nothing was changed", path);
		return -EEXIST;
	}
	r = key_read_new(source, &key, &made);
	if (r == 0)
		r = store_create(path, key, geteuid(), getegid());
	if (r < 0 && made)
		unlink(source->key_file);
	key_free(key);
	return r;
}

int command_init(int argc, char **argv)
{
	struct key_source source = {0};
	int r = init_parse(argc, argv, &source);

	if (r != 0)
		return r < 0 ? COMMAND_USAGE : COMMAND_DONE;
	r = arena_init();
	if (r >= 0)
		r = init_make(argv[1], &source);
	secmem_deinit();
	return r < 0 ? COMMAND_FAILED : COMMAND_DONE;
}
