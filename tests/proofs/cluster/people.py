"""People who declare with kubectl, and a tool that goes on declaring through the API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from tests.crds.server import Kubectl
from tests.operator.site import Site
from tests.proofs.cluster.busy import Busy
from tests.proofs.cluster.marks import Owed, field

from eatool.domain.kinds import by_kind

_BUSY = ("Server", "Application")
_BUSY_OBJECTS = 3


class People:
    """``owed``: what the log must say of the objects they declared.

    Args:
        site: the namespace.
        kubectl: in that namespace.
        files: manifests of what is declared, by kind.

    """

    def __init__(self, site: Site, kubectl: Kubectl, files: Mapping[str, Sequence[Path]]) -> None:
        self.site = site
        self.kubectl = kubectl
        self.owed: Owed = {}
        self._files = files
        self.busy = Busy(self._goes_on)

    @property
    def declared(self) -> set[str]:
        """Names of all objects."""
        return {file.stem for files in self._files.values() for file in files}

    def first(self, kind: str) -> str:
        """The object that :meth:`edit_every_kind` edits."""
        return self._files[kind][0].stem

    def adopt(self, folder: Path) -> None:
        """Apply the files as they are, all of them at once."""
        for kind, files in self._files.items():
            part = folder / kind
            part.mkdir(parents=True)
            for file in files:
                (part / file.name).write_bytes(file.read_bytes())
        self.kubectl("apply", "--server-side", "-R", "-f", str(folder))

    def edit_every_kind(self, mark: str) -> None:
        """One object of each kind; with kubectl."""
        documents: list[dict[str, Any]] = []
        for kind, files in self._files.items():
            document = yaml.safe_load(files[0].read_text())
            document["spec"][field(by_kind(kind))] = mark
            documents.append(document)
            self.owed[by_kind(kind).aggregate_type, files[0].stem] = mark
        self.kubectl("apply", "--server-side", "-f", "-", stdin=yaml.safe_dump_all(documents))

    def edit(self, kind: str, mark: str) -> str:
        """One object that nobody else edits; its name."""
        name = self._files[kind][-1].stem
        self.kubectl(
            "patch",
            kind.lower(),
            name,
            "--type=merge",
            "-p",
            f'{{"spec": {{"{field(by_kind(kind))}": "{mark}"}}}}',
        )
        self.owed[by_kind(kind).aggregate_type, name] = mark
        return name

    def _goes_on(self, number: int) -> None:
        kind = _BUSY[number % len(_BUSY)]
        file = self._files[kind][1 + number // len(_BUSY) % _BUSY_OBJECTS]
        mark = f"live {number}"
        self.site.change(kind, file.stem, **{field(by_kind(kind)): mark})
        self.owed[by_kind(kind).aggregate_type, file.stem] = mark
