"""The handlers under kopf's own test runner: the table alone makes an operator."""

from __future__ import annotations

import asyncio
import gc
from pathlib import Path

import pytest
from kopf.testing import KopfRunner
from tests.operator.site import SERVER, Log, Site, assert_log_is_what_is_declared

from eatool.dev.controlplane import ControlPlane
from eatool.kube.handlers import handlers
from eatool.kube.operator import Operator
from eatool.publishing.checkpoints_memory import MemoryCheckpoints
from eatool.publishing.required import RequiredBrokers
from eatool.registry.opening import open_registry
from eatool.settings import Settings
from eatool.telemetry.metrics import NullMetrics


# kopf's loop ends before its TLS connections have said goodbye (aio-libs/aiohttp#1925); they are
# collected here, or they would be held against whichever test runs when the collector does.
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_kopf_runs_the_table(
    control_plane: ControlPlane, site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(control_plane.kubeconfig))
    url = f"sqlite:///{tmp_path / 'eatool.db'}"
    settings = Settings(namespaces=(site.namespace,))
    log = Log(url)

    def use() -> None:
        command = ["run", "--standalone", f"--namespace={site.namespace}"]
        with KopfRunner(command, registry=handlers(operator), timeout=30) as runner:
            site.create("Server", "db-1", SERVER)
            site.await_ready("Server", "db-1")
            site.delete("Server", "db-1")
            site.await_gone("Server", "db-1")
        assert runner.exit_code == 0
        assert runner.exception is None

    async with open_registry(url) as opened:
        operator = Operator(
            settings,
            opened.registry,
            opened.store,
            NullMetrics(),
            required=RequiredBrokers(),
            checkpoints=MemoryCheckpoints(),
        )
        await asyncio.to_thread(use)
    assert log.types(site.ref("Server", "db-1")) == ["ServerCreated.v1", "ServerDeleted.v1"]
    assert_log_is_what_is_declared(site, log)
    log.close()
    gc.collect()
