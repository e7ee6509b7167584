/* SPDX-License-Identifier: Apache-2.0
 * crypto: thin calls of libsodium, with its sizes checked at compile time, and for values of libgcrypt, whose ChaCha20-Poly1305 takes half the time.
 */
#include "store/crypto.h"

#include "store/log.h"

#include <errno.h>
#include <fcntl.h>
#include <gcrypt.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

_Static_assert(CRYPTO_KEY_BYTES == crypto_aead_xchacha20poly1305_ietf_KEYBYTES, "key");
_Static_assert(CRYPTO_KEY_BYTES == crypto_kdf_KEYBYTES, "key");
_Static_assert(CRYPTO_NONCE_BYTES == crypto_aead_xchacha20poly1305_ietf_NPUBBYTES, "nonce");
_Static_assert(CRYPTO_TAG_BYTES == crypto_aead_xchacha20poly1305_ietf_ABYTES, "tag");
_Static_assert(CRYPTO_KEY_BYTES == crypto_onetimeauth_KEYBYTES, "key");
_Static_assert(CRYPTO_SHORT_KEY_BYTES == crypto_shorthash_KEYBYTES, "key");
_Static_assert(sizeof(uint64_t) == crypto_shorthash_BYTES, "short hash");
_Static_assert(CRYPTO_SALT_BYTES == crypto_pwhash_SALTBYTES, "salt");

#define CRYPTO_STACK_BYTES (16u * 1024) /* more than any of libsodium's functions that take a key */

/* libsodium ends the process by itself if there are no random numbers to be had, without a word. */
static void crypto_no_random(void)
{
	log_error("no random numbers are to be had: it takes getrandom(2), or /dev/urandom");
	_exit(EXIT_FAILURE);
}

/* It looks into files, and aborts if there is no descriptor to be had for them. */
static void crypto_start_gcrypt(void)
{
	int fd = open("/", O_PATH | O_CLOEXEC);

	if (fd < 0) {
		log_error("cannot start libgcrypt: %s", log_reason(errno));
		_exit(EXIT_FAILURE);
	}
	close(fd);
	gcry_control(GCRYCTL_NO_FIPS_MODE); /* whose list of ciphers is another */
	gcry_control(GCRYCTL_DISABLE_SECMEM);
	gcry_check_version(NULL);
	gcry_control(GCRYCTL_INITIALIZATION_FINISHED);
}

void crypto_init(void)
{
	sodium_set_misuse_handler(crypto_no_random);
	if (sodium_init() < 0)
		crypto_no_random();
	sodium_set_misuse_handler(NULL);
	crypto_start_gcrypt();
}

void crypto_random(void *ret_bytes, size_t bytes)
{
	randombytes_buf(ret_bytes, bytes);
}

bool crypto_equal(const void *a, const void *b, size_t bytes)
{
	return sodium_memcmp(a, b, bytes) == 0;
}

void crypto_subkey(uint8_t ret_key[static CRYPTO_KEY_BYTES], const uint8_t key[static CRYPTO_KEY_BYTES],
		   uint64_t number, const char context[static 8])
{
	crypto_kdf_derive_from_key(ret_key, CRYPTO_KEY_BYTES, number, context, key);
}

int crypto_passphrase_key(uint8_t ret_key[static CRYPTO_KEY_BYTES], const void *passphrase, size_t passphrase_bytes,
			  const uint8_t salt[static CRYPTO_SALT_BYTES], uint32_t passes, uint32_t memory_kib)
{
	if (passes < CRYPTO_ARGON2_PASSES_MIN || passes > CRYPTO_ARGON2_PASSES_MAX ||
	    memory_kib < CRYPTO_ARGON2_KIB_MIN || memory_kib > CRYPTO_ARGON2_KIB_MAX)
		return -EINVAL;
	if (crypto_pwhash(ret_key, CRYPTO_KEY_BYTES, passphrase, passphrase_bytes, salt, passes,
			  (size_t)memory_kib * 1024, crypto_pwhash_ALG_ARGON2ID13) != 0)
		return -ENOMEM;
	return 0;
}

