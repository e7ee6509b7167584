/* SPDX-License-Identifier: Apache-2.0
 * test_apply: a bundle is one transaction; a Mesh's secrets exist, and stay as long as it names them.
 */
#include "tests/unit/cmocka_all.h"
#include "tests/unit/fixture.h"

#include "store/apply.h"
#include "store/mesh.h"

#include <errno.h>
#include <string.h>

#define PROVIDED(name, cert, key)                                                                                      \
	"type: Mesh\nname: " name "\nmtls:\n  backends:\n  - name: ca-1\n    type: provided\n    conf:\n"              \
	"      cert: {secret: " cert "}\n      key: {secret: " key "}\n"
#define SECRET(mesh, name, data) "---\ntype: Secret\nmesh: " mesh "\nname: " name "\ndata: " data "\n"

/* store_run, or what is put in its place; that may use it. */
static int (*instead_of_running)(struct store *store, struct store_txn *txn);

int __real_store_run(struct store *store, struct store_txn *txn);
int __wrap_store_run(struct store *store, struct store_txn *txn);
int __wrap_store_run(struct store *store, struct store_txn *txn)
{
	int (*instead)(struct store *store, struct store_txn *txn) = instead_of_running;
	int r;

	if (!instead)
		return __real_store_run(store, txn);
	instead_of_running = NULL;
	r = instead(store, txn);
	instead_of_running = instead;
	return r;
}

static int apply(struct store *store, const char *text, struct bundle *ret_bundle, struct bundle_error *error)
{
	const struct bundle_options options = {.value_bytes = STORE_VALUE_BYTES_DEFAULT};
	BUNDLE_AUTO bundle = {0};
	int r;

	memset(error, 0, sizeof(*error));
	r = bundle_parse(text, strlen(text), &options, &bundle, error);
	if (r == 0)
		r = apply_run(store, &bundle, 1000, 100, error);
	if (ret_bundle && r == 0) {
		*ret_bundle = bundle;
		bundle = (struct bundle){0};
	}
	return r;
}

static uint64_t generation(struct store *store)
{
	struct store_status status;

	store_get_status(store, &status);
	return status.generation;
}

static int remove_one(struct store *store, struct name name, struct bundle_error *error)
{
	struct name *gone;
	size_t n;
	int r = apply_remove(store, &name, 1, &gone, &n, error);

	if (r == 0)
		free(gone);
	return r;
}

static void test_outcomes(void **state)
{
	static const char first[] = SECRET("default", "a", "YQ==") SECRET("new", "b", "Yg==") "---\ntype: Mesh\nname: new\n"
				    "---\ntype: GlobalSecret\nname: c\ndata: Yw==\n";
	static const char second[] = SECRET("default", "a", "YQ==") SECRET("new", "b", "YmI=");
	struct fixture *f = *state;
	struct bundle_error error;
	struct store_info info;
	struct store *store;
	uint64_t before;

	fixture_make(f);
	store = fixture_open(f, 10, 1 << 20);
	{
		BUNDLE_AUTO bundle = {0};

		assert_int_equal(apply(store, first, &bundle, &error), 0);
		for (size_t i = 0; i < bundle.n; i++)
			assert_int_equal(bundle.items[i].outcome, STORE_CREATED);
	}
	assert_true(fixture_holds(store, fixture_secret("new", "b"), "b", 1));
	assert_true(fixture_holds(store, fixture_global("c"), "c", 1));
	info = fixture_info(store, fixture_secret("new", "b"));
	assert_int_equal(info.record.inodes[RECORD_SELF].mode, 0600);
	assert_int_equal(info.record.inodes[RECORD_SELF].uid, 1000);
	assert_int_equal(info.record.inodes[RECORD_SELF].gid, 100);
	assert_true(info.record.born.tv_sec > 1700000000);
	info = fixture_info(store, fixture_mesh("new"));
	assert_int_equal(info.record.inodes[RECORD_SELF].mode, 0755);
	assert_int_equal(info.record.inodes[RECORD_MESH_SECRETS].mode, 0700);
	assert_int_equal(info.record.inodes[RECORD_MESH_YAML].mode, 0644);
	{
		BUNDLE_AUTO bundle = {0};

		assert_int_equal(apply(store, second, &bundle, &error), 0);
		assert_int_equal(bundle.items[0].outcome, STORE_UNCHANGED);
		assert_int_equal(bundle.items[1].outcome, STORE_UPDATED);
	}
	before = generation(store);
	assert_int_equal(apply(store, second, NULL, &error), 0);
	assert_true(generation(store) == before); /* nothing to write */
	store_close(store);
}

