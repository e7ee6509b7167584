/* SPDX-License-Identifier: Apache-2.0
 * fuzz_header: a header that was changed in any way, opened with its key file or its passphrase. It is refused unless not a byte is another; with
 * a MAC that was made for it (as whoever has the root key could) it may open, and then to the same root key. Whatever it asks for,
 * Argon2id is not given more than the bounds.
 *
 * An input is a byte of flags, and changes: where (2 bytes), how many bytes (1), the bytes.
 */
#include "tests/fuzz/fuzz.h"

#include "store/bytes.h"
#include "store/header.h"
#include "store/secmem.h"
#include "tests/unit/fixture.h"

#include <errno.h>
#include <sodium.h>
#include <string.h>

enum { PASSPHRASE = 1, WITH_MAC = 2, AS_BYTES = 4 };

/* In the place of libsodium's (--wrap, in the Makefile): Argon2id takes seconds. */
int __wrap_crypto_pwhash(unsigned char *out, unsigned long long out_bytes, const char *password, unsigned long long size,
			 const unsigned char *salt, unsigned long long passes, size_t memory, int algorithm);
int __wrap_crypto_pwhash(unsigned char *out, unsigned long long out_bytes, const char *password, unsigned long long size,
			 const unsigned char *salt, unsigned long long passes, size_t memory, int algorithm)
{
	fixture_must(passes >= CRYPTO_ARGON2_PASSES_MIN && passes <= CRYPTO_ARGON2_PASSES_MAX);
	fixture_must(memory >= CRYPTO_ARGON2_KIB_MIN * 1024u && memory / 1024 <= CRYPTO_ARGON2_KIB_MAX);
	fixture_must(algorithm == crypto_pwhash_ALG_ARGON2ID13);
	return crypto_generichash(out, out_bytes, salt, crypto_pwhash_SALTBYTES, (const unsigned char *)password, size);
}

static struct key *keys[2]; /* a file's, a passphrase */
static struct header base;
static struct header_keys *base_keys;

static void make_base(void)
{
	static const char passphrase[] = "a passphrase that is long enough to be a key";

	fixture_init();
	keys[0] = fixture_key();
	keys[1] = fixture_key();
	keys[1]->kind = KEY_PASSPHRASE;
	keys[1]->size = sizeof(passphrase) - 1;
	memcpy(keys[1]->bytes, passphrase, sizeof(passphrase) - 1);
	fixture_must(header_create(&base, &base_keys, keys[0]) == 0);
	fixture_must(header_set_slot(&base, 1, base_keys, keys[1]) == 0);
}

static void change(struct header *header, const uint8_t *data, size_t size)
{
	while (size > 3) {
		size_t at = bytes_get16(data) % HEADER_BYTES, n = data[2];

		data += 3;
		size -= 3;
		n = n < size ? n : size;
		n = n < HEADER_BYTES - at ? n : HEADER_BYTES - at;
		memcpy(header->bytes + at, data, n);
		data += n;
		size -= n;
	}
}

static void check_open(const struct header *header, const struct key *key, bool with_mac)
{
	struct header_keys *opened = NULL;
	unsigned slot = 99;
	int r = header_open(header, key, "a store", &opened, &slot);

	fixture_must(r == 0 || r == -EBADMSG || r == -EKEYREJECTED);
	if (r < 0) {
		fixture_must(!opened && slot == 99);
		return;
	}
	fixture_must(with_mac || memcmp(header, &base, sizeof(base)) == 0);
	fixture_must(slot < HEADER_SLOTS && memcmp(opened->root, base_keys->root, CRYPTO_KEY_BYTES) == 0);
	secmem_free(opened);
}

static void check_changed(const struct key *key, bool with_mac, const uint8_t *data, size_t size)
{
	struct header header = base;
	bool changed;
	unsigned slot;
	int r;

	change(&header, data, size);
	changed = memcmp(&header, &base, sizeof(base)) != 0;
	fixture_must((header_verify(&header, base_keys) == 0) == !changed);
	if (with_mac) {
		fixture_must(header_set_slot(&header, HEADER_SLOTS - 1, base_keys, NULL) == 0);
		fixture_must(header_verify(&header, base_keys) == 0);
	}
	r = header_check(header.bytes, sizeof(header.bytes), "a store");
	fixture_must(r == 0 || (changed && (r == -EMEDIUMTYPE || r == -EPROTONOSUPPORT)));
	if (r == 0)
		check_open(&header, key, with_mac);
	if (r == 0 && header_slot_of(&header, key, &slot) == 0)
		fixture_must(slot < HEADER_SLOTS && header_slot_kind(&header, slot) == key->kind);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t in_use;
	int r;

	if (!base_keys)
		make_base();
	if (size == 0)
		return 0;
	in_use = secmem_in_use();
	if (data[0] & AS_BYTES) {
		r = header_check(data + 1, size - 1, "a store");
		fixture_must(r < 0 || size - 1 == HEADER_BYTES);
	} else {
		check_changed(keys[data[0] & PASSPHRASE], data[0] & WITH_MAC, data + 1, size - 1);
	}
	fixture_must(secmem_in_use() == in_use);
	return 0;
}
