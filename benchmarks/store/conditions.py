"""Under which conditions the figures were taken; durability is asserted, not assumed."""

from __future__ import annotations

import os
import platform
import sqlite3
import subprocess
import time
from importlib.metadata import version
from pathlib import Path

from sqlalchemy import Engine

from benchmarks.store.checks import check_equal
from eatool.store.sql.engine import open_engine

_SYNCS = 200


def machine(folder: Path) -> dict[str, str]:
    """Processor, file system, versions and what one synced write costs."""
    return {
        "cpu": f"{_cpu()} ({os.cpu_count()} cores)",
        "load": f"{os.getloadavg()[0]:.1f} at start",
        "file system": _file_system(folder),
        "fdatasync": f"{_sync_rate(folder):.0f}/s for appended 4 KiB blocks",
        "python": platform.python_version(),
        "sqlite library": sqlite3.sqlite_version,
        **{name: version(name) for name in ("sqlalchemy", "psycopg", "eventsourcing")},
    }


def durability(url: str) -> str:
    """The settings that make a commit durable, checked on a connection of the store's engine."""
    engine = open_engine(url)
    try:
        return _sqlite(engine) if engine.dialect.name == "sqlite" else _postgresql(engine)
    finally:
        engine.dispose()


def _sqlite(engine: Engine) -> str:
    with engine.connect() as connection:
        for name, expected in (("journal_mode", "wal"), ("synchronous", 2)):
            found = connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
            check_equal(f"PRAGMA {name}", found, expected)
    return "journal_mode=wal synchronous=FULL"


def _postgresql(engine: Engine) -> str:
    with engine.connect() as connection:
        for name in ("fsync", "synchronous_commit", "full_page_writes"):
            check_equal(name, connection.exec_driver_sql(f"SHOW {name}").scalar_one(), "on")
        server = connection.exec_driver_sql("SHOW server_version").scalar_one()
        method = connection.exec_driver_sql("SHOW wal_sync_method").scalar_one()
    return f"{server}: fsync=on synchronous_commit=on full_page_writes=on wal_sync_method={method}"


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _file_system(folder: Path) -> str:
    found = subprocess.run(
        ["stat", "-f", "-c", "%T", folder], capture_output=True, text=True, check=True
    )
    return found.stdout.strip()


def _sync_rate(folder: Path) -> float:
    path = folder / "sync-probe"
    with path.open("wb", buffering=0) as file:
        started = time.perf_counter()
        for _ in range(_SYNCS):
            file.write(bytes(4096))
            os.fdatasync(file.fileno())
        took = time.perf_counter() - started
    path.unlink()
    return _SYNCS / took
