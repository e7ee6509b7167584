/* SPDX-License-Identifier: Apache-2.0
 * fuzz_fuse: any requests, in any order, from a played kernel to a small store. The kernel is believed about the sizes within a request (of
 * what is written, of an attribute), and about nothing else: nodes, handles, names, flags, offsets and the length of the whole may be anything.
 *
 * What must hold: each request is answered once, or not at all where FUSE has no answer; no answer is longer than was asked for; what no
 * request names is as it was; the store is whole; nothing stays in the arena.
 *
 * An input is a row of requests: the 8 bytes of struct form, then its fields and its data. A name, a node or a handle is mostly an index into
 * those that there are, so that mutations make sense. Among them is one that the kernel does not make: the worker ends, and the next one, which has its
ledger, gets again what was not answered.
 */
#include "tests/fuzz/fuzz.h"

#include "tests/fuzz/helper_thread.h"
#include "tests/unit/fixture.h"
#include "tests/unit/kernel.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#define REQUESTS_MAX 64
#define UNANSWERED_MAX 8 /* at a time */
#define KNOWN_MAX 32
#define STAGED_BYTES (1024u * 1024)
#define ASKED_BYTES (128u * 1024) /* the kernel asks for no more at a time */
#define REQUEST_BYTES 65536
#define ANSWER_BYTES 256 /* of what has no size in its request */
#define ANSWER_MS 30000
#define INTERRUPTS (UINT64_C(1) << 62) /* in the number of an interrupt, as the kernel has bit 0 */

#define RESENT (UINT64_C(1) << 63)     /* of one that is sent again */
#define NEXT_WORKER 5000                /* as an opcode: that */

#define KEPT "kept" /* named by no request */

/* How an input has a request. */
struct form {
	uint8_t operation, node, second_node, handle, names, flags, fields, data;
};

enum { /* form.flags */
	DONT_WAIT = 1,
	OTHER_USER = 2,
	ROOT = 4,
	OTHER_PROCESS = 8,
	CUT = 16,      /* the request ends before its end */
	WRONG_LEN = 32, /* its head says another length */
	LARGE = 64,    /* its data many times */
};
#define LARGE_TIMES 64

enum tail { NO_TAIL, NAME, TWO_NAMES, DATA, NAME_AND_DATA };
#define NOWHERE (-1) /* there is no such field */

struct operation {
	uint32_t opcode;
	uint16_t size;            /* of its struct */
	int8_t handle, node;      /* where a handle and a second node stand in it */
	int8_t data_size, wanted; /* where it says how long its data is, and the answer may be */
	enum tail tail;
	bool unanswered;
};

