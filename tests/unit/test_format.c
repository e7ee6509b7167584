/* SPDX-License-Identifier: Apache-2.0
 * test_format: the on-disk format is the one that store/README.md describes.
 *
 * The vectors were made from README.md's text by format_vectors.py, which shares no code with hushfs. Sealing is
 * randomised, so sealed rows are checked by opening them.
 */
#include "store/anchor.h"
#include "store/bytes.h"
#include "store/header.h"
#include "store/mesh.h"
#include "store/seal.h"
#include "tests/unit/cmocka_all.h"
#include "tests/unit/format_vectors.h"
#include "tests/unit/fixture.h"

#include <string.h>

static size_t unhex(const char *hex, uint8_t *ret_bytes)
{
	size_t size = strlen(hex) / 2;

	for (size_t i = 0; i < size; i++) {
		unsigned byte;

		fixture_must(sscanf(hex + 2 * i, "%2x", &byte) == 1);
		ret_bytes[i] = (uint8_t)byte;
	}
	return size;
}

static void assert_vector(const void *bytes, size_t size, const char *hex)
{
	uint8_t expected[2048];

	assert_int_equal(unhex(hex, expected), size);
	assert_memory_equal(bytes, expected, size);
}

static struct header_keys keys;
static const struct seal seal = {
	.keys = &keys, .store_id = {16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31}, .epoch = 1};

static struct name web(void)
{
	return fixture_secret("default", "web");
}

static int setup(void **state)
{
	uint8_t root[CRYPTO_KEY_BYTES];

	for (int i = 0; i < CRYPTO_KEY_BYTES; i++)
		root[i] = (uint8_t)i;
	fixture_group_setup(state);
	header_derive_keys(&keys, root);
	return 0;
}

static void test_subkeys(void **state)
{
	(void)state;
	assert_vector(keys.value, 32, VECTOR_SUBKEY_VALUE);
	assert_vector(keys.record, 32, VECTOR_SUBKEY_RECORD);
	assert_vector(keys.manifest, 32, VECTOR_SUBKEY_MANIFEST);
	assert_vector(keys.row_id, 32, VECTOR_SUBKEY_ROW_ID);
	assert_vector(keys.row_hash, 32, VECTOR_SUBKEY_ROW_HASH);
	assert_vector(keys.value_hash, 32, VECTOR_SUBKEY_VALUE_HASH);
	assert_vector(keys.nonce, 32, VECTOR_SUBKEY_NONCE);
	assert_vector(keys.header_mac, 32, VECTOR_SUBKEY_HEADER_MAC);
	assert_vector(keys.anchor, 32, VECTOR_SUBKEY_ANCHOR);
	assert_vector(keys.value_sum, 32, VECTOR_SUBKEY_VALUE_SUM);
}

static void test_row_ids_and_keys(void **state)
{
	const struct name names[] = {web(), fixture_global("web"), fixture_mesh("default")};
	const char *const vectors[] = {VECTOR_ROW_ID_OF_SECRET_DEFAULT_WEB, VECTOR_ROW_ID_OF_GLOBALSECRET_WEB,
				       VECTOR_ROW_ID_OF_MESH_DEFAULT};
	struct seal_key key;
	struct seal_id id;

	(void)state;
	for (int i = 0; i < 3; i++) {
		id = seal_id(&seal, &names[i]);
		assert_vector(id.bytes, sizeof(id.bytes), vectors[i]);
	}
	id = seal_id(&seal, &names[0]);
	key = seal_key(SEAL_VALUE, &id, 7);
	assert_vector(key.bytes, key.size, VECTOR_ROW_KEY_OF_THE_VALUE);
}

static void test_value_row(void **state)
{
	const struct name name = web();
	struct seal_id id = seal_id(&seal, &name);
	struct seal_value_info info;
	struct secbuf value = {0};
	uint8_t hash[CRYPTO_HASH_BYTES];
	uint8_t row[2048];
	size_t size = unhex(VECTOR_VALUE_ROW, row);

	(void)state;
	assert_int_equal(seal_open_value(&seal, &id, 7, row, size, &value, &info), 0);
	assert_int_equal(value.size, 5);
	assert_memory_equal(value.data, "hello", 5);
	assert_int_equal(info.uid, 1000);
	assert_int_equal(info.mtime.tv_sec, 1700000000);
	assert_int_equal(info.mtime.tv_nsec, 1);
	secbuf_deinit(&value);
	seal_value_hash(&seal, (const uint8_t *)"hello", 5, hash);
	assert_vector(hash, sizeof(hash), VECTOR_VALUE_HASH_OF_HELLO);
}