void crypto_keyed_hash(uint8_t *ret_hash, size_t hash_bytes, const uint8_t key[static CRYPTO_KEY_BYTES],
		 const struct iovec *parts, size_t n_parts)
{
	crypto_generichash_state state;

	crypto_generichash_init(&state, key, CRYPTO_KEY_BYTES, hash_bytes);
	for (size_t i = 0; i < n_parts; i++)
		crypto_generichash_update(&state, parts[i].iov_base, parts[i].iov_len);
	crypto_generichash_final(&state, ret_hash, hash_bytes);
	sodium_memzero(&state, sizeof(state)); /* it holds the last block of what was hashed */
}

/* A one-time key can be used again here, as what it gives never comes out: only BLAKE2b of it does (as hash-then-PRF, in Adiantum and AES-GCM-SIV). */
void crypto_long_hash(uint8_t *ret_hash, size_t hash_bytes, const uint8_t key[static CRYPTO_KEY_BYTES],
		      const uint8_t sum_key[static CRYPTO_KEY_BYTES], const void *bytes, size_t size)
{
	uint8_t sum[crypto_onetimeauth_BYTES];
	const struct iovec part = {sum, sizeof(sum)};

	crypto_onetimeauth(sum, bytes, size, sum_key);
	crypto_keyed_hash(ret_hash, hash_bytes, key, &part, 1);
	sodium_memzero(sum, sizeof(sum));
}

uint64_t crypto_short_hash(const uint8_t key[static CRYPTO_SHORT_KEY_BYTES], const void *bytes, size_t size)
{
	uint64_t hash;

	crypto_shorthash((uint8_t *)&hash, bytes, size, key);
	return hash;
}

static void crypto_nonce(uint8_t ret_nonce[static CRYPTO_NONCE_BYTES], const uint8_t nonce_key[static CRYPTO_KEY_BYTES], const void *ad,
			 size_t ad_bytes, const void *known, size_t known_bytes)
{
	uint8_t random[32];
	const struct iovec parts[] = {
		{random, sizeof(random)}, {(void *)ad, ad_bytes}, {(void *)known, known_bytes}};

	randombytes_buf(random, sizeof(random));
	crypto_keyed_hash(ret_nonce, CRYPTO_NONCE_BYTES, nonce_key, parts, 3);
}

void crypto_seal(uint8_t *ret_sealed, const uint8_t key[static CRYPTO_KEY_BYTES],
		 const uint8_t nonce_key[static CRYPTO_KEY_BYTES], const void *ad, size_t ad_bytes, const void *plain,
		 size_t plain_bytes)
{
	crypto_nonce(ret_sealed, nonce_key, ad, ad_bytes, plain, plain_bytes);
	crypto_aead_xchacha20poly1305_ietf_encrypt(ret_sealed + CRYPTO_NONCE_BYTES, NULL, plain, plain_bytes, ad,
						   ad_bytes, NULL, ret_sealed, key);
}

int crypto_open(uint8_t *ret_plain, const uint8_t key[static CRYPTO_KEY_BYTES], const void *ad, size_t ad_bytes,
		const uint8_t *sealed, size_t sealed_bytes)
{
	if (sealed_bytes < CRYPTO_SEAL_OVERHEAD)
		return -EBADMSG;
	if (crypto_aead_xchacha20poly1305_ietf_decrypt(ret_plain, NULL, NULL, sealed + CRYPTO_NONCE_BYTES,
						       sealed_bytes - CRYPTO_NONCE_BYTES, ad, ad_bytes, sealed,
						       key) != 0) {
		sodium_memzero(ret_plain, sealed_bytes - CRYPTO_SEAL_OVERHEAD);
		return -EBADMSG;
	}
	return 0;
}

int crypto_verify(const uint8_t key[static CRYPTO_KEY_BYTES], const void *ad, size_t ad_bytes, const uint8_t *sealed, size_t sealed_bytes)
{
	if (sealed_bytes < CRYPTO_SEAL_OVERHEAD)
		return -EBADMSG;
	return crypto_aead_xchacha20poly1305_ietf_decrypt(NULL, NULL, NULL, sealed + CRYPTO_NONCE_BYTES, sealed_bytes - CRYPTO_NONCE_BYTES,
							  ad, ad_bytes, sealed, key) == 0
		       ? 0
		       : -EBADMSG;
}

