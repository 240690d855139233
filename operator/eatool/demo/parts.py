"""The running parts, started together and stopped together."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Self

from eatool.demo.broker import MqttBroker, find_mosquitto
from eatool.demo.ending import raise_if_lost
from eatool.demo.listening import DemoBroker
from eatool.demo.operating import OperatorProcess
from eatool.demo.places import Home
from eatool.demo.solace import SolaceStandIn, client_library_missing
from eatool.dev.controlplane import ControlPlane


class Parts:
    """Control plane, brokers and operator of one demo, all in its directory.

    Unless they are to be kept, the kernel ends them with this process, however that ends.
    """

    def __init__(self, home: Home, *, keep: bool = False) -> None:
        self.home = home
        self.mqtt = MqttBroker(home.directory)
        self.second = _second_broker(home.directory)
        self.operator = OperatorProcess(home.directory)
        self.plane = ControlPlane(
            home.directory / "kubernetes", fast=True, die_with_parent=not keep
        )
        self._keep = keep
        self._leave = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if not self._leave:
            self.stop()

    @property
    def running(self) -> bool:
        """Whether any of them runs."""
        parts = (self.plane, self.operator, *self.brokers)
        return any(part.running for part in parts)

    @property
    def brokers(self) -> tuple[DemoBroker, ...]:
        """The MQTT broker, and the second one where there is one."""
        return (self.mqtt,) if self.second is None else (self.mqtt, self.second)

    def start_broker(self, broker: DemoBroker) -> None:
        """Start one, or start it again after it was killed."""
        broker.start(die_with_parent=not self._keep)
        raise_if_lost()

    def start_plane(self) -> None:
        """Start the Kubernetes API."""
        self.plane.start()
        raise_if_lost()

    def start_operator(self, kubeconfig: Path) -> None:
        """Start the operator, which needs all the others."""
        self.operator.start(
            kubeconfig=kubeconfig,
            store_url=self.home.store_url,
            die_with_parent=not self._keep,
        )
        raise_if_lost()

    def leave_running(self) -> None:
        """Do not stop them at the end."""
        self._leave = self._keep

    def stop(self) -> bool:
        """Stop what runs, dependents first; false if nothing did."""
        parts = (self.operator, self.plane, *self.brokers)
        stopped = [part.stop() for part in parts]
        return any(stopped)


def _second_broker(directory: Path) -> DemoBroker | None:
    """Solace, else another Mosquitto, else none."""
    if client_library_missing() is None:
        return SolaceStandIn(directory)
    if find_mosquitto() is not None:
        return MqttBroker(directory, "second-mosquitto", lasting=True)
    return None
