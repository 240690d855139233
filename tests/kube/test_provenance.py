"""Who changed an object: stamped by admission, or guessed from real managedFields."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from tests.kube.objects_for_tests import server

from eatool.kube.contract import ACTOR, ACTOR_TYPE
from eatool.kube.provenance import provenance_of, provenance_of_deletion
from eatool.registry.change import ActorType, Source, Trust


def entry(manager: str | None, at: str, *fields: str, subresource: str = "") -> dict[str, Any]:
    """One element of ``metadata.managedFields`` as kube-apiserver 1.36 writes it."""
    written: dict[str, Any] = {
        "apiVersion": "eatool.io/v1alpha1",
        "fieldsType": "FieldsV1",
        "fieldsV1": {f"f:{name}": {".": {}} for name in fields},
        "operation": "Update",
        "time": at,
    }
    if manager is not None:
        written["manager"] = manager
    if subresource:
        written["subresource"] = subresource
    return written


def managed(*entries: dict[str, Any], **facts: Any) -> dict[str, Any]:
    body = server(**facts)
    body["metadata"]["managedFields"] = list(entries)
    return body


KUBECTL = entry("kubectl-client-side-apply", "2026-11-01T12:00:00Z", "metadata", "spec")
OURS = entry("eatool-operator", "2026-11-01T12:00:05Z", "status", subresource="status")
FINALIZER = entry("eatool-operator", "2026-11-01T12:00:04Z", "metadata")
EDIT = entry("kubectl-edit", "2026-11-01T13:00:00Z", "spec")
LABEL = entry("kubectl-label", "2026-11-01T14:00:00Z", "metadata")
STAMPED = {ACTOR: "alice@example.org", ACTOR_TYPE: "user"}


def test_the_newest_writer_of_the_spec_is_observed_and_our_own_writes_are_not() -> None:
    told = provenance_of(managed(KUBECTL, EDIT, FINALIZER, OURS, LABEL), stamped=False)
    assert (told.actor, told.trust, told.field_manager) == (
        "kubectl-edit",
        Trust.OBSERVED,
        "kubectl-edit",
    )
    assert told.actor_type is ActorType.SERVICE
    assert told.occurred_at == datetime(2026, 11, 1, 13, tzinfo=UTC)
    assert told.source is Source.API


def test_a_stamp_counts_only_where_the_policy_guards_it() -> None:
    body = managed(KUBECTL, annotations=STAMPED)
    told = provenance_of(body, stamped=True)
    assert (told.actor, told.trust, told.actor_type) == (
        "alice@example.org",
        Trust.AUTHENTICATED,
        ActorType.USER,
    )
    assert told.field_manager == "kubectl-client-side-apply"
    forged = provenance_of(body, stamped=False)
    assert (forged.actor, forged.trust) == ("kubectl-client-side-apply", Trust.OBSERVED)


def test_an_object_older_than_the_policy_has_no_stamp() -> None:
    told = provenance_of(managed(KUBECTL), stamped=True)
    assert (told.actor, told.trust) == ("kubectl-client-side-apply", Trust.OBSERVED)


@pytest.mark.parametrize(
    ("actor", "stamped", "expected"),
    [
        ("alice", "user", ActorType.USER),
        ("system:serviceaccount:ci:deployer", "service", ActorType.SERVICE),
        ("system:apiserver", "system", ActorType.SYSTEM),
        ("system:serviceaccount:ci:deployer", "nonsense", ActorType.SERVICE),
        ("alice", "", ActorType.USER),
    ],
)
def test_the_kind_of_actor(actor: str, stamped: str, expected: ActorType) -> None:
    annotations = {ACTOR: actor, ACTOR_TYPE: stamped}
    assert provenance_of(managed(annotations=annotations), stamped=True).actor_type is expected


@pytest.mark.parametrize(
    ("manager", "source"),
    [
        ("argocd-controller", Source.GITOPS),
        ("kustomize-controller", Source.GITOPS),
        ("helm-controller", Source.GITOPS),
        ("fleetagent", Source.GITOPS),
        ("helm", Source.API),
        ("kubectl", Source.API),
    ],
)
def test_deployers_from_git_are_told_apart(manager: str, source: Source) -> None:
    body = managed(entry(manager, "2026-11-01T12:00:00Z", "spec"))
    assert provenance_of(body, stamped=False).source is source


def test_without_managed_fields_nobody_is_named() -> None:
    told = provenance_of(server(), stamped=False)
    assert (told.actor, told.trust, told.field_manager) == ("unknown", Trust.OBSERVED, None)
    assert told.occurred_at == datetime(2026, 1, 1, tzinfo=UTC)


def test_a_nameless_writer_of_the_same_second_is_no_error() -> None:
    nameless = entry(None, "2026-11-01T12:00:00Z", "spec")
    assert provenance_of(managed(nameless, KUBECTL), stamped=False).field_manager is not None
    assert provenance_of(managed(nameless), stamped=False).actor == "unknown"


def test_a_deletion_names_nobody_but_says_when_and_why() -> None:
    body = managed(
        KUBECTL, deleted=True, annotations={**STAMPED, "eatool.io/reason": "end of life"}
    )
    told = provenance_of_deletion(body)
    assert (told.actor, told.trust) == ("unknown", Trust.OBSERVED)
    assert told.annotations.reason == "end of life"
    assert told.occurred_at == datetime(2026, 1, 2, tzinfo=UTC)
