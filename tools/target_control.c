/* SPDX-License-Identifier: Apache-2.0
 * target_control: what the tree has no call for goes through the files in /.hush, which are for who mounted it.
 *
 * A request is written and its report read from the same descriptor: lines, and then the end of the file; or a failed
 * read, and then the last line before says why. Reports have names and never a value, so they are in ordinary memory.
 */
#include "tools/target_internal.h"

#include "store/log.h"
#include "tools/arena.h"
#include "tools/output.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TARGET_CONTROL_BYTES (64u * 1024) /* read or written at a time */

/* A report so far. */
struct target_report {
	char *text; /* owned; ends with NUL */
	size_t size, capacity;
};

static void target_report_deinit(struct target_report *report)
{
	free(report->text);
}

#define TARGET_REPORT_AUTO __attribute__((cleanup(target_report_deinit))) struct target_report

/* As target_mount_failed. EIO is no value that was changed here. */
static int target_control_failed(const struct target *target, const char *path, int error)
{
	if (error == ENOSPC) {
		log_error("%s: there is no room for it: on the disk of the store, where a backup is made first (df %s), or in the daemon's memory for what is "
			  "being written (-o max_staged)", path, target->path);
		return -error;
	}
	if (error != EIO)
		return target_mount_failed(target, path, error);
	log_error("%s: the process that serves died just then, or the disk has failed: the daemon's log says which (journalctl -t hushfs); "
		  "run it again", path);
	return -error;
}

int target_control_open(const struct target *target, const char *file, int flags, char ret_path[static TARGET_PATH_BYTES])
{
	int fd;

	snprintf(ret_path, TARGET_PATH_BYTES, "%s/.hush/%s", target->path, file);
	fd = open(ret_path, flags | O_CLOEXEC);
	if (fd >= 0)
		return fd;
	fd = -errno;
	if (fd == -EACCES || fd == -EPERM)
		log_error("%s: this is for who mounted it alone (%s)", ret_path, log_reason(-fd));
	else if (fd == -ENOENT)
		log_error("%s: the daemon that serves this mount is too old to know it: hushctl upgrade, or unmount and mount again", ret_path);
	else
		target_control_failed(target, ret_path, -fd);
	return fd;
}

/* Read some more of it. How many bytes; 0 at its end; -errno of read, or -ENOMEM, not said. */
static ssize_t target_report_more(struct target_report *report, int fd)
{
	ssize_t n;

	if (report->capacity - report->size < TARGET_CONTROL_BYTES + 1) {
		size_t capacity = 2 * report->capacity + TARGET_CONTROL_BYTES + 1;
		char *text = realloc(report->text, capacity);

		if (!text)
			return -ENOMEM;
		report->text = text;
		report->capacity = capacity;
	}
	do
		n = read(fd, report->text + report->size, TARGET_CONTROL_BYTES);
	while (n < 0 && errno == EINTR);
	if (n > 0)
		report->size += (size_t)n;
	report->text[report->size] = '\0';
	return n < 0 ? -errno : n;
}

/* All of it. */
static int target_report_read(struct target_report *report, int fd)
{
	ssize_t n;

	do
		n = target_report_more(report, fd);
	while (n > 0);
	return (int)n;
}

/* The last line, without its newline; "" if there is none. */
static void target_report_last(const struct target_report *report, char ret_line[static BUNDLE_LINE_BYTES])
{
	size_t end = report->size;
	size_t start;

	while (end && report->text[end - 1] == '\n')
		end--;
	start = end;
	while (start && report->text[start - 1] != '\n')
		start--;
	snprintf(ret_line, BUNDLE_LINE_BYTES, "%.*s", (int)(end - start), report->text ? report->text + start : "");
}

/* -errno, not said. */
static int target_control_write(int fd, const void *bytes, size_t size)
{
	while (size) {
		ssize_t n = write(fd, bytes, size);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0) {
			bytes = (const char *)bytes + n;
			size -= (size_t)n;
		}
	}
	return 0;
}

static int target_control_send_item(int fd, const struct bundle_item *item)
{
	SECBUF_AUTO text = {0};

	if (bundle_write(item, &text) < 0)
		return arena_full(item->name.name);
	return target_control_write(fd, text.data, text.size);
}

