/* SPDX-License-Identifier: Apache-2.0
 * test_name: names that either of Kuma's rules accepts, and no others.
 */
#include "tests/unit/cmocka_all.h"

#include "store/name.h"

#include <errno.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void test_good(void **state)
{
	static const char *const good[] = {
		"a", "0", "web", "web-1", "default.ca-builtin-cert-ca-1", "a.b.c", "1.2.3", "a--b", "a-b.c-d",
		/* the rule of 2.1 */
		"-", "_", "a_b", "-a", "a-", "_a_", "--", "snake_case-and-dash", "0-", "user-token-signing-key-1",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(good); i++) {
		if (!name_is_valid(NAME_SECRET, good[i], strlen(good[i])))
			fail_msg("\"%s\" was refused", good[i]);
		assert_true(name_is_valid(NAME_GLOBAL_SECRET, good[i], strlen(good[i])));
		assert_true(name_is_valid(NAME_MESH, good[i], strlen(good[i])));
	}
}

static void test_bad(void **state)
{
	static const char *const bad[] = {
		"", ".", "..", "...", ".a", "a.", "a..b", "A", "aB", "a b", " a", "a ", "a/b", "/", "a\n", "a\t", "a:b",
		"a@b", "a+b", "\xc3\xa4", "a\x7f", "a~", "~a", "#a", ".hidden", "a.-b", "a-.b", "-a.b", "a.b-", "a_b.c",
		"a.b_c", "_.a", "a.tmp~", "a\\b", "a*", "a\x01", "4913.", "a,b", "A.b", "\xff",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++) {
		if (name_is_valid(NAME_SECRET, bad[i], strlen(bad[i])))
			fail_msg("\"%s\" was accepted", bad[i]);
		assert_false(name_is_valid(NAME_GLOBAL_SECRET, bad[i], strlen(bad[i])));
		assert_false(name_is_valid(NAME_MESH, bad[i], strlen(bad[i])));
	}
	assert_false(name_is_valid(NAME_SECRET, "a\0b", 3));
	assert_false(name_is_valid(NAME_SECRET, "\0", 1));
}

/* Every single byte, alone and between two letters. */
static void test_every_byte(void **state)
{
	(void)state;
	for (int c = 0; c < 256; c++) {
		char one[1] = {(char)c}, three[3] = {'a', (char)c, 'b'};
		bool alphanumeric = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
		bool plain = alphanumeric || c == '-' || c == '_';

		assert_int_equal(name_is_valid(NAME_SECRET, one, 1), plain);
		assert_int_equal(name_is_valid(NAME_SECRET, three, 3), plain || c == '.');
	}
}

static void test_no_nul_is_needed(void **state)
{
	(void)state;
	assert_true(name_is_valid(NAME_SECRET, "ab/c", 2));
	assert_true(name_is_valid(NAME_SECRET, "a.b.", 3));
	assert_false(name_is_valid(NAME_SECRET, "a.b.", 4));
}

static void test_lengths(void **state)
{
	char name[400];

	(void)state;
	memset(name, 'a', sizeof(name));
	assert_true(name_is_valid(NAME_SECRET, name, 253));
	assert_false(name_is_valid(NAME_SECRET, name, 254));
	assert_true(name_is_valid(NAME_GLOBAL_SECRET, name, 253));
	assert_false(name_is_valid(NAME_GLOBAL_SECRET, name, 254));
	assert_true(name_is_valid(NAME_MESH, name, 63));
	assert_false(name_is_valid(NAME_MESH, name, 64));
}

static void test_set(void **state)
{
	struct name name;
	char longest[400];

	(void)state;
	assert_int_equal(name_set(&name, NAME_SECRET, "default", "web"), 0);
	assert_int_equal(name.kind, NAME_SECRET);
	assert_string_equal(name.mesh, "default");
	assert_string_equal(name.name, "web");
	assert_int_equal(name_set(&name, NAME_GLOBAL_SECRET, "ignored", "web"), 0);
	assert_string_equal(name.mesh, "");
	assert_int_equal(name_set(&name, NAME_MESH, "ignored", "m"), 0);
	assert_string_equal(name.mesh, "");
	assert_string_equal(name.name, "m");
	assert_int_equal(name_set(&name, NAME_ROOT, "", ""), 0);
	assert_string_equal(name.name, "");

	memset(longest, 'b', sizeof(longest));
	longest[253] = 0;
	assert_int_equal(name_set(&name, NAME_SECRET, "default", longest), 0);
	assert_string_equal(name.name, longest);
}

static void test_set_refuses(void **state)
{
	struct name name, before;
	char longest[400];

	(void)state;
	assert_int_equal(name_set(&name, NAME_SECRET, "default", "web"), 0);
	before = name;
	memset(longest, 'b', sizeof(longest));
	longest[254] = 0;
	assert_int_equal(name_set(&name, NAME_SECRET, "default", longest), -EINVAL);
	assert_int_equal(name_set(&name, NAME_SECRET, "default", ""), -EINVAL);
	assert_int_equal(name_set(&name, NAME_SECRET, "", "web"), -EINVAL);
	assert_int_equal(name_set(&name, NAME_SECRET, "Default", "web"), -EINVAL);
	assert_int_equal(name_set(&name, NAME_SECRET, "default", "We"), -EINVAL);
	longest[64] = 0;
	assert_int_equal(name_set(&name, NAME_SECRET, longest, "web"), -EINVAL);
	assert_int_equal(name_set(&name, NAME_MESH, "", longest), -EINVAL);
	assert_int_equal(name_set(&name, NAME_MESH, "", ".."), -EINVAL);
	assert_memory_equal(&name, &before, sizeof(name)); /* untouched on failure */
}

static void test_equal(void **state)
{
	struct name a, b;

	(void)state;
	name_set(&a, NAME_SECRET, "m", "x");
	name_set(&b, NAME_SECRET, "m", "x");
	assert_true(name_equal(&a, &b));
	name_set(&b, NAME_SECRET, "n", "x");
	assert_false(name_equal(&a, &b));
	name_set(&b, NAME_SECRET, "m", "y");
	assert_false(name_equal(&a, &b));
	name_set(&a, NAME_GLOBAL_SECRET, "", "x");
	name_set(&b, NAME_MESH, "", "x");
	assert_false(name_equal(&a, &b));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_bad),
		cmocka_unit_test(test_every_byte),
		cmocka_unit_test(test_no_nul_is_needed),
		cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_set),
		cmocka_unit_test(test_set_refuses),
		cmocka_unit_test(test_equal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
