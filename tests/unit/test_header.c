/* SPDX-License-Identifier: Apache-2.0
 * test_header: only the right key opens a header, and only one that nobody changed.
 *
 * Slots for passphrases are made here, from the layout, with Argon2id at its cheapest: that checks the layout
 * from outside header.c, and a case takes microseconds instead of half a second.
 */
#include "tests/unit/cmocka_all.h"
#include "tests/unit/fixture.h"

#include "store/bytes.h"
#include "store/header.h"

#include <errno.h>
#include <string.h>
#include <sys/resource.h>

enum {
	AT_VERSION = 8,
	AT_FEATURES = 12,
	AT_STORE_ID = 16,
	AT_EPOCH = 32,
	AT_SLOTS = 40,
	AT_MAC = HEADER_BYTES - CRYPTO_HASH_BYTES,
	SLOT_PASSES = 4,
	SLOT_MEMORY_KIB = 8,
	SLOT_SALT = 16,
	SLOT_COMMITMENT = 32,
	SLOT_WRAPPED = 64,
};

static struct key *passphrase(const char *text)
{
	struct key *key = secmem_alloc(sizeof(*key));

	fixture_must(key);
	key->kind = KEY_PASSPHRASE;
	key->size = strlen(text);
	memcpy(key->bytes, text, key->size);
	return key;
}

static void sign(struct header *header, const struct header_keys *keys)
{
	const struct iovec part = {header->bytes, AT_MAC};

	crypto_keyed_hash(header->bytes + AT_MAC, CRYPTO_HASH_BYTES, keys->header_mac, &part, 1);
}

/* Slot @number for a key, as the format has it. @named: the number that the slot is bound to. */
static void fill_slot(struct header *header, unsigned number, unsigned named, const struct header_keys *keys,
		      const struct key *key, uint32_t passes, uint32_t memory_kib)
{
	uint8_t *slot = header->bytes + AT_SLOTS + number * HEADER_SLOT_BYTES;
	uint8_t kek[CRYPTO_KEY_BYTES], wrap[CRYPTO_KEY_BYTES], commit[CRYPTO_KEY_BYTES];
	uint8_t ad[40] = "hushslot";
	const struct iovec parts[] = {{ad, sizeof(ad)}, {slot, SLOT_COMMITMENT}};

	memset(slot, 0, HEADER_SLOT_BYTES);
	slot[0] = (uint8_t)key->kind;
	crypto_random(slot + SLOT_SALT, CRYPTO_SALT_BYTES);
	if (key->kind == KEY_PASSPHRASE) {
		bytes_put32(slot + SLOT_PASSES, passes);
		bytes_put32(slot + SLOT_MEMORY_KIB, memory_kib);
		fixture_must(crypto_passphrase_key(kek, key->bytes, key->size, slot + SLOT_SALT, passes, memory_kib) ==
			     0);
	} else {
		memcpy(kek, key->bytes, sizeof(kek));
	}
	crypto_subkey(wrap, kek, 1, "hushslot");
	crypto_subkey(commit, kek, 2, "hushslot");
	memcpy(ad + 8, header->bytes + AT_STORE_ID, HEADER_STORE_ID_BYTES);
	memcpy(ad + 24, header->bytes + AT_EPOCH, 4);
	ad[28] = (uint8_t)named;
	crypto_keyed_hash(slot + SLOT_COMMITMENT, CRYPTO_HASH_BYTES, commit, parts, 2);
	crypto_seal(slot + SLOT_WRAPPED, wrap, keys->nonce, ad, sizeof(ad), keys->root, CRYPTO_KEY_BYTES);
	sign(header, keys);
}

/* What a store does with bytes it finds. */
static int open_bytes(const struct header *header, const struct key *key)
{
	struct header_keys *keys = NULL;
	unsigned slot;
	int r = header_check(header->bytes, sizeof(header->bytes), "test");

	if (r == 0)
		r = header_open(header, key, "test", &keys, &slot);
	if (r < 0)
		assert_null(keys);
	secmem_free(keys);
	return r;
}

