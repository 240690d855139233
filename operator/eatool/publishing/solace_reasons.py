"""What the Solace client library's errors mean: for one message, or for the session.

The library puts what it knows (a sub-code's name, the broker's words) into a dictionary, a string
with a dictionary in it, or attributes, depending on the error; the text form has it in all cases.
"""

from __future__ import annotations

import re
from typing import Final

from eatool.publishing.port import (
    Fault,
    PermanentPublishError,
    PublishError,
    SessionLost,
    TransientPublishError,
)
from eatool.publishing.solace_options import SolaceOptions

_SUB_CODE: Final = re.compile(r"SOLCLIENT_SUBCODE_(\w+)")
_WORDS: Final = re.compile(r"'error_info_contents': (?:'([^']*)'|\"([^\"]*)\")")
#: The library names its own objects in some texts: no use to anybody else.
_OWN_NAMES: Final = re.compile(r"Session '[^']*':? ?|(?:,| in)? ?\w* ?for session '.*")
#: Another number at every try: a text with it would be news each time.
_DESCRIPTOR: Final = re.compile(r"(?:,| for| on)? fd \d+|(?<=socket) \d+")
#: A handshake that fails has no sub-code of its own: the library's text is all there is. What a
#: broker answers is not searched, for it may quote names.
_NO_ANSWER: Final = frozenset({None, "COMMUNICATION_ERROR"})
_TLS_WORDS: Final = re.compile(r"\b(?:ssl|tls|handshake)\b", re.IGNORECASE)
_LONGEST: Final = 200
_SAYS_NOTHING: Final = frozenset({"", "OK"})

#: The message itself is refused; sending it again changes nothing.
_PERMANENT: Final = frozenset({
    "PUBLISH_ACL_DENIED",
    "MESSAGE_TOO_LARGE",
    "MAX_TOTAL_MSGSIZE_EXCEEDED",
    "USER_DATA_TOO_LARGE",
    "TOPIC_TOO_LARGE",
    "INVALID_TOPIC_SYNTAX",
    "TOPIC_MISSING",
    "XML_PARSE_ERROR",
    "INVALID_SMF_MESSAGE",
})  # fmt: skip
#: The broker is short of something or not in the state to store messages now.
_TRANSIENT: Final = frozenset({
    "SPOOL_OVER_QUOTA",
    "QUEUE_SHUTDOWN",
    "TE_SHUTDOWN",
    "ENDPOINT_SHUTDOWN",
    "REPLICATION_IS_STANDBY",
    "SYNC_REPLICATION_INELIGIBLE",
    "LOW_PRIORITY_MSG_CONGESTION",
    "MAX_MESSAGE_USAGE_EXCEEDED",
    "INSUFFICIENT_SPACE",
    "OUT_OF_RESOURCES",
    "MSG_VPN_UNAVAILABLE",
    "SERVICE_UNAVAILABLE",
    "ASSURED_MESSAGING_NOT_ESTABLISHED",
    "ASSURED_MESSAGING_STATE_ERROR",
    "PUBLISHER_NOT_ESTABLISHED",
})  # fmt: skip
#: The same from rejections that the library has no sub-code for (DATA_OTHER).
_TRANSIENT_WORDS: Final = re.compile(
    r"Low Priority Msg Congestion|Max Messages? (Usage )?Exceeded|.* Unavailable|.* Shutdown"
)


def rejection(error: BaseException) -> PublishError:
    """The error for a receipt that says "not stored".

    Without a sub-code the broker did not answer at all: the publisher was taken down.
    """
    text = str(error)
    code, words = _sub_code(text), _words(text)
    if code is None:
        return SessionLost(words)
    said = f"broker answered {words} ({code})"
    if code in _PERMANENT:
        return PermanentPublishError(said)
    if code in _TRANSIENT or _TRANSIENT_WORDS.match(words):
        return TransientPublishError(said)
    return PublishError(said)


def refused_session(error: BaseException, options: SolaceOptions) -> SessionLost:
    """Why there is no session, naming the setting that is at fault; never its value if secret."""
    text = str(error)
    code, words = _sub_code(text), _words(text)
    name = type(error).__name__
    if name == "AuthenticationError" or code == "LOGIN_FAILURE":
        fault, credentials = _credentials(options)
        at_fault = f"the broker refused {credentials}"
    elif name == "ServiceUnreachableError" or code == "UNRESOLVED_HOST":
        fault, at_fault, words = Fault.HOST, "the host name cannot be resolved", ""
    elif "Failed to load trust store" in text:
        fault, at_fault, words = Fault.CERTIFICATE, "the CA certificates cannot be loaded", ""
    else:
        fault, at_fault = _blame(text)
        at_fault = at_fault.format(vpn=options.vpn)
        if code in _NO_ANSWER and _TLS_WORDS.search(words):
            fault = Fault.TLS
    return SessionLost(f"{options.address}: {at_fault}{f': {words}' if words else ''}", fault)


