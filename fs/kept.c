/* SPDX-License-Identifier: Apache-2.0
 * kept: counts of holds in buckets, so that no list has to be searched, and which inodes a change is about.
 */
#include "fs/kept.h"

#include "fs/node.h"

#include <string.h>

#define KEPT_INODES 8 /* that one operation is about, at most */

static struct kept_bucket *kept_bucket(struct kept *kept, uint64_t ino)
{
	return &kept->buckets[ino * UINT64_C(0x9e3779b97f4a7c15) >> 52];
}

_Static_assert(KEPT_BUCKETS == 1 << (64 - 52), "kept_bucket");

/* Surely, so that nothing of it is kept? With the lock. */
static bool kept_is_held(const struct kept_bucket *bucket, uint64_t ino)
{
	return bucket->holds && !bucket->mixed && bucket->ino == ino;
}

void kept_hold(struct kept *kept, uint64_t ino)
{
	struct kept_bucket *bucket;

	if (!kept)
		return;
	pthread_mutex_lock(&kept->lock);
	bucket = kept_bucket(kept, ino);
	if (!kept_is_held(bucket, ino))
		notify_attributes(kept->notify, ino);
	bucket->mixed = bucket->holds && (bucket->mixed || bucket->ino != ino);
	bucket->ino = ino;
	bucket->holds++;
	kept->turns++;
	pthread_mutex_unlock(&kept->lock);
}

void kept_release(struct kept *kept, uint64_t ino)
{
	if (!kept)
		return;
	pthread_mutex_lock(&kept->lock);
	kept_bucket(kept, ino)->holds--;
	kept->turns++;
	pthread_mutex_unlock(&kept->lock);
}

unsigned kept_turn(struct kept *kept)
{
	unsigned turn;

	pthread_mutex_lock(&kept->lock);
	turn = kept->turns;
	pthread_mutex_unlock(&kept->lock);
	return turn;
}

bool kept_may(struct kept *kept, unsigned turn, uint64_t ino)
{
	bool may;

	pthread_mutex_lock(&kept->lock);
	may = !kept_bucket(kept, ino)->holds && kept->turns == turn;
	pthread_mutex_unlock(&kept->lock);
	return may;
}

/* --- what a change is about ------------------------------------------------------------------------------------- */

struct kept_inodes {
	uint64_t ino[KEPT_INODES];
	size_t n;
};

static void kept_add(struct kept_inodes *inodes, enum node_kind kind, uint64_t resource)
{
	inodes->ino[inodes->n++] = node_make(kind, resource);
}

/* All that comes with a mesh. */
static void kept_add_mesh(struct kept_inodes *inodes, uint64_t mesh)
{
	kept_add(inodes, NODE_MESH, mesh);
	kept_add(inodes, NODE_SECRETS, mesh);
	kept_add(inodes, NODE_MESH_YAML, mesh);
}

static uint64_t kept_mesh_of(const struct kept *kept, const struct name *secret)
{
	const struct name mesh = name_mesh(secret);

	return store_node(kept->tree->store, &mesh);
}

/* What has a name, */
static void kept_add_named(const struct kept *kept, const struct name *name, struct kept_inodes *inodes)
{
	if (name->kind == NAME_MESH) {
		kept_add_mesh(inodes, store_node(kept->tree->store, name));
	} else if (name->kind == NAME_ROOT) {
		kept_add(inodes, NODE_ROOT, 0);
		kept_add(inodes, NODE_MESHES, 0);
		kept_add(inodes, NODE_GLOBAL, 0);
	} else {
		inodes->ino[inodes->n++] = tree_ino(kept->tree, name);
	}
}

/* and the folder that it is in, which shows when an entry comes or goes; a mesh's folders with it, as a secret brings them back. */
static void kept_add_folder(const struct kept *kept, const struct name *name, struct kept_inodes *inodes)
{
	if (name->kind == NAME_SECRET)
		kept_add_mesh(inodes, kept_mesh_of(kept, name));
	else if (name->kind == NAME_GLOBAL_SECRET)
		kept_add(inodes, NODE_GLOBAL, 0);
	else
		kept_add(inodes, NODE_MESHES, 0);
}

/* May an entry come or go with it? */
static bool kept_moves(const struct store_op *op, bool over)
{
	if (op->kind == STORE_SET_ATTRIBUTES)
		return op->name.kind == NAME_MESH && (op->set & (RECORD_SET_PRESENT | RECORD_SET_ABSENT));
	return op->kind == STORE_REMOVE || op->kind == STORE_RENAME || !over || op->ret_outcome == STORE_CREATED;
}

/* Are they in the same folder? */
static bool kept_is_beside(const struct name *name, const struct name *other)
{
	return name->kind == other->kind && strcmp(name->mesh, other->mesh) == 0;
}

/* Who has an older version open and asks where its end is does so on behalf of all who have the file: the kernel passes over the answer if the
 * attributes were dropped meanwhile. So that is not done without need, as when somebody writes the file. */
static bool kept_has_nothing(struct kept *kept, const struct store_op *op)
{
	uint64_t ino;
	bool held;

	if ((op->kind != STORE_PUT && op->kind != STORE_APPEND) || (op->set & RECORD_SET_ACL))
		return false;
	ino = tree_value_ino(kept->tree, &op->name);
	pthread_mutex_lock(&kept->lock);
	held = kept_is_held(kept_bucket(kept, ino), ino);
	pthread_mutex_unlock(&kept->lock);
	return held;
}

