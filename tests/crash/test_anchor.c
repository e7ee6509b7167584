/* SPDX-License-Identifier: Apache-2.0
 * test_anchor: whatever ends a store that has an anchor, it opens again, with all that was acknowledged.
 *
 * The linker puts hooks around the calls that write an anchor, and around rename (--wrap, in the Makefile). A child opens
 * the store with its anchor, checks what is there, commits, and is killed: at a random moment, between a commit and
 * the anchor, within the write of the anchor, before and after its sync. So each opening is one after a crash. Then: the
 * anchor can't be written, at each call; and a rekey is killed, or fails, at each call. HUSH_SOAK=1: 10,000
 * openings instead of 500. Argument: a seed.
 */
#include "store/anchor.h"
#include "store/engine.h"
#include "tests/crash/tap.h"
#include "tests/unit/fixture.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { NAMES = 5, VALUE_BYTES = 300, GROUP = 4, ARENA_BYTES = 2 * 1024 * 1024 };

/* --- hooks */

enum ending { KILLED_BEFORE, KILLED_WITHIN, KILLED_AFTER, FAILS };

/* In memory that children share with us. */
static struct shared {
	unsigned calls;     /* so far */
	unsigned end_at;    /* the call at which it ends; 0: none */
	enum ending ending; /* and how */
	bool for_ever;      /* FAILS: all calls from there on */
	uint64_t torn;      /* KILLED_WITHIN: how many bytes are written */

	/* what a child has seen */
	uint64_t done[NAMES], tried[NAMES]; /* numbers of values, acknowledged and handed over */
	int opened;                         /* what came of opening it */
	bool whole;                         /* all was right */
	bool came_through;
	unsigned unsynced; /* writes of an anchor before the journal was synced that the store had when it was opened */
} * shared;

static bool armed; /* in the process that is to end */

static void die(void)
{
	kill(getpid(), SIGKILL);
}

/* The one that SQLite calls, and what the hook calls. */
static bool journal_synced;

int fdatasync(int fd)
{
	char link[40], path[400];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof(path));
	journal_synced |= n > 4 && memcmp(path + n - 4, "-wal", 4) == 0;
	return (int)syscall(SYS_fdatasync, fd);
}

/* Before a call. True: it is to fail. */
static bool hook_before(void)
{
	if (!armed)
		return false;
	shared->calls++;
	if (!shared->end_at || shared->calls < shared->end_at || (shared->calls > shared->end_at && !shared->for_ever))
		return false;
	if (shared->ending == KILLED_BEFORE)
		die();
	if (shared->ending == FAILS)
		errno = shared->calls % 2 ? EIO : ENOSPC;
	return shared->ending == FAILS;
}

static void hook_after(void)
{
	if (armed && shared->calls == shared->end_at && shared->ending == KILLED_AFTER)
		die();
}

ssize_t __real_pwrite(int fd, const void *bytes, size_t size, off_t at);
ssize_t __wrap_pwrite(int fd, const void *bytes, size_t size, off_t at);
ssize_t __wrap_pwrite(int fd, const void *bytes, size_t size, off_t at)
{
	ssize_t n;

	if (hook_before())
		return -1;
	if (!journal_synced)
		shared->unsynced++;
	if (armed && shared->calls == shared->end_at && shared->ending == KILLED_WITHIN) {
		__real_pwrite(fd, bytes, shared->torn % size, at);
		die();
	}
	n = __real_pwrite(fd, bytes, size, at);
	hook_after();
	return n;
}

#define HOOK(name, parameters, arguments)                                                                              \
	int __real_##name parameters;                                                                                  \
	int __wrap_##name parameters;                                                                                  \
	int __wrap_##name parameters                                                                                   \
	{                                                                                                              \
		int r;                                                                                                 \
                                                                                                                       \
		if (hook_before())                                                                                     \
			return -1;                                                                                     \
		r = __real_##name arguments;                                                                           \
		hook_after();                                                                                          \
		return r;                                                                                              \
	}

HOOK(fdatasync, (int fd), (fd))
HOOK(ftruncate, (int fd, off_t size), (fd, size))
HOOK(rename, (const char *from, const char *to), (from, to))

static void hooks(enum ending ending, unsigned end_at, bool for_ever)
{
	shared->calls = 0;
	shared->end_at = end_at;
	shared->ending = ending;
	shared->for_ever = for_ever;
}

/* --- a store with its anchor */

static uint64_t seed;
static struct fixture *fixture;
static uint8_t key_bytes[CRYPTO_KEY_BYTES]; /* an arena is empty in a child */
static char anchor_path[300];

