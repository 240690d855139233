"""What makes an adopted table tell of its writes, in the words of each database.

A write that changes nothing we know of is no write. No trigger refuses or fails a statement of
the registry's application, and none needs rights that application does not have.

The version of a row goes up with each write of somebody who leaves it alone; who writes it has
done so. A new row draws its version from the numbers of the dirty keys, each write having drawn
one: a row that is deleted and inserted anew never has a version that it had before.
"""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import Connection, func, select

from eatool.legacy.tables import DELETED_AT, JsonText, LegacyTable, legacy_change

#: Every trigger and function of ours is called ``eatool_...``.
_PREFIX = "eatool_legacy"


def names(legacy: LegacyTable, dialect: str) -> frozenset[str]:
    """The triggers of one table."""
    parts = ["insert", "update", "delete"]
    if dialect == "postgresql":
        parts += ["truncate", "version_insert", "version_update"]
    return frozenset(f"{_PREFIX}_{legacy.name}_{part}" for part in parts)


def create(connection: Connection, legacy: LegacyTable) -> None:
    """Create them, or put today's in place of those that are there."""
    dialect = connection.dialect.name
    if dialect == "postgresql":
        statements = _postgresql(connection, legacy)
    else:
        drop(connection, legacy)
        statements = _sqlite(legacy)
    for statement in statements:
        connection.exec_driver_sql(statement)


def drop(connection: Connection, legacy: LegacyTable) -> None:
    """Remove them; none there is fine."""
    on = f" ON {legacy.name}" if connection.dialect.name == "postgresql" else ""
    for name in sorted(names(legacy, connection.dialect.name)):
        connection.exec_driver_sql(f"DROP TRIGGER IF EXISTS {name}{on}")


def existing(connection: Connection, legacy: LegacyTable) -> frozenset[str]:
    """Those of :func:`names` that are there."""
    if connection.dialect.name == "postgresql":
        query = "SELECT tgname FROM pg_trigger WHERE tgrelid = to_regclass(%s)"
    else:
        query = "SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = ?"
    rows = connection.exec_driver_sql(query, (legacy.name,))
    return names(legacy, connection.dialect.name) & frozenset(rows.scalars())


def _watched(legacy: LegacyTable) -> tuple[str, ...]:
    return ("id", *legacy.fields, DELETED_AT)


# -- SQLite --------------------------------------------------------------------------------------

#: Microseconds, as the column type writes them; SQLite itself knows milliseconds.
_NOW = "strftime('%Y-%m-%d %H:%M:%f000', 'now')"

# The column list keeps the inner UPDATE, of the version only, from firing the trigger again.
_SQLITE = (
    """
    CREATE TRIGGER {prefix}_insert AFTER INSERT ON {table} WHEN NEW.id IS NOT NULL
    BEGIN
        INSERT INTO {changes} (aggregate_type, id, changed_at) VALUES ('{kind}', NEW.id, {now});
        UPDATE {table} SET {version} = last_insert_rowid() WHERE id = NEW.id;
    END
    """,
    """
    CREATE TRIGGER {prefix}_update AFTER UPDATE OF {watched} ON {table} WHEN {changed}
    BEGIN
        INSERT INTO {changes} (aggregate_type, id, changed_at)
        SELECT '{kind}', id, {now} FROM (SELECT OLD.id AS id UNION SELECT NEW.id)
        WHERE id IS NOT NULL;
        UPDATE {table} SET {version} = OLD.{version} + 1
        WHERE id = NEW.id AND {version} = OLD.{version};
    END
    """,
    """
    CREATE TRIGGER {prefix}_delete AFTER DELETE ON {table} WHEN OLD.id IS NOT NULL
    BEGIN
        INSERT INTO {changes} (aggregate_type, id, changed_at) VALUES ('{kind}', OLD.id, {now});
    END
    """,
)


def _sqlite(legacy: LegacyTable) -> Iterator[str]:
    watched = _watched(legacy)
    for statement in _SQLITE:
        yield statement.format(
            prefix=f"{_PREFIX}_{legacy.name}",
            table=legacy.name,
            version=legacy.version,
            kind=legacy.kind.aggregate_type,
            changes=legacy_change.name,
            now=_NOW,
            watched=", ".join(watched),
            changed=" OR ".join(f"OLD.{name} IS NOT NEW.{name}" for name in watched),
        )