/* Whatever is wrong, and wherever it stands, nothing of the bundle is there. */
static void test_all_or_nothing(void **state)
{
	static const struct {
		const char *text;
		unsigned document;
		const char *words;
	} cases[] = {
		{SECRET("default", "x", "YQ==") SECRET("nowhere", "y", "YQ=="), 2, "Failed to retrieve Mesh \"nowhere\""},
		{SECRET("default", "x", "YQ==") SECRET("default", "y", "Y"), 2, "illegal base64 data at input byte"},
		{SECRET("default", "x", "YQ==") "---\n" PROVIDED("default", "x", "no-key"), 2,
		 "could not load data: Resource not found: type=\"Secret\" name=\"no-key\" mesh=\"default\""},
		{PROVIDED("m2", "x", "x") SECRET("default", "x", "YQ=="), 1, "name=\"x\" mesh=\"m2\""},
		{"type: GlobalSecret\nname: x\n---\n" PROVIDED("default", "x", "x"), 2, "there is a GlobalSecret of that name"},
		{"", 0, "no resource(s) passed to apply"},
		{"# nothing\n---\n---\n", 0, "no resource(s) passed to apply"},
	};
	struct fixture *f = *state;
	struct store *store;
	uint64_t before;

	fixture_make(f);
	store = fixture_open(f, 10, 1 << 20);
	before = generation(store);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct bundle_error error;
		int r = apply(store, cases[i].text, NULL, &error);

		if (r == 0 || !strstr(error.text, cases[i].words))
			print_message("# %s\n# %d: %s\n", cases[i].text, r, error.text);
		assert_true(r < 0);
		assert_non_null(strstr(error.text, cases[i].words));
		assert_int_equal(error.document, cases[i].document);
		assert_true(generation(store) == before);
		assert_false(fixture_exists(store, fixture_secret("default", "x")));
		assert_false(fixture_exists(store, fixture_global("x")));
		assert_false(fixture_exists(store, fixture_mesh("m2")));
	}
	store_close(store);
}

/* A Mesh and what it names, in any order; then what is named can't go, in whatever way somebody tries. */
static void test_in_use(void **state)
{
	static const char sentence[] =
		"The secret \"crt\" that you are trying to remove is currently in use in Mesh \"m\" in mTLS backend \"ca-1\". "
		"Please remove the reference from the \"ca-1\" backend before removing the secret.";
	struct fixture *f = *state;
	struct bundle_error error;
	struct store_txn *txn;
	struct store *store;
	struct name *gone;
	size_t n;

	fixture_make(f);
	store = fixture_open(f, 10, 1 << 20);
	assert_int_equal(apply(store, PROVIDED("m", "crt", "key") SECRET("m", "crt", "YQ==") SECRET("m", "key", "YQ=="), NULL, &error), 0);
	assert_int_equal(apply(store, SECRET("default", "crt", "YQ=="), NULL, &error), 0);
	assert_int_equal(remove_one(store, fixture_secret("m", "crt"), &error), -EBUSY);
	assert_string_equal(error.text, sentence);
	assert_int_equal(remove_one(store, fixture_secret("default", "crt"), &error), 0); /* that of another mesh */
	assert_int_equal(fixture_do(store, STORE_REMOVE, fixture_secret("m", "key"), "", 0, NULL), -EBUSY);
	txn = store_txn_new(1);
	txn->ops[0].kind = STORE_RENAME;
	txn->ops[0].name = fixture_secret("m", "crt");
	txn->ops[0].to = fixture_secret("m", "other");
	assert_int_equal(store_run(store, txn), -EBUSY);
	assert_string_equal(txn->ret_why, sentence);
	store_txn_free(txn);
	/* moved away and made anew in one: it is there at the end */
	txn = store_txn_new(2);
	txn->ops[0].kind = STORE_RENAME;
	txn->ops[0].name = fixture_secret("m", "crt");
	txn->ops[0].to = fixture_secret("m", "other");
	fixture_op(&txn->ops[1], STORE_PUT, fixture_secret("m", "crt"), "b", 1);
	assert_int_equal(store_run(store, txn), 0);
	store_txn_free(txn);
	/* a new value is no removal */
	assert_int_equal(apply(store, SECRET("m", "crt", "Yg=="), NULL, &error), 0);
	/* without the reference it may go; both in one transaction is fine too, as is the mesh with all it has */
	assert_int_equal(apply(store, PROVIDED("m", "key", "key"), NULL, &error), 0);
	assert_int_equal(remove_one(store, fixture_secret("m", "crt"), &error), 0);
	assert_int_equal(apply_remove(store, (struct name[]){fixture_mesh("m")}, 1, &gone, &n, &error), 0);
	assert_int_equal(n, 3);
	assert_true(name_equal(&gone[2], &(struct name){.kind = NAME_MESH, .name = "m"}));
	free(gone);
	assert_false(fixture_exists(store, fixture_mesh("m")));
	assert_false(fixture_exists(store, fixture_secret("m", "key")));
	store_close(store);
}

