/* SPDX-License-Identifier: Apache-2.0
 * fuzz_rows: the rows of a store, as any engine could hand them over, are read into an index. Those that were changed without the key are
 * refused. Those that whoever has the key has sealed, around any bytes, are refused or make an index that is whole.
 *
 * An input is a row of rows: the bytes of struct form, then the row's data, or what is sealed in it. They come in this order,
 * each once, as from an engine.
 */
#include "tests/fuzz/fuzz.h"

#include "store/bytes.h"
#include "store/internal.h"
#include "store/load.h"
#include "tests/unit/fixture.h"

#include <errno.h>
#include <string.h>

#define ROWS_MAX 32
#define AD_BYTES 56

struct form {
	uint8_t table, id, generation, flags, size[2];
};

enum { /* form.flags */
	SEALED = 1, /* the data is sealed; else it is the row */
	NAMED = 2,  /* a record goes where its name belongs */
	OTHER_EPOCH = 4,
	CHANGED = 8,   /* and then a byte of it changed */
	GIVEN = 16,    /* there is a manifest; else one is made that vouches for the rows */
	LEFT_OUT = 32, /* a record's data begins after its version */
};

struct row {
	struct seal_key key;
	uint8_t *data;
	size_t size;
};

/* What the engine has: engine_scan is replaced (--wrap, in the Makefile). */
static struct {
	struct store store;
	struct header header;
	struct row rows[ROWS_MAX];
	size_t n;
	bool wrong; /* one that the key has not made */
} world;

int __wrap_engine_scan(struct engine *engine, enum engine_order order, engine_visit *visit, void *context);
int __wrap_engine_scan(struct engine *engine, enum engine_order order, engine_visit *visit, void *context)
{
	int r = 0;

	(void)engine;
	fixture_must(order == ENGINE_STORED);
	for (size_t i = 0; i < world.n && r == 0; i++)
		r = visit(context, world.rows[i].key.bytes, world.rows[i].key.size, world.rows[i].data, world.rows[i].size, i + 1);
	return r;
}

static void make_world(void)
{
	struct store *store = &world.store;
	struct key *key;

	fixture_init();
	key = fixture_key();
	fixture_must(header_create(&world.header, &store->keys, key) == 0);
	key_free(key);
	store->path = (char *)"a store";
	store->seal = (struct seal){.keys = store->keys, .epoch = header_epoch(&world.header)};
	memcpy(store->seal.store_id, header_store_id(&world.header), HEADER_STORE_ID_BYTES);
}

/* As README.md has it. */
static void fill_ad(const struct row *row, uint32_t epoch, uint64_t generation, uint8_t ret_ad[static AD_BYTES])
{
	memset(ret_ad, 0, AD_BYTES);
	memcpy(ret_ad, "hushfs 1", 8);
	memcpy(ret_ad + 8, world.store.seal.store_id, HEADER_STORE_ID_BYTES);
	bytes_put32(ret_ad + 24, epoch);
	ret_ad[28] = row->key.bytes[0];
	if (row->key.size > 1)
		memcpy(ret_ad + 32, row->key.bytes + 1, SEAL_ID_BYTES);
	bytes_put64(ret_ad + 48, generation);
}

/* Seal any bytes as the row's. */
static void seal_any(struct row *row, const struct form *form, const uint8_t *plain, size_t size)
{
	const struct header_keys *keys = world.store.keys;
	const uint8_t *key = form->table == SEAL_VALUE ? keys->value
			     : form->table == SEAL_RECORD ? keys->record
							  : keys->manifest;
	uint32_t epoch = world.store.seal.epoch + (form->flags & OTHER_EPOCH ? 1 : 0);
	size_t head = form->table == SEAL_RECORD ? 12 : 4;
	uint64_t generation = form->table == SEAL_MANIFEST ? 0 : form->generation;
	uint8_t ad[AD_BYTES];

	row->size = head + size + CRYPTO_SEAL_OVERHEAD;
	row->data = malloc(row->size);
	fixture_must(row->data);
	bytes_put32(row->data, epoch);
	if (form->table == SEAL_RECORD)
		bytes_put64(row->data + 4, generation);
	fill_ad(row, epoch, generation, ad);
	crypto_seal(row->data + head, key, keys->nonce, ad, sizeof(ad), plain, size);
	world.wrong |= form->flags & OTHER_EPOCH;
}

/* What is sealed: the input's bytes, with zeros behind them to the size that its kind of row has. */
static size_t pad(const struct form *form, const uint8_t *data, size_t size, uint8_t ret_plain[static RECORD_BYTES])
{
	static const size_t sizes[] = {
		[SEAL_HEADER] = 2, [SEAL_MANIFEST] = 64, [SEAL_RECORD] = RECORD_BYTES, [SEAL_VALUE] = 256};

	memset(ret_plain, 0, RECORD_BYTES);
	size = size < sizes[form->table] - 2 ? size : sizes[form->table] - 2;
	if (form->table == SEAL_RECORD && (form->flags & LEFT_OUT)) {
		bytes_put16(ret_plain, RECORD_VERSION);
		memcpy(ret_plain + 2, data, size);
	} else {
		memcpy(ret_plain, data, size);
	}
	return sizes[form->table];
}

static struct seal_id choose_id(const struct form *form, const uint8_t plain[static RECORD_BYTES])
{
	struct name name = fixture_mesh("default");
	struct seal_id id = {.bytes = {form->id}};
	struct record record;

	if (form->table == SEAL_RECORD && (form->flags & NAMED) && record_decode(plain, &record) == 0)
		return seal_id(&world.store.seal, &record.name);
	if (form->id == 0)
		return seal_id(&world.store.seal, &name);
	if (form->id == 1)
		name = fixture_secret("default", "a");
	return form->id == 1 ? seal_id(&world.store.seal, &name) : id;
}

