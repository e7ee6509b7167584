/* SPDX-License-Identifier: Apache-2.0
 * hushfs: mounts a store. Two processes of one program: the keeper starts it once more, as a worker.
 */
#include "fs/keeper.h"
#include "fs/worker.h"
#include "store/log.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define MAIN_WORKER "--worker=" /* and its number; nobody but the keeper gives this argument */

int main(int argc, char **argv)
{
	size_t size = strlen(MAIN_WORKER);
	unsigned number;

	log_init("hushfs");
	signal(SIGXFSZ, SIG_IGN); /* a write to a file that is longer than it may get (ulimit -f) says it, too */
	if (argc < 2 || strncmp(argv[1], MAIN_WORKER, size) != 0)
		return keeper_main(argc, argv);
	number = (unsigned)strtoul(argv[1] + size, NULL, 10);
	argv[1] = argv[0];
	return worker_main(number, argc - 1, argv + 1);
}
