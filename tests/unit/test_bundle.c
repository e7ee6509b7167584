/* SPDX-License-Identifier: Apache-2.0
 * test_bundle: documents as people write them become resources, or one clear line. The rules are Kuma's, and so are the messages.
 */
#include "tests/unit/cmocka_all.h"
#include "tests/unit/fixture.h"

#include "store/bundle.h"
#include "store/nearest.h"

#include <errno.h>
#include <string.h>

#define NAME_RULE                                                                                                      \
	"invalid characters. A lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' "  \
	"or '.', and must start and end with an alphanumeric character"

#define NAME_50 "a2345678901234567890123456789012345678901234567890"
#define NAME_250 NAME_50 NAME_50 NAME_50 NAME_50 NAME_50
#define NAME_254 NAME_250 "1234"

static int parse(const char *text, const struct bundle_options *options, struct bundle *bundle,
		 struct bundle_error *error)
{
	static const struct bundle_options usual = {.value_bytes = STORE_VALUE_BYTES_DEFAULT};

	memset(error, 0, sizeof(*error));
	return bundle_parse(text, strlen(text), options ? options : &usual, bundle, error);
}

static bool is(const struct bundle_item *item, struct name name, const char *value)
{
	return name_equal(&item->name, &name) && item->value.size == strlen(value) &&
	       (!*value || memcmp(item->value.data, value, item->value.size) == 0);
}

/* What one document is. */
static void test_one(void **state)
{
	static const struct {
		const char *text, *mesh, *name, *value; /* mesh NULL: a global */
		bool kubernetes;
	} cases[] = {
		{"type: Secret\nname: web\nmesh: default\ndata: dGVzdAo= # Base64 encoded\n", "default", "web", "test\n", false},
		{"{\"type\":\"Secret\",\"name\":\"web\",\"mesh\":\"m1\",\"data\":\"AGE=\"}", "m1", "web", "", false},
		{"type: GlobalSecret\nname: default.ca-builtin-cert-ca-1\ndata: dGVzdAo=\n", NULL,
		 "default.ca-builtin-cert-ca-1", "test\n", false},
		{"type: GlobalSecret\nname: g\nmesh:\ndata: dGVzdAo=\n", NULL, "g", "test\n", false},
		{"type: Secret\nname: old_style\nmesh: default\n", "default", "old_style", "", false},
		{"type: Secret\nname: e\nmesh: default\ndata: null\n", "default", "e", "", false},
		{"type: Secret\nname: e\nmesh: default\ndata: \"\"\n", "default", "e", "", false},
		{"type: Secret\nname: 4913\nmesh: default\ndata: 12345678\n", "default", "4913", "\xd7\x6d\xf8\xe7\xae\xfc", false},
		{"type: Secret\nname: folded\nmesh: default\ndata: dGVz\n  dAo=\n", "default", "folded", "test\n", false},
		{"type: Secret\nname: literal\nmesh: default\ndata: |\n  dGVz\n  dAo=\n", "default", "literal", "test\n", false},
		{"type: Secret\nname: s\nmesh: default\ndata: dGVzdAo=\ncreationTime: 2018-07-17T16:05:36.995Z\n"
		 "modificationTime: 2018-07-17T16:05:36.995Z\nlabels: {a: b}\nkri: x\nstatus: {}\n", "default", "s", "test\n", false},
		{"apiVersion: v1\nkind: Secret\nmetadata:\n  name: web\n  namespace: kong-mesh-system # comment\n  labels:\n"
		 "    kuma.io/mesh: demo\n  annotations: {x: y}\n  uid: abc\ndata:\n  value: dGVzdAo=\ntype: system.kuma.io/secret\n",
		 "demo", "web", "test\n", true},
		{"apiVersion: v1\nkind: Secret\nmetadata: {name: web}\ndata: {value: dGVzdAo=}\ntype: system.kuma.io/secret\n",
		 "default", "web", "test\n", true},
		{"apiVersion: v1\nkind: Secret\nmetadata: {name: web, namespace: kuma-system}\ndata: {value: \"\"}\n"
		 "type: system.kuma.io/secret\n", "default", "web", "", true},
		{"apiVersion: v1\nkind: Secret\nmetadata: {name: web}\nstringData: {value: plain text}\n"
		 "type: system.kuma.io/global-secret\n", NULL, "web", "plain text", true},
		{"apiVersion: v1\nkind: Secret\nmetadata: {name: web}\nstringData: {value: new}\ndata: {value: b2xk}\n"
		 "immutable: true\ntype: system.kuma.io/secret\n", "default", "web", "new", true},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct name name = cases[i].mesh ? fixture_secret(cases[i].mesh, cases[i].name)
						 : fixture_global(cases[i].name);
		struct bundle_error error;
		BUNDLE_AUTO bundle = {0};
		int r = parse(cases[i].text, NULL, &bundle, &error);

		if (r < 0)
			print_message("# %s\n%s\n", cases[i].text, error.text);
		assert_int_equal(r, 0);
		assert_int_equal(bundle.n, 1);
		assert_true(bundle.items[0].kubernetes == cases[i].kubernetes);
		assert_int_equal(bundle.items[0].document, 1);
		assert_int_equal(bundle.items[0].line, 1);
		if (i == 1) { /* the one value with a NUL */
			assert_true(name_equal(&bundle.items[0].name, &name));
			assert_int_equal(bundle.items[0].value.size, 2);
			assert_memory_equal(bundle.items[0].value.data, "\0a", 2);
		} else {
			assert_true(is(&bundle.items[0], name, cases[i].value));
		}
	}
}

