/* SPDX-License-Identifier: Apache-2.0
 * init: hushctl init makes a store, and its key file if that is absent.
 */
#include "store/key.h"
#include "store/log.h"
#include "store/secmem.h"
#include "store/store.h"
#include "tools/arena.h"
#include "tools/command.h"

#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

static const char init_usage[] =
	"usage: hushctl init [--key-file F | --passphrase-file F] STORE\n"
	"Makes the file STORE with an empty mesh \"default\". It never overwrites.\n"
	"\n"
	"  --key-file F         the key is the 32 bytes of F; F is made if it is absent\n"
	"  --passphrase-file F  the passphrase is the first line of F\n"
	"\n"
	"Without either, the key is the systemd credential hushfs.key, or a passphrase is asked for.\n";

static int init_parse(int argc, char **argv, struct key_source *ret_source)
{
	/* getopt takes "--key" for short of "--key-file": whoever types that means a key, which is not to stand here */
	static const struct option longs[] = {{"key", no_argument, NULL, '?'},
					      {"passphrase", no_argument, NULL, '?'},
					      {"key-file", required_argument, NULL, 'k'},
					      {"passphrase-file", required_argument, NULL, 'p'},
					      {"help", no_argument, NULL, 'h'},
					      {0}};
	int flag;

	opterr = 0;
	while ((flag = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
		switch (flag) {
		case 'k':
			ret_source->key_file = optarg;
			break;
		case 'p':
			ret_source->passphrase_file = optarg;
			break;
		case 'h':
			fputs(init_usage, stdout);
			return 1;
		default:
			log_error("init: %s: there is no such flag, or it lacks its value; see hushctl init --help",
				  argv[optind - 1]);
			return -1;
		}
	}
	if (argc - optind != 1) {
		log_error("init: give one STORE; see hushctl init --help");
		return -1;
	}
	if (ret_source->key_file && ret_source->passphrase_file) {
		log_error("init: give --key-file or --passphrase-file, not both");
		return -1;
	}
	return 0;
}

/* A key that was made for a store that then could not be made is of no use to anybody. */
static int init_make(const char *path, const struct key_source *source)
{
	struct key *key = NULL;
	bool made = false;
	int r;

	if (access(path, F_OK) == 0) { /* before anybody is asked for a passphrase, or a key is made */
		log_error("%s: there is a file already; nothing was changed", path);
		return -1;
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
		r = init_make(argv[optind], &source);
	secmem_deinit();
	return r < 0 ? COMMAND_FAILED : COMMAND_DONE;
}
