"""The command line: ``eatool``, also ``kubectl eatool``."""

from __future__ import annotations

import asyncio
import sys

import click
from pydantic import ValidationError

from eatool import __version__
from eatool.dev.cli import dev
from eatool.kube.schema.cli import crds
from eatool.settings import Settings
from eatool.store.cli import store, verify


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="eatool")
def main() -> None:
    """Declarative, event-sourced enterprise-architecture registry on Kubernetes."""


@main.command()
def run() -> None:
    """Run the operator; configured by EATOOL_* variables (docs/install.md lists them)."""
    from eatool.runtime import run as serve  # noqa: PLC0415 - kopf and SQL only where they work

    asyncio.run(serve(settings()))


def settings() -> Settings:
    """Settings of the environment; ends with one line per wrong variable."""
    try:
        return Settings()
    except ValidationError as error:
        for complaint in error.errors(include_input=False, include_url=False):
            name = "EATOOL_" + "_".join(map(str, complaint["loc"])).upper()
            click.echo(f"{name}: {complaint['msg']}", err=True)
        sys.exit(2)


for command in (dev, crds, store, verify):
    main.add_command(command)
