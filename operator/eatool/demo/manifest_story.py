"""The same story without a Kubernetes API: straight from manifests, with ``eatool apply``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

from eatool.demo.checking import Verdict, by_whom, compare, read_log
from eatool.demo.commands import Eatool
from eatool.demo.listening import listen
from eatool.demo.parts import Parts
from eatool.demo.places import Material
from eatool.demo.telling import Teller

_REFUSED = 1  # exit status of `eatool apply`
_EDITED = "application/default/mainframe-tariffs"
_EDIT_EVENTS = 3
_DELETED = 2
_IMPOSSIBLE = """\
apiVersion: eatool.io/v1alpha1
kind: Server
metadata:
  name: k8s-south
spec:
  hostname: k8s-south.dc2.aurelia.example
  environment: nowhere
  criticality: low
"""


class ManifestStory:
    """One telling of it. :meth:`tell` answers what was expected and whether it held."""

    def __init__(self, tell: Teller, parts: Parts, material: Material) -> None:
        self._tell = tell
        self._parts = parts
        self._material = material

    def tell(self) -> list[Verdict]:
        """Everything from the start of the broker to the last check."""
        self._tell.chapter("Parts, all on loopback, all in " + str(self._parts.home.directory))
        with self._tell.waiting("starting the broker"):
            self._parts.start_broker(self._parts.mqtt)
        self._tell.say(f"MQTT broker      {self._parts.mqtt.product}, {self._parts.mqtt.url}")
        variables = {
            "EATOOL_STORE_URL": self._parts.home.store_url,
            "EATOOL_BROKER_URL": self._parts.mqtt.url,
        }
        self._eatool = Eatool(self._tell, variables)
        with closing(listen(self._parts.mqtt)) as self._listeners:
            landscape = self._apply()
            self._edit(landscape)
            self._refusals()
            self._delete(landscape + _EDIT_EVENTS)
            self._look_back()
            return list(self._verdicts(landscape))

    def _apply(self) -> int:
        self._tell.chapter("A landscape, all kinds in one directory, in no order")
        landscape = str(self._material.landscape)
        answer = self._eatool.show("apply", "-f", landscape, "--actor", "ada", "--publish")
        self._tell.output(answer.output)
        self._tell.output(answer.errors.splitlines()[-1])  # how far it is published
        count = len(list(self._material.landscape.glob("*.yaml")))
        self._show_news(count)
        self._tell.say("Once more, and nothing is new:")
        answer = self._eatool.show("apply", "-f", landscape, "--actor", "ada", "--publish")
        self._tell.output(answer.output.splitlines()[-1])
        return count

    def _edit(self, before: int) -> None:
        self._tell.chapter("An edit by somebody else: one change, several events")
        edit = str(self._material.edits / "good-retire-mainframe.yaml")
        answer = self._eatool.show("apply", "-f", edit, "--actor", "ben", "--publish")
        self._tell.output(answer.output)
        self._show_news(before + _EDIT_EVENTS)

    def _refusals(self) -> None:
        self._tell.chapter("Two edits that are refused")
        impossible = self._parts.home.directory / "impossible.yaml"
        impossible.write_text(_IMPOSSIBLE)
        for manifest in (impossible, self._material.edits / "rejected-loop.yaml"):
            answer = self._eatool.show("apply", "-f", str(manifest), expect=_REFUSED)
            self._tell.output(answer.output)

    def _delete(self, before: int) -> None:
        self._tell.chapter("A deletion that waits for the one who refers to it")
        journeys = str(self._material.landscape / "data-journeys.yaml")
        referrer = str(self._material.landscape / "data-punctuality.yaml")
        told = ("--delete", "--actor", "ben", "--publish")
        self._tell.output(self._eatool.show("apply", "-f", journeys, *told, expect=_REFUSED).output)
        answer = self._eatool.show("apply", "-f", referrer, "-f", journeys, *told)
        self._tell.output(answer.output)
        self._show_news(before + _DELETED)

    def _look_back(self) -> None:
        self._tell.chapter("Who changed what, when and why")
        answer = self._eatool.show("history", "application", "mainframe-tariffs")
        self._tell.output(answer.output)
        self._tell.chapter("Proof that the log is complete, ordered and unchanged")
        for what in ("chain", "ordering"):
            self._tell.output(self._eatool.show("verify", what).output)

    def _show_news(self, events: int) -> None:
        everything = self._listeners.everything
        everything.wait(events)
        self._tell.messages(everything.news(), everything.topics)

    def _verdicts(self, landscape: int) -> Iterator[Verdict]:
        recorded = read_log(self._parts.home.store_url)
        self._listeners.applications.wait(len(self._listeners.ids_of_applications))
        yield from compare(recorded, [self._listeners], landscape + _EDIT_EVENTS + _DELETED)
        who = by_whom(recorded, _EDITED)
        yield Verdict(
            who == [("ada", "declared"), *[("ben", "declared")] * _EDIT_EVENTS],
            "every change is in the name that was declared, and says that it only was declared",
        )


def next_commands(parts: Parts) -> list[str]:
    """What to type after a demo that was kept running."""
    environment = parts.home.write_environment(
        {"EATOOL_STORE_URL": parts.home.store_url, "EATOOL_BROKER_URL": parts.mqtt.url}
    )
    return [
        f"source {environment}",
        "eatool get applications",
        "eatool history application ticket-shop",
        "eatool apply -f examples/edits/delete-punctuality.yaml --publish",
        f"mosquitto_sub -p {parts.mqtt.port} -t 'eatool/#' -v",
    ]
