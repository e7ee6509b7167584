/* SPDX-License-Identifier: Apache-2.0
 * test_seal: a row opens where it was sealed and nowhere else, and its size tells little.
 */
#include "tests/unit/cmocka_all.h"
#include "tests/unit/fixture.h"

#include "store/seal.h"

#include <errno.h>
#include <string.h>

static struct header_keys keys;
static struct seal seal;
static struct seal_id id, other_id;

static int setup(void **state)
{
	static const uint8_t root[CRYPTO_KEY_BYTES] = {7};
	struct name name = fixture_secret("default", "web"), other = fixture_secret("default", "wec");

	(void)state;
	fixture_init();
	header_derive_keys(&keys, root);
	seal = (struct seal){.keys = &keys, .epoch = 1};
	memset(seal.store_id, 0x11, sizeof(seal.store_id));
	id = seal_id(&seal, &name);
	other_id = seal_id(&seal, &other);
	return 0;
}

/* A value with its hash. */
static int seal_any(const struct seal *with, const struct seal_id *of, uint64_t generation, const uint8_t *value,
		    const struct seal_value_info *info, struct seal_row *ret_row)
{
	uint8_t hash[CRYPTO_HASH_BYTES];

	seal_value_hash(with, value, info->size, hash);
	return seal_value(with, of, generation, value, hash, info, ret_row);
}

/* And verify it, which must be of the same opinion. */
static int open_value(const struct seal *with, const struct seal_id *of, uint64_t generation, const uint8_t *data, size_t size,
		      struct secbuf *ret_value, struct seal_value_info *ret_info)
{
	int r = seal_open_value(with, of, generation, data, size, ret_value, ret_info);

	assert_int_equal(seal_verify_value(with, of, generation, data, size), r);
	return r;
}

static void test_ids(void **state)
{
	struct name names[] = {
		fixture_secret("a", "bc"), fixture_secret("ab", "c"),   fixture_global("bc"),
		fixture_mesh("bc"),        fixture_secret("bc", "bc"), fixture_secret("a", "b-c"),
	};

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct seal_id a = seal_id(&seal, &names[i]);

		for (size_t j = 0; j < sizeof(names) / sizeof(names[0]); j++) {
			struct seal_id b = seal_id(&seal, &names[j]);

			assert_int_equal(memcmp(&a, &b, sizeof(a)) == 0, i == j);
		}
	}
}

/* Two stores don't show that they hold the same name. */
static void test_ids_are_keyed(void **state)
{
	static const uint8_t root[CRYPTO_KEY_BYTES] = {8};
	struct name name = fixture_secret("default", "web");
	struct header_keys other_keys;
	struct seal other = seal;
	struct seal_id b;

	(void)state;
	header_derive_keys(&other_keys, root);
	other.keys = &other_keys;
	b = seal_id(&other, &name);
	assert_memory_not_equal(&id, &b, sizeof(b));
}

static void test_keys(void **state)
{
	static const size_t sizes[] = {1, 1, 17, 25};
	struct seal_id parsed;
	enum seal_table table;
	uint64_t generation;

	(void)state;
	for (enum seal_table t = SEAL_HEADER; t <= SEAL_VALUE; t++) {
		struct seal_key key = seal_key(t, &id, 0x0102030405060708);

		assert_int_equal(key.size, sizes[t]);
		assert_int_equal(seal_key_parse(key.bytes, key.size, &table, &parsed, &generation), 0);
		assert_int_equal(table, t);
		if (t >= SEAL_RECORD)
			assert_memory_equal(&parsed, &id, sizeof(id));
		assert_true(generation == (t == SEAL_VALUE ? 0x0102030405060708 : 0));
		for (size_t size = 0; size <= SEAL_ROW_KEY_BYTES; size++)
			if (size != key.size)
				assert_int_equal(seal_key_parse(key.bytes, size, &table, &parsed, &generation),
						 -EBADMSG);
	}
	for (int first = SEAL_VALUE + 1; first < 256; first++) {
		uint8_t key[SEAL_ROW_KEY_BYTES] = {(uint8_t)first};

		for (size_t size = 0; size <= sizeof(key); size++)
			assert_int_equal(seal_key_parse(key, size, &table, &parsed, &generation), -EBADMSG);
	}
}

