"""A stand-in in a process of its own, which can be killed and started again.

::

    with BrokerProcess(tmp_path / "solace") as broker:
        ...                       # give broker.url to a client
        broker.kill()             # kill -9
        broker.start()            # same port, and what was acknowledged is there
        broker.stored()
"""

from __future__ import annotations

import http.client
import json
import select
import signal
import subprocess
import sys
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import quote, urlsplit

from eatool.dev.ports import free_port
from eatool.dev.processes import end_with_parent
from eatool.dev.smf.control import FAULTS, LIMITS, QUEUE, STATUS, QueueSettings, Status
from eatool.dev.smf.faults import Faults, Limits
from eatool.dev.smf.login import Access
from eatool.dev.smf.messages import ReceivedMessage, find_collisions

_SECONDS: Final = 15.0


class BrokerProcessError(RuntimeError):
    """It did not start, or refused a request; the message says what it wrote."""


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM files of the server; with ``client_ca`` it asks clients for a certificate."""

    certificate: Path
    key: Path
    client_ca: Path | None = None

    def arguments(self) -> list[str]:
        """Options of the command line."""
        ca = [] if self.client_ca is None else ["--tls-client-ca", str(self.client_ca)]
        return ["--tls-certificate", str(self.certificate), "--tls-key", str(self.key), *ca]


class BrokerProcess:
    """The same broker as ``SmfBroker``; its ``folder`` keeps the spool and the log."""

    def __init__(
        self,
        folder: Path,
        *,
        access: Access | None = None,
        tls: TlsFiles | None = None,
        reject_unmatched: bool = False,
    ) -> None:
        """It is not started yet, but has its port."""
        self._folder = folder
        self._access = access or Access()
        self._tls = tls
        self._reject_unmatched = reject_unmatched
        self._process: subprocess.Popen[str] | None = None
        self._control = ""
        self.port = free_port(None)

    @property
    def url(self) -> str:
        """The host to give to a client."""
        return f"{'tcps' if self._tls else 'tcp'}://127.0.0.1:{self.port}"

    # Life

    def start(self) -> None:
        """Start it and wait until it takes connections; without faults, with its old spool."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with self._log.open("ab") as log:
            process = self._process = subprocess.Popen(  # noqa: S603 - this very Python
                [sys.executable, "-m", "eatool.dev.smf", *self._arguments()],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                preexec_fn=end_with_parent(),  # noqa: PLW1509 - one prctl call, takes no lock
            )
        assert process.stdout is not None  # noqa: S101 - it is a pipe
        ready, _, _ = select.select([process.stdout], [], [], _SECONDS)
        words = process.stdout.readline().split() if ready else []
        if not words:
            self.kill()
            raise BrokerProcessError(self._log.read_text())
        self._control = words[-1]

    def stop(self) -> None:
        """A polite stop."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """``kill -9``."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Stop politely and start again."""
        self.stop()
        self.start()

    def silence(self) -> None:
        """The process stops; the kernel goes on taking connections and bytes."""
        self._running.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """End a silence."""
        self._running.send_signal(signal.SIGCONT)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()

    # What came

    def messages(self) -> list[ReceivedMessage]:
        """Every sending of every message, also to earlier processes."""
        return [ReceivedMessage.from_record(r) for r in self._call("GET", "/messages")["messages"]]

    def stored(self) -> list[ReceivedMessage]:
        """The guaranteed messages the broker has: each once, in the order of arrival."""
        return [message for message in self.messages() if message.stored]

    def collisions(self) -> list[tuple[ReceivedMessage, ReceivedMessage]]:
        """Two different messages under one number, as of ``SmfBroker.collisions``."""
        return find_collisions(self.messages())

    def status(self) -> Status:
        """What it sees now."""
        return STATUS.validate_python(self._call("GET", "/status"))

    def wait_for_stored(self, count: int, timeout: float = 10.0) -> bool:
        """Wait until ``count`` messages are stored, at most ``timeout`` seconds."""
        path = f"/wait?stored={count}&timeout={timeout}"
        return bool(self._call("GET", path, timeout=timeout + _SECONDS)["reached"])

    # What goes wrong

    def set_faults(self, faults: Faults) -> None:
        """Replace all faults."""
        self._call("PUT", "/faults", FAULTS.dump_json(faults))

    def set_limits(self, limits: Limits) -> None:
        """Replace all limits."""
        self._call("PUT", "/limits", LIMITS.dump_json(limits))

    def add_queue(self, name: str, *subscriptions: str, max_messages: int | None = None) -> None:
        """Make a durable, exclusive queue; beyond ``max_messages`` it rejects."""
        settings = QueueSettings(list(subscriptions), max_messages)
        self._call("PUT", f"/queues/{quote(name, safe='')}", QUEUE.dump_json(settings))

    def cut_connections(self) -> None:
        """Reset every connection."""
        self._call("POST", "/cut_connections")

    def close_publisher_flows(self) -> None:
        """Tell every client that its publisher flow is closed, and forget the flow."""
        self._call("POST", "/close_publisher_flows")

    def forget_flows(self) -> None:
        """Have all publisher flows expire."""
        self._call("POST", "/forget_flows")

    def shut_down_vpn(self) -> None:
        """Cut every connection and refuse logins."""
        self._call("POST", "/shut_down_vpn")

    def open_vpn(self) -> None:
        """End :meth:`shut_down_vpn`."""
        self._call("POST", "/open_vpn")

    @property
    def _log(self) -> Path:
        return self._folder / "log"

    @property
    def _running(self) -> subprocess.Popen[str]:
        if self._process is None:
            raise BrokerProcessError("it does not run")
        return self._process

    def _arguments(self) -> list[str]:
        users = (f"--user={name}:{password}" for name, password in self._access.users.items())
        return [
            f"--port={self.port}",
            f"--vpn={self._access.vpn}",
            f"--spool={self._folder}",
            *users,
            *(f"--token={token}" for token in self._access.tokens),
            *(["--reject-unmatched"] if self._reject_unmatched else []),
            *(self._tls.arguments() if self._tls else []),
        ]

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(signal.SIGCONT)
        process.send_signal(how)
        process.wait(_SECONDS)
        if process.stdout is not None:
            process.stdout.close()

    def _call(
        self, method: str, path: str, body: bytes | None = None, timeout: float = _SECONDS
    ) -> Any:
        address = urlsplit(self._control)
        connection = http.client.HTTPConnection(address.netloc, timeout=timeout)
        try:
            connection.request(method, path, body)
            response = connection.getresponse()
            text = response.read()
        finally:
            connection.close()
        if response.status >= HTTPStatus.BAD_REQUEST:
            raise BrokerProcessError(text.decode())
        return json.loads(text) if text else None
