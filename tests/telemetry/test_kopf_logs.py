"""A real operator at debug level, against a real API server: no spec value reaches the log."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from eatool.dev.apiclient import ApiClient
from eatool.dev.controlplane import ControlPlane

FIRST, SECOND = "first-s3cret", "second-s3cret"
GROUP = "logging.test.eatool.io"

OPERATOR = f"""
    import kopf
    from eatool.telemetry import logs

    logs.configure("debug", "json")

    @kopf.on.create("{GROUP}", "v1", "things")
    def create(spec, retry, patch, **_):
        if retry == 0:
            raise kopf.TemporaryError(spec["value"], delay=0.1)
        patch.status["seen"] = spec["value"]

    @kopf.on.update("{GROUP}", "v1", "things")
    def update(spec, **_):
        raise kopf.PermanentError(spec["value"])

    @kopf.on.startup()
    def configure(settings, **_):
        settings.persistence.progress_storage = kopf.StatusProgressStorage()
        settings.posting.enabled = False

    @kopf.on.create("{GROUP}", "v1", "things", id="backoff", backoff=0.1)
    def again(spec, retry, **_):
        if retry == 0:
            raise ValueError(spec["value"])

    kopf.run(clusterwide=True, standalone=True)
"""


@pytest.fixture
def things(admin: ApiClient, namespace: str) -> Iterator[str]:
    """A kind that keeps whatever it is given; yields its collection."""
    name = f"things.{GROUP}"
    crd = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": name},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {"kind": "Thing", "plural": "things", "singular": "thing"},
            "versions": [
                {
                    "name": "v1",
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "schema": {
                        "openAPIV3Schema": {
                            "type": "object",
                            "x-kubernetes-preserve-unknown-fields": True,
                        }
                    },
                }
            ],
        },
    }
    path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    admin.call("POST", path, crd)
    collection = f"/apis/{GROUP}/v1/namespaces/{namespace}/things"
    wait(lambda: admin.request("GET", collection).status == 200, "the CRD is served")
    yield collection
    admin.request("DELETE", f"{path}/{name}")


def wait(condition: Callable[[], bool], what: str, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not in time: {what}"
        time.sleep(0.1)


def test_no_spec_value_in_the_log_of_a_real_operator(
    control_plane: ControlPlane, admin: ApiClient, things: str, tmp_path: Path
) -> None:
    script, log = tmp_path / "run_it.py", tmp_path / "log"
    script.write_text(textwrap.dedent(OPERATOR))
    environment = {**os.environ, "KUBECONFIG": str(control_plane.kubeconfig)}
    environment["PYTHONPATH"] = str(Path(__file__).parents[2] / "operator")
    with log.open("wb") as out:
        operator = subprocess.Popen([sys.executable, script], env=environment, stderr=out)
    try:
        thing = {
            "apiVersion": f"{GROUP}/v1",
            "kind": "Thing",
            "metadata": {"name": "one"},
            "spec": {"value": FIRST},
        }
        admin.call("POST", things, thing)

        def logged(text: str) -> bool:
            assert operator.poll() is None, log.read_text()
            return text in log.read_text()

        wait(lambda: logged("'create' succeeded"), "the temporary error and its retry")
        wait(lambda: logged("'backoff' succeeded"), "the exception and its retry")
        stored = admin.call("GET", f"{things}/one")
        admin.call("PUT", f"{things}/one", {**stored, "spec": {"value": SECOND}})
        wait(lambda: logged("'update' failed permanently"), "the permanent error")
    finally:
        operator.terminate()
        operator.wait(30)
    text = log.read_text()
    assert FIRST not in text
    assert SECOND not in text
    records = [json.loads(line) for line in text.splitlines()]
    messages = {record["message"] for record in records}
    assert "Handler 'create' failed temporarily: [withheld]" in messages
    assert "Handler 'update' failed permanently: [withheld]" in messages
    assert "Updating diff: [withheld]" in messages
    assert any(message.startswith("Merge-patching the resource with: ") for message in messages)
    about = [record["object"] for record in records if "object" in record]
    assert {reference["name"] for reference in about} == {"one"}
