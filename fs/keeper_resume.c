/* SPDX-License-Identifier: Apache-2.0
 * keeper_resume: what a keeper leaves to the service manager, and how the next one goes on with it.
 *
 * That one must not look at the mount before somebody serves it: it would wait for itself. So the paths are kept, too.
 */
#include "fs/keeper_internal.h"

#include "fs/ledger.h"
#include "fs/mount.h"
#include "fs/service.h"
#include "store/log.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEEPER_KEPT_VERSION 1
#define KEEPER_KEPT_BYTES (64 * 1024) /* of the memory; the rest is 0, and for what struct keeper_kept grows by */

/* What the service manager knows it all as. */
#define KEEPER_KEPT "hushfs-keeper"
#define KEEPER_LEDGER "hushfs-ledger"
#define KEEPER_CONNECTION "hushfs-mount"
#define KEEPER_CHANNEL "hushfs-worker"

_Static_assert(sizeof(struct keeper_kept) <= KEEPER_KEPT_BYTES, "the memory for struct keeper_kept is too small");

static struct keeper_kept *keeper_map(int fd)
{
	struct keeper_kept *kept = mmap(NULL, KEEPER_KEPT_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	return kept == MAP_FAILED ? NULL : kept;
}

int keeper_keep(struct keeper *keeper)
{
	int r = ledger_make(&keeper->ledger);

	if (r < 0)
		return r;
	keeper->kept_fd = memfd_create("hushfs-keeper", MFD_CLOEXEC);
	if (keeper->kept_fd >= 0 && ftruncate(keeper->kept_fd, KEEPER_KEPT_BYTES) == 0)
		keeper->kept = keeper_map(keeper->kept_fd);
	if (!keeper->kept) {
		r = -errno;
		log_error("cannot make the memory that a keeper leaves to the next one: %s", log_reason(-r));
		return r;
	}
	keeper->kept->version = KEEPER_KEPT_VERSION;
	snprintf(keeper->kept->store, PATH_MAX, "%s", keeper->options.store);
	snprintf(keeper->kept->mountpoint, PATH_MAX, "%s", keeper->options.mountpoint);
	snprintf(keeper->kept->store_path, PATH_MAX, "%s", keeper->store_path);
	snprintf(keeper->kept->mountpoint_path, PATH_MAX, "%s", keeper->mountpoint);
	return 0;
}

void keeper_entrust(const struct keeper *keeper)
{
	service_keep(KEEPER_KEPT, keeper->kept_fd);
	service_keep(KEEPER_LEDGER, keeper->ledger);
	service_keep(KEEPER_CONNECTION, keeper->fuse);
}

void keeper_entrust_worker(const struct keeper_worker *worker)
{
	if (worker)
		service_keep(KEEPER_CHANNEL, worker->channel);
	else
		service_forget(KEEPER_CHANNEL);
}

void keeper_withdraw(void)
{
	service_forget(KEEPER_CHANNEL);
	service_forget(KEEPER_CONNECTION);
	service_forget(KEEPER_LEDGER);
	service_forget(KEEPER_KEPT);
}

/* Is it of this command line, and does the kernel still have the mount? */
static bool keeper_fits(const struct keeper *keeper)
{
	struct pollfd polled = {.fd = keeper->fuse}; /* POLLERR once it is unmounted */

	return keeper->kept && keeper->kept->version == KEEPER_KEPT_VERSION && !keeper->kept->serve.first && keeper->ledger >= 0 &&
	       keeper->fuse >= 0 && poll(&polled, 1, 0) == 0 && strcmp(keeper->kept->store, keeper->options.store) == 0 &&
	       strcmp(keeper->kept->mountpoint, keeper->options.mountpoint) == 0;
}

static void keeper_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* Whoever serves that mount still is told to end. */
static void keeper_drop(struct keeper *keeper)
{
	int channel = service_take(KEEPER_CHANNEL);

	log_warning("the service manager has kept a mount which is not this one, or which is gone: it is taken away");
	if (channel >= 0)
		channel_say(channel, CHANNEL_END);
	keeper_withdraw();
	if (keeper->kept && keeper->fuse >= 0 && mount_is_ours(keeper->kept->mountpoint_path))
		mount_detach(keeper->kept->mountpoint_path);
	if (keeper->kept)
		munmap(keeper->kept, KEEPER_KEPT_BYTES);
	keeper->kept = NULL;
	keeper_close(&channel);
	keeper_close(&keeper->kept_fd);
	keeper_close(&keeper->fuse);
	keeper_close(&keeper->ledger);
}

bool keeper_resume(struct keeper *keeper)
{
	struct stat st;

	keeper->kept_fd = service_take(KEEPER_KEPT);
	if (keeper->kept_fd < 0)
		return false;
	if (fstat(keeper->kept_fd, &st) == 0 && st.st_size == KEEPER_KEPT_BYTES)
		keeper->kept = keeper_map(keeper->kept_fd);
	keeper->fuse = service_take(KEEPER_CONNECTION);
	keeper->ledger = service_take(KEEPER_LEDGER);
	if (!keeper_fits(keeper)) {
		keeper_drop(keeper);
		return false;
	}
	snprintf(keeper->store_path, PATH_MAX, "%s", keeper->kept->store_path);
	snprintf(keeper->mountpoint, PATH_MAX, "%s", keeper->kept->mountpoint_path);
	return true;
}

/* The worker is there if it can be told so: then the process that is held is its own, and not another with its number. */
void keeper_adopt(struct keeper *keeper)
{
	const struct channel_message adopted = {.kind = CHANNEL_ADOPTED, .keeper = (uint64_t)getpid()};
	int process = pidfd_open(keeper->kept->worker, 0);
	int channel = service_take(KEEPER_CHANNEL);

	if (process >= 0 && channel >= 0 && channel_send(channel, &adopted, -1) == 0) {
		keeper->worker = (struct keeper_worker){.phase = KEEPER_SERVING,
							.pid = keeper->kept->worker,
							.channel = channel,
							.program = -1,
							.answered = true,
							.adopted = true,
							.process = process};
		log_warning("%s: the keeper was killed; this one goes on, with the same worker", keeper->mountpoint);
	} else {
		const struct keeper_worker was = {.answered = true};

		if (process >= 0)
			close(process);
		if (channel >= 0)
			close(channel);
		keeper_entrust_worker(NULL);
		log_warning("%s: the keeper was killed; this one goes on", keeper->mountpoint);
		keeper_worker_died(keeper, KEEPER_UNKNOWN, &was);
	}
	service_say("READY=1");
}
