"""Parts that run beside each other and must not take each other down."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import structlog

_log: structlog.stdlib.BoundLogger = structlog.get_logger("eatool.operator")

#: Pause before a part that failed starts again, seconds.
_RESTART = 5.0


async def keep_running(part: str, run: Callable[[], Awaitable[None]]) -> None:
    """Run again what fails or ends, until cancelled.

    A part that fails must neither stay away unnoticed nor take the others with it.
    """
    while True:
        try:
            await run()
        except Exception:
            _log.exception("a part of the operator failed; it starts again", part=part)
        await asyncio.sleep(_RESTART)


@asynccontextmanager
async def beside(part: str, run: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
    """Keep ``run`` going for the length of the block, beside what is vital."""
    task = asyncio.create_task(keep_running(part, run))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
