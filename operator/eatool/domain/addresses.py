"""Network addresses: DNS domains, hostnames, e-mail, URLs and endpoints.

Nothing here repeats a refused value: an endpoint may carry a password, a contact is personal data.
"""

from __future__ import annotations

import re
from ipaddress import AddressValueError, IPv4Address
from typing import Annotated
from urllib.parse import urlsplit

from eatool.domain.errors import Code
from eatool.domain.text import SetOf, Text, refuse

_MAX_NAME, _MIN_TLD = 253, 2
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_HOST_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9])?"
_DOMAIN = rf"(?:{_LABEL}\.)+{_LABEL}"
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_{}|~`-]+"

_DOMAIN_LEGAL = (
    "a DNS name of at least two labels such as shop.example; labels have 1-63 letters, digits or "
    "inner hyphens, the last one at least two characters and not only digits"
)
_HOST_LEGAL = (
    "a host name such as db_01.dc1.example; labels have 1-63 letters, digits, inner hyphens or "
    "inner underscores; no IP addresses"
)
_EMAIL_LEGAL = "a bare e-mail address such as team@shop.example"
_URL_LEGAL = "an absolute http or https URL with a host"
_ENDPOINT_LEGAL = (
    "scheme://address, or host[:port] (several separated by commas) with optional path"
)


def _dns_name(text: str, legal: str) -> str:
    name = text.rstrip(".").lower()
    if len(name) > _MAX_NAME:
        raise refuse(Code.RANGE, f"must be at most {_MAX_NAME} characters")
    return _check_tld(name, legal)


def _check_tld(name: str, legal: str) -> str:
    tld = name.rpartition(".")[2]
    if len(tld) < _MIN_TLD or tld.isdigit():
        raise refuse(Code.FORMAT, f"must be {legal}")
    return name


def _hostname(text: str) -> str:
    name = text.rstrip(".").lower()
    if len(name) > _MAX_NAME:
        raise refuse(Code.RANGE, f"must be at most {_MAX_NAME} characters")
    try:
        IPv4Address(name)
    except AddressValueError:
        return name
    raise refuse(Code.FORMAT, f"must be {_HOST_LEGAL}")


_MAX_LOCAL = 64


def _email(text: str) -> str:
    local, _, domain = text.rpartition("@")
    if len(local) > _MAX_LOCAL:
        raise refuse(Code.RANGE, f"must have at most {_MAX_LOCAL} characters before the @")
    return f"{local}@{_check_tld(domain.lower(), _EMAIL_LEGAL)}"


#: ``user:password@`` in the authority, or after a colon that does not start a port (a password
#: may contain slashes), or as a query parameter.
_CREDENTIALS = re.compile(
    r"://[^/?#]*:[^/?#]*@"
    r"|://[^/?#@]*:(?![0-9]{1,5}(?:[/?#,]|$))[^@]*@"
    r"|(?i:[?&;](?:password|passwd|pwd)=)"
)


def _without_credentials(text: str) -> str:
    if _CREDENTIALS.search(text):
        raise refuse(Code.FORMAT, "must not embed a user name and password; keep them in a Secret")
    return text


def _http_url(text: str) -> str:
    try:
        parts = urlsplit(text)
        legal = bool(parts.hostname) and parts.port != 0
    except ValueError:
        legal = False
    if not legal:
        raise refuse(Code.FORMAT, f"must be {_URL_LEGAL}")
    return _without_credentials(text)


DnsDomain = Annotated[
    str,
    Text(
        255,
        pattern=rf"{_DOMAIN}\.*",
        legal=_DOMAIN_LEGAL,
        canonical=lambda text: _dns_name(text, _DOMAIN_LEGAL),
    ),
]
Domains = Annotated[tuple[DnsDomain, ...], SetOf(200)]

Hostname = Annotated[
    str,
    Text(
        255,
        pattern=rf"{_HOST_LABEL}(?:\.{_HOST_LABEL})*\.*",
        legal=_HOST_LEGAL,
        canonical=_hostname,
    ),
]

Email = Annotated[
    str,
    Text(254, pattern=rf"{_ATOM}(?:\.{_ATOM})*@{_DOMAIN}", legal=_EMAIL_LEGAL, canonical=_email),
]
Contacts = Annotated[tuple[Email, ...], SetOf(200)]

HttpUrl = Annotated[
    str,
    Text(
        2048, pattern=r"[hH][tT][tT][pP][sS]?://[^\s/?#]\S*", legal=_URL_LEGAL, canonical=_http_url
    ),
]

_HOST = r"(?:[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?"
Endpoint = Annotated[
    str,
    Text(
        2048,
        pattern=rf"[A-Za-z][A-Za-z0-9+.:-]*://\S+|{_HOST}(?:,{_HOST})*(?:/\S*)?",
        legal=_ENDPOINT_LEGAL,
        canonical=_without_credentials,
    ),
]
