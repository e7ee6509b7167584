/* SPDX-License-Identifier: Apache-2.0
 * ledger: tables of fixed entries in shared memory; to find something in the larger ones each worker has an index of its own.
 *
 * An entry of a table without an owner (a count, request or thread of 0) is free, and is written before it gets one. A
 * change of a pin is two things, the entry and that the request has been seen to, so it is noted as a step first: whoever takes
 * over carries the last step out again, which changes nothing if it was.
 */
#include "fs/ledger.h"

#include "store/log.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define LEDGER_VERSION 2
#define LEDGER_LOOKED_UP (UINT64_C(1) << 63) /* of a renamed inode: since it was asked for, the name was looked up */
#define LEDGER_RENAME_WAYS 8
#define LEDGER_BUCKETS 16384

struct ledger_pin {
	struct store_held held;
	_Atomic uint32_t count; /* of handles */
};

/* The last change of a pin. */
struct ledger_step {
	_Atomic uint64_t unique; /* of the request that it belongs to; 0: none */
	uint32_t index, count;   /* of the pin, afterwards */
	uint64_t generation;
};

struct ledger_request {
	_Atomic uint64_t unique;
	uint64_t generation;
};

struct ledger_writer {
	_Atomic uint64_t thread;
	uint64_t ino;
};

struct ledger_memory {
	uint32_t version, bytes;
	struct ledger_step step;
	struct ledger_request requests[LEDGER_REQUESTS];
	struct ledger_writer openings[LEDGER_OPENINGS];
	uint64_t renames[LEDGER_RENAMES]; /* inodes, 0: unused */
	uint32_t n_renames;               /* so far */
	int32_t helpers[LEDGER_HELPERS]; /* the last ones */
	uint32_t n_helpers;              /* so far */
	_Atomic uint32_t n_pins; /* entries that were ever used */
	struct ledger_pin pins[LEDGER_PINS];
};

struct ledger {
	struct ledger_memory *memory;
	uint64_t unique;          /* of the request that was begun */
	bool resent;
	uint64_t stepped_unique;  /* of the last step of the worker before */
	uint64_t stepped_generation;
	uint32_t buckets[LEDGER_BUCKETS]; /* 1 + index of a pin, or 0 */
	uint32_t chain[LEDGER_PINS];      /* the next in the bucket, or the next free one: the same */
	uint32_t free;
	bool former_pin[LEDGER_PINS]; /* that were there when it was taken over */
	bool overflowed;
	pthread_mutex_t lock;                 /* of the requests */
	bool committed[LEDGER_REQUESTS];      /* by a worker before */
	size_t n_openings;                    /* entries of that table that may be used, from the first on */
	bool former[LEDGER_OPENINGS];         /* of a worker before */
	bool opening_done[LEDGER_OPENINGS];   /* goes when the request that was begun is answered */
	bool any_opening_done;
};

int ledger_make(int *ret_fd)
{
	int fd = memfd_create("hushfs-ledger", MFD_CLOEXEC);
	int r;

	if (fd >= 0 && ftruncate(fd, sizeof(struct ledger_memory)) == 0) {
		*ret_fd = fd;
		return 0;
	}
	r = -errno;
	log_error("cannot make the memory that a worker leaves to the next one: %s", log_reason(-r));
	if (fd >= 0)
		close(fd);
	return r;
}

/* --- pins ------------------------------------------------------------------------------------------------------- */

static uint32_t *ledger_bucket(struct ledger *ledger, uint64_t node, uint64_t generation)
{
	return &ledger->buckets[(node ^ generation * UINT64_C(0x9e3779b97f4a7c15)) % LEDGER_BUCKETS];
}

static void ledger_link(struct ledger *ledger, uint32_t index)
{
	const struct store_held *held = &ledger->memory->pins[index].held;
	uint32_t *bucket = ledger_bucket(ledger, held->node, held->generation);

	ledger->chain[index] = *bucket;
	*bucket = index + 1;
}

static void ledger_unlink(struct ledger *ledger, uint32_t index)
{
	const struct store_held *held = &ledger->memory->pins[index].held;
	uint32_t *at = ledger_bucket(ledger, held->node, held->generation);

	while (*at != index + 1)
		at = &ledger->chain[*at - 1];
	*at = ledger->chain[index];
	ledger->chain[index] = ledger->free;
	ledger->free = index + 1;
}