/* The two that Kuma makes for a builtin CA: they need not be there, and if they are they stay. */
static void test_builtin(void **state)
{
	static const char mesh[] = "type: Mesh\nname: default\nmtls:\n  enabledBackend: ca-2\n  backends:\n  - {name: ca-2, type: builtin}\n";
	struct fixture *f = *state;
	struct bundle_error error;
	struct store *store;

	fixture_make(f);
	store = fixture_open(f, 10, 1 << 20);
	assert_int_equal(apply(store, mesh, NULL, &error), 0);
	assert_int_equal(apply(store, SECRET("default", "default.ca-builtin-cert-ca-2", "YQ==")
				      SECRET("default", "default.ca-builtin-key-ca-2", "YQ==")
				      SECRET("default", "default.ca-builtin-key-ca-1", "YQ=="), NULL, &error), 0);
	assert_int_equal(remove_one(store, fixture_secret("default", "default.ca-builtin-cert-ca-2"), &error), -EBUSY);
	assert_int_equal(remove_one(store, fixture_secret("default", "default.ca-builtin-key-ca-2"), &error), -EBUSY);
	assert_int_equal(remove_one(store, fixture_secret("default", "default.ca-builtin-key-ca-1"), &error), 0);
	store_close(store);
}

/* What a Mesh says of its backend, with Kuma's words. */
static void test_mesh_rules(void **state)
{
#define MTLS(text) "type: Mesh\nname: default\nmtls:\n" text
#define CONF(text) MTLS("  backends:\n  - name: a\n    type: provided\n    conf: " text "\n")
	static const struct {
		const char *text, *error; /* NULL: it is fine */
	} cases[] = {
		{MTLS("  backends: [{name: a, type: builtin}, {name: b, type: builtin}]\n"), "mtls.backends: cannot have more than 1 backends"},
		{MTLS("  backends: [{name: a, type: builtin}, {name: a, type: builtin}]\n"),
		 "mtls.backends[1].name: \"a\" name is already used for another backend"},
		{MTLS("  enabledBackend: b\n  backends: [{name: a, type: builtin}]\n"),
		 "mtls.enabledBackend: has to be set to one of the backends in the mesh"},
		{MTLS("  enabledBackend: ''\n  backends: [{name: a, type: builtin}]\n"), NULL},
		{MTLS("  backends: []\n"), NULL},
		{MTLS("  backends:\n  - name: a\n    type: provided\n"), "mtls.backends[0].conf.cert: has to be defined"},
		{CONF("{cert: {secret: x}}"), "mtls.backends[0].conf.key: has to be defined"},
		{CONF("{cert: {}, key: {}}"),
		 "mtls.backends[0].conf.cert: data source has to be chosen. Available sources: secret, file, inline"},
		{CONF("{cert: {secret: ''}, key: {secret: x}}"), "mtls.backends[0].conf.cert.secret: cannot be empty"},
		{CONF("{cert: {inline: }, key: {secret: x}}"), "mtls.backends[0].conf.cert.inline: cannot be empty"},
		{CONF("{cert: {secret: x, file: y}, key: {secret: x}}"), "mtls.backends[0].conf.cert: only one data source can be chosen"},
		{CONF("{cert: {secret: [x]}, key: {secret: x}}"), "mtls.backends[0].conf.cert.secret: has to be a string"},
		{CONF("{cert: {secret: x}, key: {secret: x}}\n    config: {}"),
		 "mtls.backends[0].config: there is conf too, which is the same: give one of them"},
		{CONF("{cert: {file: /x}, key: {inlineString: y}}"), NULL},
		{CONF("{cert: {secret: x}, key: {secret: x}}\n  skipValidation: true"), NULL}, /* x does not exist */
		{CONF("{cert: {secret: x}, key: {secret: x}}"),
		 "mtls.backends[0].conf.cert: could not load data: Resource not found: type=\"Secret\" name=\"x\" mesh=\"default\""},
		{CONF("{cert: {secret: Not_A_Name}, key: {secret: x}}"),
		 "mtls.backends[0].conf.cert: could not load data: Resource not found: type=\"Secret\" name=\"Not_A_Name\" mesh=\"default\""},
		/* a line stays one, and commands no terminal */
		{CONF("{cert: {secret: \"x\\n\\e[31m\\x9b\\u00e9\"}, key: {secret: x}}"),
		 "mtls.backends[0].conf.cert: could not load data: Resource not found: type=\"Secret\" name=\"x??[31m??\u00e9\" mesh=\"default\""},
		{MTLS("  backends: [{name: \"a\\n\", type: builtin}, {name: \"a\\n\", type: builtin}]\n"),
		 "mtls.backends[1].name: \"a?\" name is already used for another backend"},
		{MTLS("  backends: [{name: a, type: vault, conf: {fromCp: {address: x}}}]\n"), NULL},
		{"type: Mesh\nname: default\nmtls: yes\n", "mtls: has to be a mapping"},
	};
	struct fixture *f = *state;
	struct store *store;

	fixture_make(f);
	store = fixture_open(f, 10, 1 << 20);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct bundle_error error;
		int r = apply(store, cases[i].text, NULL, &error);

		if ((r == 0) != !cases[i].error)
			print_message("# %s\n# %d: %s\n", cases[i].text, r, error.text);
		assert_int_equal(r, cases[i].error ? -EINVAL : 0);
		assert_string_equal(error.text, cases[i].error ? cases[i].error : "");
	}
	store_close(store);
}

