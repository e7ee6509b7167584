/* SPDX-License-Identifier: Apache-2.0
 * inherit: default ACLs, handed down as acl(5) has it.
 */
#include "store/inherit.h"

#include <sys/stat.h>

void inherit_file(const struct acl *folder, mode_t *mode, struct acl_list *acls)
{
	struct acl acl;

	if (!folder->present)
		return;
	*mode = acl_inherit(folder, *mode, &acl);
	acl_put(acls, RECORD_SELF, ACL_KIND_ACCESS, &acl); /* alone in the list it has room */
}

int inherit_entry(const struct acl *folder, enum record_inode inode, bool closed, mode_t *mode, struct acl_list *acls)
{
	struct acl acl;
	int r;

	if (!folder->present)
		return 0;
	*mode = acl_inherit(folder, *mode, &acl);
	if (closed)
		acl.group = 0;
	r = acl_put(acls, inode, ACL_KIND_ACCESS, &acl);
	if (r == 0 && record_has_default_acl(NAME_MESH, inode))
		r = acl_put(acls, inode, ACL_KIND_DEFAULT, folder);
	return r;
}

int inherit_mesh(const struct record_attributes *owner, const struct acl *folder, struct store_op *op)
{
	int r = 0;

	for (int i = 0; i < RECORD_INODES; i++)
		op->attributes[i] = *owner;
	op->attributes[RECORD_MESH_SECRETS].mode = (folder->mask ? 0770 : 0700) | (owner->mode & S_ISGID); /* both folders, as mkdir -p would */
	op->attributes[RECORD_MESH_YAML].mode = 0644;
	for (int i = 0; i < RECORD_INODES && r == 0; i++)
		r = inherit_entry(folder, i, i == RECORD_MESH_SECRETS, &op->attributes[i].mode, &op->acls);
	return r;
}
