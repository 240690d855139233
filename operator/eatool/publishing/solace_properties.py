"""Options in the client library's own terms: service properties, and a folder of trusted CAs."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from solace.messaging.config.solace_constants import authentication_constants
from solace.messaging.config.solace_properties import (
    authentication_properties,
    service_properties,
    transport_layer_properties,
    transport_layer_security_properties,
)

from eatool.publishing.solace_options import SolaceOptions
from eatool.publishing.tls import TlsOptions


def properties(options: SolaceOptions, trusted: Path | None) -> dict[str, Any]:
    """Service properties; ``trusted`` is a folder as of :func:`trust_store`."""
    transport = transport_layer_properties
    found: dict[str, Any] = {
        transport.HOST: options.address,
        transport.CONNECTION_ATTEMPTS_TIMEOUT: int(options.connect_timeout * 1000),
        transport.KEEP_ALIVE_INTERVAL: int(options.keepalive * 1000),
        service_properties.VPN_NAME: options.vpn,
        **_credentials(options),
    }
    if options.tls is not None:
        found |= _tls(options.tls, trusted)
    return found


@contextmanager
def trust_store(tls: TlsOptions | None) -> Iterator[Path | None]:
    """A folder with the trusted CA certificates and nothing else, while the block runs."""
    ca = None if tls is None else tls.ca or _system_store()
    if ca is None or ca.is_dir():
        yield ca
        return
    with TemporaryDirectory(prefix="eatool-ca-") as folder:
        # One file may hold many certificates.
        Path(folder, "ca.pem").symlink_to(ca.absolute())
        yield Path(folder)


def _system_store() -> Path | None:
    paths = ssl.get_default_verify_paths()
    found = paths.cafile or paths.capath
    return None if found is None else Path(found)


def _tls(tls: TlsOptions, trusted: Path | None) -> dict[str, Any]:
    security = transport_layer_security_properties
    found: dict[str, Any] = {
        security.CERT_VALIDATED: True,
        security.CERT_REJECT_EXPIRED: True,
        security.CERT_VALIDATE_SERVERNAME: tls.server_name is None,
        security.MINIMUM_PROTOCOL: "TLSv1.3"
        if tls.minimum_version >= ssl.TLSVersion.TLSv1_3
        else "TLSv1.2",
    }
    if tls.server_name is not None:
        # The library compares it with the common name; alternative names only with the host.
        found[security.TRUSTED_COMMON_NAME_LIST] = tls.server_name
    if trusted is not None:
        found[security.TRUST_STORE_PATH] = str(trusted)
    if tls.certificate is not None:
        found[authentication_properties.SCHEME_SSL_CLIENT_CERT_FILE] = str(tls.certificate)
        found[authentication_properties.SCHEME_SSL_CLIENT_PRIVATE_KEY_FILE] = str(
            tls.key or tls.certificate
        )
    return found


def _credentials(options: SolaceOptions) -> dict[str, Any]:
    names, schemes = authentication_properties, authentication_constants
    if options.oauth2_token is not None:
        return {
            names.SCHEME: schemes.AUTHENTICATION_SCHEME_OAUTH2,
            names.SCHEME_OAUTH2_ACCESS_TOKEN: options.oauth2_token,
        }
    if options.username is None and options.tls is not None and options.tls.certificate is not None:
        return {names.SCHEME: schemes.AUTHENTICATION_SCHEME_CLIENT_CERT}
    return {
        names.SCHEME: schemes.AUTHENTICATION_SCHEME_BASIC,
        names.SCHEME_BASIC_USER_NAME: options.username or "default",
        names.SCHEME_BASIC_PASSWORD: options.password or "",
    }
