/* SPDX-License-Identifier: Apache-2.0
 * test_acl: the kernel's format there and back, what is no ACL, inheriting, and the packed list.
 */
#include "tests/unit/cmocka_all.h"
#include "tests/unit/fixture.h"

#include "store/acl.h"
#include "store/bytes.h"

#include <errno.h>
#include <linux/posix_acl.h>
#include <string.h>

#define XATTR_BYTES 1024
#define NOBODY UINT32_MAX

struct entry {
	uint16_t tag, permission;
	uint32_t id;
};

/* u::rw-, u:1000:r--, g::r-x, g:50:rwx, m::r--, o::--x */
static const struct entry example[] = {
	{ACL_USER_OBJ, 6, NOBODY}, {ACL_USER, 4, 1000}, {ACL_GROUP_OBJ, 5, NOBODY},
	{ACL_GROUP, 7, 50},        {ACL_MASK, 4, NOBODY}, {ACL_OTHER, 1, NOBODY},
};
#define N_EXAMPLE (sizeof(example) / sizeof(example[0]))

static size_t encode(const struct entry *entries, size_t count, uint8_t *ret_xattr)
{
	bytes_put32(ret_xattr, 2);
	for (size_t i = 0; i < count; i++) {
		bytes_put16(ret_xattr + 4 + 8 * i, entries[i].tag);
		bytes_put16(ret_xattr + 6 + 8 * i, entries[i].permission);
		bytes_put32(ret_xattr + 8 + 8 * i, entries[i].id);
	}
	return 4 + 8 * count;
}

/* An ACL that names @count users. */
static size_t encode_many(unsigned count, uint8_t *ret_xattr)
{
	struct entry entries[64] = {{ACL_USER_OBJ, 6, NOBODY}};
	unsigned n = 1;

	for (unsigned i = 0; i < count; i++)
		entries[n++] = (struct entry){ACL_USER, 4, i};
	entries[n++] = (struct entry){ACL_GROUP_OBJ, 0, NOBODY};
	entries[n++] = (struct entry){ACL_MASK, 4, NOBODY};
	entries[n++] = (struct entry){ACL_OTHER, 0, NOBODY};
	return encode(entries, n, ret_xattr);
}

static int parse(enum acl_kind kind, const struct entry *entries, size_t count, struct acl *ret_acl)
{
	uint8_t xattr[XATTR_BYTES];
	size_t size = encode(entries, count, xattr);

	return acl_parse(kind, xattr, size, ret_acl);
}

static struct acl parsed(enum acl_kind kind)
{
	struct acl acl;

	fixture_must(parse(kind, example, N_EXAMPLE, &acl) == 0);
	return acl;
}

static struct acl many(unsigned count)
{
	uint8_t xattr[XATTR_BYTES];
	struct acl acl;

	fixture_must(acl_parse(ACL_KIND_ACCESS, xattr, encode_many(count, xattr), &acl) == 0);
	return acl;
}

static void assert_acls_equal(const struct acl *a, const struct acl *b)
{
	assert_int_equal(a->present, b->present);
	assert_int_equal(a->mask, b->mask);
	assert_int_equal(a->group, b->group);
	assert_int_equal(a->mode, b->mode);
	assert_int_equal(a->count, b->count);
	for (unsigned i = 0; i < a->count; i++) {
		assert_int_equal(a->named[i].group, b->named[i].group);
		assert_int_equal(a->named[i].permission, b->named[i].permission);
		assert_int_equal(a->named[i].id, b->named[i].id);
	}
}

/* The kernel's format. */

static void test_parse(void **state)
{
	struct acl acl = parsed(ACL_KIND_ACCESS);

	(void)state;
	assert_true(acl.present && acl.mask);
	assert_int_equal(acl.mode, 0641);
	assert_int_equal(acl.group, 5);
	assert_int_equal(acl.count, 2);
	assert_true(!acl.named[0].group && acl.named[0].permission == 4 && acl.named[0].id == 1000);
	assert_true(acl.named[1].group && acl.named[1].permission == 7 && acl.named[1].id == 50);
}

