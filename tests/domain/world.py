"""Shorthand for table tests: apply and delete manifests in a registry in memory."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from tests.domain.memory_landscape import MemoryLandscape

from eatool.domain.decide import decide, decide_deletion
from eatool.domain.decision import Accepted, Decision, EntityState, Rejected, Waiting
from eatool.domain.errors import FieldError, SpecInvalid
from eatool.domain.identity import EntityRef
from eatool.domain.kinds import by_kind
from eatool.domain.landscape import Pending, Request
from eatool.domain.parsing import parse
from eatool.domain.policies import Policy

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


def ref(kind: str, name: str) -> EntityRef:
    return by_kind(kind).ref("default", name)


def said(errors: tuple[FieldError, ...]) -> list[str]:
    return [f"{error.code} {error}" for error in errors]


def types(accepted: Accepted) -> list[str]:
    return [event.versioned_type() for event in accepted.events]


def complaints(kind: str, spec: dict[str, Any]) -> list[str]:
    """What parsing has against a spec; empty when it passes."""
    try:
        parse(by_kind(kind), spec)
    except SpecInvalid as invalid:
        return said(invalid.errors)
    return []


@dataclass
class World:
    registry: MemoryLandscape = field(default_factory=MemoryLandscape)
    policy: Policy = field(default_factory=Policy)

    @staticmethod
    def application(name: str, **fields: Any) -> dict[str, Any]:
        base = {
            "name": name,
            "owner": "team",
            "lifecycle": "active",
            "dataClassification": "internal",
        }
        return base | fields

    @staticmethod
    def relation(source: str, verb: str, target: str, **fields: Any) -> dict[str, Any]:
        """Ends written ``application/shop``."""
        (source_type, source_id), (target_type, target_id) = source.split("/"), target.split("/")
        ends = {"sourceType": source_type, "sourceId": source_id}
        ends |= {"targetType": target_type, "targetId": target_id, "relationType": verb}
        return ends | fields

    def decide(
        self,
        kind: str,
        name: str,
        spec: dict[str, Any],
        *,
        pending: Pending | None = None,
        landscape: MemoryLandscape | None = None,
        **request: Any,
    ) -> Decision:
        registry = landscape or self.registry
        return decide(
            by_kind(kind),
            registry.state(ref(kind, name)),
            parse(by_kind(kind), spec),
            landscape=registry,
            request=Request(now=NOW, **request),
            pending=pending or Pending(),
            policy=self.policy,
        )

    def apply(self, kind: str, name: str, spec: dict[str, Any], **request: Any) -> Accepted:
        decision = self.decide(kind, name, spec, **request)
        assert isinstance(decision, Accepted), decision
        self.registry.record(self.state(kind, name), decision)
        return decision

    def refused(self, kind: str, name: str, spec: dict[str, Any], **more: Any) -> list[str]:
        decision = self.decide(kind, name, spec, **more)
        assert isinstance(decision, Rejected), decision
        return said(decision.errors)

    def waits(self, kind: str, name: str, spec: dict[str, Any], **more: Any) -> list[str]:
        decision = self.decide(kind, name, spec, **more)
        assert isinstance(decision, Waiting), decision
        assert decision.missing
        return said(decision.errors)

    def decide_deletion(
        self, kind: str, name: str, *, terminating: frozenset[EntityRef] = frozenset(), **more: Any
    ) -> Decision:
        return decide_deletion(
            by_kind(kind),
            self.state(kind, name),
            landscape=self.registry,
            request=Request(now=NOW, **more),
            pending=Pending(terminating=terminating),
            policy=self.policy,
        )

    def delete(self, kind: str, name: str, **more: Any) -> Accepted:
        decision = self.decide_deletion(kind, name, **more)
        assert isinstance(decision, Accepted), decision
        self.registry.record(self.state(kind, name), decision)
        return decision

    def state(self, kind: str, name: str) -> EntityState:
        return self.registry.state(ref(kind, name))
