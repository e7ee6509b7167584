/* SPDX-License-Identifier: Apache-2.0
 * test_key: key files and passphrase files: what is taken, what is refused, what is made.
 */
#include "tests/unit/cmocka_all.h"
#include "tests/unit/fixture.h"

#include "store/key.h"
#include "store/key_text.h"

#include <errno.h>
#include <limits.h>
#include <fcntl.h>
#include <pty.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#define KEY_AUTO __attribute__((cleanup(key_freep))) struct key

/* libc's, which fail so if they are asked to. */
static struct {
	int fstat, read, readpassphrase; /* errno; 0: they work */
	unsigned interrupts;        /* so many times reading fails with EINTR */
} failing;

int __real_fstat(int fd, struct stat *ret_st);
int __wrap_fstat(int fd, struct stat *ret_st);
int __wrap_fstat(int fd, struct stat *ret_st)
{
	errno = failing.fstat;
	return errno ? -1 : __real_fstat(fd, ret_st);
}

ssize_t __real_read(int fd, void *ret_bytes, size_t size);
ssize_t __wrap_read(int fd, void *ret_bytes, size_t size);
ssize_t __wrap_read(int fd, void *ret_bytes, size_t size)
{
	errno = failing.interrupts ? EINTR : failing.read;
	failing.interrupts -= failing.interrupts > 0;
	return errno ? -1 : __real_read(fd, ret_bytes, size);
}

char *__real_readpassphrase(const char *prompt, char *ret_text, size_t size, int flags);
char *__wrap_readpassphrase(const char *prompt, char *ret_text, size_t size, int flags);
char *__wrap_readpassphrase(const char *prompt, char *ret_text, size_t size, int flags)
{
	errno = failing.readpassphrase;
	return errno ? NULL : __real_readpassphrase(prompt, ret_text, size, flags);
}

static int read_key_file(const char *path, struct key **ret_key)
{
	return key_read(&(struct key_source){.key_file = path}, ret_key);
}

static int read_passphrase_file(const char *path, struct key **ret_key)
{
	return key_read(&(struct key_source){.passphrase_file = path}, ret_key);
}

static void test_key_file(void **state)
{
	const char *path = fixture_path(*state, "key");
	uint8_t bytes[32];
	KEY_AUTO *key = NULL;

	fixture_fill(bytes, sizeof(bytes), 7);
	bytes[31] = '\n'; /* a key is bytes, not text: nothing is dropped */
	bytes[0] = 0;
	fixture_write(path, bytes, sizeof(bytes), 0600);
	assert_int_equal(read_key_file(path, &key), 0);
	assert_int_equal(key->kind, KEY_FILE);
	assert_int_equal(key->size, 32);
	assert_memory_equal(key->bytes, bytes, 32);
}

static void test_key_file_sizes(void **state)
{
	static const size_t sizes[] = {0, 1, 31, 33, 64, 1023, 1024, 1025, 5000};
	const char *path = fixture_path(*state, "key");
	uint8_t bytes[5000] = {0};
	struct key *key = NULL;

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		fixture_write(path, bytes, sizes[i], 0600);
		assert_int_equal(read_key_file(path, &key), -EINVAL);
		assert_null(key);
	}
}

static void test_modes(void **state)
{
	static const mode_t bad[] = {0604, 0640, 0644, 0660, 0666, 0602, 0620, 0601, 0610, 0777};
	static const mode_t good[] = {0600, 0400, 0700};
	const char *path = fixture_path(*state, "key");
	uint8_t bytes[32] = {1};
	struct key *key = NULL;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		fixture_write(path, bytes, sizeof(bytes), bad[i]);
		assert_int_equal(read_key_file(path, &key), -EPERM);
		assert_int_equal(read_passphrase_file(path, &key), -EPERM);
		assert_null(key);
	}
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		fixture_write(path, bytes, sizeof(bytes), good[i]);
		assert_int_equal(read_key_file(path, &key), 0);
		key = key_free(key);
	}
}

