"""A reconciler around scripted parts."""

from __future__ import annotations

from typing import cast

from eatool.domain.identity import EntityRef
from eatool.kube.objects import Objects
from eatool.kube.published import Publication
from eatool.kube.reconcile import Reconciler, StatusApi
from eatool.kube.workqueue import WorkQueue
from eatool.publishing.checkpoints_memory import MemoryCheckpoints
from eatool.publishing.required import RequiredBrokers
from eatool.registry.service import Entrance
from eatool.telemetry.metrics import NullMetrics


def reconciler_of(
    registry: object,
    api: StatusApi,
    objects: Objects,
    queue: WorkQueue[EntityRef] | None = None,
) -> Reconciler:
    """``registry`` answers what the test asks for, and nothing else."""
    queue = queue or WorkQueue()
    return Reconciler(
        cast("Entrance", registry),
        api,
        objects,
        queue,
        NullMetrics(),
        actor_stamped=False,
        recheck=60.0,
        announce=lambda _before, _after: None,
        publication=Publication(RequiredBrokers(), MemoryCheckpoints(), queue.add),
    )