# -- PostgreSQL ----------------------------------------------------------------------------------

# The registry's application has no rights on our tables: the functions act for their owner.
_POSTGRESQL = (
    """
    CREATE OR REPLACE FUNCTION {own}_capture() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    BEGIN
        IF TG_OP <> 'INSERT' THEN
            INSERT INTO {changes} (aggregate_type, id, changed_at)
            VALUES (TG_ARGV[0], OLD.id, clock_timestamp());
        END IF;
        IF TG_OP = 'INSERT' OR (TG_OP = 'UPDATE' AND OLD.id <> NEW.id) THEN
            INSERT INTO {changes} (aggregate_type, id, changed_at)
            VALUES (TG_ARGV[0], NEW.id, clock_timestamp());
        END IF;
        RETURN NULL;
    END $$
    """,
    """
    CREATE OR REPLACE FUNCTION {own}_{version}() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    BEGIN
        IF TG_OP = 'INSERT' THEN
            NEW.{version} := nextval('{sequence}');
        ELSIF NEW.{version} IS NOT DISTINCT FROM OLD.{version} THEN
            NEW.{version} := OLD.{version} + 1;
        END IF;
        RETURN NEW;
    END $$
    """,
    """
    CREATE OR REPLACE FUNCTION {own}_truncate() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    BEGIN
        EXECUTE
            'INSERT INTO {changes} (aggregate_type, id, changed_at) '
            'SELECT $1, id, clock_timestamp() FROM '
            || quote_ident(TG_TABLE_SCHEMA) || '.' || quote_ident(TG_TABLE_NAME)
        USING TG_ARGV[0];
        RETURN NULL;
    END $$
    """,
    """
    CREATE OR REPLACE TRIGGER {prefix}_truncate BEFORE TRUNCATE ON {table}
    FOR EACH STATEMENT EXECUTE FUNCTION {own}_truncate('{kind}')
    """,
    """
    CREATE OR REPLACE TRIGGER {prefix}_insert AFTER INSERT ON {table}
    FOR EACH ROW EXECUTE FUNCTION {own}_capture('{kind}')
    """,
    """
    CREATE OR REPLACE TRIGGER {prefix}_update AFTER UPDATE ON {table}
    FOR EACH ROW WHEN ({changed}) EXECUTE FUNCTION {own}_capture('{kind}')
    """,
    """
    CREATE OR REPLACE TRIGGER {prefix}_delete AFTER DELETE ON {table}
    FOR EACH ROW EXECUTE FUNCTION {own}_capture('{kind}')
    """,
    """
    CREATE OR REPLACE TRIGGER {prefix}_version_insert BEFORE INSERT ON {table}
    FOR EACH ROW EXECUTE FUNCTION {own}_{version}()
    """,
    """
    CREATE OR REPLACE TRIGGER {prefix}_version_update BEFORE UPDATE ON {table}
    FOR EACH ROW WHEN ({changed}) EXECUTE FUNCTION {own}_{version}()
    """,
)


def _postgresql(connection: Connection, legacy: LegacyTable) -> Iterator[str]:
    schema, sequence = connection.execute(
        select(func.current_schema(), func.pg_get_serial_sequence(legacy_change.name, "seq"))
    ).one()
    for statement in _POSTGRESQL:
        yield statement.format(
            own=_PREFIX,
            prefix=f"{_PREFIX}_{legacy.name}",
            table=legacy.name,
            version=legacy.version,
            kind=legacy.kind.aggregate_type,
            changes=f'"{schema}".{legacy_change.name}',
            sequence=sequence,
            changed=" OR ".join(
                f"OLD.{column} IS DISTINCT FROM NEW.{column}" for column in _comparable(legacy)
            ),
        )


def _comparable(legacy: LegacyTable) -> Iterator[str]:
    for name in _watched(legacy):
        # Type json has no equality of its own.
        yield f"{name}::text" if isinstance(legacy.shape(name), JsonText) else name