static const struct operation operations[] = {
	{FUSE_LOOKUP, 0, NOWHERE, NOWHERE, NOWHERE, NOWHERE, NAME, false},
	{FUSE_FORGET, 8, NOWHERE, NOWHERE, NOWHERE, NOWHERE, NO_TAIL, true},
	{FUSE_GETATTR, 16, 8, NOWHERE, NOWHERE, NOWHERE, NO_TAIL, false},
	{FUSE_SETATTR, 88, 8, NOWHERE, NOWHERE, NOWHERE, NO_TAIL, false},
	{FUSE_READLINK, 0, NOWHERE, NOWHERE, NOWHERE, NOWHERE, NO_TAIL, false},
	{FUSE_SYMLINK, 0, NOWHERE, NOWHERE, NOWHERE, NOWHERE, TWO_NAMES, false},
	{FUSE_MKNOD, 16, NOWHERE, NOWHERE, NOWHERE, NOWHERE, NAME, false},
	{FUSE_MKDIR, 8, NOWHERE, NOWHERE, NOWHERE, NOWHERE, NAME, false},
	{FUSE_UNLINK, 0, NOWHERE, NOWHERE, NOWHERE, NOWHERE, NAME, false},
	{FUSE_RMDIR, 0, NOWHERE, NOWHERE, NOWHERE, NOWHERE, NAME, false},
	{FUSE_RENAME, 8, NOWHERE, 0, NOWHERE, NOWHERE, TWO_NAMES, false},
	{FUSE_LINK, 8, NOWHERE, 0, NOWHERE, NOWHERE, NAME, false},
	{FUSE_OPEN, 8, NOWHERE, NOWHERE, NOWHERE, NOWHERE, NO_TAIL, false},
	{FUSE_READ, 40, 0, NOWHERE, NOWHERE, 16, NO_TAIL, false},
	{FUSE_WRITE, 40, 0, NOWHERE, 16, NOWHERE, DATA, false},
	{FUSE_STATFS, 0, NOWHERE, NOWHERE, NOWHERE, NOWHERE, NO_TAIL, false},
	{FUSE_RELEASE, 24, 0, NOWHERE, NOWHERE, NOWHERE, NO_TAIL, false},
	{FUSE_FSYNC, 16, 0, NOWHERE, NOWHERE, NOWHERE, NO_TAIL, false},
	{FUSE_SETXATTR, 8, NOWHERE, NOWHERE, 0, NOWHERE, NAME_AND_DATA, false},
	{FUSE_GETXATTR, 8, NOWHERE, NOWHERE, NOWHERE, 0, NAME, false},
	{FUSE_LISTXATTR, 8, NOWHERE, NOWHERE, NOWHERE, 0, NO_TAIL, false},
	{FUSE_REMOVEXATTR, 0, NOWHERE, NOWHERE, NOWHERE, NOWHERE, NAME, false},
	{FUSE_FLUSH, 24, 0, NOWHERE, NOWHERE, NOWHERE, NO_TAIL, false},
	{FUSE_INIT, 64, NOWHERE, NOWHERE, NOWHERE, NOWHERE, NO_TAIL, false},
	{FUSE_OPENDIR, 8, NOWHERE, NOWHERE, NOWHERE, NOWHERE, NO_TAIL, false},
	{FUSE_READDIR, 40, 0, NOWHERE, NOWHERE, 16, NO_TAIL, false},
	{FUSE_RELEASEDIR, 24, 0, NOWHERE, NOWHERE, NOWHERE, NO_TAIL, false},
	{FUSE_FSYNCDIR, 16, 0, NOWHERE, NOWHERE, NOWHERE, NO_TAIL, false},
	{FUSE_GETLK, 48, 0, NOWHERE, NOWHERE, NOWHERE, NO_TAIL, false},
	{FUSE_SETLKW, 48, 0, NOWHERE, NOWHERE, NOWHERE, NO_TAIL, false},
	{FUSE_ACCESS, 8, NOWHERE, NOWHERE, NOWHERE, NOWHERE, NO_TAIL, false},
	{FUSE_CREATE, 16, NOWHERE, NOWHERE, NOWHERE, NOWHERE, NAME, false},
	{FUSE_INTERRUPT, 8, NOWHERE, NOWHERE, NOWHERE, NOWHERE, NO_TAIL, true},
	{FUSE_BMAP, 16, NOWHERE, NOWHERE, NOWHERE, NOWHERE, NO_TAIL, false},
	{FUSE_IOCTL, 32, 0, NOWHERE, 24, 28, DATA, false},
	{FUSE_POLL, 24, 0, NOWHERE, NOWHERE, NOWHERE, NO_TAIL, false},
	{FUSE_BATCH_FORGET, 8, NOWHERE, NOWHERE, NOWHERE, NOWHERE, DATA, true},
	{FUSE_FALLOCATE, 32, 0, NOWHERE, NOWHERE, NOWHERE, NO_TAIL, false},
	{FUSE_READDIRPLUS, 40, 0, NOWHERE, NOWHERE, 16, NO_TAIL, false},
	{FUSE_RENAME2, 16, NOWHERE, 0, NOWHERE, NOWHERE, TWO_NAMES, false},
	{FUSE_LSEEK, 24, 0, NOWHERE, NOWHERE, NOWHERE, NO_TAIL, false},
	{FUSE_COPY_FILE_RANGE, 56, 0, 16, NOWHERE, NOWHERE, NO_TAIL, false},
	{FUSE_SYNCFS, 8, NOWHERE, NOWHERE, NOWHERE, NOWHERE, NO_TAIL, false},
	{FUSE_TMPFILE, 16, NOWHERE, NOWHERE, NOWHERE, NOWHERE, NAME, false},
	{4000, 8, NOWHERE, NOWHERE, NOWHERE, NOWHERE, DATA, false},
	{NEXT_WORKER, 0, NOWHERE, NOWHERE, NOWHERE, NOWHERE, NO_TAIL, true},
};
#define N_OPERATIONS (sizeof(operations) / sizeof(operations[0]))

/* The last stands for what the data has. */
static const char *const names[] = {"a",	  "b",	       "new",	       "other",
				    ".a.swp",	  "sedA1b2C3", "default",      "secrets",
				    "mesh.yaml",  "apply",     "system.posix_acl_access",
				    "system.posix_acl_default", "user.hushfs.created", "security.capability", "b~", NULL};

