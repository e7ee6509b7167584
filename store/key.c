/* SPDX-License-Identifier: Apache-2.0
 * key: reads key material straight into the arena, and nowhere else on the way.
 */
#include "store/key.h"

#include "store/folder.h"
#include "store/log.h"
#include "store/secmem.h"

#include <bsd/readpassphrase.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
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

/* Read @fd into @key, to its end or as much as there is room for. */
static int key_fill(struct key *key, int fd)
{
	ssize_t n;

	key->size = 0;
	do {
		n = read(fd, key->bytes + key->size, sizeof(key->bytes) - key->size);
		if (n > 0)
			key->size += (size_t)n;
	} while (n > 0 || (n < 0 && errno == EINTR));
	return n < 0 ? -errno : 0;
}

/* A passphrase is one line, without its newline. */
static void key_cut_line(struct key *key)
{
	const uint8_t *newline = memchr(key->bytes, '\n', key->size);
	size_t size = newline ? (size_t)(newline - key->bytes) : key->size;

	memset(key->bytes + size, 0, key->size - size);
	key->size = size;
}

static int key_check_size(const struct key *key, const char *path)
{
	if (key->kind == KEY_FILE && key->size != CRYPTO_KEY_BYTES)
		log_error("%s: this is no key file, which has exactly %d bytes: give the one that hushctl init made", path, CRYPTO_KEY_BYTES);
	else if (key->kind == KEY_PASSPHRASE && key->size == 0)
		log_error("%s: the passphrase is empty: give one", path);
	else if (key->kind == KEY_PASSPHRASE && key->size >= KEY_PASSPHRASE_BYTES)
		log_error("%s: too long for a passphrase (%d bytes at most)", path, KEY_PASSPHRASE_BYTES - 1);
	else
		return 0;
	return -EINVAL;
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
		if (r < 0)
			log_error("%s: cannot read the %s: %s", path, what, log_reason(-r));
	}
	close(fd);
	if (r < 0)
		return r;
	if (kind == KEY_PASSPHRASE)
		key_cut_line(key);
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

/* Ask on the terminal, without echo. Without a terminal @instead says what else there is. */
static int key_ask(const char *prompt, const char *instead, struct key **ret_key)
{
	__attribute__((cleanup(key_freep))) struct key *key = NULL;
	int r;

	r = key_new(KEY_PASSPHRASE, &key);
	if (r < 0)
		return r;
	if (!readpassphrase(prompt, (char *)key->bytes, sizeof(key->bytes), RPP_REQUIRE_TTY)) {
		r = -errno;
		if (r == -ENOTTY)
			log_error("%s, a passphrase file or a systemd credential, or run it at a terminal", instead);
		else
			log_error("no passphrase: %s", log_reason(-r));
		return r == -ENOTTY ? -ENOKEY : r;
	}
	key->size = strlen((char *)key->bytes);
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
	return key_ask("Passphrase of the store: ",
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
	r = key_ask("New passphrase: ", instead, &first);
	if (r == 0)
		r = key_ask("Once more: ", instead, &again);
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
