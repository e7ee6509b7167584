/* SPDX-License-Identifier: Apache-2.0
 * mountinfo: the lines of /proc/self/mountinfo that are about a hushfs. A mount of a part of one (a container's -v
 * file:file) is none, and one that is to be seen in two places counts once.
 */
#include "tools/mountinfo.h"

#include "store/log.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOUNTINFO_TYPE "fuse.hushfs"
#define MOUNTINFO_LIST_BYTES 700

/* One mount. */
struct mountinfo {
	char *device; /* borrowed from the line, as the others */
	char *root;
	char *path;
	char *type;
};

/* Undo the octal escapes of blanks, tabs, newlines and backslashes, in place. */
static void mountinfo_unescape(char *text)
{
	char *to = text;

	for (const char *from = text; *from; to++) {
		if (from[0] == '\\' && from[1] >= '0' && from[1] <= '3' && from[2] && from[3]) {
			*to = (char)((from[1] - '0') * 64 + (from[2] - '0') * 8 + (from[3] - '0'));
			from += 4;
		} else {
			*to = *from++;
		}
	}
	*to = '\0';
}

/* The fields: id, parent, device, root, path, options, any number of others, "-", type, source, options. */
static bool mountinfo_split(char *line, struct mountinfo *ret_mount)
{
	char *rest = NULL;
	char *fields[6] = {strtok_r(line, " ", &rest)};
	char *field;

	for (size_t i = 1; i < 6; i++)
		fields[i] = strtok_r(NULL, " ", &rest);
	do
		field = strtok_r(NULL, " ", &rest);
	while (field && strcmp(field, "-") != 0);
	field = field ? strtok_r(NULL, " ", &rest) : NULL;
	if (!field)
		return false;
	*ret_mount = (struct mountinfo){.device = fields[2], .root = fields[3], .path = fields[4], .type = field};
	mountinfo_unescape(ret_mount->path);
	return true;
}

/* What was found so far. */
struct mountinfo_search {
	const char *wanted;		 /* a real path, or NULL */
	size_t n;			 /* different ones */
	char *path;			 /* the first; owned */
	char device[32];		 /* its */
	char list[MOUNTINFO_LIST_BYTES]; /* all, for people */
};

static int mountinfo_consider(struct mountinfo_search *search, const struct mountinfo *mount)
{
	size_t used = strlen(search->list);

	if (strcmp(mount->type, MOUNTINFO_TYPE) != 0 || strcmp(mount->root, "/") != 0)
		return 0;
	if (search->wanted ? strcmp(search->wanted, mount->path) != 0
			   : search->n > 0 && strcmp(search->device, mount->device) == 0)
		return 0;
	snprintf(search->list + used, sizeof(search->list) - used, "%s%s", used ? ", " : "", mount->path);
	if (search->n++ > 0)
		return 0;
	snprintf(search->device, sizeof(search->device), "%s", mount->device);
	search->path = strdup(mount->path);
	return search->path ? 0 : log_no_memory("to look for the mount");
}

static int mountinfo_read(struct mountinfo_search *search)
{
	FILE *file = fopen("/proc/self/mountinfo", "re");
	struct mountinfo mount;
	size_t capacity = 0;
	char *line = NULL;
	int r = 0;

	if (!file) {
		r = -errno;
		log_error("/proc/self/mountinfo: %s%s", log_reason(errno), errno == ENOENT ? "; /proc must be mounted" : "");
		return r;
	}
	while (r == 0 && getline(&line, &capacity, file) > 0)
		if (mountinfo_split(line, &mount))
			r = mountinfo_consider(search, &mount);
	free(line);
	fclose(file);
	return r;
}

static int mountinfo_find_wanted(const char *wanted, const char *source, char **ret_path)
{
	char real[PATH_MAX];
	struct mountinfo_search search = {.wanted = real};
	int r;

	if (!realpath(wanted, real)) {
		r = -errno;
		if (r == -ENOTCONN)
			log_error("%s: the daemon of this mount is gone; unmount it with fusermount3 -u and mount it "
				  "again",
				  wanted);
		else
			log_error("%s %s: %s%s", source, wanted, log_reason(errno),
				  r == -EACCES ? "; only who mounted it gets in, unless it is mounted with -o allow_other" : "");
		return r;
	}
	r = mountinfo_read(&search);
	if (r == 0 && !search.path) {
		log_error("%s %s: no hushfs is mounted on this folder; findmnt -t fuse.hushfs lists where one is", source, wanted);
		r = -ENOENT;
	}
	if (r == 0)
		*ret_path = search.path;
	return r;
}

int mountinfo_find(const char *wanted, const char *source, char **ret_path)
{
	struct mountinfo_search search = {0};
	int r;

	if (wanted)
		return mountinfo_find_wanted(wanted, source, ret_path);
	r = mountinfo_read(&search);
	if (r == 0 && search.n == 1) {
		*ret_path = search.path;
		return 0;
	}
	if (r == 0 && search.n == 0)
		log_error("no hushfs is mounted: mount one (hushfs STORE MOUNTPOINT), or give --store FILE");
	else if (r == 0)
		log_error("more than one hushfs is mounted (%s): say with --mount which one is meant", search.list);
	free(search.path);
	return r < 0 ? r : -ENOENT;
}
