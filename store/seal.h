/* SPDX-License-Identifier: Apache-2.0
 * seal: rows as the engine sees them. Everything secret is sealed here, bound to where it stands.
 *
 * A row is a key and bytes. Associated data binds each sealed row to the store, the key epoch, the table, the
 * resource and the generation, so that a row moved, swapped or replayed does not open. README.md has the layouts.
 */
#ifndef STORE_SEAL_H
#define STORE_SEAL_H

#include "store/crypto.h"
#include "store/header.h"
#include "store/record.h"
#include "store/secmem.h"

#include <stddef.h>
#include <stdint.h>

#define SEAL_ID_BYTES 16
#define SEAL_ROW_KEY_BYTES 25 /* longest row key: table, resource id, generation */

/* The tables are told apart by the first byte of a row key. */
enum seal_table {
	SEAL_HEADER = 0,   /* key: table */
	SEAL_MANIFEST = 1, /* key: table */
	SEAL_RECORD = 2,   /* key: table, resource id */
	SEAL_VALUE = 3,    /* key: table, resource id, generation (big-endian) */
};

struct seal_key {
	uint8_t bytes[SEAL_ROW_KEY_BYTES];
	size_t size;
};

struct seal_id {
	uint8_t bytes[SEAL_ID_BYTES];
};

/* The state of the whole store; changes with every commit. */
struct seal_manifest {
	uint64_t generation;            /* the newest */
	uint64_t rows;                  /* all but the manifest's own */
	uint8_t sum[CRYPTO_HASH_BYTES]; /* crypto_set over the row hashes of all of them */
};

/* What sealing needs; borrowed from the store. */
struct seal {
	const struct header_keys *keys;
	uint8_t store_id[HEADER_STORE_ID_BYTES];
	uint32_t epoch;
};

/* Sealed bytes on the heap, ciphertext only; the caller frees with free(). */
struct seal_row {
	uint8_t *data;
	size_t size;
};

/* What is stored with a value besides its bytes. */
struct seal_value_info {
	uint32_t size;         /* bytes of the value, without padding */
	uint32_t uid;          /* who wrote it */
	struct timespec mtime; /* when */
};

/* seal_id - the row id of a resource: keyed BLAKE2b-128 of its kind, mesh and name. */
struct seal_id seal_id(const struct seal *seal, const struct name *name);

/* seal_key - the row key in @table; @id and @generation are used as the table needs them. */
struct seal_key seal_key(enum seal_table table, const struct seal_id *id, uint64_t generation);

/* seal_key_parse - the reverse. -EBADMSG if it is no row key of ours. */
int seal_key_parse(const uint8_t *key, size_t key_bytes, enum seal_table *ret_table, struct seal_id *ret_id,
		   uint64_t *ret_generation);

/* seal_row_hash - what a row adds to the manifest's sum. Of a record and a value all but the ciphertext, which follows from the rest for
 * whoever does not have the key, once it opens (seal_open_record, seal_verify_value). */
void seal_row_hash(const struct seal *seal, const struct seal_key *key, const uint8_t *data, size_t size,
		   uint8_t ret_hash[static CRYPTO_HASH_BYTES]);

/* seal_row_mark - tells a value's row from any other that opens in its place: 8 bytes of its nonce, which is random. 0 if it is too short for one. */
uint64_t seal_row_mark(const uint8_t *data, size_t size);

/* seal_value_hash - tells whether two values are the same without keeping them. */
void seal_value_hash(const struct seal *seal, const uint8_t *value, size_t size,
		     uint8_t ret_hash[static CRYPTO_HASH_BYTES]);

/* Sealing: 0 or -ENOMEM. @generation of a record is that of its last change, @hash a value's seal_value_hash. */
int seal_record(const struct seal *seal, const struct seal_id *id, uint64_t generation, const struct record *record,
		struct seal_row *ret_row);
int seal_value(const struct seal *seal, const struct seal_id *id, uint64_t generation, const uint8_t *value,
	       const uint8_t hash[static CRYPTO_HASH_BYTES], const struct seal_value_info *info, struct seal_row *ret_row);
int seal_manifest(const struct seal *seal, const struct seal_manifest *manifest, struct seal_row *ret_row);

/* Opening: 0; -EBADMSG if the row is not what was sealed for this place; -ENOMEM if locked memory is short. */
int seal_open_record(const struct seal *seal, const struct seal_id *id, const uint8_t *data, size_t size,
		     struct record *ret_record);
int seal_open_value(const struct seal *seal, const struct seal_id *id, uint64_t generation, const uint8_t *data,
		    size_t size, struct secbuf *ret_value, struct seal_value_info *ret_info);
int seal_open_manifest(const struct seal *seal, const uint8_t *data, size_t size, struct seal_manifest *ret_manifest);

/* seal_verify_value - would it open? 0 or -EBADMSG. */
int seal_verify_value(const struct seal *seal, const struct seal_id *id, uint64_t generation, const uint8_t *data, size_t size);

#endif