/* One clear line: which document, which line, which field, what. */
static void test_refused(void **state)
{
	static const struct {
		const char *text;
		unsigned document, line;
		const char *error;
	} cases[] = {
		{"type: Secret\nname: a\ndata: dGVzdAo=\n", 1, 1, "mesh: cannot be empty"},
		{"type: Secret\nmesh: default\ndata: dGVzdAo=\n", 1, 1, "name: cannot be empty"},
		{"type: Secret\nmesh: ''\nname: a\n", 1, 2, "mesh: cannot be empty"},
		{"type: Secret\nmesh: default\nname: Web\n", 1, 3, "name: " NAME_RULE},
		{"type: Secret\nmesh: Default\nname: web\n", 1, 2, "mesh: " NAME_RULE},
		{"type: Secret\nmesh: default\nname: [web]\n", 1, 3, "name: has to be a string"},
		{"type: Secret\nmesh: default\nname: web\ndata: {a: b}\n", 1, 4, "data: has to be a string of base64"},
		{"type: Secret\nmesh: default\nname: web\ndata: dGVz*Ao=\n", 1, 4, "data: illegal base64 data at input byte 4"},
		{"type: Secret\nmesh: default\nname: web\ndta: dGVzdAo=\n", 1, 4,
		 "dta: there is no such field; did you mean \"data\"?"},
		{"type: Secret\nmesh: default\nname: web\nsomething: dGVzdAo=\n", 1, 4, "something: there is no such field"},
		{"type: Secret\nmehs: default\nname: web\n", 1, 2, "mehs: there is no such field; did you mean \"mesh\"?"},
		{"type: GlobalSecret\nmesh: default\nname: web\n", 1, 2, "mesh: mesh cannot be set on global secret"},
		{"type: Secrt\nmesh: default\nname: web\n", 1, 1,
		 "type: \"Secrt\" is none of Secret, GlobalSecret, Mesh; did you mean \"Secret\"?"},
		{"type: TrafficPermission\nmesh: default\nname: web\n", 1, 1,
		 "type: \"TrafficPermission\" is none of Secret, GlobalSecret, Mesh; hushctl apply --skip-others passes over all others"},
		{"name: web\n", 1, 1, "type: cannot be empty: it is Secret, GlobalSecret or Mesh"},
		{"---\n---\ntype: Secret\nname: a\nmesh: m\n---\n# nothing\n---\ntype: Secret\nname: A\nmesh: m\n", 4, 10,
		 "name: " NAME_RULE},
		{"- a\n", 1, 1, "a resource has to be a mapping, with fields as \"type: Secret\""},
		{"hello\n", 1, 1, "a resource has to be a mapping, with fields as \"type: Secret\""},
		{"apiVersion: v1\nkind: Secret\nmetadata: {name: a}\ntype: system.kuma.io/secret\n", 1, 1,
		 "data.value: cannot be empty"},
		{"apiVersion: v1\nkind: Secret\nmetadata: {name: a}\ntype: system.kuma.io/secret\ndata:\n  vlaue: dGVzdAo=\n", 1, 6,
		 "data.vlaue: there is no such field; did you mean \"value\"?"},
		{"apiVersion: v1\nkind: Secret\nmetadata: {name: a}\ntype: system.kuma.io/secret\ndata: {value: a}\n", 1, 5,
		 "data.value: illegal base64 data at input byte 0"},
		{"apiVersion: v1\nkind: Secret\ntype: system.kuma.io/secret\ndata: {value: dGVzdAo=}\n", 1, 1,
		 "metadata.name: cannot be empty"},
		{"apiVersion: v1\nkind: Secret\nmetadata:\n  name: a\n  labels:\n    kuma.io/mesh: default\n"
		 "type: system.kuma.io/global-secret\ndata: {value: dGVzdAo=}\n", 1, 6,
		 "metadata.labels[\"kuma.io/mesh\"]: mesh cannot be set on global secret"},
		{"apiVersion: v1\nkind: Secret\nmetadata: {name: a}\ntype: Opaque\ndata: {value: dGVzdAo=}\n", 1, 4,
		 "type: \"Opaque\": only Secrets of the types system.kuma.io/secret and system.kuma.io/global-secret are "
		 "managed; hushctl apply --skip-others passes over all others"},
		{"apiVersion: v1\nkind: Secret\nmetadata: {name: a, namespace: default}\ntype: system.kuma.io/secret\n"
		 "data: {value: dGVzdAo=}\n", 1, 3,
		 "metadata.namespace: \"default\": only Secrets in the control plane's namespace (kong-mesh-system, kuma-system) "
		 "are managed; hushctl apply --namespace NAME names another, --skip-others passes over it"},
		{"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n", 1, 2,
		 "kind: \"ConfigMap\" is none of Secret, Mesh, List; hushctl apply --skip-others passes over all others"},
		{"apiVersion: v1\nkind: ConfigMap\nitems: []\n", 1, 2,
		 "kind: \"ConfigMap\" is none of Secret, Mesh, List; hushctl apply --skip-others passes over all others"},
		{"apiVersion: v2\nkind: Secret\nmetadata: {name: a}\n", 1, 1, "apiVersion: of a Secret it has to be v1"},
		{"apiVersion: v1\nmetadata: {name: a}\n", 1, 1, "kind: cannot be empty: it is Secret, Mesh or List"},
		{"items: 3\n", 1, 1, "items: has to be a list"},
		{"items:\n- type: Secret\n  mesh: m\n  name: a\n- type: Secret\n  mesh: m\n  name: B\n", 1, 7, "name: " NAME_RULE},
		{"type: Mesh\n", 1, 1, "name: cannot be empty"},
		{"name: m\ntype: [Mesh]\n", 1, 2, "type: has to be a string"},
		{"type: Mesh\nname: [m]\n", 1, 2, "name: has to be a string"},
		{"apiVersion: [v1]\nkind: Secret\n", 1, 1, "apiVersion: has to be a string"},
		{"apiVersion: v1\nkind: [Secret]\n", 1, 2, "kind: has to be a string"},
		{"apiVersion: v1\nkind: Secret\nmetadata: a\n", 1, 3, "metadata: has to be a mapping"},
		{"apiVersion: v1\nkind: Secret\nmetadata: {name: a}\ntype: {a: b}\n", 1, 4, "type: has to be a string"},
		{"apiVersion: v1\nkind: Secret\nmetadata:\n  name: a\n  namespace: [b]\ntype: system.kuma.io/secret\n", 1, 5,
		 "metadata.namespace: has to be a string"},
		{"apiVersion: v1\nkind: Secret\nmetadata: {name: a}\ntype: system.kuma.io/secret\ndata: dGVzdAo=\n", 1, 5,
		 "data: has to be a mapping"},
		{"apiVersion: v1\nkind: Secret\nmetadata: {name: a}\ntype: system.kuma.io/secret\nstringData: a\n", 1, 5,
		 "stringData: has to be a mapping"},
		{"apiVersion: kuma.io/v1alpha1\nkind: Mesh\nmetadata: {name: m}\nspec: 3\n", 1, 4, "spec: has to be a mapping"},
		{"apiVersion: kuma.io/v1alpha1\nkind: Mesh\nmetadata:\n  name: [m]\n", 1, 4, "metadata.name: has to be a string"},
		{"type: Mesh\nname: m\nmtls:\n  backends:\n  - name: [a]\n    type: builtin\n", 1, 5,
		 "mtls.backends[0].name: has to be a string"},
		{"type: Mesh\nname: m\nmtls:\n  backends:\n  - name: a\n    type: [builtin]\n", 1, 6,
		 "mtls.backends[0].type: has to be a string"},
		{"type: Mesh\nname: m\nmtls: {backends: 3}\n", 1, 3, "mtls.backends: has to be a list"},
		{"apiVersion: kuma.io/v1alpha1\nkind: Mesh\nmetadata: {name: m}\nspec:\n  mtls:\n    enabledBackend: x\n", 1, 6,
		 "spec.mtls.enabledBackend: has to be set to one of the backends in the mesh"},
		{"apiVersion: kuma.io/v1alpha1\nkind: Mesh\nmetadata:\n  name: m\nspec:\n  kind: Mesh\n", 1, 6,
		 "spec.kind: there is no such field"},
		{"apiVersion: kuma.io/v1alpha1\nkind: Mesh\nmetadata:\n  name: m\nspec:\n  apiVersion: v1\n", 1, 6,
		 "spec.apiVersion: there is no such field"},
		{"type: GlobalSecret\nname: " NAME_254 "\n", 1, 2, "name: longer than 253 bytes"},
		{"type: Secret\nmesh: default\nname: web\n\"a\\x7f\\x01b\": c\n", 1, 4, "a??b: there is no such field"},
		{"type: Secret\nmesh: default\nname: web\nitems: []\n", 1, 4, "items: there is no such field"},
		{"apiVersion: v1\nkind: Secret\nmetadata: {name: a}\ntype: system.kuma.io/secret\nstringData:\n  value: [a]\n", 1, 6,
		 "stringData.value: has to be a string"},
		{"apiVersion: v1\nkind: Secret\nmetadata: {name: a}\ntype: system.kuma.io/secret\ndata:\n  value: null\n", 1, 6,
		 "data.value: cannot be empty"},
		{"apiVersion: v1\nkind: Secret\nmetadata: {name: a}\ntype: system.kuma.io/secret\ndata: {}\n", 1, 5,
		 "data.value: cannot be empty"},
		{"apiVersion: kuma.io/v1alpha1\nkind: Mesh\nmetadata: {name: M}\n", 1, 3, "metadata.name: " NAME_RULE},
		{"type: Mesh\nname: m\nmtls:\n  backends:\n  - 3\n", 1, 5, "mtls.backends[0]: has to be a mapping"},
		{"type: Mesh\nname: m\nmtls:\n  backends:\n  - {name: " NAME_254 ", type: builtin}\n", 1, 5,
		 "mtls.backends[0].name: longer than 253 bytes"},
		{"type: Mesh\nname: m\nmtls:\n  backends:\n  - {name: " NAME_250 ", type: builtin}\n", 1, 5,
		 "mtls.backends[0].name: too long for the names of its secrets"},
		{"type: Mesh\nname: m\nmtls:\n  backends:\n  - name: p\n    type: provided\n    conf:\n      cert: {secret: " NAME_254 "}\n",
		 1, 8, "mtls.backends[0].conf.cert.secret: longer than 253 bytes"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct bundle_error error;
		BUNDLE_AUTO bundle = {0};
		int r = parse(cases[i].text, NULL, &bundle, &error);

		if (r == 0 || strcmp(error.text, cases[i].error) != 0 || error.line != cases[i].line)
			print_message("# %s\n# %d: line %u: %s\n", cases[i].text, r, error.line, error.text);
		assert_int_equal(r, -EINVAL);
		assert_string_equal(error.text, cases[i].error);
		assert_int_equal(error.document, cases[i].document);
		assert_int_equal(error.line, cases[i].line);
		assert_int_equal(bundle.n, 0);
	}
}

/* A value, and what stands in its place by mistake, is in no error. */
static void test_errors_have_no_values(void **state)
{
	static const char *const texts[] = {
		"type: Secret\nmesh: m\nname: a\ndata: hunter2!\n",
		"type: Secret\nmesh: m\nname: a\ndata: hunter2\n",
		"type: Secret\nmesh: m\nname: a\ndata: hunter2: x\n",
		"type: Secret\nmesh: m\nname: a\ndata: \"hunter2\n",
		"type: Secret\nmesh: m\nname: a\ndata: [hunter2]\n",
		"type: Secret\nmesh: m\nname: a\ndata: &hunter2 x\n",
		"type: Secret\nmesh: m\nname: a\ndata: *hunter2\n",
		"type: Secret\nmesh: m\nname: a\ndata: !hunter2 x\n",
		"apiVersion: v1\nkind: Secret\nmetadata: {name: a}\nstringData: hunter2\ntype: system.kuma.io/secret\n",
		"apiVersion: v1\nkind: Secret\nmetadata: {name: a}\ndata: {value: hunter2-}\ntype: system.kuma.io/secret\n",
		"hunter2", "- hunter2", "{hunter2", "hunter2\n---\nx: [",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct bundle_error error;
		BUNDLE_AUTO bundle = {0};

		assert_int_equal(parse(texts[i], NULL, &bundle, &error), -EINVAL);
		assert_true(error.text[0] != 0);
		assert_null(strstr(error.text, "hunter2"));
		assert_int_equal(bundle.n, 0);
	}
}

/* Both forms, lists of both, in one text; what is empty is nothing. */
static void test_many(void **state)
{
	static const char text[] =
		"# all of it\n---\n---\n"
		"type: Secret\nmesh: default\nname: a\ndata: YQ==\n"
		"---\n"
		"{\"total\": 2, \"items\": [{\"type\": \"Secret\", \"mesh\": \"m\", \"name\": \"b\", \"data\": \"Yg==\"},\n"
		" {\"type\": \"GlobalSecret\", \"name\": \"c\", \"data\": \"Yw==\"}], \"next\": null}\n"
		"---\n"
		"apiVersion: v1\nkind: List\nitems:\n"
		"- apiVersion: v1\n  kind: Secret\n  metadata: {name: d}\n  data: {value: ZA==}\n  type: system.kuma.io/secret\n"
		"- apiVersion: kuma.io/v1alpha1\n  kind: Mesh\n  metadata: {name: m}\n"
		"---\n"
		"kind: SecretList\napiVersion: v1\nitems: []\n"
		"---\n"
		"type: Mesh\nname: n\nrouting: {zoneEgress: true}\n";
	struct bundle_error error;
	BUNDLE_AUTO bundle = {0};

	(void)state;
	assert_int_equal(parse(text, NULL, &bundle, &error), 0);
	assert_int_equal(bundle.n, 6);
	assert_true(is(&bundle.items[0], fixture_secret("default", "a"), "a"));
	assert_true(is(&bundle.items[1], fixture_secret("m", "b"), "b"));
	assert_true(is(&bundle.items[2], fixture_global("c"), "c"));
	assert_true(is(&bundle.items[3], fixture_secret("default", "d"), "d"));
	assert_true(is(&bundle.items[4], fixture_mesh("m"), "type: Mesh\nname: m\n"));
	assert_true(is(&bundle.items[5], fixture_mesh("n"), "type: Mesh\nname: \"n\"\nrouting:\n  zoneEgress: true\n"));
	assert_int_equal(bundle.items[1].document, 3);
	assert_int_equal(bundle.items[2].line, 10);
	assert_int_equal(bundle.items[5].document, 6);
	/* more is appended, and an error leaves what was there */
	assert_int_equal(parse("type: Secret\nmesh: m\nname: z\n---\ntype: x", NULL, &bundle, &error), -EINVAL);
	assert_int_equal(bundle.n, 6);
	assert_int_equal(parse("type: Secret\nmesh: m\nname: z\n", NULL, &bundle, &error), 0);
	assert_int_equal(bundle.n, 7);
	assert_int_equal(parse("kind: SecretList\nitems: null\n", NULL, &bundle, &error), 0); /* as Go prints an empty one */
	assert_int_equal(bundle.n, 7);
}

/* As the API itself gives them (kubectl get --raw): the list says what its parts are. What has no metadata is none of them. */
static void test_lists_of_a_kind(void **state)
{
	static const char text[] =
		"{\"kind\": \"SecretList\", \"apiVersion\": \"v1\", \"metadata\": {}, \"items\": [\n"
		"{\"metadata\": {\"name\": \"a\"}, \"data\": {\"value\": \"YQ==\"}, \"type\": \"system.kuma.io/secret\"},\n"
		"{\"metadata\": {\"name\": \"b\"}, \"data\": {\"value\": \"Yg==\"}, \"type\": \"system.kuma.io/global-secret\"},\n"
		"{\"type\": \"Secret\", \"mesh\": \"m\", \"name\": \"c\", \"data\": \"Yw==\"}]}\n"
		"---\nkind: MeshList\napiVersion: kuma.io/v1alpha1\nitems:\n- metadata: {name: m}\n";
	static const struct {
		const char *text, *error;
	} cases[] = {
		{"kind: List\napiVersion: v1\nitems:\n- {metadata: {name: a}, type: system.kuma.io/secret}\n",
		 "type: \"system.kuma.io/secret\" is none of Secret, GlobalSecret, Mesh; hushctl apply --skip-others passes over all others"},
		{"kind: SecretList\napiVersion: v2\nitems:\n- {metadata: {name: a}, type: system.kuma.io/secret}\n",
		 "apiVersion: of a Secret it has to be v1"},
		{"kind: SecretList\napiVersion: v1\nitems:\n- {apiVersion: v1, metadata: {name: a}}\n",
		 "kind: cannot be empty: it is Secret, Mesh or List"},
		{"kind: SecretList\napiVersion: v1\nitems: []\n---\nmetadata: {name: a}\n",
		 "type: cannot be empty: it is Secret, GlobalSecret or Mesh"},
	};
	struct bundle_error error;
	BUNDLE_AUTO bundle = {0};

	(void)state;
	assert_int_equal(parse(text, NULL, &bundle, &error), 0);
	assert_int_equal(bundle.n, 4);
	assert_true(is(&bundle.items[0], fixture_secret("default", "a"), "a"));
	assert_true(is(&bundle.items[1], fixture_global("b"), "b"));
	assert_true(is(&bundle.items[2], fixture_secret("m", "c"), "c"));
	assert_true(is(&bundle.items[3], fixture_mesh("m"), "type: Mesh\nname: m\n"));
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(parse(cases[i].text, NULL, &bundle, &error), -EINVAL);
		assert_string_equal(error.text, cases[i].error);
	}
}

