"""Who waits for whom, and who shows what follows from whom: a recorded change wakes them.

Waiting objects are not polled. An object that waits for a reference, or is refused because of
another entity, registers here and is woken when that entity's stream changes. An accepted object
whose status shows what follows from a field of another entity is woken when that field changes;
an event about anything else costs one look-up for each field it changed.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator
from typing import Generic, TypeVar

from eatool.domain.identity import EntityRef
from eatool.domain.landscape import Fact
from eatool.store.port import RecordedEvent

#: Called with entities to apply again.
Wake = Callable[[Collection[EntityRef]], None]

#: How many changed entities are remembered for registrations that come late, and how many events
#: that one teller has told of already.
_REMEMBERED = 10_000

#: The "field" of an entity that a deletion changes.
_EXISTENCE = ""

_T = TypeVar("_T", bound=Hashable)


class _Register(Generic[_T]):
    """Entities by what wakes them, and the way back."""

    def __init__(self) -> None:
        self.targets: dict[EntityRef, frozenset[_T]] = {}
        self._sleepers: dict[_T, set[EntityRef]] = {}

    def put(self, sleeper: EntityRef, targets: frozenset[_T]) -> None:
        self.targets[sleeper] = targets
        for target in targets:
            self._sleepers.setdefault(target, set()).add(sleeper)

    def drop(self, sleeper: EntityRef) -> None:
        for target in self.targets.pop(sleeper, ()):
            sleepers = self._sleepers[target]
            sleepers.discard(sleeper)
            if not sleepers:
                del self._sleepers[target]

    def of(self, target: _T) -> Collection[EntityRef]:
        return self._sleepers.get(target, ())


class Arrivals:
    """Wake-up hub of one process. Not locked: use it from the event loop's thread.

    A change between a decision and the registration that follows it would be missed, so the
    decision takes a :meth:`ticket` first and registers with it.
    """

    def __init__(self, remembered: int = _REMEMBERED) -> None:
        self._remembered = remembered
        self._tick = 0
        self._forgotten = 0
        self._changed: OrderedDict[EntityRef, int] = OrderedDict()
        self._told: OrderedDict[int, None] = OrderedDict()
        self._waiting: _Register[EntityRef] = _Register()
        self._following: _Register[Fact] = _Register()
        self._wakes: list[Wake] = []

    def on_wake(self, wake: Wake) -> Callable[[], None]:
        """Call ``wake`` with every set of woken entities; returns the unsubscriber."""
        self._wakes.append(wake)
        return lambda: self._wakes.remove(wake)

    def ticket(self) -> int:
        """A point in time; take it before reading what a decision is based on."""
        return self._tick

    def wait(self, waiter: EntityRef, targets: Iterable[EntityRef], *, since: int) -> None:
        """Wake ``waiter`` once when one of ``targets`` changes, or has changed since ``since``.

        Replaces what ``waiter`` waited for before.
        """
        self._waiting.drop(waiter)
        wanted = frozenset(targets) - {waiter}
        if self._is_late(wanted, since):
            self.wake({waiter})
        elif wanted:
            self._waiting.put(waiter, wanted)

    def follow(self, follower: EntityRef, facts: Iterable[Fact], *, since: int) -> None:
        """Wake ``follower`` once when one of ``facts`` changes, or may have since ``since``.

        The deletion of an entity changes every fact of it.

        Replaces what ``follower`` followed before; it waits for nothing any more.
        """
        self._waiting.drop(follower)
        self._following.drop(follower)
        wanted = frozenset(facts)
        entities = {fact.entity for fact in wanted}
        if self._is_late(entities, since):
            self.wake({follower})
        elif wanted:
            existence = {Fact(entity, _EXISTENCE) for entity in entities}
            self._following.put(follower, wanted | existence)

    def waiting(self) -> int:
        """How many entities wait."""
        return len(self._waiting.targets)

    def pairs(self) -> Iterator[tuple[str, str]]:
        """Aggregate types of each waiter and of what it waits for, once per waiter and target."""
        for waiter, targets in self._waiting.targets.items():
            for target in targets:
                yield waiter.aggregate_type, target.aggregate_type

    def recorded(self, events: Iterable[RecordedEvent]) -> set[EntityRef]:
        """These events are in the log: wake, and return, those whom they concern.

        Whoever records an event tells of it at once, and who tails the log tells of all once
        more; the second time counts for nothing.
        """
        woken: set[EntityRef] = set()
        for event in events:
            if event.position in self._told:
                continue
            self._told[event.position] = None
            ref = event.ref
            self._tick += 1
            self._changed[ref] = self._tick
            self._changed.move_to_end(ref)
            woken.update(self._waiting.of(ref))
            for field in event.data.get("changes") or (_EXISTENCE,):
                woken.update(self._following.of(Fact(ref, field)))
        while len(self._changed) > self._remembered:
            self._forgotten = self._changed.popitem(last=False)[1]
        while len(self._told) > self._remembered:
            self._told.popitem(last=False)
        for sleeper in woken:
            self._waiting.drop(sleeper)
            self._following.drop(sleeper)
        if woken:
            self.wake(woken)
        return woken

    def _is_late(self, targets: Collection[EntityRef], since: int) -> bool:
        return bool(targets) and (
            since < self._forgotten
            or any(self._changed.get(target, 0) > since for target in targets)
        )

    def wake(self, woken: Collection[EntityRef]) -> None:
        """Have these looked at again."""
        for wake in tuple(self._wakes):
            wake(woken)