/* A Mesh that says nothing at all has no backend. */
static void test_mesh_of_nothing(void **state)
{
	const struct secbuf nothing = {0};
	struct mesh_backend backend = {.present = true};

	(void)state;
	assert_int_equal(mesh_read(&nothing, "m", &backend), 0);
	assert_false(backend.present);
}

/* mesh.yaml as a file: kept to the letter if it is this Mesh's document, refused if it isn't. */
static void test_mesh_as_file(void **state)
{
	static const char text[] = "# a comment\ntype:   Mesh\nname: default   \nx: [1,   2]\n";
	static const char kubernetes[] = "apiVersion: kuma.io/v1alpha1\nkind: Mesh\nmetadata:\n  name: default\nspec:\n  x: 1\n";
	static const char list[] = "{\"total\": 1, \"items\": [{\"type\": \"Mesh\", \"name\": \"default\", \"x\": 2}], \"next\": null}\n";
	static const char list_of_missing[] = "items: [{type: Mesh, name: default, mtls: {backends: [{name: a, type: provided, "
					      "conf: {cert: {secret: no}, key: {secret: no}}}]}}]\n";
	static const char *const refused[] = {"", "type: Mesh\nname: other\n", "type: Secret\nname: a\nmesh: default\n", "x: y\n",
					      "type: Mesh\nname: default\n---\ntype: Mesh\nname: default\n", "type: Mesh\nname: [\n"};
	const struct name mesh = fixture_mesh("default");
	struct fixture *f = *state;
	struct store *store;
	struct store_txn *txn;

	fixture_make(f);
	store = fixture_open(f, 10, 1 << 20);
	assert_int_equal(fixture_do(store, STORE_PUT, mesh, text, strlen(text), NULL), 0);
	assert_true(fixture_holds(store, mesh, text, strlen(text)));
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		txn = store_txn_new(1);
		fixture_op(&txn->ops[0], STORE_PUT, mesh, refused[i], strlen(refused[i]));
		assert_int_equal(store_run(store, txn), -EINVAL);
		assert_true(txn->ret_why[0] != 0);
		assert_int_equal(txn->ret_failed, 0);
		store_txn_free(txn);
		assert_true(fixture_holds(store, mesh, text, strlen(text)));
	}
	assert_int_equal(fixture_do(store, STORE_APPEND, mesh, "y: 3\n", 5, NULL), 0);
	assert_int_equal(fixture_do(store, STORE_APPEND, mesh, "y: 4\n", 5, NULL), -EINVAL); /* twice */
	assert_int_equal(fixture_do(store, STORE_PUT, mesh, kubernetes, strlen(kubernetes), NULL), 0);
	assert_true(fixture_holds(store, mesh, "type: Mesh\nname: default\nx: 1\n", 30));
	/* as kumactl prints it: what the Mesh says counts, wherever it stands */
	assert_int_equal(fixture_do(store, STORE_PUT, mesh, list_of_missing, strlen(list_of_missing), NULL), -EINVAL);
	assert_int_equal(fixture_do(store, STORE_PUT, mesh, list, strlen(list), NULL), 0);
	assert_true(fixture_holds(store, mesh, "type: Mesh\nname: default\nx: 2\n", 30));
	/* removed by hand it forgets what it said */
	txn = store_txn_new(1);
	txn->ops[0].kind = STORE_SET_ATTRIBUTES;
	txn->ops[0].name = mesh;
	txn->ops[0].inode = RECORD_MESH_YAML;
	txn->ops[0].set = RECORD_SET_ABSENT;
	assert_int_equal(store_run(store, txn), 0);
	store_txn_free(txn);
	assert_true(fixture_holds(store, mesh, "type: Mesh\nname: default\n", 25));
	store_close(store);
}

