/* SPDX-License-Identifier: Apache-2.0
 * test_lines: what the daemon says of a system that refuses what it always gives, word for word. What a command line can bring about is in
 * mount/test_messages.
 */
#include "tests/unit/cmocka_all.h"

#include "fs/control_internal.h"
#include "fs/helper.h"
#include "fs/loop.h"
#include "fs/mount.h"
#include "fs/sandbox.h"
#include "fs/sandbox_internal.h"
#include "fs/service.h"
#include "fs/writer.h"
#include "fs/writer_internal.h"
#include "tests/unit/fixture.h"
#include "tests/unit/kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <seccomp.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define STAGED_BYTES (1024u * 1024)

/* --- what is refused -------------------------------------------------------------------------------------------- */

enum refused { NOTHING, MEMORY, DESCRIPTORS, FILTER, ANSWERS };
static _Atomic enum refused refused;
static _Atomic bool hanging; /* what is asked for in /.hush takes longer than anybody waits */
static sem_t hung, goes_on;

static void refuse(enum refused what)
{
	fixture_listen();
	refused = what;
}

/* It is given again. What was said meanwhile is these lines and no other. */
static void assert_said(const char *lines)
{
	char said[1000];

	refused = NOTHING;
	fixture_heard(said, sizeof(said));
	assert_string_equal(said, lines);
}

void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size)
{
	return refused == MEMORY ? NULL : __real_calloc(n, size);
}

void *__real_reallocarray(void *memory, size_t n, size_t size);
void *__wrap_reallocarray(void *memory, size_t n, size_t size);
void *__wrap_reallocarray(void *memory, size_t n, size_t size)
{
	return refused == MEMORY ? NULL : __real_reallocarray(memory, n, size);
}

int __real_memfd_create(const char *name, unsigned flags);
int __wrap_memfd_create(const char *name, unsigned flags);
int __wrap_memfd_create(const char *name, unsigned flags)
{
	if (refused != DESCRIPTORS)
		return __real_memfd_create(name, flags);
	errno = EMFILE;
	return -1;
}

scmp_filter_ctx __real_seccomp_init(uint32_t action);
scmp_filter_ctx __wrap_seccomp_init(uint32_t action);
scmp_filter_ctx __wrap_seccomp_init(uint32_t action)
{
	return refused == FILTER ? NULL : __real_seccomp_init(action);
}

int __real_control_job_run(struct control_file *file, struct secbuf *text);
int __wrap_control_job_run(struct control_file *file, struct secbuf *text);
int __wrap_control_job_run(struct control_file *file, struct secbuf *text)
{
	if (hanging) {
		sem_post(&hung);
		sem_wait(&goes_on);
	}
	return __real_control_job_run(file, text);
}

int __real_pthread_cond_clockwait(pthread_cond_t *condition, pthread_mutex_t *lock, clockid_t clock, const struct timespec *until);
int __wrap_pthread_cond_clockwait(pthread_cond_t *condition, pthread_mutex_t *lock, clockid_t clock, const struct timespec *until);
int __wrap_pthread_cond_clockwait(pthread_cond_t *condition, pthread_mutex_t *lock, clockid_t clock, const struct timespec *until)
{
	return hanging ? ETIMEDOUT : __real_pthread_cond_clockwait(condition, lock, clock, until);
}

void __real_helper_hear(const struct helper *helper, void *ret_answer, size_t answer_size);
void __wrap_helper_hear(const struct helper *helper, void *ret_answer, size_t answer_size);
void __wrap_helper_hear(const struct helper *helper, void *ret_answer, size_t answer_size)
{
	__real_helper_hear(helper, ret_answer, answer_size);
	if (refused == ANSWERS)
		((struct writer_answer *)ret_answer)->thread++;
}

/* --- mounting and serving ---------------------------------------------------------------------------------------- */

/* The first of all, as it is in a keeper: libfuse's log is stderr there. */
static void test_no_mount(void **state)
{
	int fd;

	(void)state;
	refuse(DESCRIPTORS);
	assert_int_equal(mount_new("/nowhere", "ro", &fd), -EMFILE);
	assert_said("hushfs: /nowhere: cannot mount here: Too many open files: raise the limit (ulimit -n)\n");
	fixture_listen();
	assert_int_equal(mount_new("/nowhere", "nonsense", &fd), -EIO);
	assert_said("hushfs: /nowhere: cannot mount here: fuse: unknown option(s): `-o nonsense'\n");
}

