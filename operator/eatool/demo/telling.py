"""What the demo prints: chapters, commands as a reader would type them, tables."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from eatool.demo.subscriber import Received

_PIPE_WIDTH = 120
_MESSAGES = 8


class Teller:
    """Prints; ``picture`` names an SVG file to keep what was printed in, as a terminal shows it."""

    def __init__(self, picture: Path | None = None) -> None:
        self.console = Console(
            highlight=False,
            emoji=False,
            record=picture is not None,
            force_terminal=True if picture else None,
        )
        self._picture = picture
        self.live = self.console.is_terminal and picture is None
        if not self.live:
            self.console.width = _PIPE_WIDTH

    def chapter(self, title: str) -> None:
        """Begin a part of the story."""
        self.console.print()
        self.console.print(Rule(Text(title, style="bold"), align="left", characters="─"))

    def say(self, text: str, style: str = "") -> None:
        """One line or paragraph."""
        self.console.print(Text(text, style=style))

    def command(self, words: Sequence[str], comment: str = "") -> None:
        """A command line, and what a reader should know of it."""
        line = Text().append("$ ", style="dim").append(shlex.join(words), style="cyan")
        if comment:
            line.append(f"   # {comment}", style="dim")
        self.console.print(line)

    def output(self, text: str, *, style: str = "", limit: int | None = None) -> None:
        """What a command printed, the first ``limit`` lines of it."""
        lines = text.rstrip().splitlines()
        shown = lines if limit is None else lines[:limit]
        for line in shown:
            self.console.print(Text("  ", style=style).append_text(Text.from_ansi(line.rstrip())))
        if len(lines) > len(shown):
            self.console.print(Text(f"  ... {len(lines) - len(shown)} more lines", style="dim"))

    def messages(self, messages: Sequence[Received], where: str) -> None:
        """Messages as a subscriber got them, the last few of them."""
        shown = messages[-_MESSAGES:]
        self.say(f"As a subscriber of {where} receives it:")
        table = Table(box=None, pad_edge=False, padding=(0, 0, 0, 2))
        for heading in ("SEQ", "ACTOR", "TYPE", "TOPIC"):
            table.add_column(heading, overflow="fold", header_style="dim")
        for message in shown:
            table.add_row(
                str(message.sequence),
                message.actor,
                Text(_short(message.type), style="green"),
                Text(message.topic),
            )
        self.console.print(table)
        if len(messages) > len(shown):
            self.say(f"  ... and {len(messages) - len(shown)} before these", style="dim")

    def counts(self, rows: Iterable[tuple[str, str, int]]) -> None:
        """How many events a subscriber of which broker and topics has."""
        table = Table(box=None, pad_edge=False, padding=(0, 0, 0, 2))
        for heading in ("BROKER", "SUBSCRIBED TO", "EVENTS"):
            table.add_column(heading, header_style="dim")
        for broker, topics, count in rows:
            table.add_row(broker, topics, str(count))
        self.console.print(table)

    def check(self, held: bool, claim: str) -> None:
        """One expectation and whether it held."""
        line = Text().append("  ✓ " if held else "  ✗ ", style="bold green" if held else "bold red")
        self.console.print(line.append(claim, style="" if held else "bold red"))

    @contextmanager
    def waiting(self, for_what: str) -> Iterator[None]:
        """Show that something takes a moment."""
        if self.live:
            with self.console.status(for_what):
                yield
        else:
            self.console.print(Text(f"{for_what} ...", style="dim"))
            yield

    def close(self) -> None:
        """Write the picture, if one was asked for."""
        if self._picture is not None:
            self.console.save_svg(str(self._picture), title="eatool demo")


def _short(cloudevents_type: str) -> str:
    """``io.eatool.application.ApplicationCreated.v1`` without what the topic says, too."""
    return ".".join(cloudevents_type.split(".")[-2:])
