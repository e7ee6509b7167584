/* SPDX-License-Identifier: Apache-2.0
 * test_power: a power cut at every write and every sync.
 *
 * A random workload goes on while all that reaches the disk is recorded (disk.h). For each moment between two changes the disk is made as
 * the power cut may have left it, in four ways, and the store is opened there: it must open, be to the letter one of the
 * states that were committed, not older than what was acknowledged by then, and go on. Rows are compared as they were handed to the engine,
 * values as the workload wrote them. The next workload goes on from one of these states. The same for a rekey and a backup. Arguments: a seed. HUSH_SOAK=1: more of it.
 */
#include "store/internal.h"
#include "tests/crash/disk.h"
#include "tests/crash/fault.h"
#include "tests/crash/tap.h"
#include "tests/unit/fixture.h"

#include <inttypes.h>
#include <semaphore.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	SHORT_STATES = 2000,
	SOAK_STATES = 100000,
	STEPS = 20,
	SOAK_STEPS = 120,
	MOST = 20000, /* of anything that is counted */
	SLOTS = 14,
	LARGEST = 20000,
	JOURNAL_PAGES = 50, /* then it is moved into the file */
	GO_ON_EACH = 10,    /* states of which one is written to as well */
};

static struct fixture *fixture;
static char state_folder[300], state_store[320];
static uint64_t seed;

static uint64_t below(uint64_t bound)
{
	return fixture_random(&seed, bound);
}

/* For telling values apart, no more. */
static uint64_t hash(uint64_t before, const void *data, size_t size)
{
	const uint8_t *bytes = data;
	uint64_t h = before + 0x9e3779b97f4a7c15 + size, part;

	for (size_t at = 0; at < size; at += sizeof(part)) {
		part = 0;
		memcpy(&part, bytes + at, size - at < sizeof(part) ? size - at : sizeof(part));
		h = (h ^ part) * 0xbf58476d1ce4e5b9;
		h ^= h >> 29;
	}
	return h;
}

/* --- what was committed, as rows */

struct row {
	uint8_t key[32];
	size_t key_size;
	uint64_t hash;
};

static struct row rows[2000];
static size_t n_rows;
static uint64_t rows_sum, commit_sums[MOST]; /* by the number of the commit */
static unsigned commits_begun, commits_done;

static uint64_t row_hash(const uint8_t *key, size_t key_size, const uint8_t *data, size_t size)
{
	return hash(hash(0, key, key_size), data, size);
}

static void rows_change(const struct engine_change *change)
{
	size_t i = 0;

	while (i < n_rows && (rows[i].key_size != change->key_size || memcmp(rows[i].key, change->key, change->key_size) != 0))
		i++;
	if (i < n_rows) {
		rows_sum -= rows[i].hash;
		rows[i] = rows[--n_rows];
	}
	if (!change->data)
		return;
	fixture_must(n_rows < sizeof(rows) / sizeof(rows[0]) && change->key_size <= sizeof(rows[0].key));
	rows[n_rows].key_size = change->key_size;
	memcpy(rows[n_rows].key, change->key, change->key_size);
	rows[n_rows].hash = row_hash(change->key, change->key_size, change->data, change->size);
	rows_sum += rows[n_rows++].hash;
}

static bool watched; /* the workload's store, and no other */

static void commit_begins(const struct engine_change *list, size_t n)
{
	if (!watched)
		return;
	for (size_t i = 0; i < n; i++)
		rows_change(&list[i]);
	fixture_must(commits_begun + 1 < MOST);
	commit_sums[++commits_begun] = rows_sum;
}

static int commit_ends(int r)
{
	if (watched) {
		fixture_must(r == 0);
		commits_done = commits_begun;
	}
	return r;
}

int __real_engine_commit(struct engine *engine, const struct engine_change *list, size_t n);
int __wrap_engine_commit(struct engine *engine, const struct engine_change *list, size_t n);
int __wrap_engine_commit(struct engine *engine, const struct engine_change *list, size_t n)
{
	commit_begins(list, n);
	return commit_ends(__real_engine_commit(engine, list, n));
}

