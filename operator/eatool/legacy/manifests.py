"""Rows of the registry as custom resources, for a repository that a GitOps tool follows.

One file per entity, in one directory per kind; the directories sort in the order of references.
A file says what an import records of the row: applied after it, it changes nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import orjson
import yaml
from yaml.nodes import ScalarNode

from eatool.domain.errors import SpecInvalid
from eatool.domain.kind import EntityKind, EntitySpec
from eatool.domain.parsing import parse
from eatool.legacy.bookkeeping import Imported
from eatool.legacy.order import in_order
from eatool.legacy.rows import canonicalised, name_complaint, spec_of
from eatool.legacy.source import RowSource

_CHUNK = 500
#: Characters of an old value that a comment shows.
_SHOWN = 120
#: What every YAML reader takes for a text, whichever version of YAML it follows.
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9 ._/@-]*[A-Za-z0-9]")
#: Line ends to some of them only.
_BREAKS = re.compile("[\\r\x85\u2028\u2029]")
#: Words that are no text to some of them.
_WORDS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", "inf"})


@dataclass(frozen=True, slots=True)
class Written:
    """How many files of one kind were written, with how many corrected values, how many not."""

    kind: EntityKind
    directory: str
    files: int
    canonicalised: int
    skipped: int


def directories(kinds: Sequence[EntityKind]) -> dict[str, str]:
    """Directory of each kind by aggregate type: ``10-organizations``, ``20-...``, sorted."""
    return {
        kind.aggregate_type: f"{(index + 1) * 10:02}-{kind.plural}"
        for index, kind in enumerate(in_order(kinds))
    }


def write_manifests(
    source: RowSource,
    kinds: Sequence[EntityKind],
    out: Path,
    *,
    namespace: str,
    only: Callable[[EntityKind], Mapping[str, Imported]] | None = None,
    progress: Callable[[int], None] = lambda _rows: None,
) -> Iterator[Written]:
    """Write the files of each kind in turn; files of an earlier run are replaced, none removed.

    Rows that no custom resource can be made of are skipped, and so are those that ``only`` does
    not know as recorded.
    """
    folders = directories(kinds)
    for kind in in_order(kinds):
        known = None if only is None else only(kind)
        folder = out / folders[kind.aggregate_type]
        written = corrected = skipped = 0
        for ids in _chunks(sorted(filter(None, source.parents(kind)))):
            for row in source.rows(kind, ids):
                text = None
                if known is None or _recorded(known.get(row["id"])):
                    text = manifest(kind, row, namespace=namespace)
                if text is None:
                    skipped += 1
                    continue
                folder.mkdir(parents=True, exist_ok=True)
                (folder / f"{row['id']}.yaml").write_text(text, encoding="utf-8")
                written += 1
                corrected += "\n  # " in text
            progress(len(ids))
        yield Written(kind, folder.name, written, corrected, skipped)


def manifest(kind: EntityKind, row: Mapping[str, Any], *, namespace: str) -> str | None:
    """The custom resource of a row, with a comment above each value that was corrected.

    ``None`` when the row cannot be one.
    """
    raw = spec_of(kind, row)
    try:
        spec = parse(kind, raw)
    except SpecInvalid:
        return None
    if name_complaint(row["id"]) is not None:
        return None
    header = {
        "apiVersion": f"{kind.api_group}/{kind.api_version}",
        "kind": kind.kind,
        "metadata": {"name": row["id"], "namespace": namespace},
    }
    return f"{_yaml(header)}spec:\n{''.join(_fields(kind, raw, spec))}"


def _fields(kind: EntityKind, raw: Mapping[str, Any], spec: EntitySpec) -> Iterator[str]:
    corrected = canonicalised(kind, raw, spec)
    values = spec.model_dump(mode="json", by_alias=True, exclude_none=True)
    defaults = spec.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    for name, value in values.items():
        if name in corrected:
            was = orjson.dumps(corrected[name][0]).decode()
            yield f"  # was {was if len(was) <= _SHOWN else was[:_SHOWN] + ' ...'}\n"
        elif name not in defaults:
            continue
        for line in _yaml({name: value}).rstrip("\n").split("\n"):
            yield f"  {line}\n" if line else "\n"


class _Dumper(yaml.SafeDumper):
    """YAML that means the same to the readers of Kubernetes, who guess other numbers."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, value: str) -> ScalarNode:
    if "\n" in value and not _BREAKS.search(value):
        style: str | None = "|"
    else:
        plain = _PLAIN.fullmatch(value) and value.lower() not in _WORDS
        style = None if plain else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)


def _yaml(value: Mapping[str, Any]) -> str:
    dumped: str = yaml.dump(
        value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1_000_000
    )
    return dumped


def _recorded(imported: Imported | None) -> bool:
    return imported is not None and imported.fingerprint is not None and not imported.refused


def _chunks(ids: Sequence[str]) -> Iterator[list[str]]:
    left = iter(ids)
    while chunk := list(islice(left, _CHUNK)):
        yield chunk
