/* SPDX-License-Identifier: Apache-2.0
 * key: reads key material straight into the arena, and nowhere else on the way.
 */
#include "store/key.h"

#include "store/folder.h"
#include "store/log.h"
#include "store/secmem.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

struct key *key_free(struct key *key)
{
	return secmem_free(key);
}

void key_freep(struct key **key)
{
	*key = key_free(*key);
}

static int key_new(enum key_kind kind, struct key **ret_key)
{
	struct key *key = secmem_alloc(sizeof(*key));

	if (!key) {
		log_error("no locked memory left for the key: raise the limit (ulimit -l)");
		return -ENOMEM;
	}
	key->kind = kind;
	*ret_key = key;
	return 0;
}

/* Read @fd to its end into @key; one byte more than fits tells that it is too long. */
static int key_fill(struct key *key, int fd)
{
	ssize_t n;

	key->size = 0;
	do {
		n = read(fd, key->bytes + key->size, sizeof(key->bytes) - key->size);
		if (n > 0)
			key->size += (size_t)n;
		if (key->size == sizeof(key->bytes))
			return -EINVAL;
	} while (n > 0 || (n < 0 && errno == EINTR));
	return n < 0 ? -errno : 0;
}

static void key_drop_newline(struct key *key)
{
	if (key->size && key->bytes[key->size - 1] == '\n')
		key->bytes[--key->size] = 0;
}

static int key_wrong_size(const char *path)
{
	log_error("%s: this is no key file, which has exactly %d bytes: give the one that hushctl init made", path,
		  CRYPTO_KEY_BYTES);
	return -EINVAL;
}

static int key_check_size(const struct key *key, const char *path)
{
	if (key->kind == KEY_FILE && key->size != CRYPTO_KEY_BYTES)
		return key_wrong_size(path);
	if (key->kind == KEY_PASSPHRASE && key->size == 0) {
		log_error("%s: the passphrase is empty: give one", path);
		return -EINVAL;
	}
	return 0;
}

static int key_read_file(enum key_kind kind, const char *path, struct key **ret_key)
{
	__attribute__((cleanup(key_freep))) struct key *key = NULL;
	const char *what = kind == KEY_FILE ? "key file" : "passphrase file";
	struct stat st;
	int fd, r;

	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0) {
		r = -errno;
		log_error("%s: cannot open the %s: %s", path, what, log_reason(-r));
		return r;
	}
	r = fstat(fd, &st) < 0 ? -errno : 0;
	if (r == 0 && S_ISREG(st.st_mode) && (st.st_mode & 077)) {
		log_error("%s: others may read this key (mode %04o): chmod 600 it", path, st.st_mode & 07777u);
		r = -EPERM;
	}
	if (r == 0)
		r = key_new(kind, &key);
	if (r == 0) {
		r = key_fill(key, fd);
		if (r == -EINVAL && kind == KEY_FILE)
			key_wrong_size(path);
		else if (r == -EINVAL)
			log_error("%s: too long for a passphrase (%d bytes at most)", path, KEY_PASSPHRASE_BYTES - 1);
		else if (r < 0)
			log_error("%s: cannot read the %s: %s", path, what, log_reason(-r));
	}
	close(fd);
	if (r < 0)
		return r;
	if (kind == KEY_PASSPHRASE)
		key_drop_newline(key);
	r = key_check_size(key, path);
	if (r < 0)
		return r;
	*ret_key = key;
	key = NULL; /* transferred */
	return 0;
}

static int key_make_file(const char *path, struct key **ret_key)
{
	__attribute__((cleanup(key_freep))) struct key *key = NULL;
	int fd, r;

	r = key_new(KEY_FILE, &key);
	if (r < 0)
		return r;
	key->size = CRYPTO_KEY_BYTES;
	crypto_random(key->bytes, CRYPTO_KEY_BYTES);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0) {
		r = -errno;
		log_error("%s: cannot make the key file: %s", path, log_reason(-r));
		return r;
	}
	errno = EIO; /* a short write does not set it */
	if (write(fd, key->bytes, CRYPTO_KEY_BYTES) != CRYPTO_KEY_BYTES || fsync(fd) < 0) {
		r = -errno;
		log_error("%s: cannot write the key file: %s", path, log_reason(-r));
	}
	close(fd);
	if (r == 0) {
		r = folder_sync(path);
		if (r < 0)
			log_error("%s: cannot sync the folder of the key file: %s", path, log_reason(-r));
	}
	if (r < 0)
		unlink(path);
	if (r < 0)
		return r;
	*ret_key = key;
	key = NULL; /* transferred */
	return 0;
}

