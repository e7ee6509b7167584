/* SPDX-License-Identifier: Apache-2.0
 * place: is this a place where a store can be mounted?
 */
#ifndef FS_PLACE_H
#define FS_PLACE_H

#include <limits.h>

/* place_check - @mountpoint is an empty folder, the store is not below it, and FUSE may be used. Resolves both paths,
 * so that a daemon may leave its folder. What is wrong is logged: -errno. */
int place_check(const char *store, const char *mountpoint, char ret_store[static PATH_MAX],
		char ret_mountpoint[static PATH_MAX]);

/* place_anchor - the absolute path of the anchor @path, which need not exist, to @ret_anchor; @store and @mountpoint are as place_check has found
 * them. -ENOENT for its folder; -EINVAL if it lies below its own mount point, or has a comma in it. */
int place_anchor(const char *path, const char *store, const char *mountpoint, char ret_anchor[static PATH_MAX]);

#endif