/* Call @what with each inode that a transaction is about, with those of folders once in a row. @over: it was committed,
 * and of what the kernel has nothing of there is nothing to be done. */
static void kept_each(struct kept *kept, const struct store_txn *txn, bool over, void (*what)(struct kept *kept, uint64_t ino))
{
	const struct store_op *moved = NULL;

	for (size_t i = 0; i < txn->n_ops; i++) {
		const struct store_op *op = &txn->ops[i];
		bool moves = kept_moves(op, over) && !(moved && kept_is_beside(&op->name, &moved->name));
		struct kept_inodes inodes = {0};

		if (!over || !kept_has_nothing(kept, op))
			kept_add_named(kept, &op->name, &inodes);
		if (op->kind == STORE_RENAME)
			kept_add_named(kept, &op->to, &inodes);
		if (moves)
			kept_add_folder(kept, &op->name, &inodes);
		for (size_t j = 0; j < inodes.n; j++)
			what(kept, inodes.ino[j]);
		if (moves)
			moved = op;
	}
}

static void kept_drop(struct kept *kept, uint64_t ino)
{
	notify_attributes(kept->notify, ino);
}

static void kept_committed(void *context, const struct store_txn *txn)
{
	kept_each(context, txn, true, kept_drop);
}

static void kept_named(struct kept *kept, const struct name *name, void (*what)(struct kept *kept, uint64_t ino))
{
	struct kept_inodes inodes = {0};

	kept_add_named(kept, name, &inodes);
	for (size_t i = 0; i < inodes.n; i++)
		what(kept, inodes.ino[i]);
}

/* --- changes through a control file ------------------------------------------------------------------------------ */

/* Whoever is being told something of what is in these folders has it when this returns. */
static void kept_wait_for_folders(struct kept *kept, const struct name *name)
{
	notify_folder(kept->notify, NODE_ROOT);
	if (name->kind == NAME_GLOBAL_SECRET) {
		notify_folder(kept->notify, node_make(NODE_GLOBAL, 0));
		return;
	}
	notify_folder(kept->notify, node_make(NODE_MESHES, 0));
	if (name->kind == NAME_MESH) {
		notify_folder(kept->notify, node_make(NODE_MESH, store_node(kept->tree->store, name)));
	} else {
		notify_folder(kept->notify, node_make(NODE_MESH, kept_mesh_of(kept, name)));
		notify_folder(kept->notify, node_make(NODE_SECRETS, kept_mesh_of(kept, name)));
	}
}

static void kept_let_go_of(struct kept *kept, const struct name *name)
{
	if (name->kind == NAME_MESH) {
		const uint64_t mesh = node_make(NODE_MESH, store_node(kept->tree->store, name));

		notify_name(kept->notify, mesh, "secrets");
		notify_name(kept->notify, mesh, "mesh.yaml");
		notify_name(kept->notify, node_make(NODE_MESHES, 0), name->name);
	} else if (name->kind == NAME_SECRET) {
		notify_name(kept->notify, node_make(NODE_SECRETS, kept_mesh_of(kept, name)), name->name);
	} else {
		notify_name(kept->notify, node_make(NODE_GLOBAL, 0), name->name);
	}
}

void kept_hide(struct kept *kept, const struct name *name)
{
	kept_named(kept, name, kept_hold);
	kept_let_go_of(kept, name);
}

void kept_show(struct kept *kept, const struct name *name)
{
	kept_named(kept, name, kept_release);
}

static void kept_running(void *context, const struct store_txn *txn, bool over)
{
	struct kept *kept = context;

	if (over) {
		kept_each(kept, txn, false, kept_release);
		return;
	}
	kept_each(kept, txn, false, kept_hold);
	for (size_t i = 0; i < txn->n_ops; i++) {
		const struct name *name = &txn->ops[i].name;

		if (i == 0 || name->kind == NAME_MESH || !kept_is_beside(name, &txn->ops[i - 1].name))
			kept_wait_for_folders(kept, name);
		if (txn->ops[i].kind == STORE_REMOVE)
			kept_let_go_of(kept, name);
	}
	kept_each(kept, txn, false, kept_drop); /* what was on its way has arrived */
}

void kept_init(struct kept *kept, const struct tree *tree, struct notify *notify)
{
	const struct store_watcher watcher = {.committed = kept_committed, .running = kept_running, .context = kept};

	pthread_mutex_init(&kept->lock, NULL);
	kept->tree = tree;
	kept->notify = notify;
	store_watch(tree->store, &watcher);
}

/* --- after another worker ---------------------------------------------------------------------------------------- */

static void kept_drop_folder(struct kept *kept, enum name_kind kind, uint64_t mesh)
{
	struct store_info info = {0};

	while (store_next(kept->tree->store, kind, mesh, info.node, &info) == 0) {
		kept_named(kept, &info.record.name, kept_drop);
		if (kind == NAME_MESH)
			kept_drop_folder(kept, NAME_SECRET, info.node);
	}
}

void kept_drop_all(struct kept *kept)
{
	const struct name root = {.kind = NAME_ROOT};

	kept_named(kept, &root, kept_drop);
	kept_drop_folder(kept, NAME_MESH, 0);
	kept_drop_folder(kept, NAME_GLOBAL_SECRET, 0);
}