static bool ledger_find(struct ledger *ledger, uint64_t node, uint64_t generation, uint32_t *ret_index)
{
	uint32_t at = *ledger_bucket(ledger, node, generation);

	while (at) {
		const struct store_held *held = &ledger->memory->pins[at - 1].held;

		if (held->node == node && held->generation == generation)
			break;
		at = ledger->chain[at - 1];
	}
	*ret_index = at - 1;
	return at != 0;
}

/* An entry for @held, without an owner yet. */
static bool ledger_add(struct ledger *ledger, const struct store_held *held, uint32_t *ret_index)
{
	uint32_t used = atomic_load(&ledger->memory->n_pins);

	if (ledger->free) {
		*ret_index = ledger->free - 1;
		ledger->free = ledger->chain[*ret_index];
	} else if (used < LEDGER_PINS) {
		*ret_index = used;
		atomic_store(&ledger->memory->n_pins, used + 1);
	} else {
		return false;
	}
	ledger->former_pin[*ret_index] = false;
	ledger->memory->pins[*ret_index].held = *held;
	ledger_link(ledger, *ret_index);
	return true;
}

/* Give a pin its new count, as part of the request that was begun. */
static void ledger_step(struct ledger *ledger, uint32_t index, uint32_t count)
{
	struct ledger_step *step = &ledger->memory->step;

	atomic_store(&step->unique, 0);
	step->index = index;
	step->count = count;
	step->generation = ledger->memory->pins[index].held.generation;
	atomic_store(&step->unique, ledger->unique);
	atomic_store(&ledger->memory->pins[index].count, count);
}

void ledger_pin(struct ledger *ledger, const struct store_held *held)
{
	uint32_t index;

	if (!ledger)
		return;
	if (ledger_find(ledger, held->node, held->generation, &index) || ledger_add(ledger, held, &index)) {
		ledger_step(ledger, index, atomic_load(&ledger->memory->pins[index].count) + 1);
	} else if (!ledger->overflowed) {
		ledger->overflowed = true;
		log_warning("more than %d versions are being read at a time: readers of more would not outlive a worker's death",
			    LEDGER_PINS);
	}
}

void ledger_unpin(struct ledger *ledger, uint64_t node, uint64_t generation)
{
	uint32_t index, count;

	if (!ledger || !ledger_find(ledger, node, generation, &index))
		return;
	count = atomic_load(&ledger->memory->pins[index].count);
	ledger_step(ledger, index, count - 1);
	if (count == 1)
		ledger_unlink(ledger, index);
}

bool ledger_is_former(struct ledger *ledger, uint64_t node, uint64_t generation)
{
	uint32_t index;

	return ledger && ledger_find(ledger, node, generation, &index) && ledger->former_pin[index];
}

static int ledger_older_first(const void *one, const void *other)
{
	const struct store_held *a = one, *b = other;

	return (a->generation > b->generation) - (a->generation < b->generation);
}

struct store_held *ledger_pins(const struct ledger *ledger, size_t *ret_n)
{
	uint32_t used = ledger ? atomic_load(&ledger->memory->n_pins) : 0;
	struct store_held *pins = used ? calloc(used, sizeof(*pins)) : NULL;
	size_t n = 0;

	if (used && !pins)
		log_error("no memory for what is being read: those readers lose their versions");
	for (uint32_t i = 0; pins && i < used; i++) {
		uint32_t count = atomic_load(&ledger->memory->pins[i].count);

		if (!count)
			continue;
		pins[n] = ledger->memory->pins[i].held;
		pins[n++].pins = count;
	}
	if (pins)
		qsort(pins, n, sizeof(*pins), ledger_older_first);
	*ret_n = n;
	return pins;
}

bool ledger_has_stepped(struct ledger *ledger, uint64_t *ret_generation)
{
	if (!ledger || !ledger->resent || ledger->unique != ledger->stepped_unique)
		return false;
	*ret_generation = ledger->stepped_generation;
	return true;
}

/* --- requests --------------------------------------------------------------------------------------------------- */

static struct ledger_request *ledger_request(struct ledger *ledger, uint64_t unique)
{
	struct ledger_request *requests = ledger->memory->requests;

	for (size_t i = 0; i < LEDGER_REQUESTS; i++)
		if (atomic_load(&requests[i].unique) == unique)
			return &requests[i];
	return NULL;
}

/* A free one, or that of the oldest request: one whose program was killed while it waited is never sent again. */
static struct ledger_request *ledger_request_new(struct ledger *ledger)
{
	struct ledger_request *oldest = ledger_request(ledger, 0);

