/* SPDX-License-Identifier: Apache-2.0
 * ops: what each operation of a transaction means for the resources.
 *
 * They see and change states of a batch only; nothing here touches the index or the disk.
 */
#include "store/batch.h"

#include "store/bundle.h"
#include "store/log.h"
#include "store/mesh.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* Say why @txn fails. What is told of a document may be any text. */
__attribute__((format(printf, 2, 3))) static void ops_say(struct store_txn *txn, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(txn->ret_why, sizeof(txn->ret_why), format, arguments);
	va_end(arguments);
	log_printable(txn->ret_why);
}

/* A folder's mtime says when an entry came or went. */
static int ops_touch_folder(struct batch *batch, const struct name *entry)
{
	struct name owner = {.kind = NAME_ROOT};
	struct batch_state state;
	enum record_inode inode;
	int r;

	switch (entry->kind) {
	case NAME_MESH:
		inode = RECORD_MESHES;
		break;
	case NAME_GLOBAL_SECRET:
		inode = RECORD_GLOBAL;
		break;
	case NAME_SECRET:
		inode = RECORD_MESH_SECRETS;
		owner = name_mesh(entry);
		break;
	case NAME_ROOT:
	default:
		return 0;
	}
	r = batch_get(batch, &owner, &state);
	if (r < 0)
		return r;
	if (!state.exists)
		return -ENOENT;
	state.record.inodes[inode].mtime = state.record.inodes[inode].ctime = batch->now;
	for (int i = 0; i < RECORD_INODES; i++) /* a mesh with secrets shows all that comes with it */
		record_set_attributes(&state.record.inodes[i], RECORD_SET_PRESENT, &state.record.inodes[i]);
	return batch_push(batch, &state);
}

/* Make @state that of a new resource: attributes and ACLs as given, times now, no value yet. */
static void ops_init_record(const struct batch *batch, struct batch_state *state, const struct name *name,
			    const struct record_attributes attributes[static RECORD_INODES],
			    const struct acl_list *acls)
{
	state->record = (struct record){.name = *name, .created = batch->manifest.generation + 1, .born = batch->now, .acls = *acls};
	for (int i = 0; i < RECORD_INODES; i++) {
		struct record_attributes *a = &state->record.inodes[i];

		*a = attributes[i];
		a->mtime = a->ctime = a->atime = batch->now;
	}
	state->exists = true;
}

/* With STORE_APPEND, put what is there in front of the op's value. */
static int ops_prepend_current(const struct batch *batch, const struct batch_state *state, const struct secbuf *added,
			       struct secbuf *ret_whole)
{
	int r = batch_read(batch, state, ret_whole);

	if (r < 0)
		return r;
	if (ret_whole->size + added->size > batch->store->options.value_bytes)
		return -EFBIG;
	return secbuf_write(ret_whole, ret_whole->size, added->data, added->size);
}

/* With STORE_PUT and STORE_APPEND, what is to be set besides the bytes. A mesh.yaml that was removed by hand is there again. */
static int ops_put_attributes(const struct store_op *op, struct record *to)
{
	enum record_inode file = record_file(op->name.kind);

	record_set_attributes(&to->inodes[file], op->set | RECORD_SET_PRESENT, &op->attributes[0]);
	return record_set_acls(to, file, op->set, &op->acls);
}

/* The bytes are what they were; only attributes may be new. */
static int ops_put_same(struct batch *batch, struct batch_state *state, const struct store_op *op)
{
	struct record_attributes *to = &state->record.inodes[record_file(op->name.kind)];
	const struct record_attributes before = *to;
	const struct acl_list acls = state->record.acls;
	int r = ops_put_attributes(op, &state->record);

	if (r < 0)
		return r;
	if (record_same_attributes(to, &before) && memcmp(&acls, &state->record.acls, sizeof(acls)) == 0)
		return 0;
	to->ctime = batch->now;
	batch->manifest.generation++;
	return batch_push(batch, state);
}

/* What is left of a mode when somebody other than root writes the file. */
static mode_t ops_without_setid(mode_t mode)
{
	return mode & ~(mode_t)(S_ISUID | (mode & S_IXGRP ? S_ISGID : 0));
}

