"""The consuming side of a connection: it binds to queues, and acknowledges what it is sent."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import Final

from eatool.dev.smf.assured import MAX_WINDOW, Assured, AssuredParam, u32, u64
from eatool.dev.smf.publishing import Params
from eatool.dev.smf.queues import Consumer, Queue
from eatool.dev.smf.replies import ALREADY_EXISTS, OK, UNKNOWN_QUEUE, Reply
from eatool.dev.smf.state import BrokerState
from eatool.dev.smf.wire import Frame, from_c_string

_DURABLE: Final = b"\x01"
_EXCLUSIVE: Final = b"\x01"
_ALL_PERMISSIONS: Final = u32(0xF)


class Consuming:
    """The consumers of one connection."""

    def __init__(
        self, state: BrokerState, *, flow_ids: Iterator[int], send: Callable[[Frame], None]
    ) -> None:
        """``flow_ids`` are the connection's."""
        self._state = state
        self._flow_ids = flow_ids
        self._send = send
        self._bound: dict[int, tuple[Queue, Consumer]] = {}

    def create(self, request: Assured) -> tuple[Reply, Params]:
        """Make a queue without subscriptions."""
        name = from_c_string(request.find(AssuredParam.QUEUE_NAME))
        if name in self._state.queues:
            return ALREADY_EXISTS, []
        self._state.add_queue(name, (), None)
        return OK, []

    def bind(self, request: Assured) -> tuple[Reply, Params, Queue | None]:
        """Bind to a queue, which delivers once the response is on its way."""
        queue = self._state.queues.get(from_c_string(request.find(AssuredParam.QUEUE_NAME)))
        if queue is None:
            return UNKNOWN_QUEUE, [], None
        window = request.number(AssuredParam.WINDOW_SIZE)
        consumer = Consumer(next(self._flow_ids), self._send, window)
        self._bound[consumer.flow_id] = queue, consumer
        active = queue.bind(consumer)
        params: Params = [
            (AssuredParam.FLOW_ID, u32(consumer.flow_id)),
            (AssuredParam.LAST_ID_ACKED, u64(0)),
            (AssuredParam.WINDOW_SIZE, bytes([MAX_WINDOW])),
            (AssuredParam.DURABILITY, _DURABLE),
            (AssuredParam.ACCESS_TYPE, _EXCLUSIVE),
            (AssuredParam.GRANTED_PERMISSIONS, _ALL_PERMISSIONS),
            (AssuredParam.ACTIVE_FLOW, bytes([active])),
        ]
        return OK, params, queue

    def unbind(self, request: Assured) -> tuple[Reply, Params]:
        """Leave a queue."""
        flow_id = request.number(AssuredParam.FLOW_ID)
        if flow_id in self._bound:
            self._leave(flow_id)
        return OK, [(AssuredParam.FLOW_ID, u32(flow_id))]

    def acknowledge(self, request: Assured) -> None:
        """Drop what the client has acknowledged, send what its window then allows."""
        bound = self._bound.get(request.number(AssuredParam.FLOW_ID))
        if bound is None:
            return
        queue, consumer = bound
        if request.find(AssuredParam.WINDOW_SIZE) is not None:
            consumer.window = request.number(AssuredParam.WINDOW_SIZE)
        gone: list[int] = []
        for value in request.all(AssuredParam.APPLICATION_ACK):
            first, last = struct.unpack_from(">QQ", value)
            gone += [number for number in consumer.unacked if first <= number <= last]
        for number in gone:
            consumer.unacked.pop(number, None)
        self._state.consumed(queue, gone)
        queue.deliver()

    def end(self) -> None:
        """Leave all queues: the client has gone."""
        for flow_id in list(self._bound):
            self._leave(flow_id)

    def _leave(self, flow_id: int) -> None:
        queue, consumer = self._bound.pop(flow_id)
        queue.unbind(consumer)
        self._state.changed()
