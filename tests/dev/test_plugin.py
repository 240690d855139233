"""Without binaries, tests are not run; and nobody can overlook it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TESTS = """
def test_needs_it(control_plane): ...
def test_needs_it_too(namespace): ...
def test_does_not(): ...
"""


def run_pytest(tmp_path: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    (tmp_path / "test_sample.py").write_text(TESTS)
    environment = {
        key: value
        for key, value in os.environ.items()
        if key not in ("KUBEBUILDER_ASSETS", "EATOOL_REQUIRE_CONTROLPLANE", "PYTEST_ADDOPTS")
    }
    environment |= {
        "PATH": "/nowhere",
        "EATOOL_CACHE": str(tmp_path / "cache"),
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "operator")]),
        **variables,
    }
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "tests.plugins.controlplane",
         "-p", "no:cacheprovider", "--rootdir", tmp_path, tmp_path],
        env=environment, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


def test_tests_without_a_control_plane_are_skipped_loudly(tmp_path: Path) -> None:
    result = run_pytest(tmp_path)

    assert result.returncode == pytest.ExitCode.OK, result.stdout
    assert "1 passed, 2 skipped" in result.stdout
    assert (
        "2 tests not run: no etcd, kube-apiserver; "
        "run `make controlplane` (needs Go) or set KUBEBUILDER_ASSETS"
    ) in result.stdout


def test_or_fail_where_they_are_required(tmp_path: Path) -> None:
    result = run_pytest(tmp_path, EATOOL_REQUIRE_CONTROLPLANE="1")

    assert result.returncode == pytest.ExitCode.TESTS_FAILED, result.stdout
    assert "1 passed, 2 errors" in result.stdout
    assert "run `make controlplane`" in result.stdout