/* The text of a Mesh's mesh.yaml: one document, that of this Mesh. It is kept as it was written, comments and all; in the Kubernetes
 * form, or as the only one of a list, as the Universal one that it means (*@ret_text is then not empty). */
static int ops_mesh_text(const struct batch *batch, struct store_txn *txn, const struct name *name,
			 const struct secbuf *given, struct secbuf *ret_text)
{
	const struct bundle_options options = {.value_bytes = batch->store->options.value_bytes};
	struct bundle_error error = {0};
	BUNDLE_AUTO bundle = {0};
	int r;

	r = bundle_parse(given->data, given->size, &options, &bundle, &error);
	if (r == -EINVAL)
		ops_say(txn, "line %u: %s", error.line, error.text);
	if (r < 0)
		return r;
	if (bundle.n != 1 || !name_equal(&bundle.items[0].name, name)) {
		ops_say(txn, "it has to be one document, with type: Mesh and name: %s", name->name);
		return -EINVAL;
	}
	if (bundle.items[0].kubernetes || bundle.items[0].in_list) {
		*ret_text = bundle.items[0].value;
		bundle.items[0].value = (struct secbuf){0}; /* transferred */
	}
	return 0;
}

/* Would it have been opened to write? */
static bool ops_lets_write(const struct record *record, const struct store_op *op)
{
	const struct record_attributes *file = &record->inodes[record_file(op->name.kind)];
	struct acl acl;

	acl_get(&record->acls, record_file(op->name.kind), ACL_KIND_ACCESS, &acl);
	return op->writer == 0 || (op->writer == file->uid && (file->mode & S_IWUSR)) || (file->mode & S_IWOTH) ||
	       (op->group == file->gid && (acl_group_permission(&acl, file->mode) & 2));
}

static int ops_put(struct batch *batch, struct store_txn *txn, struct store_op *op)
{
	SECBUF_AUTO whole = {0};
	SECBUF_AUTO document = {0};
	const struct secbuf *value = &op->value;
	uint8_t hash[CRYPTO_HASH_BYTES];
	struct batch_state state;
	struct record_attributes *file = &state.record.inodes[record_file(op->name.kind)];
	int r;

	r = batch_get(batch, &op->name, &state);
	if (r < 0)
		return r;
	op->ret_outcome = STORE_UNCHANGED;
	op->ret_created = op->only_created;
	if (op->only_created && (!state.exists || state.record.created != op->only_created)) {
		op->ret_outcome = STORE_GONE;
		return 0;
	}
	if (op->exclusive && state.exists)
		return -EEXIST;
	if (op->unaware && state.exists && !ops_lets_write(&state.record, op))
		return -EACCES;
	if (op->kind == STORE_APPEND && state.exists) {
		r = ops_prepend_current(batch, &state, &op->value, &whole);
		if (r < 0)
			return r;
		value = &whole;
	}
	if (value->size > batch->store->options.value_bytes)
		return -EFBIG;
	if (op->name.kind == NAME_MESH) {
		r = ops_mesh_text(batch, txn, &op->name, value, &document);
		if (r < 0)
			return r;
		value = document.size ? &document : value;
	}
	seal_value_hash(&batch->store->seal, value->data, value->size, hash);
	if (state.exists) {
		op->ret_created = state.record.created;
		if (state.record.size == value->size && crypto_equal(hash, state.record.value_hash, sizeof(hash)))
			return ops_put_same(batch, &state, op);
		op->ret_outcome = STORE_UPDATED;
		if (op->writer != 0) /* as on any filesystem; it runs nowhere anyway */
			file->mode = ops_without_setid(file->mode);
	} else {
		r = ops_touch_folder(batch, &op->name);
		if (r < 0)
			return r;
		ops_init_record(batch, &state, &op->name, op->attributes, &op->acls);
		op->ret_created = state.record.created;
		op->ret_outcome = STORE_CREATED;
	}
	r = batch_write(batch, &state, value, hash, op->writer, &batch->now);
	if (r == 0)
		r = ops_put_attributes(op, &state.record);
	return r < 0 ? r : batch_push(batch, &state);
}

