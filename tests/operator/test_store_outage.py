"""The event store goes away and comes back: objects wait, say so, and nothing is lost."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from tests.operator.conftest import new_site
from tests.operator.operators import Operator, running, until
from tests.operator.site import SERVER, Log, Site, assert_log_is_what_is_declared
from tests.plugins.postgres import PostgresServer

from eatool.dev.apiclient import ApiClient
from eatool.dev.faultproxy import FaultProxy

Outage = Callable[[], AbstractContextManager[None]]


@pytest.fixture
def site(crds: None, admin: ApiClient) -> Site:
    return new_site(admin)


def _survives(operator: Operator, site: Site, outage: Outage, *, unreadable: bool) -> None:
    with running(operator):
        for name in ("steady", "edited", "deleted"):
            site.create("Server", name, SERVER)
            site.await_ready("Server", name)
        steady = site.get("Server", "steady")
        with outage():
            site.create("Server", "new", SERVER)
            site.change("Server", "edited", region="north")
            site.delete("Server", "deleted")
            for name in ("new", "edited", "deleted"):
                site.await_reason("Server", name, "StoreUnavailable", seconds=60)
            assert site.condition("Server", "new") == ("Unknown", "StoreUnavailable")
            if unreadable:
                until(lambda: not operator.ready(), "the readiness probe fails")
            assert site.get("Server", "steady") == steady, "what is recorded stays ready"
        site.await_ready("Server", "new", seconds=60)
        site.await_ready("Server", "edited", seconds=60)
        site.await_gone("Server", "deleted", seconds=60)
        until(operator.ready, "the operator is ready again")
        log = Log(operator.store_url)
        assert_log_is_what_is_declared(site, log)
        assert len(log.all(site.namespace)) == 6
        log.close()


def test_postgresql_stops_and_starts_again(
    proxy: FaultProxy,
    directory: Path,
    site: Site,
    postgres_server: PostgresServer,
    postgres_url: str,
) -> None:
    @contextmanager
    def stopped() -> Iterator[None]:
        postgres_server.stop()
        yield
        postgres_server.start()

    operator = Operator(
        proxy.kubeconfig,
        directory,
        "postgres",
        namespaces=site.namespace,
        store_url=postgres_url,
    )
    _survives(operator, site, stopped, unreadable=True)


def test_sqlite_is_locked_by_another_process(
    proxy: FaultProxy, directory: Path, site: Site
) -> None:
    file = directory / "locked.db"

    @contextmanager
    def locked() -> Iterator[None]:
        connection = sqlite3.connect(file, isolation_level=None)
        connection.execute("BEGIN EXCLUSIVE")
        yield
        connection.execute("ROLLBACK")
        connection.close()

    operator = Operator(
        proxy.kubeconfig,
        directory,
        "sqlite",
        namespaces=site.namespace,
        store_url=f"sqlite:///{file}",
    )
    _survives(operator, site, locked, unreadable=False)
