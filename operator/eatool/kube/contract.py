"""Names the operator puts on objects or reads from them; users and GitOps tools rely on these."""

from __future__ import annotations

from typing import Final

from eatool.registry.annotations import APPROVAL, OVERRIDE, REASON

PREFIX: Final = "eatool.io/"

#: Field manager of our writes (GitOps tools can ignore its differences), reporter of our events.
COMPONENT: Final = "eatool-operator"

#: Held until the deletion is in the log.
FINALIZER: Final = PREFIX + "registry"

#: ``"true"``: spec changes are not recorded until it goes away. Deletion is never held back.
PAUSED: Final = PREFIX + "paused"
#: Any new value reconciles at once; echoed in ``status.lastHandledReconcileAt`` (as Flux does).
RECONCILE_AT: Final = PREFIX + "reconcile-requested-at"

#: Stamped by the admission policy, never believed without it.
ACTOR: Final = PREFIX + "actor"
ACTOR_TYPE: Final = PREFIX + "actor-type"

#: Annotations that ask for something: a new value is worth a look at the object.
REQUESTS: Final = (PAUSED, RECONCILE_AT, REASON, APPROVAL, OVERRIDE)