struct request {
	struct fuse_in_header head;
	uint8_t body[REQUEST_BYTES];
	size_t size; /* of the body */
};

struct unanswered {
	struct request request;
	size_t most; /* bytes of the answer */
};

struct open_file {
	uint64_t node, handle;
	bool folder;
};

static struct {
	void *fixture;
	char pristine[300]; /* the store as each input finds it */
	size_t in_use;	    /* of the arena, without a store */
	struct kernel *kernel;
	int ledger_fd;
	struct ledger *ledger;
	uint64_t nodes[16];
	uint64_t kept[4];
	uint64_t known[KNOWN_MAX]; /* nodes that answers had; the last ones */
	size_t n_known;
	struct open_file open[KNOWN_MAX];
	size_t n_open;
	struct unanswered unanswered[UNANSWERED_MAX];
	size_t n_unanswered;
	size_t n_interrupts;
} world;

/* --- the store -------------------------------------------------------------------------------------------------- */

static void put(struct store *store, struct name name, const char *value)
{
	fixture_must(fixture_do(store, STORE_PUT, name, value, strlen(value), NULL) == 0);
}

static void world_make(void)
{
	struct fixture *fixture;
	struct store *store;

	fixture_in_memory(); /* syncs cost nothing there */
	fixture_init();
	fixture_must(fixture_setup(&world.fixture) == 0);
	fixture = world.fixture;
	fixture_make(fixture);
	store = fixture_open(fixture, 2, 0);
	put(store, fixture_mesh(KEPT), FIXTURE_MESH(KEPT, "kept"));
	put(store, fixture_secret(KEPT, KEPT), "the value that stays");
	put(store, fixture_global(KEPT), "and the other one");
	put(store, fixture_secret("default", "a"), "the value of a");
	put(store, fixture_global("b"), "the value of b");
	store_close(store);
	snprintf(world.pristine, sizeof(world.pristine), "%s", fixture_path(fixture, "pristine"));
	fixture_copy(fixture->store, world.pristine);
	world.in_use = secmem_in_use();
}

static void world_unmake(void)
{
	if (world.fixture)
		fixture_teardown(&world.fixture);
	world.fixture = NULL;
}

static void committing(void *context, uint64_t request, uint64_t generation)
{
	ledger_committing(context, request, generation);
}

/* A worker, with what the ledger holds for it. */
static void serve(void)
{
	const struct fixture *fixture = world.fixture;
	struct store_options options = {
		.value_bytes = STORE_VALUE_BYTES_DEFAULT, .history = 2, .cache_bytes = 1 << 20, .committing = committing};
	struct store_held *held;
	struct store_status status;
	struct store *store;

	fixture_must(ledger_open(world.ledger_fd, &world.ledger) == 0);
	held = ledger_pins(world.ledger, &options.n_held);
	options.held = held;
	options.context = world.ledger;
	fixture_must(store_open(fixture->store, fixture->key, &options, &store) == 0);
	free(held);
	store_get_status(store, &status);
	ledger_opened(world.ledger, status.generation);
	world.kernel = kernel_start(store, STAGED_BYTES);
	world.kernel->context.ledger = world.ledger;
}

static void stop_serving(void)
{
	kernel_stop(world.kernel);
	helper_thread_wait();
	world.ledger = ledger_free(world.ledger);
}

static void world_begin(void)
{
	static const char *const paths[] = {".hush",	    ".hush/status", ".hush/apply", ".hush/delete",
					    ".hush/check",  ".hush/backup", ".hush/lock",  ".hush/unlock",
					    "meshes",	    "global",	    "meshes/default", "meshes/default/secrets",
					    "meshes/default/mesh.yaml", "meshes/default/secrets/a", "global/b"};
	static const char *const kept[] = {"meshes/" KEPT, "meshes/" KEPT "/secrets", "meshes/" KEPT "/secrets/" KEPT,
					   "global/" KEPT};

	fixture_copy(world.pristine, ((const struct fixture *)world.fixture)->store);
	fixture_must(ledger_make(&world.ledger_fd) == 0);
	serve();
	world.nodes[0] = 1;
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
		fixture_must((world.nodes[1 + i] = kernel_walk(world.kernel, paths[i])));
	for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++)
		fixture_must((world.kept[i] = kernel_walk(world.kernel, kept[i])));
	world.n_known = world.n_open = world.n_unanswered = world.n_interrupts = 0;
}

/* --- answers ---------------------------------------------------------------------------------------------------- */

