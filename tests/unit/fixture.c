/* SPDX-License-Identifier: Apache-2.0
 * fixture: folders, files, keys and transactions for tests.
 */
#include "tests/unit/fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <sqlite3.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

void fixture_init(void)
{
	crypto_init();
	fixture_must(secmem_init(FIXTURE_ARENA_BYTES) >= 0);
}

void fixture_in_memory(void)
{
	if (access("/dev/shm", W_OK) == 0)
		setenv("TMPDIR", "/dev/shm", 0);
}

uint64_t fixture_seed(int argc, char **argv)
{
	uint64_t seed;

	crypto_random(&seed, sizeof(seed));
	return argc > 1 ? strtoull(argv[1], NULL, 0) : seed;
}

void *fixture_shared(size_t bytes)
{
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	fixture_must(memory != MAP_FAILED);
	return memory;
}

int fixture_group_setup(void **state)
{
	(void)state;
	fixture_init();
	return 0;
}

int fixture_group_teardown(void **state)
{
	size_t left = secmem_in_use();

	(void)state;
	if (left)
		fprintf(stderr, "%zu bytes were left in the arena\n", left);
	secmem_deinit();
	return left ? -1 : 0;
}

int fixture_setup(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	const char *parent = getenv("TMPDIR");

	fixture_must(fixture);
	snprintf(fixture->folder, sizeof(fixture->folder), "%s/hushfs-test-XXXXXX", parent ? parent : "/tmp");
	fixture_must(mkdtemp(fixture->folder));
	snprintf(fixture->store, sizeof(fixture->store), "%s/s.hush", fixture->folder);
	fixture->key = fixture_key();
	*state = fixture;
	return 0;
}

static int fixture_remove(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

int fixture_teardown(void **state)
{
	struct fixture *fixture = *state;

	nftw(fixture->folder, fixture_remove, 16, FTW_DEPTH | FTW_PHYS);
	key_free(fixture->key);
	free(fixture);
	return 0;
}

static int fixture_stderr, fixture_ear;

void fixture_listen(void)
{
	int ends[2];

	fixture_must(pipe2(ends, O_NONBLOCK | O_CLOEXEC) == 0);
	fixture_stderr = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0);
	fixture_must(fixture_stderr >= 0 && dup2(ends[1], STDERR_FILENO) >= 0);
	close(ends[1]);
	fixture_ear = ends[0];
}

size_t fixture_heard(char *ret_text, size_t room)
{
	ssize_t n = read(fixture_ear, ret_text, room - 1);

	fixture_must(n >= 0 || errno == EAGAIN);
	n = n > 0 ? n : 0;
	ret_text[n] = '\0';
	dup2(fixture_stderr, STDERR_FILENO);
	close(fixture_stderr);
	close(fixture_ear);
	return (size_t)n;
}