static void test_key_file_opens(void **state)
{
	struct fixture *fixture = *state;
	struct header_keys *keys, *opened;
	struct header header;
	unsigned slot;

	assert_int_equal(header_create(&header, &keys, fixture->key), 0);
	assert_int_equal(header_check(header.bytes, sizeof(header.bytes), "test"), 0);
	assert_int_equal(header_open(&header, fixture->key, "test", &opened, &slot), 0);
	assert_memory_equal(keys, opened, sizeof(*keys));
	assert_int_equal(slot, 0);
	assert_int_equal(header_epoch(&header), 1);
	assert_ptr_equal(header_store_id(&header), header.bytes + AT_STORE_ID);
	secmem_free(keys);
	secmem_free(opened);
}

static void test_headers_differ(void **state)
{
	struct fixture *fixture = *state;
	struct header_keys *a_keys, *b_keys;
	struct header a, b;

	assert_int_equal(header_create(&a, &a_keys, fixture->key), 0);
	assert_int_equal(header_create(&b, &b_keys, fixture->key), 0);
	assert_memory_not_equal(header_store_id(&a), header_store_id(&b), HEADER_STORE_ID_BYTES);
	assert_memory_not_equal(a_keys->root, b_keys->root, CRYPTO_KEY_BYTES);
	secmem_free(a_keys);
	secmem_free(b_keys);
}

static void test_subkeys_differ(void **state)
{
	uint8_t root[CRYPTO_KEY_BYTES] = {1};
	struct header_keys keys;
	const uint8_t(*all)[CRYPTO_KEY_BYTES] = (void *)&keys;

	(void)state;
	header_derive_keys(&keys, root);
	for (size_t i = 0; i < sizeof(keys) / CRYPTO_KEY_BYTES; i++)
		for (size_t j = 0; j < i; j++)
			assert_memory_not_equal(all[i], all[j], CRYPTO_KEY_BYTES);
}

/* No key stands in the header in clear. */
static void test_nothing_secret_inside(void **state)
{
	struct fixture *fixture = *state;
	struct header_keys *keys;
	struct header header;

	assert_int_equal(header_create(&header, &keys, fixture->key), 0);
	assert_null(memmem(header.bytes, sizeof(header.bytes), fixture->key->bytes, 8));
	for (size_t i = 0; i < sizeof(*keys) / CRYPTO_KEY_BYTES; i++)
		assert_null(memmem(header.bytes, sizeof(header.bytes), (uint8_t *)keys + i * CRYPTO_KEY_BYTES, 8));
	secmem_free(keys);
}

static void test_wrong_key(void **state)
{
	struct fixture *fixture = *state;
	struct key *other = fixture_key(), *pass = passphrase("pass");
	struct header_keys *keys;
	struct header header;

	assert_int_equal(header_create(&header, &keys, fixture->key), 0);
	assert_int_equal(open_bytes(&header, other), -EKEYREJECTED);
	assert_int_equal(open_bytes(&header, pass), -EKEYREJECTED);
	memcpy(other->bytes, fixture->key->bytes, 32);
	other->bytes[31] ^= 1;
	assert_int_equal(open_bytes(&header, other), -EKEYREJECTED);
	key_free(other);
	key_free(pass);
	secmem_free(keys);
}