/* One document after the other, so that there is never more than one of them in memory twice. */
static int target_control_send(struct target *target, const char *path, int fd, const struct bundle *bundle)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < bundle->n; i++)
		r = target_control_send_item(fd, &bundle->items[i]);
	if (r == -ENOSPC || r == -EFBIG)
		log_error("%s: there is no room for all documents together: free the disk of the store if that is full (df %s), else apply them in "
			  "several parts, or mount it with a higher -o max_staged", path, target->path);
	else if (r < 0 && r != -ENOMEM)
		target_control_failed(target, path, -r);
	return r;
}

void target_control_said(struct target *target, const char *path, int fd, int error)
{
	TARGET_REPORT_AUTO report = {0};
	char line[BUNDLE_LINE_BYTES];

	target_report_read(&report, fd);
	target_report_last(&report, line);
	if (*line)
		log_error("%s: %s", target->path, line);
	else
		target_control_failed(target, path, error);
}

/* What a failed request says: a sentence, or "document N, line M: " and a sentence, where N counts what was sent. */
static void target_control_blame(const char *line, const struct bundle *bundle, struct bundle_error *ret_error)
{
	unsigned document, in_line;
	int at = 0;

	*ret_error = (struct bundle_error){0};
	if (sscanf(line, "document %u, line %u: %n", &document, &in_line, &at) == 2 && at > 0) {
		line += at;
		if (bundle && document >= 1 && document <= bundle->n) {
			ret_error->document = bundle->items[document - 1].document;
			ret_error->line = bundle->items[document - 1].line;
			ret_error->source = bundle->items[document - 1].source;
		}
	}
	snprintf(ret_error->text, sizeof(ret_error->text), "%.399s", line);
}

/* The report of a request that @error ended. */
static int target_control_refused(struct target *target, const char *path, struct target_report *report, int error,
				  const struct bundle *bundle, struct bundle_error *ret_error)
{
	char line[BUNDLE_LINE_BYTES];

	target_report_last(report, line);
	if (!*line)
		return target_control_failed(target, path, error);
	target_control_blame(line, bundle, ret_error);
	return -error;
}

/* From the lines of a report, each of which ends with what became of an item. */
static int target_control_outcomes(const char *path, const struct target_report *report, struct bundle *bundle)
{
	const char *line = report->text;

	for (size_t i = 0; i < bundle->n; i++) {
		const char *end = strchr(line, '\n');
		const char *word = end ? memrchr(line, ' ', (size_t)(end - line)) : NULL;

		if (word && strncmp(word, " Created\n", 9) == 0)
			bundle->items[i].outcome = STORE_CREATED;
		else if (word && strncmp(word, " Updated\n", 9) == 0)
			bundle->items[i].outcome = STORE_UPDATED;
		else if (word && strncmp(word, " Unchanged\n", 11) == 0)
			bundle->items[i].outcome = STORE_UNCHANGED;
		else
			word = NULL;
		if (!word) {
			log_error("%s: it was carried out, but the daemon's report is not understood: use the hushctl of its version", path);
			return -EPROTO;
		}
		line = end + 1;
	}
	return 0;
}

int target_control_apply(struct target *target, struct bundle *bundle, struct bundle_error *ret_error)
{
	TARGET_REPORT_AUTO report = {0};
	char path[TARGET_PATH_BYTES];
	int fd = target_control_open(target, "apply", O_RDWR, path);
	int r = fd < 0 ? fd : target_control_send(target, path, fd, bundle);

	*ret_error = (struct bundle_error){0};
	if (r == 0) {
		r = target_report_read(&report, fd);
		r = r < 0 ? target_control_refused(target, path, &report, -r, bundle, ret_error)
			  : target_control_outcomes(path, &report, bundle);
	}
	if (fd >= 0)
		close(fd);
	return r;
}

static int target_control_send_name(int fd, const struct name *name)
{
	char line[NAME_MESH_BYTES + NAME_RESOURCE_BYTES + 32];
	int size;

	if (name->kind == NAME_SECRET)
		size = snprintf(line, sizeof(line), "secret %s %s\n", name->mesh, name->name);
	else
		size = snprintf(line, sizeof(line), "%s %s\n", name->kind == NAME_MESH ? "mesh" : "global-secret",
				name->name);
	return target_control_write(fd, line, (size_t)size);
}

