"""From a declared broker and its Secrets to publishers: addresses, TLS, credentials."""

from __future__ import annotations

import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from eatool.publishing.declared.broker import EventBrokerSpec, MqttSpec, SolaceSpec, TlsSpec
from eatool.publishing.failover import Endpoint, FailoverPublisher
from eatool.publishing.material import Material
from eatool.publishing.mqtt import MqttPublisher
from eatool.publishing.mqtt_options import MqttOptions, QoS
from eatool.publishing.port import Publisher, PublisherFactory
from eatool.publishing.problems import SpecProblem
from eatool.publishing.solace import SolacePublisher
from eatool.publishing.solace_options import CLIENT_WINDOW, DeliveryMode, SolaceOptions
from eatool.publishing.tls import TlsOptions

#: Secret name -> its data, decoded.
Secrets = Mapping[str, Mapping[str, bytes]]

ConnectionOptions = MqttOptions | SolaceOptions

_PORTS: Final = {"mqtt": 1883, "mqtts": 8883, "tcp": 55555, "tcps": 55443}
_SCHEMES: Final = {"mqtt": ("mqtt", "mqtts"), "solace": ("tcp", "tcps")}
_TLS_VERSIONS: Final = {
    "TLSv1.2": ssl.TLSVersion.TLSv1_2,
    "TLSv1.3": ssl.TLSVersion.TLSv1_3,
}
#: Keys of the Secret types kubernetes.io/basic-auth and kubernetes.io/tls.
USERNAME: Final = "username"
PASSWORD: Final = "password"  # noqa: S105 - the key of a Secret, not a secret
CERTIFICATE: Final = "tls.crt"
KEY: Final = "tls.key"


class Address(NamedTuple):
    """One parsed address."""

    host: str
    port: int
    secure: bool


@dataclass(frozen=True, slots=True)
class Login:
    """Decoded credentials; never shown."""

    username: str | None = None
    password: str | None = field(default=None, repr=False)
    oauth2_token: str | None = field(default=None, repr=False)


def secrets_of(spec: EventBrokerSpec) -> frozenset[str]:
    """Names of the Secrets that a broker needs."""
    tls, credentials = spec.tls, spec.credentials
    names = set()
    if tls is not None:
        names |= {ref.name for ref in (tls.ca, tls.client_certificate) if ref is not None}
    if credentials is not None:
        names |= {ref.name for ref in (credentials.basic, credentials.oauth2) if ref is not None}
    return frozenset(names)


def connections(
    name: str, spec: EventBrokerSpec, secrets: Secrets, material: Material, *, window: int
) -> list[ConnectionOptions]:
    """Options for each address, in order; raises :class:`SpecProblem`.

    ``name`` is what the broker sees, unless the spec names the client. ``material``: takes the
    certificates.
    """
    addresses = [
        _address(f"spec.addresses[{number}]", text, spec)
        for number, text in enumerate(spec.addresses)
    ]
    tls = None
    if any(address.secure for address in addresses):
        tls = _tls(spec.tls or TlsSpec(), secrets, material)
    login = _login(spec, secrets)
    options: list[ConnectionOptions] = []
    for address in addresses:
        secured = tls if address.secure else None
        if spec.type == "solace":
            options.append(_solace(name, spec, address, tls=secured, login=login, window=window))
        else:
            options.append(_mqtt(name, spec, address, tls=secured, login=login))
    return options


def publisher_factory(options: Iterable[ConnectionOptions]) -> PublisherFactory:
    """What makes sessions that go to the first of several addresses that answers."""
    endpoints = [Endpoint(each.address, partial(_publisher, each)) for each in options]
    useless: list[str] = []
    return lambda: FailoverPublisher(endpoints, useless)


def _publisher(options: ConnectionOptions) -> Publisher:
    if isinstance(options, SolaceOptions):
        return SolacePublisher(options)
    return MqttPublisher(options)


def _address(field: str, text: str, spec: EventBrokerSpec) -> Address:
    legal = " or ".join(f"{scheme}://host[:port]" for scheme in _SCHEMES[spec.type])
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise SpecProblem(field, "InvalidAddress", "the port must be from 1 to 65535") from None
    if parts.scheme not in _SCHEMES[spec.type] or not parts.hostname or port == 0:
        raise SpecProblem(field, "InvalidAddress", f"must be {legal} for type {spec.type}")
    secure = parts.scheme in {"mqtts", "tcps"}
    return Address(parts.hostname, port or _PORTS[parts.scheme], secure)


