"""The story on a Kubernetes API: kubectl on one side, a subscriber on the other."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from eatool.demo.checking import Verdict, by_whom, compare, read_log
from eatool.demo.commands import Eatool, Kubectl
from eatool.demo.failing import DemoError
from eatool.demo.operating import Metrics
from eatool.demo.parts import Parts
from eatool.demo.places import ACCESS, Material
from eatool.demo.subscriber import Received, Subscriber
from eatool.demo.telling import Teller
from eatool.demo.watching import Objects, Seen, watch_until_ready
from eatool.dev.binaries import require_binary

ADA, BEN = "ada", "ben"

_EDITED = "application/default/mainframe-tariffs"
_EDIT_EVENTS = 3
_DELETED = 2
_POLICY_SECONDS = 30.0
_KUBERNETES_EVENTS = "/apis/events.k8s.io/v1/namespaces/default/events"
_PATIENCE = 60.0
_BURST = 200


class ClusterStory:
    """One telling of it. :meth:`tell` answers what was expected and whether it held."""

    def __init__(self, tell: Teller, parts: Parts, material: Material) -> None:
        self._tell = tell
        self._parts = parts
        self._material = material
        self._eatool = Eatool(tell, {"EATOOL_STORE_URL": parts.home.store_url})

    def tell(self) -> list[Verdict]:
        """Everything from the start of the parts to the last check."""
        self._start()
        subscriber = Subscriber(self._parts.broker.port)
        try:
            with self._tell.waiting("starting the operator"):
                operator = self._parts.plane.kubeconfig_for("eatool-operator")
                self._parts.start_operator(operator)
            self._tell.say("Operator         ready, SQLite event log, rights as in the chart")
            landscape = self._apply(subscriber)
            self._edit(subscriber, landscape)
            self._refused_by_the_api_server()
            self._refused_by_the_registry()
            self._delete(subscriber, landscape + _EDIT_EVENTS)
            self._history()
            self._verify()
            metrics = self._measure(landscape + _EDIT_EVENTS + _DELETED)
            # The broker acknowledges before it has delivered to everybody.
            subscriber.news(landscape + _EDIT_EVENTS + _DELETED + _BURST)
            received = subscriber.received
        finally:
            subscriber.close()
        return list(self._verdicts(received, metrics, landscape))

    def _start(self) -> None:
        self._tell.chapter("Parts, all on loopback, all in " + str(self._parts.home.directory))
        started = time.monotonic()
        with self._tell.waiting("starting etcd, kube-apiserver and the broker"):
            self._parts.start_broker()
            self._parts.start_plane()
        version = self._parts.plane.client().call("GET", "/version")["gitVersion"]
        took = time.monotonic() - started
        self._tell.say(f"Kubernetes API   {version}, ready in {took:.1f} s")
        self._tell.say(f"MQTT broker      {self._parts.broker.name}, {self._parts.broker.url}")
        self._binary = require_binary("kubectl")
        plane = self._parts.plane
        admin = Kubectl(self._tell, self._binary, plane.kubeconfig, "admin")
        self._ada = self._architect(ADA)
        self._ben = self._architect(BEN)
        self._objects = Objects(plane.client())
        crds = str(self._material.crds)
        admin.show("apply", "-f", crds, "-f", f"{crds}/admission")
        admin.quietly("apply", "-f", str(ACCESS))
        admin.quietly("wait", "--for=condition=Established", "--timeout=60s", "crd", "--all")
        self._tell.output("9 kinds, and a policy that stamps who changed a spec")
        with self._tell.waiting("waiting until the policy is in force"):
            self._await_policy()

    def _architect(self, user: str) -> Kubectl:
        kubeconfig = self._parts.plane.kubeconfig_for(user, ["architects"])
        return Kubectl(self._tell, self._binary, kubeconfig, user)

    def _await_policy(self) -> None:
        probe = str(self._material.landscape / "org-transit.yaml")
        deadline = time.monotonic() + _POLICY_SECONDS
        while time.monotonic() < deadline:
            # Until the API server serves a new CRD it answers with an error.
            answer = self._ada.attempt("create", "--dry-run=server", "-o", "json", "-f", probe)
            if f'"eatool.io/actor": "{ADA}"' in answer.output:
                return
            time.sleep(0.2)
        raise DemoError("the API server does not apply the admission policy")

    def _apply(self, subscriber: Subscriber) -> int:
        self._tell.chapter("A landscape, all kinds in one directory, in no order")
        answer = self._ada.show("apply", "-f", str(self._material.landscape))
        self._tell.output(answer.output, limit=3)
        count = len(answer.output.splitlines())
        took = watch_until_ready(self._tell, self._objects, count)
        self._tell.say(f"All {count} are Ready, {took:.1f} s after kubectl returned.")
        table = self._ada.show("get", "ea", "-o", f"custom-columns-file={self._material.columns}")
        self._tell.output(table.output)
        self._tell.messages(subscriber.news(count), limit=8)
        return count

    def _edit(self, subscriber: Subscriber, before: int) -> None:
        self._tell.chapter("An edit by somebody else: one change, several events")
        edit = self._material.edits / "good-retire-mainframe.yaml"
        self._tell.output(self._ben.show("apply", "-f", str(edit)).output)
        self._tell.messages(subscriber.news(before + _EDIT_EVENTS))

    def _refused_by_the_api_server(self) -> None:
        self._tell.chapter("An edit that the API server refuses, by a rule of the CRD")
        patch = '{"spec":{"targetId":"journeys"}}'
        arguments = ("patch", "relation", "shop-writes-accounts", "--type=merge", "-p", patch)
        self._tell.output(self._ben.show(*arguments, refused=True).text, style="red")

    def _refused_by_the_registry(self) -> None:
        self._tell.chapter("An edit that only the whole landscape can refuse")
        self._ben.show("apply", "-f", str(self._material.edits / "rejected-loop.yaml"))
        name = "aurelia-transit"
        seen = self._objects.wait(
            "Organization", name, lambda each: bool(each and each.condition("Stalled"))
        )
        self._condition(seen, "Stalled", style="red")
        self._tell.say("Nothing is recorded. The old manifest again, and all is well:")
        self._ada.show("apply", "-f", str(self._material.landscape / "org-transit.yaml"))
        seen = self._objects.wait("Organization", name, lambda each: bool(each and each.ready))
        self._condition(seen, "Ready", style="green")

    def _delete(self, subscriber: Subscriber, before: int) -> None:
        self._tell.chapter("A deletion that waits for the one who refers to it")
        self._ben.show("delete", "dataentity", "journeys", "--wait=false")
        seen = self._objects.wait(
            "DataEntity",
            "journeys",
            lambda each: bool(each and each.condition("Ready").get("status") == "False"),
        )
        self._condition(seen, "Ready", style="yellow")
        self._ben.show("delete", "dataentity", "punctuality-mart")
        for name in ("punctuality-mart", "journeys"):
            self._objects.wait("DataEntity", name, lambda each: each is None)
        self._tell.output("both are gone")
        self._tell.messages(subscriber.news(before + _DELETED))

    def _history(self) -> None:
        self._tell.chapter("Who changed what, when and why")
        answer = self._eatool.show("history", "application", "mainframe-tariffs")
        self._tell.output(answer.output)

    def _verify(self) -> None:
        self._tell.chapter("Proof that the log is complete, ordered and unchanged")
        for what in ("chain", "ordering"):
            self._tell.output(self._eatool.show("verify", what).output)

    def _measure(self, before: int) -> Metrics:
        self._tell.chapter(f"{_BURST} more objects at once: lag and throughput, from /metrics")
        manifests = self._parts.home.directory / "servers.yaml"
        manifests.write_text("".join(map(_server, range(_BURST))))
        earlier = self._parts.operator.metrics()
        started = time.monotonic()
        self._ada.show("create", "-f", str(manifests))
        created = time.monotonic()
        metrics, most, acknowledged_at = self._until_published(before + _BURST)
        self._tell.output(f"{_BURST / (created - started):7.0f} objects/s created by kubectl")
        self._tell.output(
            f"{_BURST / (acknowledged_at - started):7.0f} objects/s from kubectl to the "
            "acknowledgement of the broker"
        )
        self._tell.output(f"{most:7.0f} events waited for the broker at most, none waits now")
        for line in figures(metrics.since(earlier)):
            self._tell.output(line)
        return metrics

    def _until_published(self, events: int) -> tuple[Metrics, float, float]:
        """The last metrics, the largest lag in events, and when all were acknowledged."""
        most, acknowledged_at = 0.0, 0.0
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline:
            metrics = self._parts.operator.metrics()
            lag = metrics.total("eatool_outbox_events")
            most = max(most, lag)
            acknowledged = metrics.total("eatool_publish_total", result="acknowledged")
            if acknowledged >= events:
                acknowledged_at = acknowledged_at or time.monotonic()
                if not lag:  # sampled once a second
                    return metrics, most, acknowledged_at
            time.sleep(0.1)
        raise DemoError(f"not all of {events} events were published in {_PATIENCE:.0f} s")

    def _verdicts(
        self, received: tuple[Received, ...], metrics: Metrics, landscape: int
    ) -> Iterator[Verdict]:
        recorded = read_log(self._parts.home.store_url)
        expected = landscape + _EDIT_EVENTS + _DELETED + _BURST
        yield from compare(recorded, received, expected)
        who = by_whom(recorded, _EDITED)
        yield Verdict(
            who == [(ADA, "authenticated"), *[(BEN, "authenticated")] * _EDIT_EVENTS],
            "every change is in the name of the user whom the API server authenticated",
        )
        acknowledged = metrics.total("eatool_publish_total", result="acknowledged")
        yield Verdict(
            acknowledged >= expected and not metrics.total("eatool_outbox_events"),
            f"the broker acknowledged {acknowledged:.0f} events, none is waiting",
        )
        yield Verdict(
            not metrics.total("eatool_reconcile_total", result="error"), "no reconcile failed"
        )
        listed = self._parts.plane.client().call("GET", _KUBERNETES_EVENTS)["items"]
        yield Verdict(
            {"CircularReference", "DeleteBlocked"} <= {event["reason"] for event in listed},
            "Kubernetes events told of the loop and of the blocked deletion",
        )

    def _condition(self, seen: Seen | None, which: str, *, style: str) -> None:
        condition = seen.condition(which) if seen else {}
        self._tell.output(
            f"{which}={condition['status']}  {condition['reason']}: {condition['message']}",
            style=style,
        )


def figures(metrics: Metrics) -> Iterator[str]:
    """What an operator's day looks like, in a few lines."""
    for name, what in (
        ("eatool_reconcile_duration_seconds", "one reconcile, status written"),
        ("eatool_append_duration_seconds", "one append, queueing and commit to disk"),
        ("eatool_event_publish_latency_seconds", "from commit to acknowledgement"),
    ):
        yield f"{metrics.mean(name) * 1000:7.0f} ms on average: {what}"
    requests = metrics.total("eatool_api_requests_total")
    created = metrics.total("eatool_events_appended_total")
    yield f"{requests / created:7.2f} requests to the API server for each new object"


def _server(number: int) -> str:
    name = f"vm-{number:04}"
    return f"""---
apiVersion: eatool.io/v1alpha1
kind: Server
metadata:
  name: {name}
spec:
  hostname: {name}.aurelia.example
  environment: staging
  criticality: low
"""


def next_commands(parts: Parts, kubectl: Path) -> list[str]:
    """What to type after a demo that was kept running."""
    environment = parts.home.write_environment(
        {
            "KUBECONFIG": str(parts.plane.kubeconfig),
            "EATOOL_STORE_URL": parts.home.store_url,
            "EATOOL_BROKER_URL": parts.broker.url,
        },
        kubectl,
    )
    return [
        f"source {environment}",
        "kubectl get ea",
        "kubectl edit application ticket-shop",
        "kubectl get events",
        "eatool history application ticket-shop",
        "eatool verify chain",
        "eatool relay status",
        f"mosquitto_sub -p {parts.broker.port} -t 'eatool/#' -v",
        f"curl -s http://127.0.0.1:{parts.operator.port}/metrics | grep ^eatool_",
        f"tail -f {parts.operator.log}",
    ]
