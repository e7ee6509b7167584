/* SPDX-License-Identifier: Apache-2.0
 * acl: POSIX ACLs, see acl(5): as a metadata record keeps them, and as the kernel hands them over.
 *
 * What a file's mode says already is not kept twice: the owner's and others' permissions are its first and last three
 * bits, and of a file with an ACL the middle ones are the mask. What is left is the owning group's permission and the
 * named users and groups. So chmod changes the mask without knowing of ACLs, and they cannot get out of step.
 * Permissions are 4 (read), 2 (write), 1 (execute). Nothing here allocates or blocks; any thread may call.
 */
#ifndef STORE_ACL_H
#define STORE_ACL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define ACL_LIST_BYTES 240
#define ACL_NAMED_MAX 47                                /* as many as a list has room for */
#define ACL_XATTR_BYTES_MAX (4 + 8 * (ACL_NAMED_MAX + 4)) /* of the kernel's format */

enum acl_kind {
	ACL_KIND_ACCESS = 0,  /* who may do what */
	ACL_KIND_DEFAULT = 1, /* of a folder: what new entries begin with */
};

struct acl_named {
	bool group;         /* a group, not a user */
	uint8_t permission; /* before the mask */
	uint32_t id;
};

/* One ACL, unpacked. Large: for a moment only. */
struct acl {
	bool present;  /* false: there is none, and all else is 0 but @mode */
	bool mask;     /* it has one; always so if it names somebody, or is an access ACL (without one it is just a mode) */
	uint8_t group; /* the owning group's permission before the mask */
	mode_t mode;   /* 0777: the owner's, the mask's (without one the owning group's) and others' permissions. Of an
			* access ACL that comes from a list the caller fills it in: it is the file's */
	unsigned count;
	struct acl_named named[ACL_NAMED_MAX];
};

/* All ACLs of a resource, packed as in its record (README.md, "ACLs"). Zeroed: none. */
struct acl_list {
	uint8_t bytes[ACL_LIST_BYTES];
};

/* acl_parse - from the value of system.posix_acl_access or …_default. An access ACL without a mask comes out as not
 * present, with a mode. -EOPNOTSUPP for an unknown version; -EINVAL if it is no complete ACL, or has an entry twice;
 * -ENOSPC for more than ACL_NAMED_MAX names. */
int acl_parse(enum acl_kind kind, const void *xattr, size_t size, struct acl *ret_acl);

/* acl_format - the reverse, in the order that acl(5) asks for; @acl is present. Returns the size in bytes. */
size_t acl_format(const struct acl *acl, uint8_t ret_xattr[static ACL_XATTR_BYTES_MAX]);

/* acl_inherit - what a new entry begins with that is asked for with @mode, in a folder with the default ACL @from,
 * which is present. Returns its mode; @ret_access, its access ACL, may be not present. */
mode_t acl_inherit(const struct acl *from, mode_t mode, struct acl *ret_access);

/* acl_group_permission - what the owning group of a file may (3 bits), by its access ACL @acl, present or not, and its @mode: with one, that has the mask. */
unsigned acl_group_permission(const struct acl *acl, mode_t mode);

/* acl_get - the ACL of @inode (enum record_inode), present or not. */
void acl_get(const struct acl_list *list, unsigned inode, enum acl_kind kind, struct acl *ret_acl);

/* acl_put - set it, or remove it if @acl is not present. -ENOSPC leaves the list as it was; it cannot be if the list has no other. */
int acl_put(struct acl_list *list, unsigned inode, enum acl_kind kind, const struct acl *acl);

/* acl_check - is it a list that acl_put can have made? @defaults: bit n is set if inode n may have a default ACL.
 * -EBADMSG. */
int acl_check(const struct acl_list *list, unsigned inodes, unsigned defaults);

#endif
