"""Where kube-apiserver, etcd, kubectl and helm are on this machine."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

# Present in a source tree only; it alone knows how pins become a cache directory.
_BUILDER = Path(__file__).resolve().parents[3] / "tools" / "controlplane"


class BinariesMissingError(RuntimeError):
    """A binary of the control plane is not on this machine."""

    def __init__(self, names: list[str]) -> None:
        super().__init__(
            f"no {', '.join(names)}; run `make controlplane` (needs Go) or set KUBEBUILDER_ASSETS"
        )
        self.names = names


@dataclass(frozen=True, slots=True)
class Binaries:
    """The programs a control plane is made of."""

    etcd: Path
    kube_apiserver: Path


def find_binaries() -> Binaries:
    """Both servers, or an error that says how to get them."""
    found = {name: find_binary(name) for name in ("etcd", "kube-apiserver")}
    match found["etcd"], found["kube-apiserver"]:
        case Path() as etcd, Path() as kube_apiserver:
            return Binaries(etcd=etcd, kube_apiserver=kube_apiserver)
    raise BinariesMissingError([name for name, path in found.items() if path is None])


def require_binary(name: str) -> Path:
    """One program, for example kubectl or helm, or an error that says how to get it."""
    path = find_binary(name)
    if path is None:
        raise BinariesMissingError([name])
    return path


def find_binary(name: str) -> Path | None:
    """Look in KUBEBUILDER_ASSETS, then among our own builds, then on PATH.

    The user's explicit choice comes first; the pinned build comes before whatever
    happens to be installed, so that a test means the same on every machine.
    """
    assets = os.environ.get("KUBEBUILDER_ASSETS")
    for directory in (assets, _built()):
        if directory and (found := shutil.which(name, path=str(directory))):
            return Path(found)
    found = shutil.which(name)
    return Path(found) if found else None


@cache
def _built() -> Path | None:
    """Directory of our own builds."""
    if not _BUILDER.is_file():
        return None  # an installed package: no pins, so nothing of ours was built
    environment = {key: value for key, value in os.environ.items() if key != "KUBEBUILDER_ASSETS"}
    answer = subprocess.run(  # noqa: S603 - our own script
        [sys.executable, str(_BUILDER), "--print"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return Path(answer.stdout.strip()) if answer.returncode == 0 else None
