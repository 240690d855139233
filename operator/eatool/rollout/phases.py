"""The phases of a rollout, and the steps between them."""

from __future__ import annotations

from enum import StrEnum


class Phase(StrEnum):
    """How far a kind has moved from its legacy table to the log; in order."""

    #: The legacy table alone is written.
    LEGACY = "Legacy"
    #: The legacy table is authoritative; events, read table and publication follow.
    DUAL_WRITE = "DualWrite"
    #: The log is authoritative; read table and legacy table follow in the same transaction.
    PROJECTION_ONLY = "ProjectionOnly"
    #: The log is authoritative; changes are queued commands, tables follow later.
    ASYNC_COMMANDS = "AsyncCommands"
    #: As before, and the legacy table is out of service. There is no way back.
    RETIRED = "Retired"

    @property
    def number(self) -> int:
        """0 (Legacy) to 4 (Retired)."""
        return _ORDER.index(self)

    @property
    def next(self) -> Phase | None:
        """The phase that a promotion leads to; none after Retired."""
        return None if self is Phase.RETIRED else _ORDER[self.number + 1]

    @property
    def previous(self) -> Phase | None:
        """The phase that a rollback leads to; none from Legacy and from Retired."""
        if self in {Phase.LEGACY, Phase.RETIRED}:
            return None
        return _ORDER[self.number - 1]

    @property
    def log_decides(self) -> bool:
        """Whether the log is authoritative."""
        return self.number >= Phase.PROJECTION_ONLY.number

    def refusal(self, to: Phase) -> str | None:
        """Why there is no step from here to ``to``; ``None`` when there is."""
        if to in {self.next, self.previous}:
            return None
        if to is self:
            return f"the phase is {self} already"
        if self is Phase.RETIRED:
            return "Retired is final: the legacy table is out of service, nothing feeds it any more"
        towards = self.next if to.number > self.number else self.previous
        return f"one step at a time: between {self} and {to} comes {towards}"


_ORDER = tuple(Phase)