	if (oldest)
		return oldest;
	oldest = &ledger->memory->requests[0];
	for (size_t i = 1; i < LEDGER_REQUESTS; i++)
		if (ledger->memory->requests[i].unique < oldest->unique)
			oldest = &ledger->memory->requests[i];
	return oldest;
}

void ledger_committing(struct ledger *ledger, uint64_t unique, uint64_t generation)
{
	struct ledger_request *request;

	if (!ledger || !unique)
		return;
	pthread_mutex_lock(&ledger->lock);
	request = ledger_request(ledger, unique);
	if (!request && generation)
		request = ledger_request_new(ledger);
	if (request) {
		atomic_store(&request->unique, 0);
		ledger->committed[request - ledger->memory->requests] = false;
		request->generation = generation;
		if (generation)
			atomic_store(&request->unique, unique);
	}
	pthread_mutex_unlock(&ledger->lock);
}

void ledger_answered(struct ledger *ledger, uint64_t unique)
{
	ledger_committing(ledger, unique, 0);
}

bool ledger_was_committed(struct ledger *ledger)
{
	const struct ledger_request *request;
	bool committed;

	if (!ledger || !ledger->resent)
		return false;
	pthread_mutex_lock(&ledger->lock);
	request = ledger_request(ledger, ledger->unique);
	committed = request && ledger->committed[request - ledger->memory->requests];
	pthread_mutex_unlock(&ledger->lock);
	return committed;
}

void ledger_opened(struct ledger *ledger, uint64_t generation)
{
	for (size_t i = 0; ledger && i < LEDGER_REQUESTS; i++) {
		struct ledger_request *request = &ledger->memory->requests[i];

		if (!atomic_load(&request->unique))
			continue;
		ledger->committed[i] = request->generation <= generation;
		if (!ledger->committed[i])
			atomic_store(&request->unique, 0);
	}
}

/* --- openings --------------------------------------------------------------------------------------------------- */

void ledger_opening(struct ledger *ledger, uint64_t ino, pid_t thread)
{
	size_t i = 0;

	if (!ledger || thread <= 0)
		return;
	while (i < LEDGER_OPENINGS && atomic_load(&ledger->memory->openings[i].thread))
		i++;
	if (i == LEDGER_OPENINGS)
		i = 0; /* who opened that long ago and did nothing since does not cut */
	atomic_store(&ledger->memory->openings[i].thread, 0);
	ledger->former[i] = ledger->opening_done[i] = false;
	ledger->memory->openings[i].ino = ino;
	atomic_store(&ledger->memory->openings[i].thread, (uint64_t)thread);
	if (i >= ledger->n_openings)
		ledger->n_openings = i + 1;
}

void ledger_opening_done(struct ledger *ledger, pid_t thread)
{
	for (size_t i = 0; ledger && thread > 0 && i < ledger->n_openings; i++)
		if (atomic_load(&ledger->memory->openings[i].thread) == (uint64_t)thread)
			ledger->opening_done[i] = ledger->any_opening_done = true;
}

bool ledger_was_opening(struct ledger *ledger, uint64_t ino, pid_t thread)
{
	for (size_t i = 0; ledger && thread > 0 && i < ledger->n_openings; i++)
		if (ledger->former[i] && !ledger->opening_done[i] && ledger->memory->openings[i].ino == ino &&
		    atomic_load(&ledger->memory->openings[i].thread) == (uint64_t)thread)
			return true;
	return false;
}

/* What was done by the request before: that one is answered. */
static void ledger_drop_openings(struct ledger *ledger)
{
	for (size_t i = 0; i < ledger->n_openings; i++) {
		if (!ledger->opening_done[i])
			continue;
		atomic_store(&ledger->memory->openings[i].thread, 0);
		ledger->former[i] = ledger->opening_done[i] = false;
	}
	while (ledger->n_openings && !atomic_load(&ledger->memory->openings[ledger->n_openings - 1].thread))
		ledger->n_openings--;
	ledger->any_opening_done = false;
}

/* --- helpers ---------------------------------------------------------------------------------------------------- */

void ledger_helper(struct ledger *ledger, pid_t helper)
{
	ledger->memory->helpers[ledger->memory->n_helpers % LEDGER_HELPERS] = helper;
	ledger->memory->n_helpers++;
}

/* Only what is sent again: a number may have become another process's since. */
bool ledger_was_helper(const struct ledger *ledger, pid_t thread)
{
	if (!ledger || !ledger->resent || thread <= 0)
		return false;
	for (size_t i = 0; i < LEDGER_HELPERS; i++)
		if (ledger->memory->helpers[i] == thread)
			return true;
	return false;
}

