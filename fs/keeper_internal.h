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

/* What the next keeper has to know if this one is killed: shared memory, which no worker has. It may grow at its end only. */
struct keeper_kept {
	uint32_t version;
	pid_t worker; /* that serves, or did last */
	char store[PATH_MAX], mountpoint[PATH_MAX];           /* as on the command line */
	char store_path[PATH_MAX], mountpoint_path[PATH_MAX]; /* as they are */
	uint32_t started;  /* workers so far */
	uint32_t restarts; /* after a death */
	bool locked;       /* the store is, so the key is not to be had */
	struct channel_message serve; /* what each worker is told of the mount */
};

struct keeper_worker {
	enum keeper_phase phase; /* NONE: there is no such worker */
	pid_t pid;
	int channel;
	int program; /* descriptor of what it runs; owned */
	bool answered;
	int64_t since_ms; /* when it was started */
	bool adopted;     /* another keeper's child: how it ends isn't told */
	int process;      /* of an adopted one, a pidfd; owned */
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
	struct keeper_kept *kept;
	int kept_fd; /* of that memory; owned */
	struct keeper_worker worker;  /* which serves, or is about to */
	struct keeper_worker next;    /* which is to take over from it (upgrade) */
	int64_t next_until_ms;        /* when @next has to be ready */
	int64_t start_ms;             /* when another worker is to be started; 0: not waiting for that */
	unsigned deaths;              /* in a row without a request answered */
	unsigned crashes;             /* in a row, soon after the start */
	bool upgrade_asked;           /* while a worker was started */
	bool stopping;
	int64_t end_until_ms; /* when a worker that was told to end has to have ended; 0: none was */
	int ready_fd; /* where to say that the mount answers; -1 in front, and after that */
	int status;   /* the exit status, once @ended */
	bool ended;
};

/* keeper_keep - @keeper->kept, empty, and a ledger. keeper_entrust - the service manager has these and the mount from now on, for the next
 * keeper; keeper_entrust_worker - and the way to the worker that serves, or no more; keeper_withdraw - nothing of it any more. */
int keeper_keep(struct keeper *keeper);
void keeper_entrust(const struct keeper *keeper);
void keeper_entrust_worker(const struct keeper_worker *worker);
void keeper_withdraw(void);

/* keeper_resume - has a keeper before this one been killed, and left what this command line goes on with? If it does not fit, nothing is left
 * of it. */
bool keeper_resume(struct keeper *keeper);

/* keeper_adopt - after keeper_resume: go on with the worker that is still there, or else with another. */
void keeper_adopt(struct keeper *keeper);

/* keeper_worker_died - what serves a mount has ended, or had before @keeper began: another one goes on, or it is unmounted. @status: as
 * wait has it, or KEEPER_UNKNOWN. */
#define KEEPER_UNKNOWN (-1)
void keeper_worker_died(struct keeper *keeper, int status, const struct keeper_worker *was);

/* keeper_start_again - start a worker with the program that served last. */
void keeper_start_again(struct keeper *keeper);

/* keeper_loop - until @keeper->ended. */
void keeper_loop(struct keeper *keeper);

#endif
