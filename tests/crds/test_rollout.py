"""EventSourcingRollouts on the real API server: what it takes, refuses and shows."""

from __future__ import annotations

from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.crds.server import MERGE, Cause, JsonObject, Kubectl, declared

from eatool.dev.apiclient import ApiClient, Reply
from eatool.dev.controlplane import ControlPlane
from eatool.domain.kind import EntityKind
from eatool.domain.kinds import KINDS
from eatool.kube.rollout.resource import EVENT_SOURCING_ROLLOUT as ESR
from eatool.publishing.declared import API_GROUP, API_VERSION

PATH = f"/apis/{API_GROUP}/{API_VERSION}/{ESR.plural}"
EXAMPLE = Path(__file__).parents[2] / "examples" / "platform" / "eventsourcingrollout.yaml"
SERVER: JsonObject = {"entityKind": "Server", "targetPhase": "DualWrite"}
_AT = "2026-01-31T08:30:00Z"
PARITY: JsonObject = {"name": "p", "metric": "ParityMismatches", "op": "==", "threshold": "0"}


def steps(*transitions: JsonObject, **more: Any) -> JsonObject:
    return {**SERVER, "transitions": list(transitions), **more}


def criteria(*found: JsonObject, **more: Any) -> JsonObject:
    return steps({"to": "ProjectionOnly", "criteria": list(found)}, **more)


def gates(*found: JsonObject) -> JsonObject:
    return steps({"to": "ProjectionOnly", "gates": list(found)})


REFUSED: tuple[tuple[str, str, JsonObject], ...] = (
    ("transitions", "must name each phase once", steps({"to": "Retired"}, {"to": "Retired"})),
    (
        "transitions",
        "autoPromote must be false into Retired",
        steps({"to": "Retired", "autoPromote": True}),
    ),
    ("transitions", "criteria of one list must have different names", criteria(PARITY, PARITY)),
    (
        "transitions",
        "promQL is for criteria of metric PromQL, which need it",
        criteria({**PARITY, "promQL": "up"}),
    ),
    (
        "prometheus",
        "criteria of metric PromQL need prometheus.url",
        criteria({**PARITY, "metric": "PromQL", "promQL": "up"}),
    ),
    ("transitions", "window must be at most 24h", criteria({**PARITY, "window": "25h"})),
    (
        "transitions",
        "promote and held are taken",
        gates({"name": "promote", "type": "Manual"}),
    ),
    (
        "transitions",
        "opens, closes, days and timeZone are for gates of type Window",
        gates({"name": "w", "type": "Window", "opens": "09:00"}),
    ),
    (
        "transitions",
        "entityKind and minPhase are for gates of type DependsOn",
        gates({"name": "d", "type": "DependsOn", "entityKind": "Server", "minPhase": "DualWrite"}),
    ),
    (
        "parity",
        "parity.ignored.fields must be fields of the kind's spec",
        {**SERVER, "parity": {"ignored": [{"name": "a", "fields": ["regoin"]}]}},
    ),
    (
        "parity",
        "metadata.name with when Unrecordable",
        {**SERVER, "parity": {"ignored": [{"name": "a", "fields": ["metadata.name"]}]}},
    ),
    ("entityKind", "one of", {**SERVER, "entityKind": "Planet"}),
    ("targetPhase", "supported values", {**SERVER, "targetPhase": "Everything"}),
    ("transitions[0].soakTime", "a duration such as", steps({"to": "DualWrite", "soakTime": "1d"})),
)


class Rollouts:
    """Rollouts of the cluster; there is one name for each kind."""

    def __init__(self, client: ApiClient) -> None:
        self.client = client

    def create(self, spec: JsonObject, name: str = "server", *, dry_run: bool = True) -> Reply:
        path = f"{PATH}?fieldValidation=Strict{'&dryRun=All' if dry_run else ''}"
        return self.client.request("POST", path, declared(ESR, name, spec))


@pytest.fixture
def rollouts(platform_crds: None, admin: ApiClient) -> Iterator[Rollouts]:
    yield Rollouts(admin)
    admin.call("DELETE", PATH)


@pytest.fixture
def run(control_plane: ControlPlane, kubectl: Path, rollouts: Rollouts) -> Kubectl:
    return Kubectl(kubectl, control_plane.kubeconfig, "default")


@pytest.mark.parametrize(("field", "message", "spec"), REFUSED, ids=lambda each: str(each)[:60])
def test_refused_in_words_that_name_the_field(
    rollouts: Rollouts, field: str, message: str, spec: JsonObject
) -> None:
    name = spec["entityKind"].lower()
    reply = rollouts.create(spec, name)

    assert reply.status == HTTPStatus.UNPROCESSABLE_ENTITY, reply.body
    causes = reply.body["details"]["causes"]
    found = [Cause(cause.get("field", ""), cause["message"]) for cause in causes]
    assert any(each.field == f"spec.{field}" and message in each.message for each in found), found


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.kind)
def test_every_field_of_a_kind_may_differ_by_rule(rollouts: Rollouts, kind: EntityKind) -> None:
    fields = list(kind.spec.model_json_schema(by_alias=True)["properties"])
    spec = {
        "entityKind": kind.kind,
        "targetPhase": "DualWrite",
        "parity": {
            "ignored": [
                {"name": "known", "fields": fields},
                {
                    "name": "dirt",
                    "fields": [*fields, "metadata.name"],
                    "when": "Unrecordable",
                },
            ]
        },
    }
    reply = rollouts.create(spec, kind.kind.lower())
    assert reply.status == HTTPStatus.CREATED, reply.body["message"]


