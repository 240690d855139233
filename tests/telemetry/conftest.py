"""promtool, which lints metrics and rules."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def promtool() -> Path:
    """From PROMTOOL or PATH."""
    found = os.environ.get("PROMTOOL") or shutil.which("promtool")
    if found is None:
        pytest.skip("NOT RUN: no promtool; run `make packages` or set PROMTOOL")
    return Path(found)
