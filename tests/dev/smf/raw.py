"""A client that says whatever a test wants: the real one cannot be made to break the rules."""

from __future__ import annotations

import socket
import struct
from base64 import b64encode
from types import TracebackType
from typing import Self

from eatool.dev.smf import SmfBroker
from eatool.dev.smf.assured import Assured, AssuredParam, AssuredType, encode_assured, u32, u64
from eatool.dev.smf.wire import (
    FLAG_ASSURED,
    Frame,
    Param,
    Protocol,
    Standard,
    c_string,
    take_frames,
)

_VPN, _CLIENT_NAME = 0x06, 0x05


class RawClient:
    """One connection; every wait ends after 5 s."""

    def __init__(self, broker: SmfBroker) -> None:
        self._socket = socket.create_connection(("127.0.0.1", broker.port), timeout=5)
        self._buffer = bytearray()
        self._frames: list[Frame] = []
        self.flow_id = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._socket.close()

    def send(self, *frames: Frame) -> None:
        """Send frames in one piece."""
        self._socket.sendall(b"".join(frame.encode() for frame in frames))

    def receive(self) -> Frame | None:
        """The next frame; None when the broker has cut the connection."""
        while not self._frames:
            try:
                data = self._socket.recv(65536)
            except ConnectionResetError:
                return None
            if not data:
                return None
            self._buffer += data
            self._frames += take_frames(self._buffer)
        return self._frames.pop(0)

    def log_in(self, name: str = "raw") -> None:
        """Log in with the default credentials."""
        params = ((_VPN, c_string("default")), (_CLIENT_NAME, c_string(name)))
        body = b"".join(struct.pack(">BI", kind, len(v) + 5) + v for kind, v in params)
        credential = b64encode(b"eatool")
        self.send(
            Frame(
                Protocol.CLIENT_CTRL,
                [Param(Standard.USERNAME, credential), Param(Standard.PASSWORD, credential)],
                struct.pack(">BBI", 1, 0, len(body) + 6) + body,
            )
        )
        assert self.receive() is not None

    def open_flow(self, name: str = "") -> str:
        """Open a publisher flow, or reopen the one of a name; the code and text of the answer."""
        payload = encode_assured(
            2,
            AssuredType.OPEN_FLOW,
            [
                (AssuredParam.LAST_ID_ACKED, u64(0)),
                (AssuredParam.LAST_ID_SENT, u64(0)),
                (AssuredParam.WINDOW_SIZE, b"\xff"),
                (AssuredParam.FLOW_NAME, c_string(name)),
            ],
        )
        self.send(Frame(Protocol.ASSURED_CTRL, payload=payload))
        answer = self.receive()
        assert answer is not None
        self.flow_id = Assured.decode(answer.payload).number(AssuredParam.FLOW_ID)
        return reply_of(answer)

    def message(self, number: int, payload: bytes, *, previous: int | None = None) -> Frame:
        """A guaranteed message under a number of the caller's choice."""
        return Frame(
            Protocol.MESSAGE,
            [
                Param(Standard.TOPIC, c_string("a/b")),
                Param(Standard.DELIVERY_MODE, b"\x01"),
                Param(Standard.FLOW_ID, u32(self.flow_id)),
                Param(
                    Standard.PREVIOUS_MESSAGE_ID,
                    u64(number - 1 if previous is None else previous),
                ),
                Param(Standard.MESSAGE_ID, u64(number)),
            ],
            payload,
            flags=FLAG_ASSURED,
        )

    def acknowledged(self) -> int:
        """The number in the next acknowledgement."""
        answer = self.receive()
        assert answer is not None
        assert reply_of(answer) == "200 OK"
        return Assured.decode(answer.payload).number(AssuredParam.LAST_ID_ACKED)


def reply_of(frame: Frame) -> str:
    """Code and text of a response."""
    value = frame.find(Standard.RESPONSE) or b""
    return f"{int.from_bytes(value[:4], 'big')} {value[4:].decode()}"
