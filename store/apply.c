/* SPDX-License-Identifier: Apache-2.0
 * apply: from a bundle, or a list of names, to one transaction.
 *
 * Meshes come first in it, so that a secret finds its mesh wherever that stands in the bundle; that a mesh finds its secrets is
 * seen at the transaction's end. What is refused is said of the item that it is about.
 */
#include "store/apply.h"

#include "store/inherit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define APPLY_ATTEMPTS 8 /* at removing a mesh in which somebody goes on making secrets, or removing them */

/* What makes the mesh @mesh, among the first @n of @txn; or NULL. */
static const struct store_op *apply_making(const struct store_txn *txn, size_t n, const struct name *mesh)
{
	for (size_t i = 0; i < n && txn->ops[i].name.kind == NAME_MESH; i++)
		if (name_equal(&txn->ops[i].name, mesh))
			return &txn->ops[i];
	return NULL;
}

/* The folder that the resource of the op @n is made in: its attributes, and its default ACL; of a mesh that the same transaction makes those that
 * it gets. False if it is not there. */
static bool apply_folder(struct store *store, const struct store_txn *txn, size_t n, struct record_attributes *ret_folder,
			 struct acl *ret_default)
{
	const struct name *name = &txn->ops[n].name;
	const struct store_op *making;
	struct name owner = {.kind = NAME_ROOT};
	enum record_inode inode = name->kind == NAME_MESH ? RECORD_MESHES : RECORD_GLOBAL;
	struct store_info info;

	*ret_default = (struct acl){0};
	if (name->kind == NAME_SECRET) {
		owner = name_mesh(name);
		inode = RECORD_MESH_SECRETS;
	}
	if (store_look(store, store_node(store, &owner), &info) == 0 && info.exists) {
		*ret_folder = info.record.inodes[inode];
		acl_get(&info.record.acls, inode, ACL_KIND_DEFAULT, ret_default);
		return true;
	}
	making = apply_making(txn, n, &owner);
	if (!making)
		return false;
	*ret_folder = making->attributes[inode];
	acl_get(&making->acls, inode, ACL_KIND_DEFAULT, ret_default);
	return true;
}

/* What the resource of the op @n gets if it is new: nobody but its owner may read it, unless the folder's default ACL says who. */
static int apply_attributes(struct store *store, uid_t uid, gid_t gid, struct store_txn *txn, size_t n)
{
	struct store_op *op = &txn->ops[n];
	struct record_attributes owner = {.uid = uid, .gid = gid, .mode = op->name.kind == NAME_MESH ? 0755 : 0600};
	struct record_attributes folder;
	struct acl acl;

	if (apply_folder(store, txn, n, &folder, &acl) && (folder.mode & S_ISGID)) {
		owner.gid = folder.gid;
		owner.mode |= op->name.kind == NAME_MESH ? S_ISGID : 0;
	}
	if (op->name.kind == NAME_MESH)
		return inherit_mesh(&owner, &acl, op);
	if (acl.present)
		owner.mode |= 0066;
	inherit_file(&acl, &owner.mode, &op->acls);
	op->attributes[RECORD_SELF] = owner;
	return 0;
}

/* An error about an item, or about all of them (NULL). */
static int apply_refuse(const struct bundle_item *item, int r, const char *text, struct bundle_error *ret_error)
{
	ret_error->document = item ? item->document : 0;
	ret_error->line = item ? item->line : 0;
	ret_error->source = item ? item->source : 0;
	snprintf(ret_error->text, sizeof(ret_error->text), "%s", text);
	return r;
}

/* The store's answer as a sentence. */
static int apply_refused(const struct store_txn *txn, const struct bundle_item *item, int r,
			 struct bundle_error *ret_error)
{
	char text[sizeof(ret_error->text)];

	if (txn->ret_why[0])
		snprintf(text, sizeof(text), "%.390s", txn->ret_why);
	else if (r == -ENOENT && item) /* a Mesh needs nothing to be there */
		snprintf(text, sizeof(text), "mesh: Failed to retrieve Mesh \"%s\": there is none of that name", item->name.mesh);
	else if (r == -EFBIG)
		snprintf(text, sizeof(text), "data: longer than a secret may be");
	else if (r == -ENOMEM)
		snprintf(text, sizeof(text), "no locked memory left for so much at once; nothing was changed");
	else
		snprintf(text, sizeof(text), "%s; nothing was changed", strerror(-r));
	return apply_refuse(item, r, text, ret_error);
}

