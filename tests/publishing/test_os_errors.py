"""Texts of conditions: the same at every try, and without numbers of the machine."""

from __future__ import annotations

import errno
import socket
import ssl

import pytest

from eatool.publishing.os_errors import fault_of, in_words
from eatool.publishing.port import Fault
from eatool.publishing.solace_options import SolaceOptions
from eatool.publishing.solace_reasons import broken_session


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"), "connection refused"),
        (OSError(errno.EHOSTUNREACH, "[Errno 113] ('10.0.0.1', 1883)"), "no route to host"),
        (BrokenPipeError(errno.EPIPE, "Broken pipe"), "broken pipe"),
        (
            socket.gaierror(socket.EAI_NONAME, "Name or service not known"),
            "the host name cannot be resolved: name or service not known",
        ),
        (OSError("the broker closed it at once"), "the broker closed it at once"),
        (OSError(), "OSError"),
        (ssl.SSLError(1, "wrong version number"), "SSLError: wrong version number"),
        (ValueError("no host"), "ValueError: no host"),
    ],
)
def test_words_of_the_system(error: Exception, words: str) -> None:
    assert in_words(error) == words


def tls_error(reason: str) -> ssl.SSLError:
    error = ssl.SSLError(1, f"[SSL: {reason}] in other words")
    error.reason = reason
    return error


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (ConnectionRefusedError(errno.ECONNREFUSED, "a certificate"), Fault.CONNECTION),
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), Fault.HOST),
        (tls_error("WRONG_VERSION_NUMBER"), Fault.TLS),
        (tls_error("TLSV13_ALERT_CERTIFICATE_REQUIRED"), Fault.CERTIFICATE),
        (tls_error("TLSV1_ALERT_UNKNOWN_CA"), Fault.CERTIFICATE),
        (ssl.SSLError("a certificate"), Fault.TLS),
    ],
)
def test_what_a_connection_failed_at(error: Exception, fault: Fault) -> None:
    assert fault_of(error) is fault


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (
            "TCP connection failure for fd 27, error = Connection refused (111)",
            "TCP connection failure, error = Connection refused (111)",
        ),
        ("Peer closed socket, fd 27, cannot read", "Peer closed socket, cannot read"),
        (
            "TCP: Could not read from socket 27, error = Connection reset by peer (104)",
            "TCP: Could not read from socket, error = Connection reset by peer (104)",
        ),
    ],
)
def test_descriptors_of_the_solace_library_are_left_out(said: str, words: str) -> None:
    lost = broken_session(None, said, SolaceOptions("b", 55555))
    assert str(lost) == f"tcp://b:55555: session lost: {words}"
