"""The running parts, started together and stopped together."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Self

from eatool.demo.broker import Broker
from eatool.demo.ending import raise_if_lost
from eatool.demo.operating import OperatorProcess
from eatool.demo.places import Home
from eatool.dev.controlplane import ControlPlane


class Parts:
    """Control plane, broker and operator of one demo, all in its directory.

    Unless they are to be kept, the kernel ends them with this process, however that ends.
    """

    def __init__(self, home: Home, *, keep: bool = False) -> None:
        self.home = home
        self.broker = Broker(home.directory)
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
        return self.plane.running or self.broker.running or self.operator.running

    def start_broker(self) -> None:
        """Start the MQTT broker."""
        self.broker.start(die_with_parent=not self._keep)
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
            broker_url=self.broker.url,
            die_with_parent=not self._keep,
        )
        raise_if_lost()

    def leave_running(self) -> None:
        """Do not stop them at the end."""
        self._leave = self._keep

    def stop(self) -> bool:
        """Stop what runs, dependents first; false if nothing did."""
        stopped = [self.operator.stop(), self.plane.stop(), self.broker.stop()]
        return any(stopped)
