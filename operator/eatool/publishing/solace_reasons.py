"""What the Solace client library's errors mean: for one message, or for the session.

The library puts what it knows (a sub-code's name, the broker's words) into a dictionary, a string
with a dictionary in it, or attributes, depending on the error; the text form has it in all cases.
"""

from __future__ import annotations

import re
from typing import Final

from eatool.publishing.port import (
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
        at_fault = f"the broker refused {_credentials(options)}"
    elif name == "ServiceUnreachableError" or code == "UNRESOLVED_HOST":
        at_fault, words = "the host name cannot be resolved", ""
    elif "Failed to load trust store" in text:
        at_fault, words = "the CA certificates cannot be loaded", ""
    else:
        at_fault = _AT_FAULT.get(code or "", "no session").format(vpn=options.vpn)
    return SessionLost(f"{options.address}: {at_fault}{f': {words}' if words else ''}")


def broken_session(
    error: BaseException | None, message: str, options: SolaceOptions
) -> SessionLost:
    """Why a session that was there has ended."""
    words = _words(str(error)) if error else _shortened(message)
    said = f": {words}" if words not in _SAYS_NOTHING else ""
    return SessionLost(f"{options.address}: session lost{said}")


_AT_FAULT: Final = {
    "MSG_VPN_NOT_ALLOWED": "the broker refused message VPN {vpn!r}",
    "MSG_VPN_UNAVAILABLE": "message VPN {vpn!r} is not available",
    "CLIENT_USERNAME_IS_SHUTDOWN": "the broker has shut down this user",
    "CLIENT_ACL_DENIED": "the broker's ACL profile does not let this client in",
    "CLIENT_NAME_ALREADY_IN_USE": "another client has this client name",
    "CLIENT_NAME_INVALID": "the broker refused the client name",
    "BASIC_AUTHENTICATION_IS_SHUTDOWN": "message VPN {vpn!r} takes no user names and passwords",
    "CLIENT_CERTIFICATE_AUTHENTICATION_IS_SHUTDOWN": (
        "message VPN {vpn!r} takes no client certificates"
    ),
    "UNTRUSTED_CLIENT_CERTIFICATE": "the broker does not trust the client certificate",
    "CLIENT_CERTIFICATE_DATE_INVALID": "the client certificate has expired or is not valid yet",
    "UNTRUSTED_CERTIFICATE": "the broker's certificate is not trusted",
    "UNTRUSTED_COMMONNAME": "the broker's certificate has another name",
    "CERTIFICATE_DATE_INVALID": "the broker's certificate has expired or is not valid yet",
    "COMMUNICATION_ERROR": "no connection",
    "TIMEOUT": "the broker did not answer in time",
    "REPLICATION_IS_STANDBY": "the broker is the standby of a replicated pair",
    "SERVICE_UNAVAILABLE": "the broker offers no guaranteed messaging now",
}


def _credentials(options: SolaceOptions) -> str:
    if options.oauth2_token is not None:
        return "the OAuth 2.0 access token (expired, or not for this broker)"
    if options.username is not None:
        return "user name or password"
    if options.tls is not None and options.tls.certificate is not None:
        return "the client certificate"
    return "a client without credentials"


def _sub_code(text: str) -> str | None:
    found = _SUB_CODE.search(text)
    return None if found is None else found[1]


def _words(text: str) -> str:
    found = _WORDS.search(text)
    return _shortened(text if found is None else found[1] or found[2] or "")


def _shortened(text: str) -> str:
    words = " ".join(_DESCRIPTOR.sub("", _OWN_NAMES.sub("", text)).split())
    return words if len(words) <= _LONGEST else f"{words[:_LONGEST]}..."