static void test_record_row(void **state)
{
	const struct name name = web();
	struct seal_id id = seal_id(&seal, &name);
	struct record record;
	uint8_t row[2048];
	size_t size = unhex(VECTOR_RECORD_ROW, row);

	(void)state;
	assert_int_equal(seal_open_record(&seal, &id, row, size, &record), 0);
	assert_true(name_equal(&record.name, &name));
	assert_int_equal(record.generation, 7);
	assert_int_equal(record.created, 5);
	assert_int_equal(record.size, 5);
	assert_vector(record.value_hash, 32, VECTOR_VALUE_HASH_OF_HELLO);
	assert_int_equal(record.inodes[0].uid, 1000);
	assert_int_equal(record.inodes[0].gid, 100);
	assert_int_equal(record.inodes[0].mode, 0640);
	assert_int_equal(record.inodes[0].mtime.tv_sec, 1700000000);
	assert_int_equal(record.inodes[0].mtime.tv_nsec, 1);
	assert_int_equal(record.inodes[0].ctime.tv_sec, 1700000001);
	assert_int_equal(record.inodes[0].ctime.tv_nsec, 2);
	assert_int_equal(record.inodes[0].atime.tv_sec, 1700000002);
	assert_int_equal(record.inodes[0].atime.tv_nsec, 3);
}

static void test_hashes_and_manifest(void **state)
{
	const struct name name = web();
	struct seal_id id = seal_id(&seal, &name);
	struct seal_key value_key = seal_key(SEAL_VALUE, &id, 7), record_key = seal_key(SEAL_RECORD, &id, 0);
	uint8_t sum[CRYPTO_HASH_BYTES] = {0}, hash[CRYPTO_HASH_BYTES];
	struct seal_manifest manifest;
	uint8_t row[2048];
	size_t size;

	(void)state;
	size = unhex(VECTOR_VALUE_ROW, row);
	seal_row_hash(&seal, &value_key, row, size, hash);
	assert_vector(hash, sizeof(hash), VECTOR_ROW_HASH_OF_THE_VALUE);
	crypto_set_add(sum, hash);
	size = unhex(VECTOR_RECORD_ROW, row);
	seal_row_hash(&seal, &record_key, row, size, hash);
	assert_vector(hash, sizeof(hash), VECTOR_ROW_HASH_OF_THE_RECORD);
	crypto_set_add(sum, hash);
	assert_vector(sum, sizeof(sum), VECTOR_SUM_OF_BOTH);
	size = unhex(VECTOR_MANIFEST_ROW, row);
	assert_int_equal(seal_open_manifest(&seal, row, size, &manifest), 0);
	assert_int_equal(manifest.generation, 7);
	assert_int_equal(manifest.rows, 2);
	assert_memory_equal(manifest.sum, sum, sizeof(sum));
}

static void test_header(void **state)
{
	struct header_keys *opened = NULL;
	struct key *key = fixture_key();
	struct header header;
	unsigned slot;

	(void)state;
	for (int i = 0; i < CRYPTO_KEY_BYTES; i++)
		key->bytes[i] = (uint8_t)(0x80 + i);
	assert_int_equal(unhex(VECTOR_HEADER, header.bytes), HEADER_BYTES);
	assert_int_equal(header_check(header.bytes, HEADER_BYTES, "vector"), 0);
	assert_int_equal(header_open(&header, key, "vector", &opened, &slot), 0);
	assert_memory_equal(opened->root, keys.root, CRYPTO_KEY_BYTES);
	assert_memory_equal(header_store_id(&header), seal.store_id, sizeof(seal.store_id));
	assert_int_equal(header_epoch(&header), 1);
	secmem_free(opened);
	key_free(key);
}

/* A file made by hand is an anchor of generation 7, in either slot; and what is written opens as the page says. */
static void test_anchor(void **state)
{
	struct fixture *fixture;
	void *holder;
	struct seal_manifest manifest = {.generation = 7};
	uint8_t file[ANCHOR_BYTES], *written;
	enum anchor_verdict verdict;
	struct anchor *anchor;
	uint64_t known;
	size_t size;

	(void)state;
	fixture_setup(&holder);
	fixture = holder;
	unhex(VECTOR_SUM_OF_BOTH, manifest.sum);
	for (int slot = 0; slot < 2; slot++) {
		memset(file, 0, sizeof(file));
		assert_int_equal(unhex(VECTOR_SLOT_OF_AN_ANCHOR, file + slot * ANCHOR_SECOND_AT), ANCHOR_SLOT_BYTES);
		fixture_write(fixture_path(fixture, "anchor"), file, sizeof(file), 0600);
		assert_int_equal(anchor_open(fixture_path(fixture, "anchor"), false, &anchor), 0);
		assert_int_equal(anchor_look(anchor, &seal, &manifest, &verdict, &known), 0);
		assert_int_equal(verdict, ANCHOR_SAME);
		assert_int_equal(known, 7);
		assert_int_equal(anchor_write(anchor, &seal, &manifest), 0);
		anchor_close(anchor);
		written = fixture_read(fixture_path(fixture, "anchor"), &size);
		assert_int_equal(size, ANCHOR_BYTES);
		assert_memory_equal(written + slot * ANCHOR_SECOND_AT, file + slot * ANCHOR_SECOND_AT, ANCHOR_SLOT_BYTES);
		assert_memory_equal(written + !slot * ANCHOR_SECOND_AT, file + slot * ANCHOR_SECOND_AT, 32);
		for (size_t i = ANCHOR_SLOT_BYTES; i < ANCHOR_SECOND_AT; i++)
			assert_int_equal(written[i], 0);
		free(written);
	}
	fixture_teardown(&holder);
}

