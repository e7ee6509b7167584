/* SPDX-License-Identifier: Apache-2.0
 * seal: sealed row = epoch, [generation,] nonce, ciphertext, tag.
 *
 * The epoch says which root key sealed the row (it changes when the store is rekeyed); it is outside the
 * ciphertext and inside the associated data. Values are padded before sealing (seal_padded), records have one size.
 */
#include "store/seal.h"

#include "store/bytes.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
	EPOCH_BYTES = 4,
	GENERATION_BYTES = 8,
	RECORD_HEAD = EPOCH_BYTES + GENERATION_BYTES, /* in front of the sealed part of a record */
	RECORD_ROW_BYTES = RECORD_HEAD + RECORD_BYTES + CRYPTO_SEAL_OVERHEAD,

	/* the plaintext of a value: its head, its bytes, zeros */
	VALUE_SIZE = 0,
	VALUE_UID = 4,
	VALUE_MTIME = 8,
	VALUE_MTIME_NS = 16,
	VALUE_HEAD = 32,
	VALUE_PADDED_MIN = 256,

	/* the plaintext of the manifest */
	MANIFEST_GENERATION = 0,
	MANIFEST_ROWS = 8,
	MANIFEST_SUM = 16,
	MANIFEST_BYTES = 64,

	AD_BYTES = 8 + HEADER_STORE_ID_BYTES + 4 + 4 + SEAL_ID_BYTES + 8,
};

static const struct seal_id no_id;

struct seal_id seal_id(const struct seal *seal, const struct name *name)
{
	uint8_t kind = (uint8_t)name->kind;
	struct seal_id id;
	/* the NULs between the names keep ("a", "bc") and ("ab", "c") apart */
	const struct iovec parts[] = {{&kind, 1},
				      {(void *)name->mesh, strlen(name->mesh) + 1},
				      {(void *)name->name, strlen(name->name) + 1}};

	crypto_keyed_hash(id.bytes, sizeof(id.bytes), seal->keys->row_id, parts, 3);
	return id;
}

struct seal_key seal_key(enum seal_table table, const struct seal_id *id, uint64_t generation)
{
	struct seal_key key = {.bytes = {(uint8_t)table}, .size = 1};
	uint64_t big_endian = htobe64(generation);

	if (table == SEAL_RECORD || table == SEAL_VALUE) {
		memcpy(key.bytes + 1, id->bytes, SEAL_ID_BYTES);
		key.size += SEAL_ID_BYTES;
	}
	if (table == SEAL_VALUE) {
		memcpy(key.bytes + key.size, &big_endian, sizeof(big_endian));
		key.size += sizeof(big_endian);
	}
	return key;
}

int seal_key_parse(const uint8_t *key, size_t key_bytes, enum seal_table *ret_table, struct seal_id *ret_id,
		   uint64_t *ret_generation)
{
	static const size_t sizes[] = {1, 1, 1 + SEAL_ID_BYTES, SEAL_ROW_KEY_BYTES};
	uint64_t big_endian = 0;

	if (key_bytes == 0 || key[0] > SEAL_VALUE || key_bytes != sizes[key[0]])
		return -EBADMSG;
	*ret_table = key[0];
	*ret_id = no_id;
	if (*ret_table == SEAL_RECORD || *ret_table == SEAL_VALUE)
		memcpy(ret_id->bytes, key + 1, SEAL_ID_BYTES);
	if (*ret_table == SEAL_VALUE)
		memcpy(&big_endian, key + 1 + SEAL_ID_BYTES, sizeof(big_endian));
	*ret_generation = be64toh(big_endian);
	return 0;
}

/* What is in front of the ciphertext of a row that is in the manifest's sum. 0 of the header, which is not sealed. */
static size_t seal_head(uint8_t table)
{
	if (table == SEAL_VALUE)
		return EPOCH_BYTES + CRYPTO_NONCE_BYTES;
	return table == SEAL_RECORD ? RECORD_HEAD + CRYPTO_NONCE_BYTES : 0;
}

void seal_row_hash(const struct seal *seal, const struct seal_key *key, const uint8_t *data, size_t size,
		   uint8_t ret_hash[static CRYPTO_HASH_BYTES])
{
	uint8_t key_size = (uint8_t)key->size;
	size_t head = seal_head(key->bytes[0]);
	size_t tag = head && size > head + CRYPTO_TAG_BYTES ? CRYPTO_TAG_BYTES : 0; /* else all of it is hashed: it opens nowhere */
	const struct iovec parts[] = {
		{&key_size, 1}, {(void *)key->bytes, key->size}, {(void *)data, tag ? head : size}, {(void *)(data + size - tag), tag}};

	crypto_keyed_hash(ret_hash, CRYPTO_HASH_BYTES, seal->keys->row_hash, parts, 4);
}

uint64_t seal_row_mark(const uint8_t *data, size_t size)
{
	return size < EPOCH_BYTES + CRYPTO_NONCE_BYTES ? 0 : bytes_get64(data + EPOCH_BYTES);
}