int __real_engine_create(const char *path, const struct engine_change *list, size_t n);
int __wrap_engine_create(const char *path, const struct engine_change *list, size_t n);
int __wrap_engine_create(const char *path, const struct engine_change *list, size_t n)
{
	commit_begins(list, n);
	return commit_ends(__real_engine_create(path, list, n));
}

/* --- what was committed, as people see it */

struct entry {
	bool exists;
	struct name name;
	uint64_t value;
	size_t size;
	mode_t mode;
};

static struct model {
	struct entry entries[SLOTS];
	bool meshes[2]; /* besides default: m0, m1 */
} model, models[MOST];            /* now, and after each transaction */
static uint64_t default_mesh;     /* what it adds */
static uint64_t model_sums[MOST]; /* by the number of the transaction */
static _Atomic unsigned txns_begun, txns_done; /* the thread that commits asks at each of its writes */

static uint64_t entry_sum(const struct name *name, uint64_t value, mode_t mode)
{
	uint64_t h = hash((uint64_t)name->kind, name->mesh, strlen(name->mesh));

	h = hash(h, name->name, strlen(name->name));
	return hash(hash(h, &value, sizeof(value)), &mode, sizeof(mode));
}

static const char *const mesh_names[] = {"m0", "m1"};
static const char *const mesh_texts[] = {FIXTURE_MESH("m0", "zero"), FIXTURE_MESH("m1", "one")};

static uint64_t model_sum(void)
{
	uint64_t sum = default_mesh;

	for (int i = 0; i < SLOTS; i++)
		if (model.entries[i].exists)
			sum += entry_sum(&model.entries[i].name, model.entries[i].value, model.entries[i].mode);
	for (int i = 0; i < 2; i++)
		if (model.meshes[i]) {
			struct name name = fixture_mesh(mesh_names[i]);

			sum += entry_sum(&name, hash(0, mesh_texts[i], strlen(mesh_texts[i])), 0);
		}
	return sum;
}

/* The model has been changed as a transaction will: it is about to be handed over. */
static void model_begins(void)
{
	fixture_must(txns_begun + 1 < MOST);
	model_sums[++txns_begun] = model_sum();
	models[txns_begun] = model;
}

/* One resource of an open store; false if its value can't be read. */
static bool sum_one(struct store *store, const struct store_info *info, uint64_t *sum)
{
	bool is_mesh = info->record.name.kind == NAME_MESH;
	SECBUF_AUTO value = {0};
	uint64_t generation;
	bool good;

	if (store_pin(store, info->node, &generation) < 0)
		return false;
	good = store_read(store, info->node, generation, &value) == 0;
	store_unpin(store, info->node, generation);
	if (good)
		*sum += entry_sum(&info->record.name, hash(0, value.data, value.size),
				  is_mesh ? 0 : info->record.inodes[RECORD_SELF].mode);
	return good;
}

static bool sum_folder(struct store *store, enum name_kind kind, uint64_t mesh, uint64_t *sum)
{
	struct store_info info = {0};

	while (store_next(store, kind, mesh, info.node, &info) == 0)
		if (!sum_one(store, &info, sum) ||
		    (kind == NAME_MESH && !sum_folder(store, NAME_SECRET, info.node, sum)))
			return false;
	return true;
}

static bool sum_store(struct store *store, uint64_t *ret_sum)
{
	*ret_sum = 0;
	return sum_folder(store, NAME_MESH, 0, ret_sum) && sum_folder(store, NAME_GLOBAL_SECRET, 0, ret_sum);
}

/* --- the workload */

static struct moment {
	unsigned commits_begun, commits_done, txns_begun, txns_done;
} moments[MOST * 5]; /* by the number of the change */

static struct moment moment_now(void)
{
	return (struct moment){commits_begun, commits_done, txns_begun, txns_done};
}

static void before_change(size_t change)
{
	fixture_must(change < sizeof(moments) / sizeof(moments[0]));
	moments[change] = moment_now();
}

static struct name slot_name(int slot)
{
	char text[32];