def broken_session(
    error: BaseException | None, message: str, options: SolaceOptions
) -> SessionLost:
    """Why a session that was there has ended."""
    text = str(error) if error else ""
    words = _words(text) if error else _shortened(message)
    said = f": {words}" if words not in _SAYS_NOTHING else ""
    return SessionLost(f"{options.address}: session lost{said}", _blame(text)[0])


def _blame(text: str) -> tuple[Fault, str]:
    """What is at fault, and how it is said, by the sub-code."""
    return _AT_FAULT.get(_sub_code(text) or "", (Fault.CONNECTION, "no session"))


_AT_FAULT: Final = {
    "MSG_VPN_NOT_ALLOWED": (Fault.VPN, "the broker refused message VPN {vpn!r}"),
    "MSG_VPN_UNAVAILABLE": (Fault.VPN, "message VPN {vpn!r} is not available"),
    "CLIENT_USERNAME_IS_SHUTDOWN": (Fault.LOGIN, "the broker has shut down this user"),
    "CLIENT_ACL_DENIED": (
        Fault.LOGIN, "the broker's ACL profile does not let this client in"
    ),
    "CLIENT_NAME_ALREADY_IN_USE": (
        Fault.CLIENT_NAME, "another client has this client name"
    ),
    "CLIENT_NAME_INVALID": (Fault.CLIENT_NAME, "the broker refused the client name"),
    "BASIC_AUTHENTICATION_IS_SHUTDOWN": (
        Fault.LOGIN, "message VPN {vpn!r} takes no user names and passwords"
    ),
    "CLIENT_CERTIFICATE_AUTHENTICATION_IS_SHUTDOWN": (
        Fault.CERTIFICATE, "message VPN {vpn!r} takes no client certificates"
    ),
    "UNTRUSTED_CLIENT_CERTIFICATE": (
        Fault.CERTIFICATE, "the broker does not trust the client certificate"
    ),
    "CLIENT_CERTIFICATE_DATE_INVALID": (
        Fault.CERTIFICATE, "the client certificate has expired or is not valid yet"
    ),
    "UNTRUSTED_CERTIFICATE": (Fault.CERTIFICATE, "the broker's certificate is not trusted"),
    "UNTRUSTED_COMMONNAME": (Fault.CERTIFICATE, "the broker's certificate has another name"),
    "CERTIFICATE_DATE_INVALID": (
        Fault.CERTIFICATE, "the broker's certificate has expired or is not valid yet"
    ),
    "COMMUNICATION_ERROR": (Fault.CONNECTION, "no connection"),
    "TIMEOUT": (Fault.CONNECTION, "the broker did not answer in time"),
    "REPLICATION_IS_STANDBY": (
        Fault.CONNECTION, "the broker is the standby of a replicated pair"
    ),
    "SERVICE_UNAVAILABLE": (
        Fault.CONNECTION, "the broker offers no guaranteed messaging now"
    ),
}  # fmt: skip


def _credentials(options: SolaceOptions) -> tuple[Fault, str]:
    """What is at fault when a login fails, and its name; what it is stays secret."""
    if options.oauth2_token is not None:
        return Fault.LOGIN, "the OAuth 2.0 access token (expired, or not for this broker)"
    if options.username is not None:
        return Fault.LOGIN, "user name or password"
    if options.tls is not None and options.tls.certificate is not None:
        return Fault.CERTIFICATE, "the client certificate"
    return Fault.LOGIN, "a client without credentials"


def _sub_code(text: str) -> str | None:
    found = _SUB_CODE.search(text)
    return None if found is None else found[1]


def _words(text: str) -> str:
    found = _WORDS.search(text)
    return _shortened(text if found is None else found[1] or found[2] or "")


def _shortened(text: str) -> str:
    words = " ".join(_DESCRIPTOR.sub("", _OWN_NAMES.sub("", text)).split())
    return words if len(words) <= _LONGEST else f"{words[:_LONGEST]}..."
