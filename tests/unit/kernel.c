/* SPDX-License-Identifier: Apache-2.0
 * kernel: requests as <linux/fuse.h> has them, one SOCK_SEQPACKET message each.
 */
#include "tests/unit/kernel.h"

#include "fs/loop.h"
#include "fs/stage.h"
#include "tests/unit/fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

static void *kernel_serve(void *context)
{
	struct kernel *kernel = context;

	kernel->served = loop_run(kernel->loop, NULL);
	return NULL;
}

static void kernel_init(struct kernel *kernel)
{
	const struct fuse_init_in in = {
		.major = 7, .minor = 38, .max_readahead = 131072, .flags = UINT32_C(0x3fffffff) /* all it may want */};

	fixture_must(kernel_call(kernel, FUSE_INIT, 0, &in, sizeof(in), NULL, 0) == 0);
	fixture_must(kernel->answer_size == sizeof(kernel->init));
	memcpy(&kernel->init, kernel->answer, sizeof(kernel->init));
}

struct kernel *kernel_start(struct store *store, size_t max_staged)
{
	struct kernel *kernel = calloc(1, sizeof(*kernel));
	const int buffer = 4 * 1024 * 1024;
	int fds[2];

	fixture_must(kernel);
	aside_init(&kernel->context.aside);
	tree_init(&kernel->context.tree, store, 1000, 1001);
	kernel->context.stage = stage_new(&kernel->context.tree, &kernel->context.kept, max_staged);
	kernel->context.scratch = scratch_new(SCRATCH_BYTES_LEAST, SCRATCH_BYTES_LEAST, SCRATCH_SECONDS);
	kernel->context.announce = announce_new(&kernel->context.tree, "/nowhere");
	kernel->context.control = control_new(&kernel->context.tree, kernel->context.stage, kernel->context.scratch,
					      kernel->context.announce);
	fixture_must(kernel->context.stage && kernel->context.scratch);
	fixture_must(loop_new(&kernel->context, &kernel->loop) == 0);
	kept_init(&kernel->context.kept, &kernel->context.tree, kernel->context.notify);
	control_set_status(kernel->context.control, &kernel->context);
	control_set_kept(kernel->context.control, &kernel->context.kept);
	fixture_must(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) == 0);
	for (int i = 0; i < 2; i++)
		setsockopt(fds[i], SOL_SOCKET, SO_SNDBUF, &buffer, sizeof(buffer));
	fixture_must(loop_attach(kernel->loop, fds[0]) == 0);
	kernel->fd = fds[1];
	kernel->pid = (uint32_t)getpid();
	kernel->uid = 1000;
	fixture_must(pthread_create(&kernel->thread, NULL, kernel_serve, kernel) == 0);
	kernel_init(kernel);
	return kernel;
}

int kernel_stop(struct kernel *kernel)
{
	struct store *store = kernel->context.tree.store;
	int served;

	close(kernel->fd);
	pthread_join(kernel->thread, NULL);
	served = kernel->served;
	control_stop(kernel->context.control);
	store_stop(store);
	control_free(kernel->context.control);
	announce_free(kernel->context.announce);
	stage_free(kernel->context.stage);
	scratch_free(kernel->context.scratch);
	store_close(store);
	loop_free(kernel->loop);
	free(kernel);
	return served;
}

static void kernel_hear(struct kernel *kernel, const struct fuse_out_header *out, size_t size)
{
	struct fuse_notify_inval_inode_out inode;
	struct fuse_notify_inval_entry_out entry;
	struct kernel_notice notice = {0};

	if (out->error == FUSE_NOTIFY_INVAL_INODE && size == sizeof(inode)) {
		memcpy(&inode, kernel->answer, sizeof(inode));
		notice.ino = inode.ino;
	} else if (out->error == FUSE_NOTIFY_INVAL_ENTRY && size > sizeof(entry)) {
		memcpy(&entry, kernel->answer, sizeof(entry));
		fixture_must(size == sizeof(entry) + entry.namelen + 1 && entry.namelen < sizeof(notice.name));
		notice.ino = entry.parent;
		memcpy(notice.name, kernel->answer + sizeof(entry), entry.namelen);
	} else {
		return;
	}
	if (kernel->n_notices < sizeof(kernel->notices) / sizeof(kernel->notices[0]))
		kernel->notices[kernel->n_notices++] = notice;
}