int fixture_status_of(void (*run)(const void *context), const void *context)
{
	int status;
	pid_t pid;

	fixture_listen();
	pid = fork();
	if (pid == 0) {
		run(context);
		_exit(0);
	}
	fixture_must(pid > 0 && waitpid(pid, &status, 0) == pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

const char *fixture_path(const struct fixture *fixture, const char *name)
{
	static char paths[16][PATH_MAX];
	static unsigned next;
	char *path = paths[next++ % 16];

	snprintf(path, PATH_MAX, "%s/%s", fixture->folder, name);
	return path;
}

void fixture_write(const char *path, const void *bytes, size_t size, mode_t mode)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	fixture_must(fd >= 0);
	fixture_must(write(fd, bytes, size) == (ssize_t)size);
	fixture_must(fchmod(fd, mode) == 0);
	close(fd);
}

uint8_t *fixture_read(const char *path, size_t *ret_size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	uint8_t *bytes;

	fixture_must(fd >= 0);
	fixture_must(fstat(fd, &st) == 0);
	bytes = malloc((size_t)st.st_size + 1);
	fixture_must(bytes);
	fixture_must(read(fd, bytes, (size_t)st.st_size) == st.st_size);
	close(fd);
	*ret_size = (size_t)st.st_size;
	return bytes;
}

void fixture_copy(const char *from, const char *to)
{
	size_t size;
	uint8_t *bytes = fixture_read(from, &size);

	fixture_write(to, bytes, size, 0600);
	free(bytes);
}

struct key *fixture_key(void)
{
	struct key *key = secmem_alloc(sizeof(*key));

	fixture_must(key);
	key->kind = KEY_FILE;
	key->size = CRYPTO_KEY_BYTES;
	crypto_random(key->bytes, CRYPTO_KEY_BYTES);
	return key;
}

/* splitmix64 */
uint64_t fixture_random(uint64_t *seed, uint64_t bound)
{
	uint64_t z = *seed += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return (z ^ z >> 31) % bound;
}

void fixture_fill(void *ret_bytes, size_t size, uint64_t seed)
{
	uint8_t *bytes = ret_bytes;

	for (size_t i = 0; i < size; i++)
		bytes[i] = (uint8_t)fixture_random(&seed, 256);
}

struct name fixture_secret(const char *mesh, const char *name)
{
	struct name result;

	fixture_must(name_set(&result, NAME_SECRET, mesh, name) == 0);
	return result;
}

struct name fixture_global(const char *name)
{
	struct name result;

	fixture_must(name_set(&result, NAME_GLOBAL_SECRET, "", name) == 0);
	return result;
}

struct name fixture_mesh(const char *name)
{
	struct name result;

	fixture_must(name_set(&result, NAME_MESH, "", name) == 0);
	return result;
}

void fixture_op(struct store_op *op, enum store_op_kind kind, struct name name, const void *value, size_t size)
{
	op->kind = kind;
	op->name = name;
	for (int i = 0; i < RECORD_INODES; i++)
		op->attributes[i].mode = 0600;
	if (value)
		fixture_must(secbuf_write(&op->value, 0, value, size) == 0);
}

int fixture_do(struct store *store, enum store_op_kind kind, struct name name, const void *value, size_t size,
	       enum store_outcome *ret_outcome)
{
	struct store_txn *txn = store_txn_new(1);
	int r;

	fixture_must(txn);
	fixture_op(&txn->ops[0], kind, name, value, size);
	r = store_run(store, txn);
	if (ret_outcome)
		*ret_outcome = txn->ops[0].ret_outcome;
	store_txn_free(txn);
	return r;
}

/* A transaction that does nothing goes through the commit thread, which prunes on the way; what one commit
 * leaves behind goes with the next. */
void fixture_settle(struct store *store)
{
	for (int i = 0; i < 4; i++) {
		struct store_txn *txn = store_txn_new(1);

		fixture_must(txn);
		fixture_op(&txn->ops[0], STORE_PUT, fixture_global("settle"), "", 0);
		txn->ops[0].only_created = UINT64_MAX;
		fixture_must(store_run(store, txn) == 0);
		store_txn_free(txn);
	}
}

void fixture_make(const struct fixture *fixture)
{
	fixture_must(store_create(fixture->store, fixture->key, 1000, 1001) == 0);
}

struct store *fixture_open(const struct fixture *fixture, unsigned history, size_t cache_bytes)
{
	const struct store_options options = {
		.value_bytes = STORE_VALUE_BYTES_DEFAULT, .history = history, .cache_bytes = cache_bytes};
	struct store *store;

	fixture_must(store_open(fixture->store, fixture->key, &options, &store) == 0);
	return store;
}

int fixture_try(const struct fixture *fixture, const char *path, struct store **ret_store)
{
	const struct store_options options = {.value_bytes = STORE_VALUE_BYTES_DEFAULT, .history = 2};

	*ret_store = NULL;
	return store_open(path, fixture->key, &options, ret_store);
}

struct store_info fixture_info(struct store *store, struct name name)
{
	struct store_info info;

	fixture_must(store_look(store, store_node(store, &name), &info) == 0);
	return info;
}

bool fixture_exists(struct store *store, struct name name)
{
	struct store_info info;

	return store_look(store, store_node(store, &name), &info) == 0 && info.exists;
}

bool fixture_version_holds(struct store *store, uint64_t node, uint64_t generation, const void *bytes, size_t size)
{
	SECBUF_AUTO value = {0};

	return store_read(store, node, generation, &value) == 0 && value.size == size &&
	       (size == 0 || memcmp(value.data, bytes, size) == 0);
}

void fixture_sql(const char *path, const char *text)
{
	sqlite3 *db;

	fixture_must(sqlite3_open(path, &db) == SQLITE_OK);
	if (sqlite3_exec(db, text, NULL, NULL, NULL) != SQLITE_OK)
		fprintf(stderr, "%s: %s\n", text, sqlite3_errmsg(db));
	fixture_must(sqlite3_errcode(db) == SQLITE_OK);
	sqlite3_close(db);
}

bool fixture_holds(struct store *store, struct name name, const void *bytes, size_t size)
{
	uint64_t node = store_node(store, &name), generation;
	bool same;

	if (store_pin(store, node, &generation) < 0)
		return false;
	same = fixture_version_holds(store, node, generation, bytes, size);
	store_unpin(store, node, generation);
	return same;
}

uint64_t fixture_rows(struct store *store)
{
	struct store_status status;

	fixture_settle(store);
	store_get_status(store, &status);
	return status.rows - 1;
}
