from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.conformance.capabilities import COLUMNS, Column
from tests.conformance.case import Case, Sheet
from tests.plugins.mqtt_brokers import PRODUCTS, Brokers, mqtt_brokers

__all__ = ["mqtt_brokers"]


@pytest.fixture(scope="session")
def sheet() -> Sheet:
    """What the whole run saw."""
    return Sheet()


@pytest.fixture(params=COLUMNS, ids=lambda column: f"{column.broker}-{column.version}")
def case(request: pytest.FixtureRequest, mqtt_brokers: Brokers, sheet: Sheet) -> Iterator[Case]:
    """Every broker with every version of MQTT that it speaks."""
    column: Column = request.param
    broker = mqtt_brokers.get(PRODUCTS[column.broker])
    case = Case(broker, column, sheet, mqtt_brokers.certificates)
    yield case
    for peer in case.peers:
        peer.disconnect()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The table is judged when all rows are in."""
    items.sort(key=lambda item: item.path.name == "test_table.py")