/* All that `kubectl get secrets -A -o yaml` prints, and an export with policies, of which only ours count. */
static void test_skipping_others(void **state)
{
	static const char text[] =
		"apiVersion: v1\nkind: List\nitems:\n"
		"- {apiVersion: v1, kind: Secret, metadata: {name: a, namespace: default}, data: {tls.crt: YQ==}, type: kubernetes.io/tls}\n"
		"- {apiVersion: v1, kind: Secret, metadata: {name: b, namespace: kong-mesh-system}, data: {value: Yg==}, type: system.kuma.io/secret}\n"
		"- {apiVersion: v1, kind: Secret, metadata: {name: c, namespace: elsewhere}, data: {value: Yw==}, type: system.kuma.io/secret}\n"
		"- {apiVersion: v1, kind: ConfigMap, metadata: {name: d}}\n"
		"---\ntype: TrafficPermission\nmesh: default\nname: x\n";
	const struct bundle_options skip = {.skip_others = true, .value_bytes = 100};
	const struct bundle_options elsewhere = {.skip_others = true, .namespace = "elsewhere", .value_bytes = 100};
	struct bundle_error error;
	BUNDLE_AUTO bundle = {0};
	BUNDLE_AUTO other = {0};

	(void)state;
	assert_int_equal(parse(text, NULL, &bundle, &error), -EINVAL);
	assert_int_equal(error.line, 4);
	assert_int_equal(parse(text, &skip, &bundle, &error), 0);
	assert_int_equal(bundle.n, 1);
	assert_int_equal(bundle.skipped, 4);
	assert_true(is(&bundle.items[0], fixture_secret("default", "b"), "b"));
	assert_int_equal(parse(text, &elsewhere, &other, &error), 0);
	assert_int_equal(other.n, 1);
	assert_true(is(&other.items[0], fixture_secret("default", "c"), "c"));
	/* one of ours that is wrong is not passed over */
	assert_int_equal(parse("type: Secret\nmesh: m\nname: A\n", &skip, &bundle, &error), -EINVAL);
}

