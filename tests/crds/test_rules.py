"""What the API server refuses, in which words, and what it takes: every rule, on the real one."""

from http import HTTPStatus

import pytest
from tests.crds.cases import BY_RULE, BY_SCHEMA, LANDSCAPE, OWN_NAME, TAKEN, Refused, Taken, sample
from tests.crds.server import Registry, causes

from eatool.domain.kind import CelRule, EntityKind
from eatool.domain.kinds import KINDS, by_kind
from eatool.domain.relation_matrix import MATRIX
from eatool.kube.schema.crd import root_rules


@pytest.mark.parametrize("case", [*BY_SCHEMA, *BY_RULE], ids=str)
def test_refused_in_words_that_name_the_field(registry: Registry, case: Refused) -> None:
    spec = sample(case.kind, **case.changes)
    if case.after is None:
        reply = registry.create(case.kind, spec, name=OWN_NAME)
    else:
        before = registry.create(case.kind, sample(case.kind, **case.after), dry_run=False)
        assert before.status == HTTPStatus.CREATED, before.body["message"]
        reply = registry.change(case.kind, spec)

    assert reply.status == HTTPStatus.UNPROCESSABLE_ENTITY
    found = {cause.message for cause in causes(reply) if cause.field == case.field}
    expected = declared_message(case) if case in BY_RULE else case.message
    assert any(expected in message for message in found), reply.body["message"]


def declared_message(case: Refused) -> str:
    """The rule's message in full; a case may quote only the beginning of a long one."""
    (message,) = {
        rule.message for rule in rules(by_kind(case.kind)) if rule.message.startswith(case.message)
    }
    return message


def rules(kind: EntityKind) -> tuple[CelRule, ...]:
    return (*root_rules(kind), *kind.cel)


@pytest.mark.parametrize("case", TAKEN, ids=str)
def test_taken(registry: Registry, case: Taken) -> None:
    spec = sample(case.kind, **case.changes)
    if case.after is None:
        reply = registry.create(case.kind, spec, name=OWN_NAME)
    else:
        registry.create(case.kind, sample(case.kind, **case.after), dry_run=False)
        reply = registry.change(case.kind, spec)

    assert reply.status in (HTTPStatus.OK, HTTPStatus.CREATED), reply.body["message"]
    assert {name: reply.body["spec"][name] for name in spec} == spec, "written as it came"


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.kind)
def test_no_rule_is_without_a_refusal(kind: EntityKind) -> None:
    tried = [declared_message(case) for case in BY_RULE if case.kind == kind.kind]

    assert sorted(tried) == sorted(rule.message for rule in rules(kind))


def test_every_kind_has_a_sample_that_is_taken(registry: Registry) -> None:
    refused = {}
    for manifest in LANDSCAPE:
        name = manifest["metadata"]["name"]
        reply = registry.create(manifest["kind"], manifest["spec"], name=name)
        if reply.status != HTTPStatus.CREATED:
            refused[name] = reply.body["message"]

    assert not refused
    assert {manifest["kind"] for manifest in LANDSCAPE} == {kind.kind for kind in KINDS.values()}


def test_the_relation_matrix_is_the_domains(registry: Registry) -> None:
    wrong = []
    for row in MATRIX:
        for archimate in row.archimate:
            spec = {
                "sourceType": row.source.value,
                "sourceId": "a",
                "targetType": row.target.value,
                "targetId": "b",
                "relationType": row.relation.value,
                "archimateRelationship": archimate.value,
            }
            if registry.create("Relation", spec).status != HTTPStatus.CREATED:
                wrong.append(spec)

    assert not wrong


def test_unknown_fields_are_refused_by_name(registry: Registry) -> None:
    reply = registry.create("Application", sample("Application", lifeCycle="active"))

    assert reply.status == HTTPStatus.BAD_REQUEST
    assert 'unknown field "spec.lifeCycle"' in reply.body["message"]


def test_names_that_do_not_fit_in_a_label_are_refused(registry: Registry) -> None:
    reply = registry.create("Application", sample("Application"), name="n" * 64)

    assert "metadata.name: Too long: may not be more than 63" in reply.body["message"]
    taken = registry.create("Application", sample("Application"), name="n" * 63)
    assert taken.status == HTTPStatus.CREATED


def test_null_means_absent(registry: Registry) -> None:
    reply = registry.create("Application", {**sample("Application"), "criticality": None})

    assert reply.status == HTTPStatus.CREATED
    assert "criticality" not in reply.body["spec"]


def test_a_spec_is_required(registry: Registry) -> None:
    manifest = registry.manifest("Application", "x", {})
    del manifest["spec"]
    reply = registry.call("POST", "Application", body=manifest)

    assert "spec: Required value" in reply.body["message"]
