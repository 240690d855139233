"""What an entrance (operator, command line, API) asks of the registry."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from eatool.domain.events import JsonObject
from eatool.domain.identity import EntityRef


class Trust(StrEnum):
    """How far the actor of a change can be believed; recorded with every event."""

    #: An API server or token check vouches for it (admission stamped it).
    AUTHENTICATED = "authenticated"
    #: Somebody's tool was seen writing (field manager), not who sat behind it.
    OBSERVED = "observed"
    #: The caller says so.
    DECLARED = "declared"


class ActorType(StrEnum):
    """What kind of actor it is."""

    USER = "user"
    SERVICE = "service"
    SYSTEM = "system"


class Source(StrEnum):
    """Through which entrance a change came."""

    UI = "ui"
    API = "api"
    GITOPS = "gitops"
    IMPORT = "import"
    #: A direct write to a table of the registry that is migrated away from.
    LEGACY = "legacy"
    WEBHOOK = "webhook"
    SYSTEM = "system"


#: Longest reason, approval id and override that are kept, in characters.
REASON_LENGTH, TOKEN_LENGTH = 2000, 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Annotations:
    """What annotations say: they stay on the object after the change they were meant for."""

    reason: str | None = None
    approval_id: str | None = None
    override: str | None = None
    corrects_event_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """Who asked for a change, why, and on whose word.

    Attributes:
        actor: user or service account name, at most 255 characters are kept.
        field_manager: the API server's name of the writing tool.
        reason, approval_id, override: as given with this very change (options, headers); at most
            2000 and 256 characters are kept.
        corrects_event_id: the recorded event (UUID) whose mistake this change makes good.
        annotations: the same as the object itself says it; each counts for one change only
            (:mod:`eatool.registry.lifetimes`), and while it does, goes before what is given here.
        correlation: client's token that ties changes together; a UUID is kept, anything else is
            hashed to one. ``None``: ``uid`` and ``generation`` tie together what belongs to it.
        traceparent: W3C trace context.
        occurred_at: when the API server took the write, if known.

    """

    actor: str = "system"
    actor_type: ActorType = ActorType.SYSTEM
    trust: Trust = Trust.DECLARED
    source: Source = Source.SYSTEM
    field_manager: str | None = None
    reason: str | None = None
    approval_id: str | None = None
    override: str | None = None
    corrects_event_id: str | None = None
    annotations: Annotations = Annotations()
    correlation: str | None = None
    traceparent: str | None = None
    occurred_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """The desired state of one entity: its manifest's ``spec``, or that it should be gone.

    Attributes:
        uid, generation: the Kubernetes incarnation and revision that ask. ``generation`` is
            ``None`` where there is no API server to count: the registry then counts the changes
            it records for this ``uid``.
        spec: as written by the user, camelCase; not read by ``Registry.delete``.
        tentative: this may be an old view of the object (a watch that lags, two operators during
            a rolling update). If the log knows a newer generation, or another incarnation, the
            registry raises :class:`SeenNewer` instead of recording.

    """

    ref: EntityRef
    uid: str
    generation: int | None = None
    spec: JsonObject = field(default_factory=dict)
    provenance: Provenance = field(default_factory=Provenance)
    tentative: bool = False


class SeenNewer(Exception):
    """The log knows more of the object than a tentative change: look at the object again."""
