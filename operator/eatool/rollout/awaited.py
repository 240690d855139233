"""Wakes the objects whose commands have been decided, by whichever process."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from typing import Final
from uuid import UUID

from eatool.commands.port import CommandQueue, CommandState
from eatool.domain.identity import EntityRef
from eatool.registry.arrivals import Arrivals
from eatool.store.port import StoreUnavailable

_log = logging.getLogger(__name__)

_POLL: Final = 0.2
#: Commands looked up in one round.
_ROUND: Final = 200
#: A command in one of these has nothing to tell yet.
_UNDER_WAY: Final = frozenset({CommandState.QUEUED, CommandState.RUNNING})


class Awaited:
    """Commands that objects of this process wait for; used from one event loop."""

    def __init__(self, queue: CommandQueue, arrivals: Arrivals) -> None:
        self._queue = queue
        self._arrivals = arrivals
        self._refs: OrderedDict[UUID, EntityRef] = OrderedDict()

    def put(self, command_id: UUID, ref: EntityRef) -> None:
        """Wake ``ref`` once when the command is decided, or cannot be."""
        self._refs[command_id] = ref

    def soon(self, command_id: UUID, ref: EntityRef) -> None:
        """The command is about to be told as decided: look at it first."""
        if command_id in self._refs:
            self._refs[command_id] = ref
            self._refs.move_to_end(command_id, last=False)

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            try:
                await self.look()
            except StoreUnavailable as error:
                _log.warning("Cannot look after queued commands: %s", error)
            await asyncio.sleep(_POLL)

    async def look(self) -> None:
        """Wake whose command has been decided; those that were looked at go to the end."""
        ids = [command_id for command_id, _ in zip(self._refs, range(_ROUND), strict=False)]
        if not ids:
            return
        states = await asyncio.to_thread(self._queue.states, ids)
        woken = set()
        for command_id in ids:
            state = states.get(command_id)
            ref = self._refs.pop(command_id, None)
            if ref is None:
                continue
            if state in _UNDER_WAY:
                self._refs[command_id] = ref
            else:
                woken.add(ref)
        if woken:
            self._arrivals.wake(woken)
