/* SPDX-License-Identifier: Apache-2.0
 * status: numbers for people and for scripts; scripts may rely on the keys.
 */
#include "fs/status.h"

#include "fs/ops.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

size_t status_text(const struct ops_context *context, char ret_text[static STATUS_BYTES])
{
	const struct tree *tree = &context->tree;
	struct store_status status;
	uint8_t kinds[STORE_KEY_SLOTS];
	size_t files, bytes, keys = 0;
	struct timespec now;
	unsigned current;
	char id[33];
	int size;

	scratch_usage(context->scratch, &files, &bytes);
	store_get_status(tree->store, &status);
	store_keys(tree->store, kinds, &current);
	for (size_t i = 0; i < sizeof(kinds); i++)
		keys += kinds[i] != 0;
	clock_gettime(CLOCK_BOOTTIME, &now);
	for (size_t i = 0; i < sizeof(status.id); i++)
		snprintf(id + 2 * i, 3, "%02x", status.id[i]);
	size = snprintf(ret_text, STATUS_BYTES,
			"version: %s\n"
			"store: %s\n"
			"generation: %" PRIu64 "\n"
			"meshes: %zu\n"
			"secrets: %zu\n"
			"global-secrets: %zu\n"
			"rows: %" PRIu64 "\n"
			"keys: %zu\n"
			"anchor: %s\n"
			"open-for-writing: %zu\n"
			"staged-bytes: %zu\n"
			"scratch-files: %zu\n"
			"scratch-bytes: %zu\n"
			"locked: %s\n"
			"disk-failed: %s\n"
			"uptime-seconds: %" PRIdMAX "\n"
			"worker-restarts: %" PRIu64 "\n"
			"failed-upgrades: %u\n"
			"keeper: %d\n"
			"worker: %d\n"
			"sandbox: uid=%u landlock=%d seccomp=%s\n",
			HUSHFS_VERSION, id, status.generation, status.meshes, status.secrets, status.global_secrets,
			status.rows, keys,
			!status.anchored ? "no" : status.anchor_failed ? "failed, so nothing can be changed" : "yes",
			stage_entries(context->stage), stage_bytes(context->stage), files, bytes,
			store_is_locked(tree->store) ? "yes" : "no",
			status.disk_failed ? "yes" : "no", (intmax_t)(now.tv_sec - tree->up.tv_sec), context->restarts,
			context->failed_upgrades, context->keeper, getpid(),
			context->sandbox.uid, context->sandbox.landlock, context->sandbox.seccomp ? "yes" : "no");
	return size < STATUS_BYTES ? (size_t)size : STATUS_BYTES - 1;
}
