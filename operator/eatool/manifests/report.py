"""Results of an apply, for people and for machines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from eatool.domain.errors import FieldError
from eatool.manifests.apply import Result
from eatool.registry.outcome import Recorded, Refused, Unavailable, Unchanged, WaitingFor

#: Colour of each word that :func:`word` answers.
_STYLES = {
    "recorded": "green",
    "would record": "green",
    "unchanged": "dim",
    "waiting": "yellow",
    "refused": "red",
    "unavailable": "red",
}


def word(result: Result, *, dry_run: bool = False) -> str:
    """The outcome in one or two words."""
    match result.outcome:
        case Recorded():
            return "would record" if dry_run else "recorded"
        case Unchanged():
            return "unchanged"
        case WaitingFor():
            return "waiting"
        case Refused():
            return "refused"
        case Unavailable():
            return "unavailable"


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
        "why": _why(result.outcome) if isinstance(result.outcome, Unavailable) else None,
    }


def _version(result: Result) -> int:
    return 0 if isinstance(result.outcome, Unavailable) else result.outcome.state.version


def _events(result: Result) -> Sequence[Mapping[str, Any]]:
    if not isinstance(result.outcome, Recorded):
        return []
    return [
        {"type": event.type, "event_id": event.event_id, "position": event.position}
        for event in result.outcome.events
    ]


def _complaints(result: Result) -> Sequence[str]:
    if isinstance(result.outcome, Unavailable):
        return [_why(result.outcome)]
    return [str(error) for error in _errors(result)]


def _why(outcome: Unavailable) -> str:
    return ": ".join(filter(None, (outcome.why, outcome.detail)))


def _errors(result: Result) -> Sequence[FieldError]:
    return result.outcome.errors if isinstance(result.outcome, WaitingFor | Refused) else ()


def _warnings(result: Result) -> Sequence[FieldError]:
    return result.outcome.warnings if isinstance(result.outcome, Recorded | Unchanged) else ()


def _error_json(error: FieldError) -> Mapping[str, str]:
    return {"field": error.field, "code": error.code.value, "message": error.message}