static void add_row(struct form form, const uint8_t *data, size_t size)
{
	struct row *row = &world.rows[world.n];
	uint8_t plain[RECORD_BYTES];
	size_t plain_size;
	struct seal_id id;

	form.table %= 4;
	plain_size = pad(&form, data, size, plain);
	id = choose_id(&form, plain);
	row->key = seal_key(form.table, &id, form.generation);
	for (size_t i = 0; i < world.n; i++)
		if (world.rows[i].key.size == row->key.size &&
		    memcmp(world.rows[i].key.bytes, row->key.bytes, row->key.size) == 0)
			return;
	if ((form.flags & SEALED) && form.table != SEAL_HEADER) {
		seal_any(row, &form, plain, plain_size);
	} else {
		row->size = form.table == SEAL_HEADER && size == 0 ? HEADER_BYTES : size;
		row->data = malloc(row->size + 1);
		fixture_must(row->data);
		memcpy(row->data, size ? data : world.header.bytes, row->size);
		world.wrong |= form.table != SEAL_HEADER || size;
	}
	if ((form.flags & CHANGED) && row->size) {
		row->data[form.generation % row->size] ^= 1;
		world.wrong = true;
	}
	world.n++;
}

/* What a manifest has to say of the other rows. */
static struct seal_manifest sum_up(void)
{
	struct seal_manifest manifest = {.generation = 1000};
	uint8_t hash[CRYPTO_HASH_BYTES];

	for (size_t i = 0; i < world.n; i++) {
		const struct row *row = &world.rows[i];

		if (row->key.bytes[0] == SEAL_MANIFEST)
			continue;
		seal_row_hash(&world.store.seal, &row->key, row->data, row->size, hash);
		crypto_set_add(manifest.sum, hash);
		manifest.rows++;
	}
	return manifest;
}

/* A manifest that vouches for all that is there. */
static void add_manifest(void)
{
	struct seal_manifest manifest = sum_up();
	struct row *row = &world.rows[world.n++];
	struct seal_row sealed;

	fixture_must(seal_manifest(&world.store.seal, &manifest, &sealed) == 0);
	*row = (struct row){seal_key(SEAL_MANIFEST, NULL, 0), sealed.data, sealed.size};
}

static void read_rows(const uint8_t *data, size_t size)
{
	bool given = false;

	while (size >= sizeof(struct form) && world.n < ROWS_MAX - 1) {
		struct form form;
		size_t n;

		memcpy(&form, data, sizeof(form));
		data += sizeof(form);
		size -= sizeof(form);
		n = bytes_get16(form.size) < size ? bytes_get16(form.size) : size;
		if (form.table % 4 != SEAL_MANIFEST || (form.flags & GIVEN)) {
			given |= form.table % 4 == SEAL_MANIFEST;
			add_row(form, data, n);
		}
		data += n;
		size -= n;
	}
	if (!given)
		add_manifest();
}

/* Each secret is listed by its mesh; each resource has its value; each is found. */
static void check_index(struct index *index)
{
	size_t secrets = 0, meshes = 0, globals = 0;

	for (const struct resource *r = index_first(index); r; r = index_next(index, r)) {
		uint64_t node = resource_node(r);
		struct record record;
		struct name mesh = {.kind = NAME_MESH};

		fixture_must(index_find(index, node) == r);
		for (const struct version *v = r->versions; v; v = v->older)
			fixture_must(!v->older || v->older->generation <= v->generation);
		if (!r->exists)
			continue;
		resource_record(r, &record);
		fixture_must(r->versions && r->versions->generation == record.generation);
		secrets += record.name.kind == NAME_SECRET;
		meshes += record.name.kind == NAME_MESH;
		globals += record.name.kind == NAME_GLOBAL_SECRET;
		strcpy(mesh.name, record.name.mesh);
		if (record.name.kind == NAME_SECRET)
			fixture_must(index_folder_next(index_folder(index, NAME_SECRET, store_node(&world.store, &mesh)), node - 1) == r);
	}
	fixture_must(index->secrets == secrets && index->meshes.count == meshes && index->globals.count == globals);
}

/* Opened with the right key, a value row is refused or gives what it has. */
static void check_values(void)
{
	for (size_t i = 0; i < world.n; i++) {
		const struct row *row = &world.rows[i];
		SECBUF_AUTO value = {0};
		struct seal_value_info info;
		enum seal_table table;
		uint64_t generation;
		struct seal_id id;
		int r;

		fixture_must(seal_key_parse(row->key.bytes, row->key.size, &table, &id, &generation) == 0);
		r = seal_open_value(&world.store.seal, &id, generation, row->data, row->size, &value, &info);
		fixture_must(r == 0 || r == -EBADMSG);
		fixture_must(r == 0 ? value.size == info.size && value.size <= row->size : value.size == 0);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct seal_manifest manifest, right;
	struct index index = {0};
	size_t in_use;
	int r;

	if (!world.store.keys)
		make_world();
	in_use = secmem_in_use();
	world.n = 0;
	world.wrong = false;
	read_rows(data, size);
	r = load_index(&world.store, NULL, NULL, &index, &manifest);
	fixture_must(r == 0 || r == -EBADMSG || r == -EPROTONOSUPPORT);
	fixture_must(r < 0 || !world.wrong);
	right = sum_up();
	fixture_must(r < 0 || (manifest.rows == right.rows && memcmp(manifest.sum, right.sum, sizeof(right.sum)) == 0));
	if (r == 0)
		check_index(&index);
	index_deinit(&index);
	check_values();
	for (size_t i = 0; i < world.n; i++)
		free(world.rows[i].data);
	fixture_must(secmem_in_use() == in_use);
	return 0;
}
