"""The documentation says what was seen. Runs last."""

from __future__ import annotations

import os

import pytest
from tests.conformance import table
from tests.conformance.case import Sheet


def test_documented_table_is_what_was_seen(sheet: Sheet) -> None:
    """With ``EATOOL_WRITE_CONFORMANCE=1`` (`make conformance`) it is written instead."""
    if absent := table.missing(sheet):
        if os.environ.get("EATOOL_REQUIRE_MQTT_BROKERS") == "1" and not sheet.seen:
            pytest.fail("no broker was tested")
        pytest.skip(f"NOT RUN: needs every test of every broker; lacks {', '.join(absent)}")
    seen = table.render(sheet)
    if os.environ.get("EATOOL_WRITE_CONFORMANCE") == "1":
        table.write(seen)
    assert table.committed() == seen, "run `make conformance` and look at what has changed"
