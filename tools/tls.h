/* SPDX-License-Identifier: Apache-2.0
 * tls: is this a CA's certificate with its key? Kuma's rules for a provided CA.
 *
 * libcrypto is in hushctl alone. What it allocates is in the arena too, so that a key is wiped there as everywhere.
 */
#ifndef TOOLS_TLS_H
#define TOOLS_TLS_H

#include "store/secmem.h"

#define TLS_WHY_BYTES 256

/* tls_check - @cert: PEM, the CA first and what it is signed by; @key: PEM. 0; -EINVAL with a sentence, which has the field it is about
 * in front (": not a valid TLS key pair: …", ".cert[1]: basic constraint …"); -ENOMEM. */
int tls_check(const struct secbuf *cert, const struct secbuf *key, char ret_why[static TLS_WHY_BYTES]);

#endif