/* Every bit, with a key in the first slot, in the last, and in both. */
static void test_every_bit_counts(void **state)
{
	struct fixture *fixture = *state;
	struct key *last = fixture_key();
	struct header_keys *keys;
	struct header header;

	assert_int_equal(header_create(&header, &keys, fixture->key), 0);
	fill_slot(&header, HEADER_SLOTS - 1, HEADER_SLOTS - 1, keys, last, 0, 0);
	assert_int_equal(open_bytes(&header, fixture->key), 0);
	assert_int_equal(open_bytes(&header, last), 0);
	for (size_t bit = 0; bit < sizeof(header.bytes) * 8; bit++) {
		int r;

		header.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
		r = open_bytes(&header, fixture->key);
		if (r >= 0 || open_bytes(&header, last) >= 0)
			fail_msg("bit %zu of byte %zu may be flipped", bit % 8, bit / 8);
		if (bit / 8 >= AT_MAC)
			assert_int_equal(r, -EBADMSG);
		header.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	assert_int_equal(open_bytes(&header, fixture->key), 0);
	key_free(last);
	secmem_free(keys);
}

static void test_every_bit_counts_with_a_passphrase(void **state)
{
	struct fixture *fixture = *state;
	struct key *pass = passphrase("open sesame"), *wrong = passphrase("open sesamf");
	struct header_keys *keys;
	struct header header;

	assert_int_equal(header_create(&header, &keys, fixture->key), 0);
	fill_slot(&header, 1, 1, keys, pass, 1, 8);
	assert_int_equal(open_bytes(&header, pass), 0);
	assert_int_equal(open_bytes(&header, fixture->key), 0);
	assert_int_equal(open_bytes(&header, wrong), -EKEYREJECTED);
	for (size_t byte = 0; byte < sizeof(header.bytes); byte++) {
		size_t in_slot = byte - AT_SLOTS - HEADER_SLOT_BYTES;
		uint8_t flip = (uint8_t)(1 << byte % 8);

		/* keep Argon2id cheap: of its parameters, flip the lowest bits */
		if (byte >= AT_SLOTS + HEADER_SLOT_BYTES && in_slot >= SLOT_PASSES && in_slot < SLOT_SALT)
			flip = in_slot % 4 == 0 ? 2 : 0x80;
		header.bytes[byte] ^= flip;
		if (open_bytes(&header, pass) >= 0)
			fail_msg("byte %zu may be changed", byte);
		header.bytes[byte] ^= flip;
	}
	assert_int_equal(open_bytes(&header, pass), 0);
	key_free(pass);
	key_free(wrong);
	secmem_free(keys);
}

/* The real thing once: what header_create makes for a passphrase, at the default parameters. */
static void test_passphrase_slot(void **state)
{
	struct key *pass = passphrase("correct horse");
	struct header_keys *keys, *opened;
	struct header header;
	unsigned slot;

	(void)state;
	assert_int_equal(header_create(&header, &keys, pass), 0);
	assert_int_equal(bytes_get32(header.bytes + AT_SLOTS + SLOT_PASSES), CRYPTO_ARGON2_PASSES_DEFAULT);
	assert_int_equal(bytes_get32(header.bytes + AT_SLOTS + SLOT_MEMORY_KIB), CRYPTO_ARGON2_KIB_DEFAULT);
	assert_int_equal(header_open(&header, pass, "test", &opened, &slot), 0);
	assert_memory_equal(keys->root, opened->root, CRYPTO_KEY_BYTES);
	secmem_free(keys);
	secmem_free(opened);
	key_free(pass);
}

static void test_eight_slots(void **state)
{
	struct fixture *fixture = *state;
	struct key *slots[HEADER_SLOTS];
	struct header_keys *keys;
	struct header header;

	assert_int_equal(header_create(&header, &keys, fixture->key), 0);
	for (unsigned i = 0; i < HEADER_SLOTS; i++) {
		char text[] = "passphrase A";

		text[11] = (char)('A' + i);
		slots[i] = i % 2 ? fixture_key() : passphrase(text);
		fill_slot(&header, i, i, keys, slots[i], 1, 8 + i);
	}
	for (unsigned i = 0; i < HEADER_SLOTS; i++) {
		assert_int_equal(open_bytes(&header, slots[i]), 0);
		memset(header.bytes + AT_SLOTS + i * HEADER_SLOT_BYTES, 0, HEADER_SLOT_BYTES);
		sign(&header, keys);
		assert_int_equal(open_bytes(&header, slots[i]), -EKEYREJECTED);
		key_free(slots[i]);
	}
	assert_int_equal(open_bytes(&header, fixture->key), -EKEYREJECTED);
	secmem_free(keys);
}

/* A slot is bound to its number and to its store. */
static void test_moved_slot(void **state)
{
	struct fixture *fixture = *state;
	struct header_keys *keys;
	struct header header;

	assert_int_equal(header_create(&header, &keys, fixture->key), 0);
	fill_slot(&header, 0, 3, keys, fixture->key, 0, 0);
	assert_int_equal(open_bytes(&header, fixture->key), -EKEYREJECTED);
	fill_slot(&header, 0, 0, keys, fixture->key, 0, 0);
	assert_int_equal(open_bytes(&header, fixture->key), 0);
	header.bytes[AT_STORE_ID] ^= 1;
	sign(&header, keys);
	assert_int_equal(open_bytes(&header, fixture->key), -EKEYREJECTED);
	header.bytes[AT_STORE_ID] ^= 1;
	header.bytes[AT_EPOCH] ^= 2;
	sign(&header, keys);
	assert_int_equal(open_bytes(&header, fixture->key), -EKEYREJECTED);
	secmem_free(keys);
}

/* Right commitment, changed wrapped key. */
static void test_damaged_wrap(void **state)
{
	struct fixture *fixture = *state;
	struct header_keys *keys;
	struct header header;

	assert_int_equal(header_create(&header, &keys, fixture->key), 0);
	header.bytes[AT_SLOTS + SLOT_WRAPPED + 30] ^= 1;
	sign(&header, keys);
	assert_int_equal(open_bytes(&header, fixture->key), -EBADMSG);
	secmem_free(keys);
}

static void test_versions_and_features(void **state)
{
	struct fixture *fixture = *state;
	struct header_keys *keys;
	struct header header, changed;

	assert_int_equal(header_create(&header, &keys, fixture->key), 0);
	for (unsigned version = 0; version < 0x10000; version += version < 10 ? 1 : 999) {
		changed = header;
		bytes_put16(changed.bytes + AT_VERSION, (uint16_t)version);
		sign(&changed, keys);
		assert_int_equal(open_bytes(&changed, fixture->key), version == HEADER_VERSION ? 0 : -EPROTONOSUPPORT);
	}
	for (int bit = 0; bit < 32; bit++) {
		changed = header;
		bytes_put32(changed.bytes + AT_FEATURES, 1u << bit);
		sign(&changed, keys);
		assert_int_equal(open_bytes(&changed, fixture->key), -EPROTONOSUPPORT);
	}
	/* a newer format may have a header of another size */
	changed = header;
	bytes_put16(changed.bytes + AT_VERSION, HEADER_VERSION + 1);
	assert_int_equal(header_check(changed.bytes, 100, "test"), -EPROTONOSUPPORT);
	secmem_free(keys);
}

static void test_not_a_header(void **state)
{
	struct fixture *fixture = *state;
	uint8_t bytes[HEADER_BYTES + 100] = {0};
	struct header_keys *keys;
	struct header header;

	assert_int_equal(header_create(&header, &keys, fixture->key), 0);
	memcpy(bytes, header.bytes, sizeof(header.bytes));
	for (size_t size = 0; size < 40; size++)
		assert_int_equal(header_check(bytes, size, "test"), -EMEDIUMTYPE);
	for (size_t size = 40; size <= sizeof(bytes); size++)
		assert_int_equal(header_check(bytes, size, "test"), size == HEADER_BYTES ? 0 : -EBADMSG);
	for (int i = 0; i < 8; i++) {
		bytes[i] ^= 1;
		assert_int_equal(header_check(bytes, HEADER_BYTES, "test"), -EMEDIUMTYPE);
		bytes[i] ^= 1;
	}
	secmem_free(keys);
}

/* Since fixture_listen: one line. */
static void assert_said_once(const char *line)
{
	char said[1000];

	fixture_heard(said, sizeof(said));
	assert_string_equal(said, line);
}

/* Argon2id touches all that it takes, so a peak that did not grow shows that nothing was taken. */
static void test_argon2_bounds(void **state)
{
	static const uint32_t bad[][2] = {
		{0, 8}, {CRYPTO_ARGON2_PASSES_MAX + 1, 8}, {UINT32_MAX, 8}, {1, 7}, {1, 0},
		{1, CRYPTO_ARGON2_KIB_MAX + 1}, {1, 4u * 1024 * 1024}, {UINT32_MAX, UINT32_MAX},
	};
	struct fixture *fixture = *state;
	struct key *pass = passphrase("pass");
	struct rusage before, after;
	struct header_keys *keys;
	struct header header;

	assert_int_equal(header_create(&header, &keys, fixture->key), 0);
	fill_slot(&header, 0, 0, keys, pass, 1, 8);
	getrusage(RUSAGE_SELF, &before);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		bytes_put32(header.bytes + AT_SLOTS + SLOT_PASSES, bad[i][0]);
		bytes_put32(header.bytes + AT_SLOTS + SLOT_MEMORY_KIB, bad[i][1]);
		sign(&header, keys);
		fixture_listen();
		assert_int_equal(open_bytes(&header, pass), -EBADMSG);
		assert_said_once("hushfs: test: the header was changed without the key: the store is refused; restore it from a backup\n");
	}
	getrusage(RUSAGE_SELF, &after);
	assert_true(after.ru_maxrss - before.ru_maxrss < 4096);
	key_free(pass);
	secmem_free(keys);
}

