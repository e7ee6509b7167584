/* SPDX-License-Identifier: Apache-2.0
 * test_base64: RFC 4648's vectors, round trips, and where Go's decoder says a text is wrong.
 */
#include "tests/unit/cmocka_all.h"

#include "store/base64.h"
#include "tests/unit/fixture.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define UNTOUCHED 12345

static const struct {
	const char *bytes, *text;
} vectors[] = {
	{"", ""},
	{"f", "Zg=="},
	{"fo", "Zm8="},
	{"foo", "Zm9v"},
	{"foob", "Zm9vYg=="},
	{"fooba", "Zm9vYmE="},
	{"foobar", "Zm9vYmFy"},
	{"\xff\xef\xbe", "/+++"},
	{"\xfb\xff", "+/8="},
	{"\xff\xff\xff\xff", "/////w=="},
};

static void test_vectors(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(vectors); i++) {
		SECBUF_AUTO text = {0};
		SECBUF_AUTO bytes = {0};
		size_t at = UNTOUCHED;

		assert_int_equal(base64_encode(vectors[i].bytes, strlen(vectors[i].bytes), &text), 0);
		assert_int_equal(text.size, strlen(vectors[i].text));
		assert_memory_equal(text.data, vectors[i].text, text.size);
		assert_int_equal(base64_decode(vectors[i].text, strlen(vectors[i].text), &bytes, &at), 0);
		assert_int_equal(bytes.size, strlen(vectors[i].bytes));
		assert_memory_equal(bytes.data, vectors[i].bytes, bytes.size);
		assert_int_equal(at, UNTOUCHED);
	}
}

/* What is taken besides, all of it as "foob". */
static void test_breaks_and_left_over_bits(void **state)
{
	static const char *const texts[] = {
		"Zm9vYg==\n", "\nZm9vYg==", "Zm9v\nYg==\n", "Z\nm\n9\nv\nY\ng\n=\n=\n", "Zm9v\r\nYg==\r\n",
		"Zm9vYg=\r\n=", "Zm9v Yg==", " Zm9v\tYg== ", "Zm9vYg= =", "Zm9vYh==", "Zm9vYv==",
		"\n\n\n\nZm9vYg==\n\n\n\n\n",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(texts); i++) {
		SECBUF_AUTO bytes = {0};
		size_t at;

		assert_int_equal(base64_decode(texts[i], strlen(texts[i]), &bytes, &at), 0);
		assert_int_equal(bytes.size, 4);
		assert_memory_equal(bytes.data, "foob", 4);
	}
}

static void test_only_breaks_are_nothing(void **state)
{
	SECBUF_AUTO bytes = {0};
	size_t at;

	(void)state;
	assert_int_equal(base64_decode("\r\n \t\n", 5, &bytes, &at), 0);
	assert_int_equal(bytes.size, 0);
}

/* The offsets follow from decodeQuantum in Go's encoding/base64. */
static const struct {
	const char *text;
	size_t at;
} broken[] = {
	/* a character that isn't one */
	{"!", 0},
	{"Z!", 1},
	{"Zm!", 2},
	{"Zm9!", 3},
	{"Zm9v!m9v", 4},
	{"Zm9vZ!9v", 5},
	{"Zm9vZm!v", 6},
	{"Zm9vZm9!", 7},
	{"Zm9vZm9vZm9vZm9vZm9v!", 20},
	{"Zm9v\n!", 5},
	{"Zm\n9!", 4},
	{"Zg-_", 2}, /* base64url */
	{"_w==", 0},
	{"Zm9\x80", 3},
	{"Zm9\xc3\xbc", 3},
	{"Zm9v\v", 4}, /* no line break */
	{"data:", 4},

	/* it ends in a group: where that began */
	{"Z", 0},
	{"Zm", 0},
	{"Zm9", 0},
	{"Zm9vY", 4},
	{"Zm9vYg", 4},
	{"Zm9vYmE", 4},
	{"Zm9vYmFyZ", 8},
	{"Zm9vYg\n", 5}, /* the break counts, as Go has it */
	{"Zm9v\nYg", 5},
	{"Zm9vY\ng", 5},
	{"Zm9v\r\nYmE\r\n", 8},
	{"Zm9v Yg", 5},

	/* padding where none belongs */
	{"=", 0},
	{"==", 0},
	{"====", 0},
	{"Z=", 1},
	{"Z===", 1},
	{"Zm9v=", 4},
	{"Zm9v====", 4},
	{"Zm9vZ===", 5},
	{"Zm9v\n=", 5},
	{"Z\n=", 2},

	/* one "=" where two belong */
	{"Zg=", 3},
	{"Zm9vYg=", 7},
	{"Zm9vYg=\n", 8},
	{"Zm9vYg=\r\n \n", 11},
	{"Zg=g", 2},
	{"Zm9vYg=Yg", 6},
	{"Zg=!", 2},
	{"Zg=\n!", 3},

	/* something after the end */
	{"Zg==Zg==", 4},
	{"Zg==Z", 4},
	{"Zg===", 4},
	{"Zm8==", 4},
	{"Zm8=\nZ", 5},
	{"Zg==\n\nZg==", 6},
	{"Zm8=Zm8=", 4},
	{"Zg==!", 4},
	{"Zg=\n=\n!", 6},
};

