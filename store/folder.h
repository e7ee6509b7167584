/* SPDX-License-Identifier: Apache-2.0
 * folder: the folder that a store or a key lies in.
 */
#ifndef STORE_FOLDER_H
#define STORE_FOLDER_H

#include <limits.h>
#include <stdbool.h>

/* folder_check - may @path lie where it is? Whoever can write to its folder can put another file in its place, so the
 * folder has to belong to this user or root, and not be writable for everybody. 0, -EPERM, -errno (logged). */
int folder_check(const char *path);

/* folder_of_file - the path of the file itself, if @path is a symbolic link to one; else @path as it is. What belongs to a file lies beside it, not
 * beside a link. -ENAMETOOLONG (logged). */
int folder_of_file(const char *path, char ret_path[static PATH_MAX]);

/* folder_give - give the file @path the owner and the mode of the file @like, in whose place it is to come; on disk. Blocks. -errno (logged). */
int folder_give(const char *path, const char *like);

/* folder_place - give the file @from the name @path on the same filesystem, unless there is one of that name: -EEXIST. Not yet on disk. -errno (not
 * logged), and both are as they were. */
int folder_place(const char *from, const char *path);

/* folder_same - are @path and @other in the same folder? Not if one of them isn't there to be looked at. */
bool folder_same(const char *path, const char *other);

/* folder_open - the folder of @path, to be synced. A descriptor, or -errno. */
int folder_open(const char *path);

/* folder_sync - have the name @path on disk. Blocks. 0 or -errno. */
int folder_sync(const char *path);

#endif
