"""HTTP on loopback to look into a stand-in of another process and to make things go wrong in it.

::

    GET  /status                         what the broker sees now, see Status
    GET  /messages?since=0               {"messages": [...]}, each as ReceivedMessage.record()
    GET  /wait?stored=10&timeout=5       {"reached": true}
    GET  /faults, PUT /faults            all fields of Faults
    GET  /limits, PUT /limits            all fields of Limits
    PUT  /queues/{name}                  {"subscriptions": ["a/>"], "max_messages": null}
    POST /cut_connections, /close_publisher_flows, /forget_flows,
         /shut_down_vpn, /open_vpn, /silence, /resume

A name that does not exist is refused, with those that do.

There is no authentication: whoever may connect to loopback may use it.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, Any, Final, TypeVar

from aiohttp import web
from pydantic import Field, TypeAdapter, ValidationError, with_config
from pydantic_core import ErrorDetails

from eatool.dev.smf.broker import SmfBroker
from eatool.dev.smf.faults import Faults, Limits, Nack
from eatool.dev.smf.login import LoginAttempt

ACTIONS: Final = (
    "cut_connections",
    "close_publisher_flows",
    "forget_flows",
    "shut_down_vpn",
    "open_vpn",
    "silence",
    "resume",
)

T = TypeVar("T")
Handler = Callable[[web.Request], Awaitable[web.Response]]


@dataclass(slots=True)
class Status:
    """What a broker sees now; counters begin with the process."""

    url: str
    clients: list[str]
    logins: list[LoginAttempt]
    queues: dict[str, int]
    """Name -> messages on it."""
    received: int
    """Sendings, repetitions included, and what was in the spool folder."""
    stored: int
    ack_count: int
    protocol_errors: list[str]


@with_config(extra="forbid")
@dataclass(slots=True)
class QueueSettings:
    """A queue to make or to change."""

    subscriptions: list[str]
    max_messages: int | None = None


@with_config(extra="forbid")
@dataclass(slots=True)
class Since:
    """Query of ``/messages``."""

    since: Annotated[int, Field(ge=0)] = 0
    """How many of the first to leave out."""


@with_config(extra="forbid")
@dataclass(slots=True)
class Awaited:
    """Query of ``/wait``."""

    stored: int
    timeout: float = 10.0
    """Seconds."""


FAULTS: Final = TypeAdapter(Faults)
LIMITS: Final = TypeAdapter(Limits)
STATUS: Final = TypeAdapter(Status)
QUEUE: Final = TypeAdapter(QueueSettings)
SINCE: Final = TypeAdapter(Since)
AWAITED: Final = TypeAdapter(Awaited)


def status_of(broker: SmfBroker) -> Status:
    """Take stock of a broker."""
    return Status(
        url=broker.url,
        clients=broker.clients,
        logins=broker.logins,
        queues={name: queue.depth for name, queue in broker.queues.items()},
        received=broker.received_count,
        stored=broker.stored_count,
        ack_count=broker.ack_count,
        protocol_errors=broker.protocol_errors,
    )


def application(broker: SmfBroker) -> web.Application:
    """The HTTP application of a broker that runs in the same event loop."""
    routes = [
        web.get("/status", _show(lambda: STATUS.dump_python(status_of(broker), mode="json"))),
        web.get("/messages", _messages(broker)),
        web.get("/wait", _wait(broker)),
        web.get("/faults", _show(lambda: FAULTS.dump_python(broker.faults, mode="json"))),
        web.put("/faults", _put(FAULTS, lambda faults: setattr(broker, "faults", faults))),
        web.get("/limits", _show(lambda: dataclasses.asdict(broker.limits))),
        web.put("/limits", _put(LIMITS, lambda limits: setattr(broker, "limits", limits))),
        web.put("/queues/{name}", _put_queue(broker)),
        *(web.post(f"/{name}", _act(getattr(broker, name))) for name in ACTIONS),
    ]
    app = web.Application()
    app.add_routes([*routes, web.route("*", "/{path:.*}", _unknown(routes))])
    return app


async def serve(broker: SmfBroker, port: int) -> tuple[web.AppRunner, str]:
    """Serve it; the runner to clean up, and the address."""
    runner = web.AppRunner(application(broker), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    return runner, f"http://127.0.0.1:{runner.addresses[0][1]}"


def _show(value: Callable[[], Any]) -> Handler:
    async def handle(_: web.Request) -> web.Response:
        return web.json_response(value())

    return handle


def _put(adapter: TypeAdapter[T], apply: Callable[[T], None]) -> Handler:
    async def handle(request: web.Request) -> web.Response:
        apply(await _body(request, adapter))
        return web.Response(status=HTTPStatus.NO_CONTENT)

    return handle


def _put_queue(broker: SmfBroker) -> Handler:
    async def handle(request: web.Request) -> web.Response:
        settings = await _body(request, QUEUE)
        name = request.match_info["name"]
        broker.add_queue(name, *settings.subscriptions, max_messages=settings.max_messages)
        return web.Response(status=HTTPStatus.NO_CONTENT)

    return handle


def _act(action: Callable[[], None]) -> Handler:
    async def handle(_: web.Request) -> web.Response:
        action()
        return web.Response(status=HTTPStatus.NO_CONTENT)

    return handle


def _unknown(routes: Sequence[web.RouteDef]) -> Handler:
    legal = ", ".join(f"{route.method} {route.path}" for route in routes)

    async def handle(request: web.Request) -> web.Response:
        text = f"{request.method} {request.path}: there is no such request; legal: {legal}\n"
        return web.Response(status=HTTPStatus.NOT_FOUND, text=text)

    return handle


def _messages(broker: SmfBroker) -> Handler:
    async def handle(request: web.Request) -> web.Response:
        since = _query(request, SINCE).since
        return web.json_response({"messages": [m.record() for m in broker.messages()[since:]]})

    return handle


def _wait(broker: SmfBroker) -> Handler:
    async def handle(request: web.Request) -> web.Response:
        awaited = _query(request, AWAITED)
        reached = await asyncio.to_thread(broker.wait_for_stored, awaited.stored, awaited.timeout)
        return web.json_response({"reached": reached})

    return handle


async def _body(request: web.Request, adapter: TypeAdapter[T]) -> T:
    body = await request.read()
    return _checked(adapter, lambda: adapter.validate_json(body))


def _query(request: web.Request, adapter: TypeAdapter[T]) -> T:
    return _checked(adapter, lambda: adapter.validate_python(dict(request.query)))


def _checked(adapter: TypeAdapter[T], validate: Callable[[], T]) -> T:
    try:
        return validate()
    except ValidationError as error:
        lines = (_complaint(adapter, complaint) for complaint in error.errors())
        raise web.HTTPBadRequest(text="".join(f"{line}\n" for line in lines)) from error


def _complaint(adapter: TypeAdapter[T], complaint: ErrorDetails) -> str:
    """What is wrong with one field, named as in JSON; with the names there are if it has none."""
    path = complaint["loc"]
    where = ".".join(map(str, path)) or "body"
    if complaint["type"] != "unexpected_keyword_argument":
        return f"{where}: {complaint['msg']}"
    schema = adapter.json_schema()
    owner = schema if len(path) == 1 else schema["$defs"][Nack.__name__]
    return f"{where}: there is no such field; legal: {', '.join(owner['properties'])}"