	snprintf(text, sizeof(text), "s-%d", slot);
	if (slot % 4 == 3)
		return fixture_global(text);
	return fixture_secret(slot % 4 ? "default" : "m0", text);
}

static bool slot_has_mesh(int slot)
{
	return slot % 4 || model.meshes[0];
}

static size_t a_size(void)
{
	return below(8) ? below(300) : below(LARGEST);
}

/* Fill in an op that puts into a slot, in the store and in the model. */
static void plan_put(struct store_op *op, int slot)
{
	static uint8_t bytes[LARGEST];
	struct entry *entry = &model.entries[slot];
	size_t size = a_size();

	fixture_fill(bytes, size, below(UINT64_MAX));
	fixture_op(op, STORE_PUT, slot_name(slot), bytes, size);
	if (!entry->exists)
		*entry = (struct entry){.exists = true, .name = slot_name(slot), .mode = 0600};
	entry->value = hash(0, bytes, size);
	entry->size = size;
}

static void plan_remove(struct store_op *op, int slot)
{
	fixture_op(op, STORE_REMOVE, slot_name(slot), NULL, 0);
	model.entries[slot].exists = false;
}

static int a_slot(bool existing)
{
	for (int tries = 0; tries < 100; tries++) {
		int slot = (int)below(SLOTS);

		if (slot_has_mesh(slot) && (!existing || model.entries[slot].exists))
			return slot;
	}
	return -1;
}

static struct store_txn *txn_of(size_t n)
{
	struct store_txn *txn = store_txn_new(n);

	fixture_must(txn);
	return txn;
}

/* A transaction that the model already has. */
static void run(struct store *store, struct store_txn *txn)
{
	model_begins();
	fixture_must(store_run(store, txn) == 0);
	txns_done = txns_begun;
	store_txn_free(txn);
}

static void step_put(struct store *store)
{
	struct store_txn *txn = txn_of(1);

	plan_put(&txn->ops[0], a_slot(false));
	run(store, txn);
}

static void step_remove(struct store *store)
{
	int slot = a_slot(true);
	struct store_txn *txn;

	if (slot < 0)
		return;
	txn = txn_of(1);
	plan_remove(&txn->ops[0], slot);
	run(store, txn);
}

static void step_several_as_one(struct store *store)
{
	struct store_txn *txn = txn_of(4);

	for (int i = 0; i < 4; i++)
		plan_put(&txn->ops[i], a_slot(false));
	run(store, txn);
}

static void step_rename(struct store *store)
{
	int from = a_slot(true), to = (int)(below(SLOTS / 4) * 4 + (uint64_t)from % 4) % SLOTS;
	struct store_txn *txn;

	if (from < 0 || from == to || from % 4 != to % 4 || from % 4 == 1 || from % 4 == 2)
		return;
	txn = txn_of(1);
	fixture_op(&txn->ops[0], STORE_RENAME, slot_name(from), NULL, 0);
	txn->ops[0].to = slot_name(to);
	model.entries[to] = model.entries[from];
	model.entries[to].name = slot_name(to);
	model.entries[from].exists = false;
	run(store, txn);
}

static void step_chmod(struct store *store)
{
	int slot = a_slot(true);
	struct store_txn *txn;

	if (slot < 0)
		return;
	txn = txn_of(1);
	fixture_op(&txn->ops[0], STORE_SET_ATTRIBUTES, slot_name(slot), NULL, 0);
	txn->ops[0].set = RECORD_SET_MODE;
	model.entries[slot].mode = txn->ops[0].attributes[0].mode = (mode_t)below(0777);
	run(store, txn);
}

static void step_folder(struct store *store)
{
	struct store_txn *txn = txn_of(1);

	fixture_op(&txn->ops[0], STORE_SET_ATTRIBUTES, fixture_mesh("default"), NULL, 0);
	txn->ops[0].set = RECORD_SET_MODE;
	txn->ops[0].inode = RECORD_MESH_SECRETS;
	txn->ops[0].attributes[0].mode = (mode_t)below(0777);
	run(store, txn);
}