static void test_format_is_the_reverse(void **state)
{
	uint8_t xattr[XATTR_BYTES], back[ACL_XATTR_BYTES_MAX];
	size_t size = encode(example, N_EXAMPLE, xattr);
	struct acl acl = parsed(ACL_KIND_ACCESS);

	(void)state;
	assert_int_equal(acl_format(&acl, back), size);
	assert_memory_equal(back, xattr, size);
	size = encode_many(ACL_NAMED_MAX, xattr);
	acl = many(ACL_NAMED_MAX);
	assert_int_equal(size, sizeof(back));
	assert_int_equal(acl_format(&acl, back), size);
	assert_memory_equal(back, xattr, size);
}

/* Users and groups in any order come out as acl(5) has them, users first. */
static void test_order(void **state)
{
	static const size_t orders[][N_EXAMPLE] = {{5, 4, 3, 2, 1, 0}, {3, 1, 0, 5, 2, 4}};
	uint8_t xattr[XATTR_BYTES], back[ACL_XATTR_BYTES_MAX];
	size_t size = encode(example, N_EXAMPLE, xattr);

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct entry shuffled[N_EXAMPLE];
		struct acl acl;

		for (size_t j = 0; j < N_EXAMPLE; j++)
			shuffled[j] = example[orders[i][j]];
		assert_int_equal(parse(ACL_KIND_ACCESS, shuffled, N_EXAMPLE, &acl), 0);
		assert_int_equal(acl_format(&acl, back), size);
		assert_memory_equal(back, xattr, size);
	}
}

/* Three entries say what a mode says: no access ACL, but a default ACL of a folder. */
static void test_minimal(void **state)
{
	static const struct entry three[] = {
		{ACL_USER_OBJ, 6, NOBODY}, {ACL_GROUP_OBJ, 4, NOBODY}, {ACL_OTHER, 1, NOBODY}};
	uint8_t xattr[XATTR_BYTES], back[ACL_XATTR_BYTES_MAX];
	size_t size = encode(three, 3, xattr);
	struct acl acl;

	(void)state;
	assert_int_equal(acl_parse(ACL_KIND_ACCESS, xattr, size, &acl), 0);
	assert_true(!acl.present && acl.mode == 0641);
	assert_int_equal(acl_parse(ACL_KIND_DEFAULT, xattr, size, &acl), 0);
	assert_true(acl.present && !acl.mask && acl.mode == 0641 && acl.group == 4);
	assert_int_equal(acl_format(&acl, back), size);
	assert_memory_equal(back, xattr, size);
}

/* A mask without names is an ACL: the owning group's permission is not the mask's. */
static void test_mask_alone(void **state)
{
	static const struct entry four[] = {{ACL_USER_OBJ, 6, NOBODY},
					    {ACL_GROUP_OBJ, 6, NOBODY},
					    {ACL_MASK, 4, NOBODY},
					    {ACL_OTHER, 0, NOBODY}};
	struct acl acl;

	(void)state;
	assert_int_equal(parse(ACL_KIND_ACCESS, four, 4, &acl), 0);
	assert_true(acl.present && acl.mask && acl.mode == 0640 && acl.group == 6 && acl.count == 0);
}

/* Leaving out an entry, or having one twice. */
static void test_missing_and_twice(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_EXAMPLE; i++) {
		struct entry entries[N_EXAMPLE + 1];
		bool named = example[i].tag == ACL_USER || example[i].tag == ACL_GROUP;
		struct acl acl = {.count = 77};

		memcpy(entries, example, i * sizeof(entries[0]));
		memcpy(entries + i, example + i + 1, (N_EXAMPLE - i - 1) * sizeof(entries[0]));
		assert_int_equal(parse(ACL_KIND_ACCESS, entries, N_EXAMPLE - 1, &acl), named ? 0 : -EINVAL);
		acl.count = 77;
		memcpy(entries, example, sizeof(example));
		entries[N_EXAMPLE] = example[i];
		entries[N_EXAMPLE].permission = 0;
		assert_int_equal(parse(ACL_KIND_ACCESS, entries, N_EXAMPLE + 1, &acl), -EINVAL);
		assert_int_equal(acl.count, 77); /* untouched */
	}
}

static void test_same_id_of_user_and_group(void **state)
{
	struct entry entries[N_EXAMPLE];
	struct acl acl;

	(void)state;
	memcpy(entries, example, sizeof(example));
	entries[3].id = entries[1].id;
	assert_int_equal(parse(ACL_KIND_ACCESS, entries, N_EXAMPLE, &acl), 0);
	assert_int_equal(acl.count, 2);
}

