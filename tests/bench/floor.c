/* SPDX-License-Identifier: Apache-2.0
 * floor: what FUSE itself costs. A low-level filesystem of libfuse with libfuse's own loop that does nothing but answer from memory,
 * with direct_io: one folder of files with the same bytes; what is written is thrown away.
 *
 * floor FILES BYTES MOUNTPOINT [JOURNAL]: stays in front, until it is unmounted. The files are s0, s1, ...
 * With JOURNAL each close of a writer is one block that is written there, over one that was there, and one sync: the least that can be durable.
 * With "spin" in its place one thread answers, and looks for the next request without ever sleeping.
 * It is also the control for what a search of memory has to find: that loop does not wipe what it has received.
 */
#include <errno.h>
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FLOOR_FIRST 2 /* inode of s0 */
#define FLOOR_TIMEOUT 3600.0
#define FLOOR_BLOCK 4096

static unsigned long floor_files;
static size_t floor_bytes;
static char *floor_value;
static int floor_journal = -1;

static int floor_attributes(fuse_ino_t ino, struct stat *ret_st)
{
	if (ino >= FLOOR_FIRST + floor_files)
		return -ENOENT;
	*ret_st = (struct stat){.st_ino = ino, .st_uid = getuid(), .st_gid = getgid(), .st_nlink = 1};
	ret_st->st_mode = ino == FUSE_ROOT_ID ? S_IFDIR | 0755 : S_IFREG | 0600;
	ret_st->st_size = ino == FUSE_ROOT_ID ? 0 : (off_t)floor_bytes;
	return 0;
}

static void floor_lookup(fuse_req_t request, fuse_ino_t parent, const char *name)
{
	struct fuse_entry_param entry = {.attr_timeout = FLOOR_TIMEOUT, .entry_timeout = FLOOR_TIMEOUT};
	char *end = "?";

	(void)parent;
	entry.ino = FLOOR_FIRST + (name[0] == 's' ? strtoul(name + 1, &end, 10) : 0);
	if (*end || floor_attributes(entry.ino, &entry.attr) < 0)
		fuse_reply_err(request, ENOENT);
	else
		fuse_reply_entry(request, &entry);
}

static void floor_getattr(fuse_req_t request, fuse_ino_t ino, struct fuse_file_info *file)
{
	struct stat st;

	(void)file;
	if (floor_attributes(ino, &st) < 0)
		fuse_reply_err(request, ENOENT);
	else
		fuse_reply_attr(request, &st, FLOOR_TIMEOUT);
}

/* Only a truncation is asked for; it stays what it is. */
static void floor_setattr(fuse_req_t request, fuse_ino_t ino, struct stat *st, int which, struct fuse_file_info *file)
{
	(void)st;
	(void)which;
	floor_getattr(request, ino, file);
}

static void floor_open(fuse_req_t request, fuse_ino_t ino, struct fuse_file_info *file)
{
	(void)ino;
	file->direct_io = 1;
	file->noflush = (file->flags & O_ACCMODE) == O_RDONLY;
	fuse_reply_open(request, file);
}

static void floor_read(fuse_req_t request, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *file)
{
	size_t left = (size_t)offset < floor_bytes ? floor_bytes - (size_t)offset : 0;

	(void)ino;
	(void)file;
	fuse_reply_buf(request, floor_value + (left ? offset : 0), left < size ? left : size);
}

static void floor_write(fuse_req_t request, fuse_ino_t ino, const char *bytes, size_t size, off_t offset, struct fuse_file_info *file)
{
	(void)ino;
	(void)bytes;
	(void)offset;
	(void)file;
	fuse_reply_write(request, size);
}

static void floor_flush(fuse_req_t request, fuse_ino_t ino, struct fuse_file_info *file)
{
	static char block[FLOOR_BLOCK];
	bool done = floor_journal < 0 || (pwrite(floor_journal, block, sizeof(block), 0) == (ssize_t)sizeof(block) && fdatasync(floor_journal) == 0);

	(void)ino;
	(void)file;
	fuse_reply_err(request, done ? 0 : EIO);
}

