/* SPDX-License-Identifier: Apache-2.0
 * header: key slots around one root key.
 *
 * A slot turns key material into a key-encryption key (KEK): the key file's bytes as they are, a passphrase by
 * Argon2id. Two subkeys of the KEK wrap the root key and make the commitment. XChaCha20-Poly1305 alone does
 * not commit to its key (one slot could be crafted to open under two keys), so the commitment is compared
 * first, and a slot is tried only if it matches.
 */
#include "store/header.h"

#include "store/bytes.h"
#include "store/log.h"
#include "store/secmem.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

static const uint8_t header_magic[8] = {'H', 'U', 'S', 'H', 'S', 'T', 'O', 'R'};

/* Offsets, in bytes. */
enum {
	AT_MAGIC = 0,
	AT_VERSION = 8,
	AT_RESERVED = 10,
	AT_FEATURES = 12,
	AT_STORE_ID = 16,
	AT_EPOCH = 32,
	AT_RESERVED2 = 36,
	AT_SLOTS = 40,
	AT_MAC = AT_SLOTS + HEADER_SLOTS * HEADER_SLOT_BYTES,

	/* within a slot */
	SLOT_KIND = 0, /* enum key_kind, 0 when free */
	SLOT_PASSES = 4,
	SLOT_MEMORY_KIB = 8,
	SLOT_RESERVED = 12,
	SLOT_SALT = 16,
	SLOT_COMMITMENT = 32,
	SLOT_WRAPPED = 64,
	SLOT_WRAPPED_BYTES = CRYPTO_KEY_BYTES + CRYPTO_SEAL_OVERHEAD,
	SLOT_RESERVED2 = SLOT_WRAPPED + SLOT_WRAPPED_BYTES,
	SLOT_AD_BYTES = 8 + HEADER_STORE_ID_BYTES + 4 + 1 + 11, /* see header_slot_ad */
};

_Static_assert(SLOT_RESERVED2 <= HEADER_SLOT_BYTES, "a slot holds its fields");
_Static_assert(AT_MAC + CRYPTO_HASH_BYTES == HEADER_BYTES, "the MAC ends the header");

#define HEADER_CONTEXT "hushroot" /* crypto_kdf context of the root key's subkeys */
#define SLOT_CONTEXT "hushslot"   /* and of a KEK's */

struct slot_keys {
	uint8_t kek[CRYPTO_KEY_BYTES];
	uint8_t wrap[CRYPTO_KEY_BYTES];
	uint8_t commit[CRYPTO_KEY_BYTES];
};

const uint8_t *header_store_id(const struct header *header)
{
	return header->bytes + AT_STORE_ID;
}

uint32_t header_epoch(const struct header *header)
{
	return bytes_get32(header->bytes + AT_EPOCH);
}

void header_derive_keys(struct header_keys *ret_keys, const uint8_t root[static CRYPTO_KEY_BYTES])
{
	struct header_keys *k = ret_keys;
	uint8_t *subkeys[] = {k->value,    k->record,     k->manifest, k->row_id,
			      k->row_hash, k->value_hash, k->nonce,    k->header_mac,
			      k->anchor,   k->value_sum};

	memcpy(k->root, root, CRYPTO_KEY_BYTES);
	for (size_t i = 0; i < sizeof(subkeys) / sizeof(subkeys[0]); i++)
		crypto_subkey(subkeys[i], k->root, i + 1, HEADER_CONTEXT);
}

void header_forget_keys(struct header_keys *keys)
{
	secmem_wipe(keys, offsetof(struct header_keys, row_id));
}

void header_recall_keys(struct header_keys *keys, const struct header_keys *from)
{
	memcpy(keys, from, offsetof(struct header_keys, row_id));
}

static void header_mac(const struct header *header, const struct header_keys *keys,
		       uint8_t ret_mac[static CRYPTO_HASH_BYTES])
{
	const struct iovec part = {(void *)header->bytes, AT_MAC};

	crypto_keyed_hash(ret_mac, CRYPTO_HASH_BYTES, keys->header_mac, &part, 1);
}

static const uint8_t *header_slot(const struct header *header, unsigned number)
{
	return header->bytes + AT_SLOTS + number * HEADER_SLOT_BYTES;
}

/* What a wrapped root key is bound to: this format, this store, this epoch, this slot. */
static void header_slot_ad(const struct header *header, unsigned number, uint8_t ret_ad[static SLOT_AD_BYTES])
{
	memset(ret_ad, 0, SLOT_AD_BYTES);
	memcpy(ret_ad, SLOT_CONTEXT, 8);
	memcpy(ret_ad + 8, header_store_id(header), HEADER_STORE_ID_BYTES);
	memcpy(ret_ad + 24, header->bytes + AT_EPOCH, 4);
	ret_ad[28] = (uint8_t)number;
}

/* The keys that @key makes with the salt and parameters of slot @number. */
static int header_slot_keys(const struct header *header, unsigned number, const struct key *key,
			    struct slot_keys *ret_keys)
{
	const uint8_t *slot = header_slot(header, number);
	int r = 0;

