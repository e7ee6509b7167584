/* SPDX-License-Identifier: Apache-2.0
 * engine_file: a store's file by its name, without opening it as one.
 */
#include "store/engine_internal.h"

#include "store/log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define APPLICATION_ID_OFFSET 68 /* in the file, big-endian */
#define JOURNAL_MAGIC_BYTES 8

bool engine_looks_ours(const char *path)
{
	static const char magic[] = "SQLite format 3"; /* with its NUL */
	static const uint8_t zeros[APPLICATION_ID_OFFSET + 4];
	uint8_t head[sizeof(zeros)];
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	struct stat st;
	bool ours;

	if (fd < 0)
		return false;
	ours = fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
	if (ours && st.st_size > 0) {
		ours = read(fd, head, sizeof(head)) == (ssize_t)sizeof(head);
		/* a power cut may leave the first transaction without its first page */
		ours = ours && (memcmp(head, zeros, sizeof(head)) == 0
					? engine_is_begun(path)
					: memcmp(head, magic, sizeof(magic)) == 0 &&
						  memcmp(head + APPLICATION_ID_OFFSET, "hush", 4) == 0);
	}
	close(fd);
	return ours;
}

bool engine_is_begun(const char *path)
{
	char journal[PATH_MAX];
	struct stat st;

	/* the first transaction has a rollback journal, later ones are in the WAL; opening it would undo that transaction, and leave a file
	 * that no longer looks ours */
	return (stat(path, &st) == 0 && st.st_size == 0) ||
	       (snprintf(journal, sizeof(journal), "%s-journal", path) < (int)sizeof(journal) && access(journal, F_OK) == 0);
}

/* What is wrong with the journal that is open; or NULL. */
static int engine_look_at_journal(int fd, const char **ret_wrong)
{
	static const uint8_t magic[JOURNAL_MAGIC_BYTES] = {0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7};
	uint8_t end[JOURNAL_MAGIC_BYTES] = {0};
	struct stat st;

	*ret_wrong = NULL;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode)) {
		*ret_wrong = "is no file";
		return 0;
	}
	if (st.st_size >= JOURNAL_MAGIC_BYTES && pread(fd, end, sizeof(end), st.st_size - JOURNAL_MAGIC_BYTES) < 0)
		return -errno;
	if (memcmp(end, magic, sizeof(magic)) == 0)
		*ret_wrong = "names another file, to be deleted";
	return 0;
}

/* The journal @name, if there is one. */
static int engine_check_journal(const char *name)
{
	int fd = open(name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	const char *wrong = NULL;
	int r = fd < 0 ? -errno : engine_look_at_journal(fd, &wrong);

	if (fd >= 0)
		close(fd);
	if (r == -ENOENT)
		return 0;
	if (r < 0)
		log_error("%s: cannot read the journal of the store: %s", name, log_reason(-r));
	if (!wrong)
		return r;
	log_error("%s: this journal %s, so no store has left it: it was put there without the key; remove it", name, wrong);
	return -EBADMSG;
}

int engine_check_journals(const char *path)
{
	static const char *const ends[] = {"-journal", "-wal"};
	char name[PATH_MAX + sizeof("-journal")];
	int r = 0;

	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]) && r == 0; i++) {
		snprintf(name, sizeof(name), "%s%s", path, ends[i]);
		r = engine_check_journal(name);
	}
	return r;
}

int engine_remove(const char *path)
{
	static const char *const ends[] = {"-wal", "-journal", ""}; /* itself last: they are never left without it */
	char name[PATH_MAX];

	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		if (snprintf(name, sizeof(name), "%s%s", path, ends[i]) >= (int)sizeof(name))
			return -ENAMETOOLONG;
		if (unlink(name) < 0 && errno != ENOENT) {
			int r = -errno;

			log_error("%s: cannot remove it: %s", name, log_reason(-r));
			return r;
		}
	}
	return 0;
}