static void test_too_long(void **state)
{
	const struct bundle_options three = {.value_bytes = 3};
	struct bundle_error error;
	BUNDLE_AUTO bundle = {0};

	(void)state;
	assert_int_equal(parse("type: Secret\nmesh: m\nname: a\ndata: YWJj\n", &three, &bundle, &error), 0);
	assert_int_equal(parse("type: Secret\nmesh: m\nname: a\ndata: YWJjZA==\n", &three, &bundle, &error), -EINVAL);
	assert_string_equal(error.text, "data: longer than the 3 bytes that a secret may have");
	assert_int_equal(error.line, 4);
	assert_int_equal(parse("apiVersion: v1\nkind: Secret\nmetadata: {name: a}\ntype: system.kuma.io/secret\n"
			       "stringData: {value: abcd}\n", &three, &bundle, &error), -EINVAL);
	assert_string_equal(error.text, "stringData.value: longer than the 3 bytes that a secret may have");
}

/* What somebody may have meant is not looked for among words, or for a word, that are too long to be a slip. */
static void test_nearest(void **state)
{
	static const char *const words[] = {NAME_254, "data", NULL};

	(void)state;
	assert_string_equal(nearest("dtaa", words), "data");
	assert_null(nearest("something", words));
	assert_null(nearest(NAME_254, words));
}