	if (key->kind == KEY_FILE)
		memcpy(ret_keys->kek, key->bytes, CRYPTO_KEY_BYTES);
	else
		r = crypto_passphrase_key(ret_keys->kek, key->bytes, key->size, slot + SLOT_SALT,
					  bytes_get32(slot + SLOT_PASSES), bytes_get32(slot + SLOT_MEMORY_KIB));
	if (r == -EINVAL) /* parameters that nobody has written */
		return -EBADMSG;
	if (r == -ENOMEM)
		log_error("key slot %u needs %u KiB of memory for Argon2id, and there is not as much", number,
			  bytes_get32(slot + SLOT_MEMORY_KIB));
	if (r < 0)
		return r;
	crypto_subkey(ret_keys->wrap, ret_keys->kek, 1, SLOT_CONTEXT);
	crypto_subkey(ret_keys->commit, ret_keys->kek, 2, SLOT_CONTEXT);
	return 0;
}

/* A hash that only the right KEK can make, over all that tells this slot from others. */
static void header_slot_commitment(const struct header *header, unsigned number, const struct slot_keys *keys,
				   uint8_t ret_commitment[static CRYPTO_HASH_BYTES])
{
	uint8_t ad[SLOT_AD_BYTES];
	const struct iovec parts[] = {{ad, sizeof(ad)},
				      {(void *)header_slot(header, number), SLOT_COMMITMENT}};

	header_slot_ad(header, number, ad);
	crypto_keyed_hash(ret_commitment, CRYPTO_HASH_BYTES, keys->commit, parts, 2);
}

/* Locked memory. NULL if there is none left (logged). */
static void *header_alloc(size_t bytes)
{
	void *memory = secmem_alloc(bytes);

	if (!memory)
		log_error("no locked memory left for the store's keys: raise the limit (ulimit -l)");
	return memory;
}

static int header_fill_slot(struct header *header, unsigned number, const struct header_keys *keys,
			    const struct key *key)
{
	uint8_t *slot = header->bytes + AT_SLOTS + number * HEADER_SLOT_BYTES;
	struct slot_keys *slot_keys = header_alloc(sizeof(*slot_keys));
	uint8_t ad[SLOT_AD_BYTES];
	int r;

	if (!slot_keys)
		return -ENOMEM;
	memset(slot, 0, HEADER_SLOT_BYTES);
	slot[SLOT_KIND] = (uint8_t)key->kind;
	crypto_random(slot + SLOT_SALT, CRYPTO_SALT_BYTES);
	if (key->kind == KEY_PASSPHRASE) {
		bytes_put32(slot + SLOT_PASSES, CRYPTO_ARGON2_PASSES_DEFAULT);
		bytes_put32(slot + SLOT_MEMORY_KIB, CRYPTO_ARGON2_KIB_DEFAULT);
	}
	r = header_slot_keys(header, number, key, slot_keys);
	if (r == 0) {
		header_slot_ad(header, number, ad);
		header_slot_commitment(header, number, slot_keys, slot + SLOT_COMMITMENT);
		crypto_seal(slot + SLOT_WRAPPED, slot_keys->wrap, keys->nonce, ad, sizeof(ad), keys->root,
			    CRYPTO_KEY_BYTES);
	}
	secmem_free(slot_keys);
	return r;
}

/* A header with one slot, around a new random root key. */
static int header_new(const uint8_t store_id[static HEADER_STORE_ID_BYTES], uint32_t epoch, const struct key *key,
		      struct header *ret_header, struct header_keys **ret_keys)
{
	struct header_keys *keys = header_alloc(sizeof(*keys));
	struct header header = {0};
	int r;

	if (!keys)
		return -ENOMEM;
	crypto_random(keys->root, CRYPTO_KEY_BYTES);
	header_derive_keys(keys, keys->root);
	memcpy(header.bytes + AT_MAGIC, header_magic, sizeof(header_magic));
	bytes_put16(header.bytes + AT_VERSION, HEADER_VERSION);
	bytes_put32(header.bytes + AT_EPOCH, epoch);
	memcpy(header.bytes + AT_STORE_ID, store_id, HEADER_STORE_ID_BYTES);
	r = header_set_slot(&header, 0, keys, key);
	if (r < 0) {
		secmem_free(keys);
		return r;
	}
	*ret_header = header;
	*ret_keys = keys;
	return 0;
}

int header_create(struct header *ret_header, struct header_keys **ret_keys, const struct key *key)
{
	uint8_t store_id[HEADER_STORE_ID_BYTES];

	crypto_random(store_id, sizeof(store_id));
	return header_new(store_id, 1, key, ret_header, ret_keys);
}

int header_renew(const struct header *old, struct header *ret_header, struct header_keys **ret_keys,
		 const struct key *key)
{
	return header_new(header_store_id(old), header_epoch(old) + 1, key, ret_header, ret_keys);
}

uint8_t header_slot_kind(const struct header *header, unsigned slot)
{
	return header_slot(header, slot)[SLOT_KIND];
}

