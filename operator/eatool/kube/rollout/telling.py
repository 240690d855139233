"""A rollout in sentences, for somebody who has not read the documentation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from eatool.kube.conditions import condition_of
from eatool.rollout.gates import LOSSY

#: Colours of states; all others are on their way.
STYLES: Final[Mapping[str, str]] = {
    "Complete": "green",
    "Soaking": "cyan",
    "Preparing": "cyan",
    "Held": "red",
    "Blocked": "red",
    "RollbackBlocked": "red",
    "RollingBack": "red",
}
#: In front of criteria and gates.
BULLETS: Final[Mapping[str, str]] = {
    "Pass": "[green]ok  [/]",
    "Fail": "[red]FAIL[/]",
    "Inconclusive": "[yellow] ?  [/]",
    "Error": "[red]ERR [/]",
    "Open": "[green]ok  [/]",
    "Approved": "[green]ok  [/]",
    "Waiting": "[yellow]wait[/]",
}
_PHASES: Final[Mapping[str, str]] = {
    "Legacy": "changes go to the legacy table only; nothing is recorded as an event",
    "DualWrite": "the legacy table decides; every change is recorded as events, too",
    "ProjectionOnly": "the event log decides; the legacy table is kept up to date from it",
    "AsyncCommands": "the event log decides; changes are queued and recorded by workers",
    "Retired": "the event log alone has the kind; the legacy table is out of service",
}


def sentence(body: Mapping[str, Any]) -> str:
    """What is, and what goes on."""
    told = body.get("status") or {}
    if "phase" not in told:
        message = condition_of(body, "Ready").get("message")
        return message or "the operator has not looked at it yet"
    text = f"{told['phase']}: {_PHASES[told['phase']]}.\n  Now: {told['message']}."
    if stalled := condition_of(body, "Stalled"):
        text += f"\n  Needs a person: {stalled['message']}."
    return text


def next_step(body: Mapping[str, Any]) -> str | None:
    """What a person can do now, if something waits for one."""
    told = body.get("status") or {}
    if told.get("state") in {"AwaitingApproval", "Held"} and "transition" in told:
        kind, identity = body["metadata"]["name"], told["transition"]["id"]
        return f"To go on: eatool rollout approve {kind} --transition {identity}"
    if told.get("state") == "RollbackBlocked" and "transition" in told:
        command = f"eatool rollout approve {body['metadata']['name']} --gate {LOSSY}"
        return f"To go back all the same, and undo what was accepted: {command}"
    return None
