"""What commands share that name kinds, are configured, or record changes without a cluster."""

from __future__ import annotations

import asyncio
import getpass
from collections.abc import Awaitable, Callable
from typing import TypeVar

import click
from pydantic import ValidationError

from eatool.domain.kind import EntityKind
from eatool.domain.kinds import KINDS
from eatool.registry.change import ActorType, Provenance, Source, Trust
from eatool.registry.opening import Inline, OpenRegistry, open_registry, policy_of, read_models
from eatool.settings import Settings
from eatool.store.command_line import opened_engine

_T = TypeVar("_T")

_KIND_NAMES = {
    name.lower(): kind
    for kind in KINDS.values()
    for name in (kind.kind, kind.plural, kind.aggregate_type, *kind.short_names)
}


class KindName(click.ParamType[EntityKind]):
    """Any name of a kind: ``Application``, ``applications``, ``eaapp``, ``application``."""

    name = "kind"

    def convert(
        self, value: str | EntityKind, param: click.Parameter | None, ctx: click.Context | None
    ) -> EntityKind:
        """Find the kind; fails with the legal names."""
        kind = value if isinstance(value, EntityKind) else _KIND_NAMES.get(value.lower())
        if kind is None:
            legal = ", ".join(kind.plural for kind in KINDS.values())
            self.fail(f"must be one of {legal}", param, ctx)
        return kind


def _asker(_context: click.Context, _option: click.Parameter, value: str | None) -> str:
    try:
        return value or getpass.getuser()
    except (OSError, KeyError):
        # A container may run as a number that no passwd file knows.
        raise click.UsageError("the operating system has no name for you: give --actor") from None


actor_option = click.option(
    "--actor",
    callback=_asker,
    help="Who asks; default the user of the operating system.",
)
reason_option = click.option("--reason", help="Why; quoted in the events.")


def declared(actor: str, reason: str | None) -> Provenance:
    """What the events of a command say about where they come from."""
    return Provenance(
        actor=actor,
        actor_type=ActorType.USER,
        trust=Trust.DECLARED,
        source=Source.IMPORT,
        reason=reason,
    )


def settings() -> Settings:
    """The settings; variables that are wrong end the command: one line each, exit code 2."""
    try:
        return Settings()
    except ValidationError as error:
        for complaint in error.errors(include_input=False, include_url=False):
            name = "EATOOL_" + "_".join(map(str, complaint["loc"])).upper()
            click.echo(f"{name}: {complaint['msg']}", err=True)
        raise SystemExit(2) from None


def with_registry(
    url: str,
    act: Callable[[OpenRegistry], Awaitable[_T]],
    *,
    dry_run: bool,
    inline: Inline = read_models,
) -> _T:
    """Run ``act`` on the registry at ``url``, under the operator's own policy switches.

    Its schema is brought up to date first, unless nothing is to be recorded. ``inline``: the
    projections that every append updates.
    """
    policy = policy_of(settings())

    async def run() -> _T:
        opening = open_registry(
            url,
            policy=policy,
            migrate=not dry_run,
            dry_run=dry_run,
            inline=inline,
        )
        async with opening as opened:
            return await act(opened)

    with opened_engine(url, missing_ok=True):
        return asyncio.run(run())