/* The order of the bytes is the order of the numbers: a scan gives a resource's versions oldest first. */
static void test_key_order(void **state)
{
	static const uint64_t generations[] = {0, 1, 255, 256, 65535, 1ull << 32, UINT64_MAX};

	(void)state;
	for (size_t i = 1; i < sizeof(generations) / sizeof(generations[0]); i++) {
		struct seal_key a = seal_key(SEAL_VALUE, &id, generations[i - 1]);
		struct seal_key b = seal_key(SEAL_VALUE, &id, generations[i]);

		assert_true(memcmp(a.bytes, b.bytes, sizeof(a.bytes)) < 0);
	}
}

static void test_value_round_trip(void **state)
{
	static const uint32_t sizes[] = {0, 1, 223, 224, 225, 4096, 100000, 1048576};

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct seal_value_info info = {.size = sizes[i], .uid = 77, .mtime = {123456789, 987654321}}, opened;
		uint8_t *value = malloc(sizes[i] + 1);
		struct secbuf back = {0};
		struct seal_row row;

		fixture_fill(value, sizes[i], i);
		assert_int_equal(seal_any(&seal, &id, 5, value, &info, &row), 0);
		assert_int_equal(open_value(&seal, &id, 5, row.data, row.size, &back, &opened), 0);
		assert_int_equal(back.size, sizes[i]);
		if (sizes[i])
			assert_memory_equal(back.data, value, sizes[i]);
		assert_int_equal(opened.size, sizes[i]);
		assert_int_equal(opened.uid, 77);
		assert_int_equal(opened.mtime.tv_sec, 123456789);
		assert_int_equal(opened.mtime.tv_nsec, 987654321);
		if (sizes[i] >= 16)
			assert_null(memmem(row.data, row.size, value, 16));
		secbuf_deinit(&back);
		free(row.data);
		free(value);
	}
	assert_int_equal(secmem_in_use(), 0);
}

/* Open with one thing different: the table's key and AD, the id, the generation, the store, the epoch. */
static void test_value_is_bound(void **state)
{
	struct seal_value_info info = {.size = 5}, opened;
	struct seal elsewhere = seal, later = seal;
	struct seal_manifest manifest;
	struct secbuf back = {0};
	struct record record;
	struct seal_row row;

	(void)state;
	elsewhere.store_id[15] ^= 1;
	later.epoch = 2;
	assert_int_equal(seal_any(&seal, &id, 5, (const uint8_t *)"value", &info, &row), 0);
	assert_int_equal(open_value(&seal, &other_id, 5, row.data, row.size, &back, &opened), -EBADMSG);
	assert_int_equal(open_value(&seal, &id, 4, row.data, row.size, &back, &opened), -EBADMSG);
	assert_int_equal(open_value(&seal, &id, 6, row.data, row.size, &back, &opened), -EBADMSG);
	assert_int_equal(open_value(&elsewhere, &id, 5, row.data, row.size, &back, &opened), -EBADMSG);
	assert_int_equal(open_value(&later, &id, 5, row.data, row.size, &back, &opened), -EBADMSG);
	row.data[0] = 2; /* the epoch in the row changed to match */
	assert_int_equal(open_value(&later, &id, 5, row.data, row.size, &back, &opened), -EBADMSG);
	row.data[0] = 1;
	assert_int_equal(seal_open_record(&seal, &id, row.data, row.size, &record), -EBADMSG);
	assert_int_equal(seal_open_manifest(&seal, row.data, row.size, &manifest), -EBADMSG);
	assert_null(back.data);
	assert_int_equal(open_value(&seal, &id, 5, row.data, row.size, &back, &opened), 0);
	secbuf_deinit(&back);
	free(row.data);
}

