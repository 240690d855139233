"""Appends of one server, step by step."""

from __future__ import annotations

from tests.domain.memory_landscape import MemoryLandscape

from eatool.domain.decide import decide, decide_deletion, parse
from eatool.domain.decision import Accepted, EntityState
from eatool.domain.identity import EntityRef
from eatool.domain.kinds import KINDS
from eatool.domain.landscape import Request
from eatool.registry.change import Change
from eatool.registry.envelope import new_events
from eatool.store.port import Append


def server_append(
    ref: EntityRef, landscape: MemoryLandscape | None = None, *, region: str | None = "north"
) -> Append:
    """Set the region, creating the server if need be; ``None`` deletes it."""
    landscape = landscape or MemoryLandscape()
    kind, state = KINDS["server"], landscape.state(ref)
    raw = {"hostname": ref.name, "environment": "prod", "criticality": "low", "region": region}
    decision = (
        decide_deletion(kind, state, landscape=landscape, request=Request())
        if region is None
        else decide(kind, state, parse(kind, raw), landscape=landscape, request=Request())
    )
    assert isinstance(decision, Accepted)
    wanted = Change(ref=ref, uid="uid", generation=state.version + 1)
    landscape.record(state, decision)
    return Append(
        ref.stream_id,
        state.version,
        new_events(wanted, decision.events, EntityState(ref, state.version), None),
        decision.constraints,
    )