/* XChaCha20-Poly1305, ready for what is to be sealed or opened with @nonce: ChaCha20-Poly1305 of RFC 8439 with a key that HChaCha20 makes of @key
 * and 16 bytes of the nonce, and the other 8 as its nonce (draft-irtf-cfrg-xchacha-03, section 2.3). NULL if there is no memory. Closing wipes it. */
static gcry_cipher_hd_t crypto_long(const uint8_t key[static CRYPTO_KEY_BYTES], const uint8_t nonce[static CRYPTO_NONCE_BYTES], const void *ad,
				    size_t ad_bytes)
{
	uint8_t subkey[crypto_core_hchacha20_OUTPUTBYTES];
	uint8_t rest[crypto_aead_chacha20poly1305_ietf_NPUBBYTES] = {0};
	gcry_cipher_hd_t cipher;

	if (gcry_cipher_open(&cipher, GCRY_CIPHER_CHACHA20, GCRY_CIPHER_MODE_POLY1305, 0))
		return NULL;
	crypto_core_hchacha20(subkey, nonce, key, NULL);
	memcpy(rest + sizeof(rest) - (CRYPTO_NONCE_BYTES - crypto_core_hchacha20_INPUTBYTES), nonce + crypto_core_hchacha20_INPUTBYTES,
	       CRYPTO_NONCE_BYTES - crypto_core_hchacha20_INPUTBYTES);
	gcry_cipher_setkey(cipher, subkey, sizeof(subkey));
	sodium_memzero(subkey, sizeof(subkey));
	gcry_cipher_setiv(cipher, rest, sizeof(rest));
	gcry_cipher_authenticate(cipher, ad, ad_bytes);
	return cipher;
}

int crypto_seal_long(uint8_t *ret_sealed, const uint8_t key[static CRYPTO_KEY_BYTES], const uint8_t nonce_key[static CRYPTO_KEY_BYTES],
		     const void *ad, size_t ad_bytes, const void *plain, size_t plain_bytes, const void *known, size_t known_bytes)
{
	uint8_t *text = ret_sealed + CRYPTO_NONCE_BYTES;
	gcry_cipher_hd_t cipher;

	crypto_nonce(ret_sealed, nonce_key, ad, ad_bytes, known, known_bytes);
	cipher = crypto_long(key, ret_sealed, ad, ad_bytes);
	if (!cipher)
		return -ENOMEM;
	gcry_cipher_encrypt(cipher, text, plain_bytes, plain, plain_bytes);
	gcry_cipher_gettag(cipher, text + plain_bytes, CRYPTO_TAG_BYTES);
	gcry_cipher_close(cipher);
	return 0;
}

int crypto_open_long(uint8_t *ret_plain, const uint8_t key[static CRYPTO_KEY_BYTES], const void *ad, size_t ad_bytes, const uint8_t *sealed,
		     size_t sealed_bytes)
{
	const uint8_t *text = sealed + CRYPTO_NONCE_BYTES;
	gcry_cipher_hd_t cipher;
	size_t plain_bytes;
	bool is_whole;

	if (sealed_bytes < CRYPTO_SEAL_OVERHEAD)
		return -EBADMSG;
	plain_bytes = sealed_bytes - CRYPTO_SEAL_OVERHEAD;
	cipher = crypto_long(key, sealed, ad, ad_bytes);
	if (!cipher)
		return -ENOMEM;
	gcry_cipher_decrypt(cipher, ret_plain, plain_bytes, text, plain_bytes);
	is_whole = gcry_cipher_checktag(cipher, text + plain_bytes, CRYPTO_TAG_BYTES) == 0;
	gcry_cipher_close(cipher);
	if (!is_whole)
		sodium_memzero(ret_plain, plain_bytes);
	return is_whole ? 0 : -EBADMSG;
}

void crypto_wipe_stack(void)
{
	sodium_stackzero(CRYPTO_STACK_BYTES);
}

void crypto_set_add(uint8_t sum[static CRYPTO_HASH_BYTES], const uint8_t hash[static CRYPTO_HASH_BYTES])
{
	sodium_add(sum, hash, CRYPTO_HASH_BYTES);
}

void crypto_set_remove(uint8_t sum[static CRYPTO_HASH_BYTES], const uint8_t hash[static CRYPTO_HASH_BYTES])
{
	sodium_sub(sum, hash, CRYPTO_HASH_BYTES);
}
