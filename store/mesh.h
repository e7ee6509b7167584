/* SPDX-License-Identifier: Apache-2.0
 * mesh: the Mesh resource's own document.
 */
#ifndef STORE_MESH_H
#define STORE_MESH_H

#include "store/secmem.h"

/* mesh_document - the YAML of a Mesh with nothing but a name. @name is valid. 0 or -ENOMEM. */
int mesh_document(const char *name, struct secbuf *ret_yaml);

#endif
