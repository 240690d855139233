"""A broker spelled as one URL, for commands that have no cluster to declare it in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from pydantic import ValidationError

from eatool.publishing.connecting import CERTIFICATE, KEY, PASSWORD, USERNAME, Secrets
from eatool.publishing.declared.broker import EventBrokerSpec

_TYPES: Final = {"mqtt": "mqtt", "mqtts": "mqtt", "tcp": "solace", "tcps": "solace"}
_SECURE: Final = frozenset({"mqtts", "tcps"})
#: Names of the stand-ins for Secrets.
_LOGIN, _CA, _CLIENT = "login", "ca", "client"


class BrokerUrlError(ValueError):
    """The URL names no broker; the message never repeats its user information."""


def _version(text: str) -> str:
    return {"3": "3.1.1", "5.0": "5"}.get(text, text)


def _number(text: str) -> int | str:
    # Left as it is, what is no number is refused by the field, which knows the limits.
    return int(text) if text.isascii() and text.isdigit() else text


def _flag(text: str) -> bool | str:
    return {"true": True, "false": False}.get(text, text)


#: Parameter -> where it belongs in the spec, and how its text is read.
_PARAMETERS: Final[dict[str, tuple[tuple[str, ...], Callable[[str], Any]]]] = {
    "version": (("mqtt", "version"), _version),
    "qos": (("mqtt", "qos"), _number),
    "retain": (("mqtt", "retain"), _flag),
    "client_id": (("mqtt", "clientId"), str),
    "keepalive": (("mqtt", "keepAliveSeconds"), _number),
    "max_packet_size": (("mqtt", "maxPacketSize"), _number),
    "encode_dots": (("mqtt", "encodeDots"), _flag),
    "vpn": (("solace", "messageVpn"), str),
    "client_name": (("solace", "clientName"), str),
    "delivery_mode": (("solace", "deliveryMode"), str),
    "topic": (("topicTemplate",), str),
    "content_mode": (("contentMode",), str),
    "window": (("window",), _number),
    "server_name": (("tls", "serverName"), str),
}
#: Parameters that are paths of PEM files.
_FILES: Final = ("ca", "cert", "key")


def parse_broker_url(url: str) -> tuple[EventBrokerSpec, Secrets]:
    """The spec that a URL spells, and stand-ins for the Secrets it would need.

    ``mqtt[s]://`` or, for Solace, ``tcp[s]://``, then
    ``[user[:password]@]host[:port][?parameter=value&...]``. User, password and values are
    percent-encoded. ``ca``, ``cert`` and ``key`` are paths of PEM files, which are read now.
    Raises :class:`BrokerUrlError`.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise BrokerUrlError("malformed URL: host or port cannot be read") from None
    if parts.scheme not in _TYPES:
        raise BrokerUrlError("the scheme must be mqtt, mqtts, or for Solace tcp or tcps")
    if not host:
        raise BrokerUrlError(f"{parts.scheme}:// needs a host")
    where = f"{parts.scheme}://{host}"
    if parts.path.strip("/") or parts.fragment:
        raise BrokerUrlError(f"{where}: a path or fragment has no meaning here")
    given = _given(parts.query, where)
    address = f"{parts.scheme}://{f'[{host}]' if ':' in host else host}"
    spec: dict[str, Any] = {
        "type": _TYPES[parts.scheme],
        "addresses": [address if port is None else f"{address}:{port}"],
    }
    for name, (path, read) in _PARAMETERS.items():
        if name in given:
            _put(spec, path, read(given[name]))
    secrets = _tls(spec, given, where, secure=parts.scheme in _SECURE)
    secrets |= _login(spec, parts)
    try:
        return EventBrokerSpec.model_validate(spec), secrets
    except ValidationError as error:
        first = error.errors()[0]
        raise BrokerUrlError(f"{where}: {_parameter(first['loc'])}: {first['msg']}") from None


def _given(query: str, where: str) -> dict[str, str]:
    given = dict(parse_qsl(query, keep_blank_values=True))
    legal = (*_PARAMETERS, *_FILES)
    if unknown := sorted(given.keys() - set(legal)):
        raise BrokerUrlError(
            f"{where}: unknown parameter {', '.join(unknown)}; legal: {', '.join(legal)}"
        )
    return given


def _put(spec: dict[str, Any], path: tuple[str, ...], value: object) -> None:
    for name in path[:-1]:
        spec = spec.setdefault(name, {})
    spec[path[-1]] = value


def _tls(
    spec: dict[str, Any], given: dict[str, str], where: str, *, secure: bool
) -> dict[str, dict[str, bytes]]:
    files = {name: given[name] for name in _FILES if name in given}
    if not secure and (files or "tls" in spec):
        raise BrokerUrlError(f"{where}: ca, cert, key and server_name need mqtts:// or tcps://")
    if ("cert" in files) != ("key" in files):
        raise BrokerUrlError(f"{where}: cert and key belong together")
    try:
        read = {name: Path(path).read_bytes() for name, path in files.items()}
    except OSError as error:
        raise BrokerUrlError(f"{where}: {error.filename}: {error.strerror}") from None
    secrets: dict[str, dict[str, bytes]] = {}
    if "ca" in read:
        _put(spec, ("tls", "ca"), {"name": _CA, "key": "ca.crt"})
        secrets[_CA] = {"ca.crt": read["ca"]}
    if "cert" in read:
        _put(spec, ("tls", "clientCertificate"), {"name": _CLIENT})
        secrets[_CLIENT] = {CERTIFICATE: read["cert"], KEY: read["key"]}
    return secrets


def _login(spec: dict[str, Any], parts: SplitResult) -> dict[str, dict[str, bytes]]:
    if parts.username is None:
        return {}
    spec["credentials"] = {"basic": {"name": _LOGIN}}
    password = unquote(parts.password or "").encode()
    return {_LOGIN: {USERNAME: unquote(parts.username).encode(), PASSWORD: password}}


def _parameter(location: tuple[int | str, ...]) -> str:
    names = {path: name for name, (path, _) in _PARAMETERS.items()}
    path = tuple(str(part) for part in location)
    return names.get(path, "host" if path[:1] == ("addresses",) else ".".join(path))