static void know_node(const uint8_t *entry)
{
	struct fuse_entry_out out;

	memcpy(&out, entry, sizeof(out));
	world.known[world.n_known++ % KNOWN_MAX] = out.nodeid;
}

static void know_handle(uint64_t node, const uint8_t *open, bool folder)
{
	struct fuse_open_out out;

	memcpy(&out, open, sizeof(out));
	if (world.n_open < KNOWN_MAX)
		world.open[world.n_open++] = (struct open_file){node, out.fh, folder};
}

/* What an answer without error tells, that later requests may use. */
static void learn(const struct fuse_in_header *asked, const uint8_t *answer, size_t size)
{
	struct fuse_entry_out entry;

	switch (asked->opcode) {
	case FUSE_LOOKUP:
	case FUSE_MKNOD:
	case FUSE_MKDIR:
		fixture_must(size == sizeof(struct fuse_entry_out));
		know_node(answer);
		break;
	case FUSE_OPEN:
	case FUSE_OPENDIR:
		fixture_must(size == sizeof(struct fuse_open_out));
		know_handle(asked->nodeid, answer, asked->opcode == FUSE_OPENDIR);
		break;
	case FUSE_CREATE:
		fixture_must(size == sizeof(entry) + sizeof(struct fuse_open_out));
		memcpy(&entry, answer, sizeof(entry));
		know_node(answer);
		know_handle(entry.nodeid, answer + sizeof(entry), false);
		break;
	default:
		break;
	}
}

/* One message; it must be the answer to a request that waits for one, or a notification. False if none comes in @ms. */
static bool receive(int ms)
{
	struct pollfd polled = {.fd = world.kernel->fd, .events = POLLIN};
	struct kernel *kernel = world.kernel;
	struct fuse_out_header out;
	struct iovec parts[] = {{&out, sizeof(out)}, {kernel->answer, sizeof(kernel->answer)}};
	ssize_t n;

	if (TEMP_FAILURE_RETRY(poll(&polled, 1, ms)) == 0)
		return false;
	n = TEMP_FAILURE_RETRY(readv(kernel->fd, parts, 2)); /* libFuzzer has a timer */
	fixture_must(n >= (ssize_t)sizeof(out) && out.len == n);
	if (out.unique == 0)
		return true;
	if (out.unique & INTERRUPTS) { /* of a request that was not there: the kernel would send it again */
		fixture_must(out.error == -EAGAIN && out.len == sizeof(out));
		return true;
	}
	for (size_t i = 0; i < world.n_unanswered; i++) {
		const struct fuse_in_header asked = world.unanswered[i].request.head;

		if (asked.unique != out.unique)
			continue;
		fixture_must(out.error <= 0 && out.error > -512);
		fixture_must((size_t)n - sizeof(out) <= (out.error ? 0 : world.unanswered[i].most));
		world.unanswered[i] = world.unanswered[--world.n_unanswered];
		if (out.error == 0)
			learn(&asked, kernel->answer, (size_t)n - sizeof(out));
		return true;
	}
	fixture_must(!"an answer that nobody waits for");
	return true;
}

static void receive_all_but(size_t n)
{
	while (world.n_unanswered > n)
		fixture_must(receive(ANSWER_MS));
}

/* --- requests --------------------------------------------------------------------------------------------------- */

/* What is left of an input. */
struct reader {
	const uint8_t *data;
	size_t size;
};

static const uint8_t *take(struct reader *reader, size_t size)
{
	const uint8_t *data = reader->data;

	reader->data += size;
	reader->size -= size;
	return data;
}

static uint64_t choose_node(uint8_t number)
{
	if (number < 16)
		return world.nodes[number];
	if (number < 250 && world.n_known)
		return world.known[number % (world.n_known < KNOWN_MAX ? world.n_known : KNOWN_MAX)];
	return (uint64_t)number * UINT64_C(0x9e3779b97f4a7c15);
}

static uint64_t choose_handle(uint8_t number)
{
	if (number < 250 && world.n_open)
		return world.open[number % world.n_open].handle;
	return number % 2 ? (uint64_t)number << 55 : 251u - number;
}

static void add(struct request *request, const void *bytes, size_t size)
{
	fixture_must(request->size + size <= sizeof(request->body));
	if (size)
		memcpy(request->body + request->size, bytes, size);
	request->size += size;
}

