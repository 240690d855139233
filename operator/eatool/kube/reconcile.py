"""One level-triggered reconcile for every kind: make the log say what the object says.

The order of the steps is what survives a crash at any point: the finalizer is set before the
first event (or a deletion could be missed), the log is written before the status (which only
reports), the finalizer is released after the deletion is in the log.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from time import perf_counter
from typing import Any, Protocol

import structlog

from eatool.domain.identity import EntityRef
from eatool.domain.kinds import KINDS
from eatool.kube.contract import FINALIZER, PAUSED
from eatool.kube.mishaps import Mishaps
from eatool.kube.objects import Objects, cause_of, is_current, is_terminating
from eatool.kube.provenance import provenance_of, provenance_of_deletion
from eatool.kube.published import Publication
from eatool.kube.requests import ApiConflict, ApiUnavailable
from eatool.kube.status import (
    deletion_status_of,
    fault_status_of,
    paused_status_of,
    skipped_generations,
    status_of,
    timing_of,
)
from eatool.kube.workqueue import WorkQueue
from eatool.registry.annotations import CORRELATION
from eatool.registry.change import Change, Provenance, SeenNewer
from eatool.registry.envelope import correlation_of
from eatool.registry.outcome import (
    PhasedOutcome,
    Queued,
    Recorded,
    Refused,
    Unavailable,
    Unchanged,
    WaitingFor,
    WrittenToLegacy,
)
from eatool.registry.service import Entrance
from eatool.telemetry.logs import bound
from eatool.telemetry.metrics import ReconcileMetrics, ReconcileResult

Body = dict[str, Any]

#: Told about a status that changed: the object before and after.
Announce = Callable[[Body, Body], None]

_log: structlog.stdlib.BoundLogger = structlog.get_logger("eatool.reconcile")

_RESULTS: dict[type[PhasedOutcome], ReconcileResult] = {
    Recorded: ReconcileResult.SUCCESS,
    WrittenToLegacy: ReconcileResult.SUCCESS,
    Unchanged: ReconcileResult.UNCHANGED,
    WaitingFor: ReconcileResult.WAITING,
    Queued: ReconcileResult.WAITING,
    Refused: ReconcileResult.REJECTED,
    Unavailable: ReconcileResult.RETRY,
}

#: A deletion that came to this needs its object no longer.
_ENDED = Recorded | Unchanged | WrittenToLegacy


class StatusApi(Protocol):
    """What a reconcile asks of the API; :class:`eatool.kube.api.EntityApi` in production."""

    async def get(self, ref: EntityRef) -> Body | None:
        """The object as it is now."""
        ...

    async def set_finalizers(
        self, ref: EntityRef, resource_version: str, finalizers: list[str]
    ) -> Body | None:
        """Replace the finalizers of exactly this version of the object."""
        ...

    async def set_status(self, ref: EntityRef, uid: str, status: Body) -> Body | None:
        """Replace the status of exactly this object."""
        ...


class Reconciler:
    """Reconciles entities by reference, from the newest known body of their object."""

    def __init__(
        self,
        registry: Entrance,
        api: StatusApi,
        objects: Objects,
        queue: WorkQueue[EntityRef],
        metrics: ReconcileMetrics,
        *,
        actor_stamped: bool,
        recheck: float,
        announce: Announce,
        publication: Publication,
    ) -> None:
        self._registry = registry
        self._api = api
        self._objects = objects
        self._queue = queue
        self._metrics = metrics
        self._actor_stamped = actor_stamped
        self._recheck = recheck
        self._announce = announce
        self._publication = publication
        self._mishaps = Mishaps()

    async def process(self, ref: EntityRef) -> None:
        """Reconcile one entity and see to its next look; never raises."""
        started = perf_counter()
        entity = ref.aggregate_type
        with self._metrics.reconciling(entity), bound(**self._change_of(ref)):
            _log.debug("reconcile begins", **_about(ref))
            try:
                result = await self._reconcile(ref)
            except ApiConflict:
                self._queue.retry(ref)
                result = ReconcileResult.RETRY
            except SeenNewer:
                # `_look_again` has found it; the news are in the queue.
                result = ReconcileResult.RETRY
            except ApiUnavailable as error:
                self._queue.retry(ref, not_before=error.retry_after or 0.0)
                _log.warning("API server", why=str(error), **_about(ref))
                result = ReconcileResult.RETRY
            except Exception as error:
                self._queue.retry(ref)
                await self._tell_fault(ref, error)
                result = ReconcileResult.ERROR
            else:
                self._mishaps.over(ref)
            _log.debug("reconcile ends", result=result, **_about(ref))
        self._metrics.reconciled(entity, result, perf_counter() - started)

    def _change_of(self, ref: EntityRef) -> dict[str, str]:
        """What every log line about a change has."""
        body = self._objects.get(ref)
        if body is None:
            return {}
        metadata = body["metadata"]
        token = _annotation(body, CORRELATION)
        correlation = correlation_of(token, metadata["uid"], metadata["generation"])
        return {"correlation_id": str(correlation)}

    async def _tell_fault(self, ref: EntityRef, error: Exception) -> None:
        """A traceback in the log, once, and a condition that leads to it; never raises."""
        mishap, news = self._mishaps.happened(ref, error)
        if news:
            _log.error("reconcile failed", exc_info=error, trace_id=mishap.trace_id, **_about(ref))
        body = self._objects.get(ref)
        if body is None or self._objects.is_gone(ref):
            return
        # The echo of this status must not cut the backoff short.
        self._objects.dealt_with(ref, cause_of(body))
        try:
            await self._report(ref, body, fault_status_of(body, mishap.trace_id, _now()))
        except Exception as unwritten:
            if news:
                _log.error("cannot tell the object", exc_info=unwritten, **_about(ref))

    async def _reconcile(self, ref: EntityRef) -> ReconcileResult:
        body = self._objects.get(ref)
        if body is None:
            return ReconcileResult.UNCHANGED
        if self._objects.is_gone(ref):
            return await self._record_disappearance(ref, body)
        if is_terminating(body):
            return await self._delete(ref, body)
        if _annotation(body, PAUSED) == "true":
            await self._report(ref, body, paused_status_of(body, _now()))
            self._objects.dealt_with(ref, cause_of(body))
            return ReconcileResult.UNCHANGED
        return await self._apply(ref, body)

    async def _apply(self, ref: EntityRef, body: Body) -> ReconcileResult:
        held = await self._hold(ref, body)
        if held is None:
            return ReconcileResult.UNCHANGED
        told = provenance_of(held, stamped=self._actor_stamped)
        change = _change(ref, held, told)
        outcome = await self._decide(self._registry.apply, change, held)
        self._measure(ref, held, told, outcome)
        news = await self._report(ref, held, status_of(held, outcome, _now()))
        self._tell(ref, outcome, news=news)
        return self._settle(ref, held, outcome)

    async def _delete(self, ref: EntityRef, body: Body) -> ReconcileResult:
        finalizers = body["metadata"].get("finalizers") or []
        if FINALIZER not in finalizers:
            return ReconcileResult.UNCHANGED
        told = provenance_of_deletion(body)
        outcome = await self._decide(self._registry.delete, _change(ref, body, told), body)
        if not isinstance(outcome, _ENDED):
            news = await self._report(ref, body, deletion_status_of(body, outcome, _now()))
            self._tell(ref, outcome, news=news)
            return self._settle(ref, body, outcome)
        self._tell(ref, outcome)
        remaining = [name for name in finalizers if name != FINALIZER]
        version = body["metadata"]["resourceVersion"]
        released = await self._api.set_finalizers(ref, version, remaining)
        if released is None or not remaining:
            self._objects.forget(ref)
            self._publication.forget(ref)
        self._queue.succeeded(ref)
        return _RESULTS[type(outcome)]

    async def _record_disappearance(self, ref: EntityRef, body: Body) -> ReconcileResult:
        """Somebody took the finalizer off by hand: the log must still learn of the deletion."""
        change = _change(ref, body, provenance_of_deletion(body))
        outcome = await self._decide(self._registry.delete, change, body)
        self._tell(ref, outcome)
        if isinstance(outcome, _ENDED):
            self._objects.forget(ref)
            self._publication.forget(ref)
            self._queue.succeeded(ref)
            return _RESULTS[type(outcome)]
        return self._settle(ref, body, outcome)

    async def _decide(
        self, decide: Callable[[Change], Awaitable[PhasedOutcome]], change: Change, body: Body
    ) -> PhasedOutcome:
        """Let the registry decide; when it knows more than ``body`` says, look again first.

        Raises :class:`SeenNewer` when ``body`` was out of date: the newer one is queued by then.
        """
        try:
            return await decide(change)
        except SeenNewer:
            now = await self._api.get(change.ref)
            if now is None and not self._objects.is_gone(change.ref):
                self._objects.vanished(change.ref, body)
                self._queue.add(change.ref)
                raise
            if now is not None and not is_current(body, now) and cause_of(body) != cause_of(now):
                self._objects.observe(change.ref, now)
                self._queue.add(change.ref)
                raise
        # It is the log that is ahead: a restored cluster, or an entity that was recorded from
        # another source before it was declared here. What is declared wins.
        return await decide(replace(change, tentative=False))

    async def _hold(self, ref: EntityRef, body: Body) -> Body | None:
        """Set the finalizer; returns the object with it, ``None`` when the object is gone."""
        finalizers = body["metadata"].get("finalizers") or []
        if FINALIZER in finalizers:
            return body
        version = body["metadata"]["resourceVersion"]
        held = await self._api.set_finalizers(ref, version, [*finalizers, FINALIZER])
        if held is not None:
            self._objects.observe(ref, held)
        return held

    async def _report(self, ref: EntityRef, body: Body, status: Body) -> bool:
        """Write the status if it differs; whether it did."""
        old = body.get("status") or {}
        told = self._publication.told(ref, old, status, _now())
        if told == old:
            self._publication.written(ref)
            return False
        reported = await self._api.set_status(ref, body["metadata"]["uid"], told)
        if reported is not None:
            self._publication.written(ref)
            self._objects.observe(ref, reported)
            self._announce(body, reported)
        return True

    def _settle(self, ref: EntityRef, body: Body, outcome: PhasedOutcome) -> ReconcileResult:
        # Whatever the outcome, from here on the queue brings it back if need be: the echo of the
        # status that told of an outage must not cut its backoff short.
        self._objects.dealt_with(ref, cause_of(body))
        match outcome:
            case Unavailable(retry_after=retry_after):
                self._queue.retry(ref, not_before=retry_after)
                return ReconcileResult.RETRY
            case WaitingFor() | Refused() | Queued():
                # Arrivals wake it at once; this is for what no event of this log tells.
                self._queue.add_after(ref, self._recheck)
            case Recorded() | Unchanged() | WrittenToLegacy():
                pass
        now = _now()
        timing = timing_of(outcome, now)
        if timing is not None and timing.until is not None:
            # Never at once: the moment itself still belongs to what it ends.
            self._queue.add_after(ref, max(1.0, (timing.until - now).total_seconds()))
        self._queue.succeeded(ref)
        return _RESULTS[type(outcome)]

    def _tell(self, ref: EntityRef, outcome: PhasedOutcome, *, news: bool = True) -> None:
        """One log line per change, per new complaint; never a value of the spec."""
        match outcome:
            case Recorded(events=events):
                told = {
                    "events": [event.type for event in events],
                    "version": outcome.state.version,
                }
                _log.info("recorded", **_about(ref), **told)
            case WrittenToLegacy(row_version=version, pending=pending) if news:
                _log.info("written to legacy", row_version=version, pending=pending, **_about(ref))
            case Queued(command_id=command_id) if news:
                _log.info("queued", command_id=str(command_id), **_about(ref))
            case WaitingFor(errors=errors) | Refused(errors=errors) if news:
                complaints = [f"{error.field} {error.code}" for error in errors]
                _log.info("not accepted", **_about(ref), complaints=complaints)
            case Unavailable(why=why, detail=detail) if news:
                _log.warning("not recorded yet", why=why, detail=detail, **_about(ref))
            case _:
                pass

    def _measure(
        self, ref: EntityRef, body: Body, told: Provenance, outcome: PhasedOutcome
    ) -> None:
        skipped = skipped_generations(body)
        if skipped and not isinstance(outcome, Unavailable):
            self._metrics.generations_coalesced(ref.aggregate_type, skipped)
        if isinstance(outcome, Recorded) and told.occurred_at is not None:
            recorded_at = outcome.events[-1].recorded_at
            delay = (recorded_at - told.occurred_at).total_seconds()
            self._metrics.change_recorded(ref.aggregate_type, max(0.0, delay))


def _change(ref: EntityRef, body: Body, told: Provenance) -> Change:
    metadata = body["metadata"]
    return Change(
        ref=ref,
        uid=metadata["uid"],
        generation=metadata["generation"],
        spec=body.get("spec") or {},
        provenance=told,
        tentative=True,
    )


def _annotation(body: Body, name: str) -> str | None:
    return (body["metadata"].get("annotations") or {}).get(name)


def _about(ref: EntityRef) -> dict[str, Any]:
    return {
        "object": {
            "kind": KINDS[ref.aggregate_type].kind,
            "namespace": ref.namespace,
            "name": ref.name,
        },
    }


def _now() -> datetime:
    return datetime.now(UTC)
