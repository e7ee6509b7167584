/* SPDX-License-Identifier: Apache-2.0
 * stage_view: how what is staged looks to who is writing it, and what it sets by hand before it is published.
 */
#include "fs/node.h"
#include "fs/stage_internal.h"

#include <errno.h>

/* How an entry looks to who is writing it: @st is how its resource does. */
static void staged_fill(const struct staged *entry, struct stat *st)
{
	if (entry->unlinked)
		st->st_nlink = 0;
	if (entry->draft.whole || entry->written)
		st->st_size = (off_t)draft_size(&entry->draft);
	st->st_blocks = (st->st_size + 511) / 512;
	if (entry->set & RECORD_SET_MTIME)
		st->st_mtim = entry->attributes.mtime;
	if (entry->set & RECORD_SET_ATIME)
		st->st_atim = entry->attributes.atime;
}

/* Is it new, also to the store? Somebody else may have made a file of that name meanwhile. */
static bool staged_is_new(const struct stage *stage, const struct staged *entry)
{
	struct store_info info;

	return entry->fresh && (store_look(stage->tree->store, store_node(stage->tree->store, &entry->name), &info) < 0 ||
				!info.exists);
}

/* Does a name's inode show another resource by now than the one that the entry writes to? */
static bool staged_is_elsewhere(const struct stage *stage, const struct staged *entry)
{
	struct store_info info;

	if (store_look(stage->tree->store, node_resource(entry->ino), &info) < 0 || !info.exists)
		return false;
	return entry->unlinked || !name_equal(&info.record.name, &entry->name) ||
	       (!entry->fresh && entry->created != info.record.created);
}

/* The entry that a question for @ino is about: by handle; or what @process writes there, or what is there for nobody else. */
static struct staged *stage_seen(struct stage *stage, uint64_t ino, uint64_t handle, pid_t process)
{
	struct staged *entry;
	struct stat st;

	LIST_FOREACH(entry, &stage->entries, link) {
		if (handle ? entry->handle == handle : entry->ino == ino && !staged_is_elsewhere(stage, entry) &&
						       ((process && entry->process == process) ||
							tree_attributes(stage->tree, ino, &st) < 0))
			break;
	}
	return entry;
}

int stage_attributes(struct stage *stage, uint64_t ino, uint64_t handle, pid_t process, struct stat *ret_attributes)
{
	struct staged *entry;
	struct stat st;

	pthread_mutex_lock(&stage->lock);
	entry = stage_seen(stage, ino, handle, process);
	if (entry) {
		uint64_t shown = entry->unlinked ? ino : tree_ino(stage->tree, &entry->name);

		if (entry->anew || tree_attributes(stage->tree, shown, &st) < 0 || (entry->fresh && !st.st_nlink))
			tree_fill(ino, &entry->attributes, 0, &st);
		staged_fill(entry, &st);
		*ret_attributes = st;
	}
	pthread_mutex_unlock(&stage->lock);
	return entry ? 0 : -ENOENT;
}

int stage_lookup(struct stage *stage, const struct name *name, pid_t process, uint64_t *ret_handle,
		 struct stat *ret_attributes)
{
	struct staged *entry;
	int r = -ENOENT;

	pthread_mutex_lock(&stage->lock);
	LIST_FOREACH(entry, &stage->entries, link) {
		if (!entry->fresh || entry->unlinked || entry->process != process || !process ||
		    !name_equal(&entry->name, name))
			continue;
		tree_fill(entry->ino, &entry->attributes, entry->draft.data.size, ret_attributes);
		*ret_handle = entry->handle;
		r = 0;
		break;
	}
	pthread_mutex_unlock(&stage->lock);
	return r;
}

bool stage_is_new(struct stage *stage, const struct name *name)
{
	struct staged *entry;

	pthread_mutex_lock(&stage->lock);
	LIST_FOREACH(entry, &stage->entries, link)
		if (entry->fresh && !entry->unlinked && name_equal(&entry->name, name))
			break;
	pthread_mutex_unlock(&stage->lock);
	return entry;
}

int stage_acls(struct stage *stage, uint64_t ino, struct acl_list *ret_acls)
{
	struct staged *entry;

	pthread_mutex_lock(&stage->lock);
	LIST_FOREACH(entry, &stage->entries, link)
		if (entry->ino == ino && staged_is_new(stage, entry))
			break;
	if (entry)
		*ret_acls = entry->acls;
	pthread_mutex_unlock(&stage->lock);
	return entry ? 0 : -ENOENT;
}

unsigned stage_set_attributes(struct stage *stage, uint64_t ino, pid_t process, unsigned set,
			      const struct record_attributes *attributes, const struct acl *acl)
{
	struct staged *entry;
	unsigned left = set;

	pthread_mutex_lock(&stage->lock);
	LIST_FOREACH(entry, &stage->entries, link) {
		if (entry->ino != ino || entry->in_flight)
			continue;
		if (staged_is_new(stage, entry) || (entry->anew && process && entry->process == process)) {
			record_set_attributes(&entry->attributes, set, attributes);
			if (set & RECORD_SET_ACL)
				acl_put(&entry->acls, RECORD_SELF, ACL_KIND_ACCESS, acl);
			entry->set |= set & RECORD_SET_TIMES;
			left = 0;
		} else if (process && entry->process == process && staged_is_pending(entry)) {
			record_set_attributes(&entry->attributes, set & RECORD_SET_TIMES, attributes);
			entry->set |= set & RECORD_SET_TIMES;
			left &= ~(unsigned)RECORD_SET_TIMES;
		}
	}
	pthread_mutex_unlock(&stage->lock);
	return left;
}
