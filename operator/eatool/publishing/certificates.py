"""When the certificates of a declared broker expire."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from cryptography import x509

from eatool.publishing.connecting import CERTIFICATE, Secrets
from eatool.publishing.declared.broker import EventBrokerSpec


class Certificate(StrEnum):
    """What a certificate of a Secret is for."""

    #: Whom the broker's certificate has to be signed by.
    CA = "ca"
    #: What we show to the broker.
    CLIENT = "client"


def expiries(spec: EventBrokerSpec, secrets: Secrets) -> dict[Certificate, datetime]:
    """End of validity, in UTC, of what is declared; of several certificates the first that ends.

    What cannot be read is left out: assembling the broker says so.
    """
    if spec.tls is None:
        return {}
    given: dict[Certificate, bytes | None] = {}
    if (ca := spec.tls.ca) is not None:
        given[Certificate.CA] = secrets.get(ca.name, {}).get(ca.key)
    if (client := spec.tls.client_certificate) is not None:
        given[Certificate.CLIENT] = secrets.get(client.name, {}).get(CERTIFICATE)
    ends = {role: _first_end(pem) for role, pem in given.items() if pem is not None}
    return {role: end for role, end in ends.items() if end is not None}


def _first_end(pem: bytes) -> datetime | None:
    try:
        found = x509.load_pem_x509_certificates(pem)
    except ValueError:
        return None
    return min(certificate.not_valid_after_utc for certificate in found)
