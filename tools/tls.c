/* SPDX-License-Identifier: Apache-2.0
 * tls: PEM in, one sentence out.
 */
#include "tools/tls.h"

#include <errno.h>
#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static void *tls_malloc(size_t bytes, const char *file, int line)
{
	(void)file;
	(void)line;
	return secmem_alloc(bytes);
}

static void tls_free(void *memory, const char *file, int line)
{
	(void)file;
	(void)line;
	secmem_free(memory);
}

static void *tls_realloc(void *memory, size_t bytes, const char *file, int line)
{
	void *grown = bytes ? secmem_alloc(bytes) : NULL;

	if (grown && memory) {
		size_t had = secmem_bytes(memory);

		memcpy(grown, memory, had < bytes ? had : bytes);
	}
	if (grown || !bytes)
		tls_free(memory, file, line);
	return grown;
}

/* libcrypto reads no configuration, and frees nothing when the process ends: the arena may be gone by then. */
static int tls_init(void)
{
	static bool done;

	if (done)
		return 0;
	if (CRYPTO_set_mem_functions(tls_malloc, tls_realloc, tls_free) != 1 ||
	    OPENSSL_init_crypto(OPENSSL_INIT_NO_ATEXIT | OPENSSL_INIT_NO_LOAD_CONFIG, NULL) != 1)
		return -ENOMEM;
	done = true;
	return 0;
}

/* A key that is itself encrypted can't be used, and nobody is to be asked for its passphrase. */
static int tls_no_passphrase(char *buffer, int size, int writing, void *context)
{
	(void)buffer;
	(void)size;
	(void)writing;
	(void)context;
	return 0;
}

static int tls_refuse(char ret_why[static TLS_WHY_BYTES], const char *why)
{
	snprintf(ret_why, TLS_WHY_BYTES, ": not a valid TLS key pair: %s", why);
	return -EINVAL;
}

/* What a certificate of a CA has to say of itself (Kuma: pkg/tls, X509-SVID 4.1 and 4.3). */
static int tls_check_ca(X509 *cert, unsigned number, char ret_why[static TLS_WHY_BYTES])
{
	uint32_t flags = X509_get_extension_flags(cert);
	uint32_t usage = flags & EXFLAG_KUSAGE ? X509_get_key_usage(cert) : 0;
	const char *why = NULL;

	if (!(flags & EXFLAG_BCONS) || !(flags & EXFLAG_CA))
		why = "basic constraint 'CA' must be set to 'true'";
	else if (!(usage & KU_KEY_CERT_SIGN))
		why = "key usage extension 'keyCertSign' must be set";
	else if (usage & KU_KEY_AGREEMENT)
		why = "key usage extension 'keyAgreement' must NOT be set";
	if (!why)
		return 0;
	snprintf(ret_why, TLS_WHY_BYTES, ".cert[%u]: %s", number, why);
	return -EINVAL;
}

/* The certificates one after the other; the first belongs to @key. */
static int tls_check_chain(BIO *chain, EVP_PKEY *key, char ret_why[static TLS_WHY_BYTES])
{
	unsigned n = 0;
	X509 *cert;
	int r = 0;

	while (r == 0 && (cert = PEM_read_bio_X509(chain, NULL, tls_no_passphrase, NULL))) {
		if (n == 0 && X509_check_private_key(cert, key) != 1)
			r = tls_refuse(ret_why, "private key does not match public key");
		else
			r = tls_check_ca(cert, n, ret_why);
		X509_free(cert);
		n++;
	}
	if (r == 0 && n == 0)
		return tls_refuse(ret_why, "failed to find any certificate in the PEM data of cert");
	if (r == 0 && ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)
		return tls_refuse(ret_why, "a certificate of cert cannot be read");
	return r;
}

int tls_check(const struct secbuf *cert, const struct secbuf *key, char ret_why[static TLS_WHY_BYTES])
{
	BIO *cert_bio, *key_bio;
	EVP_PKEY *private;
	int r = tls_init();

	if (r < 0)
		return r;
	ERR_clear_error();
	cert_bio = BIO_new_mem_buf(cert->data ? (const void *)cert->data : "", (int)cert->size);
	key_bio = BIO_new_mem_buf(key->data ? (const void *)key->data : "", (int)key->size);
	private = cert_bio && key_bio ? PEM_read_bio_PrivateKey(key_bio, NULL, tls_no_passphrase, NULL) : NULL;
	if (!cert_bio || !key_bio)
		r = -ENOMEM;
	else if (!private)
		r = tls_refuse(ret_why, "failed to find a private key, not encrypted, in the PEM data of key");
	else
		r = tls_check_chain(cert_bio, private, ret_why);
	EVP_PKEY_free(private);
	BIO_free(cert_bio);
	BIO_free(key_bio);
	ERR_clear_error();
	return r;
}