/* A Mesh is kept with all its fields, `conf` for `config`, without what Kuma prints of its own accord. */
static void test_mesh_document(void **state)
{
	static const char written[] = "type: Mesh\nname: demo\nlabels:\n  team: a\nmtls:\n  enabledBackend: ca-1\n  backends:\n"
				      "  - name: ca-1\n    type: provided\n    conf:\n      cert:\n        secret: my-cert\n"
				      "      key:\n        secret: my-key\n    dpCert:\n      rotation:\n        expiration: 1d\n"
				      "metrics:\n  port: 5670\n  on: \"yes\"\n";
	static const char *const texts[] = {
		"# ours\ntype: Mesh\nname: demo\ncreationTime: \"0001-01-01T00:00:00Z\"\nlabels: {team: a}\nmtls:\n  enabledBackend: ca-1\n"
		"  backends:\n    - name: ca-1 # the first\n      type: provided\n      config:\n        cert: {secret: my-cert}\n"
		"        key: {secret: my-key}\n      dpCert: {rotation: {expiration: 1d}}\nmetrics: {port: 5670, on: \"yes\"}\n",
		"apiVersion: kuma.io/v1alpha1\nkind: Mesh\nmetadata: {name: demo}\nspec:\n  labels: {team: a}\n  mtls:\n    enabledBackend: ca-1\n"
		"    backends:\n    - name: ca-1\n      type: provided\n      conf: {cert: {secret: my-cert}, key: {secret: my-key}}\n"
		"      dpCert: {rotation: {expiration: 1d}}\n  metrics: {port: 5670, on: 'yes'}\n",
		/* those of the metadata, which come first in it, are not what the spec says itself */
		"apiVersion: kuma.io/v1alpha1\nkind: Mesh\nmetadata: {labels: {team: b}, name: demo}\nspec:\n  labels: {team: a}\n  mtls:\n"
		"    enabledBackend: ca-1\n    backends:\n    - name: ca-1\n      type: provided\n"
		"      conf: {cert: {secret: my-cert}, key: {secret: my-key}}\n      dpCert: {rotation: {expiration: 1d}}\n"
		"  metrics: {port: 5670, on: 'yes'}\n",
		written,
	};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct bundle_error error;
		BUNDLE_AUTO bundle = {0};

		assert_int_equal(parse(texts[i], NULL, &bundle, &error), 0);
		assert_int_equal(bundle.n, 1);
		if (!is(&bundle.items[0], fixture_mesh("demo"), written))
			print_message("# %.*s\n", (int)bundle.items[0].value.size, (char *)bundle.items[0].value.data);
		assert_true(is(&bundle.items[0], fixture_mesh("demo"), written));
	}
}

