"""What the operating system says of a connection: in words for people, and as a fault."""

from __future__ import annotations

import os
import socket
import ssl
from typing import Final

from eatool.publishing.port import Fault

#: In OpenSSL's names of reasons: an alert of the other side, or our own verdict.
_OF_CERTIFICATES: Final = ("CERTIFICATE", "UNKNOWN_CA")


def in_words(error: Exception) -> str:
    """Without type and number where the system's words say it all: ``connection refused``."""
    if isinstance(error, ssl.SSLError) or not isinstance(error, OSError):
        return f"{type(error).__name__}: {error}"
    if isinstance(error, socket.gaierror):
        return f"the host name cannot be resolved: {_lower(error.strerror or '')}"
    if error.errno is not None:
        return _lower(os.strerror(error.errno))
    return str(error) or type(error).__name__


def fault_of(error: Exception) -> Fault:
    """What a connection failed at."""
    if isinstance(error, ssl.SSLError):
        reason = getattr(error, "reason", None) or ""  # only those of OpenSSL have one
        return Fault.CERTIFICATE if any(map(reason.__contains__, _OF_CERTIFICATES)) else Fault.TLS
    return Fault.HOST if isinstance(error, socket.gaierror) else Fault.CONNECTION


def _lower(words: str) -> str:
    return words[:1].lower() + words[1:]
