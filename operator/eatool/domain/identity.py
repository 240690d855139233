"""Names that never change: entity references, stream ids, deterministic command and event ids."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID, uuid5

from pydantic.alias_generators import to_pascal

#: Root of every id this project derives (uuid5 of the DNS name ``eatool.io``).
ID_NAMESPACE = UUID("aa4c6a07-2e3f-5ff4-bf0d-2bf6caeb4a61")


@dataclass(frozen=True, slots=True, order=True)
class EntityRef:
    """One entity of the registry: ``{aggregate_type}/{namespace}/{name}``.

    The namespace is the registry boundary: references, hierarchies and unique keys never cross it.
    """

    aggregate_type: str
    namespace: str
    name: str

    @property
    def stream_id(self) -> str:
        """The entity's stream. Versions continue across delete and re-create."""
        return f"{self.aggregate_type}/{self.namespace}/{self.name}"

    @property
    def category(self) -> str:
        """All streams of one kind in one namespace: ``{aggregate_type}/{namespace}``."""
        return f"{self.aggregate_type}/{self.namespace}"

    @property
    def called(self) -> str:
        """What users call it, as in their manifests: ``ApplicationInterface/shop-api``."""
        return f"{to_pascal(self.aggregate_type)}/{self.name}"

    @classmethod
    def parse(cls, stream_id: str) -> EntityRef:
        """Read a stream id back; ``ValueError`` when it has not exactly three parts."""
        aggregate_type, namespace, name = stream_id.split("/")
        return cls(aggregate_type, namespace, name)

    def __str__(self) -> str:
        return self.stream_id


def clusterless_uid(ref: EntityRef) -> str:
    """Stable uid of an entity that no API server has seen."""
    return str(uuid5(ID_NAMESPACE, ref.stream_id))


def command_id(uid: str, generation: int, operation: str, base_version: int) -> UUID:
    """Id of one attempt to move a stream from ``base_version`` to what generation asks for.

    A retried handler derives the same id, so the append is recognised as done. ``base_version``
    is part of it because a generation may rightly be recorded twice: when the stream moved in
    between (an import, a restored database), the second record must not pass for a repeat.
    """
    return uuid5(ID_NAMESPACE, f"{uid}/{generation}/{operation}/{base_version}")


def event_id(command: UUID, ordinal: int) -> UUID:
    """Id of the ``ordinal``-th event (from 0) of a command, the same on every retry."""
    return uuid5(command, str(ordinal))
