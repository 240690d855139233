"""How large the database has become, without reading it."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Engine, text

from eatool.store.sql.database import Database
from eatool.store.sql.schema import metadata

_TABLES = text(
    "SELECT coalesce(sum(pg_total_relation_size(to_regclass(name))), 0)::bigint"
    " FROM unnest(CAST(:names AS text[])) AS name"
)


def size_bytes(engine: Engine) -> int:
    """Bytes of all our tables and indexes; on SQLite of the file and its write-ahead log.

    Blocks; raises ``StoreError``. SQLite could tell tables apart only by reading every page.
    """
    if engine.dialect.name == "sqlite":
        file = Path(str(engine.url.database))
        parts = (file, file.with_name(f"{file.name}-wal"))
        return sum(part.stat().st_size for part in parts if part.exists())
    found: int = Database(engine).query(
        lambda connection: connection.scalars(_TABLES, {"names": list(metadata.tables)}).one()
    )
    return found