static int open_anchored(const struct key *key, struct store **ret_store, struct anchor **ret_anchor)
{
	struct store_options options = {.value_bytes = STORE_VALUE_BYTES_DEFAULT, .history = 1};
	int r = anchor_open(anchor_path, false, ret_anchor);

	if (r < 0)
		return r;
	options.anchor = *ret_anchor;
	r = store_open(fixture->store, key, &options, ret_store);
	if (r < 0)
		*ret_anchor = anchor_close(*ret_anchor);
	return r;
}

static bool opens(void)
{
	struct anchor *anchor;
	struct store *store;

	if (open_anchored(fixture->key, &store, &anchor) < 0)
		return false;
	store_close(store);
	anchor_close(anchor);
	return true;
}

static struct name name_of(unsigned i)
{
	char text[20];

	snprintf(text, sizeof(text), "s-%u", i);
	return fixture_global(text);
}

static void fill(uint8_t bytes[static VALUE_BYTES], unsigned i, uint64_t number)
{
	fixture_fill(bytes, VALUE_BYTES, number * NAMES + i);
}

static bool holds_number(struct store *store, unsigned i, uint64_t number)
{
	uint8_t bytes[VALUE_BYTES];

	if (number == 0)
		return !fixture_exists(store, name_of(i));
	fill(bytes, i, number);
	return fixture_holds(store, name_of(i), bytes, VALUE_BYTES);
}

/* Each value is the acknowledged one, or the one that was handed over after it. From now on what is there counts. */
static bool is_whole(struct store *store)
{
	for (unsigned i = 0; i < NAMES; i++) {
		if (holds_number(store, i, shared->tried[i]))
			shared->done[i] = shared->tried[i];
		else if (!holds_number(store, i, shared->done[i]))
			return false;
		shared->tried[i] = shared->done[i];
	}
	return true;
}

/* --- in a child: commits until it is killed */

struct put {
	struct store_txn *txn;
	unsigned name;
	uint64_t number;
	pthread_mutex_t *lock;
	pthread_cond_t *wake;
	unsigned *left;
};

static void put_done(struct store_txn *txn, int result)
{
	struct put *put = txn->context;

	if (result == 0)
		shared->done[put->name] = put->number;
	pthread_mutex_lock(put->lock);
	--*put->left;
	pthread_cond_signal(put->wake);
	pthread_mutex_unlock(put->lock);
}

/* Some values at once, which may share a commit. */
static void put_group(struct store *store)
{
	pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	pthread_cond_t wake = PTHREAD_COND_INITIALIZER;
	unsigned n = 1 + (unsigned)fixture_random(&seed, GROUP), left = n, first = (unsigned)fixture_random(&seed, NAMES);
	struct put puts[GROUP];
	uint8_t bytes[VALUE_BYTES];

	for (unsigned i = 0; i < n; i++) {
		puts[i] = (struct put){.txn = store_txn_new(1), .name = (first + i) % NAMES, .lock = &lock, .wake = &wake, .left = &left};
		fixture_must(puts[i].txn);
		puts[i].number = ++shared->tried[puts[i].name];
		fill(bytes, puts[i].name, puts[i].number);
		fixture_op(&puts[i].txn->ops[0], STORE_PUT, name_of(puts[i].name), bytes, sizeof(bytes));
		puts[i].txn->done = put_done;
		puts[i].txn->context = &puts[i];
	}
	for (unsigned i = 0; i < n; i++)
		store_submit(store, puts[i].txn);
	pthread_mutex_lock(&lock);
	while (left)
		pthread_cond_wait(&wake, &lock);
	pthread_mutex_unlock(&lock);
	for (unsigned i = 0; i < n; i++)
		store_txn_free(puts[i].txn);
}

static struct key *child_begin(void)
{
	struct key *key;

	fixture_must(secmem_init(ARENA_BYTES) >= 0);
	key = fixture_key();
	memcpy(key->bytes, key_bytes, sizeof(key_bytes));
	return key;
}

static void child_commits(void)
{
	struct key *key = child_begin();
	struct anchor *anchor;
	struct store *store;

	armed = true;
	shared->opened = open_anchored(key, &store, &anchor);
	if (shared->opened < 0)
		_exit(1);
	shared->whole = is_whole(store);
	for (int i = 0; i < 20 && shared->whole; i++)
		put_group(store);
	armed = false;
	store_close(store);
	_exit(0);
}

