"""Knobs of a relay, and the snapshot it gives of itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from eatool.publishing.breaker import BreakerPolicy, CircuitState
from eatool.publishing.port import Fault
from eatool.publishing.ratelimit import RateLimit


@dataclass(frozen=True, slots=True)
class RelayOptions:
    """Defaults suit a broker in the same region; durations in seconds.

    Attributes:
        window: events in flight, at most one of a stream.
        page: events read from the log at once; at most two pages wait in memory.
        lease: how long a dead relay keeps its partitions; renewed at a third of it.
        flush_interval: pause between checkpoint writes while events flow.
        ack_timeout: a session that answers nothing for so long, or one message for four times as
            long, is given up.
        max_attempts: refusals by the broker before a stream is parked.
        max_disconnects: sessions that end or fall silent while one event is alone in flight
            before its stream is parked; in between others must pass, or, unless silent, a session
            live for ``quiet`` seconds without it.
        max_parked: parked streams beyond which the destination counts as broken instead.
        poll_min, poll_max: how often the log is looked at when nothing wakes the relay.
        grace: how long a stop waits for outstanding acknowledgements.
        rate: how fast events may leave; ``None`` = as fast as it goes.
        start: log position a new destination starts after.
        until: last log position to publish, inclusive; the relay ends when all partitions have
            passed it, those of other processes included. ``None`` = go on for ever.

    """

    window: int = 256
    page: int = 1000
    lease: float = 15.0
    flush_interval: float = 0.5
    ack_timeout: float = 30.0
    max_attempts: int = 10
    max_disconnects: int = 3
    quiet: float = 5.0
    retry_base: float = 0.1
    retry_cap: float = 10.0
    max_parked: int = 1024
    poll_min: float = 0.25
    poll_max: float = 2.0
    grace: float = 5.0
    rate: RateLimit | None = None
    start: int = 0
    until: int | None = None
    breaker: BreakerPolicy = field(default_factory=BreakerPolicy)


@dataclass(frozen=True, slots=True)
class RelayStatus:
    """Where one relay process stands with its destination.

    Attributes:
        leads: this process holds partition 0; it speaks for the destination where one has to.
        position: everything up to here is published or parked, in the partitions held here.
        head: end of the log as of the last read.
        lag_events: events still to publish in the partitions held here; an upper bound while
            other processes share the destination, because what has not been read yet may be
            theirs. 0 without partitions: the whole log is nobody's backlog.
        oldest_unpublished_at: when the oldest event waiting in memory was recorded.
        address: where the present session goes; ``None`` without one.
        last_error: why the last session or log read failed, ``None`` since the last success.
        fault: what the session failed at that ``last_error`` tells of, if it is about one.

    """

    destination: str
    partitions: int
    leads: bool
    position: int
    head: int
    lag_events: int
    oldest_unpublished_at: datetime | None
    connected: bool
    address: str | None
    circuit: CircuitState
    in_flight: int
    waiting: int
    parked: int
    last_error: str | None
    fault: Fault | None = None
