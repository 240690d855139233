"""Tests that look for what happens once in hundreds of runs: only when asked for.

With ``EATOOL_STRESS=1``, for ``EATOOL_STRESS_SECONDS`` (300) each.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Final

import pytest

SECONDS: Final = float(os.environ.get("EATOOL_STRESS_SECONDS", "300"))

stress = pytest.mark.skipif(
    os.environ.get("EATOOL_STRESS") != "1",
    reason="NOT RUN: takes minutes; set EATOOL_STRESS=1",
)


@pytest.fixture
def contention() -> Iterator[None]:
    """Work for every core: the moment is short, and a thread has to be interrupted in it."""
    with ExitStack() as stack:
        for _ in range(os.cpu_count() or 1):
            busy = stack.enter_context(subprocess.Popen([sys.executable, "-c", "while True: pass"]))
            stack.callback(busy.kill)
        yield
