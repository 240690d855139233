"""RabbitMQ with its MQTT plugin, apart from any system service: own node, cookie, epmd, files."""

from __future__ import annotations

import base64
import hashlib
import json
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

_HINT: Final = "RabbitMQ not found: apt-get install rabbitmq-server"
_INSTALLED: Final = Path("/usr/lib/rabbitmq/lib")


class RabbitBroker(Broker):
    """TLS settings belong to the node, so the listener that requires certificates has its own."""

    name = "rabbitmq"
    title = "RabbitMQ"

    _epmd: BrokerProcess

    @classmethod
    def missing(cls) -> str | None:
        """See :meth:`Broker.missing`."""
        if _script() is None:
            return _HINT
        return None if find("epmd") else "epmd not found: apt-get install erlang-base"

    @property
    def version(self) -> str:
        """See :attr:`Broker.version`."""
        script = _script()
        assert script is not None
        return script.parents[1].name.rpartition("-")[2]

    def arrange(self) -> Mapping[Listener, Place]:
        """See :meth:`Broker.arrange`."""
        # A node without one would start epmd as a daemon that nobody ends.
        port = free_port(None)
        self._epmd = BrokerProcess(
            self.folder / "epmd",
            [str(find("epmd")), "-port", str(port), "-address", "127.0.0.1"],
            [port],
        )
        return {
            **self._node("main", (Listener.PLAIN, Listener.TLS), port),
            **self._node("mutual", (Listener.MUTUAL,), port),
        }

    def port(self, listener: Listener = Listener.PLAIN) -> int:
        """See :meth:`Broker.port`."""
        if not self._epmd.running:
            self._epmd.start()
        return super().port(listener)

    def close(self) -> None:
        """See :meth:`Broker.close`."""
        super().close()
        self._epmd.kill()

    def _node(self, name: str, listeners: tuple[Listener, ...], epmd: int) -> dict[Listener, Place]:
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        ports = {listener: free_port(None) for listener in listeners}
        lines = {
            "listeners.tcp": "none",
            "load_definitions": str(folder / "definitions.json"),
            "max_message_size": str(MAX_PACKET),
            "disk_free_limit.absolute": "1MB",  # else a full disk blocks publishers in silence
            "log.file.level": "warning",
            "mqtt.allow_anonymous": "false",
            "mqtt.prefetch": str(RECEIVE_MAXIMUM),
            "ssl_options.cacertfile": str(self.certificates.ca),
            "ssl_options.certfile": str(self.certificates.server),
            "ssl_options.keyfile": str(self.certificates.server_key),
            "ssl_options.verify": "verify_peer",
            "ssl_options.fail_if_no_peer_cert": str(Listener.MUTUAL in ports).lower(),
            "mqtt.listeners.tcp": "none",
        }
        for listener, port in ports.items():
            kind = "tcp" if listener is Listener.PLAIN else "ssl"
            lines.pop(f"mqtt.listeners.{kind}", None)
            lines[f"mqtt.listeners.{kind}.1"] = f"127.0.0.1:{port}"
        (folder / "rabbitmq.conf").write_text(
            "".join(f"{key} = {value}\n" for key, value in lines.items())
        )
        (folder / "definitions.json").write_text(json.dumps(_definitions()))
        (folder / "plugins").write_text("[rabbitmq_mqtt].\n")
        environment = {
            "HOME": str(folder),  # of the cookie
            "RABBITMQ_NODENAME": f"conformance-{name}-{epmd}@localhost",
            "RABBITMQ_MNESIA_BASE": str(folder / "data"),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(folder / "advanced.config"),
            "RABBITMQ_CONF_ENV_FILE": str(folder / "no-environment-of-the-system"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
            "RABBITMQ_DIST_PORT": str(free_port(None)),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
            "ERL_EPMD_PORT": str(epmd),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RUNNING_UNDER_SYSTEMD": "true",  # the script becomes the node instead of minding it
        }
        process = BrokerProcess(
            folder,
            [str(_script())],
            ports.values(),
            environment=environment,
            ready="Starting broker... completed",
            patience=60,
        )
        return {listener: Place(process, port) for listener, port in ports.items()}


def _definitions() -> dict[str, object]:
    salt = b"salt"
    digest = hashlib.sha256(salt + PASSWORD.encode()).digest()
    place = {"user": USER, "vhost": "/"}
    # MQTT topics are routing keys of amq.topic, with dots for slashes.
    topics = {"write": r"^eatool\.", "read": r"^(eatool|denied)\."}
    return {
        "vhosts": [{"name": "/"}],
        "users": [
            {
                "name": USER,
                "password_hash": base64.b64encode(salt + digest).decode(),
                "hashing_algorithm": "rabbit_password_hashing_sha256",
                "tags": "",
            }
        ],
        "permissions": [{**place, "configure": ".*", "write": ".*", "read": ".*"}],
        "topic_permissions": [{**place, "exchange": "amq.topic", **topics}],
    }


def _script() -> Path | None:
    found = sorted(_INSTALLED.glob("rabbitmq_server-*/sbin/rabbitmq-server"))
    return found[-1] if found else None
