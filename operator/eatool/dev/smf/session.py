"""A client that has logged in: what it may ask for, and who answers."""

from __future__ import annotations

import itertools
from collections.abc import Callable

from eatool.dev.smf.assured import Assured, AssuredType, encode_assured
from eatool.dev.smf.consuming import Consuming
from eatool.dev.smf.publishing import Params, Publishing
from eatool.dev.smf.replies import OK, UNKNOWN_QUEUE, Reply
from eatool.dev.smf.state import BrokerState
from eatool.dev.smf.subscriptions import SubscriptionRequest
from eatool.dev.smf.topics import matches
from eatool.dev.smf.wire import Frame, Light, Protocol, SmfError, response


class Session:
    """Everything after the login of one connection; a ``Client`` of the state."""

    def __init__(
        self,
        state: BrokerState,
        *,
        connection: int,
        client_name: str,
        send: Callable[[Frame], None],
        drop: Callable[[], None],
    ) -> None:
        """``send`` and ``drop`` are the connection's; ``drop`` cuts it."""
        self.client_name = client_name
        self.direct_count = 0
        self.keep_alives = 0
        self.send = send
        self._state = state
        self._subscriptions: set[str] = set()
        flow_ids = itertools.count(1)
        self._consuming = Consuming(state, flow_ids=flow_ids, send=send)
        self._publishing = Publishing(
            state,
            connection=connection,
            client_name=client_name,
            flow_ids=flow_ids,
            send=send,
            drop=drop,
        )

    def subscribed(self, topic: str) -> bool:
        """Whether a direct message of this topic is for this client."""
        return any(matches(subscription, topic) for subscription in self._subscriptions)

    def close_flow(self) -> None:
        """End the publisher flow from the broker's side."""
        self._publishing.close_flow()

    def flush(self) -> None:
        """Send the acknowledgements that were collected; after each batch of frames."""
        self._publishing.flush()

    def end(self) -> None:
        """The connection is gone."""
        self._publishing.end()
        self._consuming.end()

    def handle(self, frame: Frame) -> None:
        """Answer one frame; :class:`SmfError` if it makes no sense."""
        match frame.protocol:
            case Protocol.MESSAGE:
                self._publishing.receive(frame)
            case Protocol.ASSURED_CTRL:
                self._on_assured(frame)
            case Protocol.SMP:
                self._on_subscription(frame)
            case Protocol.KEEP_ALIVE_V2:
                self.keep_alives += 1
                if not self._state.faults.ignore_keep_alives:
                    self.send(Frame(Protocol.KEEP_ALIVE_V2))
                self._state.changed()
            case _:
                raise SmfError(f"unknown protocol {frame.protocol:#04x}")

    def _on_assured(self, frame: Frame) -> None:
        request = Assured.decode(frame.payload)
        match request.type:
            case AssuredType.OPEN_FLOW:
                self._answer(frame, request, *self._publishing.open_flow(request))
            case AssuredType.CLOSE_FLOW:
                self._publishing.end()
                self._answer(frame, request, OK, [])
            case AssuredType.BIND:
                reply, params, queue = self._consuming.bind(request)
                self._answer(frame, request, reply, params)
                if queue is not None:
                    queue.deliver()
            case AssuredType.UNBIND:
                self._answer(frame, request, *self._consuming.unbind(request))
            case AssuredType.CREATE:
                self._answer(frame, request, *self._consuming.create(request))
            case AssuredType.CLIENT_ACK:
                self._consuming.acknowledge(request)
            case _:
                raise SmfError(f"unknown AssuredCtrl message {request.type:#04x}")
        self._state.changed()

    def _on_subscription(self, frame: Frame) -> None:
        request = SubscriptionRequest.decode(frame.payload)
        reply = OK
        if request.queue is None:
            change = self._subscriptions.add if request.add else self._subscriptions.discard
            change(request.topic)
        elif (queue := self._state.queues.get(request.queue)) is not None:
            self._state.subscribe_queue(queue, request.topic, add=request.add)
        else:
            reply = UNKNOWN_QUEUE
        if request.wants_response:
            self.send(respond(frame, reply, frame.payload))
        self._state.changed()

    def _answer(self, frame: Frame, request: Assured, reply: Reply, params: Params) -> None:
        # Only parameters meant for the client: it drops a response that echoes its request.
        kind = AssuredType(request.type)
        self.send(respond(frame, reply, encode_assured(request.version, kind, params)))


def respond(request: Frame, reply: Reply, payload: bytes) -> Frame:
    """The response to a frame, with its correlation tag."""
    tags = [p for p in request.params if p.light and p.type == Light.CORRELATION_TAG]
    return Frame(request.protocol, [*tags, response(reply)], payload)
