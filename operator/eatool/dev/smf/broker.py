"""The stand-in of a Solace PubSub+ broker, for the process it is used in.

Three ways to run it::

    with SmfBroker() as broker:          # in a thread of its own, for blocking clients
        ...
    async with SmfBroker() as broker:    # in the running event loop
        ...
    with BrokerProcess(folder) as broker:  # in a process that can be killed: process.py
        ...

A test then gives ``broker.url`` to a client, looks at ``broker.stored()``, and makes things go
wrong with ``broker.faults`` and the methods that follow it.
"""

from __future__ import annotations

import asyncio
import itertools
import ssl
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Final, Self, TypeVar

from eatool.dev.smf.connection import Connection
from eatool.dev.smf.faults import Faults, Limits
from eatool.dev.smf.hosting import LoopThread, running_loop
from eatool.dev.smf.journal import Journal
from eatool.dev.smf.login import Access, LoginAttempt
from eatool.dev.smf.messages import ReceivedMessage, find_collisions
from eatool.dev.smf.queues import Queue
from eatool.dev.smf.replies import VPN_UNAVAILABLE
from eatool.dev.smf.state import BrokerState

T = TypeVar("T")

_HOST: Final = "127.0.0.1"
_SECONDS: Final = 10.0


class SmfBroker:
    """Listens on loopback and keeps everything that clients publish.

    All methods may be called from any thread, unless they are coroutines.
    """

    def __init__(
        self,
        *,
        port: int = 0,
        access: Access | None = None,
        tls: ssl.SSLContext | None = None,
        limits: Limits | None = None,
        faults: Faults | None = None,
        reject_unmatched: bool = False,
        spool: Path | None = None,
        keep: int | None = None,
    ) -> None:
        """``port`` 0 is a free one, chosen once. ``tls`` as of :func:`login.server_context`.

        ``reject_unmatched`` rejects guaranteed messages that no queue attracts, with ``503 No
        Subscription Match``; a broker does that if its client profile says so. By default it
        acknowledges and forgets them; the stand-in keeps them in :meth:`messages` all the same.

        ``spool`` is a folder for what has to survive the process; what is in there is taken
        over. ``keep`` bounds :meth:`messages` to the newest ones.
        """
        self._port = port
        self._tls = tls
        self._journal = Journal(spool)
        self._state = BrokerState(
            access=access or Access(),
            limits=limits or Limits(),
            faults=faults or Faults(),
            reject_unmatched=reject_unmatched,
            keep=keep,
            journal=self._journal,
        )
        self._state.restore()
        self._numbers = itertools.count(1)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._server: asyncio.Server | None = None
        self._thread: LoopThread | None = None

    # Life

    @property
    def port(self) -> int:
        """The port it listens on; stays the same when it is started again."""
        return self._port

    @property
    def url(self) -> str:
        """The host to give to a client, ``tcp://127.0.0.1:55555`` for example."""
        return f"{'tcps' if self._tls else 'tcp'}://{_HOST}:{self._port}"

    def start(self) -> None:
        """Listen, in a thread of its own; OSError if the port is taken."""
        self._thread = LoopThread("smf-broker")
        try:
            self._thread.run(self.open())
        except BaseException:
            self._thread.end()
            raise

    def stop(self) -> None:
        """Cut all connections and end the thread; :meth:`start` goes on with the same state."""
        if self._thread is not None:
            self._thread.run(self.close())
            self._thread.end()
            self._thread = None

    def restart(self) -> None:
        """:meth:`stop` and :meth:`start`."""
        self.stop()
        self.start()

    async def open(self) -> None:
        """Listen, in the running event loop."""
        self._journal.open()
        self._loop = asyncio.get_running_loop()
        self._server = await self._loop.create_server(
            lambda: Connection(self._state, next(self._numbers)), _HOST, self._port, ssl=self._tls
        )
        self._port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Undo :meth:`open`."""
        if self._server is not None:
            self._server.close()
            ended = [connection.ended for connection in self._state.connections.values()]
            self._cut()
            await asyncio.gather(*ended)
            await self._server.wait_closed()
        self._server = self._loop = None
        self._journal.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    # What came

    def messages(self) -> list[ReceivedMessage]:
        """Every sending of every message in the order of arrival, repetitions included."""
        return list(self._state.log)

    def stored(self) -> list[ReceivedMessage]:
        """The guaranteed messages the broker has: each once, in the order of arrival."""
        return [message for message in self.messages() if message.stored]

    def collisions(self) -> list[tuple[ReceivedMessage, ReceivedMessage]]:
        """Two different messages under one number: the stored one, and the one taken for it.

        The second is acknowledged, yet the broker never stored it: lost, and confirmed.
        """
        return find_collisions(self.messages())

    @property
    def logins(self) -> list[LoginAttempt]:
        """Every attempt to log in."""
        return list(self._state.logins)

    @property
    def clients(self) -> list[str]:
        """Names of the clients that are logged in."""
        return [client.client_name for client in list(self._state.clients.values())]

    @property
    def received_count(self) -> int:
        """Sendings that have arrived, repetitions included."""
        return self._state.received

    @property
    def stored_count(self) -> int:
        """Messages in :meth:`stored`, also if ``keep`` has dropped them from there."""
        return self._state.stored

    @property
    def ack_count(self) -> int:
        """Acknowledgement frames sent; one may acknowledge many messages."""
        return self._state.acks

    @property
    def direct_count(self) -> int:
        """Direct messages sent to the clients that are logged in."""
        return sum(client.direct_count for client in list(self._state.clients.values()))

    @property
    def keep_alive_count(self) -> int:
        """Keep-alives of the clients that are logged in."""
        return sum(client.keep_alives for client in list(self._state.clients.values()))

    @property
    def protocol_errors(self) -> list[str]:
        """What the stand-in could not understand; then it cut the connection."""
        return list(self._state.protocol_errors)

    def wait_for(self, condition: Callable[[], bool], timeout: float = 10.0) -> bool:
        """Wait until it holds, at most ``timeout`` seconds; looked at whenever something happens.

        It blocks: in the broker's own event loop use ``asyncio.to_thread``.
        """
        return self._state.wait_for(condition, timeout)

    def wait_for_stored(self, count: int, timeout: float = 10.0) -> bool:
        """Wait until ``count`` messages are stored."""
        return self.wait_for(lambda: self._state.stored >= count, timeout)

    def wait_for_received(self, count: int, timeout: float = 10.0) -> bool:
        """Wait until ``count`` sendings have arrived, repetitions included."""
        return self.wait_for(lambda: self._state.received >= count, timeout)

    # Queues

    @property
    def queues(self) -> dict[str, Queue]:
        """The queues by name; to look at."""
        return dict(self._state.queues)

    def add_queue(self, name: str, *subscriptions: str, max_messages: int | None = None) -> Queue:
        """Make a durable, exclusive queue; beyond ``max_messages`` it rejects."""
        return self._call(lambda: self._state.add_queue(name, subscriptions, max_messages))

    # What goes wrong

    @property
    def faults(self) -> Faults:
        """Change its fields, or put another one in its place."""
        return self._state.faults

    @faults.setter
    def faults(self, faults: Faults) -> None:
        self._state.faults = faults

    @property
    def limits(self) -> Limits:
        """Change its fields, or put another one in its place."""
        return self._state.limits

    @limits.setter
    def limits(self, limits: Limits) -> None:
        self._state.limits = limits

    def cut_connections(self) -> None:
        """Reset every connection."""
        self._call(self._cut)

    def silence(self) -> None:
        """Take connections and bytes, but handle and send nothing: a broker that hangs."""
        self.faults.silent = True

    def resume(self) -> None:
        """Go on where :meth:`silence` began."""
        self._call(self._state.resume)

    def close_publisher_flows(self) -> None:
        """Tell every client that its publisher flow is closed, and forget the flow."""
        self._call(self._state.close_flows)

    def forget_flows(self) -> None:
        """Have all publisher flows expire, as three minutes after their clients have gone.

        Reopening one is then answered with ``400 Unknown Flow Name``.
        """
        self._call(self._state.forget_flows)

    def shut_down_vpn(self) -> None:
        """Cut every connection and refuse logins with ``503 Message VPN Unavailable``."""
        self.faults.refuse_login = VPN_UNAVAILABLE
        self.cut_connections()

    def open_vpn(self) -> None:
        """End :meth:`shut_down_vpn`."""
        self.faults.refuse_login = None

    def _cut(self) -> None:
        for connection in list(self._state.connections.values()):
            connection.drop()

    def _call(self, function: Callable[[], T]) -> T:
        """What the function returns, called where the state belongs to: in the event loop."""
        if self._loop is None or self._loop is running_loop():
            return function()

        async def called() -> T:
            return function()

        return asyncio.run_coroutine_threadsafe(called(), self._loop).result(_SECONDS)
