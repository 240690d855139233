"""The operator of rollouts: sightings in, looks out; in kopf's event loop of a third watch."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Any, Final

import structlog

from eatool.kube.credentials import api_client
from eatool.kube.platform.resources import Body, Key, key_of
from eatool.kube.platform.sightings import Sightings
from eatool.kube.platform.writing import StatusWriter
from eatool.kube.requests import ApiConflict, ApiUnavailable
from eatool.kube.rollout.announcing import RolloutAnnouncer
from eatool.kube.rollout.api import RolloutApi
from eatool.kube.rollout.deciding import Decider
from eatool.kube.rollout.resource import EVENT_SOURCING_ROLLOUT, kind_of, name_of
from eatool.kube.rollout.wording import essence
from eatool.kube.supervision import keep_running
from eatool.kube.workqueue import WorkQueue
from eatool.rollout.process import RolloutProcess
from eatool.rollout.status import WRITE_AFTER
from eatool.settings import Settings
from eatool.store.port import StoreError
from eatool.store.sql.log import SqlEventStore
from eatool.telemetry.metrics import ReconcileMetrics
from eatool.telemetry.rollout_metrics import RolloutMetrics

_log: structlog.stdlib.BoundLogger = structlog.get_logger("eatool.rollout")

_WORKERS: Final = 4
#: Pause until the first listing is tried again, seconds.
_SOON: Final = 2.0


class RolloutOperator:
    """Everything between kopf's third watch and the ledger."""

    def __init__(
        self,
        settings: Settings,
        store: SqlEventStore,
        process: RolloutProcess,
        requests: ReconcileMetrics,
        metrics: RolloutMetrics,
    ) -> None:
        self._settings = settings
        self._process = process
        self._requests = requests
        self._decider = Decider(
            process,
            store,
            metrics,
            stamped=settings.trusted_actor_annotation,
            interval=settings.rollout_interval,
        )
        self._sightings = Sightings()
        self._tasks: list[asyncio.Task[None]] = []
        self._queue: WorkQueue[Key] | None = None
        self._transport: Any = None
        self._writer: StatusWriter | None = None

    async def is_allowed(self) -> bool:
        """Whether rollouts may be listed; says so once when they may not.

        Any other trouble counts as yes: it may pass.
        """
        transport = await api_client()
        codes: list[int] = []
        api = RolloutApi(transport, lambda _verb, _resource, code: codes.append(code))
        try:
            await api.rollouts()
        except ApiUnavailable:
            if codes[-1:] == [HTTPStatus.FORBIDDEN]:
                _log.warning(
                    "no right to list EventSourcingRollouts, which belong to the cluster: "
                    "this operator does without, phases stay as they are, and differences of "
                    "kinds under rollout are neither judged nor repaired"
                )
                return False
        finally:
            await transport.close()
        return True

    async def start(self) -> None:
        """Begin to work; called in kopf's loop, before its watch opens."""
        queue = self._queue = WorkQueue[Key]()
        self._transport = await api_client()
        api = RolloutApi(self._transport, self._requests.api_request)
        announce = RolloutAnnouncer(api)
        self._writer = StatusWriter(
            api, self._sightings, announce, interval=WRITE_AFTER.total_seconds()
        )

        async def resync() -> None:
            await self._resync(api, queue)

        async def work() -> None:
            await queue.run(lambda key: self._process_one(key, queue), _WORKERS)

        self._tasks = [
            asyncio.create_task(keep_running("rollout queue", work)),
            asyncio.create_task(keep_running("rollout resync", resync)),
        ]

    async def stop(self) -> None:
        """End all work. A transition under way is found in the ledger by whoever is next."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._transport is not None:
            await self._transport.close()
        self._decider.close()

    def sighted(self, event_type: str | None, body: Body) -> None:
        """The watch delivered a version of an object (``event_type`` None: initial listing)."""
        key = key_of(EVENT_SOURCING_ROLLOUT, body)
        if event_type == "DELETED":
            self._sightings.vanished(key, body)
        elif not self._sightings.observe(key, body):
            return
        else:
            self._process.candidate.set()
        if self._queue is not None:
            self._queue.add(key)

    # -- looks -----------------------------------------------------------------------------------

    async def _process_one(self, key: Key, queue: WorkQueue[Key]) -> None:
        again = self._settings.rollout_interval
        try:
            again = await self._look(key)
        except ApiConflict:
            again = 0.1  # a newer version is on its way
        except ApiUnavailable as error:
            again = error.retry_after or again
            _log.warning("API server", why=str(error), object=key.name)
        except StoreError as error:
            _log.warning("store unavailable", why=str(error), object=key.name)
        except Exception:
            _log.exception("look failed", object=key.name)
        if self._sightings.get(key) is not None or self._is_under_rollout(key):
            queue.add_after(key, again)

    def _is_under_rollout(self, key: Key) -> bool:
        kind = kind_of(key.name)
        return kind is not None and self._process.view.of(kind.aggregate_type) is not None

    async def _look(self, key: Key) -> float:
        kind, body = kind_of(key.name), self._sightings.get(key)
        if kind is None or self._writer is None:
            return self._settings.rollout_interval
        if body is None:
            # The kind keeps its phase: nobody asked for a way back.
            self._decider.undeclared(kind)
            self._writer.forget(key)
            return self._settings.rollout_interval
        looked = await self._decider.look(kind, body)
        if looked.status is not None:
            await self._writer.write(key, body, looked.status, essence=essence)
        return looked.again

    async def _resync(self, api: RolloutApi, queue: WorkQueue[Key]) -> None:
        """See what the watch may have missed."""
        known = False
        while True:
            try:
                found = {
                    key_of(EVENT_SOURCING_ROLLOUT, body): body for body in await api.rollouts()
                }
            except ApiUnavailable as error:
                _log.debug("rollouts are not listed", why=str(error))
            else:
                for body in found.values():
                    self.sighted(None, body)
                for body in list(self._sightings.of(EVENT_SOURCING_ROLLOUT)):
                    if key_of(EVENT_SOURCING_ROLLOUT, body) not in found:
                        self.sighted("DELETED", body)
                for aggregate_type in self._process.view.all():
                    # Without an object no sighting has its kind looked at.
                    queue.add(Key(EVENT_SOURCING_ROLLOUT.plural, name_of(aggregate_type)))
                known = True
            await asyncio.sleep(self._settings.resync_interval if known else _SOON)
