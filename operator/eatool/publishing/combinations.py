"""Fields of an EventBroker that cannot be combined.

The API server has checked it; but a spec may come from elsewhere, and an older
CustomResourceDefinition may still be installed.
"""

from __future__ import annotations

from eatool.publishing.declared.broker import EventBrokerSpec
from eatool.publishing.problems import SpecProblem


def check_combinations(spec: EventBrokerSpec) -> None:
    """Raise :class:`SpecProblem` for the first that does not work."""
    secure = all(address.startswith(("mqtts:", "tcps:")) for address in spec.addresses)
    credentials, mqtt = spec.credentials, spec.mqtt
    oauth2 = credentials is not None and credentials.oauth2 is not None
    basic = credentials is not None and credentials.basic is not None
    rules = (
        (
            spec.tls is not None and not secure,
            "spec.tls", "needs addresses with mqtts:// or tcps://",
        ),
        (spec.solace is not None and spec.type != "solace", "spec.solace", "needs type solace"),
        (mqtt is not None and spec.type != "mqtt", "spec.mqtt", "needs type mqtt"),
        (oauth2 and basic, "spec.credentials", "must be one of basic and oauth2"),
        (
            oauth2 and not (spec.type == "solace" and secure),
            "spec.credentials.oauth2", "needs type solace and tcps:// addresses",
        ),
        (
            spec.content_mode == "Binary" and mqtt is not None and mqtt.version == "3.1.1",
            "spec.contentMode", "Binary needs mqtt.version 5: MQTT 3.1.1 has no properties",
        ),
        (
            spec.start is not None
            and (spec.start.position == "Timestamp") != (spec.start.timestamp is not None),
            "spec.start.timestamp", "is for start.position Timestamp, which needs it",
        ),
    )  # fmt: skip
    for violated, field, message in rules:
        if violated:
            raise SpecProblem(field, "InvalidCombination", message)
