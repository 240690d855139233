"""TLS of a connection to a broker, whatever the protocol inside."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class TlsOptions:
    """Certificates of the broker are always verified.

    Attributes:
        ca: PEM file of the CAs to trust; ``None`` = the system's trust store.
        certificate, key: PEM files to present to the broker.
        server_name: name expected in the broker's certificate; ``None`` = the host.
        minimum_version: oldest protocol version, 1.2 or newer.

    """

    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    server_name: str | None = None
    minimum_version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_2

    def context(self) -> ssl.SSLContext:
        """For a client; OSError (``ssl.SSLError`` is one) on files that cannot be used."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = self.minimum_version
        if self.ca is None:
            context.load_default_certs()
        else:
            context.load_verify_locations(self.ca)
        if self.certificate is not None:
            context.load_cert_chain(self.certificate, self.key)
        return context
