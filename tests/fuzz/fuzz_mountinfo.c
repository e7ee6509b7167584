/* SPDX-License-Identifier: Apache-2.0
 * fuzz_mountinfo: any bytes as /proc/self/mountinfo. Either a mount is found, or it is said why not.
 */
#include "tests/fuzz/fuzz.h"

#include "tests/unit/fixture.h"
#include "tools/mountinfo.h"

#include <errno.h>
#include <string.h>

static struct {
	const uint8_t *data;
	size_t size;
} mountinfo;

/* In the place of fopen (--wrap, in the Makefile). */
FILE *__real_fopen(const char *path, const char *mode);
FILE *__wrap_fopen(const char *path, const char *mode);
FILE *__wrap_fopen(const char *path, const char *mode)
{
	if (strcmp(path, "/proc/self/mountinfo") != 0)
		return __real_fopen(path, mode);
	return mountinfo.size ? fmemopen((void *)mountinfo.data, mountinfo.size, "r") : __real_fopen("/dev/null", mode);
}

static void find(const char *wanted)
{
	char *path = NULL;
	int r = mountinfo_find(wanted, "--mount", &path);

	fixture_must(r == 0 ? path && (!wanted || strcmp(path, wanted) == 0) : r == -ENOENT && !path);
	free(path);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	mountinfo.data = data;
	mountinfo.size = size;
	find(NULL);
	find("/");
	return 0;
}
