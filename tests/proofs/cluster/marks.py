"""What edits change, and what is owed for them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tests.proofs.sides import Side

from eatool.domain.kind import EntityKind
from eatool.domain.kinds import KINDS

#: The text field of each kind that everybody edits; whoever does writes what nobody wrote before.
_MARKED: Final[Mapping[str, str]] = {
    "organization": "name",
    "business_capability": "description",
    "application": "description",
    "application_service": "description",
    "application_interface": "name",
    "integration": "data_contract",
    "data_entity": "steward",
    "server": "owning_team",
    "relation": "description",
}

#: The mark by entity (aggregate type, id); ``None`` for one that there must not be.
Owed = dict[tuple[str, str], str | None]


def column(kind: EntityKind) -> str:
    """Name of the field in the tables."""
    return _MARKED[kind.aggregate_type]


def field(kind: EntityKind) -> str:
    """Name of the field in manifests."""
    name = column(kind)
    return kind.spec.model_fields[name].alias or name


def told(owed: Owed, sides: Mapping[str, Side]) -> Owed:
    """What the sides say of the entities of ``owed``."""
    return {(kind, name): sides[kind].get(name, {}).get(column(KINDS[kind])) for kind, name in owed}