static void child_rekeys(void)
{
	struct key *key = child_begin();
	struct anchor *anchor;
	int r;

	armed = true;
	r = anchor_open(anchor_path, false, &anchor);
	if (r == 0)
		r = store_rekey(fixture->store, key, key, anchor, NULL, NULL);
	armed = false;
	_exit(r == 0 ? 0 : 1);
}

/* @kill_after_us: 0 for never. True if it was killed, or ended as it ought to. */
static bool in_a_child(void (*work)(void), useconds_t kill_after_us)
{
	pid_t pid = fork();
	int status;

	fixture_must(pid >= 0);
	if (pid == 0)
		work();
	if (kill_after_us) {
		usleep(kill_after_us);
		kill(pid, SIGKILL);
	}
	fixture_must(waitpid(pid, &status, 0) == pid);
	shared->came_through = WIFEXITED(status) && WEXITSTATUS(status) == 0;
	return WIFEXITED(status) || WTERMSIG(status) == SIGKILL;
}

static void fresh(void)
{
	fixture_must(engine_remove(fixture->store) == 0); /* with the journal that a killed child has left: it is another store's */
	unlink(anchor_path);
	fixture_make(fixture);
	memset(shared, 0, sizeof(*shared));
}

/* --- no false alarm */

static struct figures {
	unsigned openings, random, between, torn, synced, first, refused, wrong, crashes;
} figures;

/* One child; it is killed in one of the ways, in a first use or later. */
static void one_crash(void)
{
	enum ending ending = (enum ending)fixture_random(&seed, 3);
	bool at_random = fixture_random(&seed, 4) == 0, first = fixture_random(&seed, 10) == 0;
	unsigned call = 1 + (unsigned)fixture_random(&seed, first ? 6 : 24);

	if (first) /* a store that goes on, and an anchor that is new */
		unlink(anchor_path);
	hooks(ending, at_random ? 0 : call, false);
	shared->torn = fixture_random(&seed, UINT64_MAX);
	shared->opened = 1;
	shared->whole = true;
	if (!in_a_child(child_commits, at_random ? 1 + (useconds_t)fixture_random(&seed, 12000) : 0))
		figures.crashes++;
	if (shared->opened <= 0) {
		figures.openings++;
		figures.refused += shared->opened < 0;
		figures.wrong += !shared->whole;
	}
	figures.first += first;
	figures.random += at_random;
	if (!at_random && shared->calls >= call)
		*(ending == KILLED_BEFORE ? &figures.between : ending == KILLED_WITHIN ? &figures.torn : &figures.synced) += 1;
}

static void no_false_alarm(unsigned n)
{
	fresh();
	while (figures.openings < n)
		one_crash();
	printf("# figures openings=%u after kills (random_moment=%u before_a_write_or_sync=%u torn_write=%u after_it=%u, %u in a first use)"
	       " false_alarms=%u lost_or_wrong=%u crashes=%u\n",
	       figures.openings, figures.random, figures.between, figures.torn, figures.synced, figures.first, figures.refused,
	       figures.wrong, figures.crashes);
	check(figures.refused == 0, "a store opens with its anchor, wherever it was killed");
	check(figures.wrong == 0, "with all that was acknowledged, and nothing else");
	check(figures.crashes == 0, "and nobody crashed");
	check(figures.between > n / 10 && figures.torn > n / 20 && figures.synced > n / 10 && figures.random > n / 10,
	      "it was killed in all of these ways");
}

/* --- an anchor that can't be written */

