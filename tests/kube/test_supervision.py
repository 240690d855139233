"""What runs beside the recording of changes may fail without ending it, or going unnoticed."""

from __future__ import annotations

import asyncio

import pytest
from structlog.testing import capture_logs

from eatool.kube import supervision
from eatool.kube.supervision import beside


class Part:
    """Fails at first, ends by itself at the second run, stays at the third."""

    def __init__(self) -> None:
        self.runs = 0
        self.stays = asyncio.Event()
        self.cancelled = False

    async def run(self) -> None:
        self.runs += 1
        if self.runs == 1:
            raise RuntimeError("no")
        if self.runs == 3:
            self.stays.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                self.cancelled = True
                raise


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervision, "_RESTART", 0.001)


@pytest.mark.usefixtures("soon")
async def test_a_part_that_fails_is_told_and_starts_again() -> None:
    part = Part()
    with capture_logs() as lines:
        async with asyncio.timeout(30), beside("samples", part.run):
            await part.stays.wait()
    assert [(line["log_level"], line["part"]) for line in lines] == [("error", "samples")]
    assert part.cancelled, "the end of the block is the end of the part"
    assert part.runs == 3


@pytest.mark.usefixtures("soon")
async def test_a_failing_part_takes_no_other_with_it() -> None:
    failing, cancelled, leaving = Part(), False, False

    async def steady() -> None:
        nonlocal cancelled
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled = True
            assert leaving
            raise

    with capture_logs():
        async with asyncio.timeout(30), beside("steady", steady), beside("fails", failing.run):
            await failing.stays.wait()
            leaving = True
    assert cancelled


async def test_the_end_waits_for_no_restart() -> None:
    failed = asyncio.Event()

    async def fails() -> None:
        failed.set()
        raise RuntimeError("no")

    with capture_logs():
        async with asyncio.timeout(supervision._RESTART / 2):
            async with beside("fails", fails):
                await failed.wait()


@pytest.mark.usefixtures("soon")
async def test_what_is_vital_is_not_held_back_by_what_runs_beside_it() -> None:
    with capture_logs(), pytest.raises(ValueError, match="vital"):
        async with beside("samples", Part().run):
            raise ValueError("vital")
