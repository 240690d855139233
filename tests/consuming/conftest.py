from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples" / "subscribers"


@pytest.fixture(scope="session")
def mirror() -> Iterator[ModuleType]:
    """The module that the example subscribers share, imported as they do."""
    sys.path.insert(0, str(EXAMPLES))
    yield import_module("mirror")
    sys.path.remove(str(EXAMPLES))