static void test_broken(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(broken); i++) {
		SECBUF_AUTO bytes = {0};
		size_t at = UNTOUCHED;

		assert_int_equal(secbuf_write(&bytes, 0, "before", 6), 0);
		assert_int_equal(base64_decode(broken[i].text, strlen(broken[i].text), &bytes, &at), -EINVAL);
		if (at != broken[i].at)
			fail_msg("\"%s\": %zu, not %zu", broken[i].text, at, broken[i].at);
		assert_int_equal(bytes.size, 6); /* as it was */
		assert_memory_equal(bytes.data, "before", 6);
	}
}

static void test_nul_is_no_end(void **state)
{
	SECBUF_AUTO bytes = {0};
	size_t at;

	(void)state;
	assert_int_equal(base64_decode("Zm9v\0Zm9v", 9, &bytes, &at), -EINVAL);
	assert_int_equal(at, 4);
}

/* Random bytes of each size, also appended to what is there, with line breaks put in. */
static void test_round_trips(void **state)
{
	static uint8_t source[4096];
	static char broken_up[4096 * 2];
	uint64_t seed = 1;

	(void)state;
	for (size_t size = 0; size <= sizeof(source); size++) {
		SECBUF_AUTO text = {0};
		SECBUF_AUTO bytes = {0};
		size_t at, length = 0;

		fixture_fill(source, size, size);
		assert_int_equal(secbuf_write(&text, 0, "<", 1), 0);
		assert_int_equal(base64_encode(source, size, &text), 0);
		assert_int_equal(text.size, 1 + (size + 2) / 3 * 4);
		for (size_t i = 1; i < text.size; i++) {
			broken_up[length++] = (char)text.data[i];
			if (fixture_random(&seed, 60) == 0)
				broken_up[length++] = "\n\r \t"[fixture_random(&seed, 4)];
		}
		assert_int_equal(base64_decode((const char *)text.data + 1, text.size - 1, &bytes, &at), 0);
		assert_int_equal(base64_decode(broken_up, length, &bytes, &at), 0);
		assert_int_equal(bytes.size, 2 * size);
		if (size) {
			assert_memory_equal(bytes.data, source, size);
			assert_memory_equal(bytes.data + size, source, size);
		}
	}
}

static void test_short_of_memory(void **state)
{
	void *rest = secmem_alloc(FIXTURE_ARENA_BYTES - 64 - 128 - 8192);
	static char text[100000];
	SECBUF_AUTO buffer = {0};
	size_t at = UNTOUCHED;

	(void)state;
	memset(text, 'A', sizeof(text));
	assert_non_null(rest);
	assert_int_equal(secbuf_write(&buffer, 0, "before", 6), 0);
	assert_int_equal(base64_decode(text, sizeof(text), &buffer, &at), -ENOMEM);
	assert_int_equal(base64_encode(text, sizeof(text), &buffer), -ENOMEM);
	assert_int_equal(buffer.size, 6);
	assert_memory_equal(buffer.data, "before", 6);
	assert_int_equal(base64_decode(text, 1000, &buffer, &at), 0);
	assert_int_equal(base64_encode(text, SIZE_MAX - 2, &buffer), -ENOMEM);
	/* as long as there are numbers for */
	assert_int_equal(base64_decode(text, 4, &(struct secbuf){.size = SIZE_MAX - 1, .capacity = SIZE_MAX - 1}, &at), -ENOMEM);
	assert_int_equal(base64_encode(text, 3, &(struct secbuf){.size = SIZE_MAX - 1, .capacity = SIZE_MAX - 1}), -ENOMEM);
	secmem_free(rest);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vectors),
		cmocka_unit_test(test_breaks_and_left_over_bits),
		cmocka_unit_test(test_only_breaks_are_nothing),
		cmocka_unit_test(test_broken),
		cmocka_unit_test(test_nul_is_no_end),
		cmocka_unit_test(test_round_trips),
		cmocka_unit_test(test_short_of_memory),
	};

	return cmocka_run_group_tests(tests, fixture_group_setup, fixture_group_teardown);
}
