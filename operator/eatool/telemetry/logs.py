"""One JSON object per line for every logger of the process: ours, kopf's, uvicorn's.

Keys: ``timestamp`` (UTC, ``Z``), ``level``, ``message``, ``logger``, and where known ``object``
(``{kind, namespace, name, uid}``), ``correlation_id``, ``error``, then whatever a caller added::

    log = structlog.get_logger(__name__)
    with bound(correlation_id=correlation, object=reference(body)):
        log.info("Recorded", version=3, events=["ApplicationCreated.v1"])

A spec value is never logged, by anyone; see ``redaction.py`` for what libraries would say.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Literal, TextIO

import orjson
import structlog
from structlog.contextvars import bound_contextvars
from structlog.typing import EventDict, ExcInfo, Processor, WrappedLogger

from eatool.telemetry.redaction import error_fields, kopf_message, without_passwords

Level = Literal["debug", "info", "warning", "error"]
Format = Literal["json", "console"]

#: In this order at the start of a line.
_FIRST = ("timestamp", "level", "message", "logger", "object", "correlation_id", "error")
_REFERENCE = ("kind", "namespace", "name", "uid")

#: kopf says "Handler ... succeeded" for every delivered event; our reconciles say what came of it.
_SIGHTINGS = "kopf.objects"

#: One line for each request, statement or packet; our own records say what matters of it.
_CHATTY = (
    "aiohttp.access",
    "alembic",  # two lines each time that readiness looks at the schema
    "asyncio",
    "kubernetes",
    "sqlalchemy",
    "urllib3",
    "uvicorn.access",
)


def configure(level: Level = "info", fmt: Format = "json", *, stream: TextIO | None = None) -> None:
    """Send all records of the process to ``stream`` (default: standard error).

    Replaces every handler of the root logger, so call it after ``kopf.configure`` if that is
    called at all. Calling it again is fine.
    """
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.ExceptionRenderer(_error),
        _error_key,
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.PositionalArgumentsFormatter(),
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[
                *shared,
                structlog.stdlib.ExtraAdder(allow=("correlation_id",)),
                _object_of_kopf,
                _without_data_of_kopf,
            ],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _without_credentials,
                *(_json_chain() if fmt == "json" else _console_chain()),
            ],
            keep_exc_info=False,
            keep_stack_info=False,
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name in _CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger(_SIGHTINGS).setLevel("NOTSET" if level == "debug" else "WARNING")
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access", "asyncio"):
        logger = logging.getLogger(name)
        logger.handlers[:], logger.propagate = [], True


def bound(**values: object) -> AbstractContextManager[None]:
    """Add ``values`` to every record of this task, and of tasks it starts, inside the block."""
    return bound_contextvars(**values)


def reference(body: Mapping[str, object]) -> dict[str, object]:
    """The ``object`` field of a Kubernetes object, from its identity only."""
    metadata = body.get("metadata")
    known = {**(metadata if isinstance(metadata, Mapping) else {}), "kind": body.get("kind")}
    return {key: known.get(key) for key in _REFERENCE}


def _error(exc_info: ExcInfo) -> dict[str, object]:
    return error_fields(exc_info[1])


def _error_key(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Name what the exception renderer found like the rest of the world: ``error``."""
    if "exception" in event:
        event["error"] = event.pop("exception")
    return event


def _object_of_kopf(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Kopf's object loggers attach the reference to the record."""
    found = getattr(event["_record"], "k8s_ref", None)
    if isinstance(found, Mapping):
        event["object"] = {key: found.get(key) for key in _REFERENCE}
    return event


def _without_data_of_kopf(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    name = str(event.get("logger", ""))
    if name == "kopf" or name.startswith("kopf."):
        event["event"] = kopf_message(name, str(event["event"]))
    return event


def _without_credentials(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    for key, value in event.items():
        if isinstance(value, str):
            event[key] = without_passwords(value)
    return event


def _json_chain() -> list[Processor]:
    return [structlog.processors.EventRenamer("message"), _ordered, _json]


def _console_chain() -> list[Processor]:
    return [_short_for_people, structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())]


def _ordered(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    first = {key: event[key] for key in _FIRST if key in event}
    return {**first, **{key: value for key, value in event.items() if key not in first}}


def _json(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
    return orjson.dumps(event, default=str, option=orjson.OPT_NON_STR_KEYS).decode()


def _short_for_people(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """One readable line: references as ``kind/namespace/name``, errors as type and place."""
    if isinstance(found := event.get("object"), Mapping):
        event["object"] = "/".join(str(found[key]) for key in _REFERENCE[:3] if found.get(key))
    if isinstance(error := event.get("error"), Mapping):
        frames = error.get("frames") or ["?"]
        detail = f" ({error['message']})" if "message" in error else ""
        event["error"] = f"{error['type']}{detail} at {frames[-1]}"
    return event
