/* SPDX-License-Identifier: Apache-2.0
 * arena: as much as anybody needs where that can be locked, else what the limit of ordinary users allows.
 */
#include "tools/arena.h"

#include "store/crypto.h"
#include "store/log.h"
#include "store/secmem.h"

#include <errno.h>
#include <stddef.h>
#include <sys/resource.h>
#include <unistd.h>

#define ARENA_BYTES (128u * 1024 * 1024) /* the longest value, its base64, and that in a document, with room to grow */

static size_t arena_bytes;

/* What RLIMIT_MEMLOCK allows, in whole pages. */
static size_t arena_allowed(void)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	struct rlimit limit;

	if (getrlimit(RLIMIT_MEMLOCK, &limit) < 0 || limit.rlim_cur >= ARENA_BYTES)
		return 0;
	return limit.rlim_cur / page * page;
}

int arena_init(void)
{
	int r;

	if (arena_bytes)
		return 0;
	crypto_init();
	arena_bytes = ARENA_BYTES;
	r = secmem_init(arena_bytes);
	if (r <= 0)
		return r;
	secmem_deinit();
	arena_bytes = arena_allowed();
	r = arena_bytes ? secmem_init(arena_bytes) : 1;
	if (r <= 0)
		return r;
	secmem_deinit();
	log_error("no memory may be locked, so secrets could be swapped out; raise the limit with ulimit -l");
	return -EPERM;
}

int arena_full(const char *what)
{
	log_error("%s: does not fit into the %zu KiB of memory that may be locked; raise the limit with ulimit -l",
		  what, arena_bytes / 1024);
	return -ENOMEM;
}
