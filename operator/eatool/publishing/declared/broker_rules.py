"""Rules of ``EventBroker`` that the API server checks beyond the types.

The operator checks them too: a spec may come from elsewhere, and an older
CustomResourceDefinition may still be installed.
"""

from __future__ import annotations

from eatool.domain.kind import CelRule
from eatool.publishing.declared.selection import EVENT_TYPE_HELP, EVENT_TYPE_NAMES, SELECTION_CEL
from eatool.publishing.topics import PLACEHOLDERS, SOLACE_LIMITS

_PLACEHOLDERS = "|".join(sorted(PLACEHOLDERS))

_PORT = "int(a.substring(a.lastIndexOf(':') + 1))"

#: What the API server checks on ``spec`` beyond the types.
BROKER_CEL: tuple[CelRule, ...] = (
    CelRule("self.type == oldSelf.type", "type is immutable; create another EventBroker", ".type"),
    CelRule(
        "self.addresses.all(a, self.type == 'mqtt' ? a.startsWith('mqtt') : a.startsWith('tcp'))",
        "addresses must be mqtt:// or mqtts:// for type mqtt, tcp:// or tcps:// for type solace",
        ".addresses",
    ),
    CelRule(
        f"self.addresses.all(a, !a.matches(':[0-9]+$') || ({_PORT} >= 1 && {_PORT} <= 65535))",
        "the port of an address must be from 1 to 65535",
        ".addresses",
    ),
    CelRule(
        "!has(self.tls) || self.addresses.all(a, a.startsWith('mqtts:') || a.startsWith('tcps:'))",
        "tls needs addresses with mqtts:// or tcps://",
        ".tls",
    ),
    CelRule(
        "!has(self.solace) || self.type == 'solace'", "solace is for type solace only", ".solace"
    ),
    CelRule("!has(self.mqtt) || self.type == 'mqtt'", "mqtt is for type mqtt only", ".mqtt"),
    CelRule(
        "!has(self.credentials) || !(has(self.credentials.basic) && has(self.credentials.oauth2))",
        "credentials must be one of basic and oauth2",
        ".credentials",
    ),
    CelRule(
        "!has(self.credentials) || !has(self.credentials.oauth2) || (self.type == 'solace' && "
        "self.addresses.all(a, a.startsWith('tcps:')))",
        "credentials.oauth2 needs type solace and tcps:// addresses",
        ".credentials",
    ),
    CelRule(
        "!has(self.contentMode) || self.contentMode != 'Binary' || !has(self.mqtt) || "
        "!has(self.mqtt.version) || self.mqtt.version == '5'",
        "contentMode Binary needs mqtt.version 5: MQTT 3.1.1 has no properties",
        ".contentMode",
    ),
    CelRule(
        "!has(self.topicTemplate) || "
        f"self.topicTemplate.matches('^([^{{}}]|[{{]({_PLACEHOLDERS})[}}])*$')",
        "topicTemplate has a placeholder that does not exist; legal are "
        + ", ".join(f"{{{name}}}" for name in sorted(PLACEHOLDERS)),
        ".topicTemplate",
    ),
    CelRule(
        "!has(self.topicTemplate) || "
        "self.topicTemplate.matches('[{](entity_type|event_type|entity_id)[}]')",
        "topicTemplate gives every event the same topic; use {entity_type}, {event_type} or "
        "{entity_id}",
        ".topicTemplate",
    ),
    CelRule(
        "!has(self.topicTemplate) || !self.topicTemplate.contains('//')",
        "topicTemplate has an empty level",
        ".topicTemplate",
    ),
    CelRule(
        "!has(self.topicTemplate) || self.type != 'solace' || "
        f"self.topicTemplate.split('/').size() <= {SOLACE_LIMITS.max_levels}",
        f"topicTemplate must have at most {SOLACE_LIMITS.max_levels} levels for type solace",
        ".topicTemplate",
    ),
    CelRule(
        "!has(self.topicTemplate) || !has(self.mqtt) || !has(self.mqtt.encodeDots) || "
        "!self.mqtt.encodeDots || !self.topicTemplate.contains('.')",
        "topicTemplate must have no dot with mqtt.encodeDots: only dots in names are encoded",
        ".topicTemplate",
    ),
    *SELECTION_CEL,
    *(
        rule
        for field in ("acceptedVersions", "eventDelivery")
        for rule in (
            CelRule(
                f"!has(self.{field}) || self.{field}.all(e, e.eventType in {EVENT_TYPE_NAMES})",
                f"{field} must name event types, {EVENT_TYPE_HELP}",
                f".{field}",
            ),
            CelRule(
                f"!has(self.{field}) || "
                f"self.{field}.all(e, self.{field}.exists_one(f, f.eventType == e.eventType))",
                f"{field} must name each event type once",
                f".{field}",
            ),
        )
    ),
    CelRule(
        "!has(self.start) || (self.start.position == 'Timestamp') == has(self.start.timestamp)",
        "start.timestamp is for start.position Timestamp, which needs it",
        ".start",
    ),
)