static void test_impossible_entries(void **state)
{
	static const struct {
		size_t entry;
		struct entry changed;
	} cases[] = {
		{0, {ACL_USER_OBJ, 8, NOBODY}},  {0, {ACL_USER_OBJ, 0xffff, NOBODY}}, {1, {ACL_USER, 8, 1000}},
		{4, {ACL_MASK, 9, NOBODY}},      {5, {ACL_OTHER, 010, NOBODY}},       {1, {ACL_USER, 4, NOBODY}},
		{3, {ACL_GROUP, 4, NOBODY}},     {1, {0, 4, 1000}},                   {1, {3, 4, 1000}},
		{1, {0x40, 4, 1000}},            {1, {0x102, 4, 1000}},               {1, {0xffff, 4, 1000}},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct entry entries[N_EXAMPLE];
		struct acl acl;

		memcpy(entries, example, sizeof(example));
		entries[cases[i].entry] = cases[i].changed;
		assert_int_equal(parse(ACL_KIND_ACCESS, entries, N_EXAMPLE, &acl), -EINVAL);
		assert_int_equal(parse(ACL_KIND_DEFAULT, entries, N_EXAMPLE, &acl), -EINVAL);
	}
}

static void test_sizes_and_version(void **state)
{
	uint8_t xattr[XATTR_BYTES];
	size_t whole = encode(example, N_EXAMPLE, xattr);
	struct acl acl;

	(void)state;
	for (size_t size = 0; size < whole; size++) {
		uint8_t *exact = malloc(size ? size : 1); /* so that reading past it is seen */

		fixture_must(exact);
		memcpy(exact, xattr, size);
		assert_int_equal(acl_parse(ACL_KIND_ACCESS, exact, size, &acl), -EINVAL);
		free(exact);
	}
	bytes_put32(xattr, 1);
	assert_int_equal(acl_parse(ACL_KIND_ACCESS, xattr, whole, &acl), -EOPNOTSUPP);
	bytes_put32(xattr, 0x10002);
	assert_int_equal(acl_parse(ACL_KIND_ACCESS, xattr, whole, &acl), -EOPNOTSUPP);
}

static void test_too_many(void **state)
{
	uint8_t xattr[XATTR_BYTES];
	struct acl acl = {.count = 77};

	(void)state;
	assert_int_equal(acl_parse(ACL_KIND_ACCESS, xattr, encode_many(ACL_NAMED_MAX + 1, xattr), &acl), -ENOSPC);
	assert_int_equal(acl.count, 77);
}

/* Inheriting, as acl(5) has it. */

static void test_inherit_with_a_mask(void **state)
{
	static const struct {
		mode_t requested, mode;
	} cases[] = {
		{0666, 0640}, {0777, 0641}, {0600, 0600}, {0000, 0000}, {0620, 0600}, {06777, 06641}, {01077, 01041},
	};
	struct acl from = parsed(ACL_KIND_DEFAULT), acl;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(acl_inherit(&from, cases[i].requested, &acl), cases[i].mode);
		assert_int_equal(acl.mode, cases[i].mode & 0777);
		assert_true(acl.present && acl.mask && acl.group == 5 && acl.count == 2); /* names as they are */
		acl.mode = from.mode;
		assert_acls_equal(&acl, &from);
	}
}

static void test_inherit_without_a_mask(void **state)
{
	static const struct entry three[] = {
		{ACL_USER_OBJ, 7, NOBODY}, {ACL_GROUP_OBJ, 5, NOBODY}, {ACL_OTHER, 0, NOBODY}};
	struct acl from, acl;

	(void)state;
	fixture_must(parse(ACL_KIND_DEFAULT, three, 3, &from) == 0);
	assert_int_equal(acl_inherit(&from, 0666, &acl), 0640);
	assert_true(!acl.present && acl.count == 0);
}

/* The packed list. */

