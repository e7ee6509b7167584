/* SPDX-License-Identifier: Apache-2.0
 * test_record: a record comes back as it was, in a fixed layout, and impossible ones are refused.
 */
#include "tests/unit/cmocka_all.h"
#include "tests/unit/fixture.h"

#include "store/record.h"

#include <errno.h>
#include <string.h>

static struct record example(void)
{
	struct record record = {
		.name = fixture_secret("payments", "db.password"),
		.generation = 0x1122334455667788,
		.created = 0x99,
		.born = {1600000000, 999999998},
		.size = 0xfedcba98,
	};

	fixture_fill(record.value_hash, sizeof(record.value_hash), 1);
	for (unsigned i = 0; i < RECORD_INODES; i++)
		record.inodes[i] = (struct record_attributes){
			.uid = 1000 + i,
			.gid = 4294967294u - i,
			.mode = 07000 + i,
			.mtime = {1700000000 + i, 999999999 - i},
			.ctime = {-5 - (time_t)i, 1 + i},
			.atime = {(time_t)1 << 40, 500 + i},
			.removals = 0xfffffffd + i,
		};
	return record;
}

static void assert_records_equal(const struct record *a, const struct record *b)
{
	assert_true(name_equal(&a->name, &b->name));
	assert_true(a->generation == b->generation && a->created == b->created && a->size == b->size);
	assert_memory_equal(a->value_hash, b->value_hash, sizeof(a->value_hash));
	assert_true(a->born.tv_sec == b->born.tv_sec && a->born.tv_nsec == b->born.tv_nsec);
	for (int i = 0; i < RECORD_INODES; i++) {
		const struct record_attributes *p = &a->inodes[i], *q = &b->inodes[i];

		assert_true(p->uid == q->uid && p->gid == q->gid && p->mode == q->mode && p->removals == q->removals);
		assert_true(p->mtime.tv_sec == q->mtime.tv_sec && p->mtime.tv_nsec == q->mtime.tv_nsec);
		assert_true(p->ctime.tv_sec == q->ctime.tv_sec && p->ctime.tv_nsec == q->ctime.tv_nsec);
		assert_true(p->atime.tv_sec == q->atime.tv_sec && p->atime.tv_nsec == q->atime.tv_nsec);
	}
}

static void test_round_trip(void **state)
{
	struct record record = example(), decoded;
	uint8_t plain[RECORD_BYTES];
	char longest[254], mesh[64];

	(void)state;
	record_encode(&record, plain);
	assert_int_equal(record_decode(plain, &decoded), 0);
	assert_records_equal(&record, &decoded);

	memset(longest, 'n', 253);
	memset(mesh, 'm', 63);
	longest[253] = mesh[63] = 0;
	record.name = fixture_secret(mesh, longest);
	record_encode(&record, plain);
	assert_int_equal(record_decode(plain, &decoded), 0);
	assert_records_equal(&record, &decoded);
	record.name = fixture_global("g");
	record_encode(&record, plain);
	assert_int_equal(record_decode(plain, &decoded), 0);
	assert_records_equal(&record, &decoded);
	record.name = fixture_mesh("m");
	record_encode(&record, plain);
	assert_int_equal(record_decode(plain, &decoded), 0);
	assert_records_equal(&record, &decoded);
	assert_int_equal(name_set(&record.name, NAME_ROOT, "", ""), 0);
	record_encode(&record, plain);
	assert_int_equal(record_decode(plain, &decoded), 0);
	assert_records_equal(&record, &decoded);
}

/* Nothing of a record is lost; but of a secret what it does not have. */
static void test_packing(void **state)
{
	const struct name names[] = {fixture_secret("payments", "db.password"), fixture_global("g"), fixture_mesh("m"),
				     {.kind = NAME_ROOT}};
	struct acl acl = {.present = true, .mask = true, .mode = 0640, .count = 3};
	char longest[254];

	(void)state;
	memset(longest, 'a', 253);
	longest[253] = 0;
	for (unsigned i = 0; i < 5 * 2; i++) {
		struct record record = example(), unpacked;
		struct record_packed *packed;

		record.name = i / 2 < 4 ? names[i / 2] : fixture_secret("payments", longest);
		for (unsigned j = 0; j < acl.count; j++)
			acl.named[j] = (struct acl_named){.id = j + 1, .permission = 4};
		if (i % 2)
			assert_int_equal(acl_put(&record.acls, RECORD_SELF, ACL_KIND_ACCESS, &acl), 0);
		packed = record_pack(&record);
		assert_non_null(packed);
		fixture_fill(&unpacked, sizeof(unpacked), i);
		record_unpack(packed, &unpacked);
		if (i / 2 != 2 && i / 2 != 3)
			record.inodes[1] = record.inodes[2] = (struct record_attributes){0};
		assert_records_equal(&unpacked, &record);
		assert_memory_equal(&unpacked.acls, &record.acls, sizeof(record.acls));
		assert_memory_equal(unpacked.name.name, record.name.name, sizeof(record.name.name));
		free(packed);
	}
}

