"""kopf in a thread and an event loop of its own: at its end it cancels what it did not start."""

from __future__ import annotations

import asyncio
import threading

import kopf

from eatool.kube.handlers import handlers
from eatool.kube.operator import Operator


class WatchingStopped(Exception):
    """kopf ended without being asked to, as it does after an unknown ERROR event of a watch."""


async def watch(operator: Operator, stopping: asyncio.Event) -> None:
    """Watch until ``stopping``; raises what ended kopf before that."""
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
                registry=handlers(operator),
                standalone=True,
                clusterwide=operator.clusterwide,
                namespaces=operator.namespaces,
                stop_flag=stop,
            )
        except BaseException as error:
            failure = error
        loop.call_soon_threadsafe(settle, failure)

    thread = threading.Thread(target=target, name="kopf", daemon=True)
    thread.start()
    asked = asyncio.create_task(stopping.wait())
    await asyncio.wait((asked, ended), return_when=asyncio.FIRST_COMPLETED)
    asked.cancel()
    stop.set()
    await ended
    await asyncio.to_thread(thread.join)
    if not stopping.is_set():
        raise WatchingStopped
