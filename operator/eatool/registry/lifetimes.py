"""How long an annotation counts: for one change, the next that is recorded after it was written.

Annotations stay on an object until somebody takes them off, so without this the reason of an old
edit would pass for that of a deletion years later. The last event of the stream knows what stood
on the object then: a value that is still the same has counted already. It is kept in the event
(``spent``), but it neither satisfies a policy nor is it recorded as what this change was for.

* A repeated apply of the same manifest records nothing, so nothing is used up.
* ``kubectl delete`` is a change as any other: annotate first, with something new.
* A revert puts back the annotations of then together with the spec. They differ from those that
  counted last, so they count; a revert to a manifest without any has none.
* A new object of the same name starts anew: its annotations are its own.
* An override has one legal value, so that it can be used again, it counts with each new reason.
* What the caller says together with the change (``--reason``) counts for that change.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Final

from eatool.domain.decision import EntityState
from eatool.registry.change import Provenance
from eatool.registry.folding import LastEvent

_NOTHING: Final[Mapping[str, str]] = {}


@dataclass(frozen=True, slots=True)
class Counting:
    """What comes with one change: ``told`` counts for it; ``spent`` counted for an earlier one."""

    told: Provenance
    spent: Mapping[str, str]


def what_counts(told: Provenance, state: EntityState, last: LastEvent | None) -> Counting:
    """Tell what annotations have to say about a change of an entity that ends with ``last``."""
    before = last.given if last is not None and state.exists else _NOTHING
    given = {name: text for name, text in asdict(told.annotations).items() if text is not None}
    fresh = {name: text for name, text in given.items() if before.get(name) != text}
    if "override" in given and (told.reason or "reason" in fresh):
        fresh["override"] = given["override"]
    spent = {name: text for name, text in given.items() if name not in fresh}
    return Counting(replace(told, **fresh), spent)
