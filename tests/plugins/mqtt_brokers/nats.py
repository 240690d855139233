"""NATS server with JetStream: MQTT has one listener per server, so one server for each."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tests.plugins.mqtt_brokers.broker import (
    MAX_PACKET,
    PASSWORD,
    RECEIVE_MAXIMUM,
    USER,
    Broker,
    Listener,
    Place,
    find,
)
from tests.plugins.mqtt_brokers.process import BrokerProcess

from eatool.dev.ports import free_port

_HINT: Final = "NATS server not found: apt-get install nats-server"


class NatsBroker(Broker):
    """Everything in JetStream's files."""

    name = "nats"
    title = "NATS server"

    @classmethod
    def missing(cls) -> str | None:
        """See :meth:`Broker.missing`."""
        return _HINT if _binary() is None else None

    @property
    def version(self) -> str:
        """See :attr:`Broker.version`."""
        said = subprocess.run(
            [str(_binary()), "-v"], capture_output=True, text=True, check=True
        ).stdout
        return said.rpartition("v")[2].strip()

    def arrange(self) -> Mapping[Listener, Place]:
        """See :meth:`Broker.arrange`."""
        files = self.certificates
        tls = f"cert_file: '{files.server}', key_file: '{files.server_key}', ca_file: '{files.ca}'"
        return {
            Listener.PLAIN: self._server(Listener.PLAIN, ""),
            Listener.TLS: self._server(Listener.TLS, f"tls {{ {tls} }}"),
            Listener.MUTUAL: self._server(Listener.MUTUAL, f"tls {{ {tls}, verify: true }}"),
        }

    def _server(self, listener: Listener, tls: str) -> Place:
        folder = self.folder / listener
        folder.mkdir(exist_ok=True)
        port = free_port(None)
        # What a subscriber with QoS 1 gets arrives on a subject under $MQTT.sub.
        (folder / "nats.conf").write_text(
            f"listen: '127.0.0.1:{free_port(None)}'\n"
            f"server_name: 'conformance-{listener}'\n"
            f"max_payload: {MAX_PACKET}\n"
            f"jetstream {{ store_dir: '{folder}/jetstream' }}\n"
            f"mqtt {{ listen: '127.0.0.1:{port}', max_ack_pending: {RECEIVE_MAXIMUM}, {tls} }}\n"
            f"authorization {{ users: [ {{ user: '{USER}', password: '{PASSWORD}',\n"
            " permissions: {\n"
            "  publish: ['eatool.>'],\n"
            "  subscribe: ['eatool.>', 'denied', 'denied.>', '$MQTT.sub.>']\n"
            "} } ] }\n"
        )
        command = [str(_binary()), "-c", str(folder / "nats.conf")]
        return Place(BrokerProcess(folder, command, [port]), port)


def _binary() -> Path | None:
    return find("nats-server", "/usr/sbin/nats-server")
