"""Which sightings call for work: late ones, re-created objects, vanished ones."""

from __future__ import annotations

from typing import Any

import pytest
from tests.kube.objects_for_tests import server

from eatool.domain.kinds import by_kind
from eatool.kube.contract import FINALIZER, PAUSED, RECONCILE_AT
from eatool.kube.objects import Objects, cause_of, is_current
from eatool.registry.annotations import REASON

REF = by_kind("Server").ref("default", "db-1")


@pytest.fixture
def objects() -> Objects:
    return Objects()


def dealt_with(objects: Objects, **facts: Any) -> None:
    body = server(**facts)
    objects.observe(REF, body)
    objects.dealt_with(REF, cause_of(body))


def test_the_first_sighting_calls_for_work_and_an_echo_does_not(objects: Objects) -> None:
    assert objects.observe(REF, server())
    objects.dealt_with(REF, cause_of(server()))
    assert not objects.observe(REF, server(version=2, status={"observedGeneration": 1}))
    assert objects.get(REF) == server(version=2, status={"observedGeneration": 1})


@pytest.mark.parametrize(
    "change",
    [
        {"generation": 2},
        {"deleted": True},
        {"finalizers": (FINALIZER,)},
        {"annotations": {PAUSED: "true"}},
        {"annotations": {RECONCILE_AT: "now"}},
        {"annotations": {REASON: "because"}},
        {"uid": "u2"},
    ],
    ids=str,
)
def test_every_cause_calls_for_work(objects: Objects, change: dict[str, Any]) -> None:
    dealt_with(objects)
    assert objects.observe(REF, server(version=2, **change))


def test_labels_and_foreign_annotations_do_not(objects: Objects) -> None:
    dealt_with(objects)
    assert not objects.observe(REF, server(version=2, annotations={"team": "x"}))


def test_a_late_event_does_not_bring_an_old_spec_back(objects: Objects) -> None:
    dealt_with(objects, version=9, generation=3)
    assert not objects.observe(REF, server(version=8, generation=2))
    body = objects.get(REF)
    assert body is not None
    assert body["metadata"]["generation"] == 3


def test_a_late_answer_about_the_former_object_does_not_hide_the_new_one(objects: Objects) -> None:
    objects.observe(REF, server(uid="u1", version=5))
    objects.vanished(REF, server(uid="u1", version=6))
    objects.observe(REF, server(uid="u2", version=7))
    objects.observe(REF, server(uid="u1", version=5))
    body = objects.get(REF)
    assert body is not None
    assert body["metadata"]["uid"] == "u2"
    assert not objects.is_gone(REF)


def test_news_of_a_released_object_are_no_new_object(objects: Objects) -> None:
    objects.observe(REF, server(uid="u1", version=5, finalizers=(FINALIZER,)))
    objects.forget(REF)
    assert not objects.observe(REF, server(uid="u1", version=5, finalizers=(FINALIZER,)))
    assert objects.get(REF) is None
    assert objects.observe(REF, server(uid="u2", version=8))


def test_an_object_that_vanished_without_release_is_gone(objects: Objects) -> None:
    dealt_with(objects)
    assert objects.vanished(REF, server(version=2))
    assert objects.is_gone(REF)
    objects.observe(REF, server(uid="u2", version=3))
    assert not objects.is_gone(REF)


def test_a_released_or_unknown_object_does_not_vanish_again(objects: Objects) -> None:
    assert not objects.vanished(REF, server())
    dealt_with(objects)
    objects.forget(REF)
    assert not objects.vanished(REF, server(version=2))
    objects.observe(REF, server(uid="u2", version=3))
    assert not objects.vanished(REF, server(uid="u1", version=4))


def test_distrust_calls_for_work_again(objects: Objects) -> None:
    dealt_with(objects)
    objects.distrust(REF)
    assert objects.observe(REF, server())


def test_versions_that_are_no_numbers_lose_the_protection_only(objects: Objects) -> None:
    opaque = server()
    opaque["metadata"]["resourceVersion"] = "opaque"
    assert objects.observe(REF, opaque)
    assert is_current(opaque, opaque)