int kernel_call(struct kernel *kernel, uint32_t opcode, uint64_t node, const void *first, size_t first_size,
		const void *second, size_t second_size)
{
	struct fuse_in_header in = {.len = (uint32_t)(sizeof(in) + first_size + second_size),
				    .opcode = opcode,
				    .unique = ++kernel->unique,
				    .nodeid = node,
				    .uid = kernel->uid,
				    .gid = 1001,
				    .pid = kernel->pid};
	struct iovec request[] = {{&in, sizeof(in)}, {(void *)first, first_size}, {(void *)second, second_size}};
	struct fuse_out_header out;
	struct iovec reply[] = {{&out, sizeof(out)}, {kernel->answer, sizeof(kernel->answer)}};
	ssize_t n;

	fixture_must(writev(kernel->fd, request, 3) == (ssize_t)in.len);
	while ((n = TEMP_FAILURE_RETRY(readv(kernel->fd, reply, 2))) >= (ssize_t)sizeof(out) && out.unique == 0)
		kernel_hear(kernel, &out, (size_t)n - sizeof(out));
	fixture_must(n >= (ssize_t)sizeof(out) && out.len == n && out.unique == in.unique);
	kernel->answer_size = (size_t)n - sizeof(out);
	return out.error;
}

static void kernel_copy(const struct kernel *kernel, void *ret_answer, size_t size)
{
	if (ret_answer) {
		fixture_must(kernel->answer_size >= size);
		memcpy(ret_answer, kernel->answer, size);
	}
}

int kernel_name(struct kernel *kernel, uint32_t opcode, uint64_t parent, const char *name)
{
	return kernel_call(kernel, opcode, parent, name, strlen(name) + 1, NULL, 0);
}

int kernel_lookup(struct kernel *kernel, uint64_t parent, const char *name, struct fuse_entry_out *ret_entry)
{
	int r = kernel_name(kernel, FUSE_LOOKUP, parent, name);

	if (r == 0)
		kernel_copy(kernel, ret_entry, sizeof(*ret_entry));
	return r;
}

uint64_t kernel_walk(struct kernel *kernel, const char *path)
{
	struct fuse_entry_out entry = {.nodeid = 1};
	char copy[1024];
	char *rest = NULL;

	snprintf(copy, sizeof(copy), "%s", path);
	for (char *part = strtok_r(copy, "/", &rest); part; part = strtok_r(NULL, "/", &rest))
		if (kernel_lookup(kernel, entry.nodeid, part, &entry) < 0)
			return 0;
	return entry.nodeid;
}

int kernel_getattr(struct kernel *kernel, uint64_t node, uint64_t handle, struct fuse_attr *ret_attr)
{
	const struct fuse_getattr_in in = {.getattr_flags = handle ? FUSE_GETATTR_FH : 0, .fh = handle};
	struct fuse_attr_out out;
	int r = kernel_call(kernel, FUSE_GETATTR, node, &in, sizeof(in), NULL, 0);

	if (r == 0) {
		kernel_copy(kernel, &out, sizeof(out));
		*ret_attr = out.attr;
	}
	return r;
}

int kernel_setattr(struct kernel *kernel, uint64_t node, const struct fuse_setattr_in *in, struct fuse_attr *ret_attr)
{
	struct fuse_attr_out out;
	int r = kernel_call(kernel, FUSE_SETATTR, node, in, sizeof(*in), NULL, 0);

	if (r == 0 && ret_attr) {
		kernel_copy(kernel, &out, sizeof(out));
		*ret_attr = out.attr;
	}
	return r;
}

int kernel_create(struct kernel *kernel, uint64_t parent, const char *name, uint32_t flags, uint64_t *ret_node,
		  uint64_t *ret_handle)
{
	const struct fuse_create_in in = {.flags = flags | O_CREAT, .mode = S_IFREG | 0600};
	struct {
		struct fuse_entry_out entry;
		struct fuse_open_out open;
	} out;
	int r = kernel_call(kernel, FUSE_CREATE, parent, &in, sizeof(in), name, strlen(name) + 1);

	if (r == 0) {
		kernel_copy(kernel, &out, sizeof(out));
		if (ret_node)
			*ret_node = out.entry.nodeid;
		*ret_handle = out.open.fh;
	}
	return r;
}

int kernel_open(struct kernel *kernel, uint64_t node, uint32_t flags, uint64_t *ret_handle)
{
	const struct fuse_open_in in = {.flags = flags & ~(uint32_t)O_TRUNC};
	const struct fuse_setattr_in cut = {.valid = FATTR_SIZE};
	struct fuse_open_out out;
	int r = kernel_call(kernel, FUSE_OPEN, node, &in, sizeof(in), NULL, 0);

	if (r == 0) {
		kernel_copy(kernel, &out, sizeof(out));
		fixture_must(out.open_flags & FOPEN_DIRECT_IO);
		*ret_handle = out.fh;
	}
	if (r == 0 && (flags & O_TRUNC))
		r = kernel_setattr(kernel, node, &cut, NULL);
	return r;
}

