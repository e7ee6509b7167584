/* SPDX-License-Identifier: Apache-2.0
 * test_sandbox: what can be done from where requests are read, and what can't. Each attempt is made in a child that has
 * entered the sandbox; it ends with the errno, or is killed.
 */
#include "tests/unit/cmocka_all.h"

#include "fs/sandbox.h"
#include "fs/sandbox_internal.h"
#include "tests/unit/fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/unistd.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define OTHER_USER 65534
#define WORKED 0
#define NOT_ENTERED 255

/* Root's tests show the change of user, too. */
static uid_t sandbox_user(void)
{
	return geteuid() == 0 ? OTHER_USER : geteuid();
}

/* The wait status of a child that does @attempt in a sandbox with @folder. */
static int in_sandbox(const char *folder, int (*attempt)(const char *folder))
{
	struct sandbox sandbox;
	int status;
	pid_t pid;

	fixture_must(chown(folder, sandbox_user(), geteuid() == 0 ? OTHER_USER : getegid()) == 0);
	pid = fork();
	fixture_must(pid >= 0);
	if (pid == 0) {
		const struct rlimit none = {0, 0};

		setrlimit(RLIMIT_CORE, &none);
		if (sandbox_enter(folder, sandbox_user(), geteuid() == 0 ? OTHER_USER : getegid(), &sandbox) < 0)
			_exit(NOT_ENTERED);
		errno = 0;
		_exit(attempt(folder) < 0 ? errno : WORKED);
	}
	fixture_must(waitpid(pid, &status, 0) == pid);
	return status;
}

/* --- what a worker does ----------------------------------------------------------------------------------------- */

static void *a_thread(void *context)
{
	return context;
}

static int make_a_thread(const char *folder)
{
	pthread_t thread;
	int error;

	(void)folder;
	error = pthread_create(&thread, NULL, a_thread, NULL);
	if (error == 0)
		error = pthread_join(thread, NULL);
	errno = error;
	return -error;
}

static struct key store_key; /* the arena is empty in a child */

/* A store is opened and written to by its commit thread, and copied. */
static int use_a_store(const char *folder)
{
	const struct store_options options = {.value_bytes = STORE_VALUE_BYTES_DEFAULT, .history = 2};
	struct store *store;
	char path[512];
	int r;

	fixture_init();
	snprintf(path, sizeof(path), "%s/s.hush", folder);
	r = store_open(path, &store_key, &options, &store);
	if (r == 0) {
		r = fixture_do(store, STORE_PUT, fixture_secret("default", "a"), "value", 5, NULL);
		store_stop(store);
		store_close(store);
	}
	errno = -r;
	return r;
}

static int lock_memory(const char *folder)
{
	char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)folder;
	return page == MAP_FAILED || mlock(page, 4096) < 0 || munmap(page, 4096) < 0 ? -1 : 0;
}

static int get_random(const char *folder)
{
	char bytes[16];

	(void)folder;
	return getrandom(bytes, sizeof(bytes), 0) == sizeof(bytes) ? 0 : -1;
}

static int look_at_the_disk(const char *folder)
{
	struct statvfs disk;

	return statvfs(folder, &disk);
}

static int change_files_within(const char *folder)
{
	char path[512];
	int fd;

	snprintf(path, sizeof(path), "%s/file", folder);
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	return fd < 0 || write(fd, "x", 1) != 1 || ftruncate(fd, 0) < 0 || fsync(fd) < 0 || close(fd) < 0 || unlink(path) < 0 ? -1 : 0;
}

static void test_what_it_needs(void **state)
{
	static int (*const attempts[])(const char *) = {make_a_thread, use_a_store, lock_memory, get_random, look_at_the_disk,
							change_files_within};
	struct fixture *f = *state;

	fixture_make(f);
	fixture_must(chown(f->store, sandbox_user(), (gid_t)-1) == 0);
	store_key = *f->key;
	for (size_t i = 0; i < sizeof(attempts) / sizeof(attempts[0]); i++) {
		int status = in_sandbox(f->folder, attempts[i]);

		if (status != 0)
			print_message("# attempt %zu: wait status %#x\n", i, status);
		assert_int_equal(status, 0);
	}
}

/* --- rights ----------------------------------------------------------------------------------------------------- */

