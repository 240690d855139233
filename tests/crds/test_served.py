"""What users and GitOps tools see of the CRDs once they are installed."""

import json
from http import HTTPStatus

import pytest
from tests.crds.cases import LANDSCAPE, sample
from tests.crds.conftest import CRDS
from tests.crds.server import APPLY, MERGE, JsonObject, Kubectl, Registry

from eatool.dev.apiclient import ApiClient
from eatool.domain.kind import EntityKind
from eatool.domain.kinds import KINDS
from eatool.kube.schema.crd import crd_name

ALL_KINDS = pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.kind)

FULL_STATUS: JsonObject = {
    "observedGeneration": 3,
    "acceptedGeneration": 2,
    "skippedGenerations": 1,
    "streamVersion": 12,
    "position": 4711,
    "lastEventId": "6c1cf0e5-3c14-5b5c-8d2b-7b8b7f0f9a11",
    "lastEventType": "ApplicationUpdated.v1",
    "correlationId": "0b8e3f5e-7f43-4a63-9d6f-35a3dd0ad1bf",
    "lastHandledReconcileAt": "2026-01-31T08:30:00Z",
    "waitingFor": ["BusinessCapability/order-to-cash"],
    "warnings": ["spec.tags: one of them is deprecated"],
    "effective": {"name": "Webshop", "criticality": "low", "tags": ["a", "b"]},
    "conditions": [
        {
            "type": "Ready",
            "status": "True",
            "observedGeneration": 3,
            "lastTransitionTime": "2026-01-31T08:30:00Z",
            "reason": "Recorded",
            "message": "Version 12 is recorded",
        },
        {
            "type": "Reconciling",
            "status": "False",
            "observedGeneration": 3,
            "lastTransitionTime": "2026-01-31T08:30:00.123456Z",
            "reason": "Recorded",
            "message": "",
        },
    ],
}


@ALL_KINDS
def test_accepted_as_structural(crds: None, admin: ApiClient, kind: EntityKind) -> None:
    conditions = {
        condition["type"]: condition["status"]
        for condition in admin.call("GET", f"{CRDS}/{crd_name(kind)}")["status"]["conditions"]
    }

    assert conditions == {"NamesAccepted": "True", "Established": "True"}


@ALL_KINDS
def test_explain_tells_what_each_field_means(run: Kubectl, kind: EntityKind) -> None:
    text = run("explain", f"{kind.plural}.spec")

    for name, info in kind.spec.model_fields.items():
        assert info.description is not None, name
        assert info.description[:40] in " ".join(text.split())
    assert "<no description>" not in text


def test_one_category_and_a_short_name_for_each_kind(run: Kubectl, registry: Registry) -> None:
    for kind in KINDS.values():
        registry.create(kind.kind, sample(kind.kind), dry_run=False)

    listed = run("get", "ea", "-o", "name").split()
    assert len(listed) == len(KINDS)
    for kind in KINDS.values():
        for short in kind.short_names:
            assert run("get", short, "-o", "name").strip() in listed


def test_columns_and_selectors(run: Kubectl, registry: Registry) -> None:
    registry.create("Application", sample("Application"), name="webshop", dry_run=False)
    run("patch", "eaapp", "webshop", "--subresource=status", "--type=merge",
        "--patch", json.dumps({"status": FULL_STATUS}))  # fmt: skip

    header, row = run("get", "applications").splitlines()
    assert header.split() == [
        "NAME", "TITLE", "LIFECYCLE", "OWNER", "READY", "REASON", "VERSION", "AGE",
    ]  # fmt: skip
    assert row.split()[-4:-1] == ["True", "Recorded", "12"]
    assert "Version 12 is recorded" in run("get", "applications", "-o", "wide")
    selector = "--field-selector=spec.lifecycle="
    assert "webshop" in run("get", "applications", f"{selector}active")
    assert "webshop" not in run("get", "applications", f"{selector}retired")