static void step_mesh(struct store *store)
{
	int number = (int)below(2);
	struct store_txn *txn;

	for (int i = 0; i < SLOTS && number == 0; i++)
		if (i % 4 == 0 && model.entries[i].exists)
			number = 1;
	txn = txn_of(1);
	if (model.meshes[number])
		fixture_op(&txn->ops[0], STORE_REMOVE, fixture_mesh(mesh_names[number]), NULL, 0);
	else
		fixture_op(&txn->ops[0], STORE_PUT, fixture_mesh(mesh_names[number]), mesh_texts[number],
			   strlen(mesh_texts[number]));
	model.meshes[number] = !model.meshes[number];
	run(store, txn);
}

static sem_t answered;

static void group_done(struct store_txn *txn, int result)
{
	fixture_must(result == 0);
	store_txn_free(txn);
	sem_post(&answered);
}

/* Several transactions at once, which share commits. */
static void step_group(struct store *store)
{
	unsigned n = 2 + (unsigned)below(5);

	for (unsigned i = 0; i < n; i++) {
		struct store_txn *txn = txn_of(1);
		int slot = a_slot(true);

		if (below(4) == 0 && slot >= 0)
			plan_remove(&txn->ops[0], slot);
		else
			plan_put(&txn->ops[0], a_slot(false));
		txn->done = group_done;
		model_begins();
		store_submit(store, txn);
	}
	for (unsigned i = 0; i < n; i++)
		sem_wait(&answered);
	txns_done = txns_begun;
}

/* A version that somebody has open goes when he closes it. */
static void step_pinned(struct store *store)
{
	int slot = a_slot(true);
	uint64_t node, generation;
	struct store_txn *txn;
	struct name name;

	if (slot < 0)
		return;
	name = slot_name(slot);
	node = store_node(store, &name);
	fixture_must(store_pin(store, node, &generation) == 0);
	txn = txn_of(1);
	plan_remove(&txn->ops[0], slot);
	run(store, txn);
	store_unpin(store, node, generation);
	fixture_settle(store);
}

static void step_keys(struct store *store)
{
	struct key *key = fixture_key();
	unsigned slot;

	fixture_must(store_key_add(store, key, &slot) == 0);
	if (below(2))
		fixture_must(store_key_replace(store, slot, key) == 0);
	fixture_must(store_key_remove(store, slot) == 0);
	key_free(key);
}

static const struct store_options options = {.value_bytes = STORE_VALUE_BYTES_DEFAULT, .history = 2};

static struct store *open_store(void)
{
	struct store *store;

	fixture_must(store_open(fixture->store, fixture->key, &options, &store) == 0);
	return store;
}

enum { N_ENDS = 3 };

/* One of the files that belong to a store. One static buffer. */
static const char *with_end(const char *path, size_t end)
{
	static const char *const ends[N_ENDS] = {"", "-wal", "-journal"};
	static char name[400];

	snprintf(name, sizeof(name), "%s%s", path, ends[end]);
	return name;
}

/* What a power cut has left, and the next workload begins with, unless it makes a store. */
static bool resumes, resumed; /* the next one, this one */
static struct model next_model;
static uint64_t next_row_sum, next_model_sum;

static void begin(void)
{
	commits_begun = commits_done = 0;
	txns_begun = 0;
	txns_done = 0;
	if (resumes)
		return;
	memset(&model, 0, sizeof(model));
	n_rows = 0;
	rows_sum = 0;
	for (size_t i = 0; i < N_ENDS; i++)
		unlink(with_end(fixture->store, i));
}

/* Making the store is the first transaction. What `default` adds is known when it is there. */
static struct store *make(void)
{
	struct store *store;

	if (resumed)
		return open_store();
	txns_begun = 1;
	fixture_make(fixture);
	txns_done = 1;
	store = open_store();
	fixture_must(sum_store(store, &default_mesh));
	model_sums[1] = default_mesh;
	models[1] = model;
	return store;
}

