/* SPDX-License-Identifier: Apache-2.0
 * sandbox_internal: the parts of a sandbox. Each is for good, and for this thread and those that it makes.
 */
#ifndef FS_SANDBOX_INTERNAL_H
#define FS_SANDBOX_INTERNAL_H

#include <stdbool.h>

/* What a sanitizer does (reports, its own /proc, symbols), or the counting of coverage (files elsewhere), isn't foreseen in either. */
#if defined(HUSHFS_INSTRUMENTED)
#define SANDBOX_CONFINES 0
#else
#define SANDBOX_CONFINES 1
#endif

/* sandbox_files - files are read, made, changed and removed in @folder alone (Landlock). @ret_version: 0 if this kernel has no Landlock.
 * -errno (logged). */
int sandbox_files(const char *folder, int *ret_version);

/* sandbox_calls - other system calls than those of a serving worker end the process (seccomp). @ret_limited: false if this kernel can't.
 * -errno (logged). */
int sandbox_calls(bool *ret_limited);

#endif
