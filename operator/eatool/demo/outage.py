"""One broker is killed and comes back, told by the EventBrokers and by what subscribers get."""

from __future__ import annotations

from functools import partial
from typing import Final

from eatool.demo.listening import Listeners
from eatool.demo.scene import Scene
from eatool.demo.watching import Seen

#: Seconds in which most outages of this length are over.
_BY_ITSELF: Final = 8.0


class Outage:
    """Of one broker, the victim; ``events``: how many it has when it is killed."""

    def __init__(self, scene: Scene, victim: Listeners, events: int) -> None:
        self._scene = scene
        self._victim = victim
        self._had = events

    def begin(self) -> None:
        """Kill it."""
        broker = self._victim.broker
        self._victim.everything.wait(self._had)
        self._scene.tell.command(["kill", "-9", str(broker.pid)], f"the broker {broker.name}")
        broker.kill()

    def show_truth(self, missing: int) -> None:
        """What kubectl says of both brokers while one is dead."""
        self._scene.brokers.wait(self._victim.broker.name, lambda seen: _is_behind(seen, missing))
        self._scene.brokers.wait(self._scene.listeners[0].broker.name, _has_everything)
        self._scene.show_brokers()

    def end(self, kind: str, name: str, missing: int) -> None:
        """Start it again; ``kind`` and ``name``: an object that was changed in the outage."""
        scene, broker = self._scene, self._victim.broker
        scene.tell.chapter("What was changed in the outage is Ready, and not Published yet")
        told = f"Waiting for {broker.name}"
        seen = scene.objects.wait(
            kind,
            name,
            lambda each: bool(each and each.condition("Published").get("message") == told),
        )
        scene.show_condition(seen, "Ready", style="green")
        scene.show_condition(seen, "Published", style="yellow")
        self.show_truth(missing)
        scene.tell.say(f"{broker.name} is started again, with what it had.")
        scene.parts.start_broker(broker)

    def show_recovery(self, kind: str, name: str, events: int) -> None:
        """Wait until it has everything, ``events`` in all, and show that."""
        scene, broker = self._scene, self._victim.broker
        scene.tell.chapter(f"{broker.name} has caught up, in order")
        with scene.tell.waiting("until the relay tries again and catches up"):
            by_itself = self._victim.everything.has(events, within=_BY_ITSELF)
        if not by_itself:
            self._nudge()
        scene.await_everywhere(events)
        scene.brokers.wait(broker.name, _has_everything)
        applications = self._victim.applications
        scene.tell.messages(applications.news(), f"{applications.topics} at {broker.name}")
        scene.show_counts()
        scene.show_brokers()
        seen = scene.objects.wait(kind, name, lambda each: bool(each and each.published))
        scene.show_condition(seen, "Published", style="green")

    def _nudge(self) -> None:
        """The longer an outage, the rarer the tries: do not wait for the next one."""
        scene, name = self._scene, self._victim.broker.name
        scene.tell.say("It tries every 20 seconds at the latest; suspended and resumed, at once:")
        for suspended in (True, False):
            patch = f'{{"spec":{{"suspended":{str(suspended).lower()}}}}}'
            scene.cleo.show("patch", "eventbroker", name, "--type=merge", "-p", patch)
            scene.brokers.wait(name, partial(_is_suspended, str(suspended)))


def _is_suspended(wanted: str, seen: Seen) -> bool:
    return seen.condition("Suspended").get("status") == wanted


def _is_behind(seen: Seen, events: int) -> bool:
    return (
        seen.condition("Connected").get("status") == "False"
        and seen.status.get("lagEvents", 0) >= events
    )


def _has_everything(seen: Seen) -> bool:
    return (
        seen.condition("Ready").get("reason") == "Publishing" and seen.status.get("lagEvents") == 0
    )