/* libsodium's, which has no memory if it is asked to. */
static bool no_memory;

typedef int pwhash(unsigned char *ret_key, unsigned long long size, const char *passphrase, unsigned long long bytes,
		   const unsigned char *salt, unsigned long long passes, size_t memory, int algorithm);
pwhash __real_crypto_pwhash, __wrap_crypto_pwhash;
int __wrap_crypto_pwhash(unsigned char *ret_key, unsigned long long size, const char *passphrase, unsigned long long bytes,
			 const unsigned char *salt, unsigned long long passes, size_t memory, int algorithm)
{
	return no_memory ? -1 : __real_crypto_pwhash(ret_key, size, passphrase, bytes, salt, passes, memory, algorithm);
}

/* That a passphrase could not be tried is not that it is wrong. */
static void test_no_memory_for_a_passphrase(void **state)
{
	struct fixture *fixture = *state;
	struct header_keys *keys, *opened = NULL;
	struct key *pass = passphrase("p");
	struct header header, none = {0}, before;
	unsigned slot;

	assert_int_equal(header_create(&header, &keys, fixture->key), 0);
	fill_slot(&header, 1, 1, keys, pass, 1, 8);
	before = header;
	no_memory = true;
	assert_int_equal(header_open(&header, pass, "test", &opened, &slot), -ENOMEM);
	assert_int_equal(header_create(&none, &opened, pass), -ENOMEM);
	assert_int_equal(header_set_slot(&header, 2, keys, pass), -ENOMEM);
	assert_memory_equal(&header, &before, sizeof(header));
	assert_null(opened);
	assert_int_equal(header_open(&header, fixture->key, "test", &opened, &slot), 0); /* which needs none */
	opened = secmem_free(opened);
	no_memory = false;
	assert_int_equal(header_open(&header, pass, "test", &opened, &slot), 0);
	secmem_free(opened);
	secmem_free(keys);
	key_free(pass);
}

