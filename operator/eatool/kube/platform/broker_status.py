"""The status of an EventBroker, from what one look found. Derived, never an input.

kstatus reads it so: ``Reconciling`` while something goes on by itself (connecting, a Secret that
somebody will create), ``Stalled`` when only a person can mend it, ``Ready`` when the spec is
carried out, which for a suspended broker means that nothing is sent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from eatool.kube.conditions import Condition, Status, gist, merge
from eatool.kube.platform.complaints import complaint_of
from eatool.publishing.breaker import CircuitState
from eatool.publishing.lag import Lag
from eatool.publishing.options import RelayStatus
from eatool.publishing.problems import SpecProblem

Body = dict[str, Any]

#: Problems that end by themselves when somebody else is done: no reason to call it failed.
_AWAITED: Final = frozenset({"SecretNotFound", "SecretKeyMissing"})
_WORDS: Final = 1000  # characters of an error; brokers can be wordy

#: How much older the backlog must look before that alone is worth a write.
_AGEING: Final = 1.1


@dataclass(frozen=True, slots=True)
class Look:
    """What one look at a broker found.

    Attributes:
        problem: why its spec cannot be used.
        suspended: somebody asked for it.
        relay: the relay of this process, if there is one.
        lag: figures from the checkpoints; ``None`` when the store cannot be read.

    """

    problem: SpecProblem | None
    suspended: bool
    relay: RelayStatus | None
    lag: Lag | None


def broker_status(body: Mapping[str, Any], look: Look, now: datetime) -> Body:
    """Full status; figures that cannot be read now stay as they were."""
    old = body.get("status") or {}
    generation = body["metadata"]["generation"]
    relay = look.relay
    status: Body = {
        "observedGeneration": generation,
        "circuit": _circuit(relay),
        "address": relay.address if relay is not None else None,
        **(_figures(look.lag, old, now) if look.lag is not None else _kept(old)),
        "lastError": relay.last_error[:_WORDS] if relay and relay.last_error else None,
    }
    status = {name: value for name, value in status.items() if value is not None}
    conditions = _conditions(look)
    known = old.get("conditions") or ()
    return {**status, "conditions": merge(known, conditions, generation=generation, now=now)}


def essence(status: Mapping[str, Any]) -> object:
    """What is worth a write at once; the rest are figures that move."""
    return gist(status), status.get("parkedStreams"), status.get("circuit") == "closed"


def _circuit(relay: RelayStatus | None) -> str | None:
    return None if relay is None else str(relay.circuit)


_FIGURES: Final = (
    "position",
    "head",
    "lagEvents",
    "lagSeconds",
    "oldestUnpublishedAt",
    "parkedStreams",
)


def _kept(old: Mapping[str, Any]) -> Body:
    return {name: old[name] for name in _FIGURES if name in old}


def _figures(lag: Lag, old: Mapping[str, Any], now: datetime) -> Body:
    behind = None if lag.oldest is None else max(0, int((now - lag.oldest).total_seconds()))
    before = old.get("lagSeconds")
    since = None if lag.oldest is None else stamp(lag.oldest)
    # It grows every second of an outage; ``oldestUnpublishedAt`` says the same without a write.
    if behind and before and since == old.get("oldestUnpublishedAt"):
        behind = before if behind < before * _AGEING + 1 else behind
    return {
        "position": lag.position,
        "head": lag.head,
        "lagEvents": lag.events,
        "lagSeconds": behind or 0,
        "oldestUnpublishedAt": since,
        "parkedStreams": len(lag.parked),
    }


def _conditions(look: Look) -> list[Condition]:
    suspended = Condition(
        "Suspended",
        "True" if look.suspended else "False",
        "Declared",
        "spec.suspended is true" if look.suspended else "spec.suspended is not true",
    )
    if look.problem is not None:
        reason, message = look.problem.reason, str(look.problem)
        return [
            Condition("Ready", "False", reason, message),
            Condition("Connected", "False", reason, message),
            suspended,
            Condition("Reconciling" if reason in _AWAITED else "Stalled", "True", reason, message),
        ]
    if look.suspended:
        message = "Nothing is sent, as declared; events wait in the log"
        return [
            Condition("Ready", "True", "Suspended", message),
            Condition("Connected", "False", "Suspended", message),
            suspended,
        ]
    return _running(look, suspended)


def _running(look: Look, suspended: Condition) -> list[Condition]:
    relay = look.relay
    connected = relay is not None and relay.connected
    error = relay.last_error if relay is not None else None
    reason, message, lasting = _session(relay)
    link = Condition("Connected", "True" if connected else "False", reason, message)
    if look.lag is None:
        away = "The event store cannot be read; nothing is sent that is not in flight"
        return [*_under_way("StoreUnavailable", away, link, suspended, status="Unknown")]
    if not connected:
        if lasting:
            return [
                Condition("Ready", "False", reason, message),
                link,
                suspended,
                Condition("Stalled", "True", reason, message),
            ]
        return _under_way(reason, message, link, suspended)
    if relay is not None and relay.circuit is CircuitState.OPEN:
        told = f"The broker refuses for now: {error}" if error else "The broker refuses for now"
        return _under_way("CircuitOpen", told, link, suspended)
    parked = len(look.lag.parked)
    if parked:
        message += f"; {parked} {'entity is' if parked == 1 else 'entities are'} parked"
    return [Condition("Ready", "True", "Publishing", message), link, suspended]


def _session(relay: RelayStatus | None) -> tuple[str, str, bool]:
    """Reason and message of the connection, and whether only a person can mend it."""
    if relay is None:
        return "Connecting", "The relay is being started", False
    if relay.connected:
        return "Connected", f"Connected to {relay.address or 'the broker'}", False
    if relay.last_error is None:
        return "Connecting", "Connecting for the first time", False
    complaint = complaint_of(relay.fault)
    text = f"{complaint.field}: {relay.last_error[:_WORDS]}"
    return complaint.reason, text, complaint.lasting


def _under_way(
    reason: str, message: str, link: Condition, suspended: Condition, *, status: Status = "False"
) -> list[Condition]:
    return [
        Condition("Ready", status, reason, message),
        link,
        suspended,
        Condition("Reconciling", "True", reason, message),
    ]


def stamp(time: datetime) -> str:
    """As the API server writes times, to the second."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
