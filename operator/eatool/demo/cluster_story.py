"""The story on a Kubernetes API: kubectl on one side, subscribers on the other."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

from eatool.demo.checking import Verdict, by_whom, compare, read_log
from eatool.demo.commands import Eatool, Kubectl
from eatool.demo.declaring import write_manifests
from eatool.demo.failing import DemoError
from eatool.demo.listening import listen
from eatool.demo.measuring import BURST, acknowledged, await_acknowledged, measure, waiting
from eatool.demo.operating import Metrics
from eatool.demo.outage import Outage
from eatool.demo.parts import Parts
from eatool.demo.places import ACCESS, Material
from eatool.demo.scene import Scene
from eatool.demo.solace import client_library_missing
from eatool.demo.telling import Teller
from eatool.demo.watching import EventBrokers, Objects, watch_until_ready
from eatool.dev.binaries import require_binary

ADA, BEN, CLEO = "ada", "ben", "cleo"

_EDITED = ("Application", "mainframe-tariffs")
_EDIT_EVENTS = 3
_DELETED = 2
_POLICY_SECONDS = 30.0
_KUBERNETES_EVENTS = "/apis/events.k8s.io/v1/namespaces/default/events"


class ClusterStory:
    """One telling of it. :meth:`tell` answers what was expected and whether it held."""

    def __init__(self, tell: Teller, parts: Parts, material: Material) -> None:
        self._tell = tell
        self._parts = parts
        self._material = material
        self._eatool = Eatool(tell, {"EATOOL_STORE_URL": parts.home.store_url})

    def tell(self) -> list[Verdict]:
        """Everything from the start of the parts to the last check."""
        self._start_parts()
        kubectl = require_binary("kubectl")
        self._prepare(kubectl)
        with ExitStack() as stack:
            self._scene = Scene(
                tell=self._tell,
                parts=self._parts,
                material=self._material,
                ada=self._user(kubectl, ADA, "architects"),
                ben=self._user(kubectl, BEN, "architects"),
                cleo=self._user(kubectl, CLEO, "platform-team"),
                objects=Objects(self._parts.plane.client()),
                brokers=EventBrokers(self._parts.plane.client()),
                listeners=[
                    stack.enter_context(closing(listen(broker))) for broker in self._parts.brokers
                ],
            )
            self._start_operator()
            self._declare()
            landscape = self._apply()
            events = self._change(landscape)
            self._scene.await_everywhere(events)
            return list(self._verdicts(await_acknowledged(self._scene, events), events))

    def _start_parts(self) -> None:
        self._tell.chapter("Parts, all on loopback, all in " + str(self._parts.home.directory))
        started = time.monotonic()
        with self._tell.waiting("starting etcd, kube-apiserver and the brokers"):
            for broker in self._parts.brokers:
                self._parts.start_broker(broker)
            self._parts.start_plane()
        version = self._parts.plane.client().call("GET", "/version")["gitVersion"]
        took = time.monotonic() - started
        self._tell.say(f"Kubernetes API   {version}, ready in {took:.1f} s")
        for broker in self._parts.brokers:
            self._tell.say(f"{broker.name:16} {broker.product}, {broker.address}")
        if missing := client_library_missing():
            self._tell.say(f"MQTT only: {missing}.", style="yellow")

    def _prepare(self, kubectl: Path) -> None:
        plane = self._parts.plane
        admin = Kubectl(self._tell, kubectl, plane.kubeconfig, "admin")
        crds = str(self._material.crds)
        admin.show("apply", "-f", crds, "-f", f"{crds}/admission")
        admin.quietly("apply", "-f", str(ACCESS))
        admin.quietly("wait", "--for=condition=Established", "--timeout=60s", "crd", "--all")
        self._tell.output("9 kinds, 3 for brokers, and a policy that stamps who changed a spec")
        with self._tell.waiting("waiting until the policy is in force"):
            self._await_policy(self._user(kubectl, ADA, "architects"))

    def _user(self, kubectl: Path, user: str, group: str) -> Kubectl:
        kubeconfig = self._parts.plane.kubeconfig_for(user, [group])
        return Kubectl(self._tell, kubectl, kubeconfig, user)

    def _await_policy(self, ada: Kubectl) -> None:
        probe = str(self._material.landscape / "org-transit.yaml")
        deadline = time.monotonic() + _POLICY_SECONDS
        while time.monotonic() < deadline:
            # Until the API server serves a new CRD it answers with an error.
            answer = ada.attempt("create", "--dry-run=server", "-o", "json", "-f", probe)
            if f'"eatool.io/actor": "{ADA}"' in answer.output:
                return
            time.sleep(0.2)
        raise DemoError("the API server does not apply the admission policy")

    def _start_operator(self) -> None:
        with self._tell.waiting("starting the operator"):
            self._parts.start_operator(self._parts.plane.kubeconfig_for("eatool-operator"))
        self._tell.say("Operator         ready, SQLite event log, rights as in the chart")

    def _declare(self) -> None:
        self._tell.chapter("Where events go is declared, too")
        folder = self._parts.home.directory / "brokers"
        write_manifests(self._parts.brokers, self._material.brokers, folder)
        self._tell.output(self._scene.cleo.show("apply", "-f", str(folder)).output)
        for broker in self._parts.brokers:
            self._scene.brokers.wait(
                broker.name, lambda seen: seen.condition("Connected").get("status") == "True"
            )
        self._scene.show_brokers()

    def _apply(self) -> int:
        scene = self._scene
        self._tell.chapter("A landscape, all kinds in one directory, in no order")
        answer = scene.ada.show("apply", "-f", str(self._material.landscape))
        self._tell.output(answer.output, limit=3)
        count = len(answer.output.splitlines())
        took = watch_until_ready(self._tell, scene.objects, count)
        self._tell.say(f"All {count} are Ready, {took:.1f} s after kubectl returned.")
        scene.await_everywhere(count)
        scene.objects.await_published(count)
        table = scene.ada.show("get", "ea", "-o", f"custom-columns-file={self._material.columns}")
        self._tell.output(table.output)
        scene.show_applications()
        scene.show_counts()
        scene.pass_over_news()
        return count

    def _change(self, landscape: int) -> int:
        """Edits, refusals and a burst, while the second broker is away; the events in all."""
        scene = self._scene
        outage = None
        if self._parts.second is None:
            self._tell.chapter("An edit by somebody else: one change, several events")
        else:
            self._tell.chapter("One broker is killed: events go on flowing to the other")
            outage = Outage(scene, scene.listeners[1], landscape)
            outage.begin()
        events = self._edit(landscape)
        if outage:
            outage.show_truth(events - landscape)
        self._refused_by_the_api_server()
        self._refused_by_the_registry()
        events = self._delete(events)
        self._tell.chapter(f"{BURST} more objects at once: lag and throughput, from /metrics")
        measure(scene, events)
        events += BURST
        if outage:
            outage.end(*_EDITED, events - landscape)
        self._history()
        self._verify()
        if outage:
            outage.show_recovery(*_EDITED, events)
        return events

    def _edit(self, before: int) -> int:
        edit = self._material.edits / "good-retire-mainframe.yaml"
        self._tell.output(self._scene.ben.show("apply", "-f", str(edit)).output)
        self._scene.show_news(before + _EDIT_EVENTS)
        return before + _EDIT_EVENTS

    def _refused_by_the_api_server(self) -> None:
        self._tell.chapter("An edit that the API server refuses, by a rule of the CRD")
        patch = '{"spec":{"targetId":"journeys"}}'
        arguments = ("patch", "relation", "shop-writes-accounts", "--type=merge", "-p", patch)
        self._tell.output(self._scene.ben.show(*arguments, refused=True).text, style="red")

    def _refused_by_the_registry(self) -> None:
        scene = self._scene
        self._tell.chapter("An edit that only the whole landscape can refuse")
        scene.ben.show("apply", "-f", str(self._material.edits / "rejected-loop.yaml"))
        name = "aurelia-transit"
        seen = scene.objects.wait(
            "Organization", name, lambda each: bool(each and each.condition("Stalled"))
        )
        scene.show_condition(seen, "Stalled", style="red")
        self._tell.say("Nothing is recorded. The old manifest again, and all is well:")
        scene.ada.show("apply", "-f", str(self._material.landscape / "org-transit.yaml"))
        seen = scene.objects.wait("Organization", name, lambda each: bool(each and each.ready))
        scene.show_condition(seen, "Ready", style="green")

    def _delete(self, before: int) -> int:
        scene = self._scene
        self._tell.chapter("A deletion that waits for the one who refers to it")
        scene.ben.show("delete", "dataentity", "journeys", "--wait=false")
        seen = scene.objects.wait(
            "DataEntity",
            "journeys",
            lambda each: bool(each and each.condition("Ready").get("status") == "False"),
        )
        scene.show_condition(seen, "Ready", style="yellow")
        scene.ben.show("delete", "dataentity", "punctuality-mart")
        for name in ("punctuality-mart", "journeys"):
            scene.objects.wait("DataEntity", name, lambda each: each is None)
        self._tell.output("both are gone")
        scene.show_news(before + _DELETED)
        return before + _DELETED

    def _history(self) -> None:
        self._tell.chapter("Who changed what, when and why")
        answer = self._eatool.show("history", "application", "mainframe-tariffs")
        self._tell.output(answer.output)

    def _verify(self) -> None:
        self._tell.chapter("Proof that the log is complete, ordered and unchanged")
        for what in ("chain", "ordering"):
            self._tell.output(self._eatool.show("verify", what).output)

    def _verdicts(self, metrics: Metrics, expected: int) -> Iterator[Verdict]:
        recorded = read_log(self._parts.home.store_url)
        yield from compare(recorded, self._scene.listeners, expected)
        who = by_whom(recorded, "application/default/mainframe-tariffs")
        yield Verdict(
            who == [(ADA, "authenticated"), *[(BEN, "authenticated")] * _EDIT_EVENTS],
            "every change is in the name of the user whom the API server authenticated",
        )
        yield Verdict(
            all(
                acknowledged(metrics, broker.name) >= expected and not waiting(metrics, broker.name)
                for broker in self._parts.brokers
            ),
            "the metrics say so too: every broker acknowledged everything, nothing is waiting",
        )
        yield Verdict(
            not metrics.total("eatool_reconcile_total", result="error"), "no reconcile failed"
        )
        listed = self._parts.plane.client().call("GET", _KUBERNETES_EVENTS)["items"]
        yield Verdict(
            {"CircularReference", "DeleteBlocked"} <= {event["reason"] for event in listed},
            "Kubernetes events told of the loop and of the blocked deletion",
        )


def next_commands(parts: Parts, kubectl: Path) -> list[str]:
    """What to type after a demo that was kept running."""
    environment = parts.home.write_environment(
        {"KUBECONFIG": str(parts.plane.kubeconfig), "EATOOL_STORE_URL": parts.home.store_url},
        kubectl,
    )
    return [
        f"source {environment}",
        "kubectl get ea",
        "kubectl get eventbrokers -o wide",
        "kubectl edit application ticket-shop",
        'kubectl patch eventbroker mosquitto --type=merge -p \'{"spec":{"suspended":true}}\'',
        "kubectl get events",
        "eatool history application ticket-shop",
        "eatool verify chain",
        "eatool relay status",
        f"mosquitto_sub -p {parts.mqtt.port} -t 'eatool/#' -v",
        f"curl -s http://127.0.0.1:{parts.operator.port}/metrics | grep ^eatool_",
        f"tail -f {parts.operator.log}",
    ]
