"""One decision: what is wished for against what the stream says, with all it is based on."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import BaseModel

from eatool.domain.decide import decide, decide_deletion
from eatool.domain.decision import Accepted, Decision, Rejected
from eatool.domain.identity import EntityRef
from eatool.domain.kind import EntitySpec
from eatool.domain.kinds import KINDS
from eatool.domain.landscape import Landscape, Request
from eatool.domain.policies import Policy
from eatool.registry.change import Change, SeenNewer
from eatool.registry.folding import CachedStates, Folded, Log
from eatool.registry.lifetimes import what_counts
from eatool.registry.pending import PendingChanges
from eatool.store.clock import Clock


@dataclass(frozen=True, slots=True)
class Wish:
    """What a change comes to: a canonical spec, none for a deletion, or a spec that is none."""

    desired: EntitySpec | None = None
    rejected: Rejected | None = None


@dataclass(frozen=True, slots=True)
class Decided:
    """A decision and what it was made on."""

    folded: Folded
    decision: Decision
    #: The accepted spec after the decision, with what follows from it.
    effective: BaseModel | None
    #: Log position before anything the decision is based on was read.
    position: int


class Decisions:
    """Decides for one registry. Blocks; may be used from several threads."""

    def __init__(
        self,
        log: Log,
        states: CachedStates,
        landscape: Landscape,
        *,
        pending: PendingChanges,
        policy: Policy,
        clock: Clock,
    ) -> None:
        self._log = log
        self._states = states
        self._landscape = landscape
        self._pending = pending
        self._policy = policy
        self._clock = clock

    def decide(self, change: Change, wish: Wish) -> Decided:
        """Decide on the state at the end of the stream.

        Raises :class:`~eatool.registry.change.SeenNewer` when a tentative change is outdated, and
        ``StoreError``.
        """
        folded = self._states.fold(change.ref)
        if change.tentative and _knows_more(folded, change):
            raise SeenNewer(str(change.ref))
        # Only what is going to be appended needs to know where the log stood.
        same = wish.rejected is not None or folded.state.spec == wish.desired
        position = 0 if same else self._log.head().position
        decision = wish.rejected or self._decide(change, folded, wish.desired)
        accepted = wish.desired if isinstance(decision, Accepted) else folded.state.spec
        return Decided(folded, decision, self._effective(change.ref, accepted), position)

    def _decide(self, change: Change, folded: Folded, desired: EntitySpec | None) -> Decision:
        kind, state = KINDS[change.ref.aggregate_type], folded.state
        counting = what_counts(change.provenance, state, folded.last)
        told = counting.told
        request = Request(
            actor=told.actor,
            reason=told.reason,
            approval_id=told.approval_id,
            override=told.override,
            spent=frozenset(counting.spent),
            now=self._clock(),
        )
        pending = self._pending.view()
        if desired is None:
            return decide_deletion(
                kind,
                state,
                landscape=self._landscape,
                request=request,
                pending=pending,
                policy=self._policy,
            )
        return decide(
            kind,
            state,
            desired,
            landscape=self._landscape,
            request=request,
            pending=pending,
            policy=self._policy,
        )

    def _effective(self, ref: EntityRef, spec: BaseModel | None) -> BaseModel | None:
        if spec is None:
            return None
        derived: BaseModel = KINDS[ref.aggregate_type].derived(ref, spec, self._landscape)
        return derived


def _knows_more(folded: Folded, change: Change) -> bool:
    if folded.last is None:
        return False
    if folded.last.uid != change.uid:
        return folded.state.exists
    return change.generation is not None and change.generation < folded.last.generation
