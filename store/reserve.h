/* SPDX-License-Identifier: Apache-2.0
 * reserve: room on the disk that is kept for removing secrets when there is no other left.
 *
 * It is a file without content beside the store, PATH-reserve of RESERVE_BYTES. It is left there when the store is closed, so that a store on
 * a full disk can be opened and cleared. Only the thread that commits calls these, but reserve_missing.
 */
#ifndef STORE_RESERVE_H
#define STORE_RESERVE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define RESERVE_BYTES (512u * 1024) /* what it takes to remove a secret with some 100 versions */

struct reserve {
	char *path;        /* owned; NULL: no reserve is kept */
	atomic_bool held; /* these two are asked for by any thread */
	atomic_bool impossible; /* here, so it is not tried again */
};

/* reserve_init - for the store @store_path; nothing is taken yet. -ENOMEM. reserve_deinit - the file stays. */
int reserve_init(struct reserve *reserve, const char *store_path);
void reserve_deinit(struct reserve *reserve);

/* reserve_take - take it from a disk that has @room bytes left, if that is enough and it is missing. */
void reserve_take(struct reserve *reserve, uint64_t room);

/* reserve_give - give it back to the disk. */
void reserve_give(struct reserve *reserve);

/* reserve_missing - how many bytes are still to be taken. */
uint64_t reserve_missing(const struct reserve *reserve);

#endif