static void test_errors_of_the_file(void **state)
{
	struct fixture *fixture = *state;
	struct key *key = NULL;

	assert_int_equal(read_key_file(fixture_path(fixture, "absent"), &key), -ENOENT);
	assert_int_equal(read_key_file(fixture_path(fixture, "absent/key"), &key), -ENOENT);
	assert_int_equal(read_key_file(fixture->folder, &key), -EISDIR);
	assert_int_equal(read_passphrase_file(fixture_path(fixture, "absent"), &key), -ENOENT);
	assert_null(key);
}

/* A pipe, as the shell's <(...) makes one: bytes come in pieces, and there is no mode to check. */
static void test_key_from_a_pipe(void **state)
{
	uint8_t bytes[32];
	char path[64];
	KEY_AUTO *key = NULL;
	int fds[2];
	pid_t pid;

	(void)state;
	fixture_fill(bytes, sizeof(bytes), 8);
	assert_int_equal(pipe(fds), 0);
	pid = fork();
	if (pid == 0) {
		close(fds[0]);
		if (write(fds[1], bytes, 10) != 10 || usleep(20000) || write(fds[1], bytes + 10, 22) != 22)
			_exit(1);
		_exit(0);
	}
	close(fds[1]);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fds[0]);
	assert_int_equal(read_key_file(path, &key), 0);
	assert_memory_equal(key->bytes, bytes, 32);
	close(fds[0]);
	waitpid(pid, NULL, 0);
}

static void test_passphrase_file(void **state)
{
	static const struct {
		const char *text;
		const char *passphrase;
	} cases[] = {
		{"secret", "secret"},     {"secret\n", "secret"}, {"secret\n\n", "secret"},
		{"two words ", "two words "}, {" \n", " "},        {"a\nb\n", "a"},
		{"tr\xc3\xa4umen\n", "tr\xc3\xa4umen"},
	};
	const char *path = fixture_path(*state, "pass");

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		KEY_AUTO *key = NULL;

		fixture_write(path, cases[i].text, strlen(cases[i].text), 0600);
		assert_int_equal(read_passphrase_file(path, &key), 0);
		assert_int_equal(key->kind, KEY_PASSPHRASE);
		assert_int_equal(key->size, strlen(cases[i].passphrase));
		assert_memory_equal(key->bytes, cases[i].passphrase, key->size);
	}
}

static void test_passphrase_sizes(void **state)
{
	const char *path = fixture_path(*state, "pass");
	struct key *key = NULL;
	char text[3000];

	memset(text, 'p', sizeof(text));
	fixture_write(path, "", 0, 0600);
	assert_int_equal(read_passphrase_file(path, &key), -EINVAL);
	fixture_write(path, "\n", 1, 0600);
	assert_int_equal(read_passphrase_file(path, &key), -EINVAL);
	fixture_write(path, text, KEY_PASSPHRASE_BYTES + 1, 0600);
	assert_int_equal(read_passphrase_file(path, &key), -EINVAL);
	fixture_write(path, text, sizeof(text), 0600);
	assert_int_equal(read_passphrase_file(path, &key), -EINVAL);
	assert_null(key);
	fixture_write(path, text, KEY_PASSPHRASE_BYTES - 1, 0600);
	assert_int_equal(read_passphrase_file(path, &key), 0);
	assert_int_equal(key->size, KEY_PASSPHRASE_BYTES - 1);
	key = key_free(key);
	text[3] = '\n'; /* the first line alone counts, however much follows */
	fixture_write(path, text, sizeof(text), 0600);
	assert_int_equal(read_passphrase_file(path, &key), 0);
	assert_int_equal(key->size, 3);
	key = key_free(key);
	fixture_write(path, "\nsecret\n", 8, 0600);
	assert_int_equal(read_passphrase_file(path, &key), -EINVAL);
	assert_null(key);
}

