/* SPDX-License-Identifier: Apache-2.0
 * test_crypto: the primitives do what their header says, and refuse what is not as it was sealed.
 */
#include "tests/unit/cmocka_all.h"
#include "tests/unit/fixture.h"

#include "store/crypto.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdarg.h>
#include <string.h>
#include <sys/resource.h>

static const uint8_t key[CRYPTO_KEY_BYTES] = "an example key, thirty-two bytes";
static const uint8_t other_key[CRYPTO_KEY_BYTES] = "an other key, of thirty-two byte";
static const uint8_t nonce_key[CRYPTO_KEY_BYTES] = "nonces are hedged with this key.";

/* In each way that there is, which must all be of the same opinion. */
static int open_sealed(uint8_t *ret_plain, const uint8_t *with, const void *ad, size_t ad_bytes, const uint8_t *sealed, size_t size)
{
	size_t plain_bytes = size < CRYPTO_SEAL_OVERHEAD ? 0 : size - CRYPTO_SEAL_OVERHEAD;
	uint8_t *plain = malloc(plain_bytes + 1);
	int r = crypto_open(ret_plain, with, ad, ad_bytes, sealed, size);

	memset(plain, 1, plain_bytes);
	assert_int_equal(crypto_verify(with, ad, ad_bytes, sealed, size), r);
	assert_int_equal(crypto_open_long(plain, with, ad, ad_bytes, sealed, size), r);
	assert_memory_equal(plain, ret_plain, plain_bytes);
	free(plain);
	return r;
}

static void test_seal_opens(void **state)
{
	static const size_t sizes[] = {0, 1, 15, 16, 17, 63, 64, 65, 127, 255, 256, 288, 511, 512, 513, 1023, 1025, 4096, 65536, 100001};

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		uint8_t *plain = malloc(sizes[i] + 1), *opened = malloc(sizes[i] + 1);
		uint8_t *sealed = malloc(sizes[i] + CRYPTO_SEAL_OVERHEAD);

		fixture_fill(plain, sizes[i], i);
		crypto_seal(sealed, key, nonce_key, "ad", 2, plain, sizes[i]);
		assert_int_equal(open_sealed(opened, key, "ad", 2, sealed, sizes[i] + CRYPTO_SEAL_OVERHEAD), 0);
		assert_memory_equal(plain, opened, sizes[i]);
		assert_int_equal(crypto_seal_long(sealed, key, nonce_key, "ad", 2, plain, sizes[i], "known", 5), 0);
		memset(opened, 1, sizes[i]);
		assert_int_equal(open_sealed(opened, key, "ad", 2, sealed, sizes[i] + CRYPTO_SEAL_OVERHEAD), 0);
		assert_memory_equal(plain, opened, sizes[i]);
		free(plain);
		free(opened);
		free(sealed);
	}
}

