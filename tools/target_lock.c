/* SPDX-License-Identifier: Apache-2.0
 * target_lock: /.hush/lock and /.hush/unlock. Both take an ioctl, which a mount that is read-only lets through too.
 */
#include "tools/target_internal.h"

#include "store/key_text.h"
#include "tools/arena.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* Carry out what @text says. */
static int target_lock_send(struct target *target, const char *file, const struct secbuf *text)
{
	struct key_text_request *request = secmem_alloc(sizeof(*request));
	char path[TARGET_PATH_BYTES];
	int r, fd;

	if (!request)
		return arena_full(file);
	fd = target_control_open(target, file, O_RDONLY, path);
	if (fd >= 0) {
		request->size = (uint32_t)text->size;
		memcpy(request->text, text->data, text->size);
		r = ioctl(fd, KEY_TEXT_IOCTL, request) < 0 ? -errno : 0;
		if (r < 0)
			target_control_said(target, path, fd, -r);
		close(fd);
	} else {
		r = fd;
	}
	secmem_free(request);
	return r;
}

int target_lock(struct target *target)
{
	SECBUF_AUTO text = {0};

	return secbuf_write(&text, 0, "lock\n", 5) < 0 ? arena_full("lock") : target_lock_send(target, "lock", &text);
}

int target_unlock(struct target *target, const struct key *key)
{
	SECBUF_AUTO text = {0};

	return key_text_write(key, &text) < 0 ? arena_full("unlock") : target_lock_send(target, "unlock", &text);
}
