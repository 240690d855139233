"""The same results for a terminal, a pipe and a machine."""

from __future__ import annotations

import io
from uuid import UUID

from rich.console import Console

from eatool.domain.decision import EntityState
from eatool.domain.errors import Code, FieldError
from eatool.domain.kinds import by_kind
from eatool.manifests.apply import Result
from eatool.manifests.loader import Manifest
from eatool.manifests.report import as_json, lines, summary, table
from eatool.registry.outcome import (
    PhasedOutcome,
    Queued,
    Refused,
    Unavailable,
    Unchanged,
    WaitingFor,
    WrittenToLegacy,
)

KIND = by_kind("Organization")
REF = KIND.ref("default", "a")
ERROR = FieldError("spec.name", Code.ALREADY_EXISTS, "is [taken]")
STATE = EntityState(REF, 3)


def result(outcome: PhasedOutcome) -> Result:
    return Result(Manifest(KIND, REF, {}, "a.yaml:1"), outcome)


RESULTS = [
    result(Unchanged(STATE, None, (ERROR,))),
    result(WaitingFor(STATE, None, (ERROR,), frozenset())),
    result(Refused(STATE, None, (ERROR,))),
    result(Unavailable("database away", 5, "no route")),
]


def test_lines_can_be_searched() -> None:
    assert [line for each in RESULTS for line in lines(each)] == [
        "organization/a unchanged",
        "  a.yaml:1: warning: spec.name: is [taken]",
        "organization/a waiting",
        "  a.yaml:1: spec.name: is [taken]",
        "organization/a refused",
        "  a.yaml:1: spec.name: is [taken]",
        "organization/a unavailable",
        "  a.yaml:1: database away: no route",
    ]


def test_what_the_log_does_not_say_yet_says_why() -> None:
    command = UUID(int=7)
    written, pending, queued = (
        result(WrittenToLegacy(3)),
        result(WrittenToLegacy(3, "database away")),
        result(Queued(command, "dead")),
    )
    assert [line for each in (written, pending, queued) for line in lines(each)] == [
        "organization/a written to legacy",
        "organization/a written to legacy",
        "  a.yaml:1: its events follow: database away",
        "organization/a queued",
        f"  a.yaml:1: nobody has decided it yet, see `eatool commands show {command}`: dead",
    ]
    assert [each.accepted for each in (written, pending, queued)] == [True, True, False]
    assert as_json(written)["why"] is None
    assert as_json(pending)["result"] == "written_to_legacy"


def test_the_table_shows_every_result_as_written() -> None:
    console = Console(width=200, markup=False, record=True, file=io.StringIO())
    console.print(table(RESULTS))
    text = console.export_text()
    for word in ("unchanged", "waiting", "refused", "unavailable", "is [taken]", "database away"):
        assert word in text


def test_the_summary_counts() -> None:
    assert summary(RESULTS) == (
        "4 manifests: 1 unchanged, 1 waiting, 1 refused, 1 unavailable; 0 events"
    )
    assert summary([]) == "0 manifests: nothing to do; 0 events"


def test_machines_get_codes() -> None:
    refused = as_json(RESULTS[2])
    assert refused["result"] == "refused"
    assert refused["version"] == 3
    assert refused["errors"] == [
        {"field": "spec.name", "code": "ALREADY_EXISTS", "message": "is [taken]"}
    ]
    assert as_json(RESULTS[3])["why"] == "database away: no route"
