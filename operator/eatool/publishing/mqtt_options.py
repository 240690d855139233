"""How to reach an MQTT broker."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from eatool.publishing.tls import TlsOptions

QoS = Literal[0, 1, 2]
Version = Literal["3.1.1", "5"]


@dataclass(frozen=True, slots=True)
class MqttOptions:
    """Settings of one connection; durations in seconds, sizes in bytes.

    Attributes:
        client_id: a prefix; every connection adds its own suffix, because a broker throws out
            the older of two sessions with one id, and several relays share a destination.
        qos: 1 waits for PUBACK, 2 for PUBCOMP; 0 is "handed to the socket", which loses
            messages when the connection breaks.
        retain: let the broker keep the newest message of each topic for new subscribers.
        max_packet_size: own limit; the smaller of it and the broker's (MQTT 5) holds. Set it
            for MQTT 3.1.1, where a broker ends the session on what is too large.
        receive_maximum: own limit of unacknowledged messages, beside the broker's.

    """

    host: str
    port: int = 1883
    version: Version = "5"
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: TlsOptions | None = None
    client_id: str = "eatool"
    qos: QoS = 1
    keepalive: int = 15
    retain: bool = False
    max_packet_size: int | None = None
    receive_maximum: int = 65_535
    connect_timeout: float = 10.0

    @property
    def address(self) -> str:
        """For people and logs: scheme, host and port, no credentials."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'mqtts' if self.tls else 'mqtt'}://{host}:{self.port}"
