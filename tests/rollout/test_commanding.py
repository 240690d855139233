"""A change on its way through the queue stays what it is."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from tests.registry.sites import SERVER, change

from eatool.commands.port import Operation
from eatool.registry.change import Annotations, Change, Source, Trust
from eatool.rollout.commanding import change_of, command_of, same_wish

CHANGE = change(
    "Server",
    "db-1",
    SERVER,
    generation=3,
    actor="jane",
    trust=Trust.AUTHENTICATED,
    source=Source.GITOPS,
    annotations=Annotations(reason="new rack", approval_id="ARB-1"),
    occurred_at=datetime(2026, 1, 31, tzinfo=UTC),
)


def telling(reason: str | None) -> Change:
    told = replace(CHANGE.provenance, annotations=Annotations(reason=reason))
    return replace(CHANGE, provenance=told)


def test_a_change_comes_back_from_the_queue_as_it_was() -> None:
    command = command_of(CHANGE, Operation.APPLY, "version 1")
    assert change_of(command) == replace(CHANGE, tentative=True)
    told = dict(command.payload["provenance"])
    del told["annotations"]
    older = replace(command, payload={**command.payload, "provenance": told})
    assert change_of(older).provenance.annotations == Annotations()


def test_another_reason_is_another_wish() -> None:
    first = command_of(telling("because"), Operation.APPLY, "version 1")
    assert same_wish(first, telling("because"), Operation.APPLY)
    assert not same_wish(first, telling("because of that"), Operation.APPLY)
    assert first.id != command_of(telling(None), Operation.APPLY, "version 1").id
