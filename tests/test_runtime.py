"""The watches of one process end together."""

from __future__ import annotations

import asyncio

import pytest

from eatool import runtime


async def test_the_watch_that_fails_ends_the_other_one_gently() -> None:
    stopping = asyncio.Event()
    drained = False

    async def fails() -> None:
        raise RuntimeError("deaf")

    async def drains() -> None:
        nonlocal drained
        await stopping.wait()
        await asyncio.sleep(0)
        drained = True

    async with asyncio.timeout(5):
        with pytest.raises(RuntimeError, match="deaf"):
            await runtime._all(fails(), drains(), stopping=stopping)
    assert drained
