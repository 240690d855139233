"""What a broker keeps on disk, so that it is there again after a ``kill -9``.

One line of JSON per change, written before anything is acknowledged that depends on it. The
kernel has the line then, the disk may not: a power cut is not survived.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from io import FileIO
from pathlib import Path
from typing import Any, Final

Entry = dict[str, Any]

_FILE: Final = "journal.jsonl"


class Journal:
    """Append-only; without a folder it keeps nothing."""

    def __init__(self, folder: Path | None) -> None:
        """``folder`` need not exist yet."""
        self._path = None if folder is None else folder / _FILE
        self._file: FileIO | None = None

    def replay(self) -> Iterator[Entry]:
        """What earlier runs wrote; nothing is written meanwhile."""
        if self._path is None or not self._path.exists():
            return
        whole = 0
        with self._path.open("rb") as lines:
            for line in lines:
                if not line.endswith(b"\n"):
                    break  # torn by the kill, so nothing that hangs on it was acknowledged
                yield json.loads(line)
                whole += len(line)
        os.truncate(self._path, whole)

    def open(self) -> None:
        """Begin to write, after what is there."""
        if self._path is not None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._path.open("ab", buffering=0)

    def append(self, kind: str, **fields: Any) -> None:
        """Write one change, if there is anything to write to."""
        if self._file is not None:
            self._file.write(json.dumps({"kind": kind, **fields}).encode() + b"\n")

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            self._file.close()
            self._file = None
