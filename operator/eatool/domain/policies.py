"""Governance that a site switches on per kind: reasons, approvals, strict state machines.

Everything is off by default, so that a plain ``kubectl delete`` and a ``git revert`` work.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from eatool.domain.errors import Code, FieldError
from eatool.domain.kind import EntityKind, EntitySpec
from eatool.domain.landscape import Request
from eatool.domain.rules import ApprovalRule, StateMachine

_ANNOTATIONS = {"reason": "eatool.io/reason", "approval_id": "eatool.io/approval-id"}


@dataclass(frozen=True, slots=True)
class Policy:
    """Aggregate types for which each rule is on.

    Attributes:
        require_reason: changes their kind's ``approvals`` name need ``eatool.io/reason``.
        require_approval: those that name an approval need ``eatool.io/approval-id``.
        strict_lifecycle: ``state_machines`` are enforced; otherwise any transition passes.

    """

    require_reason: frozenset[str] = frozenset()
    require_approval: frozenset[str] = frozenset()
    strict_lifecycle: frozenset[str] = frozenset()

    @classmethod
    def strict(cls, aggregate_types: Iterable[str]) -> Policy:
        """Everything on for these kinds."""
        every = frozenset(aggregate_types)
        return cls(every, every, every)


def change_complaints(
    policy: Policy, kind: EntityKind, old: EntitySpec, new: EntitySpec, request: Request
) -> Iterable[FieldError]:
    """What the policy has against moving from one accepted spec to another."""
    for rule in kind.approvals:
        if rule.field is None:
            continue
        before, after = getattr(old, rule.field), getattr(new, rule.field)
        if before != after and rule.applies(before, after):
            yield from _approval(policy, kind, rule, request, kind.spec.path_of(rule.field))
    if kind.aggregate_type in policy.strict_lifecycle:
        for machine in kind.state_machines:
            yield from _transition(kind, machine, old, new, request)


def deletion_complaints(policy: Policy, kind: EntityKind, request: Request) -> Iterable[FieldError]:
    """What the policy has against a deletion as it was asked for."""
    for rule in kind.approvals:
        if rule.field is None:
            yield from _approval(policy, kind, rule, request, "metadata.annotations")


def _approval(
    policy: Policy, kind: EntityKind, rule: ApprovalRule, request: Request, path: str
) -> Iterable[FieldError]:
    if rule.reason and kind.aggregate_type in policy.require_reason and not request.reason:
        yield FieldError(
            path,
            Code.JUSTIFICATION_REQUIRED,
            f"{rule.what} needs a reason: {_how('reason', request)}",
        )
    if rule.approval and kind.aggregate_type in policy.require_approval and not request.approval_id:
        yield FieldError(
            path,
            Code.APPROVAL_REQUIRED,
            f"{rule.what} needs an approval: {_how('approval_id', request)}",
        )


def _how(what: str, request: Request) -> str:
    spent = "; what is there counted for an earlier change" if what in request.spent else ""
    return f"annotate it with {_ANNOTATIONS[what]}{spent}"


def _transition(
    kind: EntityKind, machine: StateMachine, old: Any, new: Any, request: Request
) -> Iterable[FieldError]:
    before, after = getattr(old, machine.field), getattr(new, machine.field)
    if machine.allows(before, after):
        return
    path = kind.spec.path_of(machine.field)
    override = machine.override_for(before, after)
    asked = request.override == override or "override" in request.spent
    if override is None or not asked:
        legal = ", ".join(sorted(machine.transitions[before])) or "nothing: it is final"
        hint = f"; or set eatool.io/override: {override} with a reason" if override else ""
        yield FieldError(
            path,
            Code.INVALID_STATE_TRANSITION,
            f"must not go from {before} to {after}; {before} may be followed by {legal}{hint}",
        )
    elif not request.reason:
        yield FieldError(
            path,
            Code.JUSTIFICATION_REQUIRED,
            f"the override {override} needs a reason: {_how('reason', request)}",
        )
