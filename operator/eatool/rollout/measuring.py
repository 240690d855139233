"""Where the figures of built-in criteria come from: the database, and what this process sees."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Final, Protocol

from sqlalchemy import Engine, func, select

from eatool.commands.port import CommandQueue
from eatool.publishing.tables import parked_stream
from eatool.registry.service import Appender
from eatool.rollout.declared import Metric
from eatool.rollout.findings import Parity, ParityFigures
from eatool.rollout.ledger import Standing
from eatool.rollout.samples import Reading, Samples
from eatool.store.clock import Clock, utc_now
from eatool.store.port import Append, Appended, AppendRefused, StaleEpoch
from eatool.store.sql.database import Database

_P99: Final = 0.99

#: Where a kind stands; :meth:`eatool.rollout.view.PhaseView.of`.
StandingOf = Callable[[str], Standing | None]


class Lag(Protocol):
    """How far the read table of a kind is behind the log."""

    def of(self, aggregate_type: str) -> tuple[int, float] | None:
        """Events, and age of the oldest of them in seconds; ``None`` when that is not known.

        Blocks; raises :class:`~eatool.store.port.StoreUnavailable`.
        """
        ...


class Inline:
    """Read tables that follow in the append transaction are never behind."""

    def of(self, aggregate_type: str) -> tuple[int, float]:
        """Never behind."""
        return 0, 0.0


class Figures:
    """Figures of kinds from the database; each blocks and raises ``StoreUnavailable``."""

    def __init__(
        self,
        engine: Engine,
        standing_of: StandingOf,
        parity: ParityFigures,
        commands: CommandQueue,
        lag: Lag,
        *,
        clock: Clock = utc_now,
    ) -> None:
        self._read = Database(engine).query
        self._standing_of = standing_of
        self._parity = parity
        self._commands = commands
        self._lag = lag
        self._clock = clock

    def supply(self, samples: Samples) -> None:
        """Let ``samples`` ask here for everything that the database knows better."""
        sources: dict[Metric, Callable[[str, timedelta], Reading | None]] = {
            "ParityMismatches": self.mismatches,
            "ParityErrors": self.errors,
            "ParityCoverage": self.coverage,
            "ProjectionLagEvents": lambda kind, _: self._lagging(kind, 0),
            "ProjectionLagSeconds": lambda kind, _: self._lagging(kind, 1),
            "ParkedStreams": self.parked,
            "CommandLatencySecondsP99": self.command_latency,
        }
        for metric, source in sources.items():
            samples.supply(metric, source)

    def mismatches(self, aggregate_type: str, window: timedelta) -> Reading | None:
        """Open ones, or those confirmed within the window if these are more.

        Samples are the rows that have been compared; a table without any counts as one.
        """
        standing = self._standing_of(aggregate_type)
        if standing is None:
            return None
        since = self._clock() - window
        parity = self._parity.of(aggregate_type, epoch=standing.epoch, since=since)
        return _found(max(parity.mismatches, parity.confirmed), parity)

    def errors(self, aggregate_type: str, _window: timedelta) -> Reading | None:
        """Rows that can be in no log, and that no rule accepts; samples as of mismatches."""
        standing = self._standing_of(aggregate_type)
        if standing is None:
            return None
        parity = self._parity.of(aggregate_type, epoch=standing.epoch)
        return _found(parity.errors, parity)

    def coverage(self, aggregate_type: str, _window: timedelta) -> Reading | None:
        """Share of the rows that were compared since they were last written."""
        standing = self._standing_of(aggregate_type)
        if standing is None:
            return None
        parity = self._parity.of(aggregate_type, epoch=standing.epoch)
        return Reading(parity.coverage, max(parity.keys, 1))

    def parked(self, aggregate_type: str, _window: timedelta) -> Reading:
        """Streams of the kind that any destination holds back."""
        prefix = f"{aggregate_type}/"
        query = (
            select(func.count())
            .select_from(parked_stream)
            .where(parked_stream.c.stream_id.startswith(prefix, autoescape=True))
        )
        return Reading(float(self._read(lambda found: found.scalar(query)) or 0), 1)

    def command_latency(self, aggregate_type: str, window: timedelta) -> Reading | None:
        """From enqueued to finished, of commands finished within the window."""
        figures = self._commands.figures(
            aggregate_type=aggregate_type, window=window.total_seconds(), quantiles=(_P99,)
        )
        if _P99 not in figures.latencies:
            return None
        return Reading(figures.latencies[_P99], figures.finished)

    def _lagging(self, aggregate_type: str, which: int) -> Reading | None:
        lag = self._lag.of(aggregate_type)
        return None if lag is None else Reading(float(lag[which]), 1)


def _found(found: int, parity: Parity) -> Reading:
    compared = round(parity.coverage * parity.keys)
    if not compared and parity.coverage == 1:
        compared = 1
    return Reading(float(found), max(compared, found))


class SampledAppender:
    """Appends through another, and notes failures and conflicts of kinds under rollout."""

    def __init__(self, appender: Appender, samples: Samples, standing_of: StandingOf) -> None:
        self._appender = appender
        self._samples = samples
        self._standing_of = standing_of

    async def append(self, *appends: Append) -> Appended:
        """Append; raises what the other raises."""
        failed, conflicted = 1.0, 0.0
        try:
            appended = await self._appender.append(*appends)
            failed = 0.0
        except AppendRefused:
            failed, conflicted = 0.0, 1.0
            raise
        except StaleEpoch:
            failed = 0.0  # nobody failed: the rollout has moved
            raise
        finally:
            for kind in {append.stream_id.partition("/")[0] for append in appends}:
                if self._standing_of(kind) is not None:
                    self._samples.observe("ErrorRatio", kind, failed)
                    self._samples.observe("AppendConflictRatio", kind, conflicted)
        return appended
