"""``eatool rollout``: where kinds stand, what they wait for, what happened, and a yes to it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table
from rich.text import Text

from eatool.kube.credentials import CannotSignIn, api_client
from eatool.kube.requests import ApiUnavailable, NotServed
from eatool.kube.rollout.api import RolloutApi
from eatool.kube.rollout.resource import APPROVE, annotations_of
from eatool.kube.rollout.telling import BULLETS, STYLES, next_step, sentence
from eatool.registry.command_line import KindName
from eatool.rollout.gates import LOSSY
from eatool.rollout.ledger_sql import SqlLedger
from eatool.store.command_line import opened_store, store_option
from eatool.terminal import cell, output_option, show_json, show_table

_T = TypeVar("_T")
Body = dict[str, Any]

#: Field manager of approvals, where no admission policy names the person.
_MANAGER: Final = "eatool-rollout-approve"


@click.group()
def rollout() -> None:
    """Move kinds from an existing registry to the event log, phase by phase.

    status and approve speak to the Kubernetes API with your own kubeconfig and rights.
    """


@rollout.command()
@click.argument("kind", type=KindName(), required=False)
@output_option
def status(kind: Any, output: str) -> None:
    """Show where each kind stands, and what its next step waits for."""
    found = _with_api(lambda api: api.rollouts())
    if kind is not None:
        found = [body for body in found if body["spec"]["entityKind"] == kind.kind]
        if not found:
            raise click.ClickException(f"{kind.kind} has no EventSourcingRollout")
    if output == "json":
        show_json(
            [{"name": body["metadata"]["name"], **(body.get("status") or {})} for body in found]
        )
        return
    if not found:
        click.echo("No kind is under rollout: the event log is authoritative for all of them.")
        return
    show_table(_overview(found))
    console = Console()
    for body in found:
        _details(console, body)


@rollout.command()
@click.argument("kind", type=KindName())
@store_option
@output_option
def history(kind: Any, url: str, output: str) -> None:
    """Show every transition of a kind that is kept, newest first, with its evidence."""
    with opened_store(url) as store:
        records = SqlLedger(store).history(kind.aggregate_type)
    if output == "json":
        show_json(
            [
                {
                    "epoch": each.epoch,
                    "result": each.result,
                    "from": each.source,
                    "to": each.target,
                    "startedAt": each.started_at,
                    "finishedAt": each.finished_at,
                    "position": each.position,
                    **each.cause.to_json(),
                }
                for each in records
            ]
        )
        return
    if not records:
        click.echo(f"{kind.kind} has never been under rollout.")
        return
    table = Table(
        Column("Epoch", justify="right"), "Ended", "Result", "Step", "By", "Why", "Evidence"
    )
    for each in records:
        evidence = "\n".join(
            f"{found['name']} {found.get('value', '-')} ({found['demand']})"
            for found in each.cause.evidence
        )
        table.add_row(
            str(each.epoch),
            cell(each.finished_at),
            each.result,
            f"{each.source or 'nothing'} to {each.target}",
            each.cause.actor,
            each.cause.reason + (f" ({each.cause.ticket})" if each.cause.ticket else ""),
            evidence,
        )
    show_table(table)


@rollout.command()
@click.argument("kind", type=KindName())
@click.option("--transition", "identity", metavar="ID", help="As status shows it; asked otherwise.")
@click.option("--gate", metavar="NAME", help="Only this gate; otherwise all that need a person.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def approve(kind: Any, identity: str | None, gate: str | None, *, yes: bool) -> None:
    """Approve the next transition of a kind: exactly the one named, and no later one."""
    name = kind.kind.lower()
    found = [
        each for each in _with_api(lambda api: api.rollouts()) if each["metadata"]["name"] == name
    ]
    if not found:
        raise click.ClickException(f"{kind.kind} has no EventSourcingRollout")
    told = found[0].get("status") or {}
    next_ = told.get("transition")
    if next_ is None:
        raise click.ClickException(f"nothing is to be approved: {told.get('message', 'no status')}")
    if identity is not None and identity != next_["id"]:
        raise click.ClickException(f"the next transition is {next_['id']}, not {identity}")
    waiting = [
        each["name"]
        for each in told.get("gates", ())
        if each["type"] == "Manual" and each["state"] == "Waiting"
    ]
    if gate is not None and gate not in waiting:
        raise click.ClickException(
            f"gate {gate} does not wait; waiting: {', '.join(waiting) or '-'}"
        )
    if LOSSY in waiting and gate is None:
        raise click.ClickException(
            f"going back now undoes accepted changes: {told.get('message')}; "
            f"if that is to be, say --gate {LOSSY}"
        )
    if not waiting:
        raise click.ClickException(f"no gate waits for a person: {told.get('message')}")
    if identity is None and not yes:
        gates = gate or ", ".join(waiting)
        click.confirm(
            f"Approve {kind.kind} from {next_['from']} to {next_['to']} at {gates}?", abort=True
        )
    value = f"{next_['id']}/{gate}" if gate else next_["id"]
    if annotations_of(found[0]).get(APPROVE) != value:
        _with_api(lambda api: api.annotate(name, {APPROVE: value}, manager=_MANAGER))
    click.echo(f"approved {value}")


def _overview(found: list[Body]) -> Table:
    table = Table(
        "Kind",
        "Phase",
        "Goal",
        "State",
        Column("Criteria", justify="right"),
        "Differences",
        "Soak",
        Column("Epoch", justify="right"),
        title="Rollouts",
        title_justify="left",
    )
    for body in found:
        told = body.get("status") or {}
        state = told.get("state", "Pending")
        table.add_row(
            body["spec"]["entityKind"],
            told.get("phase", "-"),
            body["spec"]["targetPhase"],
            Text(state, style=STYLES.get(state, "yellow")),
            told.get("criteriaSummary", "-"),
            told.get("parity", "-"),
            told.get("soak", "-"),
            str(told.get("phaseEpoch", "-")),
        )
    return table


def _details(console: Console, body: Body) -> None:
    told = body.get("status") or {}
    console.print(
        f"\n[bold]{body['spec']['entityKind']}[/]  {escape(sentence(body))}", highlight=False
    )
    judged = [("", each) for each in told.get("criteria", ())]
    judged += [("to stay: ", each) for each in told.get("rollbackCriteria", ())]
    for what_for, each in judged:
        value = f", it is {each['value']}" if "value" in each else f", {each.get('message', '')}"
        dry = " (shown only)" if each.get("dryRun") else ""
        console.print(
            f"  {BULLETS[each['result']]} {what_for}{each['name']}: "
            f"{escape(each['demand'] + value)}{dry}",
            highlight=False,
        )
    for each in told.get("gates", ()):
        console.print(
            f"  {BULLETS[each['state']]} gate {each['name']}: {escape(each['message'])}",
            highlight=False,
        )
    if (advice := next_step(body)) is not None:
        console.print(f"  [bold]{advice}[/]", highlight=False)


def _with_api(act: Callable[[RolloutApi], Awaitable[_T]]) -> _T:
    async def run() -> _T:
        transport = await api_client()
        try:
            return await act(RolloutApi(transport, lambda *_: None))
        finally:
            await transport.close()

    try:
        return asyncio.run(run())
    except NotServed as error:
        raise click.ClickException("the cluster has no EventSourcingRollouts: no CRD") from error
    except (ApiUnavailable, CannotSignIn) as error:
        raise click.ClickException(str(error)) from error