static void test_full_arena(void **state)
{
	static const char line[] = "hushfs: no locked memory left for the store's keys: raise the limit (ulimit -l)\n";
	struct fixture *fixture = *state;
	struct header_keys *keys, *opened = NULL;
	struct header header, none;
	unsigned slot;
	void *all[4096];
	size_t n = 0;

	assert_int_equal(header_create(&header, &keys, fixture->key), 0);
	for (size_t size = FIXTURE_ARENA_BYTES; size >= 64; size /= 2)
		while (n < 4096 && (all[n] = secmem_alloc(size)))
			n++;
	fixture_listen();
	assert_int_equal(header_open(&header, fixture->key, "test", &opened, &slot), -ENOMEM);
	assert_said_once(line);
	fixture_listen();
	assert_int_equal(header_create(&none, &opened, fixture->key), -ENOMEM);
	assert_said_once(line);
	assert_null(opened);
	fixture_listen();
	assert_int_equal(header_set_slot(&header, 1, keys, fixture->key), -ENOMEM);
	assert_said_once(line);
	fixture_listen();
	assert_int_equal(header_slot_of(&header, fixture->key, &slot), -ENOMEM);
	assert_said_once(line);
	while (n)
		secmem_free(all[--n]);
	secmem_free(keys);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_key_file_opens),
		TEST(test_headers_differ),
		TEST(test_subkeys_differ),
		TEST(test_nothing_secret_inside),
		TEST(test_wrong_key),
		TEST(test_every_bit_counts),
		TEST(test_every_bit_counts_with_a_passphrase),
		TEST(test_passphrase_slot),
		TEST(test_eight_slots),
		TEST(test_moved_slot),
		TEST(test_damaged_wrap),
		TEST(test_versions_and_features),
		TEST(test_not_a_header),
		TEST(test_argon2_bounds),
		TEST(test_full_arena),
		TEST(test_no_memory_for_a_passphrase),
	};

	return cmocka_run_group_tests(tests, fixture_group_setup, fixture_group_teardown);
}
