"""What commands that need a store share: the option that names it, and opening it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import click
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from eatool.domain.evolve import BrokenStream
from eatool.domain.kinds import upcast
from eatool.domain.upcasting import UnknownEventType
from eatool.store.port import StoreError
from eatool.store.sql.database import Database
from eatool.store.sql.engine import lacks_file, open_engine
from eatool.store.sql.log import SqlEventStore

store_option = click.option(
    "--store",
    "url",
    envvar="EATOOL_STORE_URL",
    show_envvar=True,
    required=True,
    metavar="URL",
    help="sqlite:///path or postgresql://user@host/database.",
)


@contextmanager
def opened_engine(url: str, *, missing_ok: bool = False) -> Iterator[Engine]:
    """The database at ``url``; trouble with it or its content ends the command with one line.

    A SQLite file that is not there is a mistake, unless ``missing_ok``: connecting makes it then.
    Exit code 2 when nothing was tried, 1 otherwise.
    """
    try:
        engine = open_engine(url)
    except (ValueError, ImportError, SQLAlchemyError) as error:
        raise click.UsageError(f"--store: {error}") from error
    if not missing_ok and lacks_file(engine):
        raise click.UsageError(f"--store: there is no file {engine.url.database}")
    try:
        with Database(engine).translated():
            yield engine
    except (StoreError, UnknownEventType, BrokenStream) as error:
        raise click.ClickException(str(error).partition("\n")[0]) from error
    finally:
        engine.dispose()


@contextmanager
def opened_store(url: str) -> Iterator[SqlEventStore]:
    """The log at ``url``, likewise; every event is read at its newest version."""
    with opened_engine(url) as engine:
        yield SqlEventStore(engine, upcast=upcast)