static void test_record_is_bound(void **state)
{
	struct record record = {.name = fixture_secret("default", "web"), .generation = 9, .created = 3}, opened;
	struct seal elsewhere = seal, later = seal;
	struct seal_value_info info;
	struct secbuf back = {0};
	struct seal_row row;

	(void)state;
	elsewhere.store_id[0] ^= 0x80;
	later.epoch = 2;
	assert_int_equal(seal_record(&seal, &id, 9, &record, &row), 0);
	assert_int_equal(seal_open_record(&seal, &id, row.data, row.size, &opened), 0);
	assert_true(name_equal(&opened.name, &record.name));
	assert_int_equal(opened.generation, 9);
	assert_int_equal(seal_open_record(&seal, &other_id, row.data, row.size, &opened), -EBADMSG);
	assert_int_equal(seal_open_record(&elsewhere, &id, row.data, row.size, &opened), -EBADMSG);
	assert_int_equal(seal_open_record(&later, &id, row.data, row.size, &opened), -EBADMSG);
	row.data[0] = 2;
	assert_int_equal(seal_open_record(&later, &id, row.data, row.size, &opened), -EBADMSG);
	row.data[0] = 1;
	row.data[4] ^= 1; /* the generation */
	assert_int_equal(seal_open_record(&seal, &id, row.data, row.size, &opened), -EBADMSG);
	row.data[4] ^= 1;
	assert_int_equal(open_value(&seal, &id, 9, row.data, row.size, &back, &info), -EBADMSG);
	assert_int_equal(seal_open_record(&seal, &id, row.data, row.size, &opened), 0);
	free(row.data);
}

/* With one key for all tables the AD alone keeps them apart. */
static void test_tables_are_bound(void **state)
{
	struct seal_manifest manifest = {.generation = 1}, opened_manifest;
	struct seal_value_info info = {.size = 0}, opened_info;
	struct header_keys same = keys;
	struct seal one_key = seal;
	struct record record = {.name = fixture_secret("default", "web")}, opened_record;
	struct secbuf back = {0};
	struct seal_row row, inner;
	static const struct seal_id zero;

	(void)state;
	memcpy(same.record, same.value, sizeof(same.record));
	memcpy(same.manifest, same.value, sizeof(same.manifest));
	one_key.keys = &same;
	assert_int_equal(seal_record(&one_key, &id, 1, &record, &row), 0);
	/* the record's sealed part as a value: the 8 bytes of generation taken out */
	inner.size = row.size - 8;
	inner.data = malloc(inner.size);
	memcpy(inner.data, row.data, 4);
	memcpy(inner.data + 4, row.data + 12, row.size - 12);
	assert_int_equal(open_value(&one_key, &id, 1, inner.data, inner.size, &back, &opened_info), -EBADMSG);
	free(inner.data);
	free(row.data);
	assert_int_equal(seal_any(&one_key, &zero, 0, NULL, &info, &row), 0);
	assert_int_equal(seal_open_record(&one_key, &zero, row.data, row.size, &opened_record), -EBADMSG);
	assert_int_equal(seal_open_manifest(&one_key, row.data, row.size, &opened_manifest), -EBADMSG);
	free(row.data);
	assert_int_equal(seal_manifest(&one_key, &manifest, &row), 0);
	assert_int_equal(open_value(&one_key, &zero, 0, row.data, row.size, &back, &opened_info), -EBADMSG);
	free(row.data);
}

