"""Who waits for whom: a recorded change wakes the entities it may heal.

Waiting objects are not polled. An object that waits for a reference, or is refused because of
another entity, registers here and is woken when that entity's stream changes.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Iterator

from eatool.domain.identity import EntityRef

#: Called with entities to apply again.
Wake = Callable[[Collection[EntityRef]], None]

#: How many changed entities are remembered for registrations that come late.
_REMEMBERED = 10_000


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
        self._waiters: dict[EntityRef, set[EntityRef]] = {}
        self._waits_for: dict[EntityRef, frozenset[EntityRef]] = {}
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
        self.forget(waiter)
        wanted = frozenset(targets) - {waiter}
        if not wanted:
            return
        if since < self._forgotten or any(
            self._changed.get(target, 0) > since for target in wanted
        ):
            self._wake({waiter})
            return
        self._waits_for[waiter] = wanted
        for target in wanted:
            self._waiters.setdefault(target, set()).add(waiter)

    def forget(self, waiter: EntityRef) -> None:
        """``waiter`` waits for nothing any more."""
        for target in self._waits_for.pop(waiter, ()):
            waiters = self._waiters[target]
            waiters.discard(waiter)
            if not waiters:
                del self._waiters[target]

    def waiting(self) -> int:
        """How many entities wait."""
        return len(self._waits_for)

    def pairs(self) -> Iterator[tuple[str, str]]:
        """Aggregate types of each waiter and of what it waits for, once per waiter and target."""
        for waiter, targets in self._waits_for.items():
            for target in targets:
                yield waiter.aggregate_type, target.aggregate_type

    def changed(self, *refs: EntityRef) -> set[EntityRef]:
        """The streams of ``refs`` have changed: wake, and return, those who waited.

        Events recorded by other processes arrive here too when somebody tails the log.
        """
        woken: set[EntityRef] = set()
        for ref in refs:
            self._tick += 1
            self._changed[ref] = self._tick
            self._changed.move_to_end(ref)
            woken |= self._waiters.get(ref, set())
        while len(self._changed) > self._remembered:
            self._forgotten = self._changed.popitem(last=False)[1]
        for waiter in woken:
            self.forget(waiter)
        if woken:
            self._wake(woken)
        return woken

    def _wake(self, woken: set[EntityRef]) -> None:
        for wake in tuple(self._wakes):
            wake(woken)
