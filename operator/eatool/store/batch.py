"""One commit in the making: decide each transaction, place and hash the accepted events."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import NamedTuple

from eatool.store.arbiter import Changed, LogState
from eatool.store.encoding import (
    Payload,
    StoredEvent,
    chain_hash,
    encode_append,
    time_text,
)
from eatool.store.port import (
    Append,
    Appended,
    AppendRefused,
    Head,
    InvalidEvent,
    Outcome,
    RecordedEvent,
    StaleEpoch,
    StoreError,
    Transaction,
)


class Encoded(NamedTuple):
    """A transaction with its payloads, append by append; made before the lock is taken."""

    transaction: Transaction
    payloads: tuple[list[Payload], ...]


def encode(transaction: Transaction) -> Encoded | StoreError:
    """Check and encode; what cannot be stored is an outcome, not an exception."""
    try:
        payloads = tuple([encode_append(append) for append in transaction])
        if len(payloads) > 1 or len(payloads[0]) > 1:
            _check_ids(transaction)
    except StoreError as error:
        return error
    return Encoded(transaction, payloads)


def _check_ids(transaction: Transaction) -> None:
    ids = [event.event_id for append in transaction for event in append.events]
    if len(set(ids)) != len(ids):
        raise InvalidEvent("an event id twice in one transaction")


class Batch:
    """Accepted events of one commit, chained onto ``head``.

    ``events`` holds them in position order; :meth:`take_rows` gives out their rows.
    """

    def __init__(
        self,
        head: Head,
        state: LogState,
        now: datetime,
        find: Callable[[Transaction], list[RecordedEvent]],
    ) -> None:
        self.state = state
        state.position = head.position
        state.changed = Changed()
        self._rows: list[StoredEvent] = []
        self.events: list[RecordedEvent] = []
        self.position = head.position
        self.hash = head.hash
        now = now.astimezone(UTC)
        #: Never before the head's: a clock set back must not put history out of order.
        self.recorded_at = now if head.recorded_at is None else max(now, head.recorded_at)
        self._time_text = time_text(self.recorded_at)
        self._find = find

    def decide(self, encoded: Encoded | StoreError) -> Outcome:
        """Accept or refuse one transaction, given those before it."""
        if isinstance(encoded, StoreError):
            return encoded
        transaction = encoded.transaction
        try:
            if self.state.repeated(transaction):
                return Appended(tuple(self._recorded(transaction)), repeated=True)
            after = self.state.check(transaction)
        except (AppendRefused, StaleEpoch) as refusal:
            return refusal
        self.state.accept(transaction, after, self.position + 1)
        start = len(self.events)
        for append, payloads in zip(transaction, encoded.payloads, strict=True):
            self._place(append, payloads)
        return Appended(tuple(self.events[start:]))

    @property
    def end(self) -> Head:
        """The head after what was accepted so far."""
        return Head(self.position, self.hash, self.recorded_at)

    def take_rows(self) -> list[StoredEvent]:
        """Rows of the events accepted since the last call."""
        rows, self._rows = self._rows, []
        return rows

    def _recorded(self, transaction: Transaction) -> list[RecordedEvent]:
        ids = {event.event_id for append in transaction for event in append.events}
        mine = [event for event in self.events if event.event_id in ids]
        return mine or self._find(transaction)

    def _place(self, append: Append, payloads: list[Payload]) -> None:
        stream_id, version = append.stream_id, append.expected_version
        recorded_at = self.recorded_at
        for event, data, metadata, body, partition in payloads:
            version += 1
            self.position += 1
            previous = self.hash
            self.hash = chain_hash(previous, self.position, self._time_text, body)
            self._rows.append(
                StoredEvent(
                    self.position,
                    stream_id,
                    version,
                    event.event_id,
                    event.type,
                    data,
                    metadata,
                    event.actor,
                    event.correlation_id,
                    event.causation_id,
                    recorded_at,
                    partition,
                    previous,
                    self.hash,
                )
            )
            self.events.append(
                RecordedEvent(
                    self.position,
                    stream_id,
                    version,
                    event.event_id,
                    event.type,
                    event.data,
                    event.metadata,
                    event.actor,
                    event.correlation_id,
                    event.causation_id,
                    recorded_at,
                    partition,
                    previous,
                    self.hash,
                )
            )
