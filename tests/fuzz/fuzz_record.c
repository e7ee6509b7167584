/* SPDX-License-Identifier: Apache-2.0
 * fuzz_record: any bytes as a metadata record, and as the extended attribute of an ACL (the first byte says which). What is taken is the same
 * when it was written and read again; what is refused leaves nothing.
 */
#include "tests/fuzz/fuzz.h"

#include "store/record.h"
#include "tests/unit/fixture.h"

#include <errno.h>
#include <string.h>

static bool same_acl(const struct acl *a, const struct acl *b)
{
	bool same = a->present == b->present && a->mask == b->mask && a->group == b->group && a->mode == b->mode &&
		    a->count == b->count;

	for (unsigned i = 0; same && i < a->count; i++)
		same = a->named[i].group == b->named[i].group && a->named[i].permission == b->named[i].permission &&
		       a->named[i].id == b->named[i].id;
	return same;
}

/* An ACL as the kernel gets it, and gives it back: the same, but that users come before groups. */
static void check_format(const struct acl *acl, enum acl_kind kind)
{
	uint8_t xattr[ACL_XATTR_BYTES_MAX], again[ACL_XATTR_BYTES_MAX];
	size_t size = acl_format(acl, xattr);
	struct acl other;

	fixture_must(size <= sizeof(xattr));
	fixture_must(acl_parse(kind, xattr, size, &other) == 0);
	fixture_must(other.present && other.count == acl->count && other.mode == acl->mode);
	fixture_must(acl_format(&other, again) == size && memcmp(xattr, again, size) == 0);
}

static void check_acls(const struct record *record)
{
	for (unsigned inode = 0; inode < RECORD_INODES; inode++)
		for (unsigned kind = ACL_KIND_ACCESS; kind <= ACL_KIND_DEFAULT; kind++) {
			struct acl acl;

			acl_get(&record->acls, inode, kind, &acl);
			fixture_must(acl.count <= ACL_NAMED_MAX);
			if (acl.present)
				check_format(&acl, kind);
		}
}

static void check_record(const uint8_t *data, size_t size)
{
	uint8_t plain[RECORD_BYTES] = {0}, written[RECORD_BYTES], again[RECORD_BYTES];
	struct record record, other;
	struct name name;
	int r;

	memcpy(plain, data, size < sizeof(plain) ? size : sizeof(plain));
	r = record_decode(plain, &record);
	fixture_must(r == 0 || r == -EBADMSG || r == -EPROTONOSUPPORT);
	if (r < 0)
		return;
	fixture_must(name_set(&name, record.name.kind, record.name.mesh, record.name.name) == 0);
	record_encode(&record, written);
	fixture_must(record_decode(written, &other) == 0);
	record_encode(&other, again);
	fixture_must(memcmp(written, again, sizeof(written)) == 0);
	fixture_must(name_equal(&record.name, &other.name) && record.generation == other.generation);
	for (int i = 0; i < RECORD_INODES; i++)
		fixture_must(record_same_attributes(&record.inodes[i], &other.inodes[i]));
	check_acls(&record);
}

static void check_xattr(enum acl_kind kind, const uint8_t *data, size_t size)
{
	struct acl acl = {.count = 12345}, got;
	struct acl_list list = {0};
	int r = acl_parse(kind, data, size, &acl);

	fixture_must(r == 0 || r == -EINVAL || r == -EOPNOTSUPP || r == -ENOSPC);
	if (r < 0) {
		fixture_must(acl.count == 12345);
		return;
	}
	if (!acl.present)
		return;
	fixture_must(size == 4 + 8 * (acl.count + 3u + acl.mask)); /* no entry twice */
	check_format(&acl, kind);
	fixture_must(acl_put(&list, RECORD_SELF, kind, &acl) == 0 && acl_check(&list, 1, 1) == 0);
	acl_get(&list, RECORD_SELF, kind, &got);
	if (kind == ACL_KIND_ACCESS)
		got.mode = acl.mode; /* the file's */
	fixture_must(same_acl(&acl, &got));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	if (data[0] & 1)
		check_xattr(data[0] & 2 ? ACL_KIND_DEFAULT : ACL_KIND_ACCESS, data + 1, size - 1);
	else
		check_record(data + 1, size - 1);
	return 0;
}
