"""What becomes of a desired spec or a deletion: events, patience, or a reason why not.

Pure: everything it knows comes in as arguments, so it is tested in a table and replayed at will.
Deciding the same spec again after its events were recorded yields no events.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, cast

from pydantic_core import to_json

from eatool.domain.changes import changed, created, deleted
from eatool.domain.decision import Accepted, Decision, EntityState, Rejected, Waiting
from eatool.domain.errors import Code, FieldError
from eatool.domain.events import EntityEvent
from eatool.domain.fields import NAME_MAX
from eatool.domain.identity import EntityRef
from eatool.domain.kind import Conflict, EntityKind, EntitySpec
from eatool.domain.landscape import Constraints, Fact, Landscape, Pending, Request
from eatool.domain.parsing import parse
from eatool.domain.policies import Policy, change_complaints, deletion_complaints
from eatool.domain.references import (
    Reference,
    loops,
    move_conditions,
    references_of,
    resolve,
    self_references,
)
from eatool.domain.uniqueness import Sharing, keys_of, sharing, taken_keys

__all__ = ["MAX_EVENT_BYTES", "decide", "decide_deletion", "parse"]

#: The log refuses larger event data; one change set must stay below it to be recordable at all.
MAX_EVENT_BYTES = 64 * 1024
#: A refused deletion names this many referrers and counts the rest up to the second figure.
REFERRERS_NAMED, REFERRERS_COUNTED = 10, 100

_NO_PENDING, _NO_POLICY = Pending(), Policy()


def decide(
    kind: EntityKind,
    state: EntityState,
    desired: EntitySpec,
    *,
    landscape: Landscape,
    request: Request,
    pending: Pending = _NO_PENDING,
    policy: Policy = _NO_POLICY,
) -> Decision:
    """Answer to "this entity should look like ``desired``" (a canonical spec, see ``parse``).

    * :class:`Accepted` with the events that lead there; none when it already looks so.
    * :class:`Waiting` when only hard references are missing.
    * :class:`Rejected` with every complaint at once, missing references included.
    """
    ref, old = state.ref, cast("EntitySpec | None", state.spec)
    new_references = list(references_of(kind, ref.namespace, desired))
    # Before anything else is read: what the rules see later is not older than what is checked.
    shared = sharing(kind, ref, desired, landscape)
    if old == desired:
        return _unchanged(
            kind, ref, desired, new_references, shared=shared, landscape=landscape, now=request.now
        )
    old_references = list(references_of(kind, ref.namespace, old)) if old is not None else []
    others = [item for item in new_references if item.target != ref]
    resolution = resolve(old_references, others, landscape, pending)
    events = (created(kind, desired),) if old is None else changed(kind, old, desired)
    errors = [
        *_own_name(ref),
        *self_references(ref, new_references),
        *(error for rule in kind.spec_rules for error in rule(desired)),
        *_changing(kind, old, desired, request, policy),
        *_too_large(events),
    ]
    moved = kind.parent_field is not None and (
        old is None or getattr(old, kind.parent_field) != getattr(desired, kind.parent_field)
    )
    conflicts = [
        *(loops(kind, ref, desired, landscape, pending) if moved else ()),
        *taken_keys(kind, ref, old, desired, landscape),
        *_clashes(shared),
        *(found for rule in kind.landscape_rules for found in rule(ref, desired, landscape)),
    ]
    if errors or conflicts:
        return _rejected(errors, conflicts, resolution.waiting)
    if resolution.waiting:
        return Waiting(resolution.waiting, resolution.missing)
    constraints = Constraints(
        keys=keys_of(kind, ref, desired),
        shared=frozenset(each.hold() for each in shared),
        requires_alive=resolution.requires_alive,
        references=_recorded(new_references),
        no_events_since=move_conditions(kind, ref) if moved and old is not None else frozenset(),
    )
    timed = kind.timing(desired, request.now).advice
    warnings = (
        *resolution.warnings,
        *_warnings(kind, ref, desired, shared, landscape),
        *timed,
    )
    return Accepted(events, constraints, warnings, _depends_on(kind, ref, desired, shared))


def decide_deletion(
    kind: EntityKind,
    state: EntityState,
    *,
    landscape: Landscape,
    request: Request,
    pending: Pending = _NO_PENDING,
    policy: Policy = _NO_POLICY,
) -> Decision:
    """Answer to "this entity should be gone".

    Accepted without events when it was never recorded. Refused while a live entity names it,
    unless that one is terminating too, and while the policy misses a reason or an approval.
    """
    if state.spec is None:
        return Accepted((), Constraints())
    limit = REFERRERS_COUNTED + len(pending.terminating)
    referrers = landscape.referrers(state.ref, limit)
    found = {referrer.source for referrer in referrers}
    ignoring = frozenset(source for source in found if source in pending.terminating)
    blockers = frozenset(found - ignoring - {state.ref})
    errors = [*deletion_complaints(policy, kind, request)]
    if blockers:
        errors.append(_blocked(blockers, complete=len(referrers) < limit))
    if errors:
        return Rejected(tuple(errors), blockers)
    event = deleted(kind, cast("EntitySpec", state.spec))
    return Accepted((event,), Constraints(no_referrers=True, ignoring=ignoring))


def _unchanged(
    kind: EntityKind,
    ref: EntityRef,
    spec: EntitySpec,
    references: list[Reference],
    *,
    shared: list[Sharing],
    landscape: Landscape,
    now: datetime,
) -> Accepted:
    # Rules that came with a later release do not reject what was accepted before; they warn.
    late = (
        *(error for rule in kind.spec_rules for error in rule(spec)),
        *(found.error for found in _clashes(shared)),
        *(found.error for rule in kind.landscape_rules for found in rule(ref, spec, landscape)),
    )
    soft = resolve([], [item for item in references if not item.hard], landscape, _NO_PENDING)
    constraints = Constraints(
        keys=keys_of(kind, ref, spec),
        shared=frozenset(each.hold() for each in shared),
        references=_recorded(references),
    )
    timed = kind.timing(spec, now).advice
    warnings = (*late, *soft.warnings, *_warnings(kind, ref, spec, shared, landscape), *timed)
    return Accepted((), constraints, warnings, _depends_on(kind, ref, spec, shared))


def _recorded(references: list[Reference]) -> frozenset[tuple[str, EntityRef, bool]]:
    return frozenset((item.field, item.target, item.hard) for item in references)


def _clashes(shared: list[Sharing]) -> Iterator[Conflict]:
    for each in shared:
        if not each.declared.advisory:
            yield from each.complaints()


def _depends_on(
    kind: EntityKind, ref: EntityRef, spec: EntitySpec, shared: list[Sharing]
) -> frozenset[Fact]:
    return frozenset(
        (*kind.depends_on(ref, spec), *(fact for each in shared for fact in each.depends_on()))
    )


def _warnings(
    kind: EntityKind,
    ref: EntityRef,
    spec: EntitySpec,
    shared: list[Sharing],
    landscape: Landscape,
) -> Iterator[FieldError]:
    for rule in kind.warnings:
        yield from rule(spec)
    for each in shared:
        if each.declared.advisory:
            yield from (found.error for found in each.complaints())
    for advice in kind.landscape_warnings:
        yield from (found.error for found in advice(ref, spec, landscape))


def _rejected(
    errors: list[FieldError], conflicts: list[Conflict], waiting: tuple[FieldError, ...]
) -> Rejected:
    blocked_by = frozenset(ref for conflict in conflicts for ref in conflict.blocked_by)
    # One duplicate may show in several keys; it is said once.
    complaints = dict.fromkeys((*errors, *(found.error for found in conflicts), *waiting))
    return Rejected(tuple(complaints), blocked_by)


def _own_name(ref: EntityRef) -> Iterator[FieldError]:
    if len(ref.name) > NAME_MAX:
        yield FieldError("metadata.name", Code.RANGE, f"must be at most {NAME_MAX} characters")


def _changing(
    kind: EntityKind, old: EntitySpec | None, new: EntitySpec, request: Request, policy: Policy
) -> Iterator[FieldError]:
    for rule in kind.change_rules:
        yield from rule(old, new, request)
    if old is None:
        return
    for name in kind.immutable:
        if getattr(old, name) != getattr(new, name):
            yield FieldError(
                new.path_of(name),
                Code.IMMUTABLE_FIELD,
                f"is immutable and must stay {getattr(old, name)!s}; delete and create instead",
            )
    yield from change_complaints(policy, kind, old, new, request)


def _too_large(events: Iterable[EntityEvent[Any]]) -> Iterator[FieldError]:
    # Compact UTF-8, as the log measures it.
    largest = max((len(to_json(event.to_data())) for event in events), default=0)
    if largest > MAX_EVENT_BYTES:
        yield FieldError(
            "spec",
            Code.TOO_LARGE,
            f"makes an event of {largest} bytes; at most {MAX_EVENT_BYTES} can be recorded",
        )


def _blocked(blockers: frozenset[EntityRef], *, complete: bool) -> FieldError:
    named = sorted(blockers)[:REFERRERS_NAMED]
    listed = ", ".join(ref.called for ref in named)
    rest = len(blockers) - len(named)
    at_least = "" if complete else "at least "
    more = f" and {at_least}{rest} more" if rest else ""
    message = f"is still named by {listed}{more}; delete these too, in any order"
    return FieldError("metadata.name", Code.DELETE_BLOCKED, message)
