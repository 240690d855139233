"""Certificates and keys as files, because TLS libraries read nothing else."""

from __future__ import annotations

import os
import tempfile
from hashlib import sha256
from pathlib import Path

_PRIVATE_DIRECTORY = 0o700


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