static void floor_done(fuse_req_t request, fuse_ino_t ino, struct fuse_file_info *file)
{
	(void)ino;
	(void)file;
	fuse_reply_err(request, 0);
}

/* With attributes and without: the kernel asks for those with them first. */
static void floor_list(fuse_req_t request, size_t size, off_t offset, bool plus)
{
	char *buffer = malloc(size), name[32];
	size_t used = 0;

	for (unsigned long i = (unsigned long)offset; buffer && i < floor_files; i++) {
		struct fuse_entry_param entry = {.ino = FLOOR_FIRST + i, .attr_timeout = FLOOR_TIMEOUT, .entry_timeout = FLOOR_TIMEOUT};
		size_t n;

		floor_attributes(entry.ino, &entry.attr);
		snprintf(name, sizeof(name), "s%lu", i);
		n = plus ? fuse_add_direntry_plus(request, buffer + used, size - used, name, &entry, (off_t)i + 1)
			 : fuse_add_direntry(request, buffer + used, size - used, name, &entry.attr, (off_t)i + 1);
		if (n > size - used)
			break;
		used += n;
	}
	if (buffer)
		fuse_reply_buf(request, buffer, used);
	else
		fuse_reply_err(request, ENOMEM);
	free(buffer);
}

static void floor_readdir(fuse_req_t request, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *file)
{
	(void)ino;
	(void)file;
	floor_list(request, size, offset, false);
}

static void floor_readdirplus(fuse_req_t request, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *file)
{
	(void)ino;
	(void)file;
	floor_list(request, size, offset, true);
}

static int floor_spin(struct fuse_session *session)
{
	struct fuse_buf buffer = {0};
	int r;

	fcntl(fuse_session_fd(session), F_SETFL, O_NONBLOCK);
	do {
		r = fuse_session_receive_buf(session, &buffer);
		if (r > 0)
			fuse_session_process_buf(session, &buffer);
	} while (!fuse_session_exited(session) && (r > 0 || r == -EAGAIN || r == -EINTR));
	free(buffer.mem);
	return r < 0 ? r : 0;
}

static const struct fuse_lowlevel_ops floor_ops = {
	.lookup = floor_lookup,
	.getattr = floor_getattr,
	.setattr = floor_setattr,
	.open = floor_open,
	.read = floor_read,
	.write = floor_write,
	.flush = floor_flush,
	.release = floor_done,
	.readdir = floor_readdir,
	.readdirplus = floor_readdirplus,
};

int main(int argc, char **argv)
{
	static char name[] = "floor", option[] = "-o", options[] = "fsname=floor,subtype=floor";
	static char *arguments[] = {name, option, options, NULL};
	struct fuse_args args = FUSE_ARGS_INIT(3, arguments);
	struct fuse_loop_config *config = fuse_loop_cfg_create();
	struct fuse_session *session;
	int status = EXIT_FAILURE;
	bool spins = argc == 5 && strcmp(argv[4], "spin") == 0;

	if (argc != 4 && argc != 5) {
		fputs("usage: floor FILES BYTES MOUNTPOINT [JOURNAL | spin]\n", stderr);
		return 2;
	}
	if (argc == 5 && !spins && (floor_journal = open(argv[4], O_WRONLY | O_CREAT | O_CLOEXEC, 0600)) < 0)
		return status;
	floor_files = strtoul(argv[1], NULL, 10);
	floor_bytes = strtoul(argv[2], NULL, 10);
	floor_value = malloc(floor_bytes + 1);
	session = fuse_session_new(&args, &floor_ops, sizeof(floor_ops), NULL);
	if (!floor_value || !session || !config || fuse_session_mount(session, argv[3]) != 0)
		return status;
	memset(floor_value, 'x', floor_bytes);
	if (fuse_set_signal_handlers(session) == 0)
		status = (spins ? floor_spin(session) : fuse_session_loop_mt(session, config)) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
	fuse_session_unmount(session);
	fuse_remove_signal_handlers(session);
	fuse_session_destroy(session);
	fuse_loop_cfg_destroy(config);
	fuse_opt_free_args(&args); /* which are its own by now */
	free(floor_value);
	return status;
}