void seal_value_hash(const struct seal *seal, const uint8_t *value, size_t size,
		     uint8_t ret_hash[static CRYPTO_HASH_BYTES])
{
	crypto_long_hash(ret_hash, CRYPTO_HASH_BYTES, seal->keys->value_hash, seal->keys->value_sum, value, size);
}

static void seal_ad(const struct seal *seal, enum seal_table table, uint32_t epoch, const struct seal_id *id,
		    uint64_t generation, uint8_t ret_ad[static AD_BYTES])
{
	memset(ret_ad, 0, AD_BYTES);
	memcpy(ret_ad, "hushfs 1", 8);
	memcpy(ret_ad + 8, seal->store_id, HEADER_STORE_ID_BYTES);
	bytes_put32(ret_ad + 24, epoch);
	ret_ad[28] = (uint8_t)table;
	memcpy(ret_ad + 32, id->bytes, SEAL_ID_BYTES);
	bytes_put64(ret_ad + 48, generation);
}

/* How many bytes a plaintext of @bytes is padded to: its size is shown to about one part in log2(size) (Padme,
 * Nikitin et al., PETS 2019: at most 12 % more), and nothing below 256 bytes is told apart. */
static size_t seal_padded(size_t bytes)
{
	unsigned exponent, fraction_bits;
	size_t mask;

	if (bytes <= VALUE_PADDED_MIN)
		return VALUE_PADDED_MIN;
	exponent = 63u - (unsigned)__builtin_clzll(bytes);
	fraction_bits = 32u - (unsigned)__builtin_clz(exponent);
	mask = ((size_t)1 << (exponent - fraction_bits)) - 1;
	return (bytes + mask) & ~mask;
}

int seal_record(const struct seal *seal, const struct seal_id *id, uint64_t generation, const struct record *record,
		struct seal_row *ret_row)
{
	uint8_t *plain = secmem_alloc(RECORD_BYTES);
	uint8_t *data = malloc(RECORD_ROW_BYTES);
	uint8_t ad[AD_BYTES];

	if (!plain || !data) {
		secmem_free(plain);
		free(data);
		return -ENOMEM;
	}
	record_encode(record, plain);
	seal_ad(seal, SEAL_RECORD, seal->epoch, id, generation, ad);
	bytes_put32(data, seal->epoch);
	bytes_put64(data + EPOCH_BYTES, generation);
	crypto_seal(data + RECORD_HEAD, seal->keys->record, seal->keys->nonce, ad, sizeof(ad), plain, RECORD_BYTES);
	secmem_free(plain);
	*ret_row = (struct seal_row){data, RECORD_ROW_BYTES};
	return 0;
}

int seal_open_record(const struct seal *seal, const struct seal_id *id, const uint8_t *data, size_t size,
		     struct record *ret_record)
{
	uint8_t plain[RECORD_BYTES]; /* names and attributes, which are in ordinary memory anyway */
	uint8_t ad[AD_BYTES];
	int r;

	if (size != RECORD_ROW_BYTES || bytes_get32(data) != seal->epoch)
		return -EBADMSG;
	seal_ad(seal, SEAL_RECORD, seal->epoch, id, bytes_get64(data + EPOCH_BYTES), ad);
	r = crypto_open(plain, seal->keys->record, ad, sizeof(ad), data + RECORD_HEAD, size - RECORD_HEAD);
	if (r == 0)
		r = record_decode(plain, ret_record);
	secmem_wipe(plain, sizeof(plain));
	return r;
}

int seal_value(const struct seal *seal, const struct seal_id *id, uint64_t generation, const uint8_t *value,
	       const uint8_t hash[static CRYPTO_HASH_BYTES], const struct seal_value_info *info, struct seal_row *ret_row)
{
	size_t plain_bytes = seal_padded(VALUE_HEAD + (size_t)info->size);
	size_t row_bytes = EPOCH_BYTES + plain_bytes + CRYPTO_SEAL_OVERHEAD;
	uint8_t *plain = secmem_alloc(plain_bytes);
	uint8_t *data = malloc(row_bytes);
	uint8_t ad[AD_BYTES], known[VALUE_HEAD + CRYPTO_HASH_BYTES];
	int r;

	if (!plain || !data) {
		secmem_free(plain);
		free(data);
		return -ENOMEM;
	}
	bytes_put32(plain + VALUE_SIZE, info->size);
	bytes_put32(plain + VALUE_UID, info->uid);
	bytes_put64(plain + VALUE_MTIME, (uint64_t)info->mtime.tv_sec);
	bytes_put32(plain + VALUE_MTIME_NS, (uint32_t)info->mtime.tv_nsec);
	if (info->size)
		memcpy(plain + VALUE_HEAD, value, info->size);
	memcpy(known, plain, VALUE_HEAD);
	memcpy(known + VALUE_HEAD, hash, CRYPTO_HASH_BYTES);
	seal_ad(seal, SEAL_VALUE, seal->epoch, id, generation, ad);
	bytes_put32(data, seal->epoch);
	r = crypto_seal_long(data + EPOCH_BYTES, seal->keys->value, seal->keys->nonce, ad, sizeof(ad), plain, plain_bytes, known,
			     sizeof(known));
	secmem_free(plain);
	if (r < 0) {
		free(data);
		return r;
	}
	*ret_row = (struct seal_row){data, row_bytes};
	return 0;
}

