"""Specs that the API server takes, and specs it refuses with the words that users will read.

A refusal is a change to the kind's first sample (``None`` removes a field) and the one complaint
that it must draw. Rules of a kind are found by their message: ``test_rules`` checks that none of
them is without a refusal here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

JsonObject = dict[str, Any]

LANDSCAPE: tuple[JsonObject, ...] = tuple(
    yaml.safe_load_all((Path(__file__).parent / "landscape.yaml").read_text())
)

#: The first sample of each kind.
SAMPLE: dict[str, JsonObject] = {
    manifest["kind"]: manifest["spec"] for manifest in reversed(LANDSCAPE)
}

#: The name that ``Registry.create`` uses.
OWN_NAME = "x"


def sample(kind: str, **changes: Any) -> JsonObject:
    """The kind's sample with other values; ``None`` removes a field."""
    spec = {**SAMPLE[kind], **changes}
    return {name: value for name, value in spec.items() if value is not None}


@dataclass(frozen=True)
class Refused:
    """``field``: as the API server names it; ``message``: the end of its complaint.

    ``after`` are changes to the sample as it is stored before: a rule about a change.
    """

    kind: str
    field: str
    message: str
    changes: JsonObject
    after: JsonObject | None = None

    def __str__(self) -> str:
        return f"{self.kind}-{self.field}-{'-'.join(map(str, self.changes))}"


@dataclass(frozen=True)
class Taken:
    """A legal variation of the sample that comes close to a rule."""

    kind: str
    changes: JsonObject
    after: JsonObject | None = field(default=None)

    def __str__(self) -> str:
        return f"{self.kind}-{'-'.join(map(str, self.changes))}"


_NAME_LEGAL = (
    "must be the metadata.name of an object in the same namespace: lower-case letters, digits, "
    "inner hyphens and dots"
)
_TAG_LEGAL = "must be lower-case letters, digits and inner . _ : - only"
_LIFECYCLES = 'supported values: "planned", "active", "deprecated", "retired"'

#: Types, bounds and words: one of each family that the schemas use.
BY_SCHEMA = (
    Refused("Application", "spec.name", "Required value", {"name": None}),
    Refused("Application", "spec.lifecycle", _LIFECYCLES, {"lifecycle": "sunset"}),
    Refused("Application", "spec.name", "should be at least 1 chars long", {"name": ""}),
    Refused("Application", "spec.name", "may not be more than 255 bytes", {"name": "n" * 256}),
    Refused("Application", "spec.name", 'must be of type string: "integer"', {"name": 7}),
    Refused(
        "Application",
        "spec.sunsetDate",
        'must be of type date: "31.12.2026"',
        {"lifecycle": "retired", "sunsetDate": "31.12.2026"},
    ),
    Refused("Application", "spec.capabilityId", _NAME_LEGAL, {"capabilityId": "Order_To_Cash"}),
    Refused("Application", "spec.tags[1]", _TAG_LEGAL, {"tags": ["fine", "Not Fine"]}),
    Refused("Application", "spec.tags", "must have at most 50 items", {"tags": ["t"] * 51}),
    Refused("Application", "spec.tags", 'must be of type array: "string"', {"tags": "one"}),
    Refused(
        "Organization",
        "spec.domains[0]",
        "must be a DNS name of at least two labels such as shop.example; labels have 1-63 letters, "
        "digits or inner hyphens, the last one at least two characters and not only digits",
        {"domains": ["localhost"]},
    ),
    Refused(
        "Organization",
        "spec.contacts[0]",
        "must be a bare e-mail address such as team@shop.example",
        {"contacts": ["Jane Doe <jane@shop.example>"]},
    ),
    Refused(
        "ApplicationService",
        "spec.consumers[0]",
        f"{_NAME_LEGAL}; or team:<name of a team>",
        {"consumers": ["Customer Service"]},
    ),
    Refused(
        "ApplicationInterface",
        "spec.protocol",
        "must be a lower-case protocol name such as https, grpc or kafka",
        {"protocol": "HTTPS"},
    ),
    Refused(
        "ApplicationInterface",
        "spec.endpoint",
        "must be scheme://address, or host[:port] (several separated by commas) with optional path",
        {"endpoint": "two words"},
    ),
    Refused(
        "ApplicationInterface",
        "spec.specificationUrl",
        "must be an absolute http or https URL with a host",
        {"specificationUrl": "ftp://shop.example/openapi.json"},
    ),
    Refused(
        "ApplicationInterface",
        "spec.version",
        "must be a version such as 2.3.0, v1 or 1.0.0-rc.1",
        {"version": "second"},
    ),
    Refused(
        "ApplicationInterface",
        "spec.rateLimits.burst",
        "should be greater than or equal to 1",
        {"rateLimits": {"burst": 0}},
    ),
    Refused(
        "ApplicationInterface",
        "spec.rateLimits.quotas.per_day",
        "should be greater than or equal to 1",
        {"rateLimits": {"quotas": {"per_day": 0}}},
    ),
    Refused(
        "ApplicationInterface",
        "spec.rateLimits.quotas",
        "must have at most 50 items",
        {"rateLimits": {"quotas": {f"q{number}": 1 for number in range(51)}}},
    ),
    Refused(
        "Server",
        "spec.hostname",
        "must be a host name such as db_01.dc1.example; labels have 1-63 letters, digits, inner "
        "hyphens or inner underscores; no IP addresses",
        {"hostname": "a..b"},
    ),
    Refused(
        "Integration",
        "spec.frequency",
        "must be one of real-time, streaming, hourly, daily, weekly, monthly, on-demand, batch, or "
        "an interval such as 30s, 15m or 4h",
        {"frequency": "now and then"},
    ),
    Refused(
        "Integration",
        "spec.sla",
        "must be a text with a percentage (99.9%), a time (200 ms), 24/7 or best-effort",
        {"sla": "as good as we can"},
    ),
    Refused(
        "DataEntity",
        "spec.retention",
        "must be a number and a unit such as 7 years, 36 months (36m), 6w, 90 days or 12h",
        {"retention": "forever"},
    ),
    Refused("DataEntity", "spec.piiFlag", 'must be of type boolean: "string"', {"piiFlag": "yes"}),
    Refused("Relation", "spec.confidence", "less than or equal to 1", {"confidence": 1.5}),
    Refused("Relation", "spec.color", "must be a colour written #RRGGBB", {"color": "blue"}),
    Refused(
        "Relation",
        "spec.lastVerifiedAt",
        'must be of type date-time: "yesterday"',
        {"lastVerifiedAt": "yesterday"},
    ),
    Refused(
        "Relation",
        "spec.effectiveFrom",
        "should match 'Z$'",
        {"effectiveFrom": "2026-06-01T00:00:00+02:00"},
    ),
)

