/* SPDX-License-Identifier: Apache-2.0
 * test_index: finding by number, folders in the order of the numbers, how much memory a secret takes, and the cache's bound.
 */
#include "tests/unit/cmocka_all.h"
#include "tests/unit/fixture.h"

#include "store/cache.h"
#include "store/index.h"

#include <string.h>

static struct resource *resource(uint64_t node)
{
	struct resource *r = calloc(1, sizeof(*r));

	fixture_must(r);
	for (int i = 0; i < 7; i++)
		r->id.bytes[i] = (uint8_t)(node >> (48 - 8 * i));
	r->exists = true;
	return r;
}

static struct resource *add(struct index *index, uint64_t node)
{
	struct resource *r = resource(node);

	assert_int_equal(index_reserve(index, 1), 0);
	index_add(index, r);
	return r;
}

static void test_node(void **state)
{
	struct seal_id id = {{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}};

	(void)state;
	assert_true(index_node(&id) == 0x01020304050607);
	memset(id.bytes, 0xff, 7);
	assert_true(index_node(&id) == 0xffffffffffffff);
}

static void test_find(void **state)
{
	enum { N = 5000 };
	struct index index = {0};
	uint64_t seed = 1, nodes[N], last = 0;
	size_t seen = 0;

	(void)state;
	assert_null(index_find(&index, 1));
	assert_null(index_first(&index));
	for (int i = 0; i < N; i++) {
		/* neighbours and far ones, and many that share their low bits */
		nodes[i] = i % 3 == 0 ? (uint64_t)i + 1
			   : i % 3 == 1 ? (uint64_t)(i + 1) << 40
					: fixture_random(&seed, 1ull << 56) | 1ull << 55;
		add(&index, nodes[i]);
	}
	assert_int_equal(index.count, N);
	for (struct resource *r = index_first(&index); r; r = index_next(&index, r), seen++) {
		assert_true(seen == 0 || resource_node(r) > last);
		last = resource_node(r);
	}
	assert_int_equal(seen, N);
	for (int i = 0; i < N; i++)
		assert_true(resource_node(index_find(&index, nodes[i])) == nodes[i]);
	assert_null(index_find(&index, 0));
	assert_null(index_find(&index, UINT64_MAX));
	assert_null(index_find(&index, nodes[0] | 1ull << 56));
	for (int i = 0; i < N; i += 2)
		index_drop(&index, index_find(&index, nodes[i]));
	for (int i = 0; i < N; i++)
		assert_int_equal(index_find(&index, nodes[i]) != NULL, i % 2);
	assert_int_equal(index.count, N / 2);
	index_deinit(&index);
	assert_int_equal(index.count, 0);
	assert_null(index_find(&index, nodes[1]));
}

/* After index_reserve, index_add cannot move a bucket. */
static void test_reserve(void **state)
{
	struct index index = {0};
	struct resource **buckets;

	(void)state;
	assert_int_equal(index_reserve(&index, 1000), 0);
	buckets = index.buckets;
	for (uint64_t i = 1; i <= 1000; i++)
		index_add(&index, resource(i));
	assert_ptr_equal(index.buckets, buckets);
	assert_int_equal(index_reserve(&index, 0), 0);
	assert_ptr_equal(index.buckets, buckets);
	index_deinit(&index);
}

static void test_folders(void **state)
{
	struct index index = {0};
	struct resource *mesh = add(&index, 10);

	(void)state;
	assert_ptr_equal(index_folder(&index, NAME_MESH, 0), &index.meshes);
	assert_ptr_equal(index_folder(&index, NAME_GLOBAL_SECRET, 0), &index.globals);
	assert_null(index_folder(&index, NAME_SECRET, 10)); /* it is no mesh, or has not become one yet */
	assert_int_equal(index_mesh_reserve(mesh, 1), 0);
	assert_ptr_equal(index_folder(&index, NAME_SECRET, 10), mesh->secrets);
	assert_true(mesh->secrets->capacity >= 1);
	assert_null(index_folder(&index, NAME_SECRET, 11));
	assert_null(index_folder(&index, NAME_ROOT, 0));
	assert_null(index_folder(&index, (enum name_kind)99, 0));
	mesh->exists = false;
	assert_null(index_folder(&index, NAME_SECRET, 10));
	index_deinit(&index);
}

