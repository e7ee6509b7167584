/* SPDX-License-Identifier: Apache-2.0
 * options: getopt for the flags, getsubopt for what stands behind -o. Of what is not known only what stands before = is shown: behind it may be
 * what should not be seen.
 *
 * As a line of /etc/fstab it is started by mount.fuse3, which hands on the options that every filesystem has.
 */
#include "fs/options.h"

#include "store/log.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OPTIONS_SECONDS_MAX (7u * 86400)
#define CACHE_BYTES (12u * 1024 * 1024)

static const char options_usage[] =
	"usage: hushfs [-f] [-o OPTION[,OPTION...]] STORE MOUNTPOINT\n"
	"Mounts the secrets kept in STORE on the empty folder MOUNTPOINT.\n"
	"\n"
	"  -f                   stay in front, and log to stderr instead of syslog\n"
	"  -o key_file=F        the store's key is the 32 bytes of F\n"
	"  -o passphrase_file=F the store's passphrase is the first line of F\n"
	"  -o anchor=F          keep in F, elsewhere, which state of the store is the newest, and refuse older copies of it\n"
	"  -o allow_other       other users may use the mount, as far as the files' modes let them\n"
	"  -o ro                read-only\n"
	"  -o max_size=BYTES    longest secret (1M; K and M are understood)\n"
	"  -o max_staged=BYTES  memory for what is being written at a time (16M, or what can be locked)\n"
	"  -o run_as=USER       as root: serve as this user, who must be able to use the store (its owner)\n"
	"  -o allow_swap        go on where memory can't be locked; secrets in it could be swapped out\n"
	"  -o history=N         versions kept of each secret besides the current one (10)\n"
	"  -o lock_after=TIME   lock it when nothing was read or written for so many minutes (90s, 5m and 1h are understood)\n"
	"  -h, --help           print this\n"
	"  -V, --version        print the version\n"
	"\n"
	"Without a key file or a passphrase file the key is the systemd credential hushfs.key, or is asked for.\n"
	"Unmount: fusermount3 -u MOUNTPOINT\n"
	"In /etc/fstab: STORE MOUNTPOINT fuse.hushfs OPTION[,OPTION...],_netdev 0 0\n";

enum {
	KEY_FILE_OPTION, PASSPHRASE_FILE, ANCHOR, ALLOW_OTHER, RO, RW, MAX_SIZE, MAX_STAGED, HISTORY, LOCK_AFTER, RUN_AS, ALLOW_SWAP, NO_RESEND
};

static char *const options_tokens[] = {
	[KEY_FILE_OPTION] = "key_file", [PASSPHRASE_FILE] = "passphrase_file",
	[ANCHOR] = "anchor",
	[ALLOW_OTHER] = "allow_other",	[RO] = "ro",
	[RW] = "rw",			[MAX_SIZE] = "max_size",
	[MAX_STAGED] = "max_staged",	[HISTORY] = "history",
	[LOCK_AFTER] = "lock_after",
	[RUN_AS] = "run_as",		[ALLOW_SWAP] = "allow_swap",
	[NO_RESEND] = "no_resend",	NULL,
};

/* What mount(8) passes to every filesystem, or keeps for itself. A mount of ours is nosuid, nodev, noexec and noatime and has no links to
 * follow, whatever is said; what close() has acknowledged is on disk without sync; the others are for who mounts at boot. */
static const char *const options_generic[] = {
	"defaults", "dev", "nodev", "suid", "nosuid", "exec", "noexec", "nosymfollow", "sync", "async", "dirsync",
	"atime", "noatime", "diratime", "nodiratime", "relatime", "norelatime", "strictatime", "nostrictatime", "lazytime", "nolazytime",
	"auto", "noauto", "nofail", "_netdev", "user", "nouser", "users", "nousers", "owner", "group",
};

static bool options_is_generic(const char *option)
{
	if (strncmp(option, "x-", 2) == 0 || strncmp(option, "X-", 2) == 0) /* x-systemd.automount and the like */
		return option[2];
	for (size_t i = 0; i < sizeof(options_generic) / sizeof(options_generic[0]); i++)
		if (strcmp(option, options_generic[i]) == 0)
			return true;
	return false;
}

/* A number with an optional K or M, at most @most. */
static int options_number(const char *option, const char *text, size_t least, size_t most, size_t *ret_number)
{
	char *end = NULL;
	unsigned long long number;

	errno = 0;
	number = text && *text >= '0' && *text <= '9' ? strtoull(text, &end, 10) : 0;
	if (end && errno == 0 && (*end == 'K' || *end == 'k') && number <= most) {
		number *= 1024;
		end++;
	} else if (end && errno == 0 && (*end == 'M' || *end == 'm') && number <= most) {
		number *= 1024 * 1024;
		end++;
	}
	if (!end || *end || errno || number < least || number > most) {
		log_error("-o %s=%s: give a number from %zu to %zu", option, text ? text : "", least, most);
		return -EINVAL;
	}
	*ret_number = (size_t)number;
	return 0;
}