_PART_OF = {
    "sourceType": "organization",
    "sourceId": "checkout-team",
    "targetType": "organization",
    "targetId": "digital-commerce",
    "relationType": "part_of",
    "archimateRelationship": None,
}


def _fixed(field: str, **changes: str) -> Refused:
    message = f"{field} is immutable; delete and create the object instead"
    return Refused("Relation", f"spec.{field}", message, changes, after={})


#: Rules that the kinds declare themselves; messages must be theirs to the letter.
BY_RULE = (
    Refused(
        "Organization",
        "spec.parentId",
        "spec.parentId must not name the Organization itself",
        {"parentId": OWN_NAME},
    ),
    Refused(
        "BusinessCapability",
        "spec.parentId",
        "spec.parentId must not name the BusinessCapability itself",
        {"parentId": OWN_NAME},
    ),
    Refused(
        "DataEntity",
        "spec.lineage",
        "spec.lineage must not name the DataEntity itself",
        {"lineage": ["other", OWN_NAME]},
    ),
    Refused(
        "Application",
        "spec.sunsetDate",
        "sunsetDate is only allowed while lifecycle is deprecated or retired",
        {"lifecycle": "active", "sunsetDate": "2026-12-31"},
    ),
    Refused(
        "Integration",
        "spec.targetAppId",
        "targetAppId must name another Application than sourceAppId",
        {"sourceAppId": "webshop", "targetAppId": "webshop"},
    ),
    Refused(
        "Relation",
        "spec.targetId",
        "targetId must not be the source itself",
        {**_PART_OF, "targetId": "checkout-team"},
    ),
    Refused(
        "Relation",
        "spec.effectiveTo",
        "effectiveTo must not be before effectiveFrom",
        {"effectiveFrom": "2026-06-01T00:00:00Z", "effectiveTo": "2026-05-31T23:59:59Z"},
    ),
    Refused(
        "Relation",
        "spec.relationType",
        "relationType is not allowed between these ends; legal are ",
        {"relationType": "deployed_on", "archimateRelationship": None},
    ),
    Refused(
        "Relation",
        "spec.archimateRelationship",
        "archimateRelationship does not fit; legal are ",
        {"archimateRelationship": "Flow"},
    ),
    _fixed("sourceId", sourceId="other-team"),
    _fixed("targetId", targetId="webshop"),
    _fixed("sourceType", sourceType="application", relationType="depends_on"),
    _fixed("targetType", targetType="server"),
    _fixed("relationType", relationType="part_of"),
)

#: The legal side of the same borders.
TAKEN = (
    Taken("Application", {"name": "é" * 255}),
    Taken("Application", {"name": "  padded  "}),
    Taken("Application", {"lifecycle": "retired", "sunsetDate": "2026-12-31"}),
    Taken("Application", {"tags": ["b", "a", "b"]}),
    Taken("Application", {"tags": []}),
    Taken("Application", {"description": ""}),
    Taken("Organization", {"parentId": "not-there-yet"}),
    Taken(
        "Organization", {"domains": ["Shop.Example."], "contacts": ["a.b+c@xn--bcher-kva.example"]}
    ),
    Taken("BusinessCapability", {"parentId": "not-there-yet"}),
    Taken("ApplicationService", {"consumers": ["webshop", "team: Customer Service"]}),
    Taken("ApplicationInterface", {"endpoint": "kafka-1:9092,kafka-2:9092", "protocol": "kafka"}),
    Taken("ApplicationInterface", {"rateLimits": {"burst": 1, "quotas": {"per_day": 1}}}),
    Taken("Server", {"hostname": "DB_01"}),
    Taken("Integration", {"sla": "Best-Effort\non weekdays", "frequency": "15M"}),
    Taken("DataEntity", {"retention": "7 Years", "lineage": ["other", "other"]}),
    Taken("Relation", {"confidence": 0, "color": "#2196F3"}),
    Taken("Relation", _PART_OF),
    Taken(
        "Relation",
        {"effectiveFrom": "2026-06-01T00:00:00Z", "effectiveTo": "2026-06-01T00:00:00Z"},
    ),
    Taken("Relation", {"description": "Owner since the merger."}, after={}),
)
