"""What an import made of each table, and of every row it refused."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import orjson
from rich.table import Column, Table

from eatool.domain.errors import FieldError
from eatool.domain.kind import EntityKind
from eatool.legacy.rows import column_of

_INDEX = re.compile(r"\[\d+\]")
_COUNTS = ("rows", "created", "updated", "deleted", "unchanged", "refused")


@dataclass(frozen=True, slots=True)
class Complaint:
    """One thing that is wrong with one row; ``legal`` says what would be right."""

    table: str
    id: str
    field: str
    code: str
    legal: str


@dataclass(slots=True)
class TableReport:
    """The rows of one table by what became of them; ``canonicalised`` ones are among the others."""

    kind: EntityKind
    rows: int = 0
    created: int = 0
    updated: int = 0
    deleted: int = 0
    unchanged: int = 0
    canonicalised: int = 0
    complaints: dict[str, list[Complaint]] = field(default_factory=dict)

    @property
    def refused(self) -> int:
        """How many rows were refused."""
        return len(self.complaints)

    def refuse(self, row_id: str, errors: Sequence[FieldError | None]) -> None:
        """Note why a row is refused, in the registry's own words for its columns."""
        self.complaints[row_id] = [
            Complaint(
                self.kind.table, row_id, column_of(error.field), error.code.value, error.message
            )
            for error in errors
            if error is not None
        ]


@dataclass(frozen=True, slots=True)
class Report:
    """One import."""

    tables: Sequence[TableReport]

    @property
    def complaints(self) -> list[Complaint]:
        """Every complaint about every refused row, by table and id."""
        return [
            complaint
            for table in self.tables
            for _, found in sorted(table.complaints.items())
            for complaint in found
        ]

    def total(self, count: str) -> int:
        """Sum of one of the counts of :class:`TableReport`."""
        return sum(getattr(table, count) for table in self.tables)

    def as_json(self) -> Mapping[str, Any]:
        """All of it for a machine."""
        counts = (*_COUNTS, "canonicalised")
        return {
            "tables": [
                {"table": table.kind.table, **{name: getattr(table, name) for name in counts}}
                for table in self.tables
            ],
            "refused": [asdict(complaint) for complaint in self.complaints],
        }


def save(report: Report, file: Path) -> None:
    """Write every complaint to a file: CSV with a heading, or JSON with the counts as well.

    ``ValueError`` unless its name ends in ``.csv`` or ``.json``.
    """
    match file.suffix:
        case ".json":
            file.write_bytes(orjson.dumps(report.as_json(), option=orjson.OPT_INDENT_2) + b"\n")
        case ".csv":
            with file.open("w", newline="", encoding="utf-8") as target:
                rows = csv.writer(target)
                rows.writerow(Complaint.__slots__)
                rows.writerows(
                    [_cell(value) for value in asdict(complaint).values()]
                    for complaint in report.complaints
                )
        case _:
            raise ValueError("a report is a .csv or a .json file")


def counts(report: Report, *, dry_run: bool) -> Table:
    """Rows of each table by what became of them."""
    headings = [
        f"Would be {name}"
        if dry_run and name in {"created", "updated", "deleted"}
        else name.title()
        for name in _COUNTS
    ]
    shown = Table("Table", *(Column(each, justify="right") for each in headings))
    for table in report.tables:
        shown.add_row(table.kind.table, *(str(getattr(table, name)) for name in _COUNTS))
    shown.add_section()
    shown.add_row("all", *(str(report.total(name)) for name in _COUNTS))
    return shown


def reasons(report: Report) -> Table:
    """Why rows were refused: each reason with the number of rows and one of them."""
    shown = Table(
        "Table", "Field", "Code", Column("Rows", justify="right"), "For example", "What is legal"
    )
    for group in _grouped(report.complaints):
        first = group[0]
        rows = len({complaint.id for complaint in group})
        plain = _INDEX.sub("", first.field)
        shown.add_row(first.table, plain, first.code, str(rows), first.id, first.legal)
    return shown


def _grouped(complaints: Sequence[Complaint]) -> Iterator[list[Complaint]]:
    groups: dict[tuple[str, str, str], list[Complaint]] = {}
    for each in complaints:
        groups.setdefault((each.table, _INDEX.sub("", each.field), each.code), []).append(each)
    for key in sorted(groups, key=lambda key: (key[0], -len(groups[key]), key)):
        yield groups[key]


def _cell(value: str) -> str:
    """Text that no spreadsheet takes for a formula: ids are whatever the old registry took."""
    return f"'{value}" if value.startswith(("=", "+", "-", "@", "\t", "\r")) else value