static void test_no_memory_to_serve(void **state)
{
	struct ops_context context = {0};
	struct loop *loop;

	(void)state;
	refuse(MEMORY);
	assert_int_equal(loop_new(&context, &loop), -ENOMEM);
	assert_null(announce_new(&context.tree, "/nowhere"));
	assert_said("hushfs: no memory left to serve the mount; is there a limit (ulimit -v, in a unit MemoryMax=)?\n"
		    "hushfs: no memory left to serve the mount; is there a limit (ulimit -v, in a unit MemoryMax=)?\n");
}

static struct kernel *start(struct fixture *f)
{
	fixture_make(f);
	return kernel_start(fixture_open(f, 1, 1 << 20), STAGED_BYTES);
}

static void test_no_memory_to_commit(void **state)
{
	struct kernel *kernel = start(*state);
	uint64_t secrets = kernel_walk(kernel, "meshes/default/secrets"), mesh = kernel_walk(kernel, "meshes/default/mesh.yaml");
	uint64_t node, handle;

	assert_int_equal(kernel_create(kernel, secrets, "a", O_WRONLY, &node, &handle), 0);
	assert_int_equal(kernel_write(kernel, node, handle, 0, O_WRONLY, "x", 1), 0);
	refuse(MEMORY);
	kernel_release(kernel, node, handle); /* FLUSH was lost, as for want of memory in libfuse */
	assert_said("hushfs: \"a\": no memory to commit what was written; the old value stays\n");
	assert_int_equal(kernel_lookup(kernel, secrets, "a", NULL), -ENOENT);

	assert_int_equal(kernel_open(kernel, mesh, O_WRONLY | O_TRUNC, &handle), 0);
	assert_int_equal(kernel_write(kernel, mesh, handle, 0, O_WRONLY, "x", 1), 0);
	refuse(MEMORY);
	kernel_release(kernel, mesh, handle);
	assert_said("hushfs: mesh.yaml of \"default\": no memory to commit what was written; the old value stays\n");
	kernel_stop(kernel);
}

static void test_no_memory_for_a_mapped_file(void **state)
{
	struct fuse_read_in read = {.size = 4096}; /* for the page cache: it has no lock_owner */
	struct kernel *kernel = start(*state);
	uint64_t secrets = kernel_walk(kernel, "meshes/default/secrets"), node;

	assert_int_equal(kernel_put(kernel, secrets, "a", "value"), 0);
	node = kernel_walk(kernel, "meshes/default/secrets/a");
	assert_int_equal(kernel_open(kernel, node, O_RDONLY, &read.fh), 0);
	refuse(MEMORY);
	assert_int_equal(kernel_call(kernel, FUSE_READ, node, &read, sizeof(read), NULL, 0), -ENOMEM); /* or the kernel kept it */
	assert_said("hushfs: no memory left to read a mapped file; is there a limit (ulimit -v, in a unit MemoryMax=)?\n");
	assert_int_equal(kernel_call(kernel, FUSE_READ, node, &read, sizeof(read), NULL, 0), 0);
	assert_int_equal(kernel->answer_size, 5);
	assert_int_equal(kernel_release(kernel, node, read.fh), 0);
	kernel_stop(kernel);
}

static void test_no_memory_to_lock(void **state)
{
	struct kernel *kernel = start(*state);

	refuse(MEMORY);
	control_lock(kernel->context.control);
	assert_said("hushfs: no memory to lock the store, so it stays unlocked: lock it with hushctl lock\n");
	assert_false(store_is_locked(kernel->context.tree.store));
	kernel_stop(kernel);
}

static void test_a_request_that_does_not_end(void **state)
{
	const struct control_open backup = {.kind = CONTROL_BACKUP};
	struct kernel *kernel = start(*state);
	uint64_t handle;

	hanging = true;
	assert_int_equal(control_open(kernel->context.control, &backup, &handle), 0);
	sem_wait(&hung);
	fixture_listen();
	assert_false(control_stop(kernel->context.control));
	assert_said("hushfs: what was asked for in /.hush is not done 5 seconds after the mount has ended, so it is given up: see what came of it "
		    "(hushctl get), and ask again\n");
	hanging = false;
	sem_post(&goes_on);
	assert_true(control_stop(kernel->context.control));
	control_release(kernel->context.control, handle);
	kernel_stop(kernel);
}

