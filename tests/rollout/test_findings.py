"""What parity has found is counted without reading all that it ever found."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, event, insert
from tests.rollout.phased import KIND, make_old_registry

from eatool.rollout.comparison import Verdict
from eatool.rollout.findings import Findings
from eatool.rollout.parity_tables import parity_finding
from eatool.store.sql.engine import open_engine
from eatool.store.sql.migrate import upgrade

NOW = datetime(2027, 2, 1, 12, tzinfo=UTC)


def row(number: int, **facts: Any) -> dict[str, Any]:
    return {
        "aggregate_type": KIND.aggregate_type,
        "id": f"org-{number:05}",
        "verdict": Verdict.MISMATCH.value,
        "fields": "[]",
        "rule": None,
        "epoch": 1,
        "legacy_version": 1,
        "position": 1,
        "first_seen": NOW,
        "last_seen": NOW,
        "confirmed_at": None,
        "resolved_at": None,
        **facts,
    }


@pytest.mark.parametrize("since", [None, NOW - timedelta(minutes=5)])
def test_figures_read_indexes_only(url: str, since: datetime | None) -> None:
    make_old_registry(url)
    engine = open_engine(url)
    upgrade(engine)
    past = NOW - timedelta(days=30)
    rows = [row(number, confirmed_at=past, resolved_at=past) for number in range(3_000)]
    rows += [
        row(4_000, confirmed_at=NOW),
        row(4_001, confirmed_at=NOW, resolved_at=NOW),
        row(4_002, verdict=Verdict.IGNORED.value),
        row(4_003, verdict=Verdict.ERROR.value),
    ]
    with engine.begin() as connection:
        connection.execute(insert(parity_finding), rows)
    asked: list[tuple[str, Any]] = []

    @event.listens_for(engine, "before_cursor_execute")
    def keep(
        _connection: Connection, _cursor: Any, statement: str, parameters: Any, *_: Any
    ) -> None:
        if "parity_finding" in statement:
            asked.append((statement, parameters))

    figures = Findings(engine).of(KIND.aggregate_type, epoch=1, since=since)
    event.remove(engine, "before_cursor_execute", keep)
    assert (figures.mismatches, figures.ignored, figures.errors) == (1, 1, 1)
    assert figures.confirmed == (3_002 if since is None else 2)
    with engine.connect() as connection:
        explain = "EXPLAIN"
        if engine.dialect.name == "sqlite":
            explain = "EXPLAIN QUERY PLAN"
        else:  # of a table that fits in few pages it would read all, whatever there is
            connection.exec_driver_sql("SET enable_seqscan = off")
        plans = [
            " ".join(map(str, connection.exec_driver_sql(f"{explain} {statement}", parameters)))
            for statement, parameters in asked
        ]
    engine.dispose()
    assert len(plans) == 2
    for plan, index in zip(plans, ("parity_finding_open", "parity_finding_confirmed"), strict=True):
        assert index in plan, plan