/* On Kubernetes a name is there once over all meshes and globals; the Universal form knows no such bound. */
static void test_kubernetes_names(void **state)
{
#define ON_KUBERNETES(mesh, name)                                                                                      \
	"---\napiVersion: v1\nkind: Secret\nmetadata: {name: " name ", labels: {kuma.io/mesh: " mesh "}}\n"              \
	"data: {value: YQ==}\ntype: system.kuma.io/secret\n"
	static const char moves[] = "cannot change mesh of the Secret. Delete the Secret first and apply it again.";
	struct fixture *f = *state;
	struct bundle_error error;
	struct store *store;

	fixture_make(f);
	store = fixture_open(f, 10, 1 << 20);
	assert_int_equal(apply(store, "type: Mesh\nname: second\n", NULL, &error), 0);
	assert_int_equal(apply(store, ON_KUBERNETES("second", "sec-1"), NULL, &error), 0);
	assert_int_equal(apply(store, ON_KUBERNETES("second", "sec-1"), NULL, &error), 0);
	assert_int_equal(apply(store, ON_KUBERNETES("default", "sec-1"), NULL, &error), -EINVAL);
	assert_true(strncmp(error.text, moves, strlen(moves)) == 0);
	assert_int_equal(apply(store, ON_KUBERNETES("default", "a") ON_KUBERNETES("second", "a"), NULL, &error), -EINVAL);
	assert_int_equal(error.document, 2);
	assert_false(fixture_exists(store, fixture_secret("default", "a")));
	assert_int_equal(apply(store, "type: GlobalSecret\nname: g\n", NULL, &error), 0);
	assert_int_equal(apply(store, ON_KUBERNETES("default", "g"), NULL, &error), -EINVAL);
	assert_int_equal(apply(store, SECRET("default", "sec-1", "YQ=="), NULL, &error), 0);
	assert_int_equal(apply(store, ON_KUBERNETES("default", "sec-1"), NULL, &error), 0); /* it is there */
	store_close(store);
}

/* A secret twice is once; the second of three is refused, and so are all; what was removed is in nobody's way, whoever still has it open. */
static void test_kubernetes_names_again(void **state)
{
	const struct name held = fixture_secret("second", "held"), mesh = fixture_mesh("third");
	struct fixture *f = *state;
	uint64_t generation, of_mesh;
	struct bundle_error error;
	struct store *store;

	fixture_make(f);
	store = fixture_open(f, 10, 1 << 20);
	assert_int_equal(apply(store, "type: Mesh\nname: second\n---\ntype: Mesh\nname: third\n", NULL, &error), 0);
	assert_int_equal(apply(store, ON_KUBERNETES("second", "held") ON_KUBERNETES("second", "held"), NULL, &error), 0);
	assert_int_equal(apply(store, ON_KUBERNETES("default", "a") ON_KUBERNETES("default", "held") ON_KUBERNETES("default", "b"),
			       NULL, &error), -EINVAL);
	assert_int_equal(error.document, 2);
	assert_false(fixture_exists(store, fixture_secret("default", "a")) || fixture_exists(store, fixture_secret("default", "b")));
	assert_int_equal(store_pin(store, store_node(store, &held), &generation), 0);
	assert_int_equal(store_pin(store, store_node(store, &mesh), &of_mesh), 0);
	assert_int_equal(remove_one(store, held, &error), 0);
	assert_int_equal(remove_one(store, mesh, &error), 0);
	assert_int_equal(apply(store, ON_KUBERNETES("default", "held"), NULL, &error), 0);
	assert_int_equal(apply(store, SECRET("third", "x", "YQ=="), NULL, &error), -ENOENT);
	assert_non_null(strstr(error.text, "Failed to retrieve Mesh \"third\""));
	store_unpin(store, store_node(store, &held), generation);
	store_unpin(store, store_node(store, &mesh), of_mesh);
	store_close(store);
}

/* Give /meshes that default ACL. */
static void hand_down(struct store *store, const struct acl *folder)
{
	struct store_txn *txn = store_txn_new(1);

	txn->ops[0].kind = STORE_SET_ATTRIBUTES;
	txn->ops[0].name = (struct name){.kind = NAME_ROOT};
	txn->ops[0].inode = RECORD_MESHES;
	txn->ops[0].set = RECORD_SET_DEFAULT_ACL;
	fixture_must(acl_put(&txn->ops[0].acls, RECORD_MESHES, ACL_KIND_DEFAULT, folder) == 0);
	assert_int_equal(store_run(store, txn), 0);
	store_txn_free(txn);
}

