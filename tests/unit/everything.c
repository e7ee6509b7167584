/* SPDX-License-Identifier: Apache-2.0
 * everything: written without what it tests: it walks the index and opens the rows itself.
 */
#include "tests/unit/everything.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <string.h>

enum { SECRETS = 250, LARGE_BYTES = 100 * 1000 };

static void put(struct store *store, struct name name, size_t size, uint64_t seed)
{
	uint8_t *bytes = malloc(size + 1);

	fixture_must(bytes);
	fixture_fill(bytes, size, seed);
	fixture_must(fixture_do(store, STORE_PUT, name, bytes, size, NULL) == 0);
	free(bytes);
}

static void set_attributes(struct store *store, struct name name, unsigned number)
{
	struct store_txn *txn = store_txn_new(1);
	const struct acl acl = {.present = true,
				.mask = true,
				.group = 4,
				.mode = 0640,
				.count = 1,
				.named = {{.permission = 4, .id = 3000 + number}}};

	fixture_must(txn);
	fixture_op(&txn->ops[0], STORE_SET_ATTRIBUTES, name, NULL, 0);
	txn->ops[0].set = RECORD_SET_UID | RECORD_SET_GID | RECORD_SET_MODE | RECORD_SET_TIMES | RECORD_SET_ACL;
	txn->ops[0].attributes[0] = (struct record_attributes){.uid = 1000 + number,
							       .gid = 2000 + number,
							       .mode = 0640,
							       .mtime = {1500000000 + number, 123456789},
							       .atime = {1600000000 + number, 987654321}};
	fixture_must(acl_put(&txn->ops[0].acls, RECORD_SELF, ACL_KIND_ACCESS, &acl) == 0);
	fixture_must(store_run(store, txn) == 0);
	store_txn_free(txn);
}

static struct name name_of(unsigned number)
{
	char text[20];

	snprintf(text, sizeof(text), "secret-%u", number);
	return number % 4 == 3 ? fixture_global(text) : fixture_secret(number % 4 ? "default" : "other", text);
}

void everything_make(const struct fixture *fixture)
{
	struct name removed = fixture_secret("default", "removed"), again = fixture_secret("other", "again");
	uint64_t generation, seed = 1;
	struct store *store;

	fixture_make(fixture);
	store = fixture_open(fixture, 5, 0);
	fixture_must(fixture_do(store, STORE_PUT, fixture_mesh("other"), "type: Mesh\nname: other\n", 23, NULL) == 0);
	for (unsigned i = 0; i < SECRETS; i++)
		for (unsigned versions = 0; versions <= i % 4; versions++)
			put(store, name_of(i), fixture_random(&seed, (uint64_t)1 << (1 + i % 12)), i * 10 + versions);
	for (unsigned i = 0; i < 7; i++)
		put(store, fixture_global("large"), LARGE_BYTES + i, i);
	put(store, fixture_global("empty"), 0, 0);
	for (unsigned i = 0; i < SECRETS; i += 3)
		set_attributes(store, name_of(i), i);
	put(store, again, 100, 1);
	put(store, again, 200, 2);
	fixture_must(fixture_do(store, STORE_REMOVE, again, NULL, 0, NULL) == 0);
	put(store, again, 300, 3);
	put(store, removed, 400, 4);
	fixture_settle(store);
	fixture_must(store_pin(store, store_node(store, &removed), &generation) == 0);
	fixture_must(fixture_do(store, STORE_REMOVE, removed, NULL, 0, NULL) == 0);
	store_close(store);
}

struct store *everything_load(const char *path, const struct key *key)
{
	const struct store_options options = {.value_bytes = STORE_VALUE_BYTES_DEFAULT, .history = UINT_MAX};
	struct store *store = NULL;

	return store_load(path, key, &options, &store) == 0 ? store : NULL;
}

static bool same_version(struct store *a, const struct resource *a_resource, const struct version *a_version,
			 struct store *b, const struct resource *b_resource)
{
	const struct version *b_version = index_version(b_resource, a_version->generation);
	struct seal_value_info a_info, b_info;
	struct version_row a_row, b_row;
	SECBUF_AUTO a_value = {0}, b_value = {0};
	struct seal_row row;