static struct store *workload(unsigned steps)
{
	static void (*const kinds[])(struct store *) = {step_put,   step_put,   step_put,    step_remove, step_several_as_one,
							step_group, step_group, step_rename, step_chmod,  step_folder,
							step_mesh,  step_mesh,  step_pinned, step_keys};
	struct store *store = make();

	for (unsigned i = 0; i < steps; i++) {
		kinds[below(sizeof(kinds) / sizeof(kinds[0]))](store);
		if (i % 12 == 11) {
			store_close(store);
			store = open_store();
		}
	}
	return store;
}

/* --- a state of the disk */

static struct figures {
	unsigned states, refused, lost, wrong, gone_on, moments, resumed;
} figures;

/* Where in @sums, newest first, is @sum? */
static bool is_among(const uint64_t *sums, unsigned first, unsigned last, uint64_t sum)
{
	for (unsigned i = last + 1; i-- > first;)
		if (sums[i] == sum)
			return true;
	return false;
}

static bool complain(unsigned *figure, const char *what, size_t change, enum disk_mode mode)
{
	static const char *const modes[] = {"none", "all", "any", "torn"};

	if ((*figure)++ < 5)
		printf("# %s: before change %zu, with %s of what was not synced\n", what, change, modes[mode]);
	return false;
}

static int add_row(void *context, const uint8_t *key, size_t key_size, const uint8_t *data, size_t size, uint64_t place)
{
	(void)place;
	*(uint64_t *)context += row_hash(key, key_size, data, size);
	return 0;
}

/* It takes a write, and has it after it was closed. */
static bool goes_on(struct store **store)
{
	bool good = fixture_do(*store, STORE_PUT, fixture_global("afterwards"), "here", 4, NULL) == 0;

	*store = store_close(*store);
	if (!good || store_open(state_store, fixture->key, &options, store) < 0)
		return false;
	figures.gone_on++;
	return fixture_holds(*store, fixture_global("afterwards"), "here", 4);
}

/* Compare the store that was opened with what was committed at that moment. */
static bool is_committed(struct store *store, const struct moment *m, size_t change, enum disk_mode mode)
{
	uint64_t row_sum = 0, sum;

	if (engine_scan(store->engine, ENGINE_BY_KEY, add_row, &row_sum) < 0 || !sum_store(store, &sum))
		return complain(&figures.wrong, "it can't be read", change, mode);
	if (is_among(commit_sums, m->commits_done, m->commits_begun, row_sum) &&
	    is_among(model_sums, m->txns_done, m->txns_begun, sum))
		return true;
	if (is_among(commit_sums, 0, commits_begun, row_sum) && is_among(model_sums, 0, txns_begun, sum))
		return complain(&figures.lost, "not what was acknowledged", change, mode);
	return complain(&figures.wrong, "a state that never was", change, mode);
}

/* Have the files of this state be those that the next workload begins with. */
static void resume_with_files(void)
{
	char from[400];

	for (size_t i = 0; i < N_ENDS; i++) {
		unlink(with_end(fixture->store, i));
		snprintf(from, sizeof(from), "%s", with_end(state_store, i));
		if (access(from, F_OK) == 0)
			fixture_copy(from, with_end(fixture->store, i));
	}
}

static int resume_row(void *context, const uint8_t *key, size_t key_size, const uint8_t *data, size_t size, uint64_t place)
{
	(void)context, (void)place;
	rows_change(&(struct engine_change){key, key_size, data, size});
	return 0;
}

/* And what is in it, as it was found to be. The model is that of the transaction that it is at. */
static void resume_with(struct store *store, const struct moment *m)
{
	unsigned at = m->txns_begun;
	uint64_t sum;

	n_rows = 0;
	rows_sum = 0;
	fixture_must(engine_scan(store->engine, ENGINE_BY_KEY, resume_row, NULL) == 0 && sum_store(store, &sum));
	while (model_sums[at] != sum)
		at--;
	next_model = models[at];
	next_row_sum = rows_sum;
	next_model_sum = sum;
	resumes = true;
}

