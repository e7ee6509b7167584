/* SPDX-License-Identifier: Apache-2.0
 * upgrade: hushctl upgrade has a mount go on with the version of hushfs that is now installed.
 *
 * The mount says who its keeper is; SIGHUP has that start another worker. What comes of it the mount says as well.
 */
#include "store/log.h"
#include "tools/command.h"
#include "tools/target.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <time.h>
#include <unistd.h>

#define UPGRADE_SECONDS 30

static const char upgrade_usage[] =
	"usage: hushctl upgrade [--mount DIR]\n"
	"Has a mount go on with the version of hushfs that is now installed, where it was. Open files are not closed; what is\n"
	"being written at that moment is waited for. If the new version does not start, the running one goes on.\n"
	"\n" TARGET_MOUNT_USAGE FLAGS_USAGE;

/* What a mount says of its processes. */
struct upgrade_status {
	int keeper, worker, failed;
};

static int upgrade_number(const char *text, const char *key)
{
	const char *at = strstr(text, key);

	return at ? atoi(at + strlen(key)) : 0;
}

static int upgrade_look(struct target *target, struct upgrade_status *ret_status)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	int r = out ? target_status(target, out) : log_no_memory("to ask the daemon");

	if (out)
		fclose(out);
	if (r == 0)
		*ret_status = (struct upgrade_status){.keeper = upgrade_number(text, "\nkeeper: "),
						      .worker = upgrade_number(text, "\nworker: "),
						      .failed = upgrade_number(text, "\nfailed-upgrades: ")};
	free(text);
	return r;
}

static int upgrade_unreachable(const struct target *target, const struct upgrade_status *status, int r)
{
	log_error("%s: cannot reach its keeper (process %d): %s", target_path(target), status->keeper, log_reason(-r));
	return r;
}

/* It is the keeper that is asked, and no other process that has got its number: it is the mount's still when that process is held. */
static int upgrade_ask(struct target *target, struct upgrade_status *ret_before)
{
	struct upgrade_status now;
	int keeper, r = upgrade_look(target, ret_before);

	if (r < 0)
		return r;
	if (ret_before->keeper <= 0) {
		log_error("%s: its keeper is gone: unmount, and mount again", target_path(target));
		return -ESRCH;
	}
	keeper = pidfd_open(ret_before->keeper, 0);
	if (keeper < 0)
		return upgrade_unreachable(target, ret_before, -errno);
	r = upgrade_look(target, &now);
	if (r == 0 && now.keeper != ret_before->keeper)
		r = upgrade_unreachable(target, ret_before, -ESRCH);
	else if (r == 0 && pidfd_send_signal(keeper, SIGHUP, NULL, 0) < 0)
		r = upgrade_unreachable(target, ret_before, -errno);
	close(keeper);
	return r;
}

static int upgrade_wait(struct target *target, const struct upgrade_status *before)
{
	const struct timespec pause = {.tv_nsec = 20000000};

	for (int i = 0; i < UPGRADE_SECONDS * 50; i++) {
		struct upgrade_status now;
		int r = upgrade_look(target, &now);

		if (r < 0)
			return r;
		if (now.worker != before->worker)
			return 0;
		if (now.failed != before->failed)
			break;
		nanosleep(&pause, NULL);
	}
	log_error("%s: the running version goes on; the daemon's log says why (journalctl -t hushfs)", target_path(target));
	return -EIO;
}

int command_upgrade(int argc, char **argv)
{
	__attribute__((cleanup(target_closep))) struct target *target = NULL;
	struct target_options options = {0};
	const struct flag flags[] = {
		{.name = "mount", .text = &options.mount}, {.name = "store", .text = &options.store}, {0}};
	struct upgrade_status before = {0};
	int n, status;
	int r = flags_parse(argc, argv, upgrade_usage, flags, &n);

	if (r == 0 && n > 0)
		r = flags_only(argv[0]);
	if (r == 0 && options.store) {
		log_error("%s: --store is for a store that is not mounted: nothing is running", argv[0]);
		r = -EINVAL;
	}
	if (r != 0)
		return r < 0 ? COMMAND_USAGE : COMMAND_DONE;
	status = target_open(&options, &target);
	if (status != COMMAND_DONE)
		return status;
	r = upgrade_ask(target, &before);
	if (r == 0)
		r = upgrade_wait(target, &before);
	return r < 0 ? COMMAND_FAILED : COMMAND_DONE;
}
