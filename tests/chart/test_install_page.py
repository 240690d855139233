"""docs/install.md names things that exist."""

from __future__ import annotations

import json
import re

import pytest
from tests.plugins.chart import CHART

from eatool.kube.contract import FINALIZER
from eatool.settings import Settings

PAGE = (CHART.parents[1] / "docs" / "install.md").read_text()


def test_every_setting_is_listed_and_nothing_else() -> None:
    rows = re.findall(r"^\| `(EATOOL_[A-Z_]+)` \|", PAGE, re.MULTILINE)
    assert rows == [f"EATOOL_{name.upper()}" for name in Settings.model_fields]


def test_no_variable_is_read_that_the_page_does_not_name() -> None:
    root = CHART.parents[1]
    files = [root / "Makefile", *(path for path in (root / "tools").iterdir() if path.is_file())]
    for folder in ("operator", "tests/plugins", ".ci"):
        files += [path for path in (root / folder).rglob("*") if path.suffix in ("", ".py")]
    texts = [path.read_text() for path in files if path.is_file()]
    read = {name for text in texts for name in re.findall(r"EATOOL_[A-Z]+(?:_[A-Z]+)*\b", text)}
    assert "EATOOL_CACHE" in read
    assert {name for name in read if name not in PAGE} == set()


def test_defaults_are_the_real_ones() -> None:
    rows = dict(re.findall(r"^\| `EATOOL_([A-Z_]+)` \| `([^`]+)` \|", PAGE, re.MULTILINE))
    for name, shown in rows.items():
        default = Settings.model_fields[name.lower()].default
        if hasattr(default, "get_secret_value"):
            default = default.get_secret_value()
        assert shown == (str(default).lower() if isinstance(default, bool) else f"{default}"), name


VALUES = sorted(
    {
        name
        for name in re.findall(r"(?:`|--set )([a-zA-Z]+(?:\.[a-zA-Z]+)+)", PAGE)
        if name.split(".")[0]
        in json.loads((CHART / "values.schema.json").read_text())["properties"]
    }
)


@pytest.mark.parametrize("path", VALUES)
def test_values_exist(path: str) -> None:
    node = json.loads((CHART / "values.schema.json").read_text())
    for part in path.split("."):
        assert part in node["properties"], path
        node = node["properties"][part]


def test_the_page_mentions_values_at_all() -> None:
    assert {"crds.enabled", "rbac.aggregate"} <= set(VALUES)


def test_the_finalizer_is_the_real_one() -> None:
    assert FINALIZER in PAGE
