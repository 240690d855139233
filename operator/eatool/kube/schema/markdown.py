"""The few shapes that reference pages are made of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import yaml

from eatool.kube.schema.structural import JsonObject
from eatool.kube.schema.yaml_text import HEADER

#: First line of every generated page.
MARK = f"<!-- {HEADER} -->"

# A message with so many parts, such as the relation matrix, becomes a list.
_LIST_FROM = 4


def example_section(example: JsonObject | None) -> str:
    """A manifest under its heading; empty without one."""
    if example is None:
        return ""
    text = yaml.safe_dump(example, sort_keys=False, width=100, allow_unicode=True)
    return f"## Example\n\n```yaml\n{text}```"


def code(*words: str) -> str:
    """Words in code type, separated by commas."""
    return ", ".join(f"`{word}`" for word in words)


def bullets(lines: Iterable[str]) -> str:
    """A list without repetitions; a line of many parts becomes a list of its own."""
    return "\n".join(_bullet(line) for line in dict.fromkeys(lines))


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; bars in cells are escaped."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines
    )


def _bullet(line: str) -> str:
    head, *parts = line.split("; ")
    if len(parts) < _LIST_FROM:
        return f"- {line}"
    return "\n".join((f"- {head}", *(f"  - {part}" for part in parts)))