/* What bundle_write writes is what was read, whatever the bytes. */
static void test_writing(void **state)
{
	uint64_t seed = 4;

	(void)state;
	for (unsigned i = 0; i < 300; i++) {
		static const char *const names[] = {"web", "true", "123", "-", "_", "a.b", "1e3", "null", "0x1f", "y"};
		const char *name = names[fixture_random(&seed, 10)], *mesh = names[fixture_random(&seed, 10)];
		struct bundle_item item = {.kubernetes = fixture_random(&seed, 2)};
		size_t size = i < 50 ? i : fixture_random(&seed, 5000);
		SECBUF_AUTO text = {0};
		struct bundle_error error;
		BUNDLE_AUTO bundle = {0};

		item.name = fixture_random(&seed, 2) ? fixture_secret(mesh, name) : fixture_global(name);
		fixture_must(secbuf_resize(&item.value, size) == 0);
		fixture_fill(item.value.data, size, i);
		assert_int_equal(bundle_write(&item, &text), 0);
		assert_int_equal(bundle_parse(text.data, text.size, &(struct bundle_options){.value_bytes = 5000}, &bundle, &error), 0);
		assert_int_equal(bundle.n, 1);
		assert_true(name_equal(&bundle.items[0].name, &item.name));
		assert_true(bundle.items[0].kubernetes == item.kubernetes);
		assert_int_equal(bundle.items[0].value.size, size);
		if (size)
			assert_memory_equal(bundle.items[0].value.data, item.value.data, size);
		secbuf_deinit(&item.value);
	}
}

