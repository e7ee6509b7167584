/* SPDX-License-Identifier: Apache-2.0
 * header: the first thing read of a store. It says what the store is and wraps its root key for up to 8 keys.
 *
 * The layout is in README.md, "Header". It is read before any key is known, so nothing in it is believed: sizes
 * and Argon2id parameters are bounded first, and after a slot opened the MAC covers every byte.
 */
#ifndef STORE_HEADER_H
#define STORE_HEADER_H

#include "store/crypto.h"
#include "store/key.h"

#include <stddef.h>
#include <stdint.h>

#define HEADER_SLOTS 8
#define HEADER_SLOT_BYTES 160
#define HEADER_STORE_ID_BYTES 16
#define HEADER_BYTES (40 + HEADER_SLOTS * HEADER_SLOT_BYTES + CRYPTO_HASH_BYTES)
#define HEADER_VERSION 2

struct header {
	uint8_t bytes[HEADER_BYTES]; /* as on disk; nothing secret stands in it */
};

/* The keys of a store, derived from its root key; lives in the arena. */
struct header_keys {
	uint8_t root[CRYPTO_KEY_BYTES];
	uint8_t value[CRYPTO_KEY_BYTES];      /* seals values */
	uint8_t record[CRYPTO_KEY_BYTES];     /* seals metadata records */
	uint8_t manifest[CRYPTO_KEY_BYTES];   /* seals the manifest */
	uint8_t row_hash[CRYPTO_KEY_BYTES];   /* hashes rows into the manifest's sum */
	uint8_t value_hash[CRYPTO_KEY_BYTES]; /* hashes values, to see whether a write changes them */
	uint8_t value_sum[CRYPTO_KEY_BYTES];  /* shortens them for that */
	uint8_t nonce[CRYPTO_KEY_BYTES];      /* hedges nonces */
	uint8_t header_mac[CRYPTO_KEY_BYTES];
	uint8_t anchor[CRYPTO_KEY_BYTES];     /* seals what an anchor knows of the store */
	uint8_t row_id[CRYPTO_KEY_BYTES]; /* hashes names to row ids; the last, as it stays when the others are forgotten */
};

/* header_create - a new store's header with a random id and root key, slot 0 opened by @key.
 * The caller frees *@ret_keys with secmem_free. 0 or -ENOMEM (logged). */
int header_create(struct header *ret_header, struct header_keys **ret_keys, const struct key *key);

/* header_renew - the header of the same store in the next epoch: a new random root key, which @key alone opens. As header_create. */
int header_renew(const struct header *old, struct header *ret_header, struct header_keys **ret_keys,
		 const struct key *key);

/* header_check - is it a header of this format? Needs no key.
 * 0; -EMEDIUMTYPE if it is not ours; -EPROTONOSUPPORT if the version or a feature is unknown (logged with @path). */
int header_check(const uint8_t *bytes, size_t size, const char *path);

/* header_open - find the slot that @key opens, unwrap the root key, verify the MAC.
 * *@ret_keys as above. 0; -EKEYREJECTED if no slot opens; -EBADMSG if the header was changed; -ENOMEM. Each is logged. */
int header_open(const struct header *header, const struct key *key, const char *path, struct header_keys **ret_keys,
		unsigned *ret_slot);

/* header_verify - is every byte as whoever had the root key left it? 0 or -EBADMSG. */
int header_verify(const struct header *header, const struct header_keys *keys);

/* header_slot_of - the slot that @key opens. -EKEYREJECTED if none, -EBADMSG (neither is logged); -ENOMEM (logged). Takes Argon2id's time for each slot of
 * a passphrase. */
int header_slot_of(const struct header *header, const struct key *key, unsigned *ret_slot);

/* header_slot_kind - enum key_kind, or 0 if the slot is free. */
uint8_t header_slot_kind(const struct header *header, unsigned slot);

/* header_set_slot - @slot opens to @key and to no other, or (NULL) is free; the MAC is made anew. -ENOMEM (logged) leaves the header as it was. */
int header_set_slot(struct header *header, unsigned slot, const struct header_keys *keys, const struct key *key);

const uint8_t *header_store_id(const struct header *header);
uint32_t header_epoch(const struct header *header);

/* header_forget_keys - wipe all but row_id, which opens nothing and tells nothing of the others. header_recall_keys - those that were
 * forgotten are as in @from, keys of the same root key. */
void header_forget_keys(struct header_keys *keys);
void header_recall_keys(struct header_keys *keys, const struct header_keys *from);

/* header_derive_keys - all subkeys of a root key, as README.md has them. */
void header_derive_keys(struct header_keys *ret_keys, const uint8_t root[static CRYPTO_KEY_BYTES]);

#endif