/* What was in the buffer before does not show: all that is not a field is zero. */
static void test_encoding_is_complete(void **state)
{
	struct record record = example();
	uint8_t a[RECORD_BYTES], b[RECORD_BYTES];

	(void)state;
	memset(a, 0, sizeof(a));
	memset(b, 0xff, sizeof(b));
	record_encode(&record, a);
	record_encode(&record, b);
	assert_memory_equal(a, b, sizeof(a));
}

/* The layout is on disks: it may not move. */
static void test_layout(void **state)
{
	struct record record = example();
	uint8_t p[RECORD_BYTES];

	(void)state;
	record_encode(&record, p);
	assert_memory_equal(p, "\x01\x00\x03\x08\x0b\x00\x00\x00", 8);
	assert_memory_equal(p + 8, "\x88\x77\x66\x55\x44\x33\x22\x11", 8);
	assert_memory_equal(p + 16, "\x99\0\0\0\0\0\0\0", 8);
	assert_memory_equal(p + 24, "\x98\xba\xdc\xfe", 4);
	assert_memory_equal(p + 32, record.value_hash, 32);
	assert_memory_equal(p + 792, "\x00\x10\x5e\x5f\0\0\0\0\xfe\xc9\x9a\x3b", 12);
	assert_memory_equal(p + 64, "\xe8\x03\0\0", 4);
	assert_memory_equal(p + 64 + 56, "\xe9\x03\0\0", 4);
	assert_memory_equal(p + 64 + 3 * 56, "payments\0", 9);
	assert_memory_equal(p + 64 + 3 * 56 + 64, "db.password\0", 12);
}

static void test_unknown_version(void **state)
{
	struct record record = example(), decoded;
	uint8_t plain[RECORD_BYTES];

	(void)state;
	record_encode(&record, plain);
	plain[0] = 2;
	assert_int_equal(record_decode(plain, &decoded), -EPROTONOSUPPORT);
	plain[0] = 0;
	assert_int_equal(record_decode(plain, &decoded), -EPROTONOSUPPORT);
	plain[0] = 1;
	plain[1] = 1;
	assert_int_equal(record_decode(plain, &decoded), -EPROTONOSUPPORT);
}

static void test_impossible_fields(void **state)
{
	struct record record = example(), decoded;
	uint8_t plain[RECORD_BYTES], changed[RECORD_BYTES];
	static const struct {
		size_t at;
		uint8_t value;
	} cases[] = {
		{2, 0},  {2, 5},          {2, 255},            /* kind */
		{3, 64}, {3, 255},        {3, 0},              /* a secret has a mesh */
		{4, 0},  {4, 254},        {4, 255},            /* and a name */
		{64 + 168, 'P'},          {64 + 168, '/'},     /* in the mesh's name */
		{64 + 168 + 64, '.'},     {64 + 168 + 64, 0},  /* in its name */
		{64 + 168 + 64 + 3, '/'},
	};

	(void)state;
	record_encode(&record, plain);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		memcpy(changed, plain, sizeof(plain));
		changed[cases[i].at] = cases[i].value;
		decoded.size = 12345;
		assert_int_equal(record_decode(changed, &decoded), -EBADMSG);
		assert_int_equal(decoded.size, 12345); /* untouched */
	}
}

static struct acl example_acl(enum acl_kind kind)
{
	return (struct acl){.present = true,
			    .mask = true,
			    .group = 5,
			    .mode = kind == ACL_KIND_DEFAULT ? 0750 : 0,
			    .count = 1,
			    .named = {{.permission = 4, .id = 65534}}};
}

/* ACLs come back with the record; without any there is not a byte of them. */
static void test_acls(void **state)
{
	struct record record = example(), decoded;
	struct acl access = example_acl(ACL_KIND_ACCESS);
	uint8_t without[RECORD_BYTES], with[RECORD_BYTES];

	(void)state;
	record_encode(&record, without);
	for (size_t i = 552; i < 552 + ACL_LIST_BYTES; i++)
		assert_int_equal(without[i], 0);
	fixture_must(acl_put(&record.acls, RECORD_SELF, ACL_KIND_ACCESS, &access) == 0);
	record_encode(&record, with);
	assert_memory_equal(with, without, 552);
	assert_memory_equal(with + 552, "\x01\x01\x00\x1a\x04\xfe\xff\x00\x00\x00", 10);
	assert_int_equal(record_decode(with, &decoded), 0);
	assert_records_equal(&record, &decoded);
	assert_memory_equal(&record.acls, &decoded.acls, sizeof(record.acls));
}

