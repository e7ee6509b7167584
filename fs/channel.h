/* SPDX-License-Identifier: Apache-2.0
 * channel: what keeper and worker say to each other, over a socket pair. Each side sees the other's end when it dies.
 *
 * In this order: the keeper sends the key; the worker says READY, for all is set up that doesn't need the store;
 * the keeper says OPEN, when nobody else has the store; the worker says OPENED; the keeper says SERVE; the worker says
 * SERVING, and ANSWERED once it has answered a request. A keeper may be of an older version than its worker (upgrade in place), so
 * these messages may grow at their end only, and what a worker is to do is in its command line.
 */
#ifndef FS_CHANNEL_H
#define FS_CHANNEL_H

#include "store/key.h"

#include <stdint.h>
#include <sys/types.h>

#define CHANNEL_FD 3           /* where a worker finds its end */
#define CHANNEL_INIT_BYTES 512 /* of the kernel's first request at most; it has 104 */

enum channel_kind {
	CHANNEL_READY = 1,
	CHANNEL_OPEN,       /* with the ledger's descriptor */
	CHANNEL_OPENED,
	CHANNEL_SERVE,      /* with the descriptor of /dev/fuse */
	CHANNEL_SERVING,    /* the kernel has heard of this worker */
	CHANNEL_ANSWERED,
	CHANNEL_YIELD,      /* to the worker: end as soon as nothing is open for writing, another one goes on */
	CHANNEL_STAYED,     /* to the worker: an upgrade was asked for and failed */
	CHANNEL_END,        /* to the worker: the mount was taken from the tree, end when what is open in it is closed */
	CHANNEL_END_ASKED,  /* to the keeper: the worker was told to end */
	CHANNEL_LOCKED,     /* to the keeper: the store was locked: forget the key; it says FORGOTTEN then */
	CHANNEL_UNLOCKED,   /* to the keeper, as channel_send_unlocked: this key has unlocked it */
	CHANNEL_ADOPTED,    /* to the worker: the keeper was killed, and another one goes on in its place */
	CHANNEL_FORGOTTEN,  /* to the worker: nor has the keeper the key any more */
};

struct channel_message {
	uint32_t kind;      /* enum channel_kind */
	uint32_t init_size; /* SERVE: bytes of @init */
	uint64_t device;    /* SERVE: st_dev of what is mounted */
	uint64_t restarts;  /* OPEN: how often a worker has died */
	uint8_t first;      /* SERVE: the kernel waits for the answer to @init */
	uint8_t resend;     /* SERVE: the kernel may be asked to send again what was not answered. SERVING: it does so */
	uint8_t init[CHANNEL_INIT_BYTES] __attribute__((aligned(8)));
	uint64_t keeper;    /* ADOPTED: its process */
};

/* channel_new - a pair; both close when a program is executed. -errno (logged). */
int channel_new(int *ret_keeper, int *ret_worker);

/* channel_send_bytes, channel_receive_bytes - one message with the descriptor @passed, or -1; @ret_passed: NULL if none may come. Sending does
 * not block. The size, or -errno: -EPIPE if the other side is gone, -EAGAIN if it is behind. */
ssize_t channel_send_bytes(int channel, const void *bytes, size_t size, int passed);
ssize_t channel_receive_bytes(int channel, void *ret_bytes, size_t size, int *ret_passed);

/* channel_send - with the descriptor @passed, or -1. Does not block. -errno: the other side is gone. */
int channel_send(int channel, const struct channel_message *message, int passed);
int channel_say(int channel, enum channel_kind kind);

/* channel_receive - waits for a message. @ret_passed: a descriptor that came with it, or -1; NULL if none may. -EPIPE if the other
 * side is gone; -EPROTO. */
int channel_receive(int channel, struct channel_message *ret_message, int *ret_passed);

/* channel_kind - of the message that comes next, which stays there. Waits for it. 0 if the other side is gone. */
uint32_t channel_kind(int channel);

/* channel_send_unlocked, channel_receive_unlocked - UNLOCKED and its key, as one message. Errors as those of the next. */
int channel_send_unlocked(int channel, const struct key *key);
int channel_receive_unlocked(int channel, struct key **ret_key);

/* channel_send_key, channel_receive_key - from arena to arena; the caller frees the key. -EPIPE, -EPROTO, -ENOMEM. */
int channel_send_key(int channel, const struct key *key);
int channel_receive_key(int channel, struct key **ret_key);

#endif
