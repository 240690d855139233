"""The publishing side of a connection: its flow, its messages, and what it is told of them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator

from eatool.dev.smf.assured import (
    MAX_WINDOW,
    Assured,
    AssuredParam,
    AssuredType,
    encode_assured,
    u32,
    u64,
)
from eatool.dev.smf.flows import Acknowledger, Arrival, PublisherFlow
from eatool.dev.smf.messages import Outcome, ReceivedMessage
from eatool.dev.smf.replies import OK, SERVICE_UNAVAILABLE, UNKNOWN_FLOW_NAME, Reply
from eatool.dev.smf.state import BrokerState
from eatool.dev.smf.wire import (
    FLAG_ASSURED,
    Frame,
    Protocol,
    SmfError,
    Standard,
    c_string,
    from_c_string,
    response,
)

logger = logging.getLogger(__name__)

Params = list[tuple[int, bytes]]


class Publishing:
    """The publisher flow of one connection, of which a client opens at most one."""

    def __init__(
        self,
        state: BrokerState,
        *,
        connection: int,
        client_name: str,
        flow_ids: Iterator[int],
        send: Callable[[Frame], None],
        drop: Callable[[], None],
    ) -> None:
        """``flow_ids`` are the connection's; ``drop()`` cuts it."""
        self._state = state
        self._connection = connection
        self._client_name = client_name
        self._flow_ids = flow_ids
        self._send = send
        self._drop = drop
        self._flow: PublisherFlow | None = None
        self._flow_id = 0
        self._version = 0
        self._closed = False
        self._acknowledger: Acknowledger | None = None

    def open_flow(self, request: Assured) -> tuple[Reply, Params]:
        """Open a new flow, or reopen the one the client names."""
        name = from_c_string(request.find(AssuredParam.FLOW_NAME))
        refusal = self._state.faults.refuse_publisher_flow
        flow = None if refusal else self._state.open_flow(name, self._client_name)
        if flow is None:
            logger.info("client %r may not open flow %r", self._client_name, name)
            return refusal or UNKNOWN_FLOW_NAME, []
        flow.reopen()
        self._flow, self._flow_id = flow, next(self._flow_ids)
        self._closed = False
        self._version = request.version
        self._acknowledger = Acknowledger(
            flow,
            flow_id=self._flow_id,
            version=request.version,
            send=self._send,
            told=self._state.told,
        )
        return OK, [
            (AssuredParam.FLOW_ID, u32(self._flow_id)),
            (AssuredParam.FLOW_NAME, c_string(flow.name)),
            (AssuredParam.LAST_ID_ACKED, u64(flow.acked_id)),
            (AssuredParam.LAST_ID_SENT, u64(flow.last_id)),
            (AssuredParam.WINDOW_SIZE, bytes([MAX_WINDOW])),
            (AssuredParam.PUBLISHER_ID, u32(flow.publisher_id)),
        ]

    def receive(self, frame: Frame) -> None:
        """Take a message of the client."""
        guaranteed = bool(frame.flags & FLAG_ASSURED)
        message = ReceivedMessage(frame, Outcome.DIRECT, self._client_name, self._connection)
        if not guaranteed:
            self._state.take(message)
            return
        flow, acknowledger = self._flow, self._acknowledger
        if self._closed:
            return  # it was under way when the client was told
        if flow is None or acknowledger is None:
            raise SmfError("guaranteed message without a publisher flow")
        if frame.number(Standard.FLOW_ID) != self._flow_id:
            raise SmfError("guaranteed message of another publisher flow")
        message.flow = flow.name
        match flow.judge(message):
            case Arrival.NEXT:
                self._take_next(flow, acknowledger, message)
            case Arrival.KNOWN:
                self._take_known(flow, acknowledger, message)
            case Arrival.AHEAD:
                # The client may do this right after a reconnection, when it is given a
                # message before it has repeated the unacknowledged ones.
                message.outcome = Outcome.OUT_OF_ORDER
                self._state.take(message)

    def close_flow(self) -> None:
        """Forget the flow and tell the client that it is closed."""
        if self._flow is None:
            return
        self._state.forget_flow(self._flow.name)
        params = [
            (AssuredParam.FLOW_ID, u32(self._flow_id)),
            (AssuredParam.LAST_ID_ACKED, u64(self._flow.acked_id)),
        ]
        payload = encode_assured(self._version, AssuredType.CLOSE_FLOW, params)
        self.end()
        self._closed = True
        # Without a response parameter the client takes no notice.
        self._send(Frame(Protocol.ASSURED_CTRL, [response(SERVICE_UNAVAILABLE)], payload))

    def flush(self) -> None:
        """Acknowledge what has been taken since the last time."""
        if self._acknowledger is not None:
            self._acknowledger.flush(self._state.faults.ack_delay)

    def end(self) -> None:
        """Acknowledge nothing more: the client has closed its flow, or has gone."""
        if self._acknowledger is not None:
            self._acknowledger.close()
        self._flow = self._acknowledger = None

    def _take_next(
        self, flow: PublisherFlow, acknowledger: Acknowledger, message: ReceivedMessage
    ) -> None:
        faults = self._state.faults
        message.reply = self._state.verdict(message)
        flow.take(message.message_id, message.reply)
        if message.reply != OK:
            message.outcome = Outcome.NACKED
        else:
            message.outcome = Outcome.WITHHELD if faults.withhold_acks else Outcome.STORED
        self._state.take(message)
        self._answer(flow, acknowledger, message)
        if faults.cut_after is not None and message.stored:
            self._count_down(flow, faults.cut_after - 1)

    def _take_known(
        self, flow: PublisherFlow, acknowledger: Acknowledger, message: ReceivedMessage
    ) -> None:
        message.outcome = Outcome.DUPLICATE
        message.reply = flow.rejections.get(message.message_id, OK)
        self._state.take(message)
        self._answer(flow, acknowledger, message)

    def _answer(
        self, flow: PublisherFlow, acknowledger: Acknowledger, message: ReceivedMessage
    ) -> None:
        faults = self._state.faults
        if faults.withhold_acks:
            return
        if message.reply != OK:
            acknowledger.reject(message.message_id, message.reply, faults.ack_delay)
            return
        acknowledger.accept(flow.last_id)
        if message.ack_immediately:
            acknowledger.flush(faults.ack_delay)

    def _count_down(self, flow: PublisherFlow, left: int) -> None:
        faults = self._state.faults
        faults.cut_after = left if left > 0 else None
        if left <= 0:
            if faults.cut_loses_unacked:
                self._state.lose_unacked(flow)
            self._drop()