int kernel_read(struct kernel *kernel, uint64_t node, uint64_t handle, uint64_t offset, uint32_t size)
{
	const struct fuse_read_in in = {
		.fh = handle, .offset = offset, .size = size, .read_flags = FUSE_READ_LOCKOWNER, .lock_owner = 1};

	return kernel_call(kernel, FUSE_READ, node, &in, sizeof(in), NULL, 0);
}

int kernel_write(struct kernel *kernel, uint64_t node, uint64_t handle, uint64_t offset, uint32_t flags,
		 const void *data, uint32_t size)
{
	const struct fuse_write_in in = {.fh = handle, .offset = offset, .size = size, .flags = flags};

	return kernel_call(kernel, FUSE_WRITE, node, &in, sizeof(in), data, size);
}

int kernel_flush(struct kernel *kernel, uint64_t node, uint64_t handle)
{
	const struct fuse_flush_in in = {.fh = handle};

	return kernel_call(kernel, FUSE_FLUSH, node, &in, sizeof(in), NULL, 0);
}

int kernel_fsync(struct kernel *kernel, uint64_t node, uint64_t handle)
{
	const struct fuse_fsync_in in = {.fh = handle};

	return kernel_call(kernel, FUSE_FSYNC, node, &in, sizeof(in), NULL, 0);
}

int kernel_release(struct kernel *kernel, uint64_t node, uint64_t handle)
{
	const struct fuse_release_in in = {.fh = handle};

	return kernel_call(kernel, FUSE_RELEASE, node, &in, sizeof(in), NULL, 0);
}

int kernel_mkdir(struct kernel *kernel, uint64_t parent, const char *name)
{
	const struct fuse_mkdir_in in = {.mode = 0755};

	return kernel_call(kernel, FUSE_MKDIR, parent, &in, sizeof(in), name, strlen(name) + 1);
}

int kernel_rename(struct kernel *kernel, uint64_t parent, const char *name, uint64_t to_parent, const char *to,
		  uint32_t flags)
{
	const struct fuse_rename2_in in = {.newdir = to_parent, .flags = flags};
	char names[1024];
	size_t first = strlen(name) + 1, second = strlen(to) + 1;

	memcpy(names, name, first);
	memcpy(names + first, to, second);
	return kernel_call(kernel, FUSE_RENAME2, parent, &in, sizeof(in), names, first + second);
}

int kernel_list(struct kernel *kernel, uint64_t node, uint32_t size, bool plus, char *ret_names, size_t names_size)
{
	struct fuse_read_in in = {.size = size};
	size_t used = 0;

	ret_names[0] = '\0';
	for (;;) {
		int r = kernel_call(kernel, plus ? FUSE_READDIRPLUS : FUSE_READDIR, node, &in, sizeof(in), NULL, 0);

		if (r < 0 || kernel->answer_size == 0)
			return r;
		for (size_t at = 0; at < kernel->answer_size;) {
			const uint8_t *p = kernel->answer + at + (plus ? sizeof(struct fuse_entry_out) : 0);
			struct fuse_dirent entry;

			memcpy(&entry, p, sizeof(entry));
			fixture_must(used + entry.namelen + 2 <= names_size);
			memcpy(ret_names + used, p + FUSE_NAME_OFFSET, entry.namelen);
			used += entry.namelen;
			memcpy(ret_names + used++, " ", 2);
			in.offset = entry.off;
			at += (plus ? sizeof(struct fuse_entry_out) : 0) +
			      FUSE_DIRENT_ALIGN(FUSE_NAME_OFFSET + entry.namelen);
		}
	}
}

int kernel_put(struct kernel *kernel, uint64_t parent, const char *name, const char *value)
{
	uint64_t node, handle;
	int r = kernel_create(kernel, parent, name, O_WRONLY | O_TRUNC, &node, &handle);

	if (r == 0)
		r = kernel_write(kernel, node, handle, 0, O_WRONLY, value, (uint32_t)strlen(value));
	if (r == 0)
		r = kernel_flush(kernel, node, handle);
	if (r == 0)
		r = kernel_release(kernel, node, handle);
	return r;
}

bool kernel_holds(struct kernel *kernel, uint64_t parent, const char *name, const char *value)
{
	struct fuse_entry_out entry;
	uint64_t handle;
	bool holds;

	if (kernel_lookup(kernel, parent, name, &entry) < 0 || entry.attr.size != strlen(value) ||
	    kernel_open(kernel, entry.nodeid, O_RDONLY, &handle) < 0)
		return false;
	holds = kernel_read(kernel, entry.nodeid, handle, 0, 100000) == 0 && kernel->answer_size == strlen(value) &&
		memcmp(kernel->answer, value, kernel->answer_size) == 0;
	return kernel_release(kernel, entry.nodeid, handle) == 0 && holds;
}
