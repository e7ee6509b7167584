/* SPDX-License-Identifier: Apache-2.0
 * fuzz_channel: any messages as what a worker, that may be taken over, says to the keeper, and the reverse. Each is what was sent or refused; no
 * descriptor is kept that nobody asked for, nor memory of a key.
 *
 * An input is messages: a byte that says how it is received and what comes with it, 2 bytes of size, and so many bytes.
 */
#include "tests/fuzz/fuzz.h"

#include "fs/channel.h"
#include "store/secmem.h"
#include "tests/unit/fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BYTES_MAX = 4096, PASSED_MAX = 3 };

struct sent {
	const uint8_t *bytes;
	size_t size;
	unsigned passed; /* descriptors */
};

static int send_all(int channel, const struct sent *sent)
{
	char control[CMSG_SPACE(PASSED_MAX * sizeof(int))] __attribute__((aligned(8))) = {0};
	struct iovec part = {(void *)sent->bytes, sent->size};
	struct msghdr header = {.msg_iov = &part, .msg_iovlen = 1};
	struct cmsghdr *rights = (struct cmsghdr *)control;

	if (sent->passed) {
		int *fds = (int *)CMSG_DATA(rights);

		for (unsigned i = 0; i < sent->passed; i++)
			fds[i] = STDERR_FILENO;
		*rights = (struct cmsghdr){.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sent->passed * sizeof(int))};
		header.msg_control = control;
		header.msg_controllen = CMSG_SPACE(sent->passed * sizeof(int));
	}
	return sendmsg(channel, &header, MSG_NOSIGNAL) == (ssize_t)sent->size ? 0 : -errno;
}

/* Which descriptors there are, of the first 64. */
static uint64_t descriptors(void)
{
	uint64_t open = 0;

	for (int fd = 0; fd < 64; fd++)
		open |= (uint64_t)(fcntl(fd, F_GETFD) >= 0) << fd;
	return open;
}

static void receive_message(int channel, const struct sent *sent, bool with)
{
	struct channel_message message;
	size_t size = sent->size < sizeof(message) ? sent->size : sizeof(message);
	int passed = -1, r = channel_receive(channel, &message, with ? &passed : NULL);

	fixture_must(r == 0 || r == -EPROTO);
	if (passed >= 0) {
		fixture_must(sent->passed > 0 && fcntl(passed, F_GETFD) == FD_CLOEXEC);
		close(passed);
	}
	if (r < 0)
		return;
	fixture_must(message.init_size <= CHANNEL_INIT_BYTES && size >= sizeof(message.kind));
	fixture_must(memcmp(&message, sent->bytes, size) == 0);
	for (size_t i = size; i < sizeof(message); i++) /* of an older version: what it does not say is 0 */
		fixture_must(((uint8_t *)&message)[i] == 0);
}

static void receive_key(int channel, const struct sent *sent, bool unlocked)
{
	size_t head = unlocked ? sizeof(uint32_t) : 0, in_use = secmem_in_use();
	struct key *key = NULL;
	int r = unlocked ? channel_receive_unlocked(channel, &key) : channel_receive_key(channel, &key);
	const uint8_t *bytes = (const uint8_t *)key;

	fixture_must(r == 0 || ((r == -EPROTO || r == -EPIPE) && !key));
	if (r == 0)
		fixture_must(sent->size >= head + sizeof(*key) && memcmp(bytes, sent->bytes + head, sizeof(*key)) == 0 &&
			     key->size <= sizeof(key->bytes));
	key_free(key);
	fixture_must(secmem_in_use() == in_use);
}

static void receive(int channel, const struct sent *sent, unsigned how)
{
	uint32_t kind = channel_kind(channel), first = 0;

	if (sent->size >= sizeof(first))
		memcpy(&first, sent->bytes, sizeof(first));
	fixture_must(kind == first); /* and the message is still there */
	switch (how) {
	case 0:
		receive_message(channel, sent, false);
		break;
	case 1:
		receive_message(channel, sent, true);
		break;
	default:
		receive_key(channel, sent, how == 2);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static bool begun;
	int keeper, worker;
	uint64_t before;

	if (!begun)
		fixture_init();
	begun = true;
	before = descriptors();
	fixture_must(channel_new(&keeper, &worker) == 0);
	while (size >= 3) {
		unsigned flags = data[0];
		struct sent sent = {.bytes = data + 3, .size = (data[1] << 8 | data[2]) % BYTES_MAX, .passed = flags / 4 % (PASSED_MAX + 1)};

		data += 3;
		size -= 3;
		if (sent.size > size)
			sent.size = size;
		data += sent.size;
		size -= sent.size;
		if (!sent.size) /* as if the other side had gone */
			break;
		fixture_must(send_all(worker, &sent) == 0);
		receive(keeper, &sent, flags % 4);
	}
	close(worker);
	fixture_must(channel_kind(keeper) == 0);
	fixture_must(channel_receive(keeper, &(struct channel_message){0}, NULL) == -EPIPE);
	close(keeper);
	fixture_must(descriptors() == before);
	return 0;
}
