"""The written facts, read; and a registry in which one of them at a time is put to the test."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from tests.domain.samples import MINIMAL
from tests.domain.world import NOW, World, ref

from eatool.domain.decide import decide, parse
from eatool.domain.decision import Accepted, Decision, EntityState, Rejected
from eatool.domain.errors import FieldError
from eatool.domain.identity import EntityRef
from eatool.domain.kinds import by_kind
from eatool.domain.landscape import Constraints, Request

Spec = dict[str, Any]


def _read(name: str) -> Any:
    return yaml.safe_load((Path(__file__).parent / name).read_text(encoding="utf-8"))


KINDS: Mapping[str, Mapping[str, Any]] = _read("kinds.yaml")
VALUES: Mapping[str, Mapping[str, Any]] = _read("values.yaml")
#: Source, verb, target, ArchiMate relationships with the default first.
MATRIX: list[tuple[str, str, str, list[str]]] = [
    (source, verb, target, archimate) for source, verb, target, *archimate in _read("matrix.yaml")
]
#: Kinds by the name that relations and streams have for them.
BY_TYPE = {
    "organization": "Organization",
    "business_capability": "BusinessCapability",
    "application": "Application",
    "application_service": "ApplicationService",
    "application_interface": "ApplicationInterface",
    "integration": "Integration",
    "data_entity": "DataEntity",
    "server": "Server",
    "relation": "Relation",
}


@dataclass(frozen=True, slots=True)
class FieldFact:
    """One field of one kind; ``target`` is the kind it names, or the field that says so."""

    kind: str
    name: str
    type: str
    required: bool
    many: bool
    target: str | None = None
    hard: bool = False

    def __str__(self) -> str:
        return f"{self.kind}.{self.name}"

    @property
    def path(self) -> str:
        """Where complaints about one value of it point at."""
        return f"spec.{self.name}[0]" if self.many else f"spec.{self.name}"

    def holding(self, value: object) -> object:
        """``value`` as it is written into a spec."""
        return [value] if self.many else value


def _field(kind: str, name: str, told: str) -> FieldFact:
    required, many, rest = False, False, told
    if rest.startswith("required "):
        required, rest = True, rest.removeprefix("required ")
    if rest.startswith("set of "):
        many, rest = True, rest.removeprefix("set of ")
    for word in ("hard", "soft"):
        if rest.startswith(f"{word} "):
            target, _, team = rest.removeprefix(f"{word} ").partition(" or ")
            kind_of_value = f"reference or {team}" if team else "reference"
            return FieldFact(kind, name, kind_of_value, required, many, target, word == "hard")
    return FieldFact(kind, name, rest, required, many)


FIELDS: list[FieldFact] = [
    _field(kind, name, told)
    for kind, facts in KINDS.items()
    for name, told in facts["fields"].items()
]
REFERENCES = [field for field in FIELDS if field.target is not None]


def fields_of(kind: str) -> list[FieldFact]:
    return [field for field in FIELDS if field.kind == kind]


def written(value: Any) -> Any:
    """A value of the facts in full: long texts are told by what they repeat."""
    if isinstance(value, dict) and "repeat" in value:
        return value.get("start", "") + value["repeat"] * value["times"] + value.get("end", "")
    return value


def legal(field: FieldFact) -> Iterator[tuple[object, object]]:
    """Values that the field takes, each with what it means."""
    if field.type.startswith("text "):
        low, high = map(int, field.type.removeprefix("text ").split("-"))
        longest = "x" * high
        yield from (("  Some words ", "Some words"), (longest, longest))
        if low == 0:
            yield "  ", None
        return
    facts = VALUES[field.type]
    for value in facts.get("all", ()):
        yield value, value
    for value, means in facts.get("takes", ()):
        yield written(value), written(means)


def illegal(field: FieldFact) -> Iterator[tuple[object, str]]:
    """Values that the field refuses, each with the code."""
    if field.type.startswith("text "):
        low, high = map(int, field.type.removeprefix("text ").split("-"))
        yield "x" * (high + 1), "RANGE"
        yield "a\x00b", "FORMAT"
        if low == 1:
            yield "  ", "FORMAT"
        return
    facts = VALUES[field.type]
    for value in facts.get("all", ()):
        yield value.swapcase(), "FORMAT"
    for value, code in facts.get("refuses", ()):
        yield written(value), code


def another(field: FieldFact, than: object) -> object:
    """A legal value of the field that means something else."""
    if field.target is not None:
        return field.holding("somewhere-else")
    return next(
        field.holding(value)
        for value, means in legal(field)
        if means not in (None, than, {}) and field.holding(means) != than
    )


def place(world: World, kind: str, name: str, spec: Spec | None = None) -> EntityRef:
    """As if the entity had been recorded, without asking whether it may."""
    entity = ref(kind, name)
    accepted = parse(by_kind(kind), MINIMAL[kind] if spec is None else spec)
    world.registry.states[entity] = EntityState(entity, 1, accepted)
    world.registry.constraints[entity] = Constraints()
    return entity


def change(world: World, kind: str, name: str, spec: Spec, **request: Any) -> Decision:
    """What becomes of a spec whose fields are legal, each by itself."""
    return decide(
        by_kind(kind),
        world.state(kind, name),
        by_kind(kind).spec.model_validate(spec),
        landscape=world.registry,
        request=Request(now=NOW, **request),
        policy=world.policy,
    )


def errors_of(decision: Decision) -> tuple[FieldError, ...]:
    """Why not; nothing when it is accepted."""
    return () if isinstance(decision, Accepted) else decision.errors


def codes_of(decision: Decision) -> set[str]:
    """Why it is refused, nothing when it is not; waiting for a reference is no refusal."""
    return (
        {error.code.value for error in decision.errors} if isinstance(decision, Rejected) else set()
    )
