/* SPDX-License-Identifier: Apache-2.0
 * fuzz_ledger: any memory as the ledger of a worker that died, and then any use of it. Whatever that one has left, the next one
 * refuses it or goes on.
 *
 * An input is a byte of flags, then changes of the memory (where, 3 bytes; how many bytes, 1; the bytes) until one of 0 bytes, then calls.
 */
#include "tests/fuzz/fuzz.h"

#include "fs/ledger.h"
#include "tests/unit/fixture.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#define RESENT (UINT64_C(1) << 63)

enum { RAW_HEAD = 1 }; /* also the version and the size may be anything */

struct reader {
	const uint8_t *data;
	size_t size;
};

static uint64_t take(struct reader *input, size_t bytes)
{
	uint64_t number = 0;

	for (; bytes && input->size; bytes--, input->data++, input->size--)
		number = number << 8 | *input->data;
	return number;
}

/* The memory begins with its version and its size, which a ledger that was opened has. */
static int make(void)
{
	struct ledger *ledger;
	int fd;

	fixture_must(ledger_make(&fd) == 0 && ledger_open(fd, &ledger) == 0);
	ledger_free(ledger);
	return fd;
}

static void change(int fd, bool raw_head, struct reader *input)
{
	struct stat st;

	fixture_must(fstat(fd, &st) == 0);
	for (;;) {
		uint64_t at = take(input, 3) % (uint64_t)st.st_size;
		size_t bytes = take(input, 1);

		bytes = bytes < input->size ? bytes : input->size;
		if (!bytes)
			return;
		if (!raw_head && at < 8)
			at = 8;
		if (at + bytes <= (uint64_t)st.st_size)
			fixture_must(pwrite(fd, input->data, bytes, (off_t)at) == (ssize_t)bytes);
		input->data += bytes;
		input->size -= bytes;
	}
}

static void call(struct ledger *ledger, struct reader *input)
{
	uint64_t number = take(input, 1), node = take(input, 1), generation = take(input, 1);
	const struct store_held held = {.node = node, .generation = generation};

	switch (number % 13) {
	case 0:
		ledger_begin(ledger, generation | (node & 1 ? RESENT : 0));
		break;
	case 1:
		ledger_pin(ledger, &held);
		break;
	case 2:
		ledger_unpin(ledger, node, generation);
		break;
	case 3:
		ledger_is_former(ledger, node, generation);
		break;
	case 4:
		if (ledger_has_stepped(ledger, &generation))
			ledger_unpin(ledger, node, generation);
		break;
	case 5:
		ledger_committing(ledger, node, generation);
		break;
	case 6:
		ledger_answered(ledger, node);
		break;
	case 7:
		ledger_was_committed(ledger);
		break;
	case 8:
		ledger_opening(ledger, generation, (pid_t)node);
		break;
	case 9:
		ledger_opening_done(ledger, (pid_t)node);
		break;
	case 10:
		ledger_helper(ledger, (pid_t)node);
		break;
	case 11:
		ledger_was_helper(ledger, (pid_t)node);
		break;
	default:
		ledger_was_opening(ledger, generation, (pid_t)node);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct reader input = {data, size};
	bool raw_head = take(&input, 1) & RAW_HEAD;
	int fd = make();
	struct ledger *ledger = NULL;
	struct store_held *pins;
	size_t n;
	int r;

	change(fd, raw_head, &input);
	r = ledger_open(fd, &ledger);
	fixture_must(r == 0 || r == -EPROTO);
	if (r == 0) {
		pins = ledger_pins(ledger, &n);
		fixture_must(n <= LEDGER_PINS);
		for (size_t i = 0; i < n; i++)
			fixture_must(pins[i].pins > 0);
		free(pins);
		ledger_opened(ledger, take(&input, 1));
		while (input.size)
			call(ledger, &input);
		ledger_free(ledger);
	}
	close(fd);
	return 0;
}