/* An ACL that is handed down to a mesh's folders and files, for which its record has no room: nothing is made. */
static void test_too_much_is_inherited(void **state)
{
	struct acl folder = {.present = true, .mask = true, .mode = 0770};
	struct fixture *f = *state;
	struct bundle_error error;
	struct store *store;

	fixture_make(f);
	store = fixture_open(f, 10, 1 << 20);
	for (folder.count = 0; folder.count < 16; folder.count++)
		folder.named[folder.count] = (struct acl_named){.permission = 4, .id = 3000 + folder.count};
	hand_down(store, &folder);
	assert_int_equal(apply(store, SECRET("default", "a", "YQ==") "---\ntype: Mesh\nname: m1\n---\ntype: Mesh\nname: m2\n", NULL,
			       &error), -ENOSPC);
	assert_int_equal(error.document, 2);
	assert_false(fixture_exists(store, fixture_secret("default", "a")));
	assert_false(fixture_exists(store, fixture_mesh("m1")) || fixture_exists(store, fixture_mesh("m2")));
	store_close(store);
}

/* Folders hand down their group and their default ACL. */
static void test_inherited(void **state)
{
	struct acl folder = {.present = true, .mask = true, .group = 0, .mode = 0770, .count = 1,
			     .named = {{.permission = 4, .id = 3000}}}, acl;
	struct fixture *f = *state;
	struct bundle_error error;
	struct store_info info;
	struct store_txn *txn;
	struct store *store;

	fixture_make(f);
	store = fixture_open(f, 10, 1 << 20);
	txn = store_txn_new(1);
	txn->ops[0].kind = STORE_SET_ATTRIBUTES;
	txn->ops[0].name = fixture_mesh("default");
	txn->ops[0].inode = RECORD_MESH_SECRETS;
	txn->ops[0].set = RECORD_SET_DEFAULT_ACL | RECORD_SET_GID | RECORD_SET_MODE;
	txn->ops[0].attributes[0] = (struct record_attributes){.gid = 2000, .mode = 02750};
	fixture_must(acl_put(&txn->ops[0].acls, RECORD_MESH_SECRETS, ACL_KIND_DEFAULT, &folder) == 0);
	assert_int_equal(store_run(store, txn), 0);
	store_txn_free(txn);
	assert_int_equal(apply(store, SECRET("default", "a", "YQ=="), NULL, &error), 0);
	info = fixture_info(store, fixture_secret("default", "a"));
	assert_int_equal(info.record.inodes[RECORD_SELF].gid, 2000);
	acl_get(&info.record.acls, RECORD_SELF, ACL_KIND_ACCESS, &acl);
	assert_true(acl.present);
	assert_int_equal(acl.count, 1);
	assert_int_equal(acl.named[0].id, 3000);
	assert_int_equal(info.record.inodes[RECORD_SELF].mode & 0777, 0660); /* what the folder allows of 0666 */
	/* a mesh hands it on */
	txn = store_txn_new(1);
	txn->ops[0].kind = STORE_SET_ATTRIBUTES;
	txn->ops[0].name = (struct name){.kind = NAME_ROOT};
	txn->ops[0].inode = RECORD_MESHES;
	txn->ops[0].set = RECORD_SET_GID | RECORD_SET_MODE;
	txn->ops[0].attributes[0] = (struct record_attributes){.gid = 2000, .mode = 02755};
	assert_int_equal(store_run(store, txn), 0);
	store_txn_free(txn);
	assert_int_equal(apply(store, "type: Mesh\nname: new\n", NULL, &error), 0);
	info = fixture_info(store, fixture_mesh("new"));
	assert_int_equal(info.record.inodes[RECORD_SELF].gid, 2000);
	assert_int_equal(info.record.inodes[RECORD_SELF].mode, 02755);
	/* also to secrets that are made with it */
	hand_down(store, &folder);
	assert_int_equal(apply(store, SECRET("together", "a", "YQ==") SECRET("default", "b", "YQ==")
			       "---\ntype: Mesh\nname: other\n---\ntype: Mesh\nname: together\n", NULL, &error), 0);
	info = fixture_info(store, fixture_secret("together", "a"));
	acl_get(&info.record.acls, RECORD_SELF, ACL_KIND_ACCESS, &acl);
	assert_int_equal(acl.count, 1);
	assert_int_equal(acl.named[0].id, 3000);
	assert_int_equal(info.record.inodes[RECORD_SELF].mode & 0777, 0660);
	store_close(store);
}

