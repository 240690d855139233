"""Random histories of a small registry, as accepted events of many streams."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hypothesis import strategies as st
from tests.domain.memory_landscape import MemoryLandscape
from tests.domain.strategies import NAMES, kinds, raw_specs

from eatool.domain.decide import decide, decide_deletion, parse
from eatool.domain.decision import Accepted
from eatool.domain.identity import EntityRef
from eatool.domain.kinds import KINDS
from eatool.domain.landscape import Request
from eatool.registry.change import Change
from eatool.registry.envelope import new_events
from eatool.store.port import Append


@dataclass(frozen=True)
class Step:
    """A wish: a spec, or ``None`` for a deletion."""

    ref: EntityRef
    spec: dict[str, object] | None


@st.composite
def _step(draw: st.DrawFn) -> Step:
    kind = draw(kinds)
    ref = kind.ref("default", draw(st.sampled_from(NAMES[kind.aggregate_type])))
    return Step(ref, None if draw(st.integers(0, 3)) == 0 else draw(raw_specs(kind)))


@dataclass(frozen=True)
class History:
    """Appends in order, and the registry that they lead to."""

    appends: Sequence[Append]
    landscape: MemoryLandscape

    @property
    def refs(self) -> list[EntityRef]:
        return [EntityRef.parse(append.stream_id) for append in self.appends]


@st.composite
def histories(draw: st.DrawFn) -> History:
    """Those of 5 to 30 wishes that a registry would accept."""
    landscape, appends = MemoryLandscape(), []
    for step in draw(st.lists(_step(), min_size=5, max_size=30)):
        kind, state = KINDS[step.ref.aggregate_type], landscape.state(step.ref)
        decision = (
            decide_deletion(kind, state, landscape=landscape, request=Request())
            if step.spec is None
            else decide(kind, state, parse(kind, step.spec), landscape=landscape, request=Request())
        )
        if isinstance(decision, Accepted) and decision.events:
            wanted = Change(ref=step.ref, uid=f"uid-{step.ref.name}", generation=state.version + 1)
            events = new_events(wanted, decision.events, state, None)
            appends.append(
                Append(
                    step.ref.stream_id,
                    state.version,
                    events,
                    decision.constraints,
                    len(landscape.log),
                )
            )
            landscape.record(state, decision)
    return History(appends, landscape)
