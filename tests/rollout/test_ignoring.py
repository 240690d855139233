"""Rules of the spec as parity applies them."""

from __future__ import annotations

from typing import Any, get_args

import pytest

from eatool.domain.kinds import by_kind
from eatool.rollout.declared import EventSourcingRolloutSpec, When
from eatool.rollout.ignoring import Rule, accept, excuse, rules_of

APPLICATION = by_kind("Application")
#: What differs in one way only, and that way.
PAIRS: list[tuple[Any, Any, When | None]] = [
    ("Shop", "SHOP", "CaseDiffers"),
    (["a", "B"], ("A", "b"), "CaseDiffers"),
    ("Straße", "STRASSE", "CaseDiffers"),
    ("corner shop", " corner\tshop", "BlanksDiffer"),
    ({"per": "7 Years"}, {"per": "7Years"}, "BlanksDiffer"),
    ("", None, "EmptyOrAbsent"),
    ([], None, "EmptyOrAbsent"),
    ("Shop", "Depot", None),
    ("Shop", None, None),
    (0, None, None),
    (False, None, None),
    (["a", "b"], ["b", "a"], None),
    (1, 2, None),
]


@pytest.mark.parametrize("when", get_args(When))
@pytest.mark.parametrize(("legacy", "read", "way"), PAIRS)
def test_each_rule_excuses_what_it_names(
    legacy: Any, read: Any, way: When | None, when: When
) -> None:
    rule = Rule("noise", when)
    expected = when in ("Always", way)
    assert rule.excuses(legacy, read) is expected
    assert rule.excuses(read, legacy) is expected


def test_fields_are_named_as_in_manifests() -> None:
    spec = EventSourcingRolloutSpec.model_validate(
        {
            "entityKind": "Application",
            "targetPhase": "DualWrite",
            "parity": {
                "ignored": [
                    {"name": "noise", "fields": ["description", "dataClassification"]},
                    {"name": "shouting", "fields": ["owner"], "when": "CaseDiffers"},
                    {"name": "typing", "fields": ["owner"], "when": "BlanksDiffer"},
                ]
            },
        }
    )
    assert spec.parity is not None
    assert rules_of(APPLICATION, spec.parity) == {
        "description": [Rule("noise")],
        "data_classification": [Rule("noise")],
        "owner": [Rule("shouting", "CaseDiffers"), Rule("typing", "BlanksDiffer")],
    }


@pytest.mark.parametrize(
    ("complaints", "rules"),
    [
        (["spec.name: is required"], "no-name"),
        (["spec.rateLimits.burst: must be positive"], "limits"),
        (["spec.tags[2]: must be text", "spec.name: is required"], "no-name, tags"),
        (["metadata.name: must be the name of an object: lower-case letters"], "ids"),
        (["spec.owner: is required"], None),
        (["spec.name: is required", "spec.owner: is required"], None),
        (["spec.lifecycle: is required"], None),
        ([], None),
    ],
)
def test_a_row_that_can_be_in_no_log_is_accepted_by_field(
    complaints: list[str], rules: str | None
) -> None:
    ignored = {
        "name": [Rule("noise"), Rule("no-name", "Unrecordable")],
        "rate_limits": [Rule("limits", "Unrecordable")],
        "tags": [Rule("tags", "Unrecordable")],
        "metadata.name": [Rule("ids", "Unrecordable")],
        "lifecycle": [Rule("noise", "Always")],
    }
    assert accept(ignored, complaints) == rules


def test_everything_that_differs_needs_a_rule() -> None:
    ignored = {"owner": [Rule("shouting", "CaseDiffers")], "name": [Rule("noise")]}
    legacy = {"owner": "TEAM", "name": "a", "lifecycle": "active"}
    read = {"owner": "team", "name": "b", "lifecycle": "retired"}
    assert excuse(ignored, ("name", "owner"), legacy, read) == "noise, shouting"
    assert excuse(ignored, ("lifecycle", "name"), legacy, read) is None
    assert excuse(ignored, ("owner",), legacy, {"owner": "crew"}) is None
    assert excuse(ignored, (), legacy, read) is None
