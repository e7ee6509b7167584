/* SPDX-License-Identifier: Apache-2.0
 * ops_xattr: POSIX ACLs, which come as two extended attributes. Besides, when a resource was made can be asked for as one; it isn't
 * listed, as copying a file must not copy it. There are no others.
 *
 * The kernel decides with them who may do what. Ours is to keep them and the mode in step: setting an access ACL sets
 * owner's, mask's and others' bits of the mode. An answer of ENOSYS would make the kernel never ask again.
 */
#include "fs/node.h"
#include "fs/ops_internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/xattr.h>

#define OPS_CREATED "user.hushfs.created"

static const char *const ops_acl_names[] = {[ACL_KIND_ACCESS] = "system.posix_acl_access",
					    [ACL_KIND_DEFAULT] = "system.posix_acl_default"};

static bool ops_acl_kind(const char *name, enum acl_kind *ret_kind)
{
	for (enum acl_kind kind = ACL_KIND_ACCESS; kind <= ACL_KIND_DEFAULT; kind++) {
		if (strcmp(name, ops_acl_names[kind]) == 0) {
			*ret_kind = kind;
			return true;
		}
	}
	return false;
}

void ops_get_acl(fuse_req_t req, fuse_ino_t ino, enum acl_kind kind, struct acl *ret_acl)
{
	struct ops_context *context = ops_context(req);
	enum record_inode inode = RECORD_SELF;
	struct acl_list acls = {0};
	struct store_info info;
	struct stat st;

	if (node_kind(ino) == NODE_SCRATCH)
		scratch_acls(context->scratch, ino, &acls);
	else if ((!stage_entries(context->stage) || stage_acls(context->stage, ino, &acls) < 0) &&
		 tree_resource(&context->tree, ino, &info, &inode) == 0)
		acls = info.record.acls;
	acl_get(&acls, inode, kind, ret_acl);
	if (ret_acl->present && kind == ACL_KIND_ACCESS && ops_attributes(req, ino, &st) == 0)
		ret_acl->mode = st.st_mode & 0777;
}

/* The special bits stay, but setgid, as with chmod(2), for somebody who is neither in the group nor root; libfuse 3.14 does not pass on what the
 * kernel has to say about that. */
static int ops_mode_with(fuse_req_t req, fuse_ino_t ino, const struct acl *acl, mode_t *ret_mode)
{
	struct stat st;
	int r = ops_attributes(req, ino, &st);

	if (r < 0)
		return r;
	*ret_mode = (st.st_mode & 07000) | acl->mode;
	if ((st.st_mode & S_ISGID) && fuse_req_ctx(req)->uid != 0 && !ops_in_group(req, st.st_gid))
		*ret_mode &= ~(mode_t)S_ISGID;
	return 0;
}

void ops_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value, size_t size, int flags)
{
	struct record_attributes attributes = {0};
	unsigned set = RECORD_SET_DEFAULT_ACL;
	struct acl acl, old;
	enum acl_kind kind;
	int r;

	if (ops_was_committed(req))
		return;
	if (!ops_acl_kind(name, &kind)) {
		ops_reply_error(req, -EOPNOTSUPP);
		return;
	}
	if (kind == ACL_KIND_DEFAULT && (node_is_value(ino) || node_kind(ino) == NODE_SCRATCH)) {
		ops_reply_error(req, -EACCES);
		return;
	}
	ops_get_acl(req, ino, kind, &old);
	r = (flags & XATTR_CREATE) && old.present ? -EEXIST : (flags & XATTR_REPLACE) && !old.present ? -ENODATA : 0;
	if (r == 0)
		r = acl_parse(kind, value, size, &acl);
	if (r == 0 && kind == ACL_KIND_ACCESS) {
		set = RECORD_SET_ACL | RECORD_SET_MODE;
		r = ops_mode_with(req, ino, &acl, &attributes.mode);
	}
	if (r < 0)
		ops_reply_error(req, ops_stale(r));
	else
		ops_set_attributes(req, ino, set, &attributes, &acl, change_reply_ok);
}

/* As getxattr(2) and listxattr(2): with a size of 0 only how large it is. */
static void ops_reply_xattr(fuse_req_t req, const void *bytes, size_t used, size_t size)
{
	if (size == 0)
		fuse_reply_xattr(req, used);
	else if (used > size)
		ops_reply_error(req, -ERANGE);
	else
		fuse_reply_buf(req, bytes, used);
}

/* When the resource was made: seconds since 1970, a dot and nine digits. */
static void ops_get_created(fuse_req_t req, fuse_ino_t ino, size_t size)
{
	struct store_info info;
	enum record_inode inode;
	char text[48];
	int n;

	if ((!node_is_value(ino) && node_kind(ino) != NODE_MESH) ||
	    tree_resource(&ops_context(req)->tree, ino, &info, &inode) < 0 || !info.exists || !info.record.born.tv_sec) {
		ops_reply_error(req, -ENODATA);
		return;
	}
	n = snprintf(text, sizeof(text), "%jd.%09ld", (intmax_t)info.record.born.tv_sec, info.record.born.tv_nsec);
	ops_reply_xattr(req, text, (size_t)n, size);
}

void ops_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
	uint8_t bytes[ACL_XATTR_BYTES_MAX];
	struct acl acl = {0};
	enum acl_kind kind;

	if (strcmp(name, OPS_CREATED) == 0) {
		ops_get_created(req, ino, size);
		return;
	}
	if (ops_acl_kind(name, &kind))
		ops_get_acl(req, ino, kind, &acl);
	if (acl.present)
		ops_reply_xattr(req, bytes, acl_format(&acl, bytes), size);
	else
		ops_reply_error(req, -ENODATA);
}

void ops_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
	char names[64];
	size_t used = 0;

	for (enum acl_kind kind = ACL_KIND_ACCESS; kind <= ACL_KIND_DEFAULT; kind++) {
		struct acl acl;

		ops_get_acl(req, ino, kind, &acl);
		if (acl.present)
			used += strlen(strcpy(names + used, ops_acl_names[kind])) + 1;
	}
	ops_reply_xattr(req, names, used, size);
}

/* The mode stays as it is: as elsewhere on Linux, what was the mask is then the owning group's. */
void ops_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name)
{
	const struct record_attributes attributes = {0};
	const struct acl none = {0};
	enum acl_kind kind;

	if (ops_was_committed(req))
		return;
	if (ops_acl_kind(name, &kind))
		ops_set_attributes(req, ino, kind == ACL_KIND_ACCESS ? RECORD_SET_ACL : RECORD_SET_DEFAULT_ACL,
				   &attributes, &none, change_reply_ok);
	else
		ops_reply_error(req, -ENODATA);
}
