"""Who changed a spec: stamped by the API server itself, for every writer, without a webhook.

A MutatingAdmissionPolicy (v1 since Kubernetes 1.36) is CEL inside kube-apiserver. It sets
``eatool.io/actor`` (the authenticated user name) and ``eatool.io/actor-type`` (``user``,
``service`` for a service account, ``system`` for the cluster itself) whenever a spec is new or
changed, and otherwise puts back what was there: no client can forge or erase them, and the
operator's own writes (finalizer, status) change no spec and so never change the actor.

``failurePolicy: Fail``, because an actor that is sometimes unchecked can never be trusted. The
price is small: there is no network in between that could fail, only expressions over two fields
that every request has.

JSONPatch instead of an apply configuration, because only a patch can remove a forged value.

Two limits: a deletion has no object to stamp, so its actor comes from elsewhere; and what an object
claimed before the policy was installed stays until its spec changes, so install the policy first.
"""

from __future__ import annotations

from collections.abc import Sequence

from eatool.domain.kind import EntityKind
from eatool.kube.contract import ACTOR, ACTOR_TYPE
from eatool.kube.schema.structural import JsonObject

POLICY_NAME = "actor.eatool.io"

_DESCRIPTION = (
    f"Writes the authenticated user into {ACTOR} and {ACTOR_TYPE} of an entity when its spec is "
    "new or changed, and restores both otherwise, so that nobody can claim to be somebody else."
)

_STAMPS = f"['{ACTOR}', '{ACTOR_TYPE}']"

_USER = f"""\
{{
  '{ACTOR}': request.userInfo.username,
  '{ACTOR_TYPE}':
    request.userInfo.username.startsWith('system:serviceaccount:') ? 'service' :
    request.userInfo.username.startsWith('system:') ? 'system' : 'user'
}}"""

_PATCHES = """\
(variables.sent.size() == 0 && variables.stamps.exists(key, key in variables.truth) ?
  [JSONPatch{op: 'add', path: '/metadata/annotations', value: {}}] : []) +
variables.stamps.filter(key, key in variables.truth).map(key,
  JSONPatch{op: 'add', path: '/metadata/annotations/' + jsonpatch.escapeKey(key),
            value: variables.truth[key]}) +
variables.stamps.filter(key, !(key in variables.truth) && key in variables.sent).map(key,
  JSONPatch{op: 'remove', path: '/metadata/annotations/' + jsonpatch.escapeKey(key)})"""

_VARIABLES = (
    ("changed", "oldObject == null || object.?spec != oldObject.?spec"),
    ("stamps", _STAMPS),
    ("sent", "object.metadata.?annotations.orValue({})"),
    ("before", "oldObject == null ? {} : oldObject.metadata.?annotations.orValue({})"),
    ("user", _USER),
    ("truth", "variables.changed ? dyn(variables.user) : dyn(variables.before)"),
)


def actor_policy(kinds: Sequence[EntityKind]) -> tuple[JsonObject, JsonObject]:
    """The policy and its cluster-wide binding, for all of ``kinds``."""
    return (
        {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "MutatingAdmissionPolicy",
            "metadata": _metadata(),
            "spec": {
                "failurePolicy": "Fail",
                # The stamp depends on the user and on the old object: a second run adds nothing.
                "reinvocationPolicy": "Never",
                "matchConstraints": {
                    "resourceRules": [
                        {
                            "apiGroups": [EntityKind.api_group],
                            "apiVersions": [EntityKind.api_version],
                            # No ``/status``: what the operator reports is not a change.
                            "resources": sorted(kind.plural for kind in kinds),
                            "operations": ["CREATE", "UPDATE"],
                        }
                    ]
                },
                "variables": [
                    {"name": name, "expression": expression} for name, expression in _VARIABLES
                ],
                "mutations": [
                    {"patchType": "JSONPatch", "jsonPatch": {"expression": _PATCHES}},
                ],
            },
        },
        {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "MutatingAdmissionPolicyBinding",
            "metadata": _metadata(),
            "spec": {"policyName": POLICY_NAME},
        },
    )


def _metadata() -> JsonObject:
    return {
        "name": POLICY_NAME,
        "labels": {"app.kubernetes.io/part-of": "eatool-operator"},
        "annotations": {"kubernetes.io/description": _DESCRIPTION},
    }