static void test_key_file_counts_first(void **state)
{
	const char *key_path = fixture_path(*state, "key"), *pass_path = fixture_path(*state, "pass");
	uint8_t bytes[32] = {9};
	KEY_AUTO *key = NULL;

	fixture_write(key_path, bytes, sizeof(bytes), 0600);
	fixture_write(pass_path, "pass", 4, 0600);
	assert_int_equal(key_read(&(struct key_source){.key_file = key_path, .passphrase_file = pass_path}, &key), 0);
	assert_int_equal(key->kind, KEY_FILE);
}

static void test_credential(void **state)
{
	struct fixture *fixture = *state;
	uint8_t bytes[32];
	KEY_AUTO *key = NULL;
	bool made = true;

	fixture_fill(bytes, sizeof(bytes), 10);
	fixture_write(fixture_path(fixture, "hushfs.key"), bytes, sizeof(bytes), 0400);
	setenv("CREDENTIALS_DIRECTORY", fixture->folder, 1);
	assert_int_equal(key_read(&(struct key_source){0}, &key), 0);
	assert_int_equal(key->kind, KEY_FILE);
	assert_memory_equal(key->bytes, bytes, 32);
	key = key_free(key);
	assert_int_equal(key_read_new(&(struct key_source){0}, &key, &made), 0);
	assert_false(made);
	assert_memory_equal(key->bytes, bytes, 32);
	unsetenv("CREDENTIALS_DIRECTORY");
}

/* What can't be looked at is not taken for absent, and made. */
static void test_key_file_that_cannot_be_there(void **state)
{
	struct fixture *fixture = *state;
	KEY_AUTO *key = NULL;
	bool made = true;

	fixture_write(fixture_path(fixture, "file"), "x", 1, 0600);
	assert_int_equal(key_read_new(&(struct key_source){.key_file = fixture_path(fixture, "file/key")}, &key, &made), -ENOTDIR);
	assert_false(made);
	assert_null(key);
}