static bool seal_may_be_value(const struct seal *seal, const uint8_t *data, size_t size)
{
	return size >= EPOCH_BYTES + VALUE_PADDED_MIN + CRYPTO_SEAL_OVERHEAD && bytes_get32(data) == seal->epoch;
}

int seal_verify_value(const struct seal *seal, const struct seal_id *id, uint64_t generation, const uint8_t *data, size_t size)
{
	uint8_t ad[AD_BYTES];

	if (!seal_may_be_value(seal, data, size))
		return -EBADMSG;
	seal_ad(seal, SEAL_VALUE, seal->epoch, id, generation, ad);
	return crypto_verify(seal->keys->value, ad, sizeof(ad), data + EPOCH_BYTES, size - EPOCH_BYTES);
}

int seal_open_value(const struct seal *seal, const struct seal_id *id, uint64_t generation, const uint8_t *data,
		    size_t size, struct secbuf *ret_value, struct seal_value_info *ret_info)
{
	SECBUF_AUTO plain = {0};
	struct seal_value_info info;
	uint8_t ad[AD_BYTES];
	int r;

	if (!seal_may_be_value(seal, data, size))
		return -EBADMSG;
	r = secbuf_resize(&plain, size - EPOCH_BYTES - CRYPTO_SEAL_OVERHEAD);
	if (r < 0)
		return r;
	seal_ad(seal, SEAL_VALUE, seal->epoch, id, generation, ad);
	r = crypto_open_long(plain.data, seal->keys->value, ad, sizeof(ad), data + EPOCH_BYTES, size - EPOCH_BYTES);
	if (r < 0)
		return r;
	info.size = bytes_get32(plain.data + VALUE_SIZE);
	info.uid = bytes_get32(plain.data + VALUE_UID);
	info.mtime.tv_sec = (time_t)bytes_get64(plain.data + VALUE_MTIME);
	info.mtime.tv_nsec = bytes_get32(plain.data + VALUE_MTIME_NS);
	if (info.size > plain.size - VALUE_HEAD)
		return -EBADMSG;
	memmove(plain.data, plain.data + VALUE_HEAD, info.size);
	secbuf_resize(&plain, info.size); /* shrinking cannot fail */
	*ret_value = plain;
	plain = (struct secbuf){0}; /* transferred */
	*ret_info = info;
	return 0;
}

int seal_manifest(const struct seal *seal, const struct seal_manifest *manifest, struct seal_row *ret_row)
{
	size_t row_bytes = EPOCH_BYTES + MANIFEST_BYTES + CRYPTO_SEAL_OVERHEAD;
	uint8_t plain[MANIFEST_BYTES] = {0};
	uint8_t *data = malloc(row_bytes);
	uint8_t ad[AD_BYTES];

	if (!data)
		return -ENOMEM;
	bytes_put64(plain + MANIFEST_GENERATION, manifest->generation);
	bytes_put64(plain + MANIFEST_ROWS, manifest->rows);
	memcpy(plain + MANIFEST_SUM, manifest->sum, CRYPTO_HASH_BYTES);
	seal_ad(seal, SEAL_MANIFEST, seal->epoch, &no_id, 0, ad);
	bytes_put32(data, seal->epoch);
	crypto_seal(data + EPOCH_BYTES, seal->keys->manifest, seal->keys->nonce, ad, sizeof(ad), plain, sizeof(plain));
	secmem_wipe(plain, sizeof(plain));
	*ret_row = (struct seal_row){data, row_bytes};
	return 0;
}

int seal_open_manifest(const struct seal *seal, const uint8_t *data, size_t size, struct seal_manifest *ret_manifest)
{
	uint8_t plain[MANIFEST_BYTES];
	uint8_t ad[AD_BYTES];
	int r;

	if (size != EPOCH_BYTES + MANIFEST_BYTES + CRYPTO_SEAL_OVERHEAD || bytes_get32(data) != seal->epoch)
		return -EBADMSG;
	seal_ad(seal, SEAL_MANIFEST, seal->epoch, &no_id, 0, ad);
	r = crypto_open(plain, seal->keys->manifest, ad, sizeof(ad), data + EPOCH_BYTES, size - EPOCH_BYTES);
	if (r < 0)
		return r;
	ret_manifest->generation = bytes_get64(plain + MANIFEST_GENERATION);
	ret_manifest->rows = bytes_get64(plain + MANIFEST_ROWS);
	memcpy(ret_manifest->sum, plain + MANIFEST_SUM, CRYPTO_HASH_BYTES);
	secmem_wipe(plain, sizeof(plain));
	return 0;
}
