"""Where the demo finds its material and keeps what it makes."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from eatool.demo.failing import DemoError

_SOURCE = Path(__file__).resolve().parents[3]
_MARK = "made-by-eatool-demo"

ACCESS = Path(__file__).with_name("access.yaml")


@dataclass(frozen=True, slots=True)
class Material:
    """Manifests of the source tree, relative to the working directory where that is shorter."""

    crds: Path
    landscape: Path
    edits: Path
    brokers: Path
    columns: Path

    @classmethod
    def find(cls) -> Material:
        """:class:`DemoError` outside a source tree."""
        examples = _SOURCE / "examples"
        if not examples.is_dir():
            raise DemoError("the demo uses examples/ and crds/ of a source tree: run it from one")
        return cls(
            _short(_SOURCE / "crds"),
            _short(examples / "landscape"),
            _short(examples / "edits"),
            _short(examples / "brokers"),
            _short(Path(__file__).with_name("columns")),
        )


class Home:
    """The demo's own directory: everything in it was made by the demo."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory.expanduser().resolve()

    @classmethod
    def temporary(cls) -> Home:
        """A new one that the system, too, may clean up some day."""
        home = cls(Path(tempfile.mkdtemp(prefix="eatool-demo-")))
        (home.directory / _MARK).touch()
        return home

    def claim(self) -> None:
        """Make it an empty directory of ours; :class:`DemoError` when it is somebody else's."""
        if self.directory.is_dir() and any(self.directory.iterdir()):
            if not self.ours:
                raise DemoError(f"{self.directory} is neither empty nor of an earlier demo")
            self.erase()
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        (self.directory / _MARK).touch()

    @property
    def ours(self) -> bool:
        """Whether a demo made it."""
        return (self.directory / _MARK).is_file()

    def erase(self) -> None:
        """Remove it with all that is in it."""
        if self.ours:
            shutil.rmtree(self.directory)

    @property
    def store_url(self) -> str:
        """The SQLite event log."""
        return f"sqlite:///{self.directory / 'eatool.db'}"

    def write_environment(self, variables: Mapping[str, str], *programs: Path) -> Path:
        """A file to ``source`` in a shell: variables, and PATH with the programs' directories."""
        folders = [str(Path(sys.executable).parent), *(str(each.parent) for each in programs)]
        path = ":".join(dict.fromkeys(folders))
        lines = [f"export {name}={shlex.quote(value)}" for name, value in variables.items()]
        file = self.directory / "environment"
        file.write_text("\n".join([*lines, f'export PATH={shlex.quote(path)}:"$PATH"', ""]))
        return file


def _short(path: Path) -> Path:
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def eatool_command(*arguments: str) -> list[str]:
    """The very ``eatool`` that runs now, for a subprocess."""
    return [sys.executable, "-m", "eatool", *arguments]


def environment_with(**variables: str) -> dict[str, str]:
    """Our own environment without settings of the operator, plus ``variables``."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("EATOOL_")}
    return kept | variables
