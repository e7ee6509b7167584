/* SPDX-License-Identifier: Apache-2.0
 * fill: many secrets at once in a store that is not mounted.
 *
 * fill STORE KEY_FILE FIRST END BYTES: secrets sFIRST to s(END - 1) of the mesh `default`, each of BYTES "x", of who runs it, mode 0600.
 */
#include "store/crypto.h"
#include "store/store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FILL_TXN 1000 /* secrets in one commit */
#define FILL_ARENA_BYTES (64u * 1024 * 1024)

static int fill_op(struct store_op *op, unsigned long number, size_t bytes)
{
	char name[32];
	int r;

	snprintf(name, sizeof(name), "s%lu", number);
	op->kind = STORE_PUT;
	op->attributes[RECORD_SELF] = (struct record_attributes){.uid = getuid(), .gid = getgid(), .mode = 0600};
	r = name_set(&op->name, NAME_SECRET, "default", name);
	if (r == 0)
		r = secbuf_resize(&op->value, bytes);
	if (r == 0 && bytes)
		memset(op->value.data, 'x', bytes);
	return r;
}

static int fill_commit(struct store *store, unsigned long first, unsigned long end, size_t bytes)
{
	struct store_txn *txn = store_txn_new(end - first);
	int r = txn ? 0 : -1;

	for (unsigned long number = first; number < end && r == 0; number++)
		r = fill_op(&txn->ops[number - first], number, bytes);
	if (r == 0)
		r = store_run(store, txn);
	store_txn_free(txn);
	return r;
}

int main(int argc, char **argv)
{
	const struct store_options options = {.value_bytes = STORE_VALUE_BYTES_DEFAULT, .history = STORE_HISTORY_DEFAULT};
	const struct key_source source = {.key_file = argc == 6 ? argv[2] : NULL};
	struct store *store = NULL;
	struct key *key = NULL;
	unsigned long end;
	int r;

	if (argc != 6) {
		fputs("usage: fill STORE KEY_FILE FIRST END BYTES\n", stderr);
		return 2;
	}
	end = strtoul(argv[4], NULL, 10);
	crypto_init();
	r = secmem_init(FILL_ARENA_BYTES) < 0 ? -1 : key_read(&source, &key);
	if (r == 0)
		r = store_open(argv[1], key, &options, &store);
	for (unsigned long first = strtoul(argv[3], NULL, 10), next; first < end && r == 0; first = next) {
		next = end - first < FILL_TXN ? end : first + FILL_TXN;
		r = fill_commit(store, first, next, strtoul(argv[5], NULL, 10));
	}
	store_close(store);
	key_free(key);
	return r == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