/* A time in minutes, or with s, m or h behind it, in seconds. */
static int options_time(const char *option, const char *text, unsigned *ret_seconds)
{
	static const char units[] = "smh";
	static const unsigned factors[] = {1, 60, 3600};
	const char *unit = strchr(units, 'm');
	unsigned long number = 0;
	char *end = NULL;

	errno = 0;
	if (text && *text >= '0' && *text <= '9')
		number = strtoul(text, &end, 10);
	if (end && *end && strchr(units, *end))
		unit = strchr(units, *end++);
	if (!end || *end || errno || number == 0 || number > OPTIONS_SECONDS_MAX / factors[unit - units]) {
		log_error("-o %s=%s: give a time, as 10 (minutes), 90s, 5m or 1h, of %u days at most", option,
			  text ? text : "", OPTIONS_SECONDS_MAX / 86400);
		return -EINVAL;
	}
	*ret_seconds = (unsigned)number * factors[unit - units];
	return 0;
}

/* What is given as @what: PATH or USER. */
static int options_text(const char *option, const char *what, const char *text, const char **ret_text)
{
	if (!text || !*text) {
		log_error("-o %s: give a value, as %s=%s", option, option, what);
		return -EINVAL;
	}
	*ret_text = text;
	return 0;
}

/* allow_other=no would not be what it looks like. */
static int options_flag(const char *option, const char *text)
{
	if (!text)
		return 0;
	log_error("-o %s: it takes no value: give it alone, or leave it out", option);
	return -EINVAL;
}

static int options_parse_o(struct options *options, char *list)
{
	while (*list) {
		char *whole = list;
		char *value = NULL;
		size_t number = 0;
		int token = getsubopt(&list, options_tokens, &value);
		int r = 0;

		switch (token) {
		case KEY_FILE_OPTION:
			r = options_text(options_tokens[token], "PATH", value, &options->key.key_file);
			break;
		case PASSPHRASE_FILE:
			r = options_text(options_tokens[token], "PATH", value, &options->key.passphrase_file);
			break;
		case ANCHOR:
			r = options_text(options_tokens[token], "PATH", value, &options->anchor);
			break;
		case ALLOW_OTHER:
			r = options_flag(options_tokens[token], value);
			options->allow_other = true;
			break;
		case RO:
			r = options_flag(options_tokens[token], value);
			options->read_only = true;
			break;
		case RW:
			r = options_flag(options_tokens[token], value);
			options->read_only = false;
			break;
		case RUN_AS:
			r = options_text(options_tokens[token], "USER", value, &options->run_as);
			break;
		case ALLOW_SWAP:
			r = options_flag(options_tokens[token], value);
			options->allow_swap = true;
			break;
		case NO_RESEND:
			r = options_flag(options_tokens[token], value);
			options->no_resend = true;
			break;
		case MAX_SIZE:
			r = options_number(options_tokens[token], value, 1, STORE_VALUE_BYTES_MAX,
					   &options->store_options.value_bytes);
			break;
		case MAX_STAGED:
			r = options_number(options_tokens[token], value, 1, (size_t)1 << 32, &options->max_staged);
			break;
		case HISTORY:
			r = options_number(options_tokens[token], value, 0, STORE_HISTORY_MAX, &number);
			options->store_options.history = (unsigned)number;
			break;
		case LOCK_AFTER:
			r = options_time(options_tokens[token], value, &options->lock_after);
			break;
		default:
			r = options_is_generic(whole) ? 0 : -EINVAL;
			if (strcmp(whole, "remount") == 0)
				log_error("-o remount: a mount keeps its options; unmount it, and mount it anew");
			else if (r < 0)
				log_error("-o %.*s: there is no such option; see hushfs --help", (int)strcspn(whole, "="), whole);
		}
		if (r < 0)
			return r;
	}
	return 0;
}

int options_parse(struct options *ret_options, int argc, char **argv)
{
	static const struct option longs[] = {
		{"help", no_argument, NULL, 'h'}, {"version", no_argument, NULL, 'V'}, {0}};
	struct options options = {
		.store_options = {.value_bytes = STORE_VALUE_BYTES_DEFAULT,
				  .history = STORE_HISTORY_DEFAULT,
				  .cache_bytes = CACHE_BYTES},
	};
	int flag;

	opterr = 0;
	while ((flag = getopt_long(argc, argv, "fho:V", longs, NULL)) != -1) {
		switch (flag) {
		case 'f':
			options.foreground = true;
			break;
		case 'o':
			if (options_parse_o(&options, optarg) < 0)
				return -EINVAL;
			break;
		case 'h':
			fputs(options_usage, stdout);
			return 1;
		case 'V':
			puts("hushfs " HUSHFS_VERSION);
			return 1;
		default:
			log_error("%.*s: there is no such flag, or it lacks its value; see hushfs --help",
				  (int)strcspn(argv[optind - 1], "="), argv[optind - 1]);
			return -EINVAL;
		}
	}
	if (argc - optind != 2) {
		log_error("give a store and a mount point: hushfs [-f] [-o OPTION[,OPTION...]] STORE MOUNTPOINT");
		return -EINVAL;
	}
	if (options.key.key_file && options.key.passphrase_file) {
		log_error("give a key file or a passphrase file, not both");
		return -EINVAL;
	}
	if (options.read_only) /* who only looks takes no versions away */
		options.store_options.history = STORE_HISTORY_MAX;
	options.store = argv[optind];
	options.mountpoint = argv[optind + 1];
	*ret_options = options;
	return 0;
}
