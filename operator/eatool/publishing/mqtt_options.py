"""How to reach an MQTT broker: options, and the URL that spells them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, cast
from urllib.parse import parse_qsl, unquote, urlsplit

from eatool.publishing.tls import TlsOptions

QoS = Literal[0, 1, 2]
Version = Literal["3.1.1", "5"]

_PORTS: Final = {"mqtt": 1883, "mqtts": 8883}
_VERSIONS: Final[dict[str, Version]] = {"5": "5", "5.0": "5", "3": "3.1.1", "3.1.1": "3.1.1"}
_PARAMETERS: Final = (
    "version", "qos", "client_id", "keepalive", "session_expiry", "max_packet_size",
    "ca", "cert", "key", "server_name",
)  # fmt: skip


class MqttUrlError(ValueError):
    """The URL is no MQTT address; the message never repeats its user information."""


@dataclass(frozen=True, slots=True)
class MqttOptions:
    """Settings of one connection; durations in seconds, sizes in bytes.

    Attributes:
        client_id: a prefix; every connection adds its own suffix, because a broker throws out
            the older of two sessions with one id. Set ``exact_client_id`` where access rules
            or a persistent session need the id as written, with one relay per destination.
        qos: 1 waits for PUBACK, 2 for PUBCOMP; 0 is "handed to the socket", which loses
            messages when the connection breaks.
        clean_start, session_expiry: the relay re-sends by itself, so the broker need not keep
            a publisher's session; expiry is MQTT 5 only.
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
    exact_client_id: bool = False
    qos: QoS = 1
    keepalive: int = 15
    clean_start: bool = True
    session_expiry: int = 0
    retain: bool = False
    max_packet_size: int | None = None
    receive_maximum: int = 65_535
    connect_timeout: float = 10.0

    @property
    def address(self) -> str:
        """For people and logs: scheme, host and port, no credentials."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'mqtts' if self.tls else 'mqtt'}://{host}:{self.port}"


def parse_mqtt_url(url: str) -> MqttOptions:
    """Read ``mqtt[s]://[user[:password]@]host[:port][?parameter=value&...]``.

    Parameters: ``version`` (5, 3.1.1), ``qos``, ``client_id``, ``keepalive``,
    ``session_expiry``, ``max_packet_size``; with mqtts also the paths ``ca``, ``cert``, ``key``
    and ``server_name``. User and password are percent-encoded. Raises :class:`MqttUrlError`.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise MqttUrlError("malformed MQTT URL: host or port cannot be read") from None
    if parts.scheme not in _PORTS:
        raise MqttUrlError("the scheme of an MQTT URL is mqtt:// or mqtts://")
    if not host:
        raise MqttUrlError(f"{parts.scheme}:// needs a host")
    if parts.path.strip("/") or parts.fragment:
        raise MqttUrlError(f"{parts.scheme}://{host}: a path or fragment has no meaning here")
    where = f"{parts.scheme}://{host}"
    given = _parameters(parts.query, where)
    version = _VERSIONS.get(given.get("version", "5"))
    if version is None:
        raise MqttUrlError(f"{where}: version must be 5 or 3.1.1")
    session_expiry = _number(given, "session_expiry", where)
    return MqttOptions(
        host=host,
        port=port or _PORTS[parts.scheme],
        version=version,
        username=None if parts.username is None else unquote(parts.username),
        password=None if parts.password is None else unquote(parts.password),
        tls=_tls(given, where, secure=parts.scheme == "mqtts"),
        client_id=given.get("client_id", "eatool"),
        exact_client_id="client_id" in given,
        qos=cast(QoS, _number(given, "qos", where)),
        keepalive=_number(given, "keepalive", where),
        clean_start=session_expiry == 0,
        session_expiry=session_expiry,
        max_packet_size=_number(given, "max_packet_size", where) or None,
    )


def _parameters(query: str, where: str) -> dict[str, str]:
    given = dict(parse_qsl(query, keep_blank_values=True))
    unknown = sorted(set(given) - set(_PARAMETERS))
    if unknown:
        raise MqttUrlError(
            f"{where}: unknown parameter {', '.join(unknown)}; legal: {', '.join(_PARAMETERS)}"
        )
    return given


#: Default, lowest and highest value of the numeric parameters.
_NUMBERS: Final = {
    "qos": (1, 0, 2),
    "keepalive": (15, 1, 65_535),
    "session_expiry": (0, 0, 0xFFFF_FFFF),
    "max_packet_size": (0, 0, 268_435_460),
}


def _number(given: dict[str, str], name: str, where: str) -> int:
    default, low, high = _NUMBERS[name]
    text = given.get(name)
    if text is None:
        return default
    if not text.isascii() or not text.isdigit() or not low <= int(text) <= high:
        raise MqttUrlError(f"{where}: {name} must be a number from {low} to {high}")
    return int(text)


def _tls(given: dict[str, str], where: str, *, secure: bool) -> TlsOptions | None:
    files = {name: given[name] for name in ("ca", "cert", "key", "server_name") if name in given}
    if not secure:
        if files:
            raise MqttUrlError(f"{where}: {', '.join(files)} need mqtts://")
        return None
    if "key" in files and "cert" not in files:
        raise MqttUrlError(f"{where}: key needs cert")
    paths = {name: Path(files[name]) for name in ("ca", "cert", "key") if name in files}
    return TlsOptions(
        paths.get("ca"), paths.get("cert"), paths.get("key"), files.get("server_name")
    )