int target_control_remove(struct target *target, const struct name *names, size_t n, struct bundle_error *ret_error)
{
	TARGET_REPORT_AUTO report = {0};
	char path[TARGET_PATH_BYTES];
	int fd = target_control_open(target, "delete", O_RDWR, path);
	int r = fd < 0 ? fd : 0;

	for (size_t i = 0; r == 0 && i < n; i++) {
		r = target_control_send_name(fd, &names[i]);
		if (r < 0)
			target_control_failed(target, path, -r);
	}
	if (r == 0) {
		r = target_report_read(&report, fd);
		if (r < 0)
			r = target_control_refused(target, path, &report, -r, NULL, ret_error);
	}
	if (fd >= 0)
		close(fd);
	return r;
}

int target_control_status(struct target *target, FILE *out)
{
	TARGET_REPORT_AUTO report = {0};
	char path[TARGET_PATH_BYTES];
	int fd = target_control_open(target, "status", O_RDONLY, path);
	int r;

	if (fd < 0)
		return fd;
	r = target_report_read(&report, fd);
	close(fd);
	if (r < 0)
		return target_control_failed(target, path, -r);
	return fputs(report.text, out) < 0 ? output_failed(errno) : 0;
}

/* Does this line say how far it is? */
static bool target_control_is_progress(const char *line, uint64_t *ret_done, uint64_t *ret_total)
{
	return sscanf(line, "%" SCNu64 " of %" SCNu64 " rows", ret_done, ret_total) == 2;
}

/* Read on to the end, showing how far it is. @ret_found: the last line, if it says what was found; else "". -errno of
 * read, or -ENOMEM, not said. */
static int target_control_follow(int fd, char ret_found[static BUNDLE_LINE_BYTES])
{
	TARGET_REPORT_AUTO report = {0};
	uint64_t done, total;
	ssize_t n;

	do {
		n = target_report_more(&report, fd);
		target_report_last(&report, ret_found);
		if (target_control_is_progress(ret_found, &done, &total)) {
			output_progress("checking", done, total);
			ret_found[0] = '\0';
		}
	} while (n > 0);
	output_progress_end();
	return (int)n;
}

int target_control_check(struct target *target, struct store_checked *ret_checked)
{
	char path[TARGET_PATH_BYTES];
	char found[BUNDLE_LINE_BYTES];
	int fd = target_control_open(target, "check", O_RDONLY, path);
	int r;

	if (fd < 0)
		return fd;
	r = target_control_follow(fd, found);
	close(fd);
	if (r < 0 && found[0])
		log_error("%s: %s", target->path, found);
	else if (r < 0)
		target_control_failed(target, path, -r);
	if (r < 0)
		return r;
	if (sscanf(found, "%" SCNu64 " resources, %" SCNu64 " values, %" SCNu64 " rows", &ret_checked->resources,
		   &ret_checked->values, &ret_checked->rows) == 3)
		return 0;
	log_error("%s: the daemon's report is not understood: use the hushctl of its version", path);
	return -EPROTO;
}

/* It is sealed, so that any memory will do. */
static int target_control_copy_bytes(struct target *target, const char *from, int in, const char *to, int out)
{
	static char bytes[TARGET_CONTROL_BYTES];
	ssize_t n;
	int r = 0;

	while (r == 0 && (n = read(in, bytes, sizeof(bytes))) != 0) {
		if (n < 0)
			return target_control_failed(target, from, errno);
		r = target_control_write(out, bytes, (size_t)n);
	}
	if (r == 0 && fsync(out) < 0)
		r = -errno;
	if (r < 0)
		log_error("%s: cannot write the copy: %s", to, log_reason(-r));
	return r;
}

int target_control_copy(struct target *target, const char *path)
{
	char from[TARGET_PATH_BYTES];
	int in = target_control_open(target, "backup", O_RDONLY, from);
	int out = in < 0 ? -1 : open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	int r = in < 0 ? in : 0;

	if (in >= 0 && out < 0) {
		r = -errno;
		log_error("%s: cannot make the copy: %s", path, log_reason(errno));
	}
	if (r == 0)
		r = target_control_copy_bytes(target, from, in, path, out);
	if (in >= 0)
		close(in);
	if (out >= 0)
		close(out);
	return r;
}
