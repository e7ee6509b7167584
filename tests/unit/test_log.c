/* SPDX-License-Identifier: Apache-2.0
 * test_log: a line is one line, also when it is too long, and leaves errno as it was.
 */
#include "tests/unit/cmocka_all.h"
#include "tests/unit/fixture.h"

#include "store/log.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

/* What log_error of @text writes to stderr. */
static size_t logged(const char *text, char *ret_line, size_t room)
{
	fixture_listen();
	errno = ENOSPC;
	log_error("%s", text);
	fixture_must(errno == ENOSPC);
	return fixture_heard(ret_line, room);
}

static void test_line(void **state)
{
	char line[3 * PATH_MAX], text[2 * PATH_MAX];
	size_t size;

	(void)state;
	size = logged("a short one", line, sizeof(line));
	assert_true(size > 13 && memcmp(line + size - 13, " a short one\n", 13) == 0);
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	size = logged(text, line, sizeof(line));
	assert_int_equal(size, PATH_MAX + 1023); /* whatever stands behind a path is there */
	assert_memory_equal(line + size - 4, "xxx\n", 4);
	assert_ptr_equal(memchr(line, '\n', size), line + size - 1);
}

/* What would begin a line or command a terminal does not; all else is as it was, also the first byte of a character that was cut. */
static void test_printable(void **state)
{
	char text[] = "a\tb\n\x1b[31m \x7f \xc2\x80 \xc2\x9f \xc2\xa9 \xc3\xa9 \xc2 \xc2";

	(void)state;
	log_printable(text);
	assert_string_equal(text, "a?b??[31m ? ?? ?? \xc2\xa9 \xc3\xa9 \xc2 \xc2");
}

/* Nobody is left to be told, and it goes on. */
static void test_closed(void **state)
{
	int kept = dup(STDERR_FILENO);

	(void)state;
	close(STDERR_FILENO);
	errno = EIO;
	log_error("%s", "lost");
	assert_int_equal(errno, EIO);
	dup2(kept, STDERR_FILENO);
	close(kept);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_line), cmocka_unit_test(test_printable), cmocka_unit_test(test_closed)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
