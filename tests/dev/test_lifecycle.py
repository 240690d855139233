"""Up, down, and everything that can happen in between."""

import os
import select
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from click.testing import CliRunner

from eatool.dev.cli import NOT_RUNNING, dev
from eatool.dev.controlplane import ControlPlane


def processes_of(directory: Path) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                command = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if f"--data-dir={directory}/".encode() in command or f"{directory}/pki" in str(command):
                found.append(int(entry.name))
    return found


def wait_until_gone(directory: Path) -> None:
    deadline = time.monotonic() + 15
    while processes_of(directory):
        assert time.monotonic() < deadline, f"still running: {processes_of(directory)}"
        time.sleep(0.05)


@pytest.fixture
def directory(control_plane: ControlPlane, tmp_path: Path) -> Iterator[Path]:
    """A directory for a control plane, which is down afterwards whatever the test did.

    Asking for the shared control plane makes these tests be skipped with the others.
    """
    directory = tmp_path / "dev"
    yield directory
    ControlPlane(directory).stop()


def invoke(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(dev, arguments)
    return result.exit_code, result.output


def test_up_is_idempotent_and_down_leaves_nothing(directory: Path) -> None:
    where = ("--directory", str(directory))

    status, output = invoke("up", "--fast", *where)
    assert status == 0, output
    assert "ready in" in output
    assert len(processes_of(directory)) == 2
    pids = processes_of(directory)

    status, output = invoke("up", "--fast", *where)
    assert status == 0
    assert "already running" in output
    assert processes_of(directory) == pids

    status, output = invoke("status", *where)
    assert status == 0
    assert all(str(pid) in output for pid in pids)

    assert invoke("kubeconfig", *where) == (0, f"{directory}/admin.kubeconfig\n")
    status, output = invoke("kubeconfig", "--user", "bob", "--group", "modellers", *where)
    assert Path(output.strip()).is_file()

    assert invoke("down", *where) == (0, "stopped\n")
    assert processes_of(directory) == []
    assert not list(directory.glob("*.pid"))
    assert invoke("down", *where) == (0, "was not running\n")
    status, output = invoke("status", *where)
    assert status == NOT_RUNNING
    assert "eatool dev up" in output


def test_a_restart_keeps_objects_address_and_kubeconfigs(directory: Path) -> None:
    plane = ControlPlane(directory)  # not fast: what was acknowledged is on the disk
    plane.start()
    address = plane.url
    bob = plane.kubeconfig_for("bob").read_bytes()
    old_client = plane.client()
    old_client.call("POST", "/api/v1/namespaces", {"metadata": {"name": "shop"}})
    for server in (plane.kube_apiserver, plane.etcd):
        assert server.pid is not None
        os.kill(server.pid, signal.SIGKILL)
    wait_until_gone(directory)
    assert not plane.running

    plane.start()

    assert plane.url == address
    assert old_client.call("GET", "/api/v1/namespaces/shop")["metadata"]["name"] == "shop"
    assert plane.kubeconfig_for("bob").read_bytes() != bob  # a new key under the same authority
    plane.erase()
    assert not (directory / "etcd").exists()
    assert directory.exists()


def test_half_a_control_plane_is_replaced(directory: Path) -> None:
    plane = ControlPlane(directory, fast=True)
    plane.start()
    assert plane.etcd.pid is not None
    descriptor = os.pidfd_open(plane.etcd.pid)
    signal.pidfd_send_signal(descriptor, signal.SIGKILL)
    assert select.select([descriptor], [], [], 10)[0], "etcd did not end"
    os.close(descriptor)

    assert plane.start()

    assert plane.running
    assert len(processes_of(directory)) == 2


def test_a_stale_pid_file_harms_nobody(directory: Path) -> None:
    plane = ControlPlane(directory, fast=True)
    directory.mkdir()
    with subprocess.Popen(["/bin/sleep", "60"]) as bystander:
        try:
            (directory / "etcd.pid").write_text(f"{bystander.pid}\n")
            (directory / "kube-apiserver.pid").write_text("no number")

            assert not plane.running
            assert not plane.stop()
            assert bystander.poll() is None
            assert plane.start()
            assert bystander.poll() is None
        finally:
            bystander.kill()


def test_two_side_by_side_do_not_meet(directory: Path, control_plane: ControlPlane) -> None:
    with ControlPlane(directory, fast=True) as other:
        other.client().call("POST", "/api/v1/namespaces", {"metadata": {"name": "only-here"}})

        assert other.url != control_plane.url
        here = control_plane.client().request("GET", "/api/v1/namespaces/only-here")
        assert here.status == 404


def test_a_taken_port_is_exchanged(directory: Path, control_plane: ControlPlane) -> None:
    directory.mkdir()
    (directory / "port").write_text(control_plane.url.rsplit(":", 1)[1])

    with ControlPlane(directory, fast=True) as other:
        assert other.url != control_plane.url


def test_a_port_taken_at_the_last_moment_is_exchanged(
    directory: Path, control_plane: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    from eatool.dev import controlplane, ports

    real = ports.free_port
    taken = int(control_plane.url.rsplit(":", 1)[1])
    monkeypatch.setattr(
        controlplane, "free_port", lambda remembered: taken if remembered else real(None)
    )
    said: list[str] = []

    plane = ControlPlane(directory, fast=True)
    plane.start(said.append)

    assert plane.url != control_plane.url
    assert f"port {taken} was taken, trying another" in said


def test_starting_twice_at_once_starts_one(directory: Path) -> None:
    planes = [ControlPlane(directory, fast=True) for _ in range(2)]
    with ThreadPoolExecutor(2) as threads:
        fresh = list(threads.map(lambda plane: plane.start(), planes))

    assert sorted(fresh) == [False, True]
    assert len(processes_of(directory)) == 2


def test_the_servers_of_a_test_run_die_with_it(directory: Path) -> None:
    script = textwrap.dedent(f"""
        import pathlib, time
        from eatool.dev.controlplane import ControlPlane
        ControlPlane(pathlib.Path({str(directory)!r}), fast=True, die_with_parent=True).start()
        print("ready", flush=True)
        time.sleep(60)
    """)
    with subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    ) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "ready\n"
        assert len(processes_of(directory)) == 2
        parent.kill()
    wait_until_gone(directory)
