"""Driver errors in the words of the port."""

from __future__ import annotations

import sqlite3

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from eatool.store.port import StoreError, StoreUnavailable

#: serialization_failure, deadlock_detected: the transaction was rolled back, run it again.
_AGAIN = frozenset({"40001", "40P01"})
#: undefined_table, undefined_column; SQLite has but words for it.
_NO_SCHEMA = frozenset({"42P01", "42703"})
_NO_SCHEMA_SAID = ("no such table", "no such column", "has no column named")
_NO_DATABASE = frozenset({sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT})


class Errors:
    """Classifies the errors of one engine's driver, bare or wrapped by SQLAlchemy."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._dbapi = engine.dialect.loaded_dbapi
        #: What ``except`` must name to catch everything the database can raise.
        self.types: tuple[type[Exception], ...] = (SQLAlchemyError, self._dbapi.Error)

    def discard(self, connection: Connection) -> bool:
        """Whether the connection is lost; if so the pool forgets it, and its idle siblings."""
        if connection.invalidated:
            return True
        if not getattr(connection.connection.driver_connection, "closed", False):
            return False
        connection.invalidate()
        self._engine.dispose()
        return True

    def again(self, error: Exception) -> bool:
        """Whether the database undid the transaction for a reason that passes by itself."""
        return getattr(_bare(error), "sqlstate", None) in _AGAIN

    def duplicate(self, error: Exception) -> bool:
        """Whether a unique constraint was violated."""
        return isinstance(_bare(error), self._dbapi.IntegrityError)

    def translate(self, error: Exception) -> StoreError:
        """The port's error; its text names the class and the state, never values."""
        bare = _bare(error)
        sqlstate = getattr(bare, "sqlstate", None)
        name = type(bare).__name__ + (f" {sqlstate}" if sqlstate else "")
        if sqlstate in _NO_SCHEMA or any(said in str(bare) for said in _NO_SCHEMA_SAID):
            return StoreUnavailable(
                f"{name}: the schema is missing or too old, run `eatool store migrate`"
            )
        unavailable = (self._dbapi.OperationalError, self._dbapi.InterfaceError, PoolTimeout)
        if isinstance(bare, unavailable):
            return StoreUnavailable(f"{name}: {_reason(bare)}")
        if getattr(bare, "sqlite_errorcode", None) in _NO_DATABASE:
            return StoreError(_reason(bare))
        return StoreError(f"the database refused the statement: {name}")


def _bare(error: Exception) -> BaseException:
    return error.orig if isinstance(error, DBAPIError) and error.orig is not None else error


def _reason(error: BaseException) -> str:
    """First line of the driver's message: what happened to the connection, without statements."""
    return (str(error).strip() or "no reason given").splitlines()[0]
