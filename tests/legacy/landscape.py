"""An old registry with 5,000 rows and the dirt of ten years, the same for the same seed.

Nine mutable tables as its REST application made them: no soft delete, no version, hardly a
constraint, lists as JSON text.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import Connection, Engine, text
from tests.legacy.clean import Clean, Row
from tests.legacy.dirt import soil

#: Rows of each table by default; 5,000 together, the dirty ones included.
SIZES: Mapping[str, int] = {
    "organizations": 200,
    "business_capabilities": 300,
    "applications": 900,
    "application_services": 500,
    "application_interfaces": 800,
    "integrations": 700,
    "data_entities": 400,
    "servers": 600,
    "relations": 600,
}

_STAMPS = "created_at {time}, updated_at {time}"
_TABLES: Mapping[str, str] = {
    "organizations": "name TEXT, parent_id TEXT, domains TEXT, contacts TEXT",
    "business_capabilities": "name TEXT, parent_id TEXT, description TEXT",
    "applications": "name TEXT, description TEXT, owner TEXT, lifecycle TEXT, sunset_date DATE, "
    "capability_id TEXT, data_classification TEXT, criticality TEXT, tags TEXT",
    "application_services": "name TEXT, description TEXT, business_capability_id TEXT, sla TEXT, "
    "exposed_by_app_ids TEXT, consumers TEXT, tags TEXT",
    "application_interfaces": "name TEXT, protocol TEXT, endpoint TEXT, specification_url TEXT, "
    "version TEXT, authentication_method TEXT, exposed_by_app_id TEXT, serves_service_ids TEXT, "
    "rate_limits TEXT, status TEXT, tags TEXT",
    "integrations": "source_app_id TEXT, target_app_id TEXT, protocol TEXT, data_contract TEXT, "
    "sla TEXT, frequency TEXT, tags TEXT",
    "data_entities": "name TEXT, domain TEXT, classification TEXT, retention TEXT, owner TEXT, "
    "steward TEXT, source_system TEXT, criticality TEXT, pii_flag BOOLEAN, glossary_terms TEXT, "
    "lineage TEXT",
    "servers": "hostname TEXT, environment TEXT, region TEXT, platform TEXT, criticality TEXT, "
    "owning_team TEXT, tags TEXT",
    "relations": "source_type TEXT, source_id TEXT, target_type TEXT, target_id TEXT, "
    "relation_type TEXT, archimate_element TEXT, archimate_relationship TEXT, description TEXT, "
    "data_classification TEXT, criticality TEXT, confidence {float}, evidence_source TEXT, "
    "last_verified_at {time}, effective_from {time}, effective_to {time}, label TEXT, "
    "color TEXT, style TEXT, bidirectional BOOLEAN",
}
_TYPES = {
    "sqlite": {"time": "TIMESTAMP", "float": "REAL"},
    "postgresql": {"time": "TIMESTAMPTZ", "float": "DOUBLE PRECISION"},
}


@dataclass(frozen=True)
class Landscape:
    """What was built: all rows by table, and what is wrong with which."""

    rows: Mapping[str, list[Row]]
    #: (table, id) of each row that no import can accept, with a code that it is refused for.
    refused: Mapping[tuple[str, str], str]
    #: (table, id) of rows that are accepted in a form other than the one they are written in.
    canonicalised: frozenset[tuple[str, str]]

    @property
    def total(self) -> int:
        """How many rows."""
        return sum(map(len, self.rows.values()))


def create_tables(connection: Connection) -> None:
    """The nine tables, as the old application's migrations left them."""
    types = _TYPES[connection.dialect.name]
    for name, columns in _TABLES.items():
        declared = f"{columns}, {_STAMPS}".format_map(types)
        connection.execute(text(f"CREATE TABLE {name} (id TEXT PRIMARY KEY, {declared})"))


def insert(connection: Connection, table: str, *rows: Row) -> None:
    """As the old application writes: plain SQL on its own columns."""
    for shape in {tuple(row) for row in rows}:
        names, values = ", ".join(shape), ", ".join(f":{name}" for name in shape)
        connection.execute(
            text(f"INSERT INTO {table} ({names}) VALUES ({values})"),
            [row for row in rows if tuple(row) == shape],
        )


def fill(engine: Engine, *, seed: int = 1, scale: float = 1.0) -> Landscape:
    """Create and fill the tables; ``scale`` 1.0 is 5,000 rows."""
    built = build(seed=seed, scale=scale)
    with engine.begin() as connection:
        create_tables(connection)
        for table, rows in built.rows.items():
            insert(connection, table, *(stored(row, connection.dialect.name) for row in rows))
    return built


def stored(row: Row, dialect: str) -> Row:
    """Values as the driver takes them: SQLite has no times."""
    return {
        name: _text(value) if dialect == "sqlite" and isinstance(value, date) else value
        for name, value in row.items()
    }


def _text(value: date) -> str:
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S")
    return value.isoformat()


def build(*, seed: int = 1, scale: float = 1.0) -> Landscape:
    """The rows alone, from ``seed``."""
    chance = random.Random(seed)
    clean = Clean(chance, {table: max(20, round(size * scale)) for table, size in SIZES.items()})
    refused = soil(clean.rows, chance, times=max(1, round(10 * scale)))
    for rows in clean.rows.values():
        chance.shuffle(rows)
    canonicalised = frozenset(
        (table, row["id"])
        for table, rows in clean.rows.items()
        for row in rows
        if id(row) in clean.untidy and (table, row["id"]) not in refused
    )
    return Landscape(clean.rows, refused, canonicalised)
