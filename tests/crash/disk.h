/* SPDX-License-Identifier: Apache-2.0
 * disk: what a disk may hold after a power cut, from the record of what was written to it and when it was synced.
 *
 * A file's bytes and size are sure once it was synced; its name, once its folder was. Of what came after that anything may be there: none,
 * all, any of it, and of a write any of its sectors.
 */
#ifndef TESTS_DISK_H
#define TESTS_DISK_H

#include <stddef.h>
#include <stdint.h>

#define DISK_SECTOR_BYTES 512

enum disk_mode { DISK_NONE, DISK_ALL, DISK_ANY, DISK_TORN, DISK_MODES };

/* disk_record - from now on, what happens to files in @folder, whatever is there already being on disk. disk_stop - no longer.
 * Before each change @before is called. disk_forget - throw the record away. */
void disk_record(const char *folder, void (*before)(size_t change));
void disk_stop(void);
void disk_forget(void);

/* disk_changes - how many were recorded. */
size_t disk_changes(void);

/* disk_advance - go to the moment before change @change (disk_changes(): the end); only forward. */
void disk_advance(size_t change);

/* disk_write_out - make the folder @folder, which is emptied before, what the disk may be at this moment. */
void disk_write_out(const char *folder, enum disk_mode mode, uint64_t *seed);

#endif
