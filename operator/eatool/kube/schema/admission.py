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
from eatool.kube.rollout.resource import APPROVE, APPROVED_BY, EVENT_SOURCING_ROLLOUT
from eatool.kube.schema.structural import JsonObject
from eatool.publishing.declared import API_GROUP, API_VERSION

POLICY_NAME = "actor.eatool.io"
APPROVER_POLICY_NAME = "approver.platform.eatool.io"

_DESCRIPTION = (
    f"Writes the authenticated user into {ACTOR} and {ACTOR_TYPE} of an entity when its spec is "
    "new or changed, and restores both otherwise, so that nobody can claim to be somebody else."
)
_APPROVER_DESCRIPTION = (
    f"Writes the authenticated user into {APPROVED_BY} of a rollout when {APPROVE} is new or "
    "changed, and restores it otherwise."
)

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

_ANNOTATIONS = (
    ("sent", "object.metadata.?annotations.orValue({})"),
    ("before", "oldObject == null ? {} : oldObject.metadata.?annotations.orValue({})"),
)
_TRUTH = ("truth", "variables.changed ? dyn(variables.user) : dyn(variables.before)")
_VARIABLES = (
    ("changed", "oldObject == null || object.?spec != oldObject.?spec"),
    ("stamps", f"['{ACTOR}', '{ACTOR_TYPE}']"),
    *_ANNOTATIONS,
    ("user", _USER),
    _TRUTH,
)
_APPROVER_VARIABLES = (
    *_ANNOTATIONS,
    ("changed", f"variables.sent[?'{APPROVE}'] != variables.before[?'{APPROVE}']"),
    ("stamps", f"['{APPROVED_BY}']"),
    ("user", f"{{'{APPROVED_BY}': request.userInfo.username}}"),
    _TRUTH,
)


def actor_policy(kinds: Sequence[EntityKind]) -> tuple[JsonObject, ...]:
    """Each policy and its cluster-wide binding, for all of ``kinds`` and for rollouts."""
    entities = _resources(
        EntityKind.api_group, EntityKind.api_version, *sorted(kind.plural for kind in kinds)
    )
    rollouts = _resources(API_GROUP, API_VERSION, EVENT_SOURCING_ROLLOUT.plural)
    return (
        *_stamping(POLICY_NAME, _DESCRIPTION, (entities, rollouts), _VARIABLES),
        *_stamping(APPROVER_POLICY_NAME, _APPROVER_DESCRIPTION, (rollouts,), _APPROVER_VARIABLES),
    )


def _resources(group: str, version: str, *plurals: str) -> JsonObject:
    return {
        "apiGroups": [group],
        "apiVersions": [version],
        # No ``/status``: what the operator reports is not a change.
        "resources": list(plurals),
        "operations": ["CREATE", "UPDATE"],
    }


def _stamping(
    name: str,
    description: str,
    rules: Sequence[JsonObject],
    variables: Sequence[tuple[str, str]],
) -> tuple[JsonObject, JsonObject]:
    """A policy and its binding."""
    policy = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingAdmissionPolicy",
        "metadata": _metadata(name, description),
        "spec": {
            "failurePolicy": "Fail",
            # The stamp depends on the user and on the old object: a second run adds nothing.
            "reinvocationPolicy": "Never",
            "matchConstraints": {"resourceRules": list(rules)},
            "variables": [
                {"name": variable, "expression": expression} for variable, expression in variables
            ],
            "mutations": [
                {"patchType": "JSONPatch", "jsonPatch": {"expression": _PATCHES}},
            ],
        },
    }
    binding = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingAdmissionPolicyBinding",
        "metadata": _metadata(name, description),
        "spec": {"policyName": name},
    }
    return policy, binding


def _metadata(name: str, description: str) -> JsonObject:
    return {
        "name": name,
        "labels": {"app.kubernetes.io/part-of": "eatool-operator"},
        "annotations": {"kubernetes.io/description": description},
    }
