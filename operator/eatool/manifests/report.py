"""Results of an apply, for people and for machines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from eatool.domain.errors import FieldError
from eatool.manifests.apply import Result
from eatool.manifests.loader import Manifest
from eatool.registry.outcome import (
    PhasedOutcome,
    Queued,
    Recorded,
    Refused,
    Unavailable,
    Unchanged,
    WaitingFor,
    WrittenToLegacy,
)
from eatool.rollout.ledger import Standing
from eatool.rollout.phases import Phase

_WORDS: Mapping[type[PhasedOutcome], str] = {
    Recorded: "recorded",
    Unchanged: "unchanged",
    WaitingFor: "waiting",
    Refused: "refused",
    Unavailable: "unavailable",
    WrittenToLegacy: "written to legacy",
    Queued: "queued",
}
#: Colour of each word that :func:`word` answers.
_STYLES = {
    "recorded": "green",
    "would record": "green",
    "written to legacy": "green",
    "unchanged": "dim",
    "queued": "yellow",
    "waiting": "yellow",
    "refused": "red",
    "unavailable": "red",
}


#: What an apply would do, beside what a rehearsal on the log shows.
_BY_PHASE: Mapping[Phase, str] = {
    Phase.LEGACY: "only its legacy table would be written, and no event recorded",
    Phase.DUAL_WRITE: "its legacy table would be written first",
    Phase.PROJECTION_ONLY: "its legacy table would be written, too",
    Phase.ASYNC_COMMANDS: "changes would be queued, and recorded by the operator's workers",
    Phase.RETIRED: "changes would be queued, and recorded by the operator's workers",
}


def by_phase(
    standings: Mapping[str, Standing], manifests: Sequence[Manifest], namespace: str
) -> Iterator[str]:
    """What a dry run cannot show of kinds under rollout; ``namespace`` has the legacy rows."""
    concerned = {each.kind for each in manifests if each.ref.namespace == namespace}
    for kind in sorted(concerned, key=lambda each: each.kind):
        standing = standings.get(kind.aggregate_type)
        if standing is not None:
            yield f"{kind.kind} is in phase {standing.phase}: {_BY_PHASE[standing.phase]}"


def word(result: Result, *, dry_run: bool = False) -> str:
    """The outcome in a few words."""
    if dry_run and isinstance(result.outcome, Recorded):
        return "would record"
    return _WORDS[type(result.outcome)]


def lines(result: Result, *, dry_run: bool = False) -> Iterator[str]:
    """``application/webshop recorded ApplicationCreated.v1``, then complaints and advice."""
    ref = result.manifest.ref
    events = " ".join(event["type"] for event in _events(result))
    yield f"{ref.aggregate_type}/{ref.name} {word(result, dry_run=dry_run)} {events}".rstrip()
    for complaint in _complaints(result):
        yield f"  {result.manifest.origin}: {complaint}"
    for advice in _warnings(result):
        yield f"  {result.manifest.origin}: warning: {advice}"


def table(results: Sequence[Result], *, dry_run: bool = False) -> Table:
    """The same for a terminal."""
    shown = Table("Kind", "Name", "Result", "Version", "Details")
    for result in results:
        state = word(result, dry_run=dry_run)
        details = [event["type"] for event in _events(result)]
        details += [f"{complaint} ({result.manifest.origin})" for complaint in _complaints(result)]
        details += [f"warning: {advice}" for advice in _warnings(result)]
        shown.add_row(
            result.manifest.kind.kind,
            result.manifest.ref.name,
            Text(state, style=_STYLES[state]),
            str(_version(result)),
            "\n".join(details),
        )
    return shown


def summary(results: Sequence[Result], *, dry_run: bool = False) -> str:
    """``27 manifests: 26 recorded, 1 refused; 26 events``."""
    counts = Counter(word(result, dry_run=dry_run) for result in results)
    parts = ", ".join(f"{counts[state]} {state}" for state in _STYLES if counts[state])
    events = sum(len(_events(result)) for result in results)
    return f"{len(results)} manifests: {parts or 'nothing to do'}; {events} events"


def as_json(result: Result, *, dry_run: bool = False) -> Mapping[str, Any]:
    """One result for a machine."""
    ref = result.manifest.ref
    return {
        "kind": result.manifest.kind.kind,
        "namespace": ref.namespace,
        "name": ref.name,
        "origin": result.manifest.origin,
        "result": word(result, dry_run=dry_run).replace(" ", "_"),
        "version": _version(result),
        "events": _events(result),
        "errors": [_error_json(error) for error in _errors(result)],
        "warnings": [_error_json(error) for error in _warnings(result)],
        "why": _why(result.outcome),
    }


def _version(result: Result) -> int:
    """Of the stream; 0 where the log was not asked."""
    match result.outcome:
        case Unavailable() | WrittenToLegacy() | Queued():
            return 0
        case outcome:
            return outcome.state.version


def _events(result: Result) -> Sequence[Mapping[str, Any]]:
    if not isinstance(result.outcome, Recorded):
        return []
    return [
        {"type": event.type, "event_id": event.event_id, "position": event.position}
        for event in result.outcome.events
    ]


def _complaints(result: Result) -> Sequence[str]:
    why = _why(result.outcome)
    return [str(error) for error in _errors(result)] if why is None else [why]


def _why(outcome: PhasedOutcome) -> str | None:
    """Why the log does not say it, where that is no complaint about the manifest."""
    match outcome:
        case Unavailable(why=why, detail=detail):
            return ": ".join(filter(None, (why, detail)))
        case WrittenToLegacy(pending=str(pending)):
            return f"its events follow: {pending}"
        case Queued(command_id=command_id, problem=problem):
            told = f"nobody has decided it yet, see `eatool commands show {command_id}`"
            return told if problem is None else f"{told}: {problem}"
        case _:
            return None


def _errors(result: Result) -> Sequence[FieldError]:
    return result.outcome.errors if isinstance(result.outcome, WaitingFor | Refused) else ()


def _warnings(result: Result) -> Sequence[FieldError]:
    return result.outcome.warnings if isinstance(result.outcome, Recorded | Unchanged) else ()


def _error_json(error: FieldError) -> Mapping[str, str]:
    return {"field": error.field, "code": error.code.value, "message": error.message}
