"""The command line: ``eatool``, also ``kubectl eatool``."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from importlib import import_module

import click

from eatool import __version__

#: Name -> where its command is, and its line in the list of commands.
COMMANDS: Mapping[str, tuple[str, str]] = {
    "apply": ("eatool.manifests.cli:apply", "Record manifests without a cluster."),
    "asyncapi": ("eatool.contract.cli:asyncapi", "Describe the published events to consumers."),
    "commands": ("eatool.commands.cli:commands", "See and unblock queued changes."),
    "crds": ("eatool.kube.schema.cli:crds", "Generate the CRDs and what goes with them."),
    "demo": ("eatool.demo.cli:demo", "Show the whole way of a change, on real parts."),
    "dev": ("eatool.dev.cli:dev", "Run a local Kubernetes API."),
    "get": ("eatool.registry.cli:get", "Show what is recorded."),
    "history": ("eatool.registry.cli:history", "Show who changed what, when and why."),
    "legacy": ("eatool.rollout.import_cli:legacy", "Take over the tables of an existing registry."),
    "parity": ("eatool.rollout.parity_cli:parity", "See where legacy tables and the log differ."),
    "projections": ("eatool.projections.cli:projections", "Prove and rebuild the read tables."),
    "relay": ("eatool.publishing.cli:relay", "See and unpark what goes to the broker."),
    "rollout": ("eatool.kube.rollout.cli:rollout", "Move kinds to the event log, phase by phase."),
    "run": ("eatool.cli:run", "Run the operator."),
    "store": ("eatool.store.cli:store", "Look after the event log's database."),
    "verify": ("eatool.store.cli:verify", "Prove that the log is complete and unchanged."),
}


class LazyGroup(click.Group):
    """Imports a command when it is called: help and completion need none of their libraries."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order of the help."""
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Load one command."""
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without loading them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name][1]) for name in self.list_commands(ctx)])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="eatool")
def main() -> None:
    """Declarative, event-sourced enterprise-architecture registry on Kubernetes."""


@click.command()
def run() -> None:
    """Run the operator; configured by EATOOL_* variables (docs/install.md lists them).

    What comes up by itself, as the database and the Kubernetes API, is waited for. Exit code 2: a
    variable is wrong; one line each says which. Exit code 1: a vital part failed.
    """
    import structlog

    from eatool.registry.command_line import settings
    from eatool.runtime import run as serve
    from eatool.starting import ConfigurationError

    try:
        asyncio.run(serve(settings()))
    except ConfigurationError as error:
        click.echo(str(error), err=True)
        raise SystemExit(2) from None
    except Exception:
        structlog.get_logger("eatool.runtime").exception("the operator ends: a vital part failed")
        raise SystemExit(1) from None