def test_no_rule_is_without_a_refusal() -> None:
    untried = {
        rule.message
        for rule in ESR.cel
        if not any(message in rule.message for _, message, _ in REFUSED)
    }
    assert untried == {"entityKind is immutable"}


def test_one_rollout_of_each_kind_for_ever(rollouts: Rollouts) -> None:
    other = rollouts.create(SERVER, "another")
    assert "metadata.name must be the kind in lower case" in other.body["message"]
    made = rollouts.create(SERVER, dry_run=False).body
    spec = {**SERVER, "entityKind": "Application"}
    changed = rollouts.client.request("PUT", f"{PATH}/server", {**made, "spec": spec})
    assert "entityKind is immutable" in changed.body["message"]


def test_the_example_is_taken_as_it_came(rollouts: Rollouts) -> None:
    manifest = yaml.safe_load(EXAMPLE.read_text())
    reply = rollouts.create(manifest["spec"], manifest["metadata"]["name"])

    assert reply.status == HTTPStatus.CREATED, reply.body["message"]
    assert reply.body["spec"] == manifest["spec"], "no defaults: GitOps tools would see drift"
    assert reply.body["status"] == {"observedGeneration": -1}


def test_accepted_as_structural_and_explained(rollouts: Rollouts, run: Kubectl) -> None:
    crd = rollouts.client.call(
        "GET",
        f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{ESR.plural}.{API_GROUP}",
    )
    assert {each["type"]: each["status"] for each in crd["status"]["conditions"]} == {
        "NamesAccepted": "True",
        "Established": "True",
    }
    for part in ("spec", "status", "status.history", "status.transition"):
        assert "<no description>" not in run("explain", f"esr.{part}")


def test_what_kubectl_get_esr_prints(rollouts: Rollouts, run: Kubectl) -> None:
    rollouts.create({**SERVER, "targetPhase": "AsyncCommands"}, dry_run=False)
    judged = {
        "name": "parity",
        "demand": "ParityMismatches == 0",
        "result": "Pass",
        "value": "0",
        "failures": 0,
        "since": _AT,
    }
    status: JsonObject = {
        "observedGeneration": 1,
        "phase": "DualWrite",
        "phaseEpoch": 2,
        "phaseSince": _AT,
        "state": "Soaking",
        "criteriaSummary": "3/3",
        "parity": "0 at 100%",
        "soak": "14h of 24h",
        "message": "all criteria pass",
        "evaluatedAt": _AT,
        "transition": {
            "id": "server-3",
            "from": "DualWrite",
            "to": "ProjectionOnly",
            "startedAt": _AT,
            "replicasAcked": 1,
        },
        "criteria": [{**judged, "samples": 4812, "dryRun": False}],
        "rollbackCriteria": [],
        "gates": [
            {"name": "promote", "type": "Manual", "state": "Waiting", "message": "an approval"}
        ],
        "rollback": {"possible": True, "reason": "the legacy table decides", "demotions": 0},
        "retiredTable": "servers_retired_20270201",
        "history": [
            {
                "epoch": 2,
                "from": "Legacy",
                "to": "DualWrite",
                "result": "Promoted",
                "trigger": "Auto",
                "actor": "system",
                "reason": "nothing was asked for",
                "evidence": [{"name": "parity", "result": "Pass", "value": "0"}],
                "startedAt": _AT,
                "finishedAt": _AT,
                "eventPosition": 7,
            }
        ],
        "conditions": [
            {
                "type": "Ready",
                "status": "True",
                "observedGeneration": 1,
                "lastTransitionTime": _AT,
                "reason": "Soaking",
                "message": "all criteria pass",
            }
        ],
    }
    path = f"{PATH}/server/status"
    reply = rollouts.client.call("PATCH", path, {"status": status}, content_type=MERGE)
    assert reply["status"] == status, "nothing is pruned"

    table = run("get", "esr")
    header, row = table.splitlines()
    assert header.split() == [
        "NAME", "KIND", "PHASE", "TARGET", "STATE", "CRITERIA", "PARITY", "SOAK", "EPOCH",
        "READY", "AGE",
    ]  # fmt: skip
    told = " ".join(row.split()).rpartition(" ")[0]
    assert told == ("server Server DualWrite AsyncCommands Soaking 3/3 0 at 100% 14h of 24h 2 True")
    assert "all criteria pass" in run("get", "esr", "-o", "wide")
