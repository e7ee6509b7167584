/* SPDX-License-Identifier: Apache-2.0
 * scratch: folders, files, keys and transactions for tests.
 */
#include "tests/unit/scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void scratch_init(void)
{
	scratch_must(crypto_init() == 0);
	scratch_must(secmem_init(SCRATCH_ARENA_BYTES) >= 0);
}

int scratch_group_setup(void **state)
{
	(void)state;
	scratch_init();
	return 0;
}

int scratch_group_teardown(void **state)
{
	size_t left = secmem_in_use();

	(void)state;
	if (left)
		fprintf(stderr, "%zu bytes were left in the arena\n", left);
	secmem_deinit();
	return left ? -1 : 0;
}

int scratch_setup(void **state)
{
	struct scratch *scratch = calloc(1, sizeof(*scratch));
	const char *parent = getenv("TMPDIR");

	scratch_must(scratch);
	snprintf(scratch->folder, sizeof(scratch->folder), "%s/hushfs-test-XXXXXX", parent ? parent : "/tmp");
	scratch_must(mkdtemp(scratch->folder));
	snprintf(scratch->store, sizeof(scratch->store), "%s/s.hush", scratch->folder);
	scratch->key = scratch_key();
	*state = scratch;
	return 0;
}

static int scratch_remove(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

int scratch_teardown(void **state)
{
	struct scratch *scratch = *state;

	nftw(scratch->folder, scratch_remove, 16, FTW_DEPTH | FTW_PHYS);
	key_free(scratch->key);
	free(scratch);
	return 0;
}

const char *scratch_path(const struct scratch *scratch, const char *name)
{
	static char paths[16][PATH_MAX];
	static unsigned next;
	char *path = paths[next++ % 16];

	snprintf(path, PATH_MAX, "%s/%s", scratch->folder, name);
	return path;
}

void scratch_write(const char *path, const void *bytes, size_t size, mode_t mode)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	scratch_must(fd >= 0);
	scratch_must(write(fd, bytes, size) == (ssize_t)size);
	scratch_must(fchmod(fd, mode) == 0);
	close(fd);
}

uint8_t *scratch_read(const char *path, size_t *ret_size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	uint8_t *bytes;

	scratch_must(fd >= 0);
	scratch_must(fstat(fd, &st) == 0);
	bytes = malloc((size_t)st.st_size + 1);
	scratch_must(bytes);
	scratch_must(read(fd, bytes, (size_t)st.st_size) == st.st_size);
	close(fd);
	*ret_size = (size_t)st.st_size;
	return bytes;
}

void scratch_copy(const char *from, const char *to)
{
	size_t size;
	uint8_t *bytes = scratch_read(from, &size);

	scratch_write(to, bytes, size, 0600);
	free(bytes);
}

struct key *scratch_key(void)
{
	struct key *key = secmem_alloc(sizeof(*key));

	scratch_must(key);
	key->kind = KEY_FILE;
	key->size = CRYPTO_KEY_BYTES;
	crypto_random(key->bytes, CRYPTO_KEY_BYTES);
	return key;
}

/* splitmix64 */
uint64_t scratch_random(uint64_t *seed, uint64_t bound)
{
	uint64_t z = *seed += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return (z ^ z >> 31) % bound;
}

void scratch_fill(void *ret_bytes, size_t size, uint64_t seed)
{
	uint8_t *bytes = ret_bytes;

	for (size_t i = 0; i < size; i++)
		bytes[i] = (uint8_t)scratch_random(&seed, 256);
}

struct name scratch_secret(const char *mesh, const char *name)
{
	struct name result;

	scratch_must(name_set(&result, NAME_SECRET, mesh, name) == 0);
	return result;
}

struct name scratch_global(const char *name)
{
	struct name result;

	scratch_must(name_set(&result, NAME_GLOBAL_SECRET, "", name) == 0);
	return result;
}

struct name scratch_mesh(const char *name)
{
	struct name result;

	scratch_must(name_set(&result, NAME_MESH, "", name) == 0);
	return result;
}

void scratch_op(struct store_op *op, enum store_op_kind kind, struct name name, const void *value, size_t size)
{
	op->kind = kind;
	op->name = name;
	for (int i = 0; i < RECORD_INODES; i++)
		op->attributes[i].mode = 0600;
	if (value)
		scratch_must(secbuf_write(&op->value, 0, value, size) == 0);
}

int scratch_do(struct store *store, enum store_op_kind kind, struct name name, const void *value, size_t size,
	       enum store_outcome *ret_outcome)
{
	struct store_txn *txn = store_txn_new(1);
	int r;

	scratch_must(txn);
	scratch_op(&txn->ops[0], kind, name, value, size);
	r = store_run(store, txn);
	if (ret_outcome)
		*ret_outcome = txn->ops[0].ret_outcome;
	store_txn_free(txn);
	return r;
}

/* A transaction that does nothing goes through the commit thread, which prunes on the way; what one commit
 * leaves behind goes with the next. */
void scratch_settle(struct store *store)
{
	for (int i = 0; i < 4; i++) {
		struct store_txn *txn = store_txn_new(1);

		scratch_must(txn);
		scratch_op(&txn->ops[0], STORE_PUT, scratch_global("settle"), "", 0);
		txn->ops[0].only_created = UINT64_MAX;
		scratch_must(store_run(store, txn) == 0);
		store_txn_free(txn);
	}
}

void scratch_make(const struct scratch *scratch)
{
	scratch_must(store_create(scratch->store, scratch->key, 1000, 1001) == 0);
}

struct store *scratch_open(const struct scratch *scratch, unsigned history, size_t cache_bytes)
{
	const struct store_options options = {
		.value_bytes = STORE_VALUE_BYTES_DEFAULT, .history = history, .cache_bytes = cache_bytes};
	struct store *store;

	scratch_must(store_open(scratch->store, scratch->key, &options, &store) == 0);
	return store;
}

int scratch_try(const struct scratch *scratch, const char *path, struct store **ret_store)
{
	const struct store_options options = {.value_bytes = STORE_VALUE_BYTES_DEFAULT, .history = 2};

	*ret_store = NULL;
	return store_open(path, scratch->key, &options, ret_store);
}

struct store_info scratch_info(struct store *store, struct name name)
{
	struct store_info info;

	scratch_must(store_look(store, store_node(store, &name), &info) == 0);
	return info;
}

bool scratch_exists(struct store *store, struct name name)
{
	struct store_info info;

	return store_look(store, store_node(store, &name), &info) == 0 && info.exists;
}

bool scratch_version_holds(struct store *store, uint64_t node, uint64_t generation, const void *bytes, size_t size)
{
	SECBUF_AUTO value = {0};

	return store_read(store, node, generation, &value) == 0 && value.size == size &&
	       (size == 0 || memcmp(value.data, bytes, size) == 0);
}

bool scratch_holds(struct store *store, struct name name, const void *bytes, size_t size)
{
	uint64_t node = store_node(store, &name), generation;
	bool same;

	if (store_pin(store, node, &generation) < 0)
		return false;
	same = scratch_version_holds(store, node, generation, bytes, size);
	store_unpin(store, node, generation);
	return same;
}

uint64_t scratch_rows(struct store *store)
{
	struct store_status status;

	scratch_settle(store);
	store_get_status(store, &status);
	return status.rows - 1;
}
