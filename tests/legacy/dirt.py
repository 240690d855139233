"""The mistakes of ten years: what is wrong with which rows, and the code each is refused for."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Any

from tests.legacy.clean import Row, targets

#: What a mistake changes of a row (with the table's first row, which stays sound), and the code.
_Mistake = tuple[Callable[[Row, Row], Mapping[str, Any]], str]

_MISTAKES: Mapping[str, tuple[_Mistake, ...]] = {
    "organizations": (
        (lambda row, first: {"domains": '["shop..example"]'}, "FORMAT"),
        (lambda row, first: {"name": None}, "REQUIRED"),
        (lambda row, first: {"parent_id": row["id"]}, "CIRCULAR_REFERENCE"),
        (
            lambda row, first: {"parent_id": None, "name": f"  {first['name'].upper()} "},
            "ALREADY_EXISTS",
        ),
    ),
    "business_capabilities": (
        (lambda row, first: {"name": "N" * 300}, "RANGE"),
        (lambda row, first: {"parent_id": "cap-gone"}, "REFERENCE_NOT_FOUND"),
    ),
    "applications": (
        (lambda row, first: {"lifecycle": "sunset"}, "FORMAT"),
        (lambda row, first: {"owner": None}, "REQUIRED"),
        (lambda row, first: {"description": "D" * 2_500}, "RANGE"),
        (lambda row, first: {"capability_id": "cap-gone"}, "REFERENCE_NOT_FOUND"),
        (lambda row, first: {"tags": "finance,core"}, "FORMAT"),
        (lambda row, first: {"name": f" {first['name'].swapcase()}"}, "ALREADY_EXISTS"),
        (lambda row, first: {"id": f"APP {row['id'][4:]}"}, "FORMAT"),
        (lambda row, first: {"id": f"{row['id']}-{'x' * 60}"}, "RANGE"),
    ),
    "application_services": (
        (lambda row, first: {"exposed_by_app_ids": '["app-gone"]'}, "REFERENCE_NOT_FOUND"),
        (lambda row, first: {"id": f"svc/{row['id']}"}, "FORMAT"),
    ),
    "application_interfaces": (
        (lambda row, first: {"exposed_by_app_id": "app-gone"}, "REFERENCE_NOT_FOUND"),
        (lambda row, first: {"endpoint": "https://user:secret@host.example/"}, "FORMAT"),
        (lambda row, first: {"rate_limits": '{"burst": 0}'}, "RANGE"),
    ),
    "integrations": (
        (lambda row, first: {"protocol": "carrier pigeon"}, "FORMAT"),
        (lambda row, first: {"target_app_id": row["source_app_id"]}, "SELF_RELATION"),
    ),
    "data_entities": (
        (lambda row, first: {"classification": "secret"}, "FORMAT"),
        (lambda row, first: {"criticality": None}, "REQUIRED"),
    ),
    "servers": ((lambda row, first: {"hostname": "10.0.0.7"}, "FORMAT"),),
    "relations": (
        (lambda row, first: {"relation_type": "loves"}, "FORMAT"),
        (lambda row, first: {"confidence": 1.7}, "RANGE"),
        (lambda row, first: {"target_id": "gone"}, "REFERENCE_NOT_FOUND"),
    ),
}


def soil(
    rows: Mapping[str, list[Row]], chance: random.Random, *, times: int
) -> dict[tuple[str, str], str]:
    """Make each mistake up to ``times`` times; (table, id) of all that is refused for it.

    What needs a refused row is refused too, so most mistakes are made where nothing depends on.
    """
    refused: dict[tuple[str, str], str] = {}
    named = {target for table in rows for row in rows[table] for target in targets(table, row)}
    for table, mistakes in _MISTAKES.items():
        first = rows[table][0]
        unnamed = [row for row in rows[table][1:] if (table, row["id"]) not in named]
        chance.shuffle(unnamed)
        for change, code in mistakes:
            for _ in range(min(times, len(unnamed) // 4)):
                row = unnamed.pop()
                row.update(change(row, first))
                refused[table, row["id"]] = code
        if table in {"organizations", "business_capabilities"}:
            ring = [unnamed.pop() for _ in range(3)]
            for row, parent in zip(ring, (*ring[1:], ring[0]), strict=True):
                row["parent_id"] = parent["id"]
                refused[table, row["id"]] = "CIRCULAR_REFERENCE"
    named_app = next(
        row for row in rows["applications"][1:] if ("applications", row["id"]) in named
    )
    named_app["data_classification"] = None
    refused["applications", named_app["id"]] = "REQUIRED"
    _spread(rows, refused)
    return refused


def _spread(rows: Mapping[str, list[Row]], refused: dict[tuple[str, str], str]) -> None:
    """To those that need a refused row, and those that need them."""
    before = -1
    while len(refused) != before:
        before = len(refused)
        for table in rows:
            for row in rows[table]:
                key = (table, row["id"])
                if key not in refused and any(target in refused for target in targets(table, row)):
                    refused[key] = "REFERENCE_NOT_FOUND"
