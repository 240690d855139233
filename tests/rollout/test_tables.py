from __future__ import annotations

from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from tests.rollout.conftest import Open

from eatool.rollout.parity_tables import parity_finding, parity_sweep
from eatool.rollout.tables import rollout, rollout_history, rollout_replica, rollout_sample

OURS = {
    each.name
    for each in (
        rollout,
        rollout_history,
        rollout_replica,
        rollout_sample,
        parity_finding,
        parity_sweep,
    )
}


def test_the_migration_makes_what_the_metadata_says(open_store: Open) -> None:
    def ours(_object: object, name: str | None, kind: str, *_: object) -> bool:
        return kind != "table" or name in OURS

    with open_store().connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"include_object": ours, "compare_type": True}
        )
        assert compare_metadata(context, rollout.metadata) == []