@ALL_KINDS
def test_a_new_object_does_not_pass_for_a_finished_one(
    registry: Registry, kind: EntityKind
) -> None:
    created = registry.create(kind.kind, sample(kind.kind)).body

    assert created["status"] == {"observedGeneration": -1}
    assert created["spec"] == sample(kind.kind), "the API server added nothing to the spec"


def test_the_whole_status_survives_its_schema(registry: Registry) -> None:
    registry.create("Application", sample("Application"), name="webshop", dry_run=False)
    reply = registry.call(
        "PATCH", "Application", "webshop/status", {"status": FULL_STATUS},
        dry_run=False, content_type=MERGE,
    )  # fmt: skip

    assert reply.status == HTTPStatus.OK, reply.body["message"]
    assert reply.body["status"] == FULL_STATUS
    assert reply.body["metadata"]["generation"] == 1, "a status is no new generation"


@ALL_KINDS
def test_any_accepted_spec_fits_in_effective(registry: Registry, kind: EntityKind) -> None:
    canonical = kind.spec.model_validate(sample(kind.kind))
    effective = canonical.model_dump(mode="json", by_alias=True, exclude_none=True)
    registry.create(kind.kind, sample(kind.kind), dry_run=False)
    reply = registry.call(
        "PATCH", kind.kind, "x/status", {"status": {"effective": effective}}, content_type=MERGE
    )

    assert reply.status == HTTPStatus.OK, reply.body["message"]
    assert reply.body["status"]["effective"] == effective


def test_conditions_merge_by_type(registry: Registry) -> None:
    registry.create("Server", sample("Server"), dry_run=False)
    for condition in FULL_STATUS["conditions"]:
        manifest = registry.manifest("Server", "x", {})
        del manifest["spec"]
        manifest["status"] = {"conditions": [condition]}
        path = f"{registry.path('Server', 'x')}/status?fieldManager={condition['type']}"
        reply = registry.client.call("PATCH", path, manifest, content_type=APPLY)

    assert [entry["type"] for entry in reply["status"]["conditions"]] == ["Ready", "Reconciling"]


def test_applying_the_landscape_again_changes_nothing(run: Kubectl, registry: Registry) -> None:
    manifests = json.dumps({"apiVersion": "v1", "kind": "List", "items": LANDSCAPE})
    apply = ("apply", "--server-side", "--filename=-")
    versions = ("get", "ea", "-o", "jsonpath={.items[*].metadata.resourceVersion}")

    run(*apply, stdin=manifests)
    # The defaulted status is stored with the first write after the creation, which here is the
    # operator's, as it will be in life.
    for manifest in LANDSCAPE:
        path = f"{manifest['metadata']['name']}/status"
        status = {"status": {"observedGeneration": 1}}
        registry.call("PATCH", manifest["kind"], path, status, dry_run=False, content_type=MERGE)
    before = run(*versions)
    run(*apply, stdin=manifests)

    assert len(before.split()) == len(LANDSCAPE)
    assert run(*versions) == before
    assert run("diff", "--server-side", "--filename=-", stdin=manifests) == ""


def test_client_side_apply_sees_no_difference_either(run: Kubectl) -> None:
    manifests = json.dumps({"apiVersion": "v1", "kind": "List", "items": LANDSCAPE})

    run("apply", "--filename=-", stdin=manifests)

    assert run("diff", "--filename=-", stdin=manifests) == ""


def test_an_item_removed_from_git_is_gone(registry: Registry) -> None:
    path = registry.path("Application", "x")
    for manager, tags in (("ui", ["a", "b"]), ("git", ["a", "c"]), ("git", ["a"])):
        manifest = registry.manifest("Application", "x", sample("Application", tags=tags))
        reply = registry.client.call(
            "PATCH", f"{path}?fieldManager={manager}&force=true", manifest, content_type=APPLY
        )

    assert reply["spec"]["tags"] == ["a"]