/* --- renames ---------------------------------------------------------------------------------------------------- */

/* The first of the LEDGER_RENAME_WAYS entries in which @ino may be. */
static uint64_t *ledger_rename_set(const struct ledger *ledger, uint64_t ino)
{
	uint64_t hash = ino * UINT64_C(0x9e3779b97f4a7c15) >> 32;

	return &ledger->memory->renames[hash % (LEDGER_RENAMES / LEDGER_RENAME_WAYS) * LEDGER_RENAME_WAYS];
}

/* NULL if it is not there. */
static uint64_t *ledger_find_rename(const struct ledger *ledger, uint64_t ino)
{
	uint64_t *set = ledger ? ledger_rename_set(ledger, ino) : NULL;

	for (size_t i = 0; set && i < LEDGER_RENAME_WAYS; i++)
		if ((set[i] & ~LEDGER_LOOKED_UP) == ino)
			return &set[i];
	return NULL;
}

bool ledger_renaming(struct ledger *ledger, uint64_t ino)
{
	const uint64_t *entry = ledger_find_rename(ledger, ino);

	if (!ledger || (entry && (*entry & LEDGER_LOOKED_UP)))
		return true;
	if (!entry)
		ledger_rename_set(ledger, ino)[ledger->memory->n_renames++ % LEDGER_RENAME_WAYS] = ino;
	return false;
}

bool ledger_is_renamed(const struct ledger *ledger, uint64_t ino)
{
	return ledger_find_rename(ledger, ino);
}

void ledger_looked_up(struct ledger *ledger, uint64_t ino)
{
	uint64_t *entry = ledger_find_rename(ledger, ino);

	if (entry)
		*entry |= LEDGER_LOOKED_UP;
}

/* --- taking it over --------------------------------------------------------------------------------------------- */

void ledger_begin(struct ledger *ledger, uint64_t unique)
{
	if (!ledger)
		return;
	if (ledger->any_opening_done)
		ledger_drop_openings(ledger);
	ledger->unique = unique & ~LEDGER_RESENT;
	ledger->resent = unique & LEDGER_RESENT;
}

static void ledger_index_pins(struct ledger *ledger)
{
	struct ledger_memory *memory = ledger->memory;
	struct ledger_step *step = &memory->step;
	uint32_t used = atomic_load(&memory->n_pins);

	ledger->stepped_unique = atomic_load(&step->unique);
	ledger->stepped_generation = step->generation;
	if (ledger->stepped_unique && step->index < used)
		atomic_store(&memory->pins[step->index].count, step->count);
	for (uint32_t i = 0; i < used; i++) {
		if (atomic_load(&memory->pins[i].count)) {
			ledger->former_pin[i] = true;
			ledger_link(ledger, i);
		} else {
			ledger->chain[i] = ledger->free;
			ledger->free = i + 1;
		}
	}
}

static void ledger_index_openings(struct ledger *ledger)
{
	for (size_t i = 0; i < LEDGER_OPENINGS; i++) {
		ledger->former[i] = atomic_load(&ledger->memory->openings[i].thread) != 0;
		if (ledger->former[i])
			ledger->n_openings = i + 1;
	}
}

int ledger_open(int fd, struct ledger **ret_ledger)
{
	struct ledger *ledger = calloc(1, sizeof(*ledger));
	struct ledger_memory *memory = MAP_FAILED;

	if (ledger)
		memory = mmap(NULL, sizeof(*memory), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (memory == MAP_FAILED) {
		free(ledger);
		log_error("no memory for what a worker leaves to the next one");
		return -ENOMEM;
	}
	if (!memory->version) {
		memory->bytes = sizeof(*memory);
		memory->version = LEDGER_VERSION;
	}
	ledger->memory = memory;
	if (memory->version != LEDGER_VERSION || memory->bytes != sizeof(*memory) ||
	    atomic_load(&memory->n_pins) > LEDGER_PINS) {
		log_error("this version can't go on with what the worker before has left: unmount, and mount again");
		ledger_free(ledger);
		return -EPROTO;
	}
	pthread_mutex_init(&ledger->lock, NULL);
	ledger_index_pins(ledger);
	ledger_index_openings(ledger);
	*ret_ledger = ledger;
	return 0;
}

struct ledger *ledger_free(struct ledger *ledger)
{
	if (ledger) {
		munmap(ledger->memory, sizeof(*ledger->memory));
		free(ledger);
	}
	return NULL;
}
