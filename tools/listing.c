/* SPDX-License-Identifier: Apache-2.0
 * listing: which columns a kind of resource has. None has anything of a value.
 */
#include "tools/listing.h"

#include "store/log.h"
#include "store/yaml.h"
#include "tools/output.h"

#include <errno.h>
#include <inttypes.h>

#define LISTING_MTLS_BYTES 600
#define LISTING_AGE_BYTES 48

/* kubectl's steps (k8s.io/apimachinery, duration.HumanDuration): below @below seconds so many of @unit, and of @rest what is left. */
static const struct {
	intmax_t below, unit;
	char name;
	intmax_t rest; /* 0: nothing of it */
	char rest_name;
} listing_steps[] = {
	{2 * 60, 1, 's', 0, 0},
	{10 * 60, 60, 'm', 1, 's'},
	{3 * 60 * 60, 60, 'm', 0, 0},
	{8 * 60 * 60, 60 * 60, 'h', 60, 'm'},
	{48 * 60 * 60, 60 * 60, 'h', 0, 0},
	{8 * 86400, 86400, 'd', 60 * 60, 'h'},
	{2 * 365 * 86400, 86400, 'd', 0, 0},
	{INTMAX_C(8) * 365 * 86400, 365 * 86400, 'y', 86400, 'd'},
	{INTMAX_MAX, 365 * 86400, 'y', 0, 0},
};

static void listing_fine_age(intmax_t seconds, char ret_age[static LISTING_AGE_BYTES])
{
	intmax_t rest;
	size_t i = 0;

	while (seconds >= listing_steps[i].below)
		i++;
	rest = listing_steps[i].rest ? seconds % listing_steps[i].unit / listing_steps[i].rest : 0;
	if (rest)
		snprintf(ret_age, LISTING_AGE_BYTES, "%jd%c%jd%c", seconds / listing_steps[i].unit, listing_steps[i].name,
			 rest, listing_steps[i].rest_name);
	else
		snprintf(ret_age, LISTING_AGE_BYTES, "%jd%c", seconds / listing_steps[i].unit, listing_steps[i].name);
}

/* How long ago that was, as kumactl writes it: 59s, 3m, 2h, 5d, 1y. @fine: as kubectl does, which has a second unit where there are few of
 * the first: 3m12s, 5h20m, 2d3h. */
static void listing_age(const struct timespec *then, const struct timespec *now, bool fine, char ret_age[static LISTING_AGE_BYTES])
{
	intmax_t seconds = now->tv_sec - then->tv_sec - (now->tv_nsec < then->tv_nsec);

	if (seconds < -1) /* it is dated into the future */
		snprintf(ret_age, LISTING_AGE_BYTES, "never");
	else if (fine)
		listing_fine_age(seconds < 0 ? 0 : seconds, ret_age);
	else if (seconds < 60)
		snprintf(ret_age, LISTING_AGE_BYTES, "%jds", seconds < 0 ? 0 : seconds);
	else if (seconds < 60 * 60)
		snprintf(ret_age, LISTING_AGE_BYTES, "%jdm", seconds / 60);
	else if (seconds < 24 * 60 * 60)
		snprintf(ret_age, LISTING_AGE_BYTES, "%jdh", seconds / 60 / 60);
	else if (seconds < 365 * 24 * 60 * 60)
		snprintf(ret_age, LISTING_AGE_BYTES, "%jdd", seconds / 60 / 60 / 24);
	else
		snprintf(ret_age, LISTING_AGE_BYTES, "%jdy", seconds / 60 / 60 / 24 / 365);
}

