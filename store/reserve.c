/* SPDX-License-Identifier: Apache-2.0
 * reserve: made and removed, never written to. What lies under its name and is of another size is somebody else's and stays.
 */
#include "store/reserve.h"

#include "store/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

int reserve_init(struct reserve *reserve, const char *store_path)
{
	*reserve = (struct reserve){0};
	return asprintf(&reserve->path, "%s-reserve", store_path) < 0 ? log_no_memory("to open the store") : 0;
}

void reserve_deinit(struct reserve *reserve)
{
	free(reserve->path);
	reserve->path = NULL;
}

/* What is there: 1 the whole of it, 0 nothing, or what a kill has left, which is removed; -EEXIST something else. */
static int reserve_look(const struct reserve *reserve)
{
	struct stat st;

	if (lstat(reserve->path, &st) < 0)
		return 0;
	if (!S_ISREG(st.st_mode) || (st.st_size != 0 && st.st_size != RESERVE_BYTES))
		return -EEXIST;
	if ((uint64_t)st.st_blocks * 512 >= RESERVE_BYTES)
		return 1;
	return unlink(reserve->path) < 0 ? -errno : 0;
}

static int reserve_make(const struct reserve *reserve)
{
	int fd = open(reserve->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	int r = 0;

	if (fd < 0)
		return -errno;
	if (fallocate(fd, 0, 0, RESERVE_BYTES) < 0) {
		r = errno == EDQUOT || errno == EINTR ? -ENOSPC : -errno; /* it may be had later */
		unlink(reserve->path);
	}
	close(fd);
	return r;
}

void reserve_take(struct reserve *reserve, uint64_t room)
{
	int r;

	if (!reserve_missing(reserve))
		return;
	r = reserve_look(reserve);
	if (r == 0 && room < 2 * RESERVE_BYTES)
		return;
	if (r == 0)
		r = reserve_make(reserve);
	reserve->held = r >= 0;
	reserve->impossible = r < 0 && r != -ENOSPC;
	if (reserve->impossible)
		log_warning("%s: no room can be kept for a full disk, on which it may then not be possible to remove secrets: %s",
			    reserve->path, log_reason(-r));
}

void reserve_give(struct reserve *reserve)
{
	if (reserve_look(reserve) != 1)
		return;
	unlink(reserve->path);
	reserve->held = false;
}

uint64_t reserve_missing(const struct reserve *reserve)
{
	return reserve->path && !reserve->held && !reserve->impossible ? RESERVE_BYTES : 0;
}