def _mqtt(
    name: str, spec: EventBrokerSpec, address: Address, *, tls: TlsOptions | None, login: Login
) -> MqttOptions:
    given = spec.mqtt or MqttSpec()
    options = MqttOptions(
        address.host, address.port, username=login.username, password=login.password, tls=tls
    )
    qos: QoS = _QOS[1 if given.qos is None else given.qos]
    return replace(
        options,
        version=given.version or options.version,
        client_id=given.client_id or f"eatool-{name}",
        qos=qos,
        keepalive=given.keep_alive_seconds or options.keepalive,
        retain=bool(given.retain),
        max_packet_size=given.max_packet_size,
    )


_QOS: Final[tuple[QoS, QoS, QoS]] = (0, 1, 2)


_DELIVERY_MODES: Final[Mapping[str, DeliveryMode]] = {
    "Persistent": "persistent",
    "Direct": "direct",
}


def _solace(
    name: str,
    spec: EventBrokerSpec,
    address: Address,
    *,
    tls: TlsOptions | None,
    login: Login,
    window: int,
) -> SolaceOptions:
    given = spec.solace or SolaceSpec()
    return SolaceOptions(
        address.host,
        address.port,
        tls=tls,
        vpn=given.message_vpn or "default",
        username=login.username,
        password=login.password,
        oauth2_token=login.oauth2_token,
        client_name=given.client_name or f"eatool-{name}",
        delivery_mode=_DELIVERY_MODES[given.delivery_mode or "Persistent"],
        window=min(window, CLIENT_WINDOW),
    )


def _tls(spec: TlsSpec, secrets: Secrets, material: Material) -> TlsOptions:
    options = TlsOptions(
        server_name=spec.server_name,
        minimum_version=_TLS_VERSIONS[spec.minimum_version or "TLSv1.2"],
    )
    if spec.ca is not None:
        ca = _secret(secrets, "spec.tls.ca", spec.ca.name, spec.ca.key)
        options = replace(options, ca=material.file(ca))
        _check("spec.tls.ca", "holds no PEM certificates", options)
    if spec.client_certificate is not None:
        field, name = "spec.tls.clientCertificate", spec.client_certificate.name
        certificate, key = (
            material.file(_secret(secrets, field, name, part)) for part in (CERTIFICATE, KEY)
        )
        options = replace(options, certificate=certificate, key=key)
        _check(field, "holds no PEM certificate with its unencrypted key", options)
    return options


def _check(field: str, complaint: str, options: TlsOptions) -> None:
    try:
        options.context()
    except OSError:
        raise SpecProblem(field, "InvalidCertificate", f"the Secret {complaint}") from None


def _login(spec: EventBrokerSpec, secrets: Secrets) -> Login:
    given = spec.credentials
    if given is None:
        return Login()
    if given.oauth2 is not None:
        field, ref = "spec.credentials.oauth2", given.oauth2
        token = _text(_secret(secrets, field, ref.name, ref.key), field, ref.name, ref.key)
        return Login(oauth2_token=token.strip())
    if given.basic is None:
        return Login()
    field, name = "spec.credentials.basic", given.basic.name
    username = _text(_secret(secrets, field, name, USERNAME), field, name, USERNAME)
    # Brokers that take a token as user name expect no password.
    password = _secret(secrets, field, name, PASSWORD, empty=True)
    return Login(username, _text(password, field, name, PASSWORD))


def _secret(secrets: Secrets, field: str, name: str, key: str, *, empty: bool = False) -> bytes:
    data = secrets.get(name)
    if data is None:
        raise SpecProblem(field, "SecretNotFound", f"Secret {name} does not exist")
    if key not in data:
        there = ", ".join(sorted(data)) or "none"
        message = f"Secret {name} has no key {key}; its keys are: {there}"
        raise SpecProblem(field, "SecretKeyMissing", message)
    if not data[key] and not empty:
        raise SpecProblem(field, "InvalidSecret", f"key {key} of Secret {name} is empty")
    return data[key]


def _text(value: bytes, field: str, name: str, key: str) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise SpecProblem(
            field, "InvalidSecret", f"key {key} of Secret {name} is not UTF-8 text"
        ) from None
