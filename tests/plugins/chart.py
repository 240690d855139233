"""Installing the chart with real helm into the local control plane.

No controllers run there: objects are stored, no pod starts. What matters is that the API server
accepts them, and what the chart's service account may do.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from eatool.dev.controlplane import ControlPlane

CHART = Path(__file__).parents[2] / "charts" / "eatool-operator"
RELEASE = "eatool"


@dataclass(frozen=True, slots=True)
class Helm:
    """The helm command with a home of its own."""

    binary: Path
    home: Path
    kubeconfig: Path | None = None

    def __call__(
        self, *arguments: str | Path, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        environment = {
            key: value
            for key, value in os.environ.items()
            if not key.startswith("HELM_") and key != "KUBECONFIG"
        }
        for name in ("CACHE", "CONFIG", "DATA"):
            environment[f"HELM_{name}_HOME"] = str(self.home / name.lower())
        if self.kubeconfig is not None:
            environment["KUBECONFIG"] = str(self.kubeconfig)
        answer = subprocess.run(
            [self.binary, *arguments],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert not check or answer.returncode == 0, answer.stderr
        return answer


@pytest.fixture(scope="session")
def offline_helm(helm: Path, tmp_path_factory: pytest.TempPathFactory) -> Helm:
    """Helm without a cluster: lint, template, package."""
    return Helm(helm, tmp_path_factory.mktemp("helm"))


@pytest.fixture
def online_helm(helm: Path, control_plane: ControlPlane, tmp_path: Path) -> Helm:
    """Helm as the administrator of the control plane."""
    return Helm(helm, tmp_path / "helm", control_plane.kubeconfig)


@pytest.fixture
def release(online_helm: Helm, namespace: str) -> Iterator[str]:
    """The chart installed with its defaults; yields the namespace."""
    # The control plane is shared: CRDs of an earlier release, which were kept, are adopted.
    options = ["--namespace", namespace, "--wait=hookOnly", "--take-ownership", "--force-conflicts"]
    online_helm("install", RELEASE, CHART, *options)
    yield namespace
    online_helm("uninstall", RELEASE, "--namespace", namespace, "--ignore-not-found")


@pytest.fixture
def operator_service_account_kubeconfig(control_plane: ControlPlane, release: str) -> Path:
    """A kubeconfig with exactly the rights that the chart gives the operator, in all namespaces."""
    return control_plane.service_account_kubeconfig(release, f"{RELEASE}-eatool-operator")
