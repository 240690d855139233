"""Fixtures around a real kube-apiserver, and a loud word when there is none.

Without the binaries the tests that need them are skipped and counted in the summary, unless
EATOOL_REQUIRE_CONTROLPLANE=1 turns that into a failure: a green run must not hide what did not run.
"""

from __future__ import annotations

import os
import uuid
from collections import Counter
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import NoReturn

import pytest

from eatool.dev.apiclient import ApiClient
from eatool.dev.binaries import BinariesMissingError, find_binaries, require_binary
from eatool.dev.controlplane import ControlPlane
from eatool.dev.faultproxy import FaultProxy

NOT_RUN = "NOT RUN: "


def _not_run(error: BinariesMissingError) -> NoReturn:
    if os.environ.get("EATOOL_REQUIRE_CONTROLPLANE") == "1":
        pytest.fail(str(error), pytrace=False)
    pytest.skip(f"{NOT_RUN}{error}")


@pytest.fixture(scope="session")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """An API server for the whole run. It dies with the test process, however that ends."""
    try:
        binaries = find_binaries()
    except BinariesMissingError as error:
        _not_run(error)
    directory = tmp_path_factory.mktemp("control-plane")
    with ControlPlane(directory, fast=True, die_with_parent=True, binaries=binaries) as plane:
        yield plane


@pytest.fixture(scope="session")
def kubectl() -> Path:
    """The kubectl that belongs to the control plane."""
    return _tool("kubectl")


@pytest.fixture(scope="session")
def helm() -> Path:
    return _tool("helm")


def _tool(name: str) -> Path:
    try:
        return require_binary(name)
    except BinariesMissingError as error:
        _not_run(error)


@pytest.fixture(scope="session")
def admin(control_plane: ControlPlane) -> ApiClient:
    """A small synchronous client with every right."""
    return control_plane.client()


@pytest.fixture
def namespace(admin: ApiClient) -> Iterator[str]:
    """A namespace of its own for one test.

    No controller empties a deleted namespace, so what is left in it stays; the namespace
    itself is finalized here, as that controller would have done.
    """
    name = f"test-{uuid.uuid4().hex[:10]}"
    admin.call("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
    yield name
    path = f"/api/v1/namespaces/{name}"
    deleted = admin.request("DELETE", path)
    if deleted.status == HTTPStatus.OK:
        admin.request(
            "PUT", f"{path}/finalize", {"metadata": {"name": name}, "spec": {"finalizers": []}}
        )


@pytest.fixture
def fault_proxy(control_plane: ControlPlane, tmp_path: Path) -> Iterator[FaultProxy]:
    """A way to the API server that breaks on request."""
    with FaultProxy(control_plane, tmp_path / "fault-proxy") as proxy:
        yield proxy


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how much was not run: a skip is easily overlooked in a long list of dots."""
    missing = [
        report
        for report in terminalreporter.stats.get("skipped", [])
        if isinstance(report.longrepr, tuple) and NOT_RUN in report.longrepr[2]
    ]
    if missing:
        terminalreporter.section("NOT RUN", yellow=True, bold=True)
        reasons = Counter(report.longrepr[2].split(NOT_RUN, 1)[1] for report in missing)
        for reason, count in sorted(reasons.items()):
            terminalreporter.line(f"{count} tests not run: {reason}", yellow=True)