/* A number of /proc/PID/status, in @base. */
static unsigned long long field(pid_t pid, const char *name, int base)
{
	char path[64], line[256];
	unsigned long long value = ~0ull;
	size_t size = strlen(name);
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	file = fopen(path, "re");
	while (file && fgets(line, sizeof(line), file))
		if (strncmp(line, name, size) == 0 && line[size] == ':')
			value = strtoull(line + size + 1, NULL, base);
	if (file)
		fclose(file);
	return value;
}

/* The process is looked at from without, while it waits. It says itself that there will be no core file. */
static void test_rights(void **state)
{
	struct fixture *f = *state;
	struct rlimit core;
	struct stat st;
	char path[64], byte;
	int pipes[2][2];
	pid_t pid;

	fixture_must(chown(f->folder, sandbox_user(), getegid()) == 0 && pipe(pipes[0]) == 0 && pipe(pipes[1]) == 0);
	pid = fork();
	if (pid == 0) {
		struct sandbox sandbox;

		if (sandbox_enter(f->folder, sandbox_user(), geteuid() == 0 ? OTHER_USER : getegid(), &sandbox) < 0 ||
		    getrlimit(RLIMIT_CORE, &core) < 0 || write(pipes[0][1], core.rlim_max == 0 ? "c" : "-", 1) != 1 || read(pipes[1][0], &byte, 1) != 1)
			_exit(NOT_ENTERED);
		_exit(0);
	}
	fixture_must(read(pipes[0][0], &byte, 1) == 1);
	assert_int_equal(field(pid, "CapEff", 16), 0);
	assert_int_equal(field(pid, "CapPrm", 16), 0);
	assert_int_equal(field(pid, "CapInh", 16), 0);
	assert_int_equal(field(pid, "NoNewPrivs", 10), 1);
	assert_int_equal(field(pid, "Seccomp", 10), SANDBOX_CONFINES ? 2 : 0);
	assert_int_equal(field(pid, "Uid", 10), sandbox_user());
	if (geteuid() == 0) {
		assert_int_equal(field(pid, "CapBnd", 16), 0);
		assert_int_equal(field(pid, "Groups", 10), 0); /* none */
	}
	assert_int_equal(byte, 'c');
	snprintf(path, sizeof(path), "/proc/%d/mem", pid);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_uid, 0); /* of one that can't be dumped */
	fixture_must(write(pipes[1][1], "", 1) == 1 && waitpid(pid, NULL, 0) == pid);
	for (int i = 0; i < 4; i++)
		close(pipes[i / 2][i % 2]);
}

/* --- what it can't do ------------------------------------------------------------------------------------------- */

static int run_a_program(const char *folder)
{
	char *const none[] = {NULL};

	(void)folder;
	return execve("/bin/true", none, none);
}

static int make_a_process(const char *folder)
{
	pid_t pid = fork();

	(void)folder;
	if (pid == 0)
		_exit(0);
	return pid < 0 ? -1 : 0;
}

static int trace_the_parent(const char *folder)
{
	(void)folder;
	return (int)ptrace(PTRACE_ATTACH, getppid(), NULL, NULL);
}

static int read_the_parent(const char *folder)
{
	char byte;
	const struct iovec part = {&byte, 1};

	(void)folder;
	return (int)process_vm_readv(getppid(), &part, 1, &part, 1, 0);
}

static int signal_the_parent(const char *folder)
{
	(void)folder;
	return kill(getppid(), 0);
}

static int mount_something(const char *folder)
{
	return mount("none", folder, "tmpfs", 0, NULL);
}

static int unmount_something(const char *folder)
{
	return umount2(folder, MNT_DETACH);
}

static int become_root(const char *folder)
{
	(void)folder;
	return setuid(0);
}

static int be_dumpable_again(const char *folder)
{
	(void)folder;
	return prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
}

static int leave_namespaces(const char *folder)
{
	(void)folder;
	return unshare(CLONE_NEWUSER);
}

static int make_memory_executable(const char *folder)
{
	char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)folder;
	return mprotect(page, 4096, PROT_READ | PROT_EXEC);
}

static int map_executable_memory(const char *folder)
{
	(void)folder;
	return mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ? -1 : 0;
}