/* "builtin/ca-1", the type and the name of the backend that is enabled; "off" if none is. */
static void listing_backend(const struct yaml_stream *stream, char ret_text[static LISTING_MTLS_BYTES])
{
	uint32_t mtls = yaml_find(stream, yaml_root(stream), "mtls");
	const char *enabled = yaml_text(stream, yaml_find(stream, mtls, "enabledBackend"), NULL);
	uint32_t backend = yaml_first(stream, yaml_find(stream, mtls, "backends"));

	snprintf(ret_text, LISTING_MTLS_BYTES, "off");
	for (; *enabled && backend != YAML_NONE; backend = yaml_after(stream, backend)) {
		if (!yaml_equals(stream, yaml_find(stream, backend, "name"), enabled))
			continue;
		snprintf(ret_text, LISTING_MTLS_BYTES, "%.253s/%.253s",
			 yaml_text(stream, yaml_find(stream, backend, "type"), NULL), enabled);
		return;
	}
}

/* "-" for a document that is none, that can't be read (the mount is locked, or it isn't for this user), or of a Mesh that is gone meanwhile. */
static int listing_mtls(struct listing *listing, const struct name *name, char ret_text[static LISTING_MTLS_BYTES])
{
	__attribute__((cleanup(yaml_stream_freep))) struct yaml_stream *stream = NULL;
	struct yaml_error error;
	SECBUF_AUTO yaml = {0};
	int r;

	snprintf(ret_text, LISTING_MTLS_BYTES, "-");
	if (!target_can_read(listing->target, name))
		return 0;
	r = target_read(listing->target, name, &yaml);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	if (yaml_stream_new(yaml.data, yaml.size, &stream) == 0 && yaml_stream_next(stream, &error) == 1)
		listing_backend(stream, ret_text);
	return 0;
}

/* A row; @age may be a word. */
static int listing_row(struct listing *listing, const struct name *name, const char *mtls, const char *age)
{
	const char *type = name->kind == NAME_SECRET ? BUNDLE_TYPE_SECRET : BUNDLE_TYPE_GLOBAL;
	const char *kubernetes[] = {name->name, type, "1", age};
	const char *meshes[] = {name->name, mtls, age};
	const char *secrets[] = {name->mesh, name->name, age};
	const char *globals[] = {name->name, age};
	int r;

	if (name->kind == NAME_MESH)
		r = table_add(&listing->table, 3, meshes);
	else if (listing->kubernetes)
		r = table_add(&listing->table, 4, kubernetes);
	else if (name->kind == NAME_SECRET)
		r = table_add(&listing->table, 3, secrets);
	else
		r = table_add(&listing->table, 2, globals);
	if (r < 0)
		log_no_memory("for the table");
	return r;
}

int listing_begin(struct listing *listing)
{
	const char *kubernetes[] = {"NAME", "TYPE", "DATA", "AGE"};
	const char *meshes[] = {"NAME", "mTLS", "AGE"};
	const char *secrets[] = {"MESH", "NAME", "AGE"};
	const char *globals[] = {"NAME", "AGE"};

	clock_gettime(CLOCK_REALTIME, &listing->now);
	if (listing->kind == NAME_MESH)
		return table_add(&listing->table, 3, meshes);
	if (listing->kubernetes)
		return table_add(&listing->table, 4, kubernetes);
	return listing->kind == NAME_SECRET ? table_add(&listing->table, 3, secrets)
					    : table_add(&listing->table, 2, globals);
}

int listing_add(struct listing *listing, const struct target_entry *entry)
{
	char mtls[LISTING_MTLS_BYTES] = "";
	char age[LISTING_AGE_BYTES];
	int r = entry->name.kind == NAME_MESH ? listing_mtls(listing, &entry->name, mtls) : 0;

	listing_age(&entry->modified, &listing->now, listing->kubernetes, age);
	return r < 0 ? r : listing_row(listing, &entry->name, mtls, age);
}

int listing_add_removed(struct listing *listing, const struct name *name)
{
	return listing_row(listing, name, "-", "deleted");
}

int listing_print(struct listing *listing)
{
	int r = table_print(&listing->table, stdout);

	return r < 0 ? output_failed(-r) : 0;
}

void listing_deinit(struct listing *listing)
{
	table_deinit(&listing->table);
}