static void test_remove(void **state)
{
	struct fixture *f = *state;
	struct name names[3] = {fixture_secret("default", "a"), fixture_global("b"), fixture_secret("default", "none")};
	struct bundle_error error;
	struct store *store;
	struct name *gone;
	size_t n;

	fixture_make(f);
	store = fixture_open(f, 10, 1 << 20);
	assert_int_equal(apply(store, SECRET("default", "a", "YQ==") "---\ntype: GlobalSecret\nname: b\n", NULL, &error), 0);
	assert_int_equal(apply_remove(store, names, 3, &gone, &n, &error), -ENOENT);
	assert_string_equal(error.text, "there is no Secret with name \"none\"; nothing was deleted");
	assert_true(fixture_exists(store, names[0]) && fixture_exists(store, names[1]));
	names[2] = names[0]; /* twice is once */
	assert_int_equal(apply_remove(store, names, 3, &gone, &n, &error), 0);
	assert_int_equal(n, 2);
	free(gone);
	assert_false(fixture_exists(store, names[0]) || fixture_exists(store, names[1]));
	assert_int_equal(remove_one(store, fixture_mesh("none"), &error), -ENOENT);
	assert_int_equal(apply(store, "type: Mesh\nname: m\n" SECRET("m", "a", "YQ==") SECRET("m", "b", "YQ=="), NULL, &error), 0);
	names[0] = fixture_mesh("m");
	names[1] = fixture_secret("m", "a"); /* goes once, with or without its mesh */
	names[2] = names[0];
	assert_int_equal(apply_remove(store, names, 3, &gone, &n, &error), 0);
	assert_int_equal(n, 3);
	free(gone);
	assert_false(fixture_exists(store, names[0]) || fixture_exists(store, fixture_secret("m", "b")));
	store_close(store);
}

static unsigned attempts, others;

/* Somebody makes a secret in the mesh, so many times. */
static int run_after_others(struct store *store, struct store_txn *txn)
{
	char name[20];

	snprintf(name, sizeof(name), "other-%u", attempts);
	if (attempts++ < others)
		assert_int_equal(fixture_do(store, STORE_PUT, fixture_secret("m", name), "x", 1, NULL), 0);
	return store_run(store, txn);
}

/* Somebody removes one. */
static int run_after_removal(struct store *store, struct store_txn *txn)
{
	if (attempts++ == 0)
		assert_int_equal(fixture_do(store, STORE_REMOVE, fixture_secret("m", "b"), NULL, 0, NULL), 0);
	return store_run(store, txn);
}

/* A mesh of which a secret goes meanwhile goes with the others. */
static void test_remove_what_empties(void **state)
{
	struct fixture *f = *state;
	const struct name mesh = fixture_mesh("m"), both[2] = {fixture_secret("m", "b"), mesh};
	struct bundle_error error;
	struct store *store;
	struct name *gone;
	size_t n;

	fixture_make(f);
	store = fixture_open(f, 10, 1 << 20);
	for (int given = 0; given < 2; given++) {
		assert_int_equal(apply(store, "type: Mesh\nname: m\n" SECRET("m", "a", "YQ==") SECRET("m", "b", "Yg=="), NULL, &error), 0);
		attempts = 0;
		instead_of_running = run_after_removal;
		if (given) { /* who was told to remove it says that it is not there */
			assert_int_equal(apply_remove(store, both, 2, &gone, &n, &error), -ENOENT);
			assert_string_equal(error.text, "there is no Secret with name \"b\"; nothing was deleted");
			assert_true(fixture_exists(store, mesh));
		} else {
			assert_int_equal(apply_remove(store, &mesh, 1, &gone, &n, &error), 0);
			assert_int_equal(n, 2);
			free(gone);
			assert_false(fixture_exists(store, mesh));
		}
		instead_of_running = NULL;
	}
	store_close(store);
}

/* A mesh in which secrets are made while it is removed goes with them, unless there is no end to it. */
static void test_remove_what_fills(void **state)
{
	struct fixture *f = *state;
	const struct name mesh = fixture_mesh("m");
	struct bundle_error error;
	struct store *store;
	struct name *gone;
	size_t n;

	fixture_make(f);
	store = fixture_open(f, 10, 1 << 20);
	assert_int_equal(apply(store, "type: Mesh\nname: m\n" SECRET("m", "a", "YQ=="), NULL, &error), 0);
	attempts = 0;
	others = UINT32_MAX;
	instead_of_running = run_after_others;
	assert_int_equal(apply_remove(store, &mesh, 1, &gone, &n, &error), -ENOTEMPTY);
	instead_of_running = NULL;
	assert_string_equal(error.text, "Directory not empty; nothing was changed");
	assert_true(attempts > 2 && attempts < 100);
	assert_true(fixture_exists(store, mesh) && fixture_exists(store, fixture_secret("m", "a")));
	others = attempts + 2;
	instead_of_running = run_after_others;
	assert_int_equal(apply_remove(store, &mesh, 1, &gone, &n, &error), 0);
	instead_of_running = NULL;
	assert_int_equal(n, 1 + 1 + others);
	free(gone);
	assert_false(fixture_exists(store, mesh) || fixture_exists(store, fixture_secret("m", "a")));
	store_close(store);
}

