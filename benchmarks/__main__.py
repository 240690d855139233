"""``python -m benchmarks``: every benchmark in turn, then what became of each.

Arguments are handed on: ``python -m benchmarks --quick``. The exit code is 1 when one failed,
which includes a lost or reordered event; the others run all the same.
"""

from __future__ import annotations

import subprocess
import sys
import time

from rich.console import Console
from rich.rule import Rule
from rich.table import Table

SUITES = ("benchmarks.store", "benchmarks.relay", "benchmarks.operator", "benchmarks.rollout")


def main() -> int:
    """Run them and sum up."""
    console = Console()
    table = Table("Benchmark", "Result", "Seconds", box=None)
    failed = 0
    for suite in SUITES:
        console.print(Rule(suite, align="left"))
        started = time.monotonic()
        # A process each: one's threads, caches and settings are no business of the next.
        status = subprocess.run(
            [sys.executable, "-m", suite, *sys.argv[1:]], check=False
        ).returncode
        result = "[green]done" if status == 0 else f"[red]failed, exit code {status}"
        table.add_row(suite, result, f"{time.monotonic() - started:.0f}")
        failed += status != 0
    console.print(Rule("all benchmarks", align="left"))
    console.print(table)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