static bool apply_exists(struct store *store, const struct name *name)
{
	struct store_info info;

	return store_look(store, store_node(store, name), &info) == 0 && info.exists;
}

/* Is the name taken by a global, or in another mesh? */
static bool apply_is_elsewhere(struct store *store, const struct name *name)
{
	struct store_info mesh = {0};
	struct name other;

	name_set(&other, NAME_GLOBAL_SECRET, "", name->name);
	if (name->kind == NAME_SECRET && apply_exists(store, &other))
		return true;
	while (store_next(store, NAME_MESH, 0, mesh.node, &mesh) == 0) {
		name_set(&other, NAME_SECRET, mesh.record.name.name, name->name);
		if (!name_equal(&other, name) && apply_exists(store, &other))
			return true;
	}
	return false;
}

static int apply_order(const void *a, const void *b)
{
	const struct bundle_item *x = *(const struct bundle_item *const *)a, *y = *(const struct bundle_item *const *)b;

	return strcmp(x->name.name, y->name.name);
}

/* On Kubernetes all secrets share one namespace: one that is in another mesh can't be applied to this one. */
static int apply_check_kubernetes(struct store *store, const struct bundle *bundle, struct bundle_error *ret_error)
{
	static const char moves[] =
		"cannot change mesh of the Secret. Delete the Secret first and apply it again. (On Kubernetes a name "
		"is unique over all meshes and global secrets.)";
	const struct bundle_item **secrets = calloc(bundle->n, sizeof(*secrets));
	size_t n = 0;
	int r = 0;

	if (!secrets)
		return -ENOMEM;
	for (size_t i = 0; i < bundle->n && r == 0; i++) {
		const struct bundle_item *item = &bundle->items[i];

		if (!item->kubernetes || item->name.kind == NAME_MESH)
			continue;
		secrets[n++] = item;
		if (!apply_exists(store, &item->name) && apply_is_elsewhere(store, &item->name))
			r = apply_refuse(item, -EINVAL, moves, ret_error);
	}
	qsort(secrets, n, sizeof(*secrets), apply_order);
	for (size_t i = 1; i < n && r == 0; i++)
		if (strcmp(secrets[i]->name.name, secrets[i - 1]->name.name) == 0 &&
		    !name_equal(&secrets[i]->name, &secrets[i - 1]->name))
			r = apply_refuse(secrets[i], -EINVAL, moves, ret_error);
	free(secrets);
	return r;
}

/* Ops in the order of the transaction, items in that of the documents: which op is which item. */
static int apply_fill(struct store *store, struct bundle *bundle, uid_t uid, gid_t gid, struct store_txn *txn,
		      struct bundle_item **items)
{
	size_t n = 0;
	int r = 0;

	for (int meshes = 1; meshes >= 0; meshes--) {
		for (size_t i = 0; i < bundle->n && r == 0; i++) {
			struct bundle_item *item = &bundle->items[i];
			struct store_op *op = &txn->ops[n];

			if ((item->name.kind == NAME_MESH) != meshes)
				continue;
			op->kind = STORE_PUT;
			op->name = item->name;
			op->writer = uid;
			op->value = item->value;
			item->value = (struct secbuf){0}; /* transferred */
			r = apply_attributes(store, uid, gid, txn, n);
			txn->ret_failed = n;
			items[n++] = item;
		}
	}
	return r;
}

int apply_run(struct store *store, struct bundle *bundle, uid_t uid, gid_t gid, struct bundle_error *ret_error)
{
	struct bundle_item **items;
	struct store_txn *txn;
	int r;

	if (!bundle->n)
		return apply_refuse(NULL, -EINVAL, "no resource(s) passed to apply", ret_error);
	r = apply_check_kubernetes(store, bundle, ret_error);
	if (r == -EINVAL)
		return r;
	txn = store_txn_new(bundle->n);
	items = calloc(bundle->n, sizeof(*items));
	if (r == -ENOMEM || !txn || !items) {
		store_txn_free(txn);
		free(items);
		return apply_refuse(NULL, -ENOMEM, "no memory for so many resources; nothing was changed", ret_error);
	}
	r = apply_fill(store, bundle, uid, gid, txn, items);
	if (r == 0)
		r = store_run(store, txn);
	if (r < 0)
		apply_refused(txn, txn->ret_failed < txn->n_ops ? items[txn->ret_failed] : NULL, r, ret_error);
	for (size_t i = 0; i < bundle->n && r == 0; i++)
		items[i]->outcome = txn->ops[i].ret_outcome;
	store_txn_free(txn);
	free(items);
	return r;
}

