"""How late the required brokers are with events of a kind: the worst of them counts."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from eatool.publishing.lag import LagReader, NotBegun
from eatool.publishing.required import RequiredBrokers
from eatool.publishing.selection import Selection
from eatool.rollout.samples import NoAnswer, Reading
from eatool.store.clock import Clock, utc_now


class PublishLag:
    """The larger of what acknowledgements took, and of how long the oldest event waits already.

    Acknowledgements alone would say nothing of a broker that is down.

    Args:
        acknowledged: 99th percentile of the seconds from commit to acknowledgement, of all
            required brokers; by aggregate type and window.

    """

    def __init__(
        self,
        required: RequiredBrokers,
        reader: LagReader,
        acknowledged: Callable[[str, timedelta], Reading | None],
        *,
        clock: Clock = utc_now,
    ) -> None:
        self._required = required
        self._reader = reader
        self._acknowledged = acknowledged
        self._clock = clock

    def reading(self, aggregate_type: str, window: timedelta) -> Reading:
        """In seconds; 0 where nothing waits and nothing was sent, or no broker is required.

        Blocks, thread-safe. Raises ``NoAnswer`` and ``StoreUnavailable``.
        """
        if not self._required.listed.is_set():
            raise NoAnswer("the EventBrokers are not known yet")
        brokers = self._required.of_kind(aggregate_type)
        if not brokers:
            return Reading(0.0, 1, "no required EventBroker is sent events of this kind")
        sent = self._acknowledged(aggregate_type, window)
        slowest, samples = (sent.value, sent.samples) if sent else (0.0, 0)
        waited, broker = max(
            (self._waited(name, aggregate_type, each), name) for name, each in brokers.items()
        )
        if waited > slowest:
            return Reading(waited, samples + 1, f"an event waits for broker {broker}")
        return Reading(slowest, max(samples, 1), "" if samples else "there was nothing to publish")

    def _waited(self, broker: str, aggregate_type: str, selection: Selection) -> float:
        try:
            oldest = self._reader.oldest(broker, aggregate_type, selection)
        except NotBegun as unknown:
            raise NoAnswer(str(unknown)) from unknown
        return max(0.0, (self._clock() - oldest).total_seconds()) if oldest else 0.0
