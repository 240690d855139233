"""EventReplays: a part of the log once more, resolved once, run once, resumed after a crash."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import structlog

from eatool.kube.platform.broker_status import stamp
from eatool.kube.platform.brokers import Brokers
from eatool.kube.platform.parsing import spec_of
from eatool.kube.platform.parts import Parts
from eatool.kube.platform.replay_status import ENDED, ReplayLook, State, essence, replay_status
from eatool.kube.platform.resources import Body, Key, checkpoint_of
from eatool.publishing.assembly import assemble_replay, fingerprint, replay_name
from eatool.publishing.declared.replay import EventReplaySpec
from eatool.publishing.positions import replay_range
from eatool.publishing.problems import SpecProblem
from eatool.store.port import StoreUnavailable

_log: structlog.stdlib.BoundLogger = structlog.get_logger("eatool.platform")


class Replays:
    """Reconciles EventReplays by name, from their newest known bodies."""

    def __init__(self, parts: Parts, brokers: Brokers) -> None:
        self._parts = parts
        self._brokers = brokers
        #: Destination and what it was assembled from, by key of the object.
        self._served: dict[Key, tuple[str, str]] = {}

    async def process(self, key: Key) -> None:
        """Carry out what is declared and tell how it goes; raises what API and store say."""
        body = self._parts.sightings.get(key)
        if body is None:
            await self._withdraw(key)
            self._parts.writer.forget(key)
            return
        old = body.get("status") or {}
        if old.get("state") in ENDED:
            await self._withdraw(key)
            seen = {**old, "observedGeneration": body["metadata"]["generation"]}
            await self._parts.writer.write(key, body, seen, only_if_current=True)
            return
        try:
            spec = spec_of(EventReplaySpec, body)
            resolved = await self._resolved(key, body, spec)
            if resolved is None:
                return
            body = resolved
            look = await self._carry_out(key, body, spec)
        except SpecProblem as problem:
            await self._withdraw(key)
            look = ReplayLook(State.PENDING, problem=problem)
        except StoreUnavailable as error:
            look = ReplayLook(State.RUNNING, error=f"event store: {error}")
        await self._tell(key, body, look)

    async def forget_all_but(self, living: set[str]) -> None:
        """Drop the progress of replays whose objects are gone; ``living``: their destinations."""
        for name in await asyncio.to_thread(self._parts.checkpoints.destinations):
            if name.startswith(replay_name("")) and name not in living:
                await asyncio.to_thread(self._parts.checkpoints.forget, name)

    async def _resolved(self, key: Key, body: Body, spec: EventReplaySpec) -> Body | None:
        """The object with its range in the status, written there before anything is sent.

        Whoever writes first decides: an open end means another position a moment later.
        """
        old = body.get("status") or {}
        if "endPosition" in old:
            return body
        start, end = await asyncio.to_thread(replay_range, spec, self._parts.log)
        status = {
            **old,
            "state": State.PENDING,
            "startPosition": start,
            "endPosition": end,
            "position": start,
            "startedAt": stamp(datetime.now(UTC)),
        }
        return await self._parts.writer.write(key, body, status, only_if_current=True)

    async def _carry_out(self, key: Key, body: Body, spec: EventReplaySpec) -> ReplayLook:
        name = replay_name(checkpoint_of(body))
        if spec.suspended:
            await self._withdraw(key)
            return await self._progress(name, body, State.PAUSED, why="spec.suspended is true")
        broker = await self._brokers.usable(spec.broker)
        if broker is None:
            await self._withdraw(key)
            missing = f"EventBroker {spec.broker} does not exist"
            problem = SpecProblem("spec.broker", "BrokerNotFound", missing)
            return ReplayLook(State.PENDING, problem=problem)
        if broker.spec.suspended:
            await self._withdraw(key)
            why = f"EventBroker {spec.broker} is suspended"
            return await self._progress(name, body, State.PAUSED, why=why)
        mark = fingerprint(broker.spec, broker.secrets, spec)
        if self._served.get(key) != (name, mark):
            destination = await asyncio.to_thread(
                assemble_replay,
                checkpoint_of(body),
                spec,
                broker.spec,
                broker.secrets,
                environment=self._parts.environment,
                material=self._parts.material,
                start=body["status"]["startPosition"],
                until=body["status"]["endPosition"],
            )
            await self._parts.fleet.put(destination, mark)
            self._served[key] = name, mark
        return await self._progress(name, body, State.RUNNING)

    async def _progress(
        self, name: str, body: Mapping[str, Any], state: State, why: str | None = None
    ) -> ReplayLook:
        """How far the checkpoints have got, whichever process moves them."""
        start, end = body["status"]["startPosition"], body["status"]["endPosition"]
        cursors = await asyncio.to_thread(self._parts.checkpoints.cursors, name)
        parked = await asyncio.to_thread(self._parts.checkpoints.parked, name)
        position = min((cursor.position for cursor in cursors), default=start)
        relay = self._parts.fleet.status(name)
        if cursors and position >= end:
            state = State.FAILED if parked else State.COMPLETED
        return ReplayLook(
            state,
            position=min(position, end),
            sent=sum(cursor.sent for cursor in cursors),
            parked=tuple(parked),
            relay=relay,
            error=relay.last_error if relay is not None else None,
            why=why,
        )

    async def _tell(self, key: Key, body: Body, look: ReplayLook) -> None:
        ended = look.state in ENDED
        if ended:
            await self._withdraw(key)
        elif look.relay is not None and not look.relay.leads:
            return
        status = replay_status(body, look, datetime.now(UTC))
        # The range in it must not be lost to a process whose watch lags behind.
        await self._parts.writer.write(key, body, status, essence=essence, only_if_current=True)
        if ended:
            _log.info("replay ended", replay=key.name, state=look.state, position=look.position)

    async def _withdraw(self, key: Key) -> None:
        served = self._served.pop(key, None)
        if served is not None:
            await self._parts.fleet.remove(served[0])