static void test_lines(void **state)
{
	const struct name secret = fixture_secret("default", "web"), global = fixture_global("g"), mesh = fixture_mesh("m");
	const struct bundle_error placed = {.document = 3, .line = 14, .text = "data: cannot be"}, whole = {.text = "nothing"};
	char line[BUNDLE_LINE_BYTES];

	(void)state;
	bundle_line(&secret, STORE_CREATED, line);
	assert_string_equal(line, "resource type=\"Secret\" mesh=\"default\" name=\"web\" Created");
	bundle_line(&global, STORE_UPDATED, line);
	assert_string_equal(line, "resource type=\"GlobalSecret\" name=\"g\" Updated");
	bundle_line(&mesh, STORE_UNCHANGED, line);
	assert_string_equal(line, "resource type=\"Mesh\" name=\"m\" Unchanged");
	bundle_error_line(&placed, line);
	assert_string_equal(line, "document 3, line 14: data: cannot be");
	bundle_error_line(&whole, line);
	assert_string_equal(line, "nothing");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one),	      cmocka_unit_test(test_refused),
		cmocka_unit_test(test_many),	      cmocka_unit_test(test_errors_have_no_values),
		cmocka_unit_test(test_too_long), cmocka_unit_test(test_nearest),      cmocka_unit_test(test_lists_of_a_kind), cmocka_unit_test(test_skipping_others),
		cmocka_unit_test(test_mesh_document), cmocka_unit_test(test_writing),
		cmocka_unit_test(test_lines),
	};

	return cmocka_run_group_tests(tests, fixture_group_setup, fixture_group_teardown);
}
