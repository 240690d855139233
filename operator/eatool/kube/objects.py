"""What the operator last saw of each object, and whether a sighting calls for work.

Every status write of ours comes back as a watch event; without this filter each change would be
reconciled twice. The filter looks at causes (spec generation, our annotations, deletion, our own
finalizer), never at what a status claims about the log: a resync re-examines everything.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from eatool.domain.identity import EntityRef
from eatool.domain.kind import EntityKind
from eatool.kube.contract import FINALIZER, REQUESTS

Body = dict[str, Any]

#: How many released objects are remembered against late news of them.
_REMEMBERED = 10_000

#: Everything about an object that can call for work.
Cause = tuple[object, ...]


def ref_of(kind: EntityKind, body: Mapping[str, Any]) -> EntityRef:
    """The entity an object declares."""
    metadata = body["metadata"]
    return kind.ref(metadata["namespace"], metadata["name"])


def cause_of(body: Mapping[str, Any]) -> Cause:
    """Fingerprint of what a reconcile reacts to."""
    metadata = body["metadata"]
    annotations = metadata.get("annotations") or {}
    return (
        metadata["uid"],
        metadata.get("generation", 0),
        metadata.get("deletionTimestamp"),
        FINALIZER in (metadata.get("finalizers") or ()),
        *(annotations.get(name) for name in REQUESTS),
    )


def is_terminating(body: Mapping[str, Any]) -> bool:
    """Somebody asked for the deletion."""
    return body["metadata"].get("deletionTimestamp") is not None


@dataclass(slots=True)
class Sighting:
    """The newest known version of an object and the cause that was last dealt with."""

    body: Body
    done: Cause | None = None
    gone: bool = False


class Objects:
    """All objects of the watched namespaces by entity; belongs to the operator's event loop."""

    def __init__(self) -> None:
        self._seen: dict[EntityRef, Sighting] = {}
        self._released: OrderedDict[str, None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._seen)

    def __iter__(self) -> Iterator[EntityRef]:
        return iter(self._seen)

    def get(self, ref: EntityRef) -> Body | None:
        """Newest body, ``None`` when the object is gone."""
        sighting = self._seen.get(ref)
        return sighting.body if sighting else None

    def observe(self, ref: EntityRef, body: Body) -> bool:
        """Take note of a version of an object; true when it calls for work.

        Late news of an object that was released are not a new object: reconciled once more, they
        would record its creation again.
        """
        if _uid(body) in self._released:
            return False
        sighting = self._seen.get(ref)
        if sighting is None:
            self._seen[ref] = Sighting(body)
            return True
        # Versions compare across a re-creation too; an answer to a request of ours may arrive
        # after the watch has told of the next object of that name.
        if _version(body) >= _version(sighting.body):
            sighting.body, sighting.gone = body, False
        return cause_of(sighting.body) != sighting.done

    def dealt_with(self, ref: EntityRef, cause: Cause) -> None:
        """A reconcile came to its end for this cause."""
        sighting = self._seen.get(ref)
        if sighting is not None:
            sighting.done = cause

    def vanished(self, ref: EntityRef, body: Body) -> bool:
        """The API server has deleted this object; true when nobody has dealt with that yet.

        After a deletion that we released, the object is already forgotten here.
        """
        sighting = self._seen.get(ref)
        if sighting is None or _uid(sighting.body) != _uid(body):
            return False
        sighting.body, sighting.gone = body, True
        return True

    def is_gone(self, ref: EntityRef) -> bool:
        """Deleted without our release: the finalizer was taken off by hand."""
        sighting = self._seen.get(ref)
        return sighting is not None and sighting.gone

    def distrust(self, ref: EntityRef) -> None:
        """Forget what was dealt with: the next look is a full one."""
        sighting = self._seen.get(ref)
        if sighting is not None:
            sighting.done = None

    def forget(self, ref: EntityRef) -> None:
        """The deletion is recorded and released."""
        sighting = self._seen.pop(ref, None)
        if sighting is not None:
            self._released[_uid(sighting.body)] = None
            if len(self._released) > _REMEMBERED:
                self._released.popitem(last=False)


def is_current(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> bool:
    """``ours`` is the same object as ``theirs`` in at least the same version."""
    return _uid(ours) == _uid(theirs) and _version(ours) >= _version(theirs)


def _version(body: Mapping[str, Any]) -> int:
    # Comparable as numbers for one resource type since Kubernetes 1.35 (KEP-5504); a server that
    # hands out something else just loses the protection against late events.
    value = body["metadata"].get("resourceVersion", "0")
    return int(value) if value.isdigit() else 0


def _uid(body: Mapping[str, Any]) -> str:
    return str(body["metadata"].get("uid"))
