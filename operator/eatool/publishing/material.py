"""Certificates and keys as files, because TLS libraries read nothing else."""

from __future__ import annotations

import os
import shutil
import tempfile
from hashlib import sha256
from pathlib import Path

_PRIVATE_DIRECTORY = 0o700


class Material:
    """The files of one destination, in a directory that no other one uses. Methods block.

    Whoever runs the destination says when they are needed: its predecessor may have left files
    of rotated Secrets, and may take the directory with it when it goes.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._contents: dict[Path, bytes] = {}

    def file(self, content: bytes) -> Path:
        """See :func:`as_file`."""
        path = as_file(self._directory, content)
        self._contents[path] = content
        return path

    def keep(self) -> None:
        """See to it that exactly these files are there."""
        if self._directory.exists():
            for path in self._directory.iterdir():
                if path not in self._contents:
                    path.unlink(missing_ok=True)
        for content in self._contents.values():
            as_file(self._directory, content)

    def discard(self) -> None:
        """Remove all of it."""
        shutil.rmtree(self._directory, ignore_errors=True)


def as_file(directory: Path, content: bytes) -> Path:
    """The path of a file in ``directory`` with this content, readable by this user alone.

    The name is a hash of the content, so that a changed Secret never changes a file that a
    connection is reading, and writing twice writes once. OSError when it cannot be written.
    """
    directory.mkdir(mode=_PRIVATE_DIRECTORY, parents=True, exist_ok=True)
    directory.chmod(_PRIVATE_DIRECTORY)
    path = directory / f"{sha256(content).hexdigest()}.pem"
    if path.exists():
        return path
    handle, temporary = tempfile.mkstemp(dir=directory)  # mode 0600
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return path
