"""How to reach a Solace PubSub+ broker, and how to publish there."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal

from eatool.publishing.tls import TlsOptions

DeliveryMode = Literal["persistent", "direct"]

#: The client library keeps no more messages unacknowledged on one connection.
CLIENT_WINDOW: Final = 255


@dataclass(frozen=True, slots=True)
class SolaceOptions:
    """Settings of one connection; durations in seconds, sizes in bytes.

    Logs in with the token if there is one, else with user name and password, else with the
    certificate of ``tls``, else as ``default`` without a password.

    Attributes:
        vpn: message VPN.
        oauth2_token: OAuth 2.0 access token; needs ``tls``.
        client_name: a prefix; every connection adds its own suffix, because a broker refuses the
            second of two clients with one name.
        delivery_mode: ``persistent`` waits until the broker has stored a message; ``direct`` is
            "handed to the client library", which loses messages when the connection breaks.
        window: messages without an answer at one time; what is more waits here.
        max_message_size: payloads above it are refused before the client library sees them, which
            would not say why it refuses; a broker takes 30 MiB at most.
        keepalive: the session ends after three of these without a sign of the broker.
        connect_timeout, close_timeout: how long to wait for the client library.

    """

    host: str
    port: int = 55555
    tls: TlsOptions | None = None
    vpn: str = "default"
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    oauth2_token: str | None = field(default=None, repr=False)
    client_name: str = "eatool"
    delivery_mode: DeliveryMode = "persistent"
    window: int = 200
    max_message_size: int = 30 * 1024 * 1024
    keepalive: float = 3.0
    connect_timeout: float = 10.0
    close_timeout: float = 5.0

    def __post_init__(self) -> None:
        """ValueError for what the client library would accept and then not do."""
        if not 1 <= self.window <= CLIENT_WINDOW:
            raise ValueError(f"window must be from 1 to {CLIENT_WINDOW}")
        if self.oauth2_token is not None and self.tls is None:
            raise ValueError("an OAuth 2.0 token needs TLS")

    @property
    def address(self) -> str:
        """For people and logs: scheme, host and port, no credentials."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'tcps' if self.tls else 'tcp'}://{host}:{self.port}"
