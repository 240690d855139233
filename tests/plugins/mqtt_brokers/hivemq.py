"""HiveMQ Community Edition in a JVM of its own, from tools/hivemq."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    load_pem_private_key,
    pkcs12,
)
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
    find,
)
from tests.plugins.mqtt_brokers.process import BrokerProcess

from eatool.dev.ports import free_port

_BUILD: Final = Path(__file__).parents[3] / "tools" / "hivemq" / "build"
_HINT: Final = "HiveMQ CE is not built: make hivemq (Maven and a JDK; Maven Central)"
_STORE_PASSWORD: Final = "changeit"
#: HiveMQ's default for an offline subscriber is 1,000 messages, the rest is discarded.
_LIMITS: Final = f"""
    <queued-messages><max-queue-size>100000</max-queue-size></queued-messages>
    <receive-maximum>
      <server-receive-maximum>{RECEIVE_MAXIMUM}</server-receive-maximum>
    </receive-maximum>
    <packets><max-packet-size>{MAX_PACKET}</max-packet-size></packets>
"""


class HiveMqBroker(Broker):
    """``mqtt`` and ``restrictions``: further XML of the two elements of its configuration."""

    name = "hivemq"
    title = "HiveMQ CE"
    mqtt = _LIMITS
    restrictions = ""

    @classmethod
    def missing(cls) -> str | None:
        """See :meth:`Broker.missing`."""
        if find("java") is None:
            return "Java not found: apt-get install default-jre-headless"
        return _HINT if _class_path() is None else None

    @property
    def version(self) -> str:
        """See :attr:`Broker.version`."""
        jars = Path((_class_path() or "").rpartition(":")[2]).parent
        found = re.search(
            r"community-edition-embedded-([\d.]+)\.jar", " ".join(map(str, jars.glob("*.jar")))
        )
        return found[1] if found else "unknown"

    def arrange(self) -> Mapping[Listener, Place]:
        """See :meth:`Broker.arrange`."""
        self._write_stores()
        for name in ("data", "extensions", "log"):  # it makes none of them
            (self.folder / name).mkdir()
        ports = {listener: free_port(None) for listener in Listener}
        (self.folder / "config.xml").write_text(
            "<hivemq><listeners>"
            "<tcp-listener>"
            f"<port>{ports[Listener.PLAIN]}</port><bind-address>127.0.0.1</bind-address>"
            "</tcp-listener>"
            + self._tls_listener(ports[Listener.TLS], "NONE")
            + self._tls_listener(ports[Listener.MUTUAL], "REQUIRED")
            + f"</listeners><mqtt>{self.mqtt}</mqtt>"
            f"<restrictions>{self.restrictions}</restrictions>"
            "<persistence><mode>file</mode></persistence>"
            "<anonymous-usage-statistics><enabled>false</enabled></anonymous-usage-statistics>"
            "</hivemq>"
        )
        command = [
            "java", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
            f"-Dhivemq.log.folder={self.folder / 'log'}",
            "-cp", _class_path() or "",
            "HiveMq", str(self.folder), USER, PASSWORD, ALLOWED, READ_ONLY,
        ]  # fmt: skip
        process = BrokerProcess(self.folder, command, ports.values(), ready="started", patience=60)
        return {listener: Place(process, port) for listener, port in ports.items()}

    def _tls_listener(self, port: int, client_certificates: str) -> str:
        return (
            "<tls-tcp-listener>"
            f"<port>{port}</port><bind-address>127.0.0.1</bind-address>"
            f"<tls><keystore><path>{self.folder / 'server.p12'}</path>"
            f"<password>{_STORE_PASSWORD}</password>"
            f"<private-key-password>{_STORE_PASSWORD}</private-key-password></keystore>"
            f"<truststore><path>{self.folder / 'ca.p12'}</path>"
            f"<password>{_STORE_PASSWORD}</password></truststore>"
            f"<client-authentication-mode>{client_certificates}</client-authentication-mode>"
            "</tls></tls-tcp-listener>"
        )

    def _write_stores(self) -> None:
        files = self.certificates
        ca = x509.load_pem_x509_certificate(files.ca.read_bytes())
        server = x509.load_pem_x509_certificate(files.server.read_bytes())
        key = load_pem_private_key(files.server_key.read_bytes(), None)
        assert isinstance(key, EllipticCurvePrivateKey)
        encryption = BestAvailableEncryption(_STORE_PASSWORD.encode())
        (self.folder / "server.p12").write_bytes(
            pkcs12.serialize_key_and_certificates(b"server", key, server, [ca], encryption)
        )
        (self.folder / "ca.p12").write_bytes(
            pkcs12.serialize_java_truststore([pkcs12.PKCS12Certificate(ca, b"ca")], encryption)
        )


@lru_cache(maxsize=1)
def _class_path() -> str | None:
    done = subprocess.run(
        [sys.executable, _BUILD, "--print"], capture_output=True, text=True, check=False
    )
    return done.stdout.strip() if done.returncode == 0 else None
