"""One rollout at a time: measure, judge, decide, take one step, and say so."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import structlog
from pydantic import ValidationError
from sqlalchemy import Engine

from eatool.domain.kind import EntityKind
from eatool.kube.platform.parsing import spec_of
from eatool.kube.provenance import provenance_of
from eatool.kube.rollout.approvals import approvals_of
from eatool.kube.rollout.measured import judged_of
from eatool.kube.rollout.wording import Body, refused_status, status_of
from eatool.legacy.adoption import adopted_kinds, complaint, exists
from eatool.publishing.problems import SpecProblem
from eatool.rollout import effective
from eatool.rollout.actions import Action, DropLegacyTable, carry_out
from eatool.rollout.criteria import evaluate
from eatool.rollout.declared import EventSourcingRolloutSpec, ParitySpec, duration
from eatool.rollout.findings import Parity
from eatool.rollout.ignoring import Ignored, rules_of
from eatool.rollout.ledger import Cause, LedgerRefused, Standing, Trigger
from eatool.rollout.looking import Seen
from eatool.rollout.machine import Decision, decide
from eatool.rollout.parity import COMPARED
from eatool.rollout.phases import Phase
from eatool.rollout.process import RolloutProcess
from eatool.rollout.prometheus import Prometheus
from eatool.rollout.retiring import Retirement
from eatool.rollout.status import RolloutStatus
from eatool.store.sql.engine import reading
from eatool.store.sql.log import SqlEventStore
from eatool.telemetry.rollout_metrics import RolloutMetrics

_log: structlog.stdlib.BoundLogger = structlog.get_logger("eatool.rollout")

#: While replicas get ready for a phase, changes of the kind wait: look often.
_SOON: Final = 0.3
_HISTORY: Final = 50


@dataclass(frozen=True, slots=True)
class Looked:
    """What one look came to: the status to write, and seconds until the next look.

    ``None`` for the status: another replica decides.
    """

    status: Body | None
    again: float


class Decider:
    """Decides on all rollouts while this process leads; each by itself, one look at a time."""

    def __init__(
        self,
        process: RolloutProcess,
        store: SqlEventStore,
        metrics: RolloutMetrics,
        *,
        stamped: bool,
        interval: float,
    ) -> None:
        """``stamped``: annotations that name people can be trusted; ``interval`` of looks, s."""
        self._process = process
        self._store = store
        self._metrics = metrics
        self._stamped = stamped
        self._interval = interval
        self._retirement = Retirement(store)
        #: The newest decisions: what is written of them to objects is less, and later.
        self._decided: dict[str, RolloutStatus] = {}
        self._counted: dict[str, int] = {}
        self._prometheus: dict[str, Prometheus] = {}

    async def look(self, kind: EntityKind, body: Body) -> Looked:
        """Decide and act. Raises ``StoreError``."""
        if not self._process.leads:
            self.forget(kind)
            return Looked(None, self._interval)
        self._learn(kind, declared_rules(kind, body))
        now = datetime.now(UTC)
        try:
            spec = spec_of(EventSourcingRolloutSpec, body)
        except SpecProblem as problem:
            return Looked(refused_status(body, problem.reason, str(problem), now), self._interval)
        standing = self._process.view.of(kind.aggregate_type)
        if standing is None:
            if (why := await asyncio.to_thread(self._enroll, kind, body)) is not None:
                status = refused_status(body, "TableNotAdopted", why, now)
                return Looked(status, self._interval)
            return Looked(None, 0.0)
        return await asyncio.to_thread(self._look, kind, spec, standing, body)

    def undeclared(self, kind: EntityKind) -> None:
        """The kind has no object, or none any more: it keeps its phase, and rules it has left."""
        self.forget(kind)
        if self._process.leads:
            self._process.ignored.setdefault(kind.aggregate_type, {})

    def forget(self, kind: EntityKind) -> None:
        """Another process decides, or nobody any more."""
        self._decided.pop(kind.aggregate_type, None)
        if self._counted.pop(kind.aggregate_type, None) is not None:
            self._metrics.deciding(kind.aggregate_type, None)

    def close(self) -> None:
        """Release connections."""
        for prometheus in self._prometheus.values():
            prometheus.close()

    def _learn(self, kind: EntityKind, rules: Ignored | None) -> None:
        if rules is None:
            self._process.ignored.pop(kind.aggregate_type, None)
        else:
            self._process.ignored[kind.aggregate_type] = rules

    # -- worker threads ------------------------------------------------------------------------

    def _enroll(self, kind: EntityKind, body: Body) -> str | None:
        """Put the kind under rollout; or why that cannot be."""
        if (why := why_not_adopted(self._store.engine, kind)) is not None:
            return why
        reason = f"EventSourcingRollout {body['metadata']['name']} was declared"
        self._process.ledger.enroll(kind.aggregate_type, Cause(Trigger.ENROLLED, reason))
        self._process.view.refresh()
        return None

    def _look(
        self, kind: EntityKind, spec: EventSourcingRolloutSpec, standing: Standing, body: Body
    ) -> Looked:
        if spec.parity is not None and spec.parity.sweep_interval is not None:
            interval = duration(spec.parity.sweep_interval).total_seconds()
            self._process.sweeps[kind.aggregate_type] = interval
        else:
            self._process.sweeps.pop(kind.aggregate_type, None)
        seen = self._seen(kind, spec, standing, body)
        before = self._decided.get(kind.aggregate_type) or _written(body)
        decision = decide(spec, before, seen)
        self._decided[kind.aggregate_type] = decision.status
        step = effective.step(spec, standing.phase)
        soak = step.soak if step else timedelta()
        status = status_of(body, decision, self._parity(kind, standing), soak, seen.now)
        self._measure(kind, spec, decision, seen)
        if decision.action is not None:
            self._act(kind, decision.action)
            return Looked(status, _SOON)
        busy = standing.preparation is not None
        return Looked(status, _SOON if busy else self._interval)

    def _seen(
        self, kind: EntityKind, spec: EventSourcingRolloutSpec, standing: Standing, body: Body
    ) -> Seen:
        process, name = self._process, kind.aggregate_type
        prometheus = self._asked(spec)
        step, guard = effective.step(spec, standing.phase), effective.guard(spec, standing.phase)
        retired = standing.phase is Phase.RETIRED
        history = process.ledger.history(name, _HISTORY)
        parity = self._parity(kind, standing)
        return Seen(
            now=datetime.now(UTC),
            standing=standing,
            others=process.view.all(),
            replicas=process.ledger.replicas(name),
            history=history,
            criteria=evaluate(step.criteria if step else (), name, process.samples, prometheus),
            rollback_criteria=evaluate(guard.criteria, name, process.samples, prometheus),
            approvals=approvals_of(spec, body, stamped=self._stamped),
            author=provenance_of(body, stamped=self._stamped).actor,
            undrained=process.draining.left(standing, history),
            unsafe=process.draining.overdue(standing),
            compared=parity is None or parity.swept_at is not None,
            retired_table=self._retirement.remains(kind, standing.since) if retired else None,
        )

    def _parity(self, kind: EntityKind, standing: Standing) -> Parity | None:
        if standing.phase not in COMPARED:
            return None
        return self._process.findings.of(kind.aggregate_type, epoch=standing.epoch)

    def _asked(self, spec: EventSourcingRolloutSpec) -> Prometheus | None:
        if spec.prometheus is None:
            return None
        url = spec.prometheus.url
        if url not in self._prometheus:
            self._prometheus[url] = Prometheus(url)
        return self._prometheus[url]

    def _act(self, kind: EntityKind, action: Action) -> None:
        name = kind.aggregate_type
        try:
            if isinstance(action, DropLegacyTable):
                if self._retirement.drop(kind, action.table, action.actor):
                    _log.info("retired table dropped", entity=name, table=action.table)
                return
            standing = carry_out(self._process.ledger, name, action)
        except LedgerRefused as refused:
            _log.info("rollout step refused", entity=name, why=str(refused))
        else:
            _log.info(
                "rollout step",
                entity=name,
                step=type(action).__name__,
                phase=standing.phase,
                preparing=standing.preparing,
                epoch=standing.epoch,
            )
        self._process.view.refresh()

    def _measure(
        self, kind: EntityKind, spec: EventSourcingRolloutSpec, decision: Decision, seen: Seen
    ) -> None:
        name = kind.aggregate_type
        newest = seen.history[0].epoch if seen.history else 0
        for record in seen.history:
            if record.epoch > self._counted.get(name, newest):
                self._metrics.transition(record)
        self._counted[name] = newest
        self._metrics.deciding(name, decision.status.state)
        self._metrics.judged(name, judged_of(spec, decision.status), seen.now.timestamp())


def declared_rules(kind: EntityKind, body: Body) -> Ignored | None:
    """The rules of ``parity.ignored``, whatever else is wrong with the spec.

    ``None`` when they cannot be read themselves: somebody excuses something, but nobody knows what.
    """
    parity = (body.get("spec") or {}).get("parity") or {}
    only = {name: parity[name] for name in ("ignored",) if name in parity}
    try:
        return rules_of(kind, spec_of(ParitySpec, {"spec": only}))
    except SpecProblem:
        return None


def why_not_adopted(engine: Engine, kind: EntityKind) -> str | None:
    """Why the kind's legacy table cannot be moved, and what mends it; ``None`` when it can."""
    if adopted_kinds(engine, [kind]):
        return None
    with reading(engine).connect() as connection:
        if not exists(connection, kind):
            return (
                f"the event store's database has no table {kind.table} to move {kind.kind} from: "
                "create it there, or delete this object, then the event log alone has the kind"
            )
        why = complaint(connection, kind)
    command = f"eatool legacy adopt -k {kind.kind}"
    if why is not None:
        return f"{why}: add it, then run: {command}"
    return f"table {kind.table} is not adopted; run: {command}"


def _written(body: Mapping[str, Any]) -> RolloutStatus | None:
    """What the last leader wrote; ``None`` begins anew on the safe side."""
    try:
        return RolloutStatus.from_json(body.get("status") or {})
    except ValidationError:
        return None