static bool check_state(size_t change, enum disk_mode mode, bool resume)
{
	const struct moment *m = &moments[change];
	struct store_checked checked;
	struct store *store = NULL;
	bool good;

	figures.states++;
	disk_write_out(state_folder, mode, &seed);
	if (!resumed && m->txns_done == 0 && access(state_store, F_OK) < 0)
		return true; /* it was being made */
	if (resume)
		resume_with_files();
	if (store_load(state_store, fixture->key, &options, &store) < 0)
		return complain(&figures.refused, "it does not open", change, mode);
	good = is_committed(store, m, change, mode);
	if (good && resume)
		resume_with(store, m);
	fixture_must(commit_start(store) == 0);
	if (good && store_check(store, NULL, NULL, &checked) < 0)
		good = complain(&figures.wrong, "check", change, mode);
	if (good && figures.states % GO_ON_EACH == 0 && !goes_on(&store))
		good = complain(&figures.wrong, "it does not go on", change, mode);
	store_close(store);
	return good;
}

/* At every moment of one workload. */
static bool cut_a_workload(unsigned steps)
{
	unsigned first = figures.states, resume_at;
	bool good = true;

	begin();
	resumed = resumes;
	if (resumed) {
		model = next_model;
		models[0] = next_model;
		commit_sums[0] = next_row_sum;
		model_sums[0] = next_model_sum;
	}
	resumes = false;
	disk_record(fixture->folder, before_change);
	watched = true;
	store_close(workload(steps));
	watched = false;
	disk_stop();
	moments[disk_changes()] = moment_now();
	figures.resumed += resumed;
	resume_at = (unsigned)below(disk_changes() * DISK_MODES);
	for (size_t change = 0; change <= disk_changes() && good; change++) {
		disk_advance(change);
		for (enum disk_mode mode = DISK_NONE; mode < DISK_MODES && good; mode++)
			good = check_state(change, mode, figures.states - first == resume_at);
		figures.moments++;
	}
	disk_forget();
	return good;
}

static void test_workload(unsigned least)
{
	unsigned rounds = 0;
	bool good = true;

	figures = (struct figures){0};
	do
		good = cut_a_workload(least == SOAK_STATES ? SOAK_STEPS : STEPS);
	while (rounds++, good && figures.states < least);
	check(good, "a power cut at every write and sync: it opens, with all that was acknowledged and nothing partial");
	check(figures.gone_on > figures.states / (2 * GO_ON_EACH), "and goes on");
	printf("# figures states=%u moments=%u workloads=%u of_which_go_on=%u commits=%u lost=%u wrong_or_partial=%u refused=%u\n", figures.states,
	       figures.moments, rounds, figures.resumed, commits_begun, figures.lost, figures.wrong, figures.refused);
}

/* --- a copy, and a new root key */

static uint64_t whole_rows, whole_sum; /* what there is before and after */
static bool finished;                  /* had it returned by then? */
static size_t finished_at;

static void before_step(size_t change)
{
	if (!finished)
		finished_at = change + 1;
}

/* Nothing but the store as it was, under @key: 1; 0 if it doesn't open; -1 if it is something else. */
static int is_whole(const char *path, const struct key *key, bool same_rows)
{
	struct store *store = NULL;
	uint64_t row_sum = 0, sum = 0;
	bool good;

	if (store_load(path, key, &options, &store) < 0)
		return 0;
	good = sum_store(store, &sum) && sum == whole_sum && engine_scan(store->engine, ENGINE_BY_KEY, add_row, &row_sum) == 0 &&
	       (!same_rows || row_sum == whole_rows);
	store_close(store);
	return good ? 1 : -1;
}

/* The store is there at every moment, and the copy once it was acknowledged; before, what is there of it is whole or doesn't open. */
static bool check_copy(size_t change, enum disk_mode mode)
{
	char copy[330];
	int there;

	snprintf(copy, sizeof(copy), "%s/copy", state_folder);
	if (is_whole(state_store, fixture->key, true) != 1)
		return complain(&figures.lost, "the store", change, mode);
	there = access(copy, F_OK) < 0 ? 0 : is_whole(copy, fixture->key, true);
	if (there < 0)
		return complain(&figures.wrong, "a part of a copy opens", change, mode);
	if (there == 0 && change >= finished_at)
		return complain(&figures.lost, "the copy", change, mode);
	return true;
}

