"""EventBrokers: what is declared becomes a relay, and the relay's state becomes a status."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from eatool.kube.platform.broker_status import Look, broker_status, essence
from eatool.kube.platform.parked import ParkedObjects
from eatool.kube.platform.parsing import spec_of
from eatool.kube.platform.parts import Parts
from eatool.kube.platform.resources import EVENT_BROKER, Body, Key
from eatool.kube.platform.secrets import Data
from eatool.publishing.assembly import assemble, fingerprint, secrets_of, selection_of
from eatool.publishing.certificates import expiries
from eatool.publishing.declared.broker import EventBrokerSpec
from eatool.publishing.lag import Lag
from eatool.publishing.positions import start_position
from eatool.publishing.problems import SpecProblem
from eatool.publishing.required import RequiredBrokers
from eatool.publishing.selection import EVERYTHING, Selection
from eatool.store.port import StoreUnavailable
from eatool.telemetry.metrics import PublishingMetrics


@dataclass(frozen=True, slots=True)
class Usable:
    """A broker that can be connected to, as declared now."""

    spec: EventBrokerSpec
    secrets: Mapping[str, Data] = field(repr=False)


class Brokers:
    """Reconciles EventBrokers by name, from their newest known bodies."""

    def __init__(
        self,
        parts: Parts,
        parked: ParkedObjects,
        required: RequiredBrokers,
        metrics: PublishingMetrics,
    ) -> None:
        self._parts = parts
        self._parked = parked
        self._required = required
        self._metrics = metrics
        self._served: dict[str, str] = {}
        self._begun: set[str] = set()

    async def process(self, key: Key) -> None:
        """Carry out what is declared and tell how it goes; raises what API and store say."""
        body = self._parts.sightings.get(key)
        if body is None:
            await self._end(key)
            return
        self._metrics.broker_added(key.name)
        problem, suspended = await self._carry_out(key.name, body)
        lag = await self._lag(key.name)
        look = Look(problem, suspended, self._parts.fleet.status(key.name), lag)
        speaks = look.relay is None or look.relay.leads
        self._measure(key.name, look, speaks=speaks)
        # Of several processes one tells; where none has a relay, all find the same words.
        if not speaks:
            return
        status = broker_status(body, look, datetime.now(UTC))
        await self._parts.writer.write(key, body, status, essence=essence)
        if lag is not None:
            await self._parked.sync(body, lag.parked)

    async def usable(self, name: str) -> Usable | None:
        """A broker with its Secrets; ``None`` when there is none. :class:`SpecProblem`."""
        body = self._parts.sightings.get(Key(EVENT_BROKER.plural, name))
        if body is None:
            return None
        spec = spec_of(EventBrokerSpec, body)
        return Usable(spec, await self._parts.secrets.of(secrets_of(spec)))

    def require(self) -> None:
        """Let it be known which brokers an entity must reach to count as published."""
        required: dict[str, Selection] = {}
        for body in self._parts.sightings.of(EVENT_BROKER):
            name = body["metadata"]["name"]
            try:
                spec = spec_of(EventBrokerSpec, body)
                if spec.required is not False:
                    required[name] = selection_of(spec)
            except SpecProblem:
                # Nothing reaches it, and nobody can say what should: do not promise too much.
                required[name] = EVERYTHING
        self._required.replace(required)

    async def _carry_out(self, name: str, body: Body) -> tuple[SpecProblem | None, bool]:
        try:
            spec = spec_of(EventBrokerSpec, body)
            await self._begin(name, spec)
            if spec.suspended:
                await self._withdraw(name)
                return None, True
            secrets = await self._parts.secrets.of(secrets_of(spec))
            await self._serve(name, spec, secrets)
        except SpecProblem as problem:
            # A relay of the older spec would go on where somebody may have meant to end it.
            await self._withdraw(name)
            return problem, bool((body.get("spec") or {}).get("suspended"))
        except StoreUnavailable:
            pass  # nothing is known of its start yet; the figures will say why
        return None, False

    async def _serve(self, name: str, spec: EventBrokerSpec, secrets: Mapping[str, Data]) -> None:
        mark = fingerprint(spec, secrets)
        if self._served.get(name) == mark:
            return
        self._metrics.certificates(name, expiries(spec, secrets))
        # Certificates are written to files and read again.
        destination = await asyncio.to_thread(
            assemble,
            name,
            spec,
            secrets,
            environment=self._parts.environment,
            material=self._parts.material,
        )
        await self._parts.fleet.put(destination, mark)
        self._served[name] = mark

    async def _withdraw(self, name: str) -> None:
        self._served.pop(name, None)
        # Somebody may make a destination without a relay forget where it was.
        self._begun.discard(name)
        await self._parts.fleet.remove(name)

    async def _begin(self, name: str, spec: EventBrokerSpec) -> None:
        """Fix where a new broker starts, even one that is suspended or cannot be reached yet."""
        if name not in self._begun:
            await asyncio.to_thread(self._fix_start, name, spec)
            self._begun.add(name)

    def _fix_start(self, name: str, spec: EventBrokerSpec) -> None:
        if not self._parts.checkpoints.cursors(name):
            self._parts.checkpoints.begin(name, start_position(spec.start, self._parts.log))

    async def _end(self, key: Key) -> None:
        await self._withdraw(key.name)
        await self._parked.clear(key.name)
        self._parts.writer.forget(key)
        self._metrics.broker_removed(key.name)

    async def _lag(self, name: str) -> Lag | None:
        try:
            return await asyncio.to_thread(self._parts.reader.lag, name)
        except StoreUnavailable:
            return None

    def _measure(self, name: str, look: Look, *, speaks: bool) -> None:
        """Global figures come from the one who speaks, so that sums over processes are right."""
        if look.relay is not None:
            self._metrics.circuit(name, look.relay.circuit)
        if look.lag is None:
            return
        events, oldest, parked = (
            (look.lag.events, look.lag.oldest, len(look.lag.parked)) if speaks else (0, None, 0)
        )
        self._metrics.outbox(name, events, oldest.timestamp() if oldest else None)
        self._metrics.parked_streams(name, parked)
