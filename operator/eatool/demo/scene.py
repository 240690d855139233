"""Who and what takes part in the story on a Kubernetes API."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from eatool.demo.commands import Kubectl
from eatool.demo.listening import Listeners
from eatool.demo.parts import Parts
from eatool.demo.places import Material
from eatool.demo.telling import Teller
from eatool.demo.watching import EventBrokers, Objects, Seen


@dataclass(frozen=True, slots=True)
class Scene:
    """The parts that run, the people, and their ears.

    Attributes:
        ada, ben: architects; they change the nine kinds.
        cleo: of the platform team; she declares brokers.
        listeners: of the MQTT broker first.

    """

    tell: Teller
    parts: Parts
    material: Material
    ada: Kubectl
    ben: Kubectl
    cleo: Kubectl
    objects: Objects
    brokers: EventBrokers
    listeners: Sequence[Listeners]

    def show_news(self, events: int) -> None:
        """Wait for so many events in all at the MQTT broker; print those that are new."""
        mqtt = self.listeners[0]
        where = f"{mqtt.everything.topics} at {mqtt.broker.name}"
        mqtt.everything.wait(events)
        self.tell.messages(mqtt.everything.news(), where)

    def show_applications(self) -> None:
        """What the subscriber of applications at the MQTT broker has got."""
        mqtt = self.listeners[0]
        where = f"{mqtt.applications.topics} at {mqtt.broker.name}"
        self.tell.messages(mqtt.applications.news(), where)

    def await_everywhere(self, events: int) -> None:
        """Wait until every broker delivered so many: it acknowledges before it has."""
        for each in self.listeners:
            each.everything.wait(events)
            each.applications.wait(len(each.ids_of_applications))

    def pass_over_news(self) -> None:
        """What came until now is not shown later."""
        for each in self.listeners:
            each.everything.news()
            each.applications.news()

    def show_counts(self) -> None:
        """How many events each subscriber has."""
        self.tell.counts(
            (each.broker.name, subscriber.topics, subscriber.count)
            for each in self.listeners
            for subscriber in (each.everything, each.applications)
        )

    def show_brokers(self) -> None:
        """What kubectl says of the brokers now."""
        self.tell.output(self.cleo.show("get", "eventbrokers").output)

    def show_condition(self, seen: Seen | None, which: str, *, style: str) -> None:
        """One condition of an object."""
        condition = seen.condition(which) if seen else {}
        self.tell.output(
            f"{which}={condition['status']}  {condition['reason']}: {condition['message']}",
            style=style,
        )
