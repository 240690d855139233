"""Mosquitto: one process, three listeners."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

from tests.plugins.mosquitto import HINT
from tests.plugins.mqtt_brokers.broker import (
    ALLOWED,
    MAX_PACKET,
    PASSWORD,
    READ_ONLY,
    RECEIVE_MAXIMUM,
    USER,
    Broker,
    Listener,
    Place,
)
from tests.plugins.mqtt_brokers.process import BrokerProcess

from eatool.demo.broker import find_mosquitto
from eatool.dev.ports import free_port


class MosquittoBroker(Broker):
    """Its defaults, except for limits that the suite runs into."""

    name = "mosquitto"
    title = "Mosquitto"
    stores_first = False

    @classmethod
    def missing(cls) -> str | None:
        """See :meth:`Broker.missing`."""
        return HINT if find_mosquitto() is None else None

    @property
    def version(self) -> str:
        """See :attr:`Broker.version`."""
        usage = subprocess.run([_binary(), "-h"], capture_output=True, text=True, check=False)
        found = re.search(r"mosquitto version (\S+)", usage.stdout)
        return found[1] if found else "unknown"

    def arrange(self) -> Mapping[Listener, Place]:
        """See :meth:`Broker.arrange`."""
        folder, files = self.folder, self.certificates
        passwords = folder / "passwords"
        passwords.write_text(f"{USER}:{PASSWORD}\n")
        hasher = _binary().parent.parent / "bin" / "mosquitto_passwd"
        subprocess.run([hasher, "-U", passwords], check=True)
        (folder / "acl").write_text(
            f"user {USER}\ntopic readwrite {ALLOWED}\ntopic read {READ_ONLY}\n"
        )
        ports = {listener: free_port(None) for listener in Listener}
        tls = f"cafile {files.ca}\ncertfile {files.server}\nkeyfile {files.server_key}\n"
        (folder / "mosquitto.conf").write_text(
            f"allow_anonymous false\npassword_file {passwords}\nacl_file {folder / 'acl'}\n"
            f"persistence true\npersistence_location {folder}/\nmax_queued_messages 0\n"
            f"max_inflight_messages {RECEIVE_MAXIMUM}\nmax_packet_size {MAX_PACKET}\n"
            + ("" if os.geteuid() else "user root\n")
            + f"listener {ports[Listener.PLAIN]} 127.0.0.1\n"
            f"listener {ports[Listener.TLS]} 127.0.0.1\n{tls}"
            f"listener {ports[Listener.MUTUAL]} 127.0.0.1\n{tls}require_certificate true\n"
        )
        command = [str(_binary()), "-c", str(folder / "mosquitto.conf")]
        process = BrokerProcess(folder, command, ports.values())
        return {listener: Place(process, port) for listener, port in ports.items()}

    def save(self) -> None:
        """See :meth:`Broker.save`."""
        file = self.folder / "mosquitto.db"
        before = file.stat().st_mtime_ns if file.exists() else 0
        self.places[Listener.PLAIN].process.send_signal(signal.SIGUSR1)
        deadline = time.monotonic() + 10
        while not file.exists() or file.stat().st_mtime_ns == before:
            if time.monotonic() > deadline:
                raise RuntimeError("Mosquitto did not save its sessions")
            time.sleep(0.02)


def _binary() -> Path:
    binary = find_mosquitto()
    if binary is None:
        raise FileNotFoundError(HINT)
    return binary
