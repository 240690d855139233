"""The product's side of the comparison."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from eatool.publishing.checkpoints_sql import SqlCheckpoints
from eatool.publishing.cloudevents import CloudEventsEncoder, ContentMode
from eatool.publishing.observer import NullObserver
from eatool.publishing.options import RelayOptions
from eatool.publishing.port import PublisherFactory
from eatool.publishing.relay import Relay
from eatool.publishing.topics import TopicTemplate
from eatool.store.encoding import StoredEvent
from eatool.store.sql.engine import open_engine
from eatool.store.sql.log import SqlEventStore


async def relay(
    url: str,
    factory: PublisherFactory,
    destination: str,
    *,
    events: int,
    window: int,
    progress: Callable[[int], None] = lambda _published: None,
) -> float:
    """Acked events per second: log, encoding, order, parking, checkpoints, everything."""
    engine = open_engine(url)
    store = SqlEventStore(open_engine(url))
    checkpoints = SqlCheckpoints(engine)
    published = _Counter(events, progress)
    subject = Relay(
        store,
        factory,
        checkpoints,
        destination=destination,
        encoder=encoder(),
        options=RelayOptions(window=window),
        observer=published,
    )
    running = asyncio.create_task(subject.run())
    await asyncio.wait_for(published.done.wait(), 1200)
    rate = events / (published.ended - published.began)
    await subject.stop()
    await running
    positions = {cursor.position for cursor in checkpoints.cursors(destination)}
    assert positions == {events}, "a checkpoint is not at the end of the log"
    store.close()
    engine.dispose()
    return rate


def encoder(mode: ContentMode = ContentMode.STRUCTURED) -> CloudEventsEncoder:
    """The product's own encoder; the raw side publishes what it made."""
    return CloudEventsEncoder(TopicTemplate(env="bench"), mode)


class _Counter(NullObserver):
    """Starts the clock when the session is open, as the other side does."""

    def __init__(self, expected: int, progress: Callable[[int], None]) -> None:
        self._expected = self._left = expected
        self._progress = progress
        self.began = self.ended = 0.0
        self.done = asyncio.Event()

    def connection(self, *, up: bool) -> None:
        """See :class:`~eatool.publishing.observer.Observer`."""
        if up:
            self.began = time.perf_counter()

    def published(self, event: StoredEvent, since_recorded: float, call: float) -> None:
        """See :class:`~eatool.publishing.observer.Observer`."""
        self._left -= 1
        self._progress(self._expected - self._left)
        if not self._left:
            self.ended = time.perf_counter()
            self.done.set()
