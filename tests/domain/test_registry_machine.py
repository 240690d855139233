"""Arbitrary sequences of accepted changes, some decided on an outdated registry, break nothing.

A decision may be recorded at once or later, after others; the append then checks only what the
decision returned as constraints, as the store does. The invariants hold for the registry all the
same, so the constraints are enough.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from tests.domain.memory_landscape import MemoryLandscape, RefusedAtAppend
from tests.domain.strategies import NAMES, Raw, kinds, maybe, raw_specs, timestamps

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
relation_changes = st.tuples(
    st.sampled_from([EntityRef("relation", "default", name) for name in NAMES["relation"]]),
    st.tuples(maybe(timestamps), maybe(timestamps)),
)
refs = st.sampled_from(
    [EntityRef(kind, "default", name) for kind, names in NAMES.items() for name in names]
)
changes = kinds.flatmap(
    lambda kind: st.tuples(
        st.sampled_from([kind.ref("default", name) for name in NAMES[kind.aggregate_type]]),
        raw_specs(kind),
    )
)
moves = st.sampled_from(["organization", "business_capability"]).flatmap(
    lambda kind: st.tuples(
        st.sampled_from([EntityRef(kind, "default", name) for name in NAMES[kind]]),
        st.sampled_from([None, *NAMES[kind]]),
    )
)


class Registry(RuleBasedStateMachine):
    """Users apply and delete; some of their changes are slow to arrive at the log."""

    def __init__(self) -> None:
        super().__init__()
        self.registry = MemoryLandscape()
        self.terminating: set[EntityRef] = set()
        self.in_flight: list[Undecided] = []
        self.slow = False

    def _submit(self, ref: EntityRef, raw: Raw) -> None:
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
            self._send(state, decision)

    def _send(self, state: EntityState, accepted: Accepted) -> None:
        sent = Undecided(state, accepted, len(self.registry.log))
        if self.slow:
            self.in_flight.append(sent)
        else:
            # Nothing happened since the decision: a refusal now would be a contradiction.
            self.registry.record(state, accepted, sent.decided_at)

    @initialize()
    def populate(self) -> None:
        """Four entities of every kind but Relation, so that changes have something to hit."""
        for aggregate_type, raw in SEED.items():
            for index, name in enumerate(NAMES[aggregate_type]):
                self._submit(
                    EntityRef(aggregate_type, "default", name),
                    {
                        key: f"{value}-{index}" if key in NAMING else value
                        for key, value in raw.items()
                    },
                )

    @rule(slow=st.booleans())
    def change_pace(self, slow: bool) -> None:
        self.slow = slow

    @rule(change=changes)
    def apply(self, change: tuple[EntityRef, Raw]) -> None:
        self._submit(*change)

    @rule(move=moves)
    def move(self, move: tuple[EntityRef, str | None]) -> None:
        ref, parent = move
        self._submit(ref, {"name": ref.name, "parentId": parent})

    @rule(change=relation_changes)
    def relate(self, change: tuple[EntityRef, tuple[str | None, str | None]]) -> None:
        """Relations between the same two servers, so that their windows meet."""
        ref, window = change
        opens, closes = window
        if opens is not None and closes is not None:
            opens, closes = sorted((opens, closes))
        one, other = NAMES["server"][:2]
        self._submit(
            ref,
            {
                "sourceType": "server",
                "sourceId": one,
                "targetType": "server",
                "targetId": other,
                "relationType": "connected_to",
                "effectiveFrom": opens,
                "effectiveTo": closes,
            },
        )

    @rule(ref=refs)
    def ask_for_deletion(self, ref: EntityRef) -> None:
        if self.registry.state(ref).exists:
            self.terminating.add(ref)

    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        if not self.terminating:
            return
        ref = data.draw(st.sampled_from(sorted(self.terminating)))
        state = self.registry.state(ref)
        decision = decide_deletion(
            KINDS[ref.aggregate_type],
            state,
            landscape=self.registry,
            request=REQUEST,
            pending=Pending(terminating=frozenset(self.terminating)),
        )
        if isinstance(decision, Accepted):
            self._send(state, decision)
            if not self.registry.state(ref).exists:
                self.terminating.discard(ref)

    @rule(data=st.data())
    def arrive(self, data: st.DataObject) -> None:
        if not self.in_flight:
            return
        sent = self.in_flight.pop(data.draw(st.integers(0, len(self.in_flight) - 1)))
        try:
            self.registry.record(sent.state, sent.accepted, sent.decided_at)
        except RefusedAtAppend:
            return
        if not self.registry.state(sent.state.ref).exists:
            self.terminating.discard(sent.state.ref)

    @invariant()
    def hard_references_are_alive(self) -> None:
        for ref in self.registry.live():
            if ref in self.terminating:
                continue
            named = references_of(KINDS[ref.aggregate_type], ref.namespace, self.registry.spec(ref))
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
            for key in keys_of(KINDS[ref.aggregate_type], ref, self.registry.spec(ref))
        ]
        assert len(held) == len(set(held))

    @invariant()
    def relations_are_in_the_matrix_and_apart(self) -> None:
        relations = [
            self.registry.spec(ref)
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
                if same and not _left_open(one, other):
                    assert not _window(one).overlaps(_window(other))


def _window(relation: Any) -> Window:
    return Window.of(relation.effective_from, relation.effective_to)


def _left_open(one: Any, other: Any) -> bool:
    """The race that the module of the kind documents: no window against a bounded one."""
    ends = [(spec.effective_from, spec.effective_to) for spec in (one, other)]
    return (None, None) in ends and any(None not in pair for pair in ends)


TestRegistry = Registry.TestCase
TestRegistry.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