/* In a session of its own a process has no terminal to ask. */
static void test_no_source_and_no_terminal(void **state)
{
	int status;
	pid_t pid;

	(void)state;
	pid = fork();
	if (pid == 0) {
		static char endless[PATH_MAX];
		struct key *key = NULL;
		bool made;

		unsetenv("CREDENTIALS_DIRECTORY");
		setsid();
		if (secmem_init(1024 * 1024) < 0)
			_exit(2);
		if (key_read(&(struct key_source){0}, &key) != -ENOKEY)
			_exit(3);
		if (key_read_new(&(struct key_source){0}, &key, &made) != -ENOKEY)
			_exit(4);
		/* nor is there a credential in a folder without one, or with a name that no folder can have */
		setenv("CREDENTIALS_DIRECTORY", "/", 1);
		if (key_read(&(struct key_source){0}, &key) != -ENOKEY)
			_exit(6);
		memset(endless, 'x', sizeof(endless) - 1);
		setenv("CREDENTIALS_DIRECTORY", endless, 1);
		if (key_read(&(struct key_source){0}, &key) != -ENOKEY)
			_exit(7);
		_exit(key == NULL && secmem_in_use() == 0 ? 0 : 5);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* A file that is a disk's; and signals while it is read. */
static void test_failing_reads(void **state)
{
	const char *path = fixture_path(*state, "key");
	static const uint8_t bytes[32] = {1, 2, 3};
	struct key *key = NULL;

	fixture_write(path, bytes, sizeof(bytes), 0600);
	failing.fstat = EIO; /* who may read it is not known then */
	assert_int_equal(read_key_file(path, &key), -EIO);
	failing.fstat = 0;
	failing.read = EIO;
	assert_int_equal(read_key_file(path, &key), -EIO);
	assert_null(key);
	failing.read = 0;
	failing.interrupts = 3;
	assert_int_equal(read_key_file(path, &key), 0);
	assert_int_equal(failing.interrupts, 0);
	assert_memory_equal(key->bytes, bytes, sizeof(bytes));
	key_free(key);
}

#define OTHER_PASSPHRASE 97 /* than is typed in most cases */

static void ask_in_child(bool full)
{
	struct key *key = NULL;
	int r;

	unsetenv("CREDENTIALS_DIRECTORY");
	if (secmem_init(1024 * 1024) < 0)
		_exit(99);
	if (full)
		for (size_t size = 1024 * 1024; size >= 64; size /= 2)
			while (secmem_alloc(size)) {
			}
	r = key_read(&(struct key_source){0}, &key);
	if (r < 0)
		_exit(key ? 98 : -r);
	_exit(key->kind == KEY_PASSPHRASE && key->size == 6 && memcmp(key->bytes, "typed!", 6) == 0 ? 0 : OTHER_PASSPHRASE);
}

/* Is echo on, and does the terminal send signals? */
static bool is_as_it_was(int terminal)
{
	struct termios now;

	fixture_must(tcgetattr(terminal, &now) == 0);
	return (now.c_lflag & ECHO) && (now.c_lflag & ISIG);
}

/* Wait until @pid waits for what is typed: a signal that comes between the prompt and that is heard with the next character only. */
static void await_reading(pid_t pid)
{
	char path[64];
	long call = -1;

	snprintf(path, sizeof(path), "/proc/%d/syscall", (int)pid);
	while (call != SYS_read) {
		FILE *file = fopen(path, "r");

		fixture_must(file);
		if (fscanf(file, "%ld", &call) != 1)
			call = -1; /* it runs */
		fclose(file);
	}
}

/* What comes of asking at a terminal where @typed is typed, as a positive errno, or 128 and the number of the signal. What it shows goes to
 * @ret_shown. */
static int ask(const char *typed, bool full, char *ret_shown, size_t size)
{
	size_t at = 0;
	bool done = false;
	int terminal, status;
	ssize_t n;
	pid_t pid = forkpty(&terminal, NULL, NULL, NULL);

	fixture_must(pid >= 0);
	if (pid == 0)
		ask_in_child(full);
	while (at < size - 1 && (n = __real_read(terminal, ret_shown + at, size - 1 - at)) > 0) {
		at += (size_t)n;
		ret_shown[at] = '\0';
		if (!done && strstr(ret_shown, "Passphrase of the store: ")) {
			await_reading(pid);
			fixture_must(write(terminal, typed, strlen(typed)) == (ssize_t)strlen(typed));
			done = true;
		}
	}
	close(terminal);
	fixture_must(waitpid(pid, &status, 0) == pid);
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* It is not shown; ^C and ^\\, nothing at all, or a terminal that goes away, give none. ^C doesn't wait for the end of the line. */
static void test_terminal(void **state)
{
	static const struct {
		const char *typed;
		int readpassphrase;
		bool full;
		int expected;
		const char *shown;
	} cases[] = {
		{"typed!\n", 0, false, 0, "Passphrase of the store: "},
		{"typed\x03", 0, false, 128 + SIGINT, "Passphrase of the store: \r\n"},
		{"typed\x1c\n", 0, false, 128 + SIGQUIT, "Passphrase of the store: \r\n"},
		{"\n", 0, false, EINVAL, "the passphrase is empty"},
		{"\x04", 0, false, EINVAL, "the passphrase is empty"},
		{"typed!\n", EIO, false, EIO, "no passphrase: Input/output error"},
		{"", ENOTTY, false, ENOKEY, "no key: give a key file"},
		{"", 0, true, ENOMEM, "no locked memory left for the key"},
	};
	char shown[4096] = "", line[KEY_PASSPHRASE_BYTES + 2];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		failing.readpassphrase = cases[i].readpassphrase;
		assert_int_equal(ask(cases[i].typed, cases[i].full, shown, sizeof(shown)), cases[i].expected);
		failing.readpassphrase = 0;
		assert_non_null(strstr(shown, cases[i].shown));
		assert_null(strstr(shown, "typed"));
	}
	for (int more = 0; more <= 1; more++) {
		memset(line, 'x', sizeof(line));
		memcpy(line + KEY_PASSPHRASE_BYTES - 1 + more, "\n", 2);
		assert_int_equal(ask(line, false, shown, sizeof(shown)), more ? EINVAL : OTHER_PASSPHRASE);
		assert_int_equal(strstr(shown, "terminal: too long for a passphrase (1023 bytes at most)") != NULL, more);
	}
}

static void await_prompt(int terminal, pid_t pid)
{
	char shown[4096] = "";
	size_t at = 0;

	while (!strstr(shown, "Passphrase of the store: ")) {
		ssize_t n = __real_read(terminal, shown + at, sizeof(shown) - 1 - at);

		fixture_must(n > 0);
		at += (size_t)n;
		shown[at] = '\0';
	}
	await_reading(pid);
}

/* A signal that ends or stops it: echo is on again by then. Who goes on is asked again. */
static void test_terminal_and_signals(void **state)
{
	static const int ends[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT};
	int terminal, status;
	pid_t pid;

	(void)state;
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		pid = forkpty(&terminal, NULL, NULL, NULL);
		fixture_must(pid >= 0);
		if (pid == 0) {
			signal(ends[i], SIG_DFL);
			ask_in_child(false);
		}
		await_prompt(terminal, pid);
		assert_false(is_as_it_was(terminal));
		assert_int_equal(kill(pid, ends[i]), 0);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFSIGNALED(status) && WTERMSIG(status) == ends[i]);
		assert_true(is_as_it_was(terminal));
		close(terminal);
	}
	pid = forkpty(&terminal, NULL, NULL, NULL);
	fixture_must(pid >= 0);
	if (pid == 0) {
		signal(SIGTSTP, SIG_IGN); /* it leads a session that nobody could wake it in */
		ask_in_child(false);
	}
	await_prompt(terminal, pid);
	assert_int_equal(write(terminal, "typed\x1a", 6), 6);
	await_prompt(terminal, pid);
	assert_int_equal(write(terminal, "typed!\n", 7), 7);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	close(terminal);
}

