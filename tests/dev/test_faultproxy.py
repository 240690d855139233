"""Every fault, against the real API server."""

import json
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from eatool.dev.apiclient import ApiClient
from eatool.dev.controlplane import ControlPlane
from eatool.dev.faultproxy import FaultProxy
from eatool.dev.faults import Answer, Cut, Delay, Drop, Silence, WatchError

LIMIT = 10.0


@pytest.fixture
def client(fault_proxy: FaultProxy, control_plane: ControlPlane) -> Iterator[httpx.Client]:
    with httpx.Client(
        base_url=fault_proxy.url,
        verify=ssl.create_default_context(cafile=str(control_plane.ca)),
        headers={"Authorization": f"Bearer {fault_proxy.admin_token}", "User-Agent": "tester/1"},
        timeout=LIMIT,
    ) as client:
        yield client


@pytest.fixture
def configmaps(namespace: str) -> str:
    return f"/api/v1/namespaces/{namespace}/configmaps"


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


class Watch:
    """A watch read by a thread, as an operator would."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.end: Exception | str | None = None

    def read(self, response: httpx.Response) -> None:
        try:
            for line in response.iter_lines():
                self.events.append(json.loads(line))
            self.end = "end of stream"
        except (httpx.HTTPError, httpx.StreamError) as error:
            self.end = error

    @property
    def names(self) -> list[str]:
        return [event["object"]["metadata"]["name"] for event in self.events]


@contextmanager
def watching(client: httpx.Client, path: str, **query: str) -> Iterator[Watch]:
    watch = Watch()
    with client.stream("GET", path, params={"watch": "true", **query}) as response:
        assert response.status_code == 200
        thread = threading.Thread(target=watch.read, args=(response,))
        thread.start()
        try:
            yield watch
        finally:
            # Leave as a killed client does. Not through the TLS layer: the thread is using it.
            with suppress(OSError):
                socket.socket.shutdown(
                    response.extensions["network_stream"].get_extra_info("socket"),
                    socket.SHUT_RDWR,
                )
            thread.join(LIMIT)
            assert not thread.is_alive()


def create(admin: ApiClient, configmaps: str, name: str, **data: str) -> None:
    admin.call("POST", configmaps, {"metadata": {"name": name}, "data": data})


def received_before_the_break(response: httpx.Response) -> bytes:
    received = b""
    try:
        for chunk in response.iter_raw():
            received += chunk
    except httpx.RemoteProtocolError:
        return received
    pytest.fail("the connection did not break")


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (Answer(409), "Conflict"),
        (Answer(409, reason="AlreadyExists"), "AlreadyExists"),
        (Answer(410), "Expired"),
        (Answer(429, retry_after=3), "TooManyRequests"),
        (Answer(500), "InternalError"),
        (Answer(503), "ServiceUnavailable"),
    ],
)
def test_refusals_look_like_the_api_servers(
    fault_proxy: FaultProxy, client: httpx.Client, configmaps: str, fault: Answer, reason: str
) -> None:
    rule = fault_proxy.inject(fault, method="POST", path=r"/configmaps$", times=1)

    refused = client.post(configmaps, json={"metadata": {"name": "crm"}})
    assert refused.status_code == fault.status
    assert refused.headers["content-type"].startswith("application/json")
    status = refused.json()
    assert (status["kind"], status["status"], status["code"]) == ("Status", "Failure", fault.status)
    assert status["reason"] == reason
    if fault.retry_after is not None:
        assert refused.headers["retry-after"] == "3"
        assert status["details"] == {"retryAfterSeconds": 3}

    assert client.get(f"{configmaps}/crm").status_code == 404
    assert client.post(configmaps, json={"metadata": {"name": "crm"}}).status_code == 201
    assert rule.hits == 1


def test_a_delay_only_delays(
    fault_proxy: FaultProxy, client: httpx.Client, configmaps: str
) -> None:
    fault_proxy.inject(Delay(0.5), method="POST")
    started = time.monotonic()

    assert client.post(configmaps, json={"metadata": {"name": "crm"}}).status_code == 201

    assert time.monotonic() - started >= 0.5


@pytest.mark.parametrize("processed", [False, True])
def test_a_dropped_request_may_or_may_not_have_been_carried_out(
    fault_proxy: FaultProxy, client: httpx.Client, configmaps: str, *, processed: bool
) -> None:
    fault_proxy.inject(Drop(processed=processed), method="POST", times=1)

    with pytest.raises(httpx.RemoteProtocolError):
        client.post(configmaps, json={"metadata": {"name": "crm"}})

    assert client.get(f"{configmaps}/crm").status_code == (200 if processed else 404)
    dropped = fault_proxy.log.requests()[0]
    assert (dropped.method, dropped.status, dropped.injected) == ("POST", None, True)


def test_a_body_is_cut(fault_proxy: FaultProxy, client: httpx.Client, configmaps: str) -> None:
    fault_proxy.inject(Cut(after_bytes=20), path=r"/configmaps$", times=1)

    with client.stream("GET", configmaps) as response:
        assert response.status_code == 200
        received = received_before_the_break(response)
    assert len(received) == 20
    assert client.get(configmaps).status_code == 200


def test_a_new_watch_is_cut_inside_an_event(
    fault_proxy: FaultProxy, client: httpx.Client, admin: ApiClient, configmaps: str
) -> None:
    create(admin, configmaps, "crm")
    fault_proxy.inject(Cut(after_bytes=30), watch=True, times=1)

    with client.stream("GET", configmaps, params={"watch": "1"}) as response:
        received = received_before_the_break(response)
    assert len(received) == 30
    assert received.startswith(b'{"type":"ADDED"')


def test_watch_events_arrive_at_once(
    fault_proxy: FaultProxy, client: httpx.Client, admin: ApiClient, configmaps: str
) -> None:
    with watching(client, configmaps) as watch:
        for name in ("crm", "erp"):
            started = time.monotonic()
            create(admin, configmaps, name, text="x" * 200_000)  # more than one read

            def delivered(name: str = name) -> bool:
                return name in watch.names

            wait_for(delivered)
            assert time.monotonic() - started < 2
        assert fault_proxy.open_watches(path=configmaps) == 1
    wait_for(lambda: fault_proxy.open_watches() == 0)


def test_an_open_watch_is_cut(
    fault_proxy: FaultProxy, client: httpx.Client, admin: ApiClient, configmaps: str
) -> None:
    create(admin, configmaps, "crm")
    with watching(client, configmaps) as watch:
        wait_for(lambda: watch.names == ["crm"])

        assert fault_proxy.disturb_watches(Cut(), path="/elsewhere") == 0
        assert fault_proxy.disturb_watches(Cut(), path=configmaps) == 1

        wait_for(lambda: watch.end is not None)
        assert isinstance(watch.end, httpx.RemoteProtocolError)
    assert fault_proxy.open_watches() == 0


def test_an_open_watch_falls_silent(
    fault_proxy: FaultProxy, client: httpx.Client, admin: ApiClient, configmaps: str
) -> None:
    create(admin, configmaps, "crm")
    with watching(client, configmaps, timeoutSeconds="1") as watch:
        wait_for(lambda: watch.names == ["crm"])

        assert fault_proxy.disturb_watches(Silence()) == 1
        create(admin, configmaps, "erp")
        time.sleep(1.5)  # past the time at which the API server itself would have ended it

        assert watch.names == ["crm"]
        assert watch.end is None
        assert fault_proxy.open_watches() == 1
    wait_for(lambda: fault_proxy.open_watches() == 0)


def test_a_new_watch_is_born_silent(
    fault_proxy: FaultProxy, client: httpx.Client, admin: ApiClient, configmaps: str
) -> None:
    create(admin, configmaps, "crm")
    fault_proxy.inject(Silence(), path=r"/configmaps$")

    with watching(client, configmaps) as watch:
        time.sleep(0.5)
        assert watch.events == []
        assert watch.end is None


@pytest.mark.parametrize("already_open", [False, True])
def test_a_watch_ends_with_an_error_event(
    fault_proxy: FaultProxy,
    client: httpx.Client,
    admin: ApiClient,
    configmaps: str,
    *,
    already_open: bool,
) -> None:
    if not already_open:
        fault_proxy.inject(WatchError(), times=1)
    with watching(client, configmaps) as watch:
        if already_open:
            create(admin, configmaps, "crm")
            wait_for(lambda: watch.names == ["crm"])
            assert fault_proxy.disturb_watches(WatchError()) == 1
        wait_for(lambda: watch.end is not None)

    assert watch.end == "end of stream"
    error = watch.events[-1]
    assert error["type"] == "ERROR"
    assert error["object"]["kind"] == "Status"
    assert (error["object"]["code"], error["object"]["reason"]) == (410, "Expired")


def test_requests_are_counted(
    fault_proxy: FaultProxy, client: httpx.Client, configmaps: str
) -> None:
    client.post(configmaps, json={"metadata": {"name": "crm"}})
    for _ in range(2):
        client.patch(
            f"{configmaps}/crm",
            json={"data": {"a": "b"}},
            headers={"Content-Type": "application/merge-patch+json"},
        )
    client.get("/api/v1/pods", headers={"User-Agent": "other"})
    client.get("/version")

    assert fault_proxy.log.counts(user_agent="tester") == {
        ("create", "configmaps", ""): 1,
        ("patch", "configmaps", ""): 2,
    }
    assert [request.status for request in fault_proxy.log.requests()] == [201, 200, 200, 200, 200]


def test_lifted_faults_are_over(fault_proxy: FaultProxy, client: httpx.Client) -> None:
    first = fault_proxy.inject(Answer(500))
    fault_proxy.inject(Answer(503))

    assert client.get("/version").status_code == 500
    fault_proxy.lift(first)
    assert client.get("/version").status_code == 503
    fault_proxy.lift()
    assert client.get("/version").status_code == 200


def test_nobody_is_administrator_by_accident(fault_proxy: FaultProxy, client: httpx.Client) -> None:
    client.headers["Authorization"] = "Bearer guess"
    assert client.get("/api/v1/secrets").status_code == 401
    del client.headers["Authorization"]
    assert client.get("/api/v1/secrets").status_code == 403


def test_a_service_account_is_itself_behind_the_proxy(
    fault_proxy: FaultProxy,
    control_plane: ControlPlane,
    admin: ApiClient,
    namespace: str,
    kubectl: Path,
) -> None:
    accounts = f"/api/v1/namespaces/{namespace}/serviceaccounts"
    admin.call("POST", accounts, {"metadata": {"name": "operator"}})
    token = control_plane.service_account_token(namespace, "operator")

    for kubeconfig, expected in (
        (fault_proxy.kubeconfig, "admin"),
        (
            fault_proxy.kubeconfig_for(token, "operator"),
            f"system:serviceaccount:{namespace}:operator",
        ),
    ):
        answer = subprocess.run(
            [kubectl, f"--kubeconfig={kubeconfig}", "auth", "whoami", "-o", "json"],
            capture_output=True,
            check=True,
        )
        assert json.loads(answer.stdout)["status"]["userInfo"]["username"] == expected


def test_plain_http_and_bodies_beyond_a_megabyte(
    control_plane: ControlPlane, tmp_path: Path, configmaps: str
) -> None:
    with FaultProxy(control_plane, tmp_path, tls=False) as proxy:
        headers = {"Authorization": f"Bearer {proxy.admin_token}"}
        data = {"part": "x" * 1_040_000}  # the limit of a ConfigMap is 1 MiB of data
        with httpx.Client(base_url=proxy.url, headers=headers) as client:
            created = client.post(
                configmaps,
                json={"metadata": {"name": "big", "annotations": {"a": "y" * 9000}}, "data": data},
            )
            assert created.status_code == 201
            assert client.get(f"{configmaps}/big").json()["data"] == data


def test_without_an_api_server_the_connection_breaks(
    control_plane: ControlPlane, tmp_path: Path
) -> None:
    plane = ControlPlane(tmp_path / "plane", fast=True, die_with_parent=True)
    with plane, FaultProxy(plane, tmp_path / "proxy", tls=False) as proxy:
        headers = {"Authorization": f"Bearer {proxy.admin_token}"}
        with httpx.Client(base_url=proxy.url, headers=headers) as client:
            assert client.get("/version").status_code == 200
            with watching(client, "/api/v1/configmaps") as watch:
                plane.stop()
                wait_for(lambda: watch.end is not None)
        with pytest.raises(httpx.RemoteProtocolError):
            httpx.get(f"{proxy.url}/version", headers=headers)