static void test_manifest(void **state)
{
	struct seal_manifest manifest = {.generation = 1ull << 60, .rows = 12345}, opened;
	struct seal elsewhere = seal, later = seal;
	struct seal_row row;

	(void)state;
	fixture_fill(manifest.sum, sizeof(manifest.sum), 4);
	elsewhere.store_id[3] ^= 1;
	later.epoch = 3;
	assert_int_equal(seal_manifest(&seal, &manifest, &row), 0);
	assert_int_equal(seal_open_manifest(&seal, row.data, row.size, &opened), 0);
	assert_true(opened.generation == manifest.generation && opened.rows == manifest.rows);
	assert_memory_equal(opened.sum, manifest.sum, sizeof(opened.sum));
	assert_int_equal(seal_open_manifest(&elsewhere, row.data, row.size, &opened), -EBADMSG);
	assert_int_equal(seal_open_manifest(&later, row.data, row.size, &opened), -EBADMSG);
	for (size_t size = 0; size < row.size; size++)
		assert_int_equal(seal_open_manifest(&seal, row.data, size, &opened), -EBADMSG);
	for (size_t bit = 0; bit < row.size * 8; bit++) {
		row.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_equal(seal_open_manifest(&seal, row.data, row.size, &opened), -EBADMSG);
		row.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	free(row.data);
}

static void test_every_bit_of_a_row_counts(void **state)
{
	struct seal_value_info info = {.size = 10}, opened;
	struct record record = {.name = fixture_global("g")}, opened_record;
	struct secbuf back = {0};
	struct seal_row row;

	(void)state;
	assert_int_equal(seal_any(&seal, &id, 1, (const uint8_t *)"0123456789", &info, &row), 0);
	for (size_t bit = 0; bit < row.size * 8; bit++) {
		row.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_equal(open_value(&seal, &id, 1, row.data, row.size, &back, &opened), -EBADMSG);
		row.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	for (size_t size = 0; size < row.size; size++)
		assert_int_equal(open_value(&seal, &id, 1, row.data, size, &back, &opened), -EBADMSG);
	free(row.data);
	assert_int_equal(seal_record(&seal, &id, 1, &record, &row), 0);
	for (size_t bit = 0; bit < row.size * 8; bit++) {
		row.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_equal(seal_open_record(&seal, &id, row.data, row.size, &opened_record), -EBADMSG);
		row.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	for (size_t size = 0; size < row.size; size++)
		assert_int_equal(seal_open_record(&seal, &id, row.data, size, &opened_record), -EBADMSG);
	free(row.data);
	assert_null(back.data);
	assert_int_equal(secmem_in_use(), 0);
}

static size_t row_bytes(uint32_t size)
{
	struct seal_value_info info = {.size = size};
	uint8_t *value = calloc(1, size + 1);
	struct seal_row row;

	assert_int_equal(seal_any(&seal, &id, 1, value, &info, &row), 0);
	free(row.data);
	free(value);
	return row.size;
}

static void test_padding(void **state)
{
	const size_t overhead = 4 + 32 + CRYPTO_SEAL_OVERHEAD; /* epoch, the value's head, nonce and tag */
	size_t buckets = 0, before = 0;

	(void)state;
	/* nothing up to 256 bytes of plaintext is told apart */
	for (uint32_t size = 0; size <= 224; size++)
		assert_int_equal(row_bytes(size), 256 + 4 + CRYPTO_SEAL_OVERHEAD);
	assert_true(row_bytes(225) > row_bytes(224));
	for (uint32_t size = 0; size <= 20000; size++) {
		size_t bytes = row_bytes(size);

		assert_true(bytes >= size + overhead);
		assert_true(bytes >= before); /* longer values never have shorter rows */
		if (size > 224)
			assert_true((bytes - 4 - CRYPTO_SEAL_OVERHEAD) * 100 <= (size + 32) * 112);
		buckets += bytes != before;
		before = bytes;
	}
	assert_true(buckets < 128);
	/* Padme by hand: 1025 has exponent 10, 4 bits of fraction: multiples of 64 */
	assert_int_equal(row_bytes(1025 - 32), 1088 + 4 + CRYPTO_SEAL_OVERHEAD);
	assert_int_equal(row_bytes(1088 - 32), 1088 + 4 + CRYPTO_SEAL_OVERHEAD);
	assert_int_equal(row_bytes(1089 - 32), 1152 + 4 + CRYPTO_SEAL_OVERHEAD);
}

static void test_records_have_one_size(void **state)
{
	struct record a = {.name = fixture_global("g")}, b = a;
	struct seal_row row_a, row_b;
	char longest[254];

	(void)state;
	memset(longest, 'x', 253);
	longest[253] = 0;
	b.name = fixture_secret("some-mesh", longest);
	assert_int_equal(seal_record(&seal, &id, 1, &a, &row_a), 0);
	assert_int_equal(seal_record(&seal, &id, 1, &b, &row_b), 0);
	assert_int_equal(row_a.size, row_b.size);
	free(row_a.data);
	free(row_b.data);
}

static void test_nonces_differ(void **state)
{
	enum { N = 200 };
	struct seal_value_info info = {.size = 1};
	struct seal_row rows[N];

	(void)state;
	for (int i = 0; i < N; i++)
		assert_int_equal(seal_any(&seal, &id, 1, (const uint8_t *)"x", &info, &rows[i]), 0);
	for (int i = 0; i < N; i++)
		for (int j = 0; j < i; j++)
			assert_memory_not_equal(rows[i].data + 4, rows[j].data + 4, CRYPTO_NONCE_BYTES);
	for (int i = 0; i < N; i++)
		free(rows[i].data);
}

static void test_hashes(void **state)
{
	uint8_t a[CRYPTO_HASH_BYTES], b[CRYPTO_HASH_BYTES];
	struct seal_key key = seal_key(SEAL_RECORD, &id, 0), other = seal_key(SEAL_RECORD, &other_id, 0);

	(void)state;
	seal_row_hash(&seal, &key, (const uint8_t *)"data", 4, a);
	seal_row_hash(&seal, &key, (const uint8_t *)"data", 4, b);
	assert_memory_equal(a, b, sizeof(a));
	seal_row_hash(&seal, &other, (const uint8_t *)"data", 4, b);
	assert_memory_not_equal(a, b, sizeof(a));
	seal_row_hash(&seal, &key, (const uint8_t *)"datb", 4, b);
	assert_memory_not_equal(a, b, sizeof(a));
	seal_value_hash(&seal, (const uint8_t *)"data", 4, b);
	assert_memory_not_equal(a, b, sizeof(a));
	seal_value_hash(&seal, NULL, 0, a);
	seal_value_hash(&seal, (const uint8_t *)"data", 0, b);
	assert_memory_equal(a, b, sizeof(a));
}

/* What a row's hash is of: of a record and a value each byte but the ciphertext's, if there is any; of the header, each. */
static void test_row_hashes(void **state)
{
	static const struct {
		enum seal_table table;
		size_t head; /* in front of the ciphertext */
	} cases[] = {{SEAL_HEADER, 100}, {SEAL_RECORD, 36}, {SEAL_VALUE, 28}};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct seal_key key = seal_key(cases[i].table, &id, 1);

		for (size_t size = 1; size <= 100; size++) {
			uint8_t data[100] = {0}, a[CRYPTO_HASH_BYTES], b[CRYPTO_HASH_BYTES];

			seal_row_hash(&seal, &key, data, size, a);
			for (size_t at = 0; at < size; at++) {
				bool left_out = at >= cases[i].head && at + CRYPTO_TAG_BYTES < size;

				data[at] ^= 1;
				seal_row_hash(&seal, &key, data, size, b);
				data[at] ^= 1;
				assert_int_equal(memcmp(a, b, sizeof(a)) == 0, left_out);
			}
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ids),
		cmocka_unit_test(test_ids_are_keyed),
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_key_order),
		cmocka_unit_test(test_value_round_trip),
		cmocka_unit_test(test_value_is_bound),
		cmocka_unit_test(test_record_is_bound),
		cmocka_unit_test(test_tables_are_bound),
		cmocka_unit_test(test_manifest),
		cmocka_unit_test(test_every_bit_of_a_row_counts),
		cmocka_unit_test(test_padding),
		cmocka_unit_test(test_records_have_one_size),
		cmocka_unit_test(test_nonces_differ),
		cmocka_unit_test(test_hashes),
		cmocka_unit_test(test_row_hashes),
	};

	return cmocka_run_group_tests(tests, setup, fixture_group_teardown);
}
