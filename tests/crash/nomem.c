/* SPDX-License-Identifier: Apache-2.0
 * nomem: one counter for all.
 */
#include "tests/crash/nomem.h"

#include "store/secmem.h"
#include "tests/unit/fixture.h"

#include <errno.h>
#include <gcrypt.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define NOMEM_LAST 40

static struct {
	char epitaph[200];
	size_t epitaph_size;
	uint64_t fails; /* which one */
	bool for_ever;
	_Atomic bool armed;
	_Atomic uint64_t count, failed;
} nomem;

static _Thread_local unsigned nomem_held;

static bool nomem_fails(void)
{
	uint64_t number;

	if (!atomic_load(&nomem.armed) || nomem_held)
		return false;
	number = atomic_fetch_add(&nomem.count, 1) + 1;
	if (number < nomem.fails || (number > nomem.fails && !nomem.for_ever))
		return false;
	atomic_fetch_add(&nomem.failed, 1);
	errno = ENOMEM;
	return true;
}

void nomem_begin(const char *test, uint64_t n, bool for_ever)
{
	snprintf(nomem.epitaph, sizeof(nomem.epitaph), "killed in %s, allocation %" PRIu64 " failed%s\n", test, n,
		 for_ever ? ", and all after it" : "");
	nomem.epitaph_size = strlen(nomem.epitaph);
	nomem.fails = n;
	nomem.for_ever = for_ever;
	atomic_store(&nomem.count, 0);
	atomic_store(&nomem.failed, 0);
	atomic_store(&nomem.armed, true);
}

bool nomem_end(void)
{
	atomic_store(&nomem.armed, false);
	return atomic_load(&nomem.failed) > 0;
}

uint64_t nomem_passes(const struct test *test, uint64_t most, bool (*pass)(const struct test *test, uint64_t n, bool for_ever))
{
	uint64_t passes = 0, step, total;

	pass(test, UINT64_MAX, false); /* and so it should look afterwards */
	total = atomic_load(&nomem.count);
	step = 1 + total / most;
	for (int for_ever = 0; for_ever < 2; for_ever++)
		for (uint64_t n = 1 + (uint64_t)time(NULL) % step; pass(test, n, for_ever); n += n + NOMEM_LAST < total ? step : 1)
			passes++;
	return passes;
}

void nomem_hold(void)
{
	nomem_held++;
}

void nomem_go_on(void)
{
	nomem_held--;
}

/* --- malloc ----------------------------------------------------------------------------------------------------- */

#ifdef HUSHFS_INSTRUMENTED
#define HOOK(name) __wrap_##name
#define REAL(name) __real_##name
#else
#define HOOK(name) name
#define REAL(name) __libc_##name
#endif

void *REAL(malloc)(size_t size);
void *REAL(calloc)(size_t n, size_t size);
void *REAL(realloc)(void *memory, size_t size);
void *HOOK(malloc)(size_t size);
void *HOOK(calloc)(size_t n, size_t size);
void *HOOK(realloc)(void *memory, size_t size);

void *HOOK(malloc)(size_t size)
{
	return nomem_fails() ? NULL : REAL(malloc)(size);
}

void *HOOK(calloc)(size_t n, size_t size)
{
	return nomem_fails() ? NULL : REAL(calloc)(n, size);
}

void *HOOK(realloc)(void *memory, size_t size)
{
	return nomem_fails() ? NULL : REAL(realloc)(memory, size);
}

#ifdef HUSHFS_INSTRUMENTED /* else they come to the above */
void *__real_reallocarray(void *memory, size_t n, size_t size);
void *__wrap_reallocarray(void *memory, size_t n, size_t size);
void *__wrap_reallocarray(void *memory, size_t n, size_t size)
{
	return nomem_fails() ? NULL : __real_reallocarray(memory, n, size);
}

char *__real_strdup(const char *text);
char *__wrap_strdup(const char *text);
char *__wrap_strdup(const char *text)
{
	return nomem_fails() ? NULL : __real_strdup(text);
}

int __wrap_asprintf(char **ret_text, const char *format, ...) __attribute__((format(printf, 2, 3)));
int __wrap_asprintf(char **ret_text, const char *format, ...)
{
	va_list arguments;
	int r;

	if (nomem_fails())
		return -1;
	va_start(arguments, format);
	r = vasprintf(ret_text, format, arguments);
	va_end(arguments);
	return r;
}

gcry_error_t __real_gcry_cipher_open(gcry_cipher_hd_t *ret_cipher, int algorithm, int mode, unsigned flags);
gcry_error_t __wrap_gcry_cipher_open(gcry_cipher_hd_t *ret_cipher, int algorithm, int mode, unsigned flags);
gcry_error_t __wrap_gcry_cipher_open(gcry_cipher_hd_t *ret_cipher, int algorithm, int mode, unsigned flags)
{
	return nomem_fails() ? gcry_error(GPG_ERR_ENOMEM) : __real_gcry_cipher_open(ret_cipher, algorithm, mode, flags);
}

