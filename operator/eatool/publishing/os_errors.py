"""What the operating system says of a connection, in words for people."""

from __future__ import annotations

import os
import socket
import ssl


def in_words(error: Exception) -> str:
    """Without type and number where the system's words say it all: ``connection refused``."""
    if isinstance(error, ssl.SSLError) or not isinstance(error, OSError):
        return f"{type(error).__name__}: {error}"
    if isinstance(error, socket.gaierror):
        return f"the host name cannot be resolved: {_lower(error.strerror or '')}"
    if error.errno is not None:
        return _lower(os.strerror(error.errno))
    return str(error) or type(error).__name__


def _lower(words: str) -> str:
    return words[:1].lower() + words[1:]
