/* SPDX-License-Identifier: Apache-2.0
 * mount: putting a FUSE connection into the tree, and taking it out.
 */
#ifndef FS_MOUNT_H
#define FS_MOUNT_H

#include <stdbool.h>
#include <stdint.h>

/* mount_new - mount on @mountpoint, with mount(2) as root and through fusermount3 otherwise. @options: as mount -o has them. Once in a process.
 * @ret_fd: the connection; nothing was read from it. -EIO, or another -errno (logged). */
int mount_new(const char *mountpoint, const char *options, int *ret_fd);

/* mount_device - the st_dev of what is mounted on @mountpoint, without asking who serves it. 0 if that can't be said. */
uint64_t mount_device(const char *mountpoint);

/* mount_detach - take it out of the tree: nothing can be opened any more, what is open goes on. */
void mount_detach(const char *mountpoint);

/* mount_is_ours - is a hushfs mounted on @mountpoint, of whatever daemon? */
bool mount_is_ours(const char *mountpoint);

#endif
