/* SPDX-License-Identifier: Apache-2.0
 * stage_view: how what is staged looks to who is writing it, and what it sets by hand before it is published.
 */
#include "fs/node.h"
#include "fs/stage_internal.h"

#include <errno.h>

/* How an entry looks to who is writing it: @st is how its resource does. */
static void staged_fill(const struct staged *entry, struct stat *st)
{
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

	return entry->fresh && (store_look(stage->tree->store, node_resource(entry->named), &info) < 0 || !info.exists);
}

/* Does the entry write to what has the name of its inode? Else it was removed, replaced or renamed, or @live (what
 * has the name now, or NULL) was made after that. */
static bool staged_has_its_name(const struct staged *entry, const struct store_info *live)
{
	return !entry->unlinked && entry->named == entry->ino && (entry->fresh || (live && live->record.created == entry->created));
}

/* What has the name that @ino is of; NULL if nothing has. */
static struct store_info *stage_live(const struct stage *stage, uint64_t ino, struct store_info *info)
{
	return store_look(stage->tree->store, node_resource(ino), info) == 0 && info->exists ? info : NULL;
}

/* The newest entry of @ino (@process: of that process only, or 0) that writes to its name, or (@former) did once. */
static struct staged *stage_newest(const struct stage *stage, uint64_t ino, pid_t process, bool former,
				   const struct store_info *live)
{
	struct staged *entry;

	LIST_FOREACH(entry, &stage->entries, link)
		if (entry->ino == ino && (!process || entry->writers.opener == process) &&
		    (former || staged_has_its_name(entry, live)))
			break;
	return entry;
}

/* The entry that a question for @ino is about, if that is not for the tree to answer: what @process writes there;
 * if nothing is there, what it wrote there once; if nothing ever was, what somebody is making or did. */
static struct staged *stage_seen(const struct stage *stage, uint64_t ino, pid_t process)
{
	struct store_info info;
	const struct store_info *live = stage_live(stage, ino, &info);
	struct staged *entry = process ? stage_newest(stage, ino, process, false, live) : NULL;

	if (!entry && !live && process)
		entry = stage_newest(stage, ino, process, true, NULL);
	if (entry || store_look(stage->tree->store, node_resource(ino), &info) == 0)
		return entry;
	entry = stage_newest(stage, ino, 0, false, NULL);
	return entry ? entry : stage_newest(stage, ino, 0, true, NULL);
}

int stage_attributes(struct stage *stage, uint64_t ino, uint64_t handle, pid_t process, struct stat *ret_attributes)
{
	struct staged *entry;
	struct stat st = {0};
	bool known, gone;

	pthread_mutex_lock(&stage->lock);
	entry = handle ? stage_find(stage, handle) : stage_seen(stage, ino, process);
	if (entry) {
		uint64_t shown = entry->unlinked ? ino : entry->named;

		known = tree_attributes(stage->tree, shown, &st) == 0;
		gone = !known || st.st_nlink == 0;
		if (!known || entry->anew || (gone && entry->fresh))
			tree_fill(shown, &entry->attributes, 0, &st);
		if (entry->unlinked || (gone && !entry->fresh))
			st.st_nlink = 0;
		staged_fill(entry, &st);
		if (handle)
			st.st_size = (off_t)draft_size(&entry->draft); /* of the version that it stands upon */
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
		if (!entry->fresh || entry->unlinked || entry->writers.opener != process || !process ||
		    !name_equal(&entry->name, name))
			continue;
		tree_fill(entry->ino, &entry->attributes, draft_size(&entry->draft), ret_attributes);
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

pid_t stage_maker(struct stage *stage, uint64_t handle)
{
	const struct staged *entry;
	struct store_info info;
	pid_t maker = 0;

	pthread_mutex_lock(&stage->lock);
	entry = stage_find(stage, handle);
	if (entry && entry->anew && !entry->unlinked && staged_has_its_name(entry, stage_live(stage, entry->ino, &info)))
		maker = entry->writers.opener;
	pthread_mutex_unlock(&stage->lock);
	return maker;
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

/* Wait until no commit has what @process is writing to @ino: it may not be publishing it, after all. With the lock. */
static void stage_land(struct stage *stage, uint64_t ino, pid_t process)
{
	const struct staged *entry = LIST_FIRST(&stage->entries);

	while (entry) {
		if (entry->in_flight && entry->ino == ino && entry->writers.opener == process) {
			pthread_cond_wait(&stage->landed, &stage->lock);
			entry = LIST_FIRST(&stage->entries); /* they may be others now */
		} else {
			entry = LIST_NEXT(entry, link);
		}
	}
}

int stage_making(struct stage *stage, uint64_t ino, pid_t process, struct record_attributes *ret_attributes)
{
	const struct store_info *live;
	struct store_info info;
	struct staged *entry = NULL;

	pthread_mutex_lock(&stage->lock);
	live = stage_live(stage, ino, &info);
	if (!live && !(process && stage_newest(stage, ino, process, false, NULL)))
		LIST_FOREACH(entry, &stage->entries, link)
			if (entry->ino == ino && entry->fresh && staged_has_its_name(entry, NULL))
				break;
	if (entry)
		*ret_attributes = entry->attributes;
	pthread_mutex_unlock(&stage->lock);
	return entry ? 0 : -ENOENT;
}

unsigned stage_set_attributes(struct stage *stage, uint64_t ino, pid_t process, unsigned set,
			      const struct record_attributes *attributes, const struct acl *acl)
{
	const struct store_info *live;
	struct store_info info;
	struct staged *entry;
	unsigned left = set;
	bool own;

	pthread_mutex_lock(&stage->lock);
	if (process)
		stage_land(stage, ino, process);
	live = stage_live(stage, ino, &info);
	own = process && stage_newest(stage, ino, process, false, live);
	LIST_FOREACH(entry, &stage->entries, link) {
		bool theirs = process && entry->writers.opener == process;

		if (entry->ino != ino || entry->in_flight || theirs != own || !staged_has_its_name(entry, live))
			continue;
		if ((entry->fresh && !live) || (entry->anew && theirs)) {
			record_set_attributes(&entry->attributes, set, attributes);
			if (set & RECORD_SET_ACL)
				acl_put(&entry->acls, RECORD_SELF, ACL_KIND_ACCESS, acl);
			entry->set |= set & RECORD_SET_TIMES;
			left = 0;
		} else if (theirs && staged_is_pending(entry)) {
			record_set_attributes(&entry->attributes, set & RECORD_SET_TIMES, attributes);
			entry->set |= set & RECORD_SET_TIMES;
			left &= ~(unsigned)RECORD_SET_TIMES;
		}
	}
	pthread_mutex_unlock(&stage->lock);
	return left;
}
