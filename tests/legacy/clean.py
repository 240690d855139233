"""The rows of an old registry before anybody made mistakes."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

Row = dict[str, Any]

_EPOCH = datetime(2016, 3, 1, 8, tzinfo=UTC)
_LEVELS = ("public", "internal", "confidential", "restricted")
_WEIGHTS = ("low", "medium", "high", "critical")
_TEAMS = ("Checkout", "Logistics", "Payments", "Data Platform", "Workplace")

#: Hard references: column -> table it names; lists are JSON.
REFERENCES: Mapping[str, Mapping[str, str]] = {
    "organizations": {"parent_id": "organizations"},
    "business_capabilities": {"parent_id": "business_capabilities"},
    "applications": {"capability_id": "business_capabilities"},
    "application_services": {
        "business_capability_id": "business_capabilities",
        "exposed_by_app_ids": "applications",
    },
    "application_interfaces": {
        "exposed_by_app_id": "applications",
        "serves_service_ids": "application_services",
    },
    "integrations": {"source_app_id": "applications", "target_app_id": "applications"},
    "data_entities": {},
    "servers": {},
    "relations": {},
}
_TABLE_OF = {
    "organization": "organizations",
    "business_capability": "business_capabilities",
    "application": "applications",
    "application_service": "application_services",
    "data_entity": "data_entities",
    "server": "servers",
}
_EDGES = (
    ("application", "deployed_on", "server"),
    ("organization", "owns", "application"),
    ("application", "reads", "data_entity"),
    ("application_service", "realizes", "business_capability"),
)
_PREFIXES = {
    "organizations": "org",
    "business_capabilities": "cap",
    "applications": "app",
    "application_services": "svc",
    "application_interfaces": "api",
    "integrations": "int",
    "data_entities": "data",
    "servers": "srv",
    "relations": "rel",
}


def targets(table: str, row: Row) -> Iterator[tuple[str, str]]:
    """(table, id) of everything that a row needs to be there."""
    if table == "relations":
        for end in ("source", "target"):
            yield _TABLE_OF[row[f"{end}_type"]], row[f"{end}_id"]
    for column, target in REFERENCES[table].items():
        value = row[column]
        if column.endswith("_ids"):
            yield from ((target, each) for each in _items(value))
        elif value is not None:
            yield target, value


def _items(value: str | None) -> list[Any]:
    try:
        found = json.loads(value or "[]")
    except json.JSONDecodeError:
        return []
    return found if isinstance(found, list) else []


class Clean:
    """Fills ``rows``; the objects whose ids are in ``untidy`` have values that are tidied up."""

    def __init__(self, chance: random.Random, sizes: Mapping[str, int]) -> None:
        self._chance = chance
        self.rows: dict[str, list[Row]] = {}
        self.untidy: set[int] = set()
        for table, size in sizes.items():
            self.rows[table] = []
            # The order of ids is not the one of references; the first row has the least.
            codes = [0, *chance.sample(range(1, 16**5), size - 1)]
            for index, code in enumerate(codes):
                row = getattr(self, f"_{table}")(index)
                created = _EPOCH + timedelta(hours=chance.randrange(60_000))
                row["id"] = f"{_PREFIXES[table]}-{code:05x}"
                row["created_at"] = created
                row["updated_at"] = created + timedelta(minutes=chance.randrange(500_000))
                self.rows[table].append(row)
                if row.pop("untidy", False):
                    self.untidy.add(id(row))

    def _some(self, table: str) -> str:
        """The id of a row that others may name; the last third stays unnamed."""
        rows = self.rows[table]
        return str(self._chance.choice(rows[: max(1, len(rows) * 2 // 3)])["id"])

    def _maybe(self, value: Any, odds: float = 0.6) -> Any:
        return value if self._chance.random() < odds else None

    def _tags(self) -> tuple[str | None, bool]:
        """A set, as a list that was appended to."""
        tags = self._chance.choices(("core", "finance", "pci", "cloud", "eol-2027"), k=3)
        return json.dumps(tags), len(set(tags)) < len(tags)

    def _parent(self, table: str, index: int) -> str | None:
        # Rows so far are above; the last third of the table stays without children.
        return None if index < 8 else self._some(table)

    def _organizations(self, index: int) -> Row:
        mail = f"team{index}@shop.example"
        untidy = self._chance.random() < 0.3
        if untidy:
            mail = f"Team{index}@Shop.EXAMPLE"
        return {
            "name": f"Organisation {index}",
            "parent_id": self._parent("organizations", index),
            "domains": json.dumps([f"unit{index}.shop.example"]),
            "contacts": json.dumps([mail]),
            "untidy": untidy,
        }

    def _business_capabilities(self, index: int) -> Row:
        return {
            "name": f"Capability {index}",
            "parent_id": self._parent("business_capabilities", index),
            "description": self._maybe("What the business can do\nin two lines."),
        }

    def _applications(self, index: int) -> Row:
        state = self._chance.choice(("planned", "active", "active", "deprecated", "retired"))
        ended = state in {"deprecated", "retired"}
        tags, repeated = self._tags()
        return {
            "name": f"Application {index}",
            "description": self._maybe('yes: it "sells" # things'),
            "owner": self._chance.choice(_TEAMS),
            "lifecycle": state,
            "sunset_date": self._maybe(date(2027, 1, 1 + index % 28)) if ended else None,
            "capability_id": self._maybe(self._some("business_capabilities")),
            "data_classification": self._chance.choice(_LEVELS),
            "criticality": self._maybe(self._chance.choice(_WEIGHTS)),
            "tags": tags,
            "untidy": repeated,
        }

    def _application_services(self, index: int) -> Row:
        return {
            "name": f"Service {index}",
            "description": None,
            "business_capability_id": self._maybe(self._some("business_capabilities")),
            "sla": self._maybe("99.9%"),
            "exposed_by_app_ids": json.dumps([self._some("applications")]),
            "consumers": json.dumps([f"team:{self._chance.choice(_TEAMS)}"]),
            "tags": None,
        }

    def _application_interfaces(self, index: int) -> Row:
        limits = {"requests_per_second": 50, "quotas": {"per_day": 50_000, "perHour": 9_000}}
        return {
            "name": f"Interface {index}",
            "protocol": self._chance.choice(("https", "grpc", "kafka")),
            "endpoint": f"https://api.shop.example/{index}",
            "specification_url": self._maybe(f"https://docs.shop.example/{index}.yaml"),
            "version": self._chance.choice(("v1", "2.3.0", "3.10", None))
            if index % 7
            else "1.0.0-rc.1",
            "authentication_method": self._maybe("oauth2"),
            "exposed_by_app_id": self._some("applications"),
            "serves_service_ids": json.dumps([self._some("application_services")]),
            "rate_limits": self._maybe(json.dumps(limits)),
            "status": self._chance.choice(("active", "deprecated", "retired")),
            "tags": "[]",
        }

    def _integrations(self, index: int) -> Row:
        source, target = self._two("applications")
        frequency = self._chance.choice(("real-time", "Daily", "15m", None))
        return {
            "source_app_id": source,
            "target_app_id": target,
            "protocol": self._chance.choice(("rest", "kafka", "sftp")),
            "data_contract": self._maybe("avro"),
            "sla": "99.5% within 200 ms",
            "frequency": frequency,
            "tags": None,
            "untidy": frequency == "Daily",
        }

    def _data_entities(self, index: int) -> Row:
        known = self.rows["data_entities"]
        retention = self._chance.choice(("7 Years", "36 months", "90d"))
        return {
            "name": f"Data {index}",
            "domain": self._chance.choice(("customer", "product")),
            "classification": self._chance.choice(_LEVELS),
            "retention": retention,
            "owner": self._chance.choice(_TEAMS),
            "steward": None,
            "source_system": self._maybe("ERP"),
            "criticality": self._chance.choice(_WEIGHTS),
            "pii_flag": self._chance.random() < 0.2,
            "glossary_terms": json.dumps(["Order", "Basket"]),
            "lineage": json.dumps([self._chance.choice(known)["id"]] if known else []),
            "untidy": retention == "7 Years",
        }

    def _servers(self, index: int) -> Row:
        return {
            "hostname": f"host{index}.dc.shop.example",
            "environment": self._chance.choice(("dev", "staging", "prod")),
            "region": "eu-north",
            "platform": self._chance.choice(("linux", "kubernetes")),
            "criticality": self._chance.choice(_WEIGHTS),
            "owning_team": self._maybe("Platform"),
            "tags": json.dumps(["rack-9"]),
        }

    def _relations(self, index: int) -> Row:
        known = {
            (row["source_id"], row["relation_type"], row["target_id"])
            for row in self.rows["relations"]
        }
        while True:
            source, verb, target = self._chance.choice(_EDGES)
            ends = self._some(_TABLE_OF[source]), verb, self._some(_TABLE_OF[target])
            if ends not in known:
                break
        return {
            "source_type": source,
            "source_id": ends[0],
            "target_type": target,
            "target_id": ends[2],
            "relation_type": verb,
            "archimate_element": None,
            "archimate_relationship": None,
            "description": None,
            "data_classification": None,
            "criticality": None,
            "confidence": self._chance.choice((1.0, 0.8, 0.55)),
            "evidence_source": "cmdb",
            "last_verified_at": self._maybe(_EPOCH + timedelta(days=index)),
            "effective_from": None,
            "effective_to": None,
            "label": None,
            "color": "#00aa00",
            "style": "dashed",
            "bidirectional": False,
        }

    def _two(self, table: str) -> Sequence[str]:
        while True:
            pair = (self._some(table), self._some(table))
            if pair[0] != pair[1]:
                return pair