/* A mesh.yaml that is removed by hand takes with it what it said: what comes back later is that of a new mesh. */
static int ops_reset_mesh(struct batch *batch, struct batch_state *state, uid_t writer)
{
	uint8_t hash[CRYPTO_HASH_BYTES];
	SECBUF_AUTO document = {0};
	int r = mesh_document(state->record.name.name, &document);

	if (r < 0)
		return r;
	seal_value_hash(&batch->store->seal, document.data, document.size, hash);
	return batch_write(batch, state, &document, hash, writer, &batch->now);
}

static int ops_set_attributes(struct batch *batch, const struct store_op *op)
{
	struct record_attributes *to;
	struct batch_state state;
	int r;

	r = batch_get(batch, &op->name, &state);
	if (r < 0)
		return r;
	if (!state.exists)
		return batch_set_removed(batch, &state, op->inode, op->set, &op->attributes[0]);
	if (op->owned && state.record.inodes[op->inode].uid != op->owner)
		return -EPERM;
	if ((op->set & RECORD_SET_ABSENT) && batch_has_secrets(batch, &state))
		return -ENOTEMPTY;
	if ((op->set & RECORD_SET_ABSENT) && op->inode == RECORD_MESH_YAML) {
		r = ops_reset_mesh(batch, &state, op->writer);
		if (r < 0)
			return r;
	}
	r = record_set_acls(&state.record, op->inode, op->set, &op->acls);
	if (r < 0)
		return r;
	to = &state.record.inodes[op->inode];
	record_set_attributes(to, op->set, &op->attributes[0]);
	to->ctime = batch->now;
	batch->manifest.generation++;
	return batch_push(batch, &state);
}

static int ops_remove_state(struct batch *batch, struct batch_state *state)
{
	int r = ops_touch_folder(batch, &state->record.name);

	if (r < 0)
		return r;
	state->exists = false;
	batch->manifest.generation++;
	return batch_push(batch, state);
}

static int ops_remove(struct batch *batch, const struct store_op *op)
{
	struct batch_state state;
	int r;

	r = batch_get(batch, &op->name, &state);
	if (r < 0)
		return r;
	if (!state.exists)
		return -ENOENT;
	if (op->name.kind == NAME_MESH && batch_has_secrets(batch, &state))
		return -ENOTEMPTY;
	return ops_remove_state(batch, &state);
}

/* The value and attributes go to the new name; that name's number, and the versions it had, stay its own. A value is sealed for its
 * place, so it is opened and sealed again. */
static int ops_rename(struct batch *batch, struct store_op *op)
{
	SECBUF_AUTO value = {0};
	struct batch_state from, to;
	int r;

	if (op->name.kind != op->to.kind || strcmp(op->name.mesh, op->to.mesh) != 0 ||
	    (op->name.kind != NAME_SECRET && op->name.kind != NAME_GLOBAL_SECRET))
		return -EXDEV;
	r = batch_get(batch, &op->name, &from);
	if (r == 0)
		r = batch_get(batch, &op->to, &to);
	if (r < 0)
		return r;
	if (!from.exists)
		return -ENOENT;
	if (op->exclusive && to.exists)
		return -EEXIST;
	op->ret_created = to.record.created;
	if (name_equal(&op->name, &op->to))
		return 0;
	r = batch_read(batch, &from, &value);
	if (r < 0)
		return r;
	if (to.exists) {
		memcpy(to.record.inodes, from.record.inodes, sizeof(to.record.inodes));
		to.record.acls = from.record.acls;
	} else {
		ops_init_record(batch, &to, &op->to, from.record.inodes, &from.record.acls);
	}
	op->ret_created = to.record.created;
	to.record.inodes[RECORD_SELF].atime = from.record.inodes[RECORD_SELF].atime;
	r = batch_write(batch, &to, &value, from.record.value_hash, op->writer, &from.record.inodes[RECORD_SELF].mtime);
	if (r == 0)
		r = batch_push(batch, &to);
	return r < 0 ? r : ops_remove_state(batch, &from); /* touches the folder for both */
}

/* The mTLS backend of a mesh as of now; none if there is no such mesh. */
static int ops_backend(const struct batch *batch, const char *mesh, struct mesh_backend *ret_backend)
{
	SECBUF_AUTO document = {0};
	struct batch_state state;
	struct name name;
	int r;

	*ret_backend = (struct mesh_backend){0};
	name_set(&name, NAME_MESH, "", mesh);
	r = batch_get(batch, &name, &state);
	if (r < 0 || !state.exists)
		return r;
	r = batch_read(batch, &state, &document);
	if (r == 0)
		r = mesh_read(&document, mesh, ret_backend);
	return r;
}

