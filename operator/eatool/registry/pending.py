"""Desired state that the registry has not accepted (yet)."""

from __future__ import annotations

from types import MappingProxyType

from eatool.domain.identity import EntityRef
from eatool.domain.landscape import Pending


class PendingChanges:
    """Parents that unaccepted objects ask for, and entities about to be deleted.

    ``Registry`` notes the parents of the changes it is given and settles what it records.
    Entrances add what they know: the parents of a whole directory, and deletions that cannot be
    taken back (a deletion timestamp), which alone count as terminating.
    Not locked: written from one thread, read from any.
    """

    def __init__(self) -> None:
        self._parents: dict[EntityRef, EntityRef | None] = {}
        #: A dictionary for its keys: a set that shows itself without being copied.
        self._terminating: dict[EntityRef, None] = {}

    def desire_parent(self, ref: EntityRef, parent: EntityRef | None) -> None:
        """``ref`` would be placed under ``parent`` (``None`` = a root)."""
        self._parents[ref] = parent

    def terminate(self, *refs: EntityRef) -> None:
        """Each of ``refs`` is to be deleted: it blocks no deletion and gets no new referrer."""
        self._terminating.update(dict.fromkeys(refs))

    def settle(self, ref: EntityRef) -> None:
        """The recorded state of ``ref`` is the desired one, or nobody desires it any more."""
        self._parents.pop(ref, None)
        self._terminating.pop(ref, None)

    def view(self) -> Pending:
        """What a decision may know; live, and safe to look things up in from any thread."""
        return Pending(MappingProxyType(self._parents), self._terminating.keys())