static void test_every_bit_counts(void **state)
{
	uint8_t sealed[100 + CRYPTO_SEAL_OVERHEAD], plain[100], ad[20];
	static const uint8_t zeros[100];

	(void)state;
	fixture_fill(plain, sizeof(plain), 1);
	fixture_fill(ad, sizeof(ad), 2);
	crypto_seal(sealed, key, nonce_key, ad, sizeof(ad), plain, sizeof(plain));
	for (size_t bit = 0; bit < sizeof(sealed) * 8; bit++) {
		sealed[bit / 8] ^= (uint8_t)(1 << bit % 8);
		memset(plain, 1, sizeof(plain));
		assert_int_equal(open_sealed(plain, key, ad, sizeof(ad), sealed, sizeof(sealed)), -EBADMSG);
		assert_memory_equal(plain, zeros, sizeof(plain));
		sealed[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	for (size_t bit = 0; bit < sizeof(ad) * 8; bit++) {
		ad[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_equal(open_sealed(plain, key, ad, sizeof(ad), sealed, sizeof(sealed)), -EBADMSG);
		ad[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	assert_int_equal(open_sealed(plain, other_key, ad, sizeof(ad), sealed, sizeof(sealed)), -EBADMSG);
	assert_int_equal(open_sealed(plain, key, ad, sizeof(ad) - 1, sealed, sizeof(sealed)), -EBADMSG);
	assert_int_equal(open_sealed(plain, key, ad, sizeof(ad), sealed, sizeof(sealed) - 1), -EBADMSG);
	assert_int_equal(open_sealed(plain, key, ad, sizeof(ad), sealed, sizeof(sealed)), 0);
}

static void test_short_is_refused(void **state)
{
	uint8_t sealed[CRYPTO_SEAL_OVERHEAD] = {0}, plain[1];

	(void)state;
	for (size_t size = 0; size <= sizeof(sealed); size++)
		assert_int_equal(open_sealed(plain, key, NULL, 0, sealed, size), -EBADMSG);
}

static void test_nonces_differ(void **state)
{
	enum { N = 1000 };
	static uint8_t sealed[N][1 + CRYPTO_SEAL_OVERHEAD];

	(void)state;
	for (int i = 0; i < N; i++)
		crypto_seal(sealed[i], key, nonce_key, NULL, 0, "x", 1);
	for (int i = 0; i < N; i++)
		for (int j = 0; j < i; j++)
			assert_memory_not_equal(sealed[i], sealed[j], CRYPTO_NONCE_BYTES);
}

static void test_subkeys_differ(void **state)
{
	uint8_t a[CRYPTO_KEY_BYTES], b[CRYPTO_KEY_BYTES];

	(void)state;
	crypto_subkey(a, key, 1, "hushroot");
	crypto_subkey(b, key, 1, "hushroot");
	assert_memory_equal(a, b, sizeof(a));
	crypto_subkey(b, key, 2, "hushroot");
	assert_memory_not_equal(a, b, sizeof(a));
	crypto_subkey(b, key, 1, "hushslot");
	assert_memory_not_equal(a, b, sizeof(a));
	crypto_subkey(b, other_key, 1, "hushroot");
	assert_memory_not_equal(a, b, sizeof(a));
}

/* Parts are concatenated and nothing else. */
static void test_keyed_hash_of_parts(void **state)
{
	const struct iovec whole[] = {{(void *)"abcdef", 6}};
	const struct iovec parts[] = {{(void *)"ab", 2}, {(void *)"", 0}, {(void *)"cdef", 4}};
	uint8_t a[64], b[64];

	(void)state;
	for (size_t bytes = 16; bytes <= 64; bytes += 16) {
		crypto_keyed_hash(a, bytes, key, whole, 1);
		crypto_keyed_hash(b, bytes, key, parts, 3);
		assert_memory_equal(a, b, bytes);
		crypto_keyed_hash(b, bytes, other_key, parts, 3);
		assert_memory_not_equal(a, b, bytes);
		crypto_keyed_hash(b, bytes, key, parts, 2);
		assert_memory_not_equal(a, b, bytes);
	}
}

static void test_set_is_order_free(void **state)
{
	uint8_t hashes[20][CRYPTO_HASH_BYTES], a[CRYPTO_HASH_BYTES] = {0}, b[CRYPTO_HASH_BYTES] = {0};
	static const uint8_t empty[CRYPTO_HASH_BYTES];

	(void)state;
	fixture_fill(hashes, sizeof(hashes), 3);
	memset(hashes[0], 0xff, sizeof(hashes[0])); /* so that a carry runs out at the top */
	for (int i = 0; i < 20; i++)
		crypto_set_add(a, hashes[i]);
	for (int i = 20; i-- > 0;)
		crypto_set_add(b, hashes[i]);
	assert_memory_equal(a, b, sizeof(a));
	crypto_set_add(b, hashes[5]); /* a multiset: twice is not once */
	assert_memory_not_equal(a, b, sizeof(a));
	crypto_set_remove(b, hashes[5]);
	assert_memory_equal(a, b, sizeof(a));
	for (int i = 0; i < 20; i++)
		crypto_set_remove(a, hashes[(i * 7) % 20]);
	assert_memory_equal(a, empty, sizeof(a));
}

static void test_equal(void **state)
{
	(void)state;
	assert_true(crypto_equal("abc", "abd", 2));
	assert_false(crypto_equal("abc", "abd", 3));
	assert_true(crypto_equal("a", "b", 0));
}

static void test_passphrase_key(void **state)
{
	static const uint8_t salt[CRYPTO_SALT_BYTES] = "0123456789abcde", salt2[CRYPTO_SALT_BYTES] = "x";
	uint8_t a[CRYPTO_KEY_BYTES], b[CRYPTO_KEY_BYTES];

	(void)state;
	assert_int_equal(crypto_passphrase_key(a, "pass", 4, salt, 1, 8), 0);
	assert_int_equal(crypto_passphrase_key(b, "pass", 4, salt, 1, 8), 0);
	assert_memory_equal(a, b, sizeof(a));
	assert_int_equal(crypto_passphrase_key(b, "pasS", 4, salt, 1, 8), 0);
	assert_memory_not_equal(a, b, sizeof(a));
	assert_int_equal(crypto_passphrase_key(b, "pass", 4, salt2, 1, 8), 0);
	assert_memory_not_equal(a, b, sizeof(a));
	assert_int_equal(crypto_passphrase_key(b, "pass", 4, salt, 2, 8), 0);
	assert_memory_not_equal(a, b, sizeof(a));
	assert_int_equal(crypto_passphrase_key(b, "pass", 4, salt, 1, 16), 0);
	assert_memory_not_equal(a, b, sizeof(a));
}

/* Argon2id touches all the memory that it takes: a peak that has not grown shows that none was taken. */
static void test_passphrase_bounds(void **state)
{
	static const uint32_t bad[][2] = {
		{0, 8},
		{CRYPTO_ARGON2_PASSES_MAX + 1, 8},
		{UINT32_MAX, 8},
		{1, 0},
		{1, 7},
		{1, CRYPTO_ARGON2_KIB_MAX + 1},
		{1, 4u * 1024 * 1024},
		{1, UINT32_MAX},
		{0, 0},
		{UINT32_MAX, UINT32_MAX},
	};
	static const uint8_t salt[CRYPTO_SALT_BYTES];
	uint8_t out[CRYPTO_KEY_BYTES];
	struct rusage before, after;

	(void)state;
	getrusage(RUSAGE_SELF, &before);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(crypto_passphrase_key(out, "p", 1, salt, bad[i][0], bad[i][1]), -EINVAL);
	getrusage(RUSAGE_SELF, &after);
	assert_true(after.ru_maxrss - before.ru_maxrss < 1024);
}

/* Every bit of the input and of both keys counts, and how many zeros there are at its end. (Of the first half of the second key some bits
 * are left out by Poly1305.) */
static void test_long_hash(void **state)
{
	static const uint8_t zeros[100];
	uint8_t bytes[100], sum_key[CRYPTO_KEY_BYTES], expected[32], other[32];

	(void)state;
	fixture_fill(bytes, sizeof(bytes), 3);
	memcpy(sum_key, other_key, sizeof(sum_key));
	crypto_long_hash(expected, 32, key, sum_key, bytes, sizeof(bytes));
	for (size_t bit = 0; bit < sizeof(bytes) * 8; bit++) {
		bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
		crypto_long_hash(other, 32, key, sum_key, bytes, sizeof(bytes));
		bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_memory_not_equal(other, expected, 32);
	}
	for (size_t i = 0; i < sizeof(sum_key); i++) {
		sum_key[i] ^= 4; /* not one of those that are left out */
		crypto_long_hash(other, 32, key, sum_key, bytes, sizeof(bytes));
		sum_key[i] ^= 4;
		assert_memory_not_equal(other, expected, 32);
	}
	crypto_long_hash(other, 32, other_key, sum_key, bytes, sizeof(bytes));
	assert_memory_not_equal(other, expected, 32);
	crypto_long_hash(other, 32, key, sum_key, bytes, sizeof(bytes));
	assert_memory_equal(other, expected, 32);
	crypto_long_hash(expected, 32, key, sum_key, NULL, 0);
	for (size_t size = 1; size <= sizeof(zeros); size++) {
		crypto_long_hash(other, 32, key, sum_key, zeros, size);
		assert_memory_not_equal(other, expected, 32);
		memcpy(expected, other, sizeof(expected));
	}
}

/* libsodium's, or what it does without random numbers. */
static int (*without_random)(void);

int __real_sodium_init(void);
int __wrap_sodium_init(void);
int __wrap_sodium_init(void)
{
	return without_random ? without_random() : __real_sodium_init();
}

static int fails(void)
{
	return -1;
}

static int ends_the_process(void)
{
	sodium_misuse();
	return 0;
}

static void assert_init_ends(void (*init)(const void *context), const void *context, const char *expected)
{
	char line[200];

	assert_int_equal(fixture_status_of(init, context), 1);
	fixture_heard(line, sizeof(line));
	assert_string_equal(line, expected);
}

static void init_without_random(const void *way)
{
	without_random = *(int (*const *)(void))way;
	crypto_init();
}

static void test_without_a_source_of_random_numbers(void **state)
{
	static int (*const ways[])(void) = {fails, ends_the_process};

	(void)state;
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++)
		assert_init_ends(init_without_random, &ways[i],
				 "hushfs: no random numbers are to be had: it takes getrandom(2), or /dev/urandom\n");
}

/* libc's; there is no descriptor to be had, once, if it is told so. */
static bool no_descriptor;

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...)
{
	mode_t mode = 0;
	va_list args;

	errno = EMFILE;
	if (no_descriptor) {
		no_descriptor = false; /* gcov wants to write when the process ends */
		return -1;
	}
	if (flags & O_CREAT) {
		va_start(args, flags);
		mode = va_arg(args, mode_t);
		va_end(args);
	}
	return __real_open(path, flags, mode);
}

static void init_without_descriptor(const void *context)
{
	(void)context;
	no_descriptor = true;
	crypto_init();
}

static void test_without_a_descriptor(void **state)
{
	(void)state;
	assert_init_ends(init_without_descriptor, NULL, "hushfs: cannot start libgcrypt: Too many open files: raise the limit (ulimit -n)\n");
}

static void test_random_is_not_constant(void **state)
{
	uint8_t a[32] = {0}, b[32] = {0};

	(void)state;
	crypto_random(a, sizeof(a));
	crypto_random(b, sizeof(b));
	assert_memory_not_equal(a, b, sizeof(a));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_seal_opens),
		cmocka_unit_test(test_every_bit_counts),
		cmocka_unit_test(test_short_is_refused),
		cmocka_unit_test(test_long_hash),
		cmocka_unit_test(test_nonces_differ),
		cmocka_unit_test(test_subkeys_differ),
		cmocka_unit_test(test_keyed_hash_of_parts),
		cmocka_unit_test(test_set_is_order_free),
		cmocka_unit_test(test_equal),
		cmocka_unit_test(test_passphrase_key),
		cmocka_unit_test(test_passphrase_bounds),
		cmocka_unit_test(test_random_is_not_constant),
		cmocka_unit_test(test_without_a_source_of_random_numbers),
		cmocka_unit_test(test_without_a_descriptor),
	};

	return cmocka_run_group_tests(tests, fixture_group_setup, fixture_group_teardown);
}
