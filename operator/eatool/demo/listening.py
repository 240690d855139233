"""Two subscribers at each broker: one of everything, one of applications only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from eatool.demo.broker import MqttBroker
from eatool.demo.solace import QUEUES, SolaceStandIn
from eatool.demo.subscriber import MqttSubscriber, Subscriber
from eatool.publishing.solace_loading import load_client

DemoBroker = MqttBroker | SolaceStandIn

_EVERYTHING: Final = "eatool/#"
_APPLICATIONS: Final = "eatool/v1/dev/application/#"


@dataclass(frozen=True, slots=True)
class Listeners:
    """Those of one broker."""

    broker: DemoBroker
    everything: Subscriber
    applications: Subscriber

    @property
    def ids_of_applications(self) -> set[str]:
        """Of all that arrived, the events that the subscriber of applications should have."""
        messages = self.everything.received
        return {each.event_id for each in messages if each.stream.startswith("application/")}

    def close(self) -> None:
        """End their connections."""
        self.everything.close()
        self.applications.close()


def listen(broker: DemoBroker) -> Listeners:
    """Subscribe at a broker that runs."""
    if isinstance(broker, MqttBroker):
        everything: Subscriber = MqttSubscriber(broker.port, _EVERYTHING)
        return Listeners(broker, everything, MqttSubscriber(broker.port, _APPLICATIONS))
    load_client()
    # Not before: it imports the client library.
    from eatool.demo.solace_subscriber import SolaceSubscriber  # noqa: PLC0415

    consumers = {
        queue: SolaceSubscriber(broker.address, queue, topics) for queue, topics in QUEUES.items()
    }
    return Listeners(broker, consumers["everything"], consumers["applications"])