static void test_folder_order(void **state)
{
	enum { N = 1000 };
	struct index index = {0};
	struct resource *in[N];
	uint64_t seed = 2, after;
	size_t seen = 0;

	(void)state;
	assert_null(index_folder_next(&index.globals, 0));
	for (int i = 0; i < N; i++) {
		in[i] = add(&index, 1 + fixture_random(&seed, 1ull << 56));
		assert_int_equal(index_folder_reserve(&index.globals, 1), 0);
		index_folder_add(&index.globals, in[i]);
	}
	assert_int_equal(index.globals.count, N);
	after = 0;
	for (struct resource *r; (r = index_folder_next(&index.globals, after)); after = resource_node(r), seen++)
		assert_true(resource_node(r) > after);
	assert_int_equal(seen, N);
	for (int i = 0; i < N; i += 3)
		index_folder_remove(&index.globals, in[i]);
	for (int i = 0; i < N; i++) {
		struct resource *r = index_folder_next(&index.globals, resource_node(in[i]) - 1);

		if (i % 3)
			assert_ptr_equal(r, in[i]);
		else
			assert_ptr_not_equal(r, in[i]);
	}
	/* a position stays right when its entry goes */
	after = resource_node(in[1]);
	index_folder_remove(&index.globals, in[1]);
	for (struct resource *r; (r = index_folder_next(&index.globals, after)); after = resource_node(r))
		assert_true(resource_node(r) > after);
	index_deinit(&index);
}

static void test_folder_edges(void **state)
{
	struct index index = {0};
	struct resource *low = add(&index, 1), *high = add(&index, 0xffffffffffffff);

	(void)state;
	assert_int_equal(index_folder_reserve(&index.meshes, 2), 0);
	index_folder_add(&index.meshes, high);
	index_folder_add(&index.meshes, low);
	assert_ptr_equal(index_folder_next(&index.meshes, 0), low);
	assert_ptr_equal(index_folder_next(&index.meshes, 1), high);
	assert_null(index_folder_next(&index.meshes, 0xffffffffffffff));
	index_deinit(&index);
}

static void test_folder_reserve(void **state)
{
	struct index_folder folder = {0};
	struct resource **entries;

	(void)state;
	assert_int_equal(index_folder_reserve(&folder, 500), 0);
	entries = folder.entries;
	assert_true(folder.capacity >= 500);
	for (uint64_t i = 0; i < 500; i++)
		index_folder_add(&folder, resource(500 - i));
	assert_ptr_equal(folder.entries, entries);
	for (size_t i = 0; i < 500; i++) {
		assert_int_equal(resource_node(folder.entries[i]), i + 1);
		free(folder.entries[i]);
	}
	free(folder.entries);
}

static void test_versions(void **state)
{
	struct version old = {.generation = 3}, new = {.generation = 9, .older = &old};
	struct resource r = {.versions = &new};

	(void)state;
	assert_ptr_equal(index_version(&r, 9), &new);
	assert_ptr_equal(index_version(&r, 3), &old);
	assert_null(index_version(&r, 4));
	r.versions = NULL;
	assert_null(index_version(&r, 3));
}

static struct seal_row row(size_t size)
{
	struct seal_row result = {calloc(1, size), size};

	fixture_must(result.data);
	return result;
}

static void test_cache_forgets_the_least_used(void **state)
{
	struct version versions[4] = {0};
	struct cache cache;

	(void)state;
	cache_init(&cache, 300);
	for (int i = 0; i < 3; i++)
		cache_put(&cache, &versions[i], row(100));
	assert_int_equal(cache.bytes, 300);
	cache_touch(&cache, &versions[0]);
	cache_put(&cache, &versions[3], row(100));
	assert_non_null(versions[0].cached);
	assert_null(versions[1].cached);
	assert_non_null(versions[2].cached);
	assert_non_null(versions[3].cached);
	assert_int_equal(cache.bytes, 300);
	cache_put(&cache, &versions[2], row(250)); /* in the place of its row of 100 */
	assert_int_equal(cache.bytes, 250);
	assert_non_null(versions[2].cached);
	assert_null(versions[0].cached);
	for (int i = 0; i < 4; i++)
		cache_forget(&cache, &versions[i]);
	assert_int_equal(cache.bytes, 0);
	assert_true(TAILQ_EMPTY(&cache.list));
}

static void test_cache_of_nothing(void **state)
{
	struct version version = {0};
	struct cache cache;

	(void)state;
	cache_init(&cache, 0);
	cache_put(&cache, &version, row(1));
	assert_null(version.cached);
	assert_int_equal(cache.bytes, 0);
	cache_forget(&cache, &version);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_node),          cmocka_unit_test(test_find),
		cmocka_unit_test(test_reserve),       cmocka_unit_test(test_folders),
		cmocka_unit_test(test_folder_order),  cmocka_unit_test(test_folder_edges),
		cmocka_unit_test(test_folder_reserve), cmocka_unit_test(test_versions),
		cmocka_unit_test(test_cache_forgets_the_least_used), cmocka_unit_test(test_cache_of_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
