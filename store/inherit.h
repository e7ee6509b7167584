/* SPDX-License-Identifier: Apache-2.0
 * inherit: what a new resource takes from the folder that it is made in: group, mode, ACLs.
 */
#ifndef STORE_INHERIT_H
#define STORE_INHERIT_H

#include "store/store.h"

/* inherit_file - what a secret takes: its *@mode, and its ACL in @acls, which is empty. @folder: the default ACL of its folder, present or not. */
void inherit_file(const struct acl *folder, mode_t *mode, struct acl_list *acls);

/* inherit_mesh - fill in @op's attributes and ACLs, of a mesh's three inodes that @owner (uid, gid, mode) makes. Nobody says with which mode its secrets/ is to be made: it is closed but for its owner,
 * and for those whom the default ACL of /meshes names. -ENOSPC: the ACLs have no room. */
int inherit_mesh(const struct record_attributes *owner, const struct acl *folder, struct store_op *op);

/* inherit_entry - what @inode of a mesh takes: its *@mode, and its ACLs in @acls. @closed: the owning group is not to get in. -ENOSPC. */
int inherit_entry(const struct acl *folder, enum record_inode inode, bool closed, mode_t *mode, struct acl_list *acls);

#endif
