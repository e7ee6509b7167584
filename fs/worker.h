/* SPDX-License-Identifier: Apache-2.0
 * worker: the process that serves a mount, started by the keeper.
 */
#ifndef FS_WORKER_H
#define FS_WORKER_H

/* worker_main - the whole life of the @number-th worker of a mount, from the command line (as hushfs has it) to the exit status: 0 if the
 * filesystem was unmounted, or it was told to end. Its end of the channel is CHANNEL_FD. */
int worker_main(unsigned number, int argc, char **argv);

#endif
