"""What runs beside the recording of changes may fail without ending it, or going unnoticed."""

from __future__ import annotations

import asyncio

import pytest
from structlog.testing import capture_logs

from eatool import runtime


async def test_a_part_that_fails_is_told_and_starts_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "_RESTART", 0.001)
    stopping, again = asyncio.Event(), asyncio.Event()
    runs = 0

    async def part() -> None:
        nonlocal runs
        runs += 1
        if runs == 1:
            raise RuntimeError("no")
        again.set()
        await asyncio.Event().wait()

    with capture_logs() as lines:
        async with (
            asyncio.timeout(5),
            runtime._beside("samples", part, stopping=stopping),
        ):
            await again.wait()
    assert [(line["log_level"], line["part"]) for line in lines] == [("error", "samples")]


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
