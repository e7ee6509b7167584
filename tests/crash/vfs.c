/* SPDX-License-Identifier: Apache-2.0
 * vfs: a VFS of SQLite upon its own, whose calls fail and are told as fault.h has it.
 *
 * It says what SQLite's own says when a system call fails: a write that finds no room, or ends early, is SQLITE_FULL; a read that ends early
 * is tried again from there, so what comes back is the error (SQLITE_IOERR_SHORT_READ is the end of the file, no fault). The first sync of a
 * new journal syncs the folder as well, and nobody looks at what comes of that. The shared-memory methods are left out, so that a
 * connection without the file to itself can't use a WAL.
 */
#include "tests/crash/fault.h"
#include "tests/unit/fixture.h"

#include <errno.h>
#include <sqlite3.h>
#include <string.h>

struct vfs_file {
	sqlite3_file base;
	const char *path; /* SQLite's, until it is closed */
	bool new_journal;
	sqlite3_file *real;
};

static sqlite3_vfs *vfs_real;
static int vfs_journal_pages;

static struct vfs_file *vfs_file(sqlite3_file *file)
{
	return (struct vfs_file *)file;
}

/* Count the call; the result with which it fails, or SQLITE_OK. */
static int vfs_fail(enum fault_call call, int result, int full)
{
	enum fault_how how;

	if (!fault_is_due(call, &how))
		return SQLITE_OK;
	errno = fault_errno(how);
	return how == FAULT_EIO ? result : full;
}

static int vfs_close(sqlite3_file *file)
{
	struct vfs_file *f = vfs_file(file);

	return f->real->pMethods->xClose(f->real);
}

static int vfs_read(sqlite3_file *file, void *data, int size, sqlite3_int64 offset)
{
	struct vfs_file *f = vfs_file(file);
	enum fault_how how;

	if (!fault_is_due(FAULT_READ, &how))
		return f->real->pMethods->xRead(f->real, data, size, offset);
	if (how == FAULT_SHORT)
		f->real->pMethods->xRead(f->real, data, size / 2, offset);
	errno = fault_errno(how);
	return SQLITE_IOERR_READ;
}

static int vfs_put(struct vfs_file *f, const void *data, int size, sqlite3_int64 offset)
{
	int r = f->real->pMethods->xWrite(f->real, data, size, offset);

	if (r == SQLITE_OK)
		fault_tell(&(struct fault_event){.change = FAULT_WRITTEN, .path = f->path, .data = data, .size = (size_t)size,
						 .offset = (uint64_t)offset});
	return r;
}

static int vfs_write(sqlite3_file *file, const void *data, int size, sqlite3_int64 offset)
{
	struct vfs_file *f = vfs_file(file);
	enum fault_how how;

	if (!fault_is_due(FAULT_WRITE, &how))
		return vfs_put(f, data, size, offset);
	if (how == FAULT_SHORT)
		vfs_put(f, data, size / 2, offset);
	errno = fault_errno(how);
	return how == FAULT_EIO ? SQLITE_IOERR_WRITE : SQLITE_FULL;
}

static void vfs_tell_size(struct vfs_file *f)
{
	sqlite3_int64 size = 0;

	f->real->pMethods->xFileSize(f->real, &size);
	fault_tell(&(struct fault_event){.change = FAULT_RESIZED, .path = f->path, .offset = (uint64_t)size});
}

static int vfs_truncate(sqlite3_file *file, sqlite3_int64 size)
{
	struct vfs_file *f = vfs_file(file);
	int r = vfs_fail(FAULT_RESIZE, SQLITE_IOERR_TRUNCATE, SQLITE_IOERR_TRUNCATE);

	if (r == SQLITE_OK)
		r = f->real->pMethods->xTruncate(f->real, size);
	if (r == SQLITE_OK)
		vfs_tell_size(f);
	return r;
}

static int vfs_sync(sqlite3_file *file, int flags)
{
	struct vfs_file *f = vfs_file(file);
	int r = vfs_fail(FAULT_SYNC, SQLITE_IOERR_FSYNC, SQLITE_IOERR_FSYNC);

	(void)flags;
	if (r != SQLITE_OK)
		return r;
	fault_tell(&(struct fault_event){.change = FAULT_SYNCED, .path = f->path});
	if (f->new_journal && vfs_fail(FAULT_SYNC, 1, 1) == SQLITE_OK)
		fault_tell(&(struct fault_event){.change = FAULT_FOLDER_SYNCED, .path = f->path});
	f->new_journal = false;
	return SQLITE_OK;
}

static int vfs_file_size(sqlite3_file *file, sqlite3_int64 *ret_size)
{
	struct vfs_file *f = vfs_file(file);
	int r = vfs_fail(FAULT_LOOK, SQLITE_IOERR_FSTAT, SQLITE_IOERR_FSTAT);

	return r == SQLITE_OK ? f->real->pMethods->xFileSize(f->real, ret_size) : r;
}

static int vfs_lock(sqlite3_file *file, int lock)
{
	return vfs_file(file)->real->pMethods->xLock(vfs_file(file)->real, lock);
}

static int vfs_unlock(sqlite3_file *file, int lock)
{
	return vfs_file(file)->real->pMethods->xUnlock(vfs_file(file)->real, lock);
}

