/* SPDX-License-Identifier: Apache-2.0
 * options: hushfs's command line.
 */
#ifndef FS_OPTIONS_H
#define FS_OPTIONS_H

#include "store/key.h"
#include "store/store.h"

#include <stdbool.h>
#include <stddef.h>

struct options {
	const char *store;      /* as given; borrowed from argv, as all strings here */
	const char *mountpoint;
	const char *anchor;     /* NULL: none */
	bool foreground;
	bool allow_other;
	bool read_only;
	bool allow_swap;
	const char *run_as; /* the user that is to serve; NULL: the owner of the store */
	bool no_resend; /* for tests: as on a kernel that does not send requests again */
	struct key_source key;
	struct store_options store_options;
	unsigned lock_after; /* seconds without a value being read or written; 0: never */
	size_t max_staged; /* bytes; 0: not told */
	size_t max_scratch; /* bytes; follows from it */
};

/* options_parse - 0; 1 if all was said (--help, --version); -EINVAL after saying what is wrong. Cuts up the -o strings in argv. */
int options_parse(struct options *ret_options, int argc, char **argv);

#endif
