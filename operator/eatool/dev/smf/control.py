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

There is no authentication: whoever may connect to loopback may use it.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final, TypeVar

from aiohttp import web
from pydantic import TypeAdapter, ValidationError

from eatool.dev.smf.broker import SmfBroker
from eatool.dev.smf.faults import Faults, Limits
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


@dataclass(slots=True)
class QueueSettings:
    """A queue to make or to change."""

    subscriptions: list[str]
    max_messages: int | None = None


FAULTS: Final = TypeAdapter(Faults)
LIMITS: Final = TypeAdapter(Limits)
STATUS: Final = TypeAdapter(Status)
QUEUE: Final = TypeAdapter(QueueSettings)


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
    app = web.Application()
    app.add_routes(
        [
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
    )
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


def _messages(broker: SmfBroker) -> Handler:
    async def handle(request: web.Request) -> web.Response:
        since = int(request.query.get("since", "0"))
        return web.json_response({"messages": [m.record() for m in broker.messages()[since:]]})

    return handle


def _wait(broker: SmfBroker) -> Handler:
    async def handle(request: web.Request) -> web.Response:
        count, timeout = int(request.query["stored"]), float(request.query["timeout"])
        reached = await asyncio.to_thread(broker.wait_for_stored, count, timeout)
        return web.json_response({"reached": reached})

    return handle


async def _body(request: web.Request, adapter: TypeAdapter[T]) -> T:
    try:
        return adapter.validate_json(await request.read())
    except ValidationError as error:
        raise web.HTTPBadRequest(text=str(error)) from error
