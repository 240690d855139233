"""What must not reach a log: spec values, credentials, texts of unknown exceptions.

Our own messages never carry them. Libraries do: kopf writes whole objects, patches and diffs at
debug level and exception texts at error level, and an exception text of pydantic or SQLAlchemy
quotes the value it complains about.
"""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterator

#: Replaces what was taken out.
WITHHELD = "[withheld]"

_URL_PASSWORD = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*://)(?P<user>[^\s:/@]*):[^\s/@]+@", re.IGNORECASE
)

# kopf formats eagerly: by the time a record exists, data and text are one string. What follows
# the first ": " is data unless it is one of these.
_KOPF_HARMLESS_TAIL = re.compile(
    r"""
      \d+\ succeeded;\ \d+\ failed\.            # Creation is processed: 1 succeeded; 0 failed.
    | no\ credentials\ were\ retrieved\ from\ the\ login\ handlers\.
      # Request attempt #1/9 failed; will retry: PATCH https://... -> APIForbiddenError(...)
    | (?:GET|POST|PATCH|PUT|DELETE)\ \S+(?:\ ->\ \w+)?
    """,
    re.VERBOSE,
)
# They know no objects. Discovery names resources, needed to see what RBAC or a CRD lacks.
_KOPF_TRUSTED = ("kopf._core.reactor.observation", "kopf._core.reactor.running")
_KOPF_STRUCTURE = re.compile(r"[{\[]|\(\(")


def without_passwords(text: str) -> str:
    """``mqtt://user:secret@host`` -> ``mqtt://user:***@host``, anywhere in the text."""
    return _URL_PASSWORD.sub(r"\g<scheme>\g<user>:***@", text) if "://" in text else text


def kopf_message(logger: str, text: str) -> str:
    """A record of kopf reduced to what is certainly not data of an object."""
    if logger in _KOPF_TRUSTED:
        return text
    head, colon, tail = text.partition(": ")
    if structure := _KOPF_STRUCTURE.search(head):
        return f"{head[: structure.start()]}{WITHHELD}"
    if not colon:
        return head
    harmless = _KOPF_HARMLESS_TAIL.match(tail)
    if harmless is None:
        return f"{head}: {WITHHELD}"
    rest = WITHHELD if harmless.end() < len(tail) else ""
    return f"{head}: {harmless.group()}{' ' if rest else ''}{rest}"


def error_fields(error: BaseException) -> dict[str, object]:
    """``{type, message?, frames, causes?}`` of an exception.

    Only :class:`OSError` keeps its message (host, port, file, errno): it knows no object. The
    frames (``file:line function``, innermost last) tell the rest.
    """
    fields: dict[str, object] = {"type": _type_name(error)}
    if isinstance(error, OSError):
        fields["message"] = without_passwords(str(error))
    fields["frames"] = [
        f"{frame.filename.rpartition('site-packages/')[2]}:{frame.lineno} {frame.name}"
        for frame in traceback.extract_tb(error.__traceback__)
    ]
    if causes := [_type_name(cause) for cause in _causes(error)]:
        fields["causes"] = causes
    return fields


def _type_name(error: BaseException) -> str:
    cls = type(error)
    return cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__name__}"


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen = {id(error)}
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        yield cause
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)
