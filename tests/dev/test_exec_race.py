"""A process that is just replacing itself is not a dead one."""

from __future__ import annotations

import sys
from pathlib import Path

from eatool.dev.processes import Server


def test_a_server_is_seen_running_from_its_first_moment(tmp_path: Path) -> None:
    """``env`` executes Python: in between, the kernel shows an empty command line."""
    server = Server("sleeper", tmp_path)
    sleeper = ["/usr/bin/env", sys.executable, "-S", "-c", "import time; time.sleep(30)"]
    for _ in range(60):
        server.spawn([*sleeper, f"{tmp_path}/"], die_with_parent=True)
        assert server.pid is not None
        assert server.stop(2)
    assert server.pid is None