static int vfs_check_lock(sqlite3_file *file, int *ret_reserved)
{
	return vfs_file(file)->real->pMethods->xCheckReservedLock(vfs_file(file)->real, ret_reserved);
}

static int vfs_control(sqlite3_file *file, int what, void *argument)
{
	struct vfs_file *f = vfs_file(file);

	return f->real->pMethods->xFileControl(f->real, what, argument);
}

static int vfs_sector_size(sqlite3_file *file)
{
	return vfs_file(file)->real->pMethods->xSectorSize(vfs_file(file)->real);
}

static int vfs_characteristics(sqlite3_file *file)
{
	return vfs_file(file)->real->pMethods->xDeviceCharacteristics(vfs_file(file)->real);
}

static const sqlite3_io_methods vfs_methods = {
	.iVersion = 1,
	.xClose = vfs_close,
	.xRead = vfs_read,
	.xWrite = vfs_write,
	.xTruncate = vfs_truncate,
	.xSync = vfs_sync,
	.xFileSize = vfs_file_size,
	.xLock = vfs_lock,
	.xUnlock = vfs_unlock,
	.xCheckReservedLock = vfs_check_lock,
	.xFileControl = vfs_control,
	.xSectorSize = vfs_sector_size,
	.xDeviceCharacteristics = vfs_characteristics,
};

static int vfs_open(sqlite3_vfs *vfs, const char *path, sqlite3_file *file, int flags, int *ret_flags)
{
	struct vfs_file *f = vfs_file(file);
	int journals = SQLITE_OPEN_WAL | SQLITE_OPEN_MAIN_JOURNAL | SQLITE_OPEN_SUPER_JOURNAL;
	int exists = 1;
	int r = vfs_fail(FAULT_OPEN, SQLITE_CANTOPEN, SQLITE_CANTOPEN);

	(void)vfs;
	memset(f, 0, sizeof(*f));
	if (r != SQLITE_OK)
		return r;
	if (path && (flags & SQLITE_OPEN_CREATE))
		vfs_real->xAccess(vfs_real, path, SQLITE_ACCESS_EXISTS, &exists);
	f->path = path;
	f->real = (sqlite3_file *)(f + 1);
	r = vfs_real->xOpen(vfs_real, path, f->real, flags, ret_flags);
	if (r != SQLITE_OK)
		return r;
	f->base.pMethods = &vfs_methods;
	f->new_journal = !exists && (flags & journals);
	if (!exists)
		fault_tell(&(struct fault_event){.change = FAULT_CREATED, .path = path});
	return SQLITE_OK;
}

static int vfs_delete(sqlite3_vfs *vfs, const char *path, int sync_folder)
{
	int r = vfs_fail(FAULT_DELETE, SQLITE_IOERR_DELETE, SQLITE_IOERR_DELETE);

	(void)vfs;
	if (r == SQLITE_OK)
		r = vfs_real->xDelete(vfs_real, path, 0);
	if (r != SQLITE_OK)
		return r;
	fault_tell(&(struct fault_event){.change = FAULT_DELETED, .path = path});
	if (!sync_folder)
		return SQLITE_OK;
	r = vfs_fail(FAULT_SYNC, SQLITE_IOERR_DIR_FSYNC, SQLITE_IOERR_DIR_FSYNC);
	if (r == SQLITE_OK)
		fault_tell(&(struct fault_event){.change = FAULT_FOLDER_SYNCED, .path = path});
	return r;
}

static int vfs_access(sqlite3_vfs *vfs, const char *path, int flags, int *ret_is_so)
{
	int r = vfs_fail(FAULT_LOOK, SQLITE_IOERR_ACCESS, SQLITE_IOERR_ACCESS);

	(void)vfs;
	return r == SQLITE_OK ? vfs_real->xAccess(vfs_real, path, flags, ret_is_so) : r;
}

void vfs_register(int journal_pages)
{
	static sqlite3_vfs vfs;

	vfs_journal_pages = journal_pages;
	vfs_real = sqlite3_vfs_find(NULL);
	fixture_must(vfs_real);
	vfs = *vfs_real; /* what is not replaced looks at nothing of it */
	vfs.zName = "fault";
	vfs.pNext = NULL;
	vfs.szOsFile = (int)sizeof(struct vfs_file) + vfs_real->szOsFile;
	vfs.xOpen = vfs_open;
	vfs.xDelete = vfs_delete;
	vfs.xAccess = vfs_access;
	fixture_must(sqlite3_vfs_register(&vfs, 1) == SQLITE_OK);
}

/* The engine's hook, told of more pages than there are. */
typedef int vfs_wal_hook(void *context, sqlite3 *db, const char *name, int pages);

static vfs_wal_hook *vfs_engine_hook;

static int vfs_tell_pages(void *context, sqlite3 *db, const char *name, int pages)
{
	return vfs_engine_hook(context, db, name, pages >= vfs_journal_pages ? 1 << 20 : pages);
}

void *__real_sqlite3_wal_hook(sqlite3 *db, vfs_wal_hook *hook, void *context);
void *__wrap_sqlite3_wal_hook(sqlite3 *db, vfs_wal_hook *hook, void *context);
void *__wrap_sqlite3_wal_hook(sqlite3 *db, vfs_wal_hook *hook, void *context)
{
	vfs_engine_hook = hook;
	return __real_sqlite3_wal_hook(db, vfs_tell_pages, context);
}
