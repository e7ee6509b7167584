# SPDX-License-Identifier: Apache-2.0
# What `kubectl get secrets -o json` (or `kubectl get secret NAME -o json`) prints, as documents for hushctl apply: a secret
# of mesh $mesh for each key, named SECRET.KEY. Values stay base64. Tokens that Kubernetes and Helm make for themselves, and the
# mesh's own secrets, are left out.
[
	(.items // [.])[]
	| select(.type | test("^(kubernetes.io/service-account-token|bootstrap.kubernetes.io/token|helm.sh/.*|system.kuma.io/.*)$") | not)
	| .metadata.name as $secret
	| (.data // {}) | to_entries[]
	| {type: "Secret", mesh: $mesh, name: "\($secret).\(.key)" | ascii_downcase | gsub("[^a-z0-9.-]"; "-"), data: .value}
]
| (group_by(.name) | map(select(length > 1)[0].name)) as $twice
| if $twice == [] then {items: .} else error("two keys would both be \($twice | join(", ")): rename one") end
