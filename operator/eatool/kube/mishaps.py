"""Faults of this program while an object was reconciled: told once, under one id.

The object shows the id and nothing else; the log has the rest under it. A fault that comes back
with every retry is the same one, so neither the log nor the status is written again for it.
"""

from __future__ import annotations

import traceback
from collections import OrderedDict
from dataclasses import dataclass
from uuid import uuid4

from eatool.domain.identity import EntityRef

#: How many objects in trouble are remembered; beyond that the log repeats itself.
_REMEMBERED = 10_000


@dataclass(frozen=True, slots=True)
class Mishap:
    """One fault of one object; ``trace_id`` (32 hex digits) finds its traceback in the log."""

    trace_id: str
    where: tuple[object, ...]


class Mishaps:
    """Faults by object, until a reconcile of it comes to its end."""

    def __init__(self) -> None:
        self._known: OrderedDict[EntityRef, Mishap] = OrderedDict()

    def happened(self, ref: EntityRef, error: Exception) -> tuple[Mishap, bool]:
        """The fault, and whether it is another one than the last time."""
        where = (type(error), *_lines(error))
        known = self._known.get(ref)
        if known is not None and known.where == where:
            return known, False
        mishap = self._known[ref] = Mishap(uuid4().hex, where)
        if len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        return mishap, True

    def over(self, ref: EntityRef) -> None:
        """A reconcile came to its end."""
        self._known.pop(ref, None)


def _lines(error: Exception) -> list[tuple[str, int | None]]:
    return [(frame.filename, frame.lineno) for frame in traceback.extract_tb(error.__traceback__)]