/* Ask on the terminal, with echo off until the line is read; a signal is let through after echo is on again. Without a terminal
 * @instead says what else there is. */
static int key_ask(const char *prompt, const char *instead, struct key **ret_key)
{
	__attribute__((cleanup(key_freep))) struct key *key = NULL;
	struct termios shown, hidden;
	sigset_t blocked, before;
	ssize_t n;
	int fd, r;

	r = key_new(KEY_PASSPHRASE, &key);
	if (r < 0)
		return r;
	fd = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
	if (fd < 0 || tcgetattr(fd, &shown) < 0) {
		log_error("%s, a passphrase file or a systemd credential, or run it at a terminal", instead);
		if (fd >= 0)
			close(fd);
		return -ENOKEY;
	}
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGINT);
	sigaddset(&blocked, SIGTSTP);
	sigaddset(&blocked, SIGQUIT);
	sigprocmask(SIG_BLOCK, &blocked, &before);
	hidden = shown;
	hidden.c_lflag &= ~(tcflag_t)(ECHO | ISIG);
	tcsetattr(fd, TCSAFLUSH, &hidden);
	dprintf(fd, "%s: ", prompt);
	n = read(fd, key->bytes, sizeof(key->bytes) - 1);
	r = n < 0 ? -errno : 0;
	tcsetattr(fd, TCSAFLUSH, &shown);
	dprintf(fd, "\n");
	close(fd);
	sigprocmask(SIG_SETMASK, &before, NULL);
	if (n > 0 && memchr(key->bytes, 3, (size_t)n)) /* ^C: nothing was typed that counts */
		r = -EINTR;
	if (r < 0) {
		log_error("no passphrase: %s", log_reason(-r));
		return r;
	}
	key->size = (size_t)n;
	key_drop_newline(key);
	r = key_check_size(key, "terminal");
	if (r < 0)
		return r;
	*ret_key = key;
	key = NULL; /* transferred */
	return 0;
}

/* The systemd credential's path, if systemd gave us a folder of them. The environment says where, not what. */
static bool key_credential(char ret_path[static PATH_MAX])
{
	const char *folder = getenv("CREDENTIALS_DIRECTORY");

	return folder && snprintf(ret_path, PATH_MAX, "%s/hushfs.key", folder) < PATH_MAX &&
	       access(ret_path, F_OK) == 0;
}

int key_read(const struct key_source *source, struct key **ret_key)
{
	char path[PATH_MAX];

	if (source->key_file)
		return key_read_file(KEY_FILE, source->key_file, ret_key);
	if (source->passphrase_file)
		return key_read_file(KEY_PASSPHRASE, source->passphrase_file, ret_key);
	if (key_credential(path))
		return key_read_file(KEY_FILE, path, ret_key);
	return key_ask("Passphrase of the store",
		       "no key: give a key file (hushfs -o key_file=FILE, hushctl --key-file FILE)", ret_key);
}

int key_read_new(const struct key_source *source, struct key **ret_key, bool *ret_made)
{
	__attribute__((cleanup(key_freep))) struct key *first = NULL;
	__attribute__((cleanup(key_freep))) struct key *again = NULL;
	const char *instead = "no key: give a new key file (hushctl init --key-file FILE, else --new-key-file FILE)";
	char path[PATH_MAX];
	int r;

	*ret_made = false;
	if (source->key_file && access(source->key_file, F_OK) < 0 && errno == ENOENT) {
		r = key_make_file(source->key_file, ret_key);
		*ret_made = r == 0;
		return r;
	}
	if (source->key_file || source->passphrase_file || key_credential(path))
		return key_read(source, ret_key);
	r = key_ask("New passphrase", instead, &first);
	if (r == 0)
		r = key_ask("Once more", instead, &again);
	if (r < 0)
		return r;
	if (first->size != again->size || !crypto_equal(first->bytes, again->bytes, first->size)) {
		log_error("the two passphrases differ; nothing was made");
		return -EINVAL;
	}
	*ret_key = first;
	first = NULL; /* transferred */
	return 0;
}