/* As a store whose folder was removed. */
static int fail_at_the_commit(struct store *store, struct store_txn *txn)
{
	(void)store;
	txn->ret_failed = txn->n_ops;
	txn->ret_why[0] = '\0';
	return -ENOENT;
}

/* That a commit found no file is not that there is no such resource. */
static void test_no_file(void **state)
{
	static const char text[] = "No such file or directory; nothing was changed";
	struct fixture *f = *state;
	struct bundle_error error;
	struct store *store;

	fixture_make(f);
	store = fixture_open(f, 10, 1 << 20);
	assert_int_equal(apply(store, SECRET("default", "a", "YQ=="), NULL, &error), 0);
	instead_of_running = fail_at_the_commit;
	assert_int_equal(apply(store, SECRET("default", "b", "YQ=="), NULL, &error), -ENOENT);
	assert_string_equal(error.text, text);
	assert_int_equal(remove_one(store, fixture_secret("default", "a"), &error), -ENOENT);
	instead_of_running = NULL;
	assert_string_equal(error.text, text);
	store_close(store);
}

/* The store's bound, where the documents' is another. */
static void test_longer_than_the_store_takes(void **state)
{
	const struct bundle_options options = {.value_bytes = STORE_VALUE_BYTES_MAX};
	static const char head[] = "type: GlobalSecret\nname: long\ndata: ";
	size_t size = (STORE_VALUE_BYTES_DEFAULT / 3 + 1) * 4;
	char *text = malloc(sizeof(head) + size);
	struct bundle_error error = {0};
	BUNDLE_AUTO bundle = {0};
	struct store *store;

	fixture_must(text);
	strcpy(text, head);
	memset(text + sizeof(head) - 1, 'A', size);
	fixture_make(*state);
	store = fixture_open(*state, 10, 1 << 20);
	assert_int_equal(bundle_parse(text, sizeof(head) - 1 + size, &options, &bundle, &error), 0);
	assert_int_equal(apply_run(store, &bundle, 1000, 100, &error), -EFBIG);
	assert_string_equal(error.text, "data: longer than a secret may be");
	store_close(store);
	free(text);
}

/* Thousands in one go, and away again. */
static void test_large(void **state)
{
	struct fixture *f = *state;
	struct bundle_error error = {0};
	BUNDLE_AUTO bundle = {0};
	struct store *store;
	struct name *gone;
	char name[32];
	size_t n;

	fixture_make(f);
	store = fixture_open(f, 10, 1 << 20);
	bundle.items = calloc(3001, sizeof(bundle.items[0]));
	for (unsigned i = 0; i < 3000; i++) {
		snprintf(name, sizeof(name), "s%u", i);
		bundle.items[i].name = fixture_secret("large", name);
		fixture_must(secbuf_write(&bundle.items[i].value, 0, name, strlen(name)) == 0);
	}
	bundle.items[3000].name = fixture_mesh("large");
	fixture_must(mesh_document("large", &bundle.items[3000].value) == 0);
	bundle.n = bundle.capacity = 3001;
	assert_int_equal(apply_run(store, &bundle, 0, 0, &error), 0);
	assert_true(fixture_holds(store, fixture_secret("large", "s2999"), "s2999", 5));
	assert_int_equal(apply_remove(store, (struct name[]){fixture_mesh("large")}, 1, &gone, &n, &error), 0);
	assert_int_equal(n, 3001);
	free(gone);
	store_close(store);
	store = fixture_open(f, 10, 1 << 20);
	assert_false(fixture_exists(store, fixture_mesh("large")));
	store_close(store);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, fixture_setup, fixture_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_outcomes),	 TEST(test_all_or_nothing), TEST(test_in_use),	  TEST(test_builtin), TEST(test_mesh_rules),
		TEST(test_mesh_as_file), TEST(test_kubernetes_names), TEST(test_inherited), TEST(test_remove),	TEST(test_large),
		TEST(test_longer_than_the_store_takes), TEST(test_mesh_of_nothing), TEST(test_kubernetes_names_again),
		TEST(test_too_much_is_inherited), TEST(test_remove_what_fills), TEST(test_remove_what_empties), TEST(test_no_file),
	};

	return cmocka_run_group_tests(tests, fixture_group_setup, fixture_group_teardown);
}
