/* SPDX-License-Identifier: Apache-2.0
 * keeper_internal: what keeper_start.c sets up and keeper.c goes on with. Nobody else includes it.
 */
#ifndef FS_KEEPER_INTERNAL_H
#define FS_KEEPER_INTERNAL_H

#include "fs/channel.h"
#include "fs/options.h"

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define KEEPER_ANCHOR "anchor=" /* as a worker is told */

enum keeper_phase { KEEPER_NONE, KEEPER_STARTING, KEEPER_READY, KEEPER_OPENING, KEEPER_TAKING_OVER, KEEPER_SERVING };

struct keeper_worker {
	enum keeper_phase phase; /* NONE: there is no such worker */
	pid_t pid;
	int channel;
	int program; /* descriptor of what it runs; owned */
	bool answered;
	int64_t since_ms; /* when it was started */
};

struct keeper {
	struct options options;
	char **copies; /* of the command line as it was given; owned */
	char **argv;   /* of a worker; owned */
	char store_path[PATH_MAX];
	char mountpoint[PATH_MAX];
	char anchor_option[sizeof(KEEPER_ANCHOR) + PATH_MAX]; /* "" without an anchor */
	char program_path[PATH_MAX]; /* of this program, as it is installed */
	int program;                 /* descriptor of what the last worker ran that served; owned */
	struct key *key; /* NULL while the store is locked */
	int signals; /* signalfd */
	int ledger;
	int fuse; /* -1: not mounted yet */
	struct channel_message serve; /* what each worker is told of the mount */
	struct keeper_worker worker;  /* which serves, or is about to */
	struct keeper_worker next;    /* which is to take over from it (upgrade) */
	int64_t next_until_ms;        /* when @next has to be ready */
	int64_t start_ms;             /* when another worker is to be started; 0: not waiting for that */
	unsigned started;             /* workers so far */
	unsigned restarts;            /* after a death */
	unsigned deaths;              /* in a row without a request answered */
	unsigned crashes;             /* in a row, soon after the start */
	bool upgrade_asked;           /* while a worker was started */
	bool stopping;
	int ready_fd; /* where to say that the mount answers; -1 in front, and after that */
	int status;   /* the exit status, once @ended */
	bool ended;
};

/* keeper_start_again - start a worker with the program that served last. */
void keeper_start_again(struct keeper *keeper);

/* keeper_loop - until @keeper->ended. */
void keeper_loop(struct keeper *keeper);

#endif