static struct key *new_key;

/* It opens with one of the keys; with the new one if that was acknowledged. The next rekey brings it to the end. */
static bool check_rekey(size_t change, enum disk_mode mode)
{
	int old = is_whole(state_store, fixture->key, true), new = is_whole(state_store, new_key, false);

	if (old < 0 || new < 0)
		return complain(&figures.wrong, "what opens", change, mode);
	if (old + new != 1 || (old == 1 && change >= finished_at))
		return complain(&figures.lost, "the store", change, mode);
	if (old == 0)
		return true;
	if (store_rekey(state_store, fixture->key, new_key, NULL, NULL, NULL) < 0 || is_whole(state_store, new_key, false) != 1)
		return complain(&figures.wrong, "rekeying again", change, mode);
	figures.gone_on++;
	return true;
}

typedef bool check_one(size_t change, enum disk_mode mode);

/* At every @each-th moment of what @work does with the store, and at the last. */
static void cut_work(int (*work)(void), check_one *check_it, size_t each, const char *name)
{
	bool good;

	figures = (struct figures){0};
	finished = false;
	finished_at = 0;
	disk_record(fixture->folder, before_step);
	good = work() == 0;
	finished = true;
	disk_stop();
	for (size_t change = 0; change <= disk_changes() && good; change++) {
		disk_advance(change);
		if (change % each != below(each) && change < finished_at - 2)
			continue;
		for (enum disk_mode mode = DISK_NONE; mode < DISK_MODES && good; mode++) {
			figures.states++;
			disk_write_out(state_folder, mode, &seed);
			good = check_it(change, mode);
		}
		figures.moments++;
	}
	check(good && figures.moments > 10, name);
	printf("# figures states=%u changes=%zu lost=%u wrong_or_partial=%u gone_on=%u\n", figures.states, disk_changes(),
	       figures.lost, figures.wrong, figures.gone_on);
	disk_forget();
}

static int work_copy(void)
{
	struct store *store = open_store();
	int r = store_copy(store, fixture_path(fixture, "copy"));

	finished = true;
	store_close(store);
	return r;
}

static int work_rekey(void)
{
	return store_rekey(fixture->store, fixture->key, new_key, NULL, NULL, NULL);
}

static void test_copy_and_rekey(size_t each)
{
	struct store *store;

	resumes = resumed = false;
	begin();
	store = workload(STEPS);
	fixture_settle(store);
	whole_rows = 0;
	fixture_must(engine_scan(store->engine, ENGINE_BY_KEY, add_row, &whole_rows) == 0 && sum_store(store, &whole_sum));
	store_close(store);
	new_key = fixture_key();
	cut_work(work_copy, check_copy, 1, "a power cut during a backup");
	cut_work(work_rekey, check_rekey, each, "a power cut during a rekey: all is there, under one key or the other");
	key_free(new_key);
}

int main(int argc, char **argv)
{
	bool soak = getenv("HUSH_SOAK") != NULL;
	void *holder;

	setvbuf(stdout, NULL, _IOLBF, 0);
	fixture_in_memory();
	fixture_init();
	seed = fixture_seed(argc, argv);
	printf("# seed=%" PRIu64 "\n", seed);
	sem_init(&answered, 0, 0);
	vfs_register(JOURNAL_PAGES);
	fixture_setup(&holder);
	fixture = holder;
	snprintf(state_folder, sizeof(state_folder), "%s", fixture_path(fixture, "state"));
	fixture_must(mkdir(state_folder, 0700) == 0);
	snprintf(state_store, sizeof(state_store), "%s/s.hush", state_folder);

	test_workload(soak ? SOAK_STATES : SHORT_STATES);

	test_copy_and_rekey(soak ? 1 : 4);
	fixture_teardown(&holder);
	secmem_deinit();
	return check_done();
}
