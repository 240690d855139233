"""Brokers declared as resources, with the real operator, API server and Mosquitto."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from tests.operator.conftest import Subscribe
from tests.operator.operators import Operator, running, until
from tests.operator.platform_site import PlatformSite
from tests.operator.site import APPLICATION, SERVER, Site
from tests.plugins.certificates import Certificates
from tests.plugins.mosquitto import BrokerFactory, Mosquitto
from tests.publishing.subscriber import Subscriber

from eatool.dev.faultproxy import FaultProxy
from eatool.kube.platform.resources import EVENT_BROKER
from eatool.kube.platform.writing import INTERVAL
from eatool.publishing.checkpoints_sql import SqlCheckpoints
from eatool.store.sql.engine import open_engine


@pytest.fixture(scope="module")
def settings(site: Site) -> dict[str, Any]:
    return {"namespace": site.namespace, "resync_interval": 3600, "log_level": "debug"}


@pytest.fixture
def both(
    operator: Operator, proxy: FaultProxy, directory: Path, site: Site, settings: dict[str, Any]
) -> Iterator[tuple[Operator, Operator]]:
    """A second operator on the same log."""
    options = {"namespaces": site.namespace, "store_url": operator.store_url, **settings}
    with running(Operator(proxy.kubeconfig, directory, "peer", **options)) as peer:
        yield operator, peer


@pytest.fixture
def platform(platform: PlatformSite) -> Iterator[PlatformSite]:
    """Without the brokers of the tests before."""
    yield platform
    for body in platform.all(EVENT_BROKER):
        platform.delete(EVENT_BROKER, body["metadata"]["name"])


def started(make: BrokerFactory, **settings: Any) -> Mosquitto:
    broker = make(**settings)
    broker.start()
    return broker


def test_one_broker_fails_and_comes_back_while_the_other_flows(
    operator: Operator,
    site: Site,
    platform: PlatformSite,
    make_mosquitto: BrokerFactory,
    subscribe: Subscribe,
) -> None:
    one, two = started(make_mosquitto), started(make_mosquitto)
    at_one, at_two = subscribe(one), subscribe(two)
    platform.broker("one", one.port)
    platform.broker("two", two.port, topicTemplate="two/{namespace}/{entity_type}/{entity_id}")
    site.create("Server", "first", SERVER)
    for name in ("one", "two"):
        platform.await_reason(EVENT_BROKER, name, "Publishing")
        platform.await_caught_up(name)
        row = platform.row(name)
        assert (row["TYPE"], row["READY"], row["CONNECTED"]) == ("mqtt", "True", "True")
        assert (row["LAG"], row["PARKED"], row["SUSPENDED"]) == ("0", "0", "False")
        assert row["CIRCUIT"] == "closed"
    assert platform.status(EVENT_BROKER, "one")["address"] == f"mqtt://127.0.0.1:{one.port}"
    until(lambda: at_one.distinct == at_two.distinct == 1, "both have the event")
    assert at_two.messages[0].topic == f"two/{site.namespace}/server/first"

    one.save()  # or it forgets the subscriber, who may be back later than the relay
    one.kill()
    site.create("Server", "second", SERVER)
    site.await_ready("Server", "second")
    told = platform.await_reason(EVENT_BROKER, "one", "ConnectionFailed")
    assert str(one.port) in told["message"]
    assert "spec.addresses" in told["message"]
    until(lambda: platform.row("one")["LAG"] == "1", "the lag shows")
    row = platform.row("one")
    assert (row["READY"], row["CONNECTED"]) == ("False", "False")
    assert row["CIRCUIT"] in {"open", "half_open"}
    assert row["BEHIND"][0].isdigit()
    assert platform.condition(EVENT_BROKER, "one", "Reconciling")["status"] == "True"
    until(lambda: at_two.distinct == 2, "the other broker flows")
    platform.await_caught_up("two")
    assert platform.row("two")["READY"] == "True"

    one.start()
    platform.await_reason(EVENT_BROKER, "one", "Publishing", seconds=90)
    status = platform.await_caught_up("one")
    assert "lastError" not in status
    assert "oldestUnpublishedAt" not in status
    until(lambda: ("Normal", "Publishing") in platform.events("one"), "its return is announced")
    assert platform.events("one") == [("Warning", "ConnectionFailed"), ("Normal", "Publishing")]
    assert platform.events("two") == []
    until(lambda: at_one.distinct == 2, "nothing is lost")
    until(lambda: platform.row("one")["CIRCUIT"] == "closed", "one event is not the end of it")
    assert platform.row("one")["REASON"] == "Publishing"
    assert operator.metric("eatool_broker_connected", broker="one") == 1
    assert operator.metric("eatool_broker_reconnects_total", broker="one") >= 1


def test_one_correlation_id_leads_through_the_log(
    operator: Operator, site: Site, platform: PlatformSite, make_mosquitto: BrokerFactory
) -> None:
    def messages(kind: str, name: str) -> set[str]:
        correlation = site.get(kind, name)["status"]["correlationId"]
        return {
            line["message"]
            for line in operator.records()
            if line.get("correlation_id") == correlation
        }

    platform.broker("traced", started(make_mosquitto).port)
    site.create("Application", "traced", {**APPLICATION, "capabilityId": "later"})
    site.await_reason("Application", "traced", "ReferenceNotFound")
    site.create("BusinessCapability", "later", {"name": "Later"})
    site.await_ready("Application", "traced")
    version = f"application/{site.namespace}/traced version 1 acknowledged"
    until(lambda: version in messages("Application", "traced"), "it is published")
    found = messages("Application", "traced")
    looks = {"reconcile begins", "not accepted", "recorded", "reconcile ends"}
    assert looks <= found
    (append,) = found - looks - {version}
    assert append.startswith(f"application/{site.namespace}/traced: 1 events up to position ")
    assert not found & (messages("BusinessCapability", "later") - looks)


def test_when_certificates_expire_is_measured(
    operator: Operator, platform: PlatformSite, certificates: Certificates
) -> None:
    def expiry(certificate: str) -> float:
        name = "eatool_certificate_expiry_timestamp_seconds"
        return operator.metric(name, broker="encrypted", certificate=certificate)

    pem = certificates.ca.read_bytes()
    platform.secret("trusted", **{"ca.crt": pem.decode()})
    platform.create(
        EVENT_BROKER,
        "encrypted",
        type="mqtt",
        addresses=["mqtts://127.0.0.1:1"],
        tls={"ca": {"name": "trusted", "key": "ca.crt"}},
    )
    end = x509.load_pem_x509_certificate(pem).not_valid_after_utc.timestamp()
    until(lambda: expiry("ca") == end, "the end of the CA is known")
    assert expiry("client") == 0, "none is used"


def test_a_bad_password_is_told_and_heals_with_the_secret(
    operator: Operator, site: Site, platform: PlatformSite, make_mosquitto: BrokerFactory
) -> None:
    broker = started(make_mosquitto, users={"registry": "right"})
    login = {"basic": {"name": "login"}}
    platform.broker("guarded", broker.port, credentials=login)

    told = platform.await_reason(EVENT_BROKER, "guarded", "SecretNotFound")
    assert told["message"] == "spec.credentials.basic: Secret login does not exist"
    assert platform.condition(EVENT_BROKER, "guarded", "Reconciling")["status"] == "True"

    platform.secret("login", username="registry")
    told = platform.await_reason(EVENT_BROKER, "guarded", "SecretKeyMissing")
    assert "has no key password" in told["message"]

    platform.secret("login", username="registry", password="hunter2")
    told = platform.await_reason(EVENT_BROKER, "guarded", "LoginRefused")
    assert told["message"].startswith("spec.credentials: ")
    assert "hunter2" not in str(platform.find(EVENT_BROKER, "guarded"))
    assert platform.condition(EVENT_BROKER, "guarded", "Stalled")["status"] == "True"

    platform.secret("login", username="registry", password="right")
    platform.await_reason(EVENT_BROKER, "guarded", "Publishing")
    assert not platform.condition(EVENT_BROKER, "guarded", "Stalled")
    for secret in ("hunter2", base64.b64encode(b"hunter2").decode()):
        assert secret not in operator.log(), "not even in a debug log"


def test_a_spec_that_cannot_work_names_its_field_and_heals(
    operator: Operator, platform: PlatformSite, broker: Mosquitto
) -> None:
    pinned = [{"eventType": "ServerCreated", "version": 1000}]
    platform.broker("odd", broker.port, acceptedVersions=pinned)
    told = platform.await_reason(EVENT_BROKER, "odd", "UnreachableVersion")
    assert told["message"].startswith("spec.acceptedVersions[0].version: ")
    assert "legal: 1" in told["message"]
    assert platform.condition(EVENT_BROKER, "odd", "Stalled")["status"] == "True"
    platform.change(EVENT_BROKER, "odd", acceptedVersions=None)
    platform.await_reason(EVENT_BROKER, "odd", "Publishing")


def test_a_suspended_broker_is_sent_nothing_and_goes_on_where_it_was(
    operator: Operator,
    site: Site,
    platform: PlatformSite,
    broker: Mosquitto,
    subscriber: Subscriber,
) -> None:
    platform.broker("paused", broker.port, suspended=True, start={"position": "Latest"})
    platform.await_reason(EVENT_BROKER, "paused", "Suspended")
    row = platform.row("paused")
    assert (row["CONNECTED"], row["SUSPENDED"], row["LAG"]) == ("False", "True", "0")
    site.create("Server", "while-suspended", SERVER)
    site.await_ready("Server", "while-suspended")
    until(lambda: platform.row("paused")["LAG"] == "1", "the lag grows while suspended")
    assert operator.metric("eatool_outbox_events", broker="paused") == 1

    platform.change(EVENT_BROKER, "paused", suspended=False)
    platform.await_reason(EVENT_BROKER, "paused", "Publishing")
    until(lambda: subscriber.distinct == 1, "what was recorded since its creation arrives")
    platform.await_caught_up("paused")

    platform.change(EVENT_BROKER, "paused", suspended=True)
    platform.await_reason(EVENT_BROKER, "paused", "Suspended")
    site.create("Server", "suspended-again", SERVER)
    site.await_ready("Server", "suspended-again")
    assert subscriber.distinct == 1


def test_a_broker_created_again_goes_on_where_it_stopped(
    operator: Operator,
    site: Site,
    platform: PlatformSite,
    broker: Mosquitto,
    subscriber: Subscriber,
) -> None:
    platform.broker("again", broker.port)
    site.create("Server", "before", SERVER)
    site.await_ready("Server", "before")
    platform.await_caught_up("again")
    before = subscriber.distinct
    assert operator.metric("eatool_publish_total", broker="again", result="acknowledged") > 0

    platform.delete(EVENT_BROKER, "again")
    until(lambda: 'broker="again"' not in operator.get("/metrics")[1], "its series are gone")
    site.create("Server", "between", SERVER)
    site.await_ready("Server", "between")
    engine = open_engine(operator.store_url)
    assert "again" in SqlCheckpoints(engine).destinations(), "the checkpoint is kept"
    engine.dispose()

    platform.broker("again", broker.port)
    platform.await_caught_up("again")
    until(lambda: subscriber.distinct == before + 1, "only what it missed")
    assert len(subscriber.messages) == before + 1


def test_entities_are_ready_whatever_the_brokers_do(
    operator: Operator, site: Site, platform: PlatformSite, broker: Mosquitto
) -> None:
    broker.kill()
    platform.broker("dead", broker.port)
    pinned = [{"eventType": "ServerCreated", "version": 1000}]
    platform.broker("broken", broker.port, acceptedVersions=pinned)
    platform.await_reason(EVENT_BROKER, "dead", "ConnectionFailed")
    platform.await_reason(EVENT_BROKER, "broken", "UnreachableVersion")
    site.create("Server", "ready-anyway", SERVER)
    site.await_ready("Server", "ready-anyway")
    assert operator.ready()


WRITES = {"verb": "patch", "resource": "eventbrokers/status", "code": "200"}


def writes(*operators: Operator) -> float:
    return sum(each.metric("eatool_api_requests_total", **WRITES) for each in operators)


def test_status_is_written_at_turns_and_in_a_trickle(
    operator: Operator, site: Site, platform: PlatformSite, broker: Mosquitto
) -> None:
    at_start = writes(operator)
    platform.broker("quiet", broker.port, start={"position": "Latest"})
    platform.await_reason(EVENT_BROKER, "quiet", "Publishing")
    assert writes(operator) - at_start <= 2, "connecting, connected"
    quiet = writes(operator)
    time.sleep(5)  # several looks
    assert writes(operator) == quiet, "nothing happened"

    since = time.monotonic()
    for number in range(50):
        site.create("Server", f"busy-{number}", SERVER)
        time.sleep(0.1)
    site.await_ready("Server", "busy-49")
    platform.await_caught_up("quiet")
    until(lambda: platform.status(EVENT_BROKER, "quiet")["lagEvents"] == 0, "all is told")
    written, seconds = writes(operator) - quiet, time.monotonic() - since
    assert 1 <= written <= seconds / INTERVAL + 1


def test_of_two_operators_one_writes(
    both: tuple[Operator, Operator],
    site: Site,
    platform: PlatformSite,
    broker: Mosquitto,
    subscriber: Subscriber,
) -> None:
    platform.broker("shared", broker.port, start={"position": "Latest"})

    def shared() -> bool:
        up = [each.metric("eatool_broker_connected", broker="shared") for each in both]
        return up == [1, 1]

    until(shared, "both have a session")
    platform.await_reason(EVENT_BROKER, "shared", "Publishing")
    at_start = [writes(each) for each in both]
    for number in range(20):
        site.create("Server", f"shared-{number}", SERVER)
    until(lambda: subscriber.distinct == 20, "everything arrives")
    time.sleep(2 * INTERVAL)
    platform.await_caught_up("shared")
    until(lambda: platform.status(EVENT_BROKER, "shared")["lagEvents"] == 0, "all is told")
    told = [writes(each) - before for each, before in zip(both, at_start, strict=True)]
    assert sorted(each > 0 for each in told) == [False, True], told