static int use_io_uring(const char *folder)
{
	char parameters[120] = {0};

	(void)folder;
	return (int)syscall(SYS_io_uring_setup, 1, parameters);
}

static int rename_a_file(const char *folder)
{
	char from[512], to[512];

	snprintf(from, sizeof(from), "%s/a", folder);
	snprintf(to, sizeof(to), "%s/b", folder);
	return rename(from, to);
}

static void test_what_ends_it(void **state)
{
	static int (*const attempts[])(const char *) = {
		run_a_program, make_a_process, trace_the_parent, read_the_parent, signal_the_parent, mount_something, unmount_something,
		become_root, be_dumpable_again, leave_namespaces, make_memory_executable, map_executable_memory, use_io_uring,
		rename_a_file};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(attempts) / sizeof(attempts[0]); i++) {
		int status = in_sandbox(f->folder, attempts[i]);

		if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGSYS)
			print_message("# attempt %zu: wait status %#x\n", i, status);
		assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS);
	}
}

static int open_path(const char *path, int flags)
{
	return open(path, flags | O_CLOEXEC, 0600);
}

static int read_a_public_file(const char *folder)
{
	(void)folder;
	return open_path("/etc/passwd", O_RDONLY);
}

static int read_of_itself(const char *folder)
{
	(void)folder;
	return open_path("/proc/self/maps", O_RDONLY);
}

static int read_of_the_parent(const char *folder)
{
	char path[64];

	(void)folder;
	snprintf(path, sizeof(path), "/proc/%d/stat", getppid());
	return open_path(path, O_RDONLY);
}

static int open_another_connection(const char *folder)
{
	(void)folder;
	return open_path("/dev/fuse", O_RDWR);
}

static int list_the_root(const char *folder)
{
	(void)folder;
	return open_path("/", O_RDONLY | O_DIRECTORY);
}

static int make_a_file_beside(const char *folder)
{
	char path[512];

	snprintf(path, sizeof(path), "%s/../hushfs-test-beside-%d", folder, getpid());
	return open_path(path, O_WRONLY | O_CREAT | O_EXCL);
}

static int make_a_socket(const char *folder)
{
	(void)folder;
	return socket(AF_INET, SOCK_STREAM, 0);
}

static int make_a_local_socket(const char *folder)
{
	(void)folder;
	return socket(AF_UNIX, SOCK_DGRAM, 0);
}

static void test_what_is_refused(void **state)
{
	static int (*const attempts[])(const char *) = {
		read_a_public_file, read_of_itself, read_of_the_parent, open_another_connection, list_the_root, make_a_file_beside,
		make_a_socket, make_a_local_socket};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(attempts) / sizeof(attempts[0]); i++) {
		int status = in_sandbox(f->folder, attempts[i]);

		if (!WIFEXITED(status) || (WEXITSTATUS(status) != EACCES && WEXITSTATUS(status) != EPERM))
			print_message("# attempt %zu: wait status %#x\n", i, status);
		assert_true(WIFEXITED(status));
		assert_true(WEXITSTATUS(status) == EACCES || WEXITSTATUS(status) == EPERM);
	}
}

/* The attempts themselves are sound: without a sandbox those work that this user may make. */
static void test_attempts_are_sound(void **state)
{
	static int (*const attempts[])(const char *) = {make_a_process, signal_the_parent, make_memory_executable, map_executable_memory,
							be_dumpable_again, read_a_public_file, read_of_itself, read_of_the_parent,
							list_the_root, make_a_local_socket};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(attempts) / sizeof(attempts[0]); i++) {
		pid_t pid = fork();
		int status;

		if (pid == 0)
			_exit(attempts[i](f->folder) < 0 ? 1 : 0);
		fixture_must(waitpid(pid, &status, 0) == pid);
		assert_int_equal(status, 0);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest rights[] = {
		TEST(test_what_it_needs),
		TEST(test_rights),
		TEST(test_attempts_are_sound),
	};
	const struct CMUnitTest confined[] = {
		TEST(test_what_ends_it),
		TEST(test_what_is_refused),
	};
	int failed = cmocka_run_group_tests(rights, fixture_group_setup, fixture_group_teardown);

	if (SANDBOX_CONFINES)
		failed += cmocka_run_group_tests(confined, fixture_group_setup, fixture_group_teardown);
	return failed;
}
