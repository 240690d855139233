"""One place that events go to: what a relay needs beside the log and the checkpoints."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from eatool.publishing.checkpoints import Checkpoints
from eatool.publishing.cloudevents import Encoder
from eatool.publishing.material import Material
from eatool.publishing.observer import Observer
from eatool.publishing.options import RelayOptions
from eatool.publishing.port import PublisherFactory
from eatool.publishing.relay import Relay
from eatool.publishing.selection import Selection
from eatool.publishing.source import StoredLog

#: Start of the names of replays; no EventBroker can have it.
REPLAY_PREFIX: Final = "replay/"


@dataclass(frozen=True, slots=True)
class Destination:
    """Where, what and how.

    Attributes:
        name: key of the checkpoints: the name of an EventBroker, or ``replay/<name>``.
        publisher_factory: makes a fresh session; called in the event loop of the relay.
        encoder: stored event to message.
        selection: which events go there.
        options: of the relay, start position and end included.
        material: files that the sessions read; ``None`` = none.

    """

    name: str
    publisher_factory: PublisherFactory
    encoder: Encoder
    selection: Selection
    options: RelayOptions
    material: Material | None = field(default=None, repr=False)

    def relay(
        self, store: StoredLog, checkpoints: Checkpoints, *, owner: str, observer: Observer
    ) -> Relay:
        """A relay to here; call it inside the event loop that will run it."""
        return Relay(
            store,
            self.publisher_factory,
            checkpoints,
            destination=self.name,
            encoder=self.encoder,
            selects=self.selection,
            owner=owner,
            options=self.options,
            observer=observer,
        )
