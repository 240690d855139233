"""Hypothesis strategies: manifests' ``spec`` of all kinds, canonical or not, valid by themselves.

``raw_specs(kind)`` draws what a user may write; references name entities called ``{prefix}-0``
to ``{prefix}-3``, see ``NAMES``. ``specs(kind)`` are the parsed ones.
"""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from eatool.domain import enums
from eatool.domain.enums import RelationEndpoint
from eatool.domain.kind import EntityKind, EntitySpec
from eatool.domain.kinds import KINDS, by_kind
from eatool.domain.parsing import parse
from eatool.domain.relation_matrix import MATRIX

Raw = dict[str, Any]

#: Names of entities by aggregate type; small, so that references and collisions happen.
NAMES: dict[str, list[str]] = {
    kind.aggregate_type: [f"{kind.short_names[0]}-{index}" for index in range(4)]
    for kind in KINDS.values()
}

blanks = st.sampled_from(["", " ", "\n", "\t "])


def padded(texts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """With the surrounding blanks that YAML block scalars leave."""
    return st.builds(lambda before, text, after: before + text + after, blanks, texts, blanks)


words = st.text(
    st.characters(categories=["L", "N", "P", "S", "Zs"]), min_size=1, max_size=12
).filter(lambda text: bool(text.strip(" \t\r\n\f")))
names = padded(st.sampled_from(["Alpha", "alpha", "Beta", "Straße", "STRASSE", "é", "e\u0301"]))
texts = padded(words)
blank_or_text = st.one_of(blanks, texts)
labels = st.text("abcXYZ019", min_size=1, max_size=6)
domains = padded(
    st.builds(
        lambda parts, dots: ".".join([*parts, "Example"]) + dots,
        st.lists(labels, min_size=1, max_size=3),
        st.sampled_from(["", ".", ".."]),
    )
)
emails = padded(st.builds(lambda a, b: f"{a}.x+y@{b}.example", labels, labels))
hostnames = padded(
    st.builds(lambda a, b, dots: f"{a}_01.{b}{dots}", labels, labels, st.sampled_from(["", "."]))
)
endpoints = padded(
    st.sampled_from(
        [
            "https://api.shop.example/v2",
            "kafka-1:9092,kafka-2:9092",
            "jdbc:postgresql://db/shop",
            "localhost",
            "[::1]:8080/path",
            "http://erp-app_01.dc1.example:8080/ws/@me",
        ]
    )
)
urls = padded(st.sampled_from(["https://a.example/openapi.json", "HTTP://b.example:8080/x?y#z"]))
versions = padded(st.sampled_from(["1", "v1", "2.3", "2.3.0", "1.0.0-rc.1", "v2.0.1+build"]))
retentions = padded(st.sampled_from(["7 years", "36m", "90 Days", "6w", "12 H", "1\tyear"]))
frequencies = padded(st.sampled_from(["real-time", "Daily", "15m", "30S", "on-demand", "batch"]))
slas = padded(st.sampled_from(["99.9%", "p95 under 400 ms", "24/7", "Best-Effort", "  ", "1h\nx"]))
tags = st.lists(st.text("abc019", min_size=1, max_size=3), max_size=4)
dates = st.dates().map(lambda value: value.isoformat())
#: Few instants, so that windows meet.
timestamps = st.sampled_from(
    ["2020-01-01T00:00:00Z", "2021-01-01T00:00:00.5Z", "2022-01-01T00:00:00Z"]
)
colors = st.from_regex(r"\A#[0-9A-Fa-f]{6}\Z")
counts = st.integers(1, 2**53 - 1)


def values(vocabulary: type[enums.Vocabulary]) -> st.SearchStrategy[str]:
    return st.sampled_from([member.value for member in vocabulary])


def name_of(aggregate_type: str) -> st.SearchStrategy[str]:
    return st.sampled_from(NAMES[aggregate_type])


def names_of(aggregate_type: str) -> st.SearchStrategy[list[str]]:
    return st.lists(name_of(aggregate_type), max_size=3)


def maybe(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Optional fields may also be written as null."""
    return st.one_of(st.none(), strategy)


def _object(required: Raw, optional: Raw) -> st.SearchStrategy[Raw]:
    return st.fixed_dictionaries(
        required, optional={name: maybe(strategy) for name, strategy in optional.items()}
    )


organizations = _object(
    {"name": names},
    {
        "parentId": name_of("organization"),
        "domains": st.lists(domains, max_size=3),
        "contacts": st.lists(emails, max_size=3),
    },
)
capabilities = _object(
    {"name": names}, {"parentId": name_of("business_capability"), "description": blank_or_text}
)


def _without_sunset(raw: Raw) -> Raw:
    if raw["lifecycle"] in ("deprecated", "retired"):
        return raw
    return {name: value for name, value in raw.items() if name != "sunsetDate"}


applications = _object(
    {
        "name": names,
        "owner": texts,
        "lifecycle": values(enums.Lifecycle),
        "dataClassification": values(enums.DataClassification),
    },
    {
        "description": blank_or_text,
        "sunsetDate": dates,
        "capabilityId": name_of("business_capability"),
        "criticality": values(enums.Criticality),
        "tags": tags,
    },
).map(_without_sunset)
services = _object(
    {"name": names},
    {
        "description": blank_or_text,
        "businessCapabilityId": name_of("business_capability"),
        "sla": blank_or_text,
        "exposedByAppIds": names_of("application"),
        "consumers": st.lists(
            st.one_of(name_of("application"), st.just("team:Customer Service")), max_size=3
        ),
        "tags": tags,
    },
)
interfaces = _object(
    {
        "name": names,
        "protocol": padded(st.sampled_from(["https", "grpc", "kafka"])),
        "endpoint": endpoints,
        "exposedByAppId": name_of("application"),
        "status": values(enums.InterfaceStatus),
    },
    {
        "specificationUrl": urls,
        "version": versions,
        "authenticationMethod": padded(st.sampled_from(["oauth2", "mtls"])),
        "servesServiceIds": names_of("application_service"),
        "rateLimits": _object(
            {},
            {
                "requestsPerSecond": counts,
                "burst": counts,
                "quotas": st.dictionaries(st.sampled_from(["per_day", "per_hour"]), counts),
            },
        ),
        "tags": tags,
    },
)
servers = _object(
    {
        "hostname": hostnames,
        "environment": values(enums.Environment),
        "criticality": values(enums.Criticality),
    },
    {
        "region": texts,
        "platform": padded(st.sampled_from(["linux", "kubernetes"])),
        "owningTeam": texts,
        "tags": tags,
    },
)
integrations = _object(
    {
        "sourceAppId": st.sampled_from(NAMES["application"][:2]),
        "targetAppId": st.sampled_from(NAMES["application"][2:]),
        "protocol": values(enums.IntegrationProtocol),
    },
    {
        "dataContract": padded(st.sampled_from(["json", "avro"])),
        "sla": slas,
        "frequency": frequencies,
        "tags": tags,
    },
)
data_entities = _object(
    {
        "name": names,
        "classification": values(enums.DataClassification),
        "criticality": values(enums.Criticality),
    },
    {
        "domain": padded(st.sampled_from(["customer", "a/b", "a"])),
        "retention": retentions,
        "owner": texts,
        "steward": texts,
        "sourceSystem": texts,
        "piiFlag": st.booleans(),
        "glossaryTerms": st.lists(texts, max_size=3),
        "lineage": names_of("data_entity"),
    },
)


@st.composite
def relations(draw: st.DrawFn) -> Raw:
    row = draw(st.sampled_from(MATRIX))
    ends = draw(st.permutations(range(4)))
    window = draw(st.tuples(maybe(timestamps), maybe(timestamps)))
    if None not in window and window[1] < window[0]:
        window = (window[1], window[0])
    optional = draw(
        _object(
            {},
            {
                "archimateRelationship": st.sampled_from([str(name) for name in row.archimate]),
                "archimateElement": st.sampled_from([str(name) for name in enums.ArchimateElement]),
                "description": blank_or_text,
                "dataClassification": values(enums.DataClassification),
                "criticality": values(enums.Criticality),
                "confidence": st.one_of(st.floats(0, 1), st.sampled_from([0, 1])),
                "evidenceSource": texts,
                "lastVerifiedAt": timestamps,
                "label": blank_or_text,
                "color": colors,
                "style": values(enums.LineStyle),
                "bidirectional": st.booleans(),
            },
        )
    )
    return {
        "sourceType": row.source.value,
        "sourceId": NAMES[row.source.value][ends[0]],
        "targetType": row.target.value,
        "targetId": NAMES[row.target.value][ends[1]],
        "relationType": row.relation.value,
        "effectiveFrom": window[0],
        "effectiveTo": window[1],
        **optional,
    }


_RAW: dict[str, st.SearchStrategy[Raw]] = {
    "Organization": organizations,
    "BusinessCapability": capabilities,
    "Application": applications,
    "ApplicationService": services,
    "ApplicationInterface": interfaces,
    "Server": servers,
    "Integration": integrations,
    "DataEntity": data_entities,
    "Relation": relations(),
}

kinds = st.sampled_from([by_kind(name) for name in _RAW])


def raw_specs(kind: EntityKind) -> st.SearchStrategy[Raw]:
    """``spec`` of a manifest as a user may write it; ``KeyError`` for a kind without strategy."""
    return _RAW[kind.kind]


def specs(kind: EntityKind) -> st.SearchStrategy[EntitySpec]:
    """Canonical specs of one kind."""
    return raw_specs(kind).map(lambda raw: parse(kind, raw))


assert set(_RAW) == {kind.kind for kind in KINDS.values()}, "every kind needs a strategy"
assert {row.source for row in MATRIX} | {row.target for row in MATRIX} == set(RelationEndpoint)