static void test_new_key_file_is_made(void **state)
{
	const char *path = fixture_path(*state, "new"), *path2 = fixture_path(*state, "new2");
	KEY_AUTO *key = NULL, *again = NULL, *other = NULL;
	mode_t mask = umask(0);
	bool made = false;
	struct stat st;

	assert_int_equal(key_read_new(&(struct key_source){.key_file = path}, &key, &made), 0);
	umask(mask);
	assert_true(made);
	assert_int_equal(key->kind, KEY_FILE);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, 32);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(key_read_new(&(struct key_source){.key_file = path}, &again, &made), 0);
	assert_false(made); /* there it is: it is read, not replaced */
	assert_memory_equal(key->bytes, again->bytes, 32);
	assert_int_equal(key_read_new(&(struct key_source){.key_file = path2}, &other, &made), 0);
	assert_memory_not_equal(key->bytes, other->bytes, 32);
}

static void test_new_key_file_errors(void **state)
{
	struct fixture *fixture = *state;
	const char *link = fixture_path(fixture, "dangling");
	struct key *key = NULL;
	bool made = true;

	assert_int_equal(
		key_read_new(&(struct key_source){.key_file = fixture_path(fixture, "no/folder")}, &key, &made), -ENOENT);
	assert_false(made);
	assert_int_equal(symlink(fixture_path(fixture, "elsewhere"), link), 0);
	assert_int_equal(key_read_new(&(struct key_source){.key_file = link}, &key, &made), -EEXIST);
	assert_int_equal(access(fixture_path(fixture, "elsewhere"), F_OK), -1);
	fixture_write(fixture_path(fixture, "short"), "short", 5, 0600);
	assert_int_equal(key_read_new(&(struct key_source){.key_file = fixture_path(fixture, "short")}, &key, &made),
			 -EINVAL);
	assert_false(made);
	assert_null(key);
}