/* The name of that number, or what the data begins with, to its NUL or end; with its NUL, or without if it has none. */
static void add_name(struct request *request, unsigned number, struct reader *data)
{
	size_t size = strnlen((const char *)data->data, data->size);

	if (names[number]) {
		add(request, names[number], strlen(names[number]) + 1);
		return;
	}
	size += size < data->size;
	add(request, take(data, size), size);
}

static size_t add_data(struct request *request, struct reader *data, bool large)
{
	size_t times = large ? LARGE_TIMES : 1, size = data->size;

	for (size_t i = 0; i < times; i++)
		add(request, data->data, size);
	return times * size;
}

static void put_field(struct request *request, int8_t at, const void *value, size_t size)
{
	if (at != NOWHERE)
		memcpy(request->body + at, value, size);
}

static void add_tail(struct request *request, const struct operation *operation, const struct form *form,
		     struct reader data)
{
	uint32_t size = 0;

	if (operation->tail == NAME || operation->tail == TWO_NAMES || operation->tail == NAME_AND_DATA)
		add_name(request, form->names % 16, &data);
	if (operation->tail == TWO_NAMES)
		add_name(request, form->names / 16, &data);
	if (operation->tail == DATA || operation->tail == NAME_AND_DATA)
		size = (uint32_t)add_data(request, &data, form->flags & LARGE);
	put_field(request, operation->data_size, &size, sizeof(size));
	size /= sizeof(struct fuse_forget_one);
	if (operation->opcode == FUSE_BATCH_FORGET)
		put_field(request, 0, &size, sizeof(size));
}

/* How long the answer may be. */
static size_t bound_answer(struct request *request, const struct operation *operation)
{
	uint32_t wanted;

	if (operation->wanted == NOWHERE)
		return ANSWER_BYTES;
	memcpy(&wanted, request->body + operation->wanted, sizeof(wanted));
	wanted = wanted < ASKED_BYTES ? wanted : ASKED_BYTES;
	put_field(request, operation->wanted, &wanted, sizeof(wanted));
	if (operation->opcode == FUSE_IOCTL)
		return sizeof(struct fuse_ioctl_out) + wanted;
	if (operation->opcode == FUSE_GETXATTR || operation->opcode == FUSE_LISTXATTR)
		return wanted ? wanted : sizeof(struct fuse_getxattr_out);
	return wanted;
}

static void compose(struct request *request, const struct operation *operation, const struct form *form,
		    struct reader *input)
{
	const uint64_t second = choose_node(form->second_node), handle = choose_handle(form->handle);
	size_t skipped = operation->handle == 0 || operation->node == 0 ? 8 : 0; /* filled in anyway */
	size_t room = operation->size > skipped ? operation->size - skipped : 0;
	size_t fields = form->fields < input->size ? form->fields : input->size, size;
	struct reader data;

	request->size = operation->size;
	memset(request->body, 0, operation->size);
	if (room)
		memcpy(request->body + skipped, input->data, fields < room ? fields : room);
	take(input, fields);
	size = form->data < input->size ? form->data : input->size;
	data = (struct reader){take(input, size), size};
	put_field(request, operation->handle, &handle, sizeof(handle));
	put_field(request, operation->node, &second, sizeof(second));
	if (operation->opcode == FUSE_COPY_FILE_RANGE) {
		const uint64_t to = choose_handle(form->names);

		put_field(request, 24, &to, sizeof(to));
	}
	add_tail(request, operation, form, data);
}

static bool is_kept(uint64_t node)
{
	for (size_t i = 0; i < sizeof(world.kept) / sizeof(world.kept[0]); i++)
		if (world.kept[i] == node)
			return true;
	return false;
}

static void send_bytes(const struct request *request)
{
	struct iovec parts[] = {{(void *)&request->head, sizeof(request->head)}, {(void *)request->body, request->size}};

	fixture_must(writev(world.kernel->fd, parts, 2) == (ssize_t)(sizeof(request->head) + request->size));
}

static void send_request(const struct request *request, const struct operation *operation, size_t most)
{
	if (!operation->unanswered) {
		struct unanswered *unanswered;

		receive_all_but(UNANSWERED_MAX - 1);
		unanswered = &world.unanswered[world.n_unanswered++];
		unanswered->request.head = request->head;
		unanswered->request.size = request->size;
		memcpy(unanswered->request.body, request->body, request->size);
		unanswered->most = most;
	}
	send_bytes(request);
}

