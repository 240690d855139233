"""How commands print tables."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table


def show(table: Table) -> None:
    """Print a table: fitted to a terminal, unfolded lines for a pipe."""
    console = Console(markup=False, highlight=False, emoji=False)
    if not console.is_terminal:
        console.width = 10_000
        table.box = None
        table.pad_edge = False
    console.print(table)
