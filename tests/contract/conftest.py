from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT7

from eatool.contract.published import read_schemas
from eatool.domain.events import JsonObject

GOLDEN = Path(__file__).parents[1] / "domain" / "golden"

#: Metadata of an event about which everything is known.
METADATA: JsonObject = {
    "uid": "14464dba-556f-4868-be06-a3d5cc83ffa0",
    "generation": 2,
    "previous_generation": 1,
    "schema_version": 1,
    "actor_type": "user",
    "trust": "authenticated",
    "source": "api",
    "field_manager": "kubectl",
    "reason": "Stores card numbers now.",
    "approval_id": "CAB-17",
    "override": "reactivate",
    "corrects_event_id": "5f0f5c6e-39b4-5b63-9d43-0b9f1f8f2d11",
    "spent": {"approval_id": "CAB-16"},
    "occurred_at": "2026-11-23T14:15:15Z",
    "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
}


def golden_events() -> Iterator[tuple[str, JsonObject]]:
    """Versioned type and data of every event that a log in the field may hold."""
    for path in sorted(GOLDEN.glob("*.json")):
        yield path.stem, json.loads(path.read_text(encoding="utf-8"))


class Contract:
    """The published schemas as a consumer uses them: files beside each other."""

    def __init__(self) -> None:
        self.schemas = read_schemas()
        self._files: Registry[Any] = Registry().with_resources(
            (f"{name}.json", Resource.from_contents(schema, DRAFT7))
            for name, schema in self.schemas.items()
        )

    def complaints(self, name: str, value: object) -> list[str]:
        """What is wrong with ``value`` by the schema ``name``."""
        validator = Draft7Validator(
            self.schemas[name],
            registry=self._files,
            format_checker=Draft7Validator.FORMAT_CHECKER,
        )
        return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(value)]


@pytest.fixture(scope="session")
def contract() -> Contract:
    return Contract()
