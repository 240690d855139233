"""A control plane of its own: these tests install and remove what others rely on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from eatool.dev.apiclient import ApiClient
from eatool.dev.binaries import find_binaries
from eatool.dev.controlplane import ControlPlane


@pytest.fixture(scope="session")
def control_plane(helm: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """Skipped, with its reason, by ``helm`` where there are no binaries."""
    assert helm
    directory = tmp_path_factory.mktemp("chart-control-plane")
    binaries = find_binaries()
    with ControlPlane(directory, fast=True, die_with_parent=True, binaries=binaries) as plane:
        yield plane


@pytest.fixture(scope="session")
def admin(control_plane: ControlPlane) -> ApiClient:
    return control_plane.client()
