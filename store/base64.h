/* SPDX-License-Identifier: Apache-2.0
 * base64: as Kuma takes it, RFC 4648 with Go's rules (encoding/base64, StdEncoding).
 *
 * The standard alphabet, padding required, CR and LF skipped, bits left over in the last character ignored; besides,
 * blanks count as line breaks, as that is what YAML makes of a folded value. Tables and branches depend on the value:
 * not for where others could time it.
 */
#ifndef STORE_BASE64_H
#define STORE_BASE64_H

#include "store/secmem.h"

#include <stddef.h>

/* base64_decode - appends to @ret_bytes. -EINVAL with *@ret_at, the offset in @text of what is wrong (what Go calls
 * "illegal base64 data at input byte N"); -ENOMEM. */
int base64_decode(const char *text, size_t size, struct secbuf *ret_bytes, size_t *ret_at);

/* base64_encode - appends the text, without line breaks. -ENOMEM. */
int base64_encode(const void *bytes, size_t size, struct secbuf *ret_text);

#endif
