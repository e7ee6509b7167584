/* SPDX-License-Identifier: Apache-2.0
 * crypto: every cryptographic operation of hushfs. Nothing here knows what is being protected.
 *
 * Together with the locked memory (secmem) this is all that calls libsodium or libgcrypt: read these two to audit the
 * primitives, header.c, seal.c and anchor.c to audit what is fed to them. No function blocks but crypto_passphrase_key.
 */
#ifndef STORE_CRYPTO_H
#define STORE_CRYPTO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#define CRYPTO_KEY_BYTES 32
#define CRYPTO_SHORT_KEY_BYTES 16
#define CRYPTO_SALT_BYTES 16
#define CRYPTO_NONCE_BYTES 24
#define CRYPTO_TAG_BYTES 16
#define CRYPTO_HASH_BYTES 32
#define CRYPTO_SEAL_OVERHEAD (CRYPTO_NONCE_BYTES + CRYPTO_TAG_BYTES)

/* Bounds on Argon2id parameters, for what is read from a file as much as for what is written:
 * checked before any memory is taken. The default is libsodium's MODERATE. */
#define CRYPTO_ARGON2_PASSES_MIN 1
#define CRYPTO_ARGON2_PASSES_MAX 16
#define CRYPTO_ARGON2_PASSES_DEFAULT 3
#define CRYPTO_ARGON2_KIB_MIN 8
#define CRYPTO_ARGON2_KIB_MAX (1024 * 1024)
#define CRYPTO_ARGON2_KIB_DEFAULT (256 * 1024)

/* crypto_init - call once before anything else, also before secmem. Without random numbers, or a
 * descriptor to be had, it says so and ends the process. */
void crypto_init(void);

void crypto_random(void *ret_bytes, size_t bytes);

/* crypto_equal - compare in constant time. */
bool crypto_equal(const void *a, const void *b, size_t bytes);

/* crypto_subkey - derive subkey @number of @key with BLAKE2b (crypto_kdf). @context: 8 characters. */
void crypto_subkey(uint8_t ret_key[static CRYPTO_KEY_BYTES], const uint8_t key[static CRYPTO_KEY_BYTES],
		   uint64_t number, const char context[static 8]);

/* crypto_passphrase_key - Argon2id 1.3, one lane, @passes over @memory_kib KiB. Takes that memory, and time.
 * 0, -EINVAL for parameters out of bounds, -ENOMEM. */
int crypto_passphrase_key(uint8_t ret_key[static CRYPTO_KEY_BYTES], const void *passphrase, size_t passphrase_bytes,
			  const uint8_t salt[static CRYPTO_SALT_BYTES], uint32_t passes, uint32_t memory_kib);

/* crypto_keyed_hash - BLAKE2b of @parts one after the other, keyed with @key. @hash_bytes: 16 to 64. */
void crypto_keyed_hash(uint8_t *ret_hash, size_t hash_bytes, const uint8_t key[static CRYPTO_KEY_BYTES],
		 const struct iovec *parts, size_t n_parts);

/* crypto_long_hash - the same of one long input, six times as fast: of its Poly1305 with @sum_key, which nobody sees. Two different inputs
 * have the same with a probability of no more than size / 2^107, whoever chose them not knowing @sum_key. */
void crypto_long_hash(uint8_t *ret_hash, size_t hash_bytes, const uint8_t key[static CRYPTO_KEY_BYTES],
		      const uint8_t sum_key[static CRYPTO_KEY_BYTES], const void *bytes, size_t size);

/* crypto_short_hash - SipHash-2-4: tells short inputs apart for whoever does not know @key. Fast; for what is in memory only. */
uint64_t crypto_short_hash(const uint8_t key[static CRYPTO_SHORT_KEY_BYTES], const void *bytes, size_t size);

/* crypto_seal - XChaCha20-Poly1305: @ret_sealed gets nonce, ciphertext, tag (@plain_bytes + CRYPTO_SEAL_OVERHEAD).
 * The nonce is BLAKE2b-192 of 32 random bytes, @ad and @plain, keyed with @nonce_key: with a broken random
 * source two different messages still get different nonces. */
void crypto_seal(uint8_t *ret_sealed, const uint8_t key[static CRYPTO_KEY_BYTES],
		 const uint8_t nonce_key[static CRYPTO_KEY_BYTES], const void *ad, size_t ad_bytes, const void *plain,
		 size_t plain_bytes);

/* crypto_open - the reverse; @ret_plain gets @sealed_bytes - CRYPTO_SEAL_OVERHEAD bytes.
 * 0, or -EBADMSG if a single bit of @sealed or @ad is not what was sealed (@ret_plain is then zeroed). */
int crypto_open(uint8_t *ret_plain, const uint8_t key[static CRYPTO_KEY_BYTES], const void *ad, size_t ad_bytes,
		const uint8_t *sealed, size_t sealed_bytes);

/* crypto_verify - whether crypto_open would open it, at a third of the time. 0 or -EBADMSG. */
int crypto_verify(const uint8_t key[static CRYPTO_KEY_BYTES], const void *ad, size_t ad_bytes, const uint8_t *sealed, size_t sealed_bytes);

/* crypto_seal and crypto_open for what may be long, with the same result in half the time; they take some memory. To seal, @known, which is different for different
 * plaintexts, is hashed in place of @plain. 0, -ENOMEM, and -EBADMSG as above. */
int crypto_seal_long(uint8_t *ret_sealed, const uint8_t key[static CRYPTO_KEY_BYTES], const uint8_t nonce_key[static CRYPTO_KEY_BYTES],
		     const void *ad, size_t ad_bytes, const void *plain, size_t plain_bytes, const void *known, size_t known_bytes);
int crypto_open_long(uint8_t *ret_plain, const uint8_t key[static CRYPTO_KEY_BYTES], const void *ad, size_t ad_bytes, const uint8_t *sealed,
		     size_t sealed_bytes);

/* crypto_wipe_stack - what functions that returned left below the caller's frame, where libsodium may have had a key. */
void crypto_wipe_stack(void);

/* A multiset hash: the sum modulo 2^256 of keyed hashes (MSet-Add-Hash, Clarke et al., ASIACRYPT 2003).
 * Adding and removing an element cost the same, whatever the size of the set. */
void crypto_set_add(uint8_t sum[static CRYPTO_HASH_BYTES], const uint8_t hash[static CRYPTO_HASH_BYTES]);
void crypto_set_remove(uint8_t sum[static CRYPTO_HASH_BYTES], const uint8_t hash[static CRYPTO_HASH_BYTES]);

#endif
