"""Run read queries; what the database does wrong is reported as the log reports it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import Connection, Engine

from eatool.store.sql.engine import reading
from eatool.store.sql.errors import Errors

_T = TypeVar("_T")


class Reader:
    """Queries on connections that take no lock; raises ``StoreUnavailable`` like the log."""

    def __init__(self, engine: Engine) -> None:
        self._engine = reading(engine)
        self._errors = Errors(engine)

    def __call__(self, query: Callable[[Connection], _T]) -> _T:
        """Run ``query``, once more when its pooled connection turns out to be dead."""
        for first in (True, False):
            lost = False
            try:
                with self._engine.connect() as connection:
                    try:
                        return query(connection)
                    except self._errors.types:
                        lost = self._errors.discard(connection)
                        raise
            except self._errors.types as error:
                if not (first and lost):
                    raise self._errors.translate(error) from error
        raise AssertionError("unreachable")
