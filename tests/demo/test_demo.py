"""The demo from end to end: it tells the truth and leaves nothing behind."""

from __future__ import annotations

import re
import signal
import subprocess
import time
from pathlib import Path

import pytest
from tests.demo.conftest import StartDemo, processes_in, stop_demo

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "demo"


@pytest.fixture
def binaries(control_plane: object, kubectl: Path) -> None:
    """Asking for the shared control plane reports these tests as not run with the others."""


def read_until(process: subprocess.Popen[str], text: str) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if text in line:
            return
    pytest.fail(f"the demo ended before {text!r}")


def wait_until_gone(home: Path) -> None:
    deadline = time.monotonic() + 15
    while left := processes_in(home):
        assert time.monotonic() < deadline, left
        time.sleep(0.05)


def assert_the_truth_about_brokers(output: str) -> None:
    """Four times ``kubectl get eventbrokers``: before, dead, dead and far behind, after."""
    rows = re.findall(r"^  (mosquitto|solace) +(?:mqtt|solace) +(.*)$", output, re.MULTILINE)
    told = [(name, row.split()[:4]) for name, row in rows]
    alive = ["True", "True", "closed", "0"]
    assert [row for name, row in told if name == "mosquitto"] == [alive] * 4
    before, dead, later, after = (row for name, row in told if name == "solace")
    assert before == after == alive
    for row, lag in ((dead, "3"), (later, "205")):
        assert row[:2] == ["False", "False"]
        assert row[2] in {"open", "half_open"}
        assert row[3] == lag
    assert "Published=False  Pending: Waiting for solace" in output
    assert "Published=True  Acknowledged: Acknowledged by mosquitto, solace" in output


@pytest.mark.usefixtures("binaries", "solace_client_library")
def test_it_holds_is_kept_and_stops(start_demo: StartDemo, home: Path) -> None:
    demo = start_demo("--keep", "--directory", str(home))
    output, _ = demo.communicate(timeout=200)
    assert demo.returncode == 0, output
    assert "✗" not in output
    for told in (
        "All 31 are Ready",
        "eatool/v1/dev/application/ApplicationLifecycleChanged/mainframe-tariffs",
        "targetId is immutable",
        "Stalled=True  CircularReference",
        "DeleteBlocked",
        "(authenticated,",
        "none waits now",
    ):
        assert told in " ".join(output.split()) or told in output
    assert_the_truth_about_brokers(output)

    assert len(processes_in(home)) == 5
    done = subprocess.run(
        ["bash", "-c", f"source {home}/environment && kubectl get ea -o name && eatool get apps"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "application.eatool.io/ticket-shop" in done.stdout
    second = start_demo("--directory", str(home))
    told, _ = second.communicate(timeout=30)
    assert second.returncode == 1
    assert "a demo runs there" in told

    assert stop_demo(home) == "stopped\n"
    assert processes_in(home) == {}
    assert not home.exists()


@pytest.mark.usefixtures("binaries")
def test_an_interrupt_stops_everything(start_demo: StartDemo, home: Path) -> None:
    demo = start_demo("--directory", str(home))
    read_until(demo, "starting the operator")
    assert len(processes_in(home)) >= 4  # the demo itself, etcd, kube-apiserver, broker
    demo.send_signal(signal.SIGINT)
    assert demo.wait(60) == 128 + signal.SIGINT
    assert processes_in(home) == {}


def test_without_binaries_it_says_so_and_runs_from_manifests(
    start_demo: StartDemo, home: Path, without_binaries: dict[str, str]
) -> None:
    demo = start_demo("--directory", str(home), **without_binaries)
    output, _ = demo.communicate(timeout=200)
    assert demo.returncode == 0, output
    first = output.splitlines()[0]
    assert first.startswith("Without a Kubernetes API: no ")
    assert "make controlplane" in first
    assert "36 of 36 were delivered" in output
    assert processes_in(home) == {}


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_however_it_ends_nothing_is_left(
    start_demo: StartDemo, home: Path, how: signal.Signals
) -> None:
    demo = start_demo("--without-kubernetes", "--directory", str(home))
    read_until(demo, "MQTT broker")
    assert len(processes_in(home)) >= 2
    demo.send_signal(how)
    demo.wait(60)
    wait_until_gone(home)


def test_a_failing_part_fails_the_demo(start_demo: StartDemo, home: Path, tmp_path: Path) -> None:
    binaries = tmp_path / "broken"
    binaries.mkdir()
    for name in ("etcd", "kube-apiserver", "kubectl"):
        (binaries / name).write_text("#!/bin/sh\necho out of order\nexit 1\n")
        (binaries / name).chmod(0o755)
    demo = start_demo("--directory", str(home), KUBEBUILDER_ASSETS=str(binaries))
    output, _ = demo.communicate(timeout=100)
    assert demo.returncode == 1
    assert "out of order" in output
    assert processes_in(home) == {}
