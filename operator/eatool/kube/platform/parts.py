"""What the reconcilers of the platform share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from eatool.kube.platform.secrets import Secrets
from eatool.kube.platform.sightings import Sightings
from eatool.kube.platform.writing import StatusWriter
from eatool.publishing.checkpoints import Checkpoints
from eatool.publishing.fleet import Fleet
from eatool.publishing.lag import LagReader
from eatool.publishing.positions import Timeline


@dataclass(frozen=True, slots=True)
class Parts:
    """All of one process, in the event loop that its relays run in.

    Attributes:
        log: the event store, asked for positions.
        environment: the ``{env}`` of topics.
        material: a private directory for certificates.

    """

    sightings: Sightings
    secrets: Secrets
    writer: StatusWriter
    fleet: Fleet
    checkpoints: Checkpoints
    reader: LagReader
    log: Timeline
    environment: str
    material: Path