static void test_list(void **state)
{
	struct acl access = parsed(ACL_KIND_ACCESS), folder = parsed(ACL_KIND_DEFAULT), acl, none = {0};
	const struct acl_list empty = {0};
	struct acl_list list = {0};

	(void)state;
	acl_get(&list, 0, ACL_KIND_ACCESS, &acl);
	assert_false(acl.present);
	assert_int_equal(acl_put(&list, 2, ACL_KIND_DEFAULT, &folder), 0);
	assert_int_equal(acl_put(&list, 0, ACL_KIND_ACCESS, &access), 0);
	acl_get(&list, 2, ACL_KIND_DEFAULT, &acl);
	assert_acls_equal(&acl, &folder);
	acl_get(&list, 0, ACL_KIND_ACCESS, &acl);
	assert_int_equal(acl.mode, 0); /* the file's mode has it */
	acl.mode = access.mode;
	assert_acls_equal(&acl, &access);
	for (unsigned inode = 0; inode < 3; inode++) {
		acl_get(&list, inode, inode == 0 ? ACL_KIND_DEFAULT : ACL_KIND_ACCESS, &acl);
		assert_int_equal(acl.present, 0);
	}
	assert_int_equal(acl_check(&list, 3, 1 << 2), 0);
	access.count = 1;
	assert_int_equal(acl_put(&list, 0, ACL_KIND_ACCESS, &access), 0); /* replaces */
	acl_get(&list, 0, ACL_KIND_ACCESS, &acl);
	assert_int_equal(acl.count, 1);
	assert_int_equal(acl_put(&list, 2, ACL_KIND_DEFAULT, &none), 0);
	acl_get(&list, 2, ACL_KIND_DEFAULT, &acl);
	assert_false(acl.present);
	acl_get(&list, 0, ACL_KIND_ACCESS, &acl);
	assert_int_equal(acl.count, 1);
	assert_int_equal(acl_put(&list, 0, ACL_KIND_ACCESS, &none), 0);
	assert_int_equal(acl_put(&list, 0, ACL_KIND_ACCESS, &none), 0);
	assert_memory_equal(&list, &empty, sizeof(list)); /* nothing is left behind */
}

static void test_a_full_list(void **state)
{
	struct acl_list list = {0}, before;
	struct acl most = many(ACL_NAMED_MAX), half = many(22), none = many(0), acl;

	(void)state;
	assert_int_equal(acl_put(&list, 0, ACL_KIND_ACCESS, &most), 0);
	assert_int_equal(acl_check(&list, 1, 0), 0);
	before = list;
	assert_int_equal(acl_put(&list, 1, ACL_KIND_ACCESS, &none), -ENOSPC);
	assert_memory_equal(&list, &before, sizeof(list));
	assert_int_equal(acl_put(&list, 0, ACL_KIND_ACCESS, &most), 0); /* its own room does not count */
	assert_int_equal(acl_put(&list, 0, ACL_KIND_ACCESS, &half), 0);
	assert_int_equal(acl_put(&list, 1, ACL_KIND_DEFAULT, &half), 0);
	assert_int_equal(acl_put(&list, 2, ACL_KIND_ACCESS, &none), 0);
	assert_int_equal(acl_put(&list, 2, ACL_KIND_ACCESS, &half), -ENOSPC);
	assert_int_equal(acl_check(&list, 3, 1 << 1), 0);
	acl_get(&list, 1, ACL_KIND_DEFAULT, &acl);
	assert_acls_equal(&acl, &half);
}

/* The layout is on disks: it may not move. */
static void test_layout(void **state)
{
	struct acl access = parsed(ACL_KIND_ACCESS), folder = parsed(ACL_KIND_DEFAULT);
	struct acl_list list = {0};

	(void)state;
	assert_int_equal(acl_put(&list, 0, ACL_KIND_ACCESS, &access), 0);
	assert_int_equal(acl_put(&list, 2, ACL_KIND_DEFAULT, &folder), 0);
	assert_memory_equal(list.bytes, "\x01\x02\x00\x1a\x04\xe8\x03\x00\x00\x0f\x32\x00\x00\x00", 14);
	assert_memory_equal(list.bytes + 14, "\x06\x02\xa1\x1b\x04\xe8\x03\x00\x00\x0f\x32\x00\x00\x00\x00", 15);
}

