"""Rules of the spec as parity knows them."""

from __future__ import annotations

from eatool.domain.kinds import by_kind
from eatool.kube.rollout.deciding import ignored_fields
from eatool.rollout.declared import EventSourcingRolloutSpec


def test_fields_are_named_as_in_manifests_and_left_out_by_rule() -> None:
    spec = EventSourcingRolloutSpec.model_validate(
        {
            "entityKind": "Application",
            "targetPhase": "DualWrite",
            "parity": {
                "ignored": [
                    {"name": "noise", "fields": ["description", "dataClassification"]},
                ]
            },
        }
    )
    assert ignored_fields(by_kind("Application"), spec) == {
        "description": "noise",
        "data_classification": "noise",
    }
