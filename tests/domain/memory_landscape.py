"""A registry in a dictionary: the Landscape that decisions read, and the store's constraints.

``record`` refuses exactly what a store must refuse, so tests show that the constraints which
decisions return are enough even when a decision was based on an older registry.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from typing import Any

from eatool.domain.decision import Accepted, EntityState
from eatool.domain.evolve import evolve
from eatool.domain.identity import EntityRef
from eatool.domain.kinds import KINDS
from eatool.domain.landscape import Constraints, Referrer, Sharer


class RefusedAtAppend(Exception):
    """A constraint does not hold; the text says which."""


@dataclass
class MemoryLandscape:
    """Accepted entities by reference; ``log`` is (category, versioned type) by position."""

    states: dict[EntityRef, EntityState] = field(default_factory=dict)
    constraints: dict[EntityRef, Constraints] = field(default_factory=dict)
    log: list[tuple[str, str]] = field(default_factory=list)

    def snapshot(self) -> MemoryLandscape:
        """The registry as it is now, for a decision that is recorded later."""
        return MemoryLandscape(copy(self.states), copy(self.constraints), copy(self.log))

    def state(self, ref: EntityRef) -> EntityState:
        return self.states.get(ref, EntityState(ref))

    def accepted(self, ref: EntityRef) -> Any:
        """The spec as a model, ``None`` while there is none."""
        return self.state(ref).spec

    def live(self) -> list[EntityRef]:
        return [ref for ref, state in self.states.items() if state.exists]

    # --- Landscape ---------------------------------------------------------------------------

    def alive(self, refs: Sequence[EntityRef]) -> set[EntityRef]:
        return {ref for ref in refs if self.state(ref).exists}

    def spec(self, ref: EntityRef) -> Mapping[str, object] | None:
        accepted = self.accepted(ref)
        return None if accepted is None else dict(accepted.model_dump())

    def parent(self, ref: EntityRef) -> EntityRef | None:
        parent_field = KINDS[ref.aggregate_type].parent_field
        spec = self.accepted(ref)
        name = getattr(spec, parent_field) if spec is not None and parent_field else None
        return EntityRef(ref.aggregate_type, ref.namespace, name) if name is not None else None

    def referrers(self, ref: EntityRef, limit: int = 10) -> Sequence[Referrer]:
        found = [
            Referrer(source, name, hard)
            for source in self.live()
            for name, target, hard in self.constraints[source].references
            if target == ref
        ]
        return sorted(found, key=lambda item: (item.source, item.field))[:limit]

    def holder(self, key: str) -> EntityRef | None:
        return next((ref for ref in self.live() if key in self.constraints[ref].keys), None)

    def sharers(self, key: str) -> Sequence[Sharer]:
        return [
            Sharer(ref, self.state(ref).version, self.accepted(ref).model_dump(mode="json"))
            for ref in self.live()
            if any(hold.key == key for hold in self.constraints[ref].shared)
        ]

    # --- store -------------------------------------------------------------------------------

    def record(
        self, state: EntityState, accepted: Accepted, decided_at: int | None = None
    ) -> EntityState:
        """Append the events of a decision that was based on the first ``decided_at`` events."""
        current = self.state(state.ref)
        if not accepted.events:
            return current
        self._check(current, state, accepted.constraints, decided_at)
        for event in accepted.events:
            current = evolve(current, event)
            self.log.append((state.ref.category, event.versioned_type()))
        self.states[state.ref] = current
        self.constraints[state.ref] = accepted.constraints
        return current

    def _check(
        self,
        current: EntityState,
        state: EntityState,
        constraints: Constraints,
        decided_at: int | None,
    ) -> None:
        if current.version != state.version:
            raise RefusedAtAppend("version")
        for key in constraints.keys:
            if self.holder(key) not in (None, state.ref):
                raise RefusedAtAppend(f"key {key}")
        for hold in constraints.shared:
            others = {(each.ref, each.version) for each in self.sharers(hold.key)}
            others = {other for other in others if other[0] != state.ref}
            if hold.beside is not None and not others <= hold.beside:
                raise RefusedAtAppend(f"shared key {hold.key}")
        if self.alive(list(constraints.requires_alive)) != constraints.requires_alive:
            raise RefusedAtAppend("reference gone")
        if constraints.no_referrers:
            named = {referrer.source for referrer in self.referrers(state.ref, 10_000)}
            if named - constraints.ignoring - {state.ref}:
                raise RefusedAtAppend("still referenced")
        since = self.log[decided_at:] if decided_at is not None else []
        for category, prefix in constraints.no_events_since:
            if any(name == category and kind.startswith(prefix) for name, kind in since):
                raise RefusedAtAppend(f"condition {prefix}")
