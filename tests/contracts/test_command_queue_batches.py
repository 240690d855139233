"""Several commands in one commit, on memory, SQLite and PostgreSQL."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID, uuid4

import pytest
from tests.commands.support import Clock, command

from eatool.commands.intake import CommandIntake
from eatool.commands.port import (
    Command,
    CommandQueue,
    CommandState,
    Enqueued,
    Known,
    Leased,
    Operation,
    Queued,
)
from eatool.commands.results import Awaiting, Complaint, Recorded, Refused, Result
from eatool.store.port import InvalidEvent, StoreUnavailable

LEASE = 30.0
DONE = Recorded(version=1, first_position=7, last_position=7)
MISSING = Awaiting(errors=(), missing=("server/shop/db",))
UNSPEAKABLE = "\ud800"


def refusal(message: str) -> Refused:
    return Refused(errors=(Complaint(field="spec.x", code="RANGE", message=message),))


def standing(queue: CommandQueue, commands: Sequence[Command]) -> list[tuple[object, object]]:
    """State of each, and which of them took its place, by their places in the list."""
    places = {each.id: place for place, each in enumerate(commands)}
    found = [queue.get(each.id) for each in commands]
    assert all(found)
    return [
        (it.state, it.superseded_by and places[it.superseded_by]) for it in found if it is not None
    ]


def wishes(prefix: str, chance: random.Random, count: int = 12) -> list[Command]:
    return [
        command(
            f"application/{prefix}/{chance.choice('ab')}",
            uid=chance.choice(["first", "second"]),
            generation=chance.choice([None, 1, 2, 3, 4]),
            operation=chance.choice([Operation.APPLY] * 3 + [Operation.DELETE]),
        )
        for _ in range(count)
    ]


@pytest.mark.parametrize("seed", range(6))
def test_together_is_as_one_after_the_other(queue: CommandQueue, seed: int) -> None:
    alone = wishes("alone", random.Random(seed))
    together = wishes("together", random.Random(seed))
    for each in alone:
        queue.enqueue(each)
    # What is there already, what is running and what has ended are met by the batch, too.
    for each in together[:4]:
        queue.enqueue(each)
    answers = queue.enqueue_batch(together[4:])
    assert [type(each) for each in answers] == [Queued] * 8
    assert standing(queue, together) == standing(queue, alone)
    taken = [each.command for each in drained(queue)]
    by_place = {each.id: n for some in (alone, together) for n, each in enumerate(some)}
    order = {
        name: [by_place[it.id] for it in taken if it.stream_id.startswith(f"application/{name}/a")]
        for name in ("alone", "together")
    }
    assert order["alone"] == order["together"]


def drained(queue: CommandQueue) -> list[Leased]:
    taken = []
    while leased := queue.claim("w", LEASE, 10):
        taken += leased
        assert queue.finish_batch([(each, DONE) for each in leased]) == [True] * len(leased)
    return taken


def test_an_id_counts_once_in_a_batch_and_before_it(queue: CommandQueue) -> None:
    before, twice = command(generation=None), command(generation=None)
    queue.enqueue(before)
    elsewhere = replace(twice, stream_id="application/shop/elsewhere")
    answers = queue.enqueue_batch([twice, before, twice, elsewhere])
    assert [type(each) for each in answers] == [Queued, Known, Known, Known]
    assert [each.command for each in queue.find()] == [before, twice]


def test_nothing_is_no_trouble(queue: CommandQueue) -> None:
    assert queue.enqueue_batch([]) == queue.finish_batch([]) == []
    assert (queue.states([]), queue.wake([])) == ({}, 0)


def test_answers_tell_how_things_stand_after_the_commit(queue: CommandQueue) -> None:
    old, new = command(generation=1), command(generation=2)
    answers = queue.enqueue_batch([old, new])
    assert [state_of(each) for each in answers] == [CommandState.SUPERSEDED, CommandState.QUEUED]
    assert answers == [Queued(stored) for stored in queue.find()]


def state_of(answer: Enqueued) -> CommandState:
    assert not isinstance(answer, Exception)
    return answer.stored.state


@pytest.mark.parametrize(
    "broken",
    [{"payload": {"spec": {"name": UNSPEAKABLE}}}, {"actor": UNSPEAKABLE}, {"uid": UNSPEAKABLE}],
    ids=["payload", "actor", "uid"],
)
def test_one_that_cannot_be_stored_fails_alone(
    queue: CommandQueue, broken: dict[str, object]
) -> None:
    good = [command(f"application/shop/{number}") for number in range(6)]
    bad = replace(command("application/shop/bad"), **broken)  # type: ignore[arg-type]  # any field
    answers = queue.enqueue_batch([*good[:4], bad, *good[4:]])
    assert isinstance(answers.pop(4), InvalidEvent)
    assert answers == [Queued(stored) for stored in queue.find()]
    assert [each.command for each in queue.find()] == good
    with pytest.raises(InvalidEvent, match="cannot be stored"):
        queue.enqueue(bad)


def test_listeners_hear_once_of_a_batch_that_is_committed(queue: CommandQueue) -> None:
    heard: list[list[UUID]] = []
    wanted = [command(f"application/shop/{number}") for number in range(3)]
    queue.on_enqueue(lambda _sequence: heard.append([each.command.id for each in queue.find()]))
    queue.enqueue_batch(wanted)
    queue.enqueue_batch(wanted)
    assert heard == [[each.id for each in wanted]]


def test_results_are_stored_together(queue: CommandQueue, clock: Clock) -> None:
    names = ["done", "refused", "waits", "woken", "broken", "lost"]
    wanted = [command(f"application/shop/{name}", uid=name) for name in names]
    behind = command("application/shop/done", uid="done", generation=2)
    queue.enqueue_batch(wanted)
    leased = {each.command.uid: each for each in queue.claim("w", LEASE, 10)}
    queue.enqueue(behind)
    queue.wake(["application/shop/woken"])
    lost = replace(leased["lost"], epoch=7)
    told: list[tuple[Leased, Result]] = [
        (leased["done"], DONE),
        (leased["refused"], refusal("must be 1")),
        (leased["waits"], MISSING),
        (leased["woken"], MISSING),
        (leased["broken"], refusal(UNSPEAKABLE)),
        (lost, DONE),
        (leased["done"], DONE),
    ]
    answers = queue.finish_batch(told, again_after=5.0)
    assert isinstance(answers.pop(4), InvalidEvent)
    assert answers == [True, True, True, True, False, False]
    states = queue.states([each.id for each in wanted] + [uuid4()])
    assert [states[each.id].value for each in wanted] == [
        "Finished", "Finished", "Waiting", "Queued", "Running", "Running",
    ]  # fmt: skip
    assert len(states) == len(wanted)
    assert {each.command.uid for each in queue.claim("w", LEASE, 10)} == {"done", "woken"}
    clock.pass_(5)
    assert [each.command.uid for each in queue.claim("w", LEASE, 10)] == ["waits"]


async def test_a_burst_from_many_tasks(queue: CommandQueue) -> None:
    streams, each_has = 20, 8
    wanted = {
        f"application/shop/{number}": [
            command(f"application/shop/{number}", generation=None) for _ in range(each_has)
        ]
        for number in range(streams)
    }
    intake = CommandIntake(queue)

    async def hand_in(commands: list[Command]) -> None:
        for each in commands:
            hurried = asyncio.create_task(intake.enqueue(each))
            await asyncio.sleep(0)
            hurried.cancel()  # it may be enqueued all the same: asked again, it is there once
            assert (await intake.enqueue(each)).stored.command == each

    async with asyncio.timeout(60):
        await asyncio.gather(*map(hand_in, wanted.values()))
    intake.close()
    with pytest.raises(StoreUnavailable, match="closed"):
        await intake.enqueue(command())
    for stream_id, commands in wanted.items():
        assert [each.command for each in queue.find(stream_id=stream_id)] == commands
    assert len(drained(queue)) == streams * each_has