static sqlite3_mem_methods sqlite_own;

static void *sqlite_malloc(int size)
{
	return nomem_fails() ? NULL : sqlite_own.xMalloc(size);
}

static void *sqlite_realloc(void *memory, int size)
{
	return nomem_fails() ? NULL : sqlite_own.xRealloc(memory, size);
}

static void nomem_init_sqlite(void)
{
	sqlite3_mem_methods methods;

	fixture_must(sqlite3_config(SQLITE_CONFIG_GETMALLOC, &sqlite_own) == SQLITE_OK);
	methods = sqlite_own;
	methods.xMalloc = sqlite_malloc;
	methods.xRealloc = sqlite_realloc;
	fixture_must(sqlite3_config(SQLITE_CONFIG_MALLOC, &methods) == SQLITE_OK);
}
#else
static void nomem_init_sqlite(void)
{
}
#endif

/* --- other memory ----------------------------------------------------------------------------------------------- */

void *__real_secmem_alloc(size_t bytes);
void *__wrap_secmem_alloc(size_t bytes);
void *__wrap_secmem_alloc(size_t bytes)
{
	return nomem_fails() ? NULL : __real_secmem_alloc(bytes);
}

int __real_secbuf_resize(struct secbuf *buffer, size_t size);
int __wrap_secbuf_resize(struct secbuf *buffer, size_t size);
int __wrap_secbuf_resize(struct secbuf *buffer, size_t size)
{
	return size > buffer->capacity && nomem_fails() ? -ENOMEM : __real_secbuf_resize(buffer, size);
}

int __real_secbuf_write(struct secbuf *buffer, size_t offset, const void *source, size_t bytes);
int __wrap_secbuf_write(struct secbuf *buffer, size_t offset, const void *source, size_t bytes);
int __wrap_secbuf_write(struct secbuf *buffer, size_t offset, const void *source, size_t bytes)
{
	return offset + bytes > buffer->capacity && nomem_fails() ? -ENOMEM
								   : __real_secbuf_write(buffer, offset, source, bytes);
}

void *__real_mmap(void *address, size_t size, int protection, int flags, int fd, off_t offset);
void *__wrap_mmap(void *address, size_t size, int protection, int flags, int fd, off_t offset);
void *__wrap_mmap(void *address, size_t size, int protection, int flags, int fd, off_t offset)
{
	return nomem_fails() ? MAP_FAILED : __real_mmap(address, size, protection, flags, fd, offset);
}

int __real_mlock2(const void *address, size_t size, unsigned flags);
int __wrap_mlock2(const void *address, size_t size, unsigned flags);
int __wrap_mlock2(const void *address, size_t size, unsigned flags)
{
	return nomem_fails() ? -1 : __real_mlock2(address, size, flags);
}

/* --- what takes memory of the kernel's -------------------------------------------------------------------------- */

int __real_pthread_create(pthread_t *ret_thread, const pthread_attr_t *attributes, void *(*run)(void *), void *context);
int __wrap_pthread_create(pthread_t *ret_thread, const pthread_attr_t *attributes, void *(*run)(void *), void *context);
int __wrap_pthread_create(pthread_t *ret_thread, const pthread_attr_t *attributes, void *(*run)(void *), void *context)
{
	return nomem_fails() ? EAGAIN : __real_pthread_create(ret_thread, attributes, run, context);
}

int __real_memfd_create(const char *name, unsigned flags);
int __wrap_memfd_create(const char *name, unsigned flags);
int __wrap_memfd_create(const char *name, unsigned flags)
{
	return nomem_fails() ? -1 : __real_memfd_create(name, flags);
}

int __real_socketpair(int domain, int type, int protocol, int fds[2]);
int __wrap_socketpair(int domain, int type, int protocol, int fds[2]);
int __wrap_socketpair(int domain, int type, int protocol, int fds[2])
{
	return nomem_fails() ? -1 : __real_socketpair(domain, type, protocol, fds);
}

/* --- dying ------------------------------------------------------------------------------------------------------ */

static void nomem_died(int number)
{
	atomic_store(&nomem.armed, false);
	if (write(STDERR_FILENO, nomem.epitaph, nomem.epitaph_size) < 0) {
		/* nobody is left to be told */
	}
	signal(number, SIG_DFL);
	raise(number);
}

void nomem_init(void)
{
	static const int deaths[] = {SIGABRT, SIGSEGV, SIGBUS, SIGALRM};

	nomem_init_sqlite();
	for (size_t i = 0; i < sizeof(deaths) / sizeof(deaths[0]); i++)
		signal(deaths[i], nomem_died);
}