/* A secret has one inode; mesh.yaml is no folder. */
static void test_where_acls_may_be(void **state)
{
	const struct {
		struct name name;
		bool access[RECORD_INODES], folder[RECORD_INODES];
	} cases[] = {
		{fixture_secret("m", "s"), {true, false, false}, {false, false, false}},
		{fixture_global("g"), {true, false, false}, {false, false, false}},
		{fixture_mesh("m"), {true, true, true}, {true, true, false}},
		{{.kind = NAME_ROOT}, {true, true, true}, {true, true, true}},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		for (unsigned inode = 0; inode < RECORD_INODES; inode++) {
			for (enum acl_kind kind = ACL_KIND_ACCESS; kind <= ACL_KIND_DEFAULT; kind++) {
				bool may = kind == ACL_KIND_ACCESS ? cases[i].access[inode] : cases[i].folder[inode];
				struct record record = {.name = cases[i].name}, decoded;
				struct acl acl = example_acl(kind);
				uint8_t plain[RECORD_BYTES];

				fixture_must(acl_put(&record.acls, inode, kind, &acl) == 0);
				record_encode(&record, plain);
				assert_int_equal(record_decode(plain, &decoded), may ? 0 : -EBADMSG);
			}
		}
	}
}

static void test_impossible_acls(void **state)
{
	struct record record = example(), decoded;
	struct acl access = example_acl(ACL_KIND_ACCESS);
	uint8_t plain[RECORD_BYTES];

	(void)state;
	fixture_must(acl_put(&record.acls, RECORD_SELF, ACL_KIND_ACCESS, &access) == 0);
	record_encode(&record, plain);
	plain[553] = 48; /* names that the list has no room for */
	decoded.size = 12345;
	assert_int_equal(record_decode(plain, &decoded), -EBADMSG);
	assert_int_equal(decoded.size, 12345);
	record_encode(&record, plain);
	plain[552 + ACL_LIST_BYTES - 1] = 1; /* after the last one */
	assert_int_equal(record_decode(plain, &decoded), -EBADMSG);
}

/* Whatever the bytes: an answer, no crash (the sanitizers watch), and names that are valid. */
static void test_any_bytes(void **state)
{
	struct record record = example(), decoded;
	uint8_t plain[RECORD_BYTES];
	uint64_t seed = 42;

	(void)state;
	for (int round = 0; round < 20000; round++) {
		record_encode(&record, plain);
		for (int i = 0; i < 4; i++)
			plain[fixture_random(&seed, i < 2 ? 64 : RECORD_BYTES)] = (uint8_t)fixture_random(&seed, 256);
		if (record_decode(plain, &decoded) == 0 && decoded.name.kind != NAME_ROOT)
			assert_true(name_is_valid(decoded.name.kind, decoded.name.name, strlen(decoded.name.name)));
	}
}

/* Each field counts, and within a time both parts. */
static void test_same_attributes(void **state)
{
	const struct record_attributes one = example().inodes[0];
	struct record_attributes other;

	(void)state;
	assert_true(record_same_attributes(&one, &one));
#define DIFFERS(field) \
	do { \
		other = one; \
		other.field++; \
		assert_false(record_same_attributes(&one, &other)); \
	} while (0)
	DIFFERS(uid);
	DIFFERS(gid);
	DIFFERS(mode);
	DIFFERS(removals);
	DIFFERS(mtime.tv_sec);
	DIFFERS(mtime.tv_nsec);
	DIFFERS(ctime.tv_sec);
	DIFFERS(ctime.tv_nsec);
	DIFFERS(atime.tv_sec);
	DIFFERS(atime.tv_nsec);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip), cmocka_unit_test(test_packing),      cmocka_unit_test(test_encoding_is_complete),
		cmocka_unit_test(test_layout),          cmocka_unit_test(test_unknown_version),
		cmocka_unit_test(test_impossible_fields), cmocka_unit_test(test_acls),
		cmocka_unit_test(test_where_acls_may_be), cmocka_unit_test(test_impossible_acls),
		cmocka_unit_test(test_any_bytes),       cmocka_unit_test(test_same_attributes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