static void test_passphrase(void **state)
{
	uint8_t kek[CRYPTO_KEY_BYTES], salt[CRYPTO_SALT_BYTES];

	(void)state;
	for (int i = 0; i < CRYPTO_SALT_BYTES; i++)
		salt[i] = (uint8_t)(0x60 + i);
	assert_int_equal(crypto_passphrase_key(kek, "correct horse", 13, salt, 1, 64), 0);
	assert_vector(kek, sizeof(kek), VECTOR_KEK_OF_A_PASSPHRASE);
}

/* A value's bytes and its 32 bytes of head, padded, then epoch, nonce and tag around them. */
static void test_padding(void **state)
{
	static const struct {
		uint32_t value;
		size_t padded;
	} cases[] = {{0, 256},      {224, 256},	   {225, 272},	  {240, 272},	     {481, 544},
		     {992, 1024},   {993, 1088},   {4000, 4096},   {4065, 4352},     {65536, 67584},
		     {100000, 100352}, {1048576, 1081344}, {1048544, 1048576}};
	const struct name name = web();
	struct seal_id id = seal_id(&seal, &name);
	uint8_t *value = calloc(1, 1048576);

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct seal_value_info info = {.size = cases[i].value};
		uint8_t hash[CRYPTO_HASH_BYTES];
		struct seal_row row;

		seal_value_hash(&seal, value, info.size, hash);
		assert_int_equal(seal_value(&seal, &id, 1, value, hash, &info, &row), 0);
		assert_int_equal(row.size, 4 + 24 + cases[i].padded + 16);
		free(row.data);
	}
	free(value);
}

static void test_mesh_document(void **state)
{
	static const struct {
		const char *name, *yaml;
	} cases[] = {{"default", "type: Mesh\nname: default\n"}, {"123", "type: Mesh\nname: \"123\"\n"},
		     {"true", "type: Mesh\nname: \"true\"\n"},	 {"-", "type: Mesh\nname: \"-\"\n"},
		     {"y", "type: Mesh\nname: \"y\"\n"},	 {"1e3", "type: Mesh\nname: \"1e3\"\n"}};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct secbuf yaml = {0};

		assert_int_equal(mesh_document(cases[i].name, &yaml), 0);
		assert_int_equal(yaml.size, strlen(cases[i].yaml));
		assert_memory_equal(yaml.data, cases[i].yaml, yaml.size);
		secbuf_deinit(&yaml);
	}
}

/* The page that describes the format shows the same vectors, in lines of 96 digits. */
static void test_readme_has_the_vectors(void **state)
{
	static const char *const vectors[] = {
		VECTOR_SUBKEY_VALUE,
		VECTOR_SUBKEY_RECORD,
		VECTOR_SUBKEY_MANIFEST,
		VECTOR_SUBKEY_ROW_ID,
		VECTOR_SUBKEY_ROW_HASH,
		VECTOR_SUBKEY_VALUE_HASH,
		VECTOR_SUBKEY_NONCE,
		VECTOR_SUBKEY_HEADER_MAC,
		VECTOR_SUBKEY_ANCHOR,
		VECTOR_ROW_ID_OF_SECRET_DEFAULT_WEB,
		VECTOR_ROW_ID_OF_GLOBALSECRET_WEB,
		VECTOR_ROW_ID_OF_MESH_DEFAULT,
		VECTOR_ASSOCIATED_DATA_OF_THE_VALUE,
		VECTOR_ROW_KEY_OF_THE_VALUE,
		VECTOR_VALUE_HASH_OF_HELLO,
		VECTOR_ROW_HASH_OF_THE_VALUE,
		VECTOR_ROW_HASH_OF_THE_RECORD,
		VECTOR_SUM_OF_BOTH,
		VECTOR_MANIFEST_ROW,
		VECTOR_SLOT_0_OF_THE_HEADER,
		VECTOR_MAC_OF_THE_HEADER,
		VECTOR_SLOT_OF_AN_ANCHOR,
		VECTOR_KEK_OF_A_PASSPHRASE,
	};
	char *text;
	size_t size;

	(void)state;
	text = (char *)fixture_read("store/README.md", &size); /* tests run at the top of the tree */
	for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
		for (const char *at = vectors[i]; *at; at += strnlen(at, 96)) {
			if (!memmem(text, size, at, strnlen(at, 96)))
				fail_msg("store/README.md lacks %.96s", at);
		}
	}
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_subkeys),
		cmocka_unit_test(test_row_ids_and_keys),
		cmocka_unit_test(test_value_row),
		cmocka_unit_test(test_record_row),
		cmocka_unit_test(test_hashes_and_manifest),
		cmocka_unit_test(test_header),
		cmocka_unit_test(test_anchor),
		cmocka_unit_test(test_passphrase),
		cmocka_unit_test(test_padding),
		cmocka_unit_test(test_mesh_document),
		cmocka_unit_test(test_readme_has_the_vectors),
	};

	return cmocka_run_group_tests(tests, setup, fixture_group_teardown);
}
