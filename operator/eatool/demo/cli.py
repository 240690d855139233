"""``eatool demo``: the whole way of a change, on real parts, checked."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import click

from eatool.demo import cluster_story, manifest_story
from eatool.demo.checking import Verdict
from eatool.demo.cluster_story import ClusterStory
from eatool.demo.ending import end_on_signals
from eatool.demo.failing import DemoError
from eatool.demo.manifest_story import ManifestStory
from eatool.demo.parts import Parts
from eatool.demo.places import Home, Material
from eatool.demo.telling import Teller
from eatool.dev.binaries import BinariesMissingError, find_binaries, require_binary
from eatool.dev.controlplane import ControlPlaneError

_FAILED = 1


@click.command()
@click.option("--keep", is_flag=True, help="Leave everything running, and say what to try next.")
@click.option(
    "--directory",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where it keeps data and logs, for reading later; default a temporary one.",
)
@click.option(
    "--stop",
    type=click.Path(file_okay=False, exists=True, path_type=Path),
    metavar="DIRECTORY",
    help="Stop a demo that was kept, and remove its directory.",
)
@click.option(
    "--without-kubernetes", is_flag=True, help="Straight from manifests, whatever is installed."
)
@click.option("--picture", type=click.Path(dir_okay=False, path_type=Path), hidden=True)
def demo(
    *,
    keep: bool,
    directory: Path | None,
    stop: Path | None,
    without_kubernetes: bool,
    picture: Path | None,
) -> None:
    """Show the whole way of a change, on real parts.

    Starts a Kubernetes API, an MQTT broker and the operator on loopback, applies
    examples/landscape, edits and deletes, and checks that every event arrived, in order.
    Without kube-apiserver and etcd it tells the same story straight from manifests.
    Exit code 0: everything held.
    """
    if stop is not None:
        _stop(stop)
        return
    end_on_signals()
    try:
        held = _show(keep, directory, picture, kubernetes=not without_kubernetes)
    except (DemoError, ControlPlaneError) as error:
        raise click.ClickException(str(error)) from error
    if not held:
        raise SystemExit(_FAILED)


def _show(keep: bool, directory: Path | None, picture: Path | None, *, kubernetes: bool) -> bool:
    started = time.monotonic()
    tell = Teller(picture)
    why_not = _why_no_kubernetes() if kubernetes else "asked for with --without-kubernetes"
    if why_not:
        tell.say(f"Without a Kubernetes API: {why_not}.", style="yellow")
        tell.say("The same story, straight from manifests, with `eatool apply`.", style="yellow")
    material = Material.find()
    home = _home(directory)
    done = False
    try:
        with Parts(home, keep=keep) as parts:
            story = (ManifestStory if why_not else ClusterStory)(tell, parts, material)
            held = _judge(tell, story.tell())
            tell.say(f"{time.monotonic() - started:.0f} s", style="dim")
            if keep:
                kubectl = None if why_not else require_binary("kubectl")
                _leave(tell, parts, kubectl)
            done = held
    finally:
        if directory is None and done and not keep:
            home.erase()
        elif not keep:
            tell.say(f"Data and logs: {home.directory}", style="dim")
        tell.close()
    return held


def _judge(tell: Teller, verdicts: Sequence[Verdict]) -> bool:
    tell.chapter("Was all of that true?")
    for verdict in verdicts:
        tell.check(verdict.held, verdict.claim)
    return all(verdict.held for verdict in verdicts)


def _leave(tell: Teller, parts: Parts, kubectl: Path | None) -> None:
    """Last of all: from here on nothing may fail, or it would keep running unseen."""
    if kubectl is None:
        commands = manifest_story.next_commands(parts)
    else:
        commands = cluster_story.next_commands(parts, kubectl)
    tell.chapter("It keeps running; try")
    for command in commands:
        tell.say(f"  {command}", style="cyan")
    tell.say("and, at the end,")
    tell.say(f"  eatool demo --stop {parts.home.directory}", style="cyan")
    parts.leave_running()


def _stop(directory: Path) -> None:
    home = Home(directory)
    if not home.ours:
        raise click.ClickException(f"{directory} is not the directory of a demo")
    stopped = Parts(home).stop()
    home.erase()
    click.echo("stopped" if stopped else "was not running")


def _home(directory: Path | None) -> Home:
    if directory is None:
        return Home.temporary()
    home = Home(directory)
    if home.ours and Parts(home).running:
        raise DemoError(f"a demo runs there; stop it with: eatool demo --stop {directory}")
    home.claim()
    return home


def _why_no_kubernetes() -> str | None:
    """What is missing, and how to get it; ``None`` when nothing is."""
    try:
        find_binaries()
        require_binary("kubectl")
    except BinariesMissingError as error:
        return str(error)
    return None