/* @name was removed or renamed away: is it gone, and does its mesh go on using it? */
static int ops_check_unused(const struct batch *batch, struct store_txn *txn, const struct name *name)
{
	char in_use[MESH_IN_USE_BYTES];
	struct mesh_backend backend;
	struct batch_state state;
	int r;

	if (name->kind != NAME_SECRET)
		return 0;
	r = batch_get(batch, name, &state);
	if (r < 0 || state.exists)
		return r;
	r = ops_backend(batch, name->mesh, &backend);
	if (r < 0 || !mesh_uses(&backend, name->name))
		return r;
	mesh_in_use(name->mesh, &backend, name->name, in_use);
	ops_say(txn, "%s", in_use);
	return -EBUSY;
}

/* A secret that a provided CA names exists; a GlobalSecret of that name does not count. */
static int ops_check_source(const struct batch *batch, struct store_txn *txn, const char *mesh, const char *field,
			    const struct mesh_data_source *source)
{
	struct batch_state state = {0};
	struct name name;

	if (source->kind != MESH_SOURCE_SECRET)
		return 0;
	if (name_set(&name, NAME_SECRET, mesh, source->secret) == 0) { /* else no secret has such a name */
		int r = batch_get(batch, &name, &state);

		if (r < 0 || state.exists)
			return r;
		name_set(&name, NAME_GLOBAL_SECRET, "", source->secret);
		r = batch_get(batch, &name, &state);
		if (r < 0)
			return r;
	}
	ops_say(txn,
		"mtls.backends[0].conf.%s: could not load data: Resource not found: type=\"Secret\" name=\"%s\" "
		"mesh=\"%s\"%s", field, source->secret, mesh,
		state.exists ? "; there is a GlobalSecret of that name, but a Mesh uses the Secrets of its own" : "");
	return -EINVAL;
}

static int ops_check_sources(const struct batch *batch, struct store_txn *txn, const struct name *mesh)
{
	struct mesh_backend backend;
	int r;

	if (mesh->kind != NAME_MESH)
		return 0;
	r = ops_backend(batch, mesh->name, &backend);
	if (r < 0 || !backend.provided || backend.skip_validation)
		return r;
	r = ops_check_source(batch, txn, mesh->name, "cert", &backend.cert);
	return r < 0 ? r : ops_check_source(batch, txn, mesh->name, "key", &backend.key);
}

/* What has to hold when all is done, in whatever order it was asked for. */
static int ops_check(const struct batch *batch, struct store_txn *txn, const struct store_op *op)
{
	switch (op->kind) { /* GCOVR_EXCL_BR_LINE: ops_do has refused another kind */
	case STORE_PUT:
	case STORE_APPEND:
		return ops_check_sources(batch, txn, &op->name);
	case STORE_REMOVE:
	case STORE_RENAME:
		return ops_check_unused(batch, txn, &op->name);
	case STORE_SET_ATTRIBUTES:
		break;
	}
	return 0;
}

static int ops_do(struct batch *batch, struct store_txn *txn, struct store_op *op)
{
	switch (op->kind) {
	case STORE_PUT:
	case STORE_APPEND:
		return ops_put(batch, txn, op);
	case STORE_SET_ATTRIBUTES:
		return ops_set_attributes(batch, op);
	case STORE_REMOVE:
		return ops_remove(batch, op);
	case STORE_RENAME:
		return ops_rename(batch, op);
	}
	return -EINVAL;
}

int ops_run(struct batch *batch, struct store_txn *txn)
{
	int r = 0;

	txn->ret_why[0] = 0;
	for (txn->ret_failed = 0; txn->ret_failed < txn->n_ops; txn->ret_failed++) {
		r = ops_do(batch, txn, &txn->ops[txn->ret_failed]);
		if (r < 0)
			return r;
	}
	for (txn->ret_failed = 0; txn->ret_failed < txn->n_ops; txn->ret_failed++) {
		r = ops_check(batch, txn, &txn->ops[txn->ret_failed]);
		if (r < 0)
			return r;
	}
	return 0;
}
