"""Who changed an object, as far as the API server can tell us.

A watch event carries no user. Where the admission policy is installed, it stamped the
authenticated user into an annotation; otherwise ``managedFields`` tells which tool wrote last,
and the event says that this is all that is known.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from eatool.kube.contract import ACTOR, ACTOR_TYPE
from eatool.registry.annotations import with_annotations
from eatool.registry.change import ActorType, Provenance, Source, Trust

#: Field managers of deployers that apply what a Git repository says.
_GITOPS_MANAGERS = ("argocd-", "kustomize-controller", "helm-controller", "fleet")


def provenance_of(body: Mapping[str, Any], *, stamped: bool) -> Provenance:
    """Provenance of the newest spec; ``stamped``: the admission policy guards the annotation."""
    annotations = body["metadata"].get("annotations") or {}
    manager, written_at = _last_spec_write(body)
    if stamped and annotations.get(ACTOR):
        actor, trust = annotations[ACTOR], Trust.AUTHENTICATED
        actor_type = _actor_type(annotations.get(ACTOR_TYPE), actor)
    else:
        actor, trust, actor_type = manager or "unknown", Trust.OBSERVED, ActorType.SERVICE
    told = Provenance(
        actor=actor,
        actor_type=actor_type,
        trust=trust,
        source=Source.GITOPS if _is_gitops(manager) else Source.API,
        field_manager=manager,
        occurred_at=written_at,
    )
    return with_annotations(told, annotations)


def provenance_of_deletion(body: Mapping[str, Any]) -> Provenance:
    """Provenance of a deletion: admission cannot stamp it, so nobody is named."""
    metadata = body["metadata"]
    told = Provenance(
        actor="unknown",
        actor_type=ActorType.SYSTEM,
        trust=Trust.OBSERVED,
        source=Source.API,
        occurred_at=_time(metadata.get("deletionTimestamp")),
    )
    return with_annotations(told, metadata.get("annotations") or {})


def _last_spec_write(body: Mapping[str, Any]) -> tuple[str | None, datetime | None]:
    """Manager and time of the newest write that owns a spec field."""
    writes = [
        (entry.get("time") or "", entry.get("manager") or "")
        for entry in body["metadata"].get("managedFields") or ()
        if "f:spec" in (entry.get("fieldsV1") or {}) and not entry.get("subresource")
    ]
    if not writes:
        return None, _time(body["metadata"].get("creationTimestamp"))
    at, manager = max(writes)
    return manager or None, _time(at)


def _actor_type(stamped: str | None, actor: str) -> ActorType:
    if stamped in (ActorType.USER, ActorType.SERVICE, ActorType.SYSTEM):
        return ActorType(stamped)
    return ActorType.SERVICE if actor.startswith("system:serviceaccount:") else ActorType.USER


def _is_gitops(manager: str | None) -> bool:
    return manager is not None and manager.startswith(_GITOPS_MANAGERS)


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text).astimezone(UTC) if text else None