	if (!b_version || b_version->doomed)
		return false;
	a_row = index_row(a_resource, a_version);
	b_row = index_row(b_resource, b_version);
	if (store_fetch(a, &a_row, &row, &a_value, &a_info) < 0)
		return false;
	free(row.data);
	if (store_fetch(b, &b_row, &row, &b_value, &b_info) < 0)
		return false;
	free(row.data);
	return a_value.size == b_value.size && a_info.uid == b_info.uid && a_info.mtime.tv_sec == b_info.mtime.tv_sec &&
	       a_info.mtime.tv_nsec == b_info.mtime.tv_nsec &&
	       (a_value.size == 0 || memcmp(a_value.data, b_value.data, a_value.size) == 0);
}

static bool same_record(const struct record *a, const struct record *b)
{
	bool same = name_equal(&a->name, &b->name) && a->generation == b->generation && a->created == b->created &&
		    a->size == b->size && a->born.tv_sec == b->born.tv_sec && a->born.tv_nsec == b->born.tv_nsec &&
		    memcmp(&a->acls, &b->acls, sizeof(a->acls)) == 0;

	for (int i = 0; i < RECORD_INODES; i++)
		same = same && record_same_attributes(&a->inodes[i], &b->inodes[i]);
	return same;
}

static bool same_resource(struct store *a, const struct resource *a_resource, struct store *b, size_t *ret_values)
{
	const struct resource *b_resource;
	struct record a_record, b_record;

	resource_record(a_resource, &a_record);
	b_resource = index_find(&b->index, store_node(b, &a_record.name));
	if (!b_resource || !b_resource->exists)
		return false;
	resource_record(b_resource, &b_record);
	if (!same_record(&a_record, &b_record))
		return false;
	for (const struct version *v = a_resource->versions; v; v = v->older) {
		if (v->doomed)
			continue;
		(*ret_values)++;
		if (!same_version(a, a_resource, v, b, b_resource))
			return false;
	}
	return true;
}

static size_t needed_rows(const struct store *store)
{
	size_t rows = 0;

	for (const struct resource *r = index_first(&store->index); r; r = index_next(&store->index, r)) {
		rows += r->exists;
		for (const struct version *v = r->versions; v; v = v->older)
			rows += r->exists && !v->doomed;
	}
	return rows;
}

bool everything_same(struct store *a, struct store *b)
{
	size_t values = 0;

	for (const struct resource *r = index_first(&a->index); r; r = index_next(&a->index, r))
		if (r->exists && !same_resource(a, r, b, &values)) {
			printf("# resource %014" PRIx64 " is not the same\n", resource_node(r));
			return false;
		}
	if (values < SECRETS || needed_rows(a) != needed_rows(b)) {
		printf("# %zu values, %zu rows and %zu\n", values, needed_rows(a), needed_rows(b));
		return false;
	}
	return true;
}

struct opens {
	struct seal seal; /* the other's keys, this one's epoch */
	size_t count;
};

static int opens_row(void *context, const uint8_t *key, size_t key_size, const uint8_t *data, size_t size, uint64_t place)
{
	struct opens *opens = context;
	struct seal_manifest manifest;
	struct seal_value_info info;
	SECBUF_AUTO value = {0};
	enum seal_table table;
	struct record record;
	struct header header;
	uint64_t generation;
	struct seal_id id;
	int r = -EBADMSG;

	(void)place;
	fixture_must(seal_key_parse(key, key_size, &table, &id, &generation) == 0);
	switch (table) {
	case SEAL_HEADER:
		memcpy(header.bytes, data, size);
		r = header_verify(&header, opens->seal.keys);
		break;
	case SEAL_MANIFEST:
		r = seal_open_manifest(&opens->seal, data, size, &manifest);
		break;
	case SEAL_RECORD:
		r = seal_open_record(&opens->seal, &id, data, size, &record);
		break;
	case SEAL_VALUE:
		r = seal_open_value(&opens->seal, &id, generation, data, size, &value, &info);
		break;
	}
	opens->count += r == 0;
	return 0;
}

size_t everything_opens(struct store *store, const struct store *other)
{
	struct opens opens = {.seal = other->seal};

	opens.seal.epoch = store->seal.epoch;
	fixture_must(engine_scan(store->engine, ENGINE_BY_KEY, opens_row, &opens) == 0);
	return opens.count;
}