/* libfuse keeps the interrupts of requests that were not there, refuses one with each request that comes, and never frees the others. */
static void end_interrupts(void)
{
	static const struct operation statfs = {.opcode = FUSE_STATFS};
	static struct request request;

	if (!world.n_interrupts)
		return;
	for (size_t i = 0; i < world.n_interrupts; i++) {
		request.head = (struct fuse_in_header){
			.len = sizeof(request.head), .opcode = FUSE_STATFS, .unique = ++world.kernel->unique, .nodeid = 1};
		send_request(&request, &statfs, ANSWER_BYTES);
	}
	receive_all_but(0);
	world.n_interrupts = 0;
}

/* The worker ends without having answered what it does not answer now; the next one gets that again. */
static void next_worker(void)
{
	uint64_t unique;

	end_interrupts();
	while (receive(0)) {
	}
	unique = world.kernel->unique;
	stop_serving();
	serve();
	world.kernel->unique += unique; /* beyond those */
	for (size_t i = 0; i < world.n_unanswered; i++) {
		struct request *request = &world.unanswered[i].request;

		request->head.unique |= RESENT;
		send_bytes(request);
	}
}

static void send_form(const struct operation *operation, const struct form *form, struct reader *input)
{
	static struct request request;
	struct kernel *kernel = world.kernel;
	size_t most;

	compose(&request, operation, form, input);
	most = bound_answer(&request, operation);
	if (operation->opcode == NEXT_WORKER) {
		next_worker();
		return;
	}
	if (form->flags & CUT)
		request.size -= request.size ? form->second_node % request.size : 0;
	request.head = (struct fuse_in_header){.len = (uint32_t)(sizeof(request.head) + request.size),
					       .opcode = operation->opcode,
					       .unique = ++kernel->unique,
					       .nodeid = choose_node(form->node),
					       .uid = form->flags & ROOT ? 0 : form->flags & OTHER_USER ? 2000 : 1000,
					       .gid = 1001,
					       .pid = form->flags & OTHER_PROCESS ? 1 : kernel->pid};
	if (operation->opcode == FUSE_INTERRUPT) {
		request.head.unique |= INTERRUPTS;
		world.n_interrupts++;
	}
	if (form->flags & WRONG_LEN)
		request.head.len = (uint32_t)form->names << 20;
	if (is_kept(request.head.nodeid))
		return;
	send_request(&request, operation, most);
	if (!(form->flags & DONT_WAIT))
		receive_all_but(0);
}

/* --- the end ---------------------------------------------------------------------------------------------------- */

static void close_all(void)
{
	static const struct operation release = {.opcode = FUSE_RELEASE}, release_folder = {.opcode = FUSE_RELEASEDIR};
	static struct request request;

	request.size = sizeof(struct fuse_release_in);
	for (size_t i = 0; i < world.n_open; i++) {
		const struct fuse_release_in in = {.fh = world.open[i].handle};

		memcpy(request.body, &in, sizeof(in));
		request.head = (struct fuse_in_header){.len = (uint32_t)(sizeof(request.head) + request.size),
						       .opcode = world.open[i].folder ? FUSE_RELEASEDIR : FUSE_RELEASE,
						       .unique = ++world.kernel->unique,
						       .nodeid = world.open[i].node,
						       .pid = world.kernel->pid};
		send_request(&request, world.open[i].folder ? &release_folder : &release, 0);
	}
	receive_all_but(0);
}

static void check_store(void)
{
	const struct fixture *fixture = world.fixture;
	struct store *store = world.kernel->context.tree.store;
	struct store_checked checked;

	fixture_must(control_stop(world.kernel->context.control)); /* what is asked for may be a lock */
	fixture_must(store_unlock(store, fixture->key) == 0);
	fixture_must(store_check(store, NULL, NULL, &checked) == 0);
	fixture_must(fixture_holds(store, fixture_secret(KEPT, KEPT), "the value that stays", 20));
	fixture_must(fixture_holds(store, fixture_global(KEPT), "and the other one", 17));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct reader input = {data, size};

	if (memmem(data, size, KEPT, strlen(KEPT)))
		return 0;
	if (!world.fixture) {
		world_make();
		atexit(world_unmake);
	}
	world_begin();
	for (unsigned i = 0; i < REQUESTS_MAX && input.size >= sizeof(struct form); i++) {
		struct form form;

		memcpy(&form, take(&input, sizeof(form)), sizeof(form));
		send_form(&operations[form.operation % N_OPERATIONS], &form, &input);
	}
	receive_all_but(0);
	close_all();
	end_interrupts();
	check_store();
	while (receive(0)) {
	}
	stop_serving();
	close(world.ledger_fd);
	fixture_must(secmem_in_use() == world.in_use);
	return 0;
}