static void test_impossible_lists(void **state)
{
	static const struct {
		size_t at;
		uint8_t value;
	} cases[] = {
		{0, 7},     {0, 255},   {0, 2},           /* place: beyond the last; a default ACL with what is an access ACL's */
		{14, 1},    {14, 2},    {14, 4},          /* twice; where no default ACL may be */
		{1, 255},   {1, 46},    {1, 1},           /* the count: beyond the list, and into what follows */
		{2, 1},     {3, 0x1b},                    /* an access ACL keeps no mode */
		{3, 0x3a},  {3, 0xfa},  {3, 0x0a},        /* bits that are none; no mask */
		{4, 0x14},  {9, 0x1f},  {9, 0x07},        /* a name: bits that are none */
		{28, 200},  {29, 1},    {239, 1},         /* after the end */
	};
	struct acl access = parsed(ACL_KIND_ACCESS), folder = parsed(ACL_KIND_DEFAULT);
	struct acl_list list = {0}, changed;

	(void)state;
	access.named[1].id = 1000; /* so that the group becoming a user is that user twice */
	assert_int_equal(acl_put(&list, 0, ACL_KIND_ACCESS, &access), 0);
	assert_int_equal(acl_put(&list, 2, ACL_KIND_DEFAULT, &folder), 0);
	assert_int_equal(acl_check(&list, 3, 1 << 2), 0);
	assert_int_equal(acl_check(&list, 3, 0), -EBADMSG);
	assert_int_equal(acl_check(&list, 2, 1 << 2), -EBADMSG);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		changed = list;
		changed.bytes[cases[i].at] = cases[i].value;
		if (acl_check(&changed, 3, 1 << 2) != -EBADMSG)
			fail_msg("%d at %zu was accepted", cases[i].value, cases[i].at);
	}
	changed = list;
	memset(changed.bytes + 5, 0xff, 4); /* nobody's id */
	assert_int_equal(acl_check(&changed, 3, 1 << 2), -EBADMSG);
	memset(changed.bytes, 0, sizeof(changed));
	memcpy(changed.bytes, "\x02\x00\xa1\x0b", 4); /* a default ACL without a mask, whose two group permissions differ */
	assert_int_equal(acl_check(&changed, 1, 1), -EBADMSG);
	changed.bytes[3] = 0x09;
	assert_int_equal(acl_check(&changed, 1, 1), 0);
	memcpy(changed.bytes, "\x02\x01\xa1\x09\x04\xe8\x03\0\0", 9); /* without a mask it names nobody */
	assert_int_equal(acl_check(&changed, 1, 1), -EBADMSG);
}

/* Whatever the bytes: an answer, no crash (the sanitizers watch), and what is accepted is stable. */
static void test_any_bytes(void **state)
{
	struct acl access = parsed(ACL_KIND_ACCESS), acl;
	uint8_t xattr[XATTR_BYTES], back[ACL_XATTR_BYTES_MAX];
	uint64_t seed = 42;

	(void)state;
	for (int round = 0; round < 20000; round++) {
		struct acl_list list = {0};
		size_t size = encode(example, N_EXAMPLE, xattr);

		fixture_must(acl_put(&list, 0, ACL_KIND_ACCESS, &access) == 0);
		for (int i = 0; i < 3; i++) {
			xattr[fixture_random(&seed, size)] = (uint8_t)fixture_random(&seed, 256);
			list.bytes[fixture_random(&seed, 24)] = (uint8_t)fixture_random(&seed, 256);
		}
		if (acl_parse(ACL_KIND_DEFAULT, xattr, size, &acl) == 0) {
			struct acl again;

			assert_int_equal(acl_parse(ACL_KIND_DEFAULT, back, acl_format(&acl, back), &again), 0);
			assert_int_equal(acl.count, again.count);
			assert_int_equal(acl.mode, again.mode);
		}
		for (unsigned inode = 0; inode < 3; inode++) {
			acl_get(&list, inode, ACL_KIND_ACCESS, &acl);
			assert_true(acl.count <= ACL_NAMED_MAX);
		}
		if (acl_check(&list, 1, 0) == 0) {
			struct acl_list same = {0};

			acl_get(&list, 0, ACL_KIND_ACCESS, &acl);
			assert_int_equal(acl_put(&same, 0, ACL_KIND_ACCESS, &acl), 0);
			assert_memory_equal(&same, &list, sizeof(list));
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_format_is_the_reverse),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_minimal),
		cmocka_unit_test(test_mask_alone),
		cmocka_unit_test(test_missing_and_twice),
		cmocka_unit_test(test_same_id_of_user_and_group),
		cmocka_unit_test(test_impossible_entries),
		cmocka_unit_test(test_sizes_and_version),
		cmocka_unit_test(test_too_many),
		cmocka_unit_test(test_inherit_with_a_mask),
		cmocka_unit_test(test_inherit_without_a_mask),
		cmocka_unit_test(test_list),
		cmocka_unit_test(test_a_full_list),
		cmocka_unit_test(test_layout),
		cmocka_unit_test(test_impossible_lists),
		cmocka_unit_test(test_any_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
