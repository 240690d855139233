"""The read tables follow the declarations; the migration follows the read tables."""

from __future__ import annotations

from typing import Literal

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, MetaData
from tests.projections.databases import opened, sqlite

from eatool.domain.events import StateChanged
from eatool.domain.kind import EntityKind, EntitySpec
from eatool.domain.kinds import KINDS, by_kind
from eatool.projections.tables import READ_TABLES, read_table
from eatool.store.sql.schema import metadata


def test_there_is_one_table_a_kind_named_after_its_path() -> None:
    assert {each.table.name for each in READ_TABLES.values()} == {
        "read_organizations",
        "read_business_capabilities",
        "read_applications",
        "read_application_services",
        "read_application_interfaces",
        "read_integrations",
        "read_data_entities",
        "read_servers",
        "read_relations",
    }


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.kind)
def test_every_spec_field_has_a_column(kind: EntityKind) -> None:
    read = READ_TABLES[kind.aggregate_type]
    assert {column.field for column in read.columns} == set(kind.spec.model_fields)
    assert len({column.name for column in read.columns}) == len(read.columns)


def test_fixed_columns_mean_the_same_in_every_table() -> None:
    interface = READ_TABLES["application_interface"]
    names = {column.field: column.name for column in interface.columns}
    assert names["version"] == "spec_version"
    assert str(interface.table.c.version.type) == "BIGINT"
    assert str(interface.table.c.spec_version.type) == "TEXT"


def test_columns_are_typed() -> None:
    applications, relations = READ_TABLES["application"].table, READ_TABLES["relation"].table
    assert str(applications.c.lifecycle.type) == "TEXT"
    assert str(applications.c.sunset_date.type) == "DATE"
    assert str(applications.c.tags.type) == "JSON"
    assert str(relations.c.confidence.type) == "DOUBLE"
    assert str(relations.c.bidirectional.type) == "BOOLEAN"
    assert relations.c.effective_from.type.__class__.__name__ == "UtcDateTime"


def differences(engine: Engine) -> list[object]:
    names = {each.table.name for each in READ_TABLES.values()}
    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection,
            opts={
                "compare_type": True,
                "include_name": lambda name, type_, _parents: type_ != "table" or name in names,
                "include_object": lambda table, name, type_, *_: type_ != "table" or name in names,
            },
        )
        return list(compare_metadata(context, metadata))


def test_the_migration_makes_these_tables_on_sqlite() -> None:
    with sqlite() as store:
        assert differences(store.engine) == []


def test_the_migration_makes_these_tables_on_postgresql(postgres_url: str) -> None:
    with opened(postgres_url) as store:
        assert differences(store.engine) == []


def test_a_field_type_without_a_column_type_is_refused_at_once() -> None:
    class OddSpec(EntitySpec):
        odd: complex

    class LevelSpec(EntitySpec):
        level: Literal["low", "high"] = "low"

    events = tuple(each for each in by_kind("Server").events if not issubclass(each, StateChanged))

    def declare(spec: type[EntitySpec]) -> EntityKind:
        return EntityKind(
            kind="Odd",
            plural="odds",
            aggregate_type="odd",
            path="odds",
            short_names=(),
            description="",
            archimate_element=None,
            layer="",
            spec=spec,
            events=events,
            columns=(),
        )

    with pytest.raises(TypeError, match="complex"):
        read_table(declare(OddSpec), MetaData())
    level = read_table(declare(LevelSpec), MetaData())
    assert str(level.table.c.level.type) == "TEXT"
    assert level.spec_values({}) == {"level": "low"}
