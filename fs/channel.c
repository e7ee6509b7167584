/* SPDX-License-Identifier: Apache-2.0
 * channel: SOCK_SEQPACKET keeps messages apart and carries descriptors.
 */
#include "fs/channel.h"

#include "store/log.h"
#include "store/secmem.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

int channel_new(int *ret_keeper, int *ret_worker)
{
	int fds[2], r;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0) {
		r = -errno;
		log_error("cannot make a socket: %s", log_reason(-r));
		return r;
	}
	*ret_keeper = fds[0];
	*ret_worker = fds[1];
	return 0;
}

ssize_t channel_send_bytes(int channel, const void *bytes, size_t size, int passed)
{
	char control[CMSG_SPACE(sizeof(int))] __attribute__((aligned(8))) = {0};
	struct iovec part = {(void *)bytes, size};
	struct msghdr header = {.msg_iov = &part, .msg_iovlen = 1};
	ssize_t n;

	if (passed >= 0) {
		struct cmsghdr *rights;

		header.msg_control = control;
		header.msg_controllen = sizeof(control);
		rights = CMSG_FIRSTHDR(&header);
		rights->cmsg_level = SOL_SOCKET;
		rights->cmsg_type = SCM_RIGHTS;
		rights->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(rights), &passed, sizeof(int));
	}
	n = sendmsg(channel, &header, MSG_NOSIGNAL | MSG_DONTWAIT);
	return n < 0 ? -errno : n;
}

ssize_t channel_receive_bytes(int channel, void *ret_bytes, size_t size, int *ret_passed)
{
	char control[CMSG_SPACE(sizeof(int))] __attribute__((aligned(8))) = {0};
	struct iovec part = {ret_bytes, size};
	struct msghdr header = {.msg_iov = &part,
				.msg_iovlen = 1,
				.msg_control = ret_passed ? control : NULL,
				.msg_controllen = ret_passed ? CMSG_LEN(sizeof(int)) : 0}; /* without the padding, a second's place */
	const struct cmsghdr *rights;
	ssize_t n;

	if (ret_passed)
		*ret_passed = -1;
	do
		n = recvmsg(channel, &header, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n <= 0)
		return n == 0 || errno == ECONNRESET ? -EPIPE : -errno;
	rights = ret_passed ? CMSG_FIRSTHDR(&header) : NULL;
	if (rights && rights->cmsg_type == SCM_RIGHTS && rights->cmsg_len == CMSG_LEN(sizeof(int)))
		memcpy(ret_passed, CMSG_DATA(rights), sizeof(int));
	return n;
}

int channel_send(int channel, const struct channel_message *message, int passed)
{
	ssize_t n = channel_send_bytes(channel, message, sizeof(*message), passed);

	return n < 0 ? (int)n : 0;
}

int channel_say(int channel, enum channel_kind kind)
{
	const struct channel_message message = {.kind = kind};

	return channel_send(channel, &message, -1);
}

int channel_receive(int channel, struct channel_message *ret_message, int *ret_passed)
{
	ssize_t n;

	memset(ret_message, 0, sizeof(*ret_message));
	n = channel_receive_bytes(channel, ret_message, sizeof(*ret_message), ret_passed);
	if (n < 0)
		return (int)n;
	return (size_t)n < sizeof(ret_message->kind) || ret_message->init_size > CHANNEL_INIT_BYTES ? -EPROTO : 0;
}

uint32_t channel_kind(int channel)
{
	uint32_t kind;
	ssize_t n;

	do
		n = recv(channel, &kind, sizeof(kind), MSG_PEEK);
	while (n < 0 && errno == EINTR);
	return n == sizeof(kind) ? kind : 0;
}

int channel_send_unlocked(int channel, const struct key *key)
{
	uint32_t kind = CHANNEL_UNLOCKED;
	struct iovec parts[] = {{&kind, sizeof(kind)}, {(void *)key, sizeof(*key)}};
	const struct msghdr header = {.msg_iov = parts, .msg_iovlen = 2};

	return sendmsg(channel, &header, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

/* A key that came as @n bytes. */
static int channel_check_key(ssize_t n, struct key *key, struct key **ret_key)
{
	if (n != sizeof(*key) || key->size > sizeof(key->bytes)) {
		key_free(key);
		return n > 0 ? -EPROTO : -EPIPE;
	}
	*ret_key = key;
	return 0;
}

int channel_receive_unlocked(int channel, struct key **ret_key)
{
	struct key *key = secmem_alloc(sizeof(*key));
	uint32_t kind;
	struct iovec parts[] = {{&kind, sizeof(kind)}, {key, sizeof(*key)}};
	struct msghdr header = {.msg_iov = parts, .msg_iovlen = 2};
	ssize_t n;

	if (!key)
		return -ENOMEM;
	do
		n = recvmsg(channel, &header, 0);
	while (n < 0 && errno == EINTR);
	return channel_check_key(n < (ssize_t)sizeof(kind) ? n : n - (ssize_t)sizeof(kind), key, ret_key);
}

int channel_send_key(int channel, const struct key *key)
{
	return send(channel, key, sizeof(*key), MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -errno : 0;
}

int channel_receive_key(int channel, struct key **ret_key)
{
	struct key *key = secmem_alloc(sizeof(*key));
	ssize_t n;

	if (!key)
		return -ENOMEM;
	do
		n = recv(channel, key, sizeof(*key), 0);
	while (n < 0 && errno == EINTR);
	return channel_check_key(n, key, ret_key);
}