/* What libfuse says goes where all goes. */
static void test_a_connection_that_ends(void **state)
{
	struct kernel *kernel = start(*state);

	fixture_listen();
	assert_int_equal(kernel_stop(kernel), -EIO);
	assert_said("hushfs: short read on fuse device\n");
}

/* --- around it -------------------------------------------------------------------------------------------------- */

struct confined {
	const char *folder;
	void (*before)(void);
};

static void enter_sandbox(const void *context)
{
	const struct confined *c = context;
	uid_t user = geteuid() == 0 ? 65534 : geteuid();
	gid_t group = geteuid() == 0 ? 65534 : getegid();
	struct sandbox sandbox;
	int status;

	c->before();
	status = sandbox_enter(c->folder, user, group, &sandbox) < 0 ? 1 : 0;
	close(STDERR_FILENO); /* where gcov would say that it can't write any more */
	_exit(status);
}

/* What a child says that enters the sandbox, or can't. */
static void assert_not_confined(const char *folder, void (*before)(void), const char *line)
{
	const struct confined confined = {folder, before};

	assert_int_equal(fixture_status_of(enter_sandbox, &confined), 1);
	assert_said(line);
}

/* As a container or a unit may have one around it. */
static void filter_calls(void)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);

	fixture_must(filter && seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(prctl), 1, SCMP_A0(SCMP_CMP_EQ, PR_SET_DUMPABLE)) == 0 &&
		     seccomp_load(filter) == 0);
	seccomp_release(filter);
}

static void refuse_filter(void)
{
	refused = FILTER;
}

static void test_no_sandbox(void **state)
{
	struct fixture *f = *state;

	assert_not_confined(f->folder, filter_calls,
			    "hushfs: cannot give up rights (prctl): Operation not permitted; is there a filter of system calls (in a unit "
			    "SystemCallFilter=)?\n");
	if (SANDBOX_CONFINES)
		assert_not_confined(f->folder, refuse_filter, "hushfs: cannot limit system calls (seccomp): Cannot allocate memory\n");
}

static void answer_of_another(const void *context)
{
	struct writer_asked asked;

	(void)context;
	fixture_must(writer_start() == 0);
	asked = writer_fate_ask(getpid(), getpid(), 0);
	refused = ANSWERS;
	writer_fate_answer(&asked);
}

/* No other answer is ever taken for the one that was asked for. */
static void test_a_wrong_answer(void **state)
{
	(void)state;
	assert_int_equal(fixture_status_of(answer_of_another, NULL), 1);
	assert_said("hushfs: a helper has answered about another writer than it was asked about, so this worker can't go on\n");
}

/* It is said once. */
static void test_a_service_manager_that_goes_away(void **state)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", fixture_path(*state, "manager"));
	fixture_must(bind(manager, (struct sockaddr *)&address, sizeof(address)) == 0);
	setenv("NOTIFY_SOCKET", address.sun_path, 1);
	service_init();
	close(manager);
	fixture_listen();
	service_say("READY=1");
	service_keep("name", STDIN_FILENO);
	assert_said("hushfs: the service manager can't be told any more, so this goes on without: Connection refused\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_mount),
		cmocka_unit_test(test_no_memory_to_serve),
		cmocka_unit_test_setup_teardown(test_no_memory_to_commit, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_no_memory_for_a_mapped_file, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_no_memory_to_lock, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_a_request_that_does_not_end, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_a_connection_that_ends, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_no_sandbox, fixture_setup, fixture_teardown),
		cmocka_unit_test(test_a_wrong_answer),
		cmocka_unit_test_setup_teardown(test_a_service_manager_that_goes_away, fixture_setup, fixture_teardown),
	};

	sem_init(&hung, 0, 0);
	sem_init(&goes_on, 0, 0);
	return cmocka_run_group_tests(tests, fixture_group_setup, fixture_group_teardown);
}