/* What is to go: the names that were given, and of each mesh the secrets that it has. */
struct apply_removal {
	struct name *names; /* owned array */
	size_t n, capacity;
};

static int apply_removal_add(struct apply_removal *removal, const struct name *name)
{
	if (removal->n == removal->capacity) {
		size_t capacity = removal->capacity ? 2 * removal->capacity : 16;
		struct name *names = reallocarray(removal->names, capacity, sizeof(*names));

		if (!names)
			return -ENOMEM;
		removal->names = names;
		removal->capacity = capacity;
	}
	removal->names[removal->n++] = *name;
	return 0;
}

/* Was it given on its own as well? Then it does not go a second time with its mesh. */
static bool apply_is_among(const struct name *names, size_t n, const struct name *name)
{
	for (size_t i = 0; i < n; i++)
		if (name_equal(&names[i], name))
			return true;
	return false;
}

/* Secrets first, so that each mesh comes behind its own. */
static int apply_removal_fill(struct store *store, const struct name *names, size_t n, struct apply_removal *removal)
{
	int r = 0;

	for (size_t i = 0; i < n && r == 0; i++)
		if (names[i].kind != NAME_MESH && !apply_is_among(names, i, &names[i]))
			r = apply_removal_add(removal, &names[i]);
	for (size_t i = 0; i < n && r == 0; i++) {
		struct store_info secret = {0};

		if (names[i].kind != NAME_MESH || apply_is_among(names, i, &names[i]))
			continue;
		while (r == 0 && store_next(store, NAME_SECRET, store_node(store, &names[i]), secret.node, &secret) == 0)
			if (!apply_is_among(names, n, &secret.record.name))
				r = apply_removal_add(removal, &secret.record.name);
		if (r == 0)
			r = apply_removal_add(removal, &names[i]);
	}
	return r;
}

/* -ENOTEMPTY also if somebody else has removed a secret of a mesh that is to go: it has others than it had. */
static int apply_remove_once(struct store *store, const struct name *names, size_t n, const struct apply_removal *removal,
			     struct bundle_error *ret_error)
{
	struct store_txn *txn = store_txn_new(removal->n);
	char text[sizeof(ret_error->text)];
	int r;

	if (!txn)
		return apply_refuse(NULL, -ENOMEM, "no memory; nothing was deleted", ret_error);
	for (size_t i = 0; i < removal->n; i++) {
		txn->ops[i].kind = STORE_REMOVE;
		txn->ops[i].name = removal->names[i];
	}
	r = store_run(store, txn);
	if (r == -ENOENT && txn->ret_failed < removal->n) {
		const struct name *name = &removal->names[txn->ret_failed];

		if (!apply_is_among(names, n, name))
			r = -ENOTEMPTY;
		snprintf(text, sizeof(text), "there is no %s with name \"%s\"; nothing was deleted", name_type(name->kind), name->name);
		apply_refuse(NULL, r, text, ret_error);
	} else if (r < 0) {
		apply_refused(txn, NULL, r, ret_error);
	}
	store_txn_free(txn);
	return r;
}

int apply_remove(struct store *store, const struct name *names, size_t n, struct name **ret_names, size_t *ret_n,
		 struct bundle_error *ret_error)
{
	struct apply_removal removal = {0};
	int r = -ENOTEMPTY;

	for (unsigned attempt = 0; attempt < APPLY_ATTEMPTS && r == -ENOTEMPTY; attempt++) {
		removal.n = 0;
		r = apply_removal_fill(store, names, n, &removal);
		if (r < 0)
			apply_refuse(NULL, r, "no memory; nothing was deleted", ret_error);
		else
			r = apply_remove_once(store, names, n, &removal, ret_error);
	}
	if (r < 0) {
		free(removal.names);
		return r;
	}
	*ret_names = removal.names;
	*ret_n = removal.n;
	return 0;
}
