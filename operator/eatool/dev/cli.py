"""`eatool dev`: servers on this machine, for trying things out."""

from __future__ import annotations

import os
import shlex
import sys
import time
from pathlib import Path

import click

from eatool.dev.binaries import BinariesMissingError
from eatool.dev.controlplane import ControlPlane, ControlPlaneError
from eatool.dev.smf.cli import solace

NOT_RUNNING = 3  # what `systemctl status` says of a unit that does not run


def _default_directory() -> Path:
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state, "eatool", "dev")


_directory = click.option(
    "--directory",
    type=click.Path(file_okay=False, path_type=Path),
    default=_default_directory,
    show_default="$XDG_STATE_HOME/eatool/dev",
    help="Where it keeps its data, certificates and logs. One control plane per directory.",
)


@click.group()
def dev() -> None:
    """Run a local Kubernetes API (etcd and kube-apiserver, no nodes), or a Solace stand-in."""


@dev.command()
@_directory
@click.option("--fast", is_flag=True, help="Never wait for the disk; a power cut may lose data.")
def up(directory: Path, *, fast: bool) -> None:
    """Start it, unless it already runs."""
    plane = ControlPlane(directory, fast=fast)
    started = time.monotonic()
    try:
        fresh = plane.start(lambda message: click.echo(message, err=True))
    except (BinariesMissingError, ControlPlaneError) as error:
        raise click.ClickException(str(error)) from error
    took = f"ready in {time.monotonic() - started:.1f}s" if fresh else "already running"
    click.echo(f"{plane.url}  {took}")
    click.echo(f"export KUBECONFIG={shlex.quote(str(plane.kubeconfig))}")


@dev.command()
@_directory
@click.option("--erase", is_flag=True, help="Forget everything that was stored, too.")
def down(directory: Path, *, erase: bool) -> None:
    """Stop it. What it stored is there again after the next `up`."""
    plane = ControlPlane(directory)
    click.echo("stopped" if plane.stop() else "was not running")
    if erase:
        plane.erase()


@dev.command()
@_directory
@click.option("--user", help="Issue one for this user instead of the administrator.")
@click.option("--group", "groups", multiple=True, help="Group of that user, repeatable.")
def kubeconfig(directory: Path, user: str | None, groups: tuple[str, ...]) -> None:
    """Print the path of a kubeconfig: KUBECONFIG=$(eatool dev kubeconfig)."""
    plane = _running(directory)
    click.echo(plane.kubeconfig_for(user, groups) if user else plane.kubeconfig)


@dev.command()
@_directory
def status(directory: Path) -> None:
    """Say whether it runs; exit code 3 if it does not."""
    plane = _running(directory)
    try:
        version = plane.client().call("GET", "/version")["gitVersion"]
    except OSError as error:
        raise click.ClickException(f"it runs, but does not answer: {error}") from error
    click.echo(f"{plane.url}  Kubernetes {version}")
    for server in (plane.kube_apiserver, plane.etcd):
        click.echo(f"  {server.name:<15} pid {server.pid}  {server.log}")


dev.add_command(solace)


def _running(directory: Path) -> ControlPlane:
    plane = ControlPlane(directory)
    if not plane.running:
        click.echo("not running; start it with: eatool dev up", err=True)
        sys.exit(NOT_RUNNING)
    return plane