int header_set_slot(struct header *header, unsigned slot, const struct header_keys *keys, const struct key *key)
{
	struct header changed = *header;
	int r = 0;

	if (key)
		r = header_fill_slot(&changed, slot, keys, key);
	else
		memset(changed.bytes + AT_SLOTS + slot * HEADER_SLOT_BYTES, 0, HEADER_SLOT_BYTES);
	if (r < 0)
		return r;
	header_mac(&changed, keys, changed.bytes + AT_MAC);
	*header = changed;
	return 0;
}

int header_verify(const struct header *header, const struct header_keys *keys)
{
	uint8_t mac[CRYPTO_HASH_BYTES];

	header_mac(header, keys, mac);
	return crypto_equal(mac, header->bytes + AT_MAC, sizeof(mac)) ? 0 : -EBADMSG;
}

int header_check(const uint8_t *bytes, size_t size, const char *path)
{
	if (size < AT_SLOTS || memcmp(bytes + AT_MAGIC, header_magic, sizeof(header_magic)) != 0) {
		log_error("%s: this is not a hushfs store: give the file that hushctl init made", path);
		return -EMEDIUMTYPE;
	}
	if (bytes_get16(bytes + AT_VERSION) != HEADER_VERSION) {
		log_error("%s: the store has format version %u, this hushfs knows version %u: %s", path, bytes_get16(bytes + AT_VERSION),
			  HEADER_VERSION,
			  bytes_get16(bytes + AT_VERSION) > HEADER_VERSION
				  ? "use the newer hushfs"
				  : "export it with the hushfs that made it (hushctl export), and apply that to a new store");
		return -EPROTONOSUPPORT;
	}
	if (bytes_get32(bytes + AT_FEATURES) != 0) {
		log_error("%s: the store needs features (bits %#x) that this hushfs does not know: use the newer hushfs",
			  path, bytes_get32(bytes + AT_FEATURES));
		return -EPROTONOSUPPORT;
	}
	if (size != HEADER_BYTES) {
		log_error("%s: the header has %zu bytes instead of %d: the store was changed; restore it from a backup", path, size,
			  HEADER_BYTES);
		return -EBADMSG;
	}
	return 0;
}

/* Try one slot. 0 with the root key in @ret_root, -EKEYREJECTED if it isn't for this key. */
static int header_try_slot(const struct header *header, unsigned number, const struct key *key,
			   struct slot_keys *scratch, uint8_t ret_root[static CRYPTO_KEY_BYTES])
{
	const uint8_t *slot = header_slot(header, number);
	uint8_t commitment[CRYPTO_HASH_BYTES];
	uint8_t ad[SLOT_AD_BYTES];
	int r;

	if (slot[SLOT_KIND] != key->kind)
		return -EKEYREJECTED;
	r = header_slot_keys(header, number, key, scratch);
	if (r < 0)
		return r;
	header_slot_commitment(header, number, scratch, commitment);
	if (!crypto_equal(commitment, slot + SLOT_COMMITMENT, sizeof(commitment)))
		return -EKEYREJECTED;
	header_slot_ad(header, number, ad);
	return crypto_open(ret_root, scratch->wrap, ad, sizeof(ad), slot + SLOT_WRAPPED, SLOT_WRAPPED_BYTES);
}

/* Try all slots. -EKEYREJECTED if none is for this key. */
static int header_find_slot(const struct header *header, const struct key *key,
			    uint8_t ret_root[static CRYPTO_KEY_BYTES], unsigned *ret_slot)
{
	struct slot_keys *scratch = header_alloc(sizeof(*scratch));
	int r = -EKEYREJECTED;

	if (!scratch)
		return -ENOMEM;
	for (unsigned i = 0; i < HEADER_SLOTS && r == -EKEYREJECTED; i++) {
		r = header_try_slot(header, i, key, scratch, ret_root);
		if (r == 0)
			*ret_slot = i;
	}
	secmem_free(scratch);
	return r;
}

int header_slot_of(const struct header *header, const struct key *key, unsigned *ret_slot)
{
	uint8_t *root = header_alloc(CRYPTO_KEY_BYTES);
	int r;

	if (!root)
		return -ENOMEM;
	r = header_find_slot(header, key, root, ret_slot);
	secmem_free(root);
	crypto_wipe_stack();
	return r;
}

int header_open(const struct header *header, const struct key *key, const char *path, struct header_keys **ret_keys,
		unsigned *ret_slot)
{
	struct header_keys *keys = header_alloc(sizeof(*keys));
	unsigned slot;
	int r;

	if (!keys)
		return -ENOMEM;
	r = header_find_slot(header, key, keys->root, &slot);
	if (r == -EKEYREJECTED)
		log_error("%s: this %s does not open the store: is it another store's, or was it removed or rotated?", path,
			  key->kind == KEY_FILE ? "key file" : "passphrase");
	if (r == 0) {
		header_derive_keys(keys, keys->root);
		r = header_verify(header, keys);
	}
	crypto_wipe_stack();
	if (r == -EBADMSG)
		log_error("%s: the header was changed without the key: the store is refused; restore it from a backup", path);
	if (r < 0) {
		secmem_free(keys);
		return r;
	}
	*ret_keys = keys;
	*ret_slot = slot;
	return 0;
}
