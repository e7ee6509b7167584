/* SPDX-License-Identifier: Apache-2.0
 * measure: how long one thing takes, done again and again on files that are there.
 *
 * measure WHAT FOLDER FILES BYTES COUNT [PROCESSES]: does WHAT COUNT times in each of PROCESSES (1) at once, with files s0 to s(FILES - 1)
 * of FOLDER and BYTES of data, and prints "median p99 rate": in microseconds, and how many a second of all of them together.
 *
 *   read     open, read, close of one at random         replace  open, truncate, write, close: durable where close is
 *   stat     of one at random                           fsynced  the same with fsync before close
 *   list     the folder's names                         create, create-fsync   a new one: n0, n1, ...
 *   list-l   and their attributes                       delete, delete-fsync   of those; with fsync: of the folder
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static struct measure {
	const char *what;
	const char *folder;
	unsigned long files, count;
	size_t bytes;
	char *data;
	unsigned process;
	uint64_t random;
	int folder_fd;
} m;

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void fail(const char *what, const char *name)
{
	fprintf(stderr, "measure: %s %s/%s: %s\n", what, m.folder, name, strerror(errno));
	exit(EXIT_FAILURE);
}

/* xorshift64 */
static unsigned long pick(void)
{
	m.random ^= m.random << 13;
	m.random ^= m.random >> 7;
	m.random ^= m.random << 17;
	return m.random % m.files;
}

static void do_read(const char *name)
{
	int fd = openat(m.folder_fd, name, O_RDONLY);
	size_t got = 0;
	ssize_t n = 1;

	while (fd >= 0 && got < m.bytes && (n = read(fd, m.data + got, m.bytes - got)) > 0)
		got += (size_t)n;
	if (got != m.bytes)
		fail("read", name);
	close(fd);
}

static void do_write(const char *name, int flags, bool sync)
{
	int fd = openat(m.folder_fd, name, O_WRONLY | flags, 0600);
	uint64_t stamp = now_ns();
	size_t put = 0;
	ssize_t n = 1;

	memcpy(m.data, &stamp, m.bytes < sizeof(stamp) ? m.bytes : sizeof(stamp)); /* bytes that are there already are nothing to commit */
	while (fd >= 0 && put < m.bytes && (n = write(fd, m.data + put, m.bytes - put)) > 0)
		put += (size_t)n;
	if (put != m.bytes || (sync && fsync(fd) < 0) || close(fd) < 0)
		fail("write", name);
}

static void do_list(bool attributes)
{
	DIR *folder = opendir(m.folder);
	unsigned long n = 0;
	struct dirent *entry;
	struct stat st;

	if (!folder)
		fail("open", ".");
	while ((entry = readdir(folder)))
		if (entry->d_name[0] == 's' && (!attributes || fstatat(dirfd(folder), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0))
			n++;
	closedir(folder);
	if (n != m.files)
		fail("list", ".");
}

static void do_delete(const char *name, bool sync)
{
	if (unlinkat(m.folder_fd, name, 0) < 0 || (sync && fsync(m.folder_fd) < 0))
		fail("delete", name);
}

static void once(unsigned long number)
{
	char name[48];
	struct stat st;
	bool fresh = strncmp(m.what, "create", 6) == 0 || strncmp(m.what, "delete", 6) == 0;

	if (fresh)
		snprintf(name, sizeof(name), "n%u-%lu", m.process, number);
	else
		snprintf(name, sizeof(name), "s%lu", pick());
	if (strcmp(m.what, "read") == 0)
		do_read(name);
	else if (strcmp(m.what, "stat") == 0 && fstatat(m.folder_fd, name, &st, 0) < 0)
		fail("stat", name);
	else if (strncmp(m.what, "list", 4) == 0)
		do_list(m.what[4]);
	else if (strcmp(m.what, "replace") == 0)
		do_write(name, O_TRUNC, false);
	else if (strcmp(m.what, "fsynced") == 0)
		do_write(name, O_TRUNC, true);
	else if (strncmp(m.what, "create", 6) == 0)
		do_write(name, O_CREAT | O_EXCL, m.what[6]);
	else if (strncmp(m.what, "delete", 6) == 0)
		do_delete(name, m.what[6]);
}

/* Nothing else may hide a caller's spelling mistake. */
static bool is_known(const char *what)
{
	static const char *const known[] = {"read", "stat", "list", "list-l", "replace", "fsynced",
					    "create", "create-fsync", "delete", "delete-fsync"};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (strcmp(what, known[i]) == 0)
			return true;
	return false;
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

int main(int argc, char **argv)
{
	unsigned processes = argc == 7 ? (unsigned)atoi(argv[6]) : 1;
	uint64_t *times, start;
	size_t n;
	int status = 0;

	if (argc < 6 || !is_known(argv[1])) {
		fputs("usage: measure WHAT FOLDER FILES BYTES COUNT [PROCESSES]\n", stderr);
		return 2;
	}
	m = (struct measure){.what = argv[1], .folder = argv[2], .files = strtoul(argv[3], NULL, 10), .bytes = strtoul(argv[4], NULL, 10),
			     .count = strtoul(argv[5], NULL, 10)};
	m.data = malloc(m.bytes + 1);
	m.folder_fd = open(m.folder, O_RDONLY | O_DIRECTORY);
	n = processes * m.count;
	times = mmap(NULL, n * sizeof(*times), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (!m.data || m.folder_fd < 0 || times == MAP_FAILED || n == 0)
		fail("open", ".");
	memset(m.data, 'x', m.bytes);
	start = now_ns();
	for (m.process = 0; m.process < processes; m.process++) {
		if (fork() > 0)
			continue;
		m.random = now_ns() + m.process * 7919;
		for (unsigned long i = 0; i < m.count; i++) {
			uint64_t begin = now_ns();

			once(i);
			times[m.process * m.count + i] = now_ns() - begin;
		}
		_exit(EXIT_SUCCESS);
	}
	for (int one; wait(&one) > 0;)
		status |= one;
	start = now_ns() - start;
	if (status)
		return EXIT_FAILURE;
	qsort(times, n, sizeof(*times), compare);
	printf("%.3f %.3f %.1f\n", (double)times[n / 2] / 1e3, (double)times[n * 99 / 100] / 1e3, (double)n * 1e9 / (double)start);
	return EXIT_SUCCESS;
}
