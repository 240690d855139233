"""What this process knows of all standings, fresh to the second and without asking twice."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, Self

from eatool.rollout.ledger import Ledger, Standing
from eatool.store.port import StoreError

_log = logging.getLogger(__name__)

#: Seconds between looks at the ledger, which are signs of life too.
INTERVAL: Final = 1.0

#: Called with the new standing; ``None`` for a kind that left its rollout.
Listener = Callable[[str, Standing | None], None]


class PhaseView:
    """Cached standings, and this replica's part in transitions; thread-safe.

    A view may be a second old, or older while the database is away. That is no danger: appends
    carry the fence of the standing they were decided under.

    Args:
        ledger: what is looked at.
        replica: name of this process among its peers.
        interval: seconds between looks.

    """

    def __init__(self, ledger: Ledger, replica: str, *, interval: float = INTERVAL) -> None:
        self.ledger = ledger
        self.replica = replica
        self._interval = interval
        self._standings: Mapping[str, Standing] = MappingProxyType({})
        self._acknowledged: dict[str, int] = {}
        self._listeners: list[Listener] = []
        self._refreshing = threading.Lock()
        self._due = threading.Event()
        self._stopped = False
        self._thread: threading.Thread | None = None

    def of(self, aggregate_type: str) -> Standing | None:
        """Where the kind stands; ``None`` when it is not under rollout. Takes no lock."""
        return self._standings.get(aggregate_type)

    def all(self) -> Mapping[str, Standing]:
        """Standings by aggregate type, as they were at one moment."""
        return self._standings

    def refresh(self) -> None:
        """Look at the ledger now, and show a sign of life there.

        Call it after own steps, and when an append met a newer epoch. Raises
        :class:`~eatool.store.port.StoreError`. Listeners have been called when it returns.
        """
        with self._refreshing:
            before, now = self._standings, self.ledger.standings()
            self._standings = MappingProxyType(now)
            for aggregate_type in before.keys() | now.keys():
                standing = now.get(aggregate_type)
                if standing != before.get(aggregate_type):
                    self._tell(aggregate_type, standing)
            self._beat()

    def acknowledge(self, aggregate_type: str, epoch: int) -> None:
        """Tell that no change of the kind is in flight here, and that none begins before ``epoch``.

        Written with the next sign of life, which is at once while the view is running.
        """
        if epoch > self._acknowledged.get(aggregate_type, 0):
            self._acknowledged[aggregate_type] = epoch
            self._due.set()

    def on_change(self, listener: Listener) -> Callable[[], None]:
        """Call back when a standing changes, from the thread that saw it; the unsubscriber.

        Begins with a call for each kind that is under rollout. Calls come one at a time; they
        must not block, nor refresh the view.
        """
        with self._refreshing:
            self._listeners.append(listener)
            for aggregate_type, standing in self._standings.items():
                listener(aggregate_type, standing)
        return lambda: self._listeners.remove(listener)

    def start(self) -> Self:
        """Look once, then every second in a thread; raises ``StoreError`` when that first fails."""
        self.refresh()
        self._thread = threading.Thread(target=self._run, name="eatool-phases", daemon=True)
        self._thread.start()
        return self

    def close(self) -> None:
        """Stop looking, and let nobody wait for this replica."""
        self._stopped = True
        self._due.set()
        if self._thread is not None:
            self._thread.join()
        try:
            self.ledger.leave(self.replica)
        except StoreError:
            _log.info("Left without notice; peers will see it from the missing sign of life")

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self) -> None:
        while True:
            acknowledged = self._due.wait(self._interval)
            if self._stopped:
                return
            self._due.clear()
            try:
                if acknowledged:
                    with self._refreshing:
                        self._beat()
                else:
                    self.refresh()
            except StoreError as error:
                _log.warning("Phases could not be refreshed: %s", error)

    def _beat(self) -> None:
        standings, acknowledged = self._standings, self._acknowledged
        self.ledger.heartbeat(self.replica, {kind: acknowledged.get(kind, 0) for kind in standings})

    def _tell(self, aggregate_type: str, standing: Standing | None) -> None:
        for listener in tuple(self._listeners):
            try:
                listener(aggregate_type, standing)
            # The defect of one must not keep others, or later standings, from being seen.
            except Exception:
                _log.exception("A listener failed on the standing of %s", aggregate_type)


class LateView:
    """What a store that is opened before its ledger is told of phases."""

    def __init__(self) -> None:
        self._view: PhaseView | None = None

    def bind(self, view: PhaseView) -> None:
        """Answer by ``view`` from now on."""
        self._view = view

    def of(self, aggregate_type: str) -> Standing | None:
        """See :class:`PhaseView`."""
        return None if self._view is None else self._view.of(aggregate_type)

    def all(self) -> Mapping[str, Standing]:
        """See :class:`PhaseView`."""
        return {} if self._view is None else self._view.all()
