"""Command lines as a user would type them, and what they answered."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from eatool.demo.failing import DemoError
from eatool.demo.places import eatool_command, environment_with
from eatool.demo.telling import Teller

_PATIENCE = 120.0
_MOST_LINES = 20


@dataclass(frozen=True, slots=True)
class Answer:
    """Exit status and output of a command."""

    status: int
    output: str
    errors: str

    @property
    def text(self) -> str:
        """Both outputs, or where that would be long, how they end."""
        lines = [line for part in (self.output, self.errors) for line in part.splitlines()]
        return "\n".join(lines[-_MOST_LINES:])


@dataclass(frozen=True, slots=True)
class Kubectl:
    """kubectl as one user; a command that should succeed raises :class:`DemoError` otherwise."""

    tell: Teller
    binary: Path
    kubeconfig: Path
    user: str

    def show(self, *arguments: str, refused: bool = False) -> Answer:
        """Print the command, then run it; with ``refused`` it is its failure that is expected."""
        self.tell.command(["kubectl", *arguments], f"as {self.user}")
        return self.quietly(*arguments, refused=refused)

    def quietly(self, *arguments: str, refused: bool = False) -> Answer:
        """Run it without a word."""
        answer = self.attempt(*arguments)
        if refused is (answer.status == 0):
            verb = "succeeded" if refused else "failed"
            raise DemoError(f"kubectl {' '.join(arguments)} {verb}:\n{answer.text}")
        return answer

    def attempt(self, *arguments: str) -> Answer:
        """Run it, whatever becomes of it."""
        command = [str(self.binary), "--kubeconfig", str(self.kubeconfig), *arguments]
        cache = str(self.kubeconfig.parent / "kubectl-cache")  # not the user's
        return _run(command, environment_with(KUBECACHEDIR=cache))


@dataclass(frozen=True, slots=True)
class Eatool:
    """The ``eatool`` that runs this demo, on the demo's store and broker."""

    tell: Teller
    variables: Mapping[str, str]

    def show(self, *arguments: str, expect: int = 0) -> Answer:
        """Print the command, then run it; :class:`DemoError` on another exit status."""
        self.tell.command(["eatool", *arguments])
        as_on_a_terminal = {"COLUMNS": str(self.tell.console.width - 2), "FORCE_COLOR": "1"}
        answer = _run(
            eatool_command(*arguments), environment_with(**as_on_a_terminal, **self.variables)
        )
        if answer.status != expect:
            raise DemoError(f"eatool {arguments[0]} ended with {answer.status}:\n{answer.text}")
        return answer


def _run(command: list[str], environment: dict[str, str]) -> Answer:
    done = subprocess.run(  # noqa: S603 - our own commands
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_PATIENCE,
        check=False,
    )
    return Answer(done.returncode, done.stdout, done.stderr)
