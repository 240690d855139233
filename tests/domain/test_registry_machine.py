"""Arbitrary sequences of accepted changes, some decided on an outdated registry, break nothing.

A decision may be recorded at once or later, after others; the append then checks only what the
decision returned as constraints, as the store does. The invariants hold for the registry all the
same, so the constraints are enough.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)
from tests.domain.memory_landscape import MemoryLandscape, RefusedAtAppend
from tests.domain.strategies import NAMES, Raw, maybe, raw_specs, timestamps

from eatool.domain.decide import decide, decide_deletion
from eatool.domain.decision import Accepted, EntityState
from eatool.domain.identity import EntityRef
from eatool.domain.kinds import KINDS
from eatool.domain.landscape import Pending, Request
from eatool.domain.parsing import parse
from eatool.domain.references import references_of
from eatool.domain.relation_matrix import ROWS
from eatool.domain.uniqueness import keys_of
from eatool.domain.windows import Window

REQUEST = Request()


@dataclass(frozen=True)
class Undecided:
    """A decision on its way to the log."""

    state: EntityState
    accepted: Accepted
    decided_at: int


NAMING = ("name", "hostname")
SEED: dict[str, Raw] = {
    "organization": {"name": "org"},
    "business_capability": {"name": "capability"},
    "application": {
        "name": "app",
        "owner": "team",
        "lifecycle": "active",
        "dataClassification": "public",
    },
    "application_service": {"name": "service"},
    "application_interface": {
        "name": "interface",
        "protocol": "https",
        "endpoint": "localhost",
        "exposedByAppId": NAMES["application"][0],
        "status": "active",
    },
    "server": {"hostname": "server", "environment": "dev", "criticality": "low"},
    "integration": {
        "sourceAppId": NAMES["application"][0],
        "targetAppId": NAMES["application"][1],
        "protocol": "rest",
    },
    "data_entity": {"name": "data", "classification": "public", "criticality": "low"},
}
#: Each run looks at a few kinds closely; a walk over all nine seldom meets itself.
FOCUS = [
    ("organization",),
    ("business_capability", "application"),
    ("application", "integration"),
    ("data_entity",),
    ("relation",),
    tuple(KINDS),
]
windows = st.tuples(maybe(timestamps), maybe(timestamps))
instantly = st.booleans()


class Registry(RuleBasedStateMachine):
    """Users apply and delete; some of their changes are slow to arrive at the log."""

    def __init__(self) -> None:
        super().__init__()
        self.registry = MemoryLandscape()
        self.terminating: set[EntityRef] = set()
        self.in_flight: list[Undecided] = []
        self.kinds: tuple[str, ...] = ()

    @initialize(focus=st.sampled_from(FOCUS))
    def populate(self, focus: tuple[str, ...]) -> None:
        """Four entities of every kind but Relation, so that changes have something to hit."""
        self.kinds = focus
        for aggregate_type, raw in SEED.items():
            for index, name in enumerate(NAMES[aggregate_type]):
                distinct = {
                    key: f"{value}-{index}" if key in NAMING else value
                    for key, value in raw.items()
                }
                self._submit(EntityRef(aggregate_type, "default", name), distinct, now=True)

    def _some(self, data: st.DataObject) -> EntityRef:
        kind = data.draw(st.sampled_from(self.kinds))
        return EntityRef(kind, "default", data.draw(st.sampled_from(NAMES[kind])))

    def _submit(self, ref: EntityRef, raw: Raw, now: bool) -> None:
        kind = KINDS[ref.aggregate_type]
        if ref in self.terminating:
            return
        state = self.registry.state(ref)
        decision = decide(
            kind,
            state,
            parse(kind, raw),
            landscape=self.registry,
            request=REQUEST,
            pending=Pending(terminating=frozenset(self.terminating)),
        )
        if isinstance(decision, Accepted):
            self._send(state, decision, now)

    def _send(self, state: EntityState, accepted: Accepted, now: bool) -> None:
        sent = Undecided(state, accepted, len(self.registry.log))
        if now:
            # Nothing happened since the decision: a refusal now would be a contradiction.
            self.registry.record(state, accepted, sent.decided_at)
        else:
            self.in_flight.append(sent)

    @rule(data=st.data(), now=instantly)
    def apply(self, data: st.DataObject, now: bool) -> None:
        ref = self._some(data)
        self._submit(ref, data.draw(raw_specs(KINDS[ref.aggregate_type])), now)

    @precondition(lambda self: "organization" in self.kinds)
    @rule(data=st.data(), now=instantly)
    def move(self, data: st.DataObject, now: bool) -> None:
        ref, parent = (data.draw(st.sampled_from(NAMES["organization"])) for _ in range(2))
        raw = {"name": ref, "parentId": parent}
        self._submit(EntityRef("organization", "default", ref), raw, now)

    @precondition(lambda self: "relation" in self.kinds)
    @rule(name=st.sampled_from(NAMES["relation"]), window=windows, now=instantly)
    def relate(self, name: str, window: tuple[str | None, str | None], now: bool) -> None:
        """Relations between the same two servers, so that their windows meet."""
        opens, closes = window
        if opens is not None and closes is not None:
            opens, closes = sorted((opens, closes))
        raw = {
            "sourceType": "server",
            "sourceId": NAMES["server"][0],
            "targetType": "server",
            "targetId": NAMES["server"][1],
            "relationType": "connected_to",
            "effectiveFrom": opens,
            "effectiveTo": closes,
        }
        self._submit(EntityRef("relation", "default", name), raw, now)

    @rule(data=st.data(), now=instantly, marked=st.booleans())
    def delete(self, data: st.DataObject, now: bool, marked: bool) -> None:
        """Decide a deletion; ``marked``: everybody else knows already that it is under way."""
        ref = self._some(data)
        state = self.registry.state(ref)
        if marked and state.exists:
            self.terminating.add(ref)
        decision = decide_deletion(
            KINDS[ref.aggregate_type],
            state,
            landscape=self.registry,
            request=REQUEST,
            pending=Pending(terminating=frozenset(self.terminating)),
        )
        if isinstance(decision, Accepted):
            self._send(state, decision, now)
        self._release()

    @rule(data=st.data())
    def arrive(self, data: st.DataObject) -> None:
        """Everything under way reaches the log, in any order."""
        for sent in data.draw(st.permutations(self.in_flight)):
            with suppress(RefusedAtAppend):
                self.registry.record(sent.state, sent.accepted, sent.decided_at)
        self.in_flight.clear()
        self._release()

    def _release(self) -> None:
        self.terminating = {ref for ref in self.terminating if self.registry.state(ref).exists}

    @invariant()
    def hard_references_are_alive(self) -> None:
        for ref in self.registry.live():
            if ref in self.terminating:
                continue
            named = references_of(
                KINDS[ref.aggregate_type], ref.namespace, self.registry.accepted(ref)
            )
            hard = {reference.target for reference in named if reference.hard}
            assert self.registry.alive(list(hard)) == hard

    @invariant()
    def no_hierarchy_has_a_loop(self) -> None:
        for ref in self.registry.live():
            seen, node = set(), self.registry.parent(ref)
            while node is not None and node not in seen:
                assert node != ref
                seen.add(node)
                node = self.registry.parent(node)

    @invariant()
    def unique_keys_have_one_holder(self) -> None:
        held = [
            key
            for ref in self.registry.live()
            for key in keys_of(KINDS[ref.aggregate_type], ref, self.registry.accepted(ref))
        ]
        assert len(held) == len(set(held))

    @invariant()
    def relations_are_in_the_matrix_and_apart(self) -> None:
        relations = [
            self.registry.accepted(ref)
            for ref in self.registry.live()
            if ref.aggregate_type == "relation"
        ]
        for index, one in enumerate(relations):
            assert (one.source_type, one.relation_type, one.target_type) in ROWS
            for other in relations[:index]:
                same = all(
                    getattr(one, name) == getattr(other, name)
                    for name in KINDS["relation"].immutable
                )
                if same:
                    assert not _window(one).overlaps(_window(other))


def _window(relation: Any) -> Window:
    return Window.of(relation.effective_from, relation.effective_to)


TestRegistry = Registry.TestCase
TestRegistry.settings = settings(
    max_examples=200,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