static void test_full_arena(void **state)
{
	const char *path = fixture_path(*state, "key");
	uint8_t bytes[32] = {1};
	SECBUF_AUTO text = {0};
	struct key *key = NULL;
	void *all[4096];
	size_t n = 0;
	bool made;

	fixture_write(path, bytes, sizeof(bytes), 0600);
	for (size_t size = FIXTURE_ARENA_BYTES; size >= sizeof(*key) / 2; size /= 2)
		while (n < 4096 && (all[n] = secmem_alloc(size)))
			n++;
	assert_int_equal(read_key_file(path, &key), -ENOMEM);
	assert_int_equal(key_read_new(&(struct key_source){.key_file = fixture_path(*state, "new")}, &key, &made),
			 -ENOMEM);
	assert_int_equal(access(fixture_path(*state, "new"), F_OK), -1);
	assert_int_equal(key_text_write(&(struct key){KEY_PASSPHRASE, 1, "x"}, &text), -ENOMEM);
	assert_int_equal(text.size, 0);
	while (n)
		secmem_free(all[--n]);
	assert_null(key);
}

/* What is written is read, whatever is in it: also a key that begins or ends with a newline, the longest passphrase. */
static void test_as_text(void **state)
{
	static const struct key keys[] = {
		{KEY_FILE, 32, "\n\0 2345678901234567890123456789\n"},
		{KEY_PASSPHRASE, 1, "x"},
		{KEY_PASSPHRASE, 5, "key\n\n"},
		{KEY_PASSPHRASE, 1, "\n"},
	};
	struct key *longest = fixture_key();

	(void)state;
	longest->kind = KEY_PASSPHRASE;
	longest->size = KEY_PASSPHRASE_BYTES - 1;
	for (size_t i = 0; i <= sizeof(keys) / sizeof(keys[0]); i++) {
		const struct key *given = i ? &keys[i - 1] : longest;
		SECBUF_AUTO text = {0};
		KEY_AUTO *key = NULL;

		assert_int_equal(key_text_write(given, &text), 0);
		assert_true(text.size <= KEY_TEXT_BYTES);
		assert_int_equal(key_text_read(&text, &key), 0);
		assert_memory_equal(key, given, sizeof(*key));
	}
	key_free(longest);
}

static void test_no_key_as_text(void **state)
{
	static const char *const texts[] = {"",
					    "key-file",
					    "key-file\n",
					    "key-file\n1234567890123456789012345678901",
					    "key-file\n123456789012345678901234567890123",
					    "key-file \n12345678901234567890123456789012",
					    "12345678901234567890123456789012",
					    "passphrase",
					    "passphrase\n",
					    "passphrase\n\n",
					    "Passphrase\nx",
					    "\npassphrase\nx"};
	SECBUF_AUTO text = {0};
	struct key *key = NULL;

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		secbuf_resize(&text, 0);
		assert_int_equal(secbuf_write(&text, 0, texts[i], strlen(texts[i])), 0);
		assert_int_equal(key_text_read(&text, &key), -EINVAL);
	}
	secbuf_resize(&text, 0);
	assert_int_equal(secbuf_write(&text, 0, "passphrase\n", 11), 0);
	assert_int_equal(secbuf_resize(&text, 11 + KEY_PASSPHRASE_BYTES), 0);
	assert_int_equal(key_text_read(&text, &key), -EINVAL);
	assert_null(key);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_key_file),
		TEST(test_key_file_sizes),
		TEST(test_modes),
		TEST(test_errors_of_the_file),
		TEST(test_key_from_a_pipe),
		TEST(test_passphrase_file),
		TEST(test_passphrase_sizes),
		TEST(test_key_file_counts_first),
		TEST(test_credential),
		TEST(test_key_file_that_cannot_be_there),
		TEST(test_no_source_and_no_terminal),
		TEST(test_failing_reads),
		TEST(test_terminal),
		TEST(test_terminal_and_signals),
		TEST(test_new_key_file_is_made),
		TEST(test_new_key_file_errors),
		TEST(test_full_arena),
		TEST(test_as_text),
		TEST(test_no_key_as_text),
	};

	return cmocka_run_group_tests(tests, fixture_group_setup, fixture_group_teardown);
}
