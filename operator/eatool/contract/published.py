"""The schemas that consumers already rely on: one file each, kept next to this module.

A file is written when its version is new, and from then on it is a promise: what is generated from
the code may reword descriptions, nothing else. Files of older versions stay, so that consumers
can read what waits in queues, and nothing regenerates them.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from eatool.contract.envelopes import envelope_schemas
from eatool.contract.events import event_schemas
from eatool.contract.rollout import rollout_schemas
from eatool.domain.events import JsonObject
from eatool.domain.kinds import REGISTRY_EVENTS, event_types
from eatool.domain.upcasting import split

#: Where the files are, also in an installed package.
SCHEMAS: Final = Path(__file__).parent / "schemas"

#: Keywords that tell people something and validators nothing.
_WORDS: Final = frozenset({"$schema", "title", "description", "examples", "default", "$comment"})
#: Keywords whose members are names of the user's, not keywords.
_NAMED: Final = frozenset({"properties", "patternProperties", "definitions"})
#: Keywords whose order means nothing.
_SETS: Final = frozenset({"required", "enum", "type"})


@dataclass(frozen=True, slots=True)
class Comparison:
    """How the files and the code differ.

    Attributes:
        broken: complaints about promises that the code no longer keeps; each says what to do.
        missing: names of schemas without a file.
        reworded: names of schemas whose file differs in descriptions only.

    """

    broken: tuple[str, ...]
    missing: tuple[str, ...]
    reworded: tuple[str, ...]


def generated_schemas() -> dict[str, JsonObject]:
    """Every schema of this release by name: event types at their newest version, envelopes."""
    return {**envelope_schemas(), **rollout_schemas(), **event_schemas()}


def read_schemas(directory: Path = SCHEMAS) -> dict[str, JsonObject]:
    """Every published schema by name, in alphabetical order; the name is that of its file."""
    return {
        path.stem: json.loads(path.read_text(encoding="utf-8"))
        for path in sorted(directory.glob("*.json"))
    }


def compare(published: Mapping[str, JsonObject], generated: Mapping[str, JsonObject]) -> Comparison:
    """Hold what is generated from the code against what was published."""
    changed: dict[str, tuple[str, ...]] = {}
    missing, reworded = [], []
    for name, schema in generated.items():
        promised = published.get(name)
        if promised is None:
            missing.append(name)
        elif found := tuple(changes(promised, schema)):
            changed[name] = found
        elif promised != schema:
            reworded.append(name)
    broken = (*_lost(published), *_changed(changed))
    return Comparison(broken, tuple(missing), tuple(reworded))


def write_schemas(directory: Path, schemas: Mapping[str, JsonObject]) -> None:
    """Write the files of ``schemas``; others stay as they are."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, schema in schemas.items():
        text = json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
        (directory / f"{name}.json").write_text(text, encoding="utf-8")


def changes(old: JsonObject, new: JsonObject, path: str = "") -> Iterator[str]:
    """What a validator would do differently, one line each, ``path: before -> after``.

    An object that does not forbid other members (``additionalProperties``) may get optional ones:
    its readers were told to expect that.
    """
    for keyword in sorted((set(old) | set(new)) - _WORDS):
        place = f"{path}.{keyword}" if path else keyword
        before, after = old.get(keyword), new.get(keyword)
        if keyword in _NAMED and isinstance(before, dict) and isinstance(after, dict):
            yield from _members(before, after, place, may_grow=_is_open(old) and _is_open(new))
        elif isinstance(before, dict) and isinstance(after, dict):
            yield from changes(before, after, place)
        elif pairs := _pairs(before, after):
            for number, (one, other) in enumerate(pairs):
                yield from changes(one, other, f"{place}[{number}]")
        elif _plain(keyword, before) != _plain(keyword, after):
            yield f"  {place}: {_shown(before)} -> {_shown(after)}"


def _members(
    old: Mapping[str, JsonObject], new: Mapping[str, JsonObject], path: str, *, may_grow: bool
) -> Iterator[str]:
    for name in sorted(set(old) | set(new)):
        place = f"{path}.{name}"
        if name not in new:
            yield f"  {place}: is gone"
        elif name in old:
            yield from changes(old[name], new[name], place)
        elif not may_grow:
            yield f"  {place}: is new"


def _pairs(old: Any, new: Any) -> list[tuple[JsonObject, JsonObject]]:
    """Members of two lists of objects side by side; none when they have to be compared whole."""
    if not (isinstance(old, list) and isinstance(new, list) and len(old) == len(new)):
        return []
    if not all(isinstance(item, dict) for item in (*old, *new)):
        return []
    return list(zip(old, new, strict=True))


def _is_open(schema: JsonObject) -> bool:
    return schema.get("additionalProperties", True) is not False


def _plain(keyword: str, value: Any) -> Any:
    return sorted(value, key=str) if keyword in _SETS and isinstance(value, list) else value


def _shown(value: Any) -> str:
    return "absent" if value is None else json.dumps(value)


def _lost(published: Mapping[str, JsonObject]) -> Iterator[str]:
    """Older versions without a file, and files of types that are not there any more."""
    newest = {event.__name__: event.schema_version for _, event in event_types().values()}
    newest |= REGISTRY_EVENTS
    known = {*envelope_schemas(), *rollout_schemas()}
    for name, version in newest.items():
        older = {f"{name}.v{number}" for number in range(1, version)}
        for lost in sorted(older - set(published)):
            yield f"{lost}: its schema is gone, but the type is still read; restore the file"
        known |= older | {f"{name}.v{version}"}
    for name in sorted(set(published) - known):
        yield f"{name}: no event of this release; delete its schema only with the event itself"


def _changed(changed: Mapping[str, tuple[str, ...]]) -> Iterator[str]:
    """One complaint per kind: what changed, said once for all types alike, and what to do."""
    by_kind: dict[str, list[str]] = defaultdict(list)
    for name in changed:
        by_kind[event_types()[name][0].kind if name in event_types() else name].append(name)
    for names in by_kind.values():
        alike: dict[tuple[str, ...], list[str]] = defaultdict(list)
        for name in names:
            alike[changed[name]].append(name)
        found = (
            f"{', '.join(same)}: schema changed\n" + "\n".join(it) for it, same in alike.items()
        )
        yield "\n".join((*found, *_remedy(names)))


def _remedy(names: Sequence[str]) -> Iterator[str]:
    if names[0].partition(".")[0] in REGISTRY_EVENTS:
        yield "Consumers rely on what was published: give the event a new version, keep this one."
        return
    if names[0] not in event_types():
        yield "It has no version of its own: take the change back, or make it an optional member."
        return
    kind, event = event_types()[names[0]]
    module = event.__module__.replace(".", "/")
    yield "Consumers rely on what was published. Publish new versions beside it: in"
    yield f"{module}.py set schema_version in the class and add the steps to {kind.kind}:"
    for name in names:
        type_, version = split(name)
        yield (
            f"  {type_}: schema_version: ClassVar[int] = {version + 1}, "
            f'Upcaster("{type_}", {version}, ...)'
        )
    yield "and a Downcaster for each where a broker pins the older version. Then run"
    yield "`eatool asyncapi --update`. Never released? Delete the schema files and run that."
