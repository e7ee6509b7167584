/* SPDX-License-Identifier: Apache-2.0
 * announce: has a helper walk the own mount (announce_walk.c), and says what the walker is told there.
 */
#include "fs/announce_internal.h"

#include "fs/channel.h"
#include "fs/helper.h"
#include "fs/node.h"
#include "store/log.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

struct announce {
	const struct tree *tree;
	dev_t device; /* 0: not mounted */
	struct helper helper;
	atomic_int thread; /* the helper's, while it announces; else 0 */
	pthread_mutex_t lock;
	struct announce_change now; /* what it is about; under the lock */
};

struct announce *announce_new(const struct tree *tree, const char *mountpoint)
{
	struct announce *announce = calloc(1, sizeof(*announce));

	if (!announce) {
		log_no_memory("to serve the mount");
		return NULL;
	}
	if (helper_start(announce_walk, mountpoint, &announce->helper) < 0) {
		free(announce);
		return NULL;
	}
	announce->tree = tree;
	pthread_mutex_init(&announce->lock, NULL);
	return announce;
}

struct announce *announce_free(struct announce *announce)
{
	if (announce) {
		helper_stop(&announce->helper);
		pthread_mutex_destroy(&announce->lock);
		free(announce);
	}
	return NULL;
}

void announce_mounted(struct announce *announce, dev_t device)
{
	announce->device = device;
}

void announce_detach(struct announce *announce)
{
	const struct announce_order order = {.kind = ANNOUNCE_DETACH};

	channel_send_bytes(announce->helper.channel, &order, sizeof(order), -1);
}

/* Somebody may have changed it again meanwhile, and was seen doing so. */
static bool announce_is_overtaken(int r)
{
	return r == -ENOENT || r == -EEXIST || r == -ESTALE;
}

/* Have the helper do it. 0 or -errno. */
static int announce_ask(struct announce *announce, const struct announce_order *order)
{
	int answer;

	helper_ask(&announce->helper, order, sizeof(*order), &answer, sizeof(answer));
	return answer;
}

void announce_run(struct announce *announce, const struct announce_change *changes, size_t n)
{
	struct announce_order order = {.kind = ANNOUNCE_BEGIN, .device = announce->device};
	size_t failed = n;
	int first = -ENOENT;
	bool found;

	atomic_store(&announce->thread, announce->helper.pid);
	found = announce->device && announce_ask(announce, &order) == 0;
	if (found)
		failed = 0;
	for (size_t i = 0; i < n && found; i++) {
		int r;

		pthread_mutex_lock(&announce->lock);
		announce->now = changes[i];
		pthread_mutex_unlock(&announce->lock);
		order.kind = ANNOUNCE_CHANGE;
		order.change = changes[i];
		r = announce_ask(announce, &order);
		if (r < 0 && !announce_is_overtaken(r))
			first = failed++ ? first : r;
	}
	order.kind = ANNOUNCE_END;
	if (found)
		announce_ask(announce, &order);
	atomic_store(&announce->thread, 0);
	if (failed)
		log_warning("watchers were not told of %zu changes: %s", failed,
			    found ? strerror(-first) : "this mount is not at its place any more");
}

bool announce_is(struct announce *announce, pid_t thread)
{
	return announce && thread > 0 && atomic_load(&announce->thread) == thread;
}

pid_t announce_helper(const struct announce *announce)
{
	return announce->helper.pid;
}

static struct announce_change announce_now(struct announce *announce)
{
	struct announce_change now;

	pthread_mutex_lock(&announce->lock);
	now = announce->now;
	pthread_mutex_unlock(&announce->lock);
	return now;
}

/* The inode that @name in @parent had. 0 if it is not on the way to what was removed. */
static uint64_t announce_removed_ino(const struct announce *announce, const struct announce_change *now,
				     uint64_t parent, const char *name)
{
	switch (node_kind(parent)) {
	case NODE_MESHES:
		return node_make(NODE_MESH, now->mesh);
	case NODE_MESH:
		return node_make(strcmp(name, "secrets") == 0 ? NODE_SECRETS : NODE_MESH_YAML, node_resource(parent));
	case NODE_SECRETS:
	case NODE_GLOBAL:
		return tree_ino(announce->tree, &now->name);
	default:
		return 0;
	}
}

/* Whoever may walk here is the daemon: what is gone is its own. */
static void announce_fill_removed(const struct announce *announce, uint64_t ino, struct stat *ret_attributes)
{
	const struct record_attributes own = {
		.uid = announce->tree->uid, .gid = announce->tree->gid, .mode = node_is_value(ino) ? 0600 : 0700};

	tree_fill(ino, &own, 0, ret_attributes);
}

int announce_lookup(struct announce *announce, uint64_t parent, const char *name, struct stat *ret_attributes,
		    uint32_t *ret_generation)
{
	const struct announce_change now = announce_now(announce);
	uint64_t ino;
	int r = tree_lookup(announce->tree, parent, name, ret_attributes);

	if (r == 0)
		*ret_generation = tree_generation(announce->tree, ret_attributes->st_ino);
	if (r == 0 && now.kind == ANNOUNCE_CREATED && ret_attributes->st_ino == tree_ino(announce->tree, &now.name))
		return -ENOENT;
	if (r != -ENOENT || now.kind != ANNOUNCE_REMOVED)
		return r;
	ino = announce_removed_ino(announce, &now, parent, name);
	if (!ino)
		return r;
	announce_fill_removed(announce, ino, ret_attributes);
	*ret_generation = node_kind(ino) == NODE_MESH	   ? now.generations[RECORD_SELF]
			  : node_kind(ino) == NODE_SECRETS ? now.generations[RECORD_MESH_SECRETS]
							   : 1;
	return 0;
}

void announce_attributes(struct announce *announce, uint64_t ino, struct stat *ret_attributes)
{
	if (tree_attributes(announce->tree, ino, ret_attributes) < 0 || ret_attributes->st_nlink == 0)
		announce_fill_removed(announce, ino, ret_attributes);
}
