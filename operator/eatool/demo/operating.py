"""The operator as a process of its own, and what its HTTP endpoints say."""

from __future__ import annotations

import http.client
import os
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from eatool.demo.failing import DemoError
from eatool.dev.ports import free_port
from eatool.dev.processes import Server

_START_SECONDS = 60.0
_STOP_SECONDS = 15.0


class OperatorProcess:
    """``eatool run``, configured as anybody would: by its environment."""

    def __init__(self, directory: Path) -> None:
        self._server = Server("operator", directory)
        self._directory = directory
        self.port = 0

    @property
    def log(self) -> Path:
        """What it logs, JSON lines."""
        return self._server.log

    def start(self, *, kubeconfig: Path, store_url: str, die_with_parent: bool) -> None:
        """Start it and wait until it is ready; :class:`DemoError` when it does not become so."""
        self.port = free_port(None)
        inherited = {name: value for name, value in os.environ.items() if "EATOOL_" not in name}
        environment = inherited | {
            "KUBECONFIG": str(kubeconfig),
            "EATOOL_STORE_URL": store_url,
            "EATOOL_NAMESPACE": "default",
            "EATOOL_HTTP_HOST": "127.0.0.1",
            "EATOOL_HTTP_PORT": str(self.port),
            "EATOOL_TRUSTED_ACTOR_ANNOTATION": "true",
        }
        command = [
            "/usr/bin/env",
            *(f"{name}={value}" for name, value in environment.items() if name not in inherited),
            sys.executable,
            # Python ignores it; it names the directory, by which a later `--stop` knows its own.
            "-X",
            f"demo={self._directory}/",
            "-m",
            "eatool",
            "run",
        ]
        self._server.spawn(command, die_with_parent=die_with_parent)
        deadline = time.monotonic() + _START_SECONDS
        while not self._ready():
            if self._server.pid is None:
                raise DemoError(f"the operator ended while starting:\n{self._server.log_tail()}")
            if time.monotonic() > deadline:
                raise DemoError(
                    f"the operator is not ready after {_START_SECONDS:.0f} s:\n"
                    f"{self._server.log_tail()}"
                )
            time.sleep(0.1)

    @property
    def running(self) -> bool:
        """Whether it runs."""
        return self._server.pid is not None

    def stop(self) -> bool:
        """End it; false if it did not run."""
        return self._server.stop(_STOP_SECONDS)

    def metrics(self) -> Metrics:
        """What ``/metrics`` says now."""
        status, text = self._get("/metrics")
        if status != http.client.OK:
            raise DemoError(f"/metrics answers {status}")
        return Metrics.parse(text)

    def _ready(self) -> bool:
        try:
            return self._get("/readyz")[0] == http.client.OK
        except OSError:
            return False

    def _get(self, path: str) -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()


#: Name, labels, value.
Sample = tuple[str, Mapping[str, str], float]


class Metrics:
    """Samples of one scrape."""

    def __init__(self, samples: list[Sample]) -> None:
        self._samples = samples

    @classmethod
    def parse(cls, text: str) -> Metrics:
        """Read the Prometheus text format."""
        return cls(
            [
                (sample.name, sample.labels, sample.value)
                for family in text_string_to_metric_families(text)
                for sample in family.samples
            ]
        )

    def total(self, name: str, **labels: str) -> float:
        """Sum over all series of a name that have these labels."""
        return sum(
            value
            for sample, having, value in self._samples
            if sample == name and labels.items() <= having.items()
        )

    def since(self, earlier: Metrics) -> Metrics:
        """What was counted after an earlier scrape."""
        before = {(name, frozenset(labels.items())): value for name, labels, value in earlier}
        return Metrics(
            [
                (name, labels, value - before.get((name, frozenset(labels.items())), 0.0))
                for name, labels, value in self
            ]
        )

    def __iter__(self) -> Iterator[Sample]:
        return iter(self._samples)

    def mean(self, name: str, **labels: str) -> float:
        """Average of a histogram, over all series with these labels; 0 when it counted nothing."""
        count = self.total(f"{name}_count", **labels)
        return self.total(f"{name}_sum", **labels) / count if count else 0.0
