"""What blocks, away from the event loop: writes that must not be cut short, and long waits."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, ParamSpec, TypeVar

_P = ParamSpec("_P")
_T = TypeVar("_T")


async def to_the_end(function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
    """Run in a worker thread; a cancelled caller waits until the thread is done.

    A thread cannot be cancelled: let alone, a claim would take leases after its relay has left.
    """
    work = asyncio.ensure_future(asyncio.to_thread(function, *args, **kwargs))
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        await asyncio.wait((work,))
        if not work.cancelled():
            work.exception()  # seen: nobody else will ask
        raise


def in_own_thread(function: Callable[[], _T]) -> asyncio.Future[_T]:
    """Run in a thread that nobody else waits for, unlike those of ``asyncio.to_thread``.

    For what may hang long and cannot be interrupted, such as name lookups. A cancelled future
    leaves the thread alone; so does the end of the process.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[_T] = loop.create_future()

    def run() -> None:
        try:
            result = function()
        except BaseException as error:
            tell(future.set_exception, error)
        else:
            tell(future.set_result, result)

    def tell(settle: Callable[[Any], None], outcome: object) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody is interested any more
            loop.call_soon_threadsafe(settle_once, settle, outcome)

    def settle_once(settle: Callable[[Any], None], outcome: object) -> None:
        if not future.done():
            settle(outcome)

    threading.Thread(target=run, daemon=True).start()
    return future
