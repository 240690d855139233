"""kopf in a thread and an event loop of its own: at its end it cancels what it did not start."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Collection

import kopf


class WatchingStopped(Exception):
    """kopf ended without being asked to, as it does after an unknown ERROR event of a watch."""


async def watch(
    registry: kopf.OperatorRegistry,
    stopping: asyncio.Event,
    *,
    name: str,
    namespaces: Collection[str],
) -> None:
    """Watch until ``stopping``; raises what ended kopf before that.

    ``name`` is that of the thread; no ``namespaces`` means the whole cluster.
    """
    stop, loop = threading.Event(), asyncio.get_running_loop()
    ended: asyncio.Future[None] = loop.create_future()

    def settle(failure: BaseException | None) -> None:
        if failure is None:
            ended.set_result(None)
        else:
            ended.set_exception(failure)

    def target() -> None:
        failure: BaseException | None = None
        try:
            kopf.run(
                registry=registry,
                standalone=True,
                clusterwide=not namespaces,
                namespaces=namespaces,
                stop_flag=stop,
            )
        except BaseException as error:
            failure = error
        loop.call_soon_threadsafe(settle, failure)

    thread = threading.Thread(target=target, name=name, daemon=True)
    thread.start()
    asked = asyncio.create_task(stopping.wait())
    await asyncio.wait((asked, ended), return_when=asyncio.FIRST_COMPLETED)
    asked.cancel()
    stop.set()
    await ended
    await asyncio.to_thread(thread.join)
    if not stopping.is_set():
        raise WatchingStopped
