"""The contract of the command queue, on memory, SQLite and PostgreSQL."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from tests.commands.support import Clock, command

from eatool.commands.port import (
    CommandQueue,
    CommandState,
    Known,
    Leased,
    Operation,
    Queued,
    StoredCommand,
)
from eatool.commands.results import Awaiting, Complaint, Outdated, Recorded, Refused, Unchanged

LEASE = 30.0
DONE = Recorded(version=1, first_position=7, last_position=7)
NO = Refused(errors=(Complaint(field="spec.x", code="RANGE", message="must be 1"),))
MISSING = Awaiting(errors=(), missing=("server/shop/db",))


def take(queue: CommandQueue, worker: str = "w", limit: int = 10) -> list[Leased]:
    return queue.claim(worker, LEASE, limit)


def one(queue: CommandQueue, worker: str = "w") -> Leased:
    (leased,) = take(queue, worker)
    return leased


def stored(queue: CommandQueue, command_id: UUID) -> StoredCommand:
    found = queue.get(command_id)
    assert found is not None
    return found


def state(queue: CommandQueue, command_id: UUID) -> CommandState:
    return stored(queue, command_id).state


def test_a_command_comes_out_as_it_went_in(queue: CommandQueue, clock: Clock) -> None:
    wanted = command(payload={"spec": {"name": "Zoë", "n": [1, 2.5, None]}}, generation=None)
    queued = queue.enqueue(wanted)
    assert isinstance(queued, Queued)
    assert queued.stored == queue.get(wanted.id)
    assert (queued.stored.state, queued.stored.attempts) == (CommandState.QUEUED, 0)
    assert queued.stored.enqueued_at == queued.stored.due_at == clock.now
    leased = one(queue)
    assert leased == Leased(wanted, "w", 1, 1, clock.now)
    assert (state(queue, wanted.id), take(queue)) == (CommandState.RUNNING, [])


def test_what_is_not_there_is_not_found(queue: CommandQueue) -> None:
    unknown = uuid4()
    assert queue.get(unknown) is None
    assert not queue.release(unknown)
    assert not queue.discard(unknown)
    assert queue.wake(["application/shop/none"]) == 0
    assert take(queue, limit=0) == take(queue) == []


def test_the_same_id_is_enqueued_once(queue: CommandQueue) -> None:
    wanted = command()
    queue.enqueue(wanted)
    again = queue.enqueue(wanted)
    assert isinstance(again, Known)
    assert again.stored.state is CommandState.QUEUED
    assert queue.finish(one(queue), DONE)
    known = queue.enqueue(wanted)
    assert isinstance(known, Known)
    assert (known.stored.state, known.stored.result) == (CommandState.FINISHED, DONE)
    assert take(queue) == []


@pytest.mark.parametrize("result", [DONE, NO, Unchanged(version=0), Outdated()])
def test_results_are_kept(
    queue: CommandQueue, clock: Clock, result: Recorded | Refused | Unchanged | Outdated
) -> None:
    wanted = command()
    queue.enqueue(wanted)
    leased = one(queue)
    clock.pass_(2)
    assert queue.finish(leased, result)
    found = stored(queue, wanted.id)
    assert (found.state, found.result) == (CommandState.FINISHED, result)
    assert found.finished_at == clock.now
    assert not queue.finish(leased, result)  # once


def test_one_of_a_stream_is_in_flight_and_in_order(queue: CommandQueue) -> None:
    wanted = [command(generation=None) for _ in range(3)]
    other = command("application/shop/other", uid="other")
    for each in (*wanted, other):
        queue.enqueue(each)
    first = take(queue)
    assert [each.command for each in first] == [wanted[0], other]
    assert take(queue) == []
    order = [first[0].command.id]
    assert queue.finish(first[0], NO)  # refused is an answer: the next one follows
    for _ in range(2):
        leased = one(queue)
        order.append(leased.command.id)
        assert queue.finish(leased, DONE)
    assert order == [each.id for each in wanted]


def test_a_claim_takes_no_more_than_asked(queue: CommandQueue) -> None:
    for number in range(5):
        queue.enqueue(command(f"application/shop/a{number}", uid=str(number)))
    assert len(take(queue, limit=2)) == 2
    assert len(take(queue, limit=9)) == 3


def test_whoever_is_paused_past_the_lease_changes_nothing(
    queue: CommandQueue, clock: Clock
) -> None:
    wanted = command()
    queue.enqueue(wanted)
    paused = one(queue, "paused")
    clock.pass_(LEASE + 1)
    assert not queue.finish(paused, DONE)  # even before somebody else has it
    next_ = one(queue, "next")
    assert (next_.epoch, next_.attempts) == (2, 2)
    assert not queue.finish(paused, DONE)
    assert not queue.retry(paused, 0, "late")
    assert not queue.bury(paused, "late")
    assert queue.renew([paused, next_], LEASE) == [paused]
    assert state(queue, wanted.id) is CommandState.RUNNING
    assert queue.finish(next_, DONE)


def test_the_same_worker_is_fenced_by_the_epoch(queue: CommandQueue, clock: Clock) -> None:
    queue.enqueue(command())
    before = one(queue)
    clock.pass_(LEASE + 1)
    after = one(queue)
    assert not queue.finish(before, DONE)
    assert queue.finish(after, DONE)


def test_renewing_keeps_the_lease(queue: CommandQueue, clock: Clock) -> None:
    queue.enqueue(command())
    leased = one(queue)
    for _ in range(3):
        clock.pass_(LEASE - 1)
        assert queue.renew([leased], LEASE) == []
    assert take(queue, "other") == []
    assert queue.finish(leased, DONE)


def test_a_fault_is_tried_again_when_due(queue: CommandQueue, clock: Clock) -> None:
    wanted, behind = command(generation=None), command(generation=None)
    queue.enqueue(wanted)
    queue.enqueue(behind)
    assert queue.retry(one(queue), 5, "boom")
    found = stored(queue, wanted.id)
    assert (found.state, found.error, found.attempts) == (CommandState.QUEUED, "boom", 1)
    clock.pass_(4)
    assert take(queue) == []  # what is behind keeps its place
    clock.pass_(2)
    leased = one(queue)
    assert (leased.command, leased.attempts) == (wanted, 2)
    assert queue.retry(leased, 0, "away", counted=False)
    leased = one(queue)
    assert leased.attempts == 2
    assert queue.finish(leased, DONE)
    assert stored(queue, wanted.id).error is None


def test_a_dead_letter_holds_up_its_stream_until_it_is_released(
    queue: CommandQueue, clock: Clock
) -> None:
    dead, behind = command(generation=None), command(generation=None)
    for each in (dead, behind, command("application/shop/free", uid="free")):
        queue.enqueue(each)
    leased = take(queue)
    assert queue.bury(leased[0], "cannot be done")
    assert queue.finish(leased[1], DONE)
    clock.pass_(10_000)
    assert take(queue) == []
    assert queue.wake([dead.stream_id]) == 0
    found = stored(queue, dead.id)
    assert (found.state, found.error) == (CommandState.DEAD, "cannot be done")
    assert queue.release(dead.id)
    again = one(queue)
    assert (again.command, again.attempts) == (dead, 1)
    assert queue.finish(again, DONE)
    assert one(queue).command == behind


def test_a_dead_letter_can_be_discarded(queue: CommandQueue) -> None:
    dead, behind = command(generation=None), command(generation=None)
    queue.enqueue(dead)
    queue.enqueue(behind)
    leased = one(queue)
    assert not queue.discard(dead.id)  # it is running
    assert queue.bury(leased, "no")
    assert queue.discard(dead.id)
    assert not queue.discard(dead.id)
    assert state(queue, dead.id) is CommandState.DISCARDED
    assert one(queue).command == behind


def test_a_newer_generation_replaces_what_has_not_started(queue: CommandQueue) -> None:
    old, middle, new = (command(generation=number) for number in (1, 2, 3))
    for each in (old, middle, new):
        queue.enqueue(each)
    assert [state(queue, each.id).value for each in (old, middle, new)] == [
        "Superseded", "Superseded", "Queued",
    ]  # fmt: skip
    assert stored(queue, middle.id).superseded_by == new.id
    assert one(queue).command == new


def test_what_is_running_is_not_replaced(queue: CommandQueue) -> None:
    old, new = command(generation=1), command(generation=2)
    queue.enqueue(old)
    running = one(queue)
    queue.enqueue(new)
    assert take(queue) == []
    assert queue.finish(running, DONE)
    assert one(queue).command == new


@pytest.mark.parametrize("how", ["dead", "waiting", "retried"])
def test_a_newer_generation_replaces_what_is_held_up(
    queue: CommandQueue, clock: Clock, how: str
) -> None:
    old, new = command(generation=1), command(generation=2)
    queue.enqueue(old)
    leased = one(queue)
    if how == "dead":
        queue.bury(leased, "no")
    elif how == "waiting":
        queue.finish(leased, MISSING)
    else:
        queue.retry(leased, 1000, "later")
    queue.enqueue(new)
    assert state(queue, old.id) is CommandState.SUPERSEDED
    assert one(queue).command == new
    assert not queue.release(old.id)


def test_an_older_generation_that_comes_late_is_superseded_at_once(queue: CommandQueue) -> None:
    new, late = command(generation=5), command(generation=4)
    queue.enqueue(new)
    assert queue.finish(one(queue), DONE)
    answer = queue.enqueue(late)
    assert isinstance(answer, Queued)
    assert (answer.stored.state, answer.stored.superseded_by) == (
        CommandState.SUPERSEDED, new.id,
    )  # fmt: skip
    assert take(queue) == []


def test_nothing_follows_a_deletion_of_the_same_incarnation(queue: CommandQueue) -> None:
    create, delete = command(generation=1), command(generation=2, operation=Operation.DELETE)
    late = command(generation=3)
    for each in (create, delete, late):
        queue.enqueue(each)
    assert state(queue, create.id) is CommandState.SUPERSEDED
    assert stored(queue, late.id).superseded_by == delete.id
    assert one(queue).command == delete


def test_another_incarnation_waits_for_the_deletion_before_it(queue: CommandQueue) -> None:
    delete = command(generation=7, operation=Operation.DELETE, uid="before")
    create = command(generation=1, uid="after")
    queue.enqueue(delete)
    queue.enqueue(create)
    leased = one(queue)
    assert leased.command == delete
    assert queue.finish(leased, DONE)
    assert one(queue).command == create


def test_waiting_ends_by_being_woken_or_by_time(queue: CommandQueue, clock: Clock) -> None:
    wanted = command()
    queue.enqueue(wanted)
    assert queue.finish(one(queue), MISSING, again_after=60)
    found = stored(queue, wanted.id)
    assert (found.state, found.result, found.finished_at) == (CommandState.WAITING, MISSING, None)
    clock.pass_(59)
    assert take(queue) == []
    assert queue.wake([wanted.stream_id, "server/shop/db"]) == 1
    leased = one(queue)
    assert leased.attempts == 1
    assert queue.finish(leased, MISSING, again_after=60)
    clock.pass_(61)
    assert one(queue).command == wanted


@pytest.mark.parametrize("result", [MISSING, NO])
def test_what_arrives_while_it_is_being_decided_is_not_missed(
    queue: CommandQueue, result: Awaiting | Refused
) -> None:
    wanted = command()
    queue.enqueue(wanted)
    leased = one(queue)
    assert queue.wake([wanted.stream_id]) == 1
    assert queue.finish(leased, result, again_after=60)
    leased = one(queue)
    assert (leased.command, leased.attempts) == (wanted, 1)
    assert queue.wake([wanted.stream_id]) == 1
    assert queue.finish(leased, DONE)
    found = stored(queue, wanted.id)
    assert (found.state, found.due_at) == (CommandState.FINISHED, None)


def test_a_refused_command_is_decided_again_only_while_it_is_the_last(
    queue: CommandQueue,
) -> None:
    first, last = command(generation=None), command(generation=None)
    for each in (first, last):
        queue.enqueue(each)
        assert queue.finish(one(queue), NO)
    assert not queue.release(first.id)
    assert queue.wake([first.stream_id]) == 1
    leased = one(queue)
    assert leased.command == last
    assert queue.finish(leased, NO)
    assert queue.release(last.id)
    assert queue.finish(one(queue), DONE)
    assert not queue.release(last.id)
    assert queue.wake([first.stream_id]) == 0


def test_lists_are_filtered_and_end_with_the_newest(queue: CommandQueue) -> None:
    wanted = [command(f"{kind}/shop/x", uid=kind) for kind in ("server", "application", "server2")]
    for each in wanted:
        queue.enqueue(each)
    queue.finish(one_of(take(queue), wanted[0]), DONE)
    assert [each.command for each in queue.find()] == wanted
    assert [each.command for each in queue.find(limit=2)] == wanted[1:]
    assert [each.command for each in queue.find(aggregate_type="server")] == wanted[:1]
    assert [each.command for each in queue.find(stream_id="application/shop/x")] == wanted[1:2]
    assert [each.command for each in queue.find(states={CommandState.FINISHED})] == wanted[:1]


def one_of(leased: list[Leased], wanted: object) -> Leased:
    return next(each for each in leased if each.command == wanted)


def test_figures(queue: CommandQueue, clock: Clock) -> None:
    assert queue.figures().latencies == {}
    for number in range(10):
        queue.enqueue(command(f"application/shop/a{number}", uid=str(number)))
        clock.pass_(1)
    leased = take(queue, limit=7)
    for each in leased[:4]:
        queue.finish(each, DONE)
    queue.bury(leased[4], "no")
    queue.finish(leased[5], MISSING)
    figures = queue.figures(quantiles=(0.5, 1.0))
    assert (figures.queued, figures.running, figures.waiting, figures.dead) == (3, 1, 1, 1)
    assert (figures.oldest, figures.finished) == (4.0, 4)
    assert figures.latencies == {0.5: 8.0, 1.0: 10.0}
    assert queue.figures(aggregate_type="server").queued == 0
    clock.pass_(100)
    assert queue.figures(window=50).finished == 0


def test_what_ended_long_ago_is_forgotten(queue: CommandQueue, clock: Clock) -> None:
    old, kept = command(), command("application/shop/b", uid="b")
    queue.enqueue(old)
    queue.enqueue(kept)
    leased = take(queue)
    queue.finish(leased[0], DONE)
    queue.bury(leased[1], "no")
    clock.pass_(timedelta(days=8).total_seconds())
    assert queue.prune(timedelta(days=7).total_seconds()) == 1
    assert queue.get(old.id) is None
    assert state(queue, kept.id) is CommandState.DEAD
    assert isinstance(queue.enqueue(old), Queued)


def test_listeners_hear_of_work_until_they_are_removed(queue: CommandQueue) -> None:
    heard: list[int] = []
    remove = queue.on_enqueue(heard.append)
    first = command()
    queue.enqueue(first)
    queue.enqueue(first)
    assert len(heard) == 1
    queue.bury(one(queue), "no")
    queue.release(first.id)
    assert len(heard) == 2
    remove()
    queue.enqueue(command(generation=9))
    assert len(heard) == 2
