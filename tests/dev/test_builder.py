"""`tools/controlplane`: finds, says how to get, and builds nothing it need not."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

TOOL = Path(__file__).parents[2] / "tools" / "controlplane"


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """No cache, no Go, no binaries, anywhere."""
    (tmp_path / "path").mkdir()
    return {"EATOOL_CACHE": str(tmp_path / "cache"), "PATH": str(tmp_path / "path")}


def call(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, TOOL, *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def provide(directory: Path, *names: str) -> str:
    directory.mkdir(exist_ok=True)
    for name in names:
        (directory / name).write_text("#!/bin/sh\n")
        (directory / name).chmod(0o755)
    return str(directory)


def test_nothing_there(environment: dict[str, str]) -> None:
    answer = call(environment, "--print")

    assert answer.returncode == 1
    assert answer.stdout == ""
    assert "make controlplane" in answer.stderr


def test_no_go(environment: dict[str, str]) -> None:
    answer = call(environment)

    assert answer.returncode == 3
    assert "etcd, kubectl, helm, kube-apiserver cannot be built" in answer.stderr
    assert "KUBEBUILDER_ASSETS" in answer.stderr


def test_the_users_binaries_are_taken_as_they_are(
    environment: dict[str, str], tmp_path: Path
) -> None:
    assets = provide(tmp_path / "assets", "etcd", "kube-apiserver")
    environment["KUBEBUILDER_ASSETS"] = assets
    answer = call(environment)
    assert answer.returncode == 3
    assert "kubectl" in answer.stderr

    provide(tmp_path / "path", "kubectl")
    answer = call(environment)
    assert (answer.returncode, answer.stdout) == (0, f"{assets}\n")
    assert "no helm" in answer.stderr

    provide(tmp_path / "path", "helm")
    answer = call(environment)
    assert (answer.returncode, answer.stdout, answer.stderr) == (0, f"{assets}\n", "")


def test_half_a_control_plane_is_none(environment: dict[str, str], tmp_path: Path) -> None:
    environment["KUBEBUILDER_ASSETS"] = provide(tmp_path / "assets", "etcd", "kubectl", "helm")

    assert call(environment, "--print").returncode == 1
    assert call(environment).returncode == 3


FAKE_GO = """#!/bin/sh
while [ $# -gt 0 ]; do
  case $1 in -o) output=$2 ;; esac
  package=$1; shift
done
echo "$package" >&2
echo "$package" >> "$FAKE_GO_LOG"
case $package in *"$FAKE_GO_BREAKS") echo "# undefined: x" >&2; exit 2 ;; esac
printf '#!/bin/sh\\n' > "$output"
/bin/chmod +x "$output"
"""


def test_only_what_is_missing_is_built(environment: dict[str, str], tmp_path: Path) -> None:
    log = tmp_path / "built"
    (tmp_path / "path" / "go").write_text(FAKE_GO)
    (tmp_path / "path" / "go").chmod(0o755)
    environment |= {"FAKE_GO_LOG": str(log), "FAKE_GO_BREAKS": "helm/v4/cmd/helm"}

    broken = call(environment)
    assert broken.returncode == 1
    assert "undefined: x" in broken.stderr
    assert "helm/v4/cmd/helm failed" in broken.stderr
    assert call(environment, "--print").returncode == 1

    log.unlink()
    finished = call(environment | {"FAKE_GO_BREAKS": "nothing"})
    assert finished.returncode == 0, finished.stderr
    assert [line.rsplit("/", 1)[1] for line in log.read_text().splitlines()] == [
        "helm",
        "kube-apiserver",
    ]
    assert "[2/2] kube-apiserver: finished" in finished.stderr
    directory = Path(finished.stdout.strip())
    assert sorted(path.name for path in directory.iterdir()) == [
        "etcd", "helm", "kube-apiserver", "kubectl",
    ]  # fmt: skip
    assert not list(directory.parent.glob("building-*"))


def test_nothing_to_do_is_quick(environment: dict[str, str], tmp_path: Path) -> None:
    environment["KUBEBUILDER_ASSETS"] = provide(
        tmp_path / "assets", "etcd", "kube-apiserver", "kubectl", "helm"
    )
    fastest = min(_seconds(environment) for _ in range(3))

    assert fastest < 0.5  # a few dozen milliseconds on an idle machine


def _seconds(environment: dict[str, str]) -> float:
    started = time.monotonic()
    assert call(environment).returncode == 0
    return time.monotonic() - started


def test_a_bare_system_python_is_enough() -> None:
    system = shutil.which("python3", path=os.defpath)
    if system is None:
        pytest.skip("NOT RUN: no system Python; install python3")

    answer = subprocess.run([system, "-I", TOOL, "--help"], capture_output=True, check=False)

    assert answer.returncode == 0
