/* SPDX-License-Identifier: Apache-2.0
 * mountinfo: which folders are a hushfs.
 */
#ifndef TOOLS_MOUNTINFO_H
#define TOOLS_MOUNTINFO_H

/* mountinfo_find - the mount point that is meant: @wanted, or if that is NULL the only hushfs that is mounted. @source:
 * where @wanted comes from, for messages. The caller frees *@ret_path. -errno after saying what is wrong and what to
 * do. */
int mountinfo_find(const char *wanted, const char *source, char **ret_path);

#endif
