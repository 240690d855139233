"""Stored events stay readable: one file per versioned type, compared to the letter.

A file is what a log in the field holds. It changes only together with the schema version, and the
files of older versions stay. ``EATOOL_WRITE_GOLDEN=1`` writes those that are missing.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from tests.domain.samples import FULL, MINIMAL

from eatool.domain.changes import changed, created, deleted
from eatool.domain.events import Created, Deleted, EntityEvent, StateChanged
from eatool.domain.kind import EntityKind
from eatool.domain.kinds import KINDS, event_types, upcast
from eatool.domain.parsing import parse

GOLDEN = Path(__file__).parent / "golden"


def sample_event(kind: EntityKind, event: type[EntityEvent[Any]]) -> EntityEvent[Any]:
    """An event of one type, made by the domain from the kind's two samples."""
    full, minimal = (parse(kind, samples[kind.kind]) for samples in (FULL, MINIMAL))
    if issubclass(event, Created):
        return created(kind, full)
    if issubclass(event, Deleted):
        return deleted(kind, full)
    names = event.fields() if issubclass(event, StateChanged) else ()
    plain = [name for name in kind.spec.model_fields if name not in kind.marked]
    touched = names or [name for name in plain if name not in kind.immutable]
    new = minimal.model_copy(update={name: getattr(full, name) for name in touched})
    (only,) = changed(kind, minimal, new)
    return only


@pytest.mark.parametrize("versioned_type", event_types())
def test_payload_is_written_as_ever(versioned_type: str) -> None:
    kind, event = event_types()[versioned_type]
    sample = sample_event(kind, event)
    assert type(sample) is event
    path = GOLDEN / f"{versioned_type}.json"
    written = json.dumps(sample.to_data(), indent=2, ensure_ascii=False) + "\n"
    if not path.exists() and os.environ.get("EATOOL_WRITE_GOLDEN"):
        path.write_text(written, encoding="utf-8")
    assert path.read_text(encoding="utf-8") == written


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.json")), ids=lambda path: path.stem)
def test_payload_of_every_version_is_read(path: Path) -> None:
    newest, data = upcast(path.stem, json.loads(path.read_text(encoding="utf-8")))
    kind, event = event_types()[newest]
    assert event.from_data(data, kind.spec).to_data() == data


def test_no_type_goes_without_a_file() -> None:
    stems = {path.stem for path in GOLDEN.glob("*.json")}
    assert set(event_types()) <= stems
    assert set(FULL) == set(MINIMAL) == {kind.kind for kind in KINDS.values()}