/* The @n-th call fails, once or from then on. True if that was reached. */
static bool fails_at(unsigned n, bool for_ever, unsigned *ret_wrong)
{
	struct store_status status = {0};
	struct anchor *anchor;
	struct store *store;
	bool failed, reached, right;
	int r, later;

	fresh();
	hooks(FAILS, n, for_ever);
	armed = true;
	r = open_anchored(fixture->key, &store, &anchor);
	if (r < 0) { /* in the first use */
		armed = false;
		*ret_wrong += (r != -EIO && r != -ENOSPC) || !opens();
		return true;
	}
	r = fixture_do(store, STORE_PUT, name_of(0), "one", 3, NULL);
	later = fixture_do(store, STORE_PUT, name_of(1), "two", 3, NULL);
	store_get_status(store, &status);
	failed = status.anchor_failed;
	reached = shared->calls >= n;
	armed = false;
	if (r == -EIO)
		right = failed && later == -EROFS && fixture_holds(store, name_of(0), "one", 3) && !fixture_exists(store, name_of(1));
	else if (later == -EIO)
		right = failed && fixture_holds(store, name_of(1), "two", 3);
	else
		right = r == 0 && later == 0 && !failed;
	/* what came after it is refused, though it could be written now */
	right = right && (fixture_do(store, STORE_REMOVE, name_of(0), NULL, 0, NULL) == -EROFS) == failed;
	right = right && failed == reached && status.anchored && fixture_do(store, STORE_PUT, name_of(2), "x", 1, NULL) == (failed ? -EROFS : 0);
	store_close(store);
	anchor_close(anchor);
	/* opened while it still can't be: to be read only; and then as ever */
	hooks(FAILS, 1, true);
	armed = true;
	r = open_anchored(fixture->key, &store, &anchor);
	fixture_must(r == 0);
	right = right && fixture_do(store, STORE_PUT, name_of(3), "x", 1, NULL) == -EROFS;
	armed = false;
	store_get_status(store, &status);
	right = right && status.anchor_failed;
	store_close(store);
	anchor_close(anchor);
	right = right && opens();
	*ret_wrong += !right;
	if (!right)
		printf("# the anchor fails at call %u%s: %d, then %d\n", n, for_ever ? " and from then on" : "", r, later);
	return reached;
}

static void anchor_fails(void)
{
	for (int for_ever = 0; for_ever < 2; for_ever++) {
		unsigned n = 1, wrong = 0;

		while (fails_at(n, for_ever, &wrong))
			n++;
		printf("# figures %u calls failed%s, wrong=%u\n", n - 1, for_ever ? " for ever" : " once", wrong);
		check(n > 10 && wrong == 0, for_ever ? "an anchor that can't be written any more stops changes, not reading" :
						      "also if that passes");
	}
}

/* --- a journal that was left */

/* It is as the kernel shows it: that is not to say that it is on the disk. */
static void left_journal(void)
{
	char journal[310];
	unsigned unsynced;

	fresh();
	fixture_must(opens());
	hooks(KILLED_BEFORE, 12, false); /* in the third commit or so */
	in_a_child(child_commits, 0);
	snprintf(journal, sizeof(journal), "%s-wal", fixture->store);
	fixture_must(access(journal, F_OK) == 0);
	journal_synced = false;
	shared->unsynced = 0;
	fixture_must(opens());
	unsynced = shared->unsynced;
	shared->unsynced = 0;
	check(journal_synced && unsynced == 0, "a journal that was left is on disk before the anchor knows what is in it");
}

/* --- a rekey */

static void rekeys(void)
{
	static const enum ending endings[] = {KILLED_BEFORE, KILLED_WITHIN, KILLED_AFTER, FAILS};
	const char *before = fixture_path(fixture, "before");
	unsigned wrong = 0, n = 0;

	for (size_t i = 0; i < sizeof(endings) / sizeof(endings[0]); i++) {
		unsigned at = 0;
		bool reached = true;

		while (reached) {
			fresh();
			fixture_must(opens());
			fixture_copy(fixture->store, before);
			hooks(endings[i], ++at, false);
			shared->torn = 60;
			in_a_child(child_rekeys, 0);
			reached = shared->calls >= at;
			n += !shared->came_through;
			wrong += !opens();
			hooks(FAILS, 0, false);
			in_a_child(child_rekeys, 0);
			wrong += !shared->came_through || !opens();
			fixture_copy(before, fixture->store);
			wrong += opens();
		}
	}
	printf("# figures rekeys ended=%u wrong=%u\n", n, wrong);
	check(n >= 10 && wrong == 0, "a rekey that is killed, or fails, leaves a store that its anchor knows");
}

int main(int argc, char **argv)
{
	unsigned n = getenv("HUSH_SOAK") ? 10000 : 500;
	uint64_t first;
	void *holder;

	fixture_in_memory(); /* who is killed loses nothing that was written, whatever it was synced to */
	fixture_init();
	first = seed = fixture_seed(argc, argv);
	shared = fixture_shared(sizeof(*shared));
	fixture_setup(&holder);
	fixture = holder;
	memcpy(key_bytes, fixture->key->bytes, sizeof(key_bytes));
	snprintf(anchor_path, sizeof(anchor_path), "%s", fixture_path(fixture, "anchor"));

	printf("# openings=%u seed=%" PRIu64 "\n", n, first);
	no_false_alarm(n);
	anchor_fails();
	left_journal();
	rekeys();
	fixture_teardown(&holder);
	secmem_deinit();
	return check_done();
}
