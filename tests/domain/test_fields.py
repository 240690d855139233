"""Field types: what they accept and make of it, what they refuse and say."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError
from tests.domain.world import World, complaints

from eatool.domain import addresses, fields
from eatool.domain.errors import Code, SpecInvalid
from eatool.domain.kinds import KINDS, by_kind
from eatool.domain.parsing import parse
from eatool.domain.relation_matrix import MATRIX, in_words

LABEL_63 = "a" * 63
SUNSET, SUNSET_ERROR = {"sunsetDate": "2026-01-01"}, "CONSTRAINT_VIOLATED spec.sunsetDate"
ENDS_MISSING = ["REQUIRED spec.sourceAppId", "REQUIRED spec.targetAppId"]

ACCEPTED: list[tuple[Any, Any, Any]] = [
    (fields.Name, " Checkout\n", "Checkout"),
    (fields.Name, "x" * 255, "x" * 255),
    (fields.EntityName, "a.b-c", "a.b-c"),
    (fields.Consumer, "team:Customer Service ", "team:Customer Service"),
    (fields.Protocol, "grpc", "grpc"),
    (fields.Version, "v1", "v1"),
    (fields.Version, "1.2.3-rc.1+b", "1.2.3-rc.1+b"),
    (fields.Retention, " 7  Years", "7 years"),
    (fields.Retention, "36M", "36m"),
    (fields.Frequency, "Real-Time", "real-time"),
    (fields.Frequency, "90S", "90s"),
    (fields.IntegrationSla, "99.9% delivered", "99.9% delivered"),
    (fields.IntegrationSla, "  ", None),
    (fields.Color, "#A1b2C3", "#a1b2c3"),
    (fields.Tags, ["b", "a", "b"], ("a", "b")),
    (fields.Tags, ["a.b_c:d-e"], ("a.b_c:d-e",)),
    (fields.Confidence, 1, 1.0),
    (fields.Confidence, 0.123456, 0.1235),
    (addresses.DnsDomain, " Shop.Example.. ", "shop.example"),
    (addresses.DnsDomain, f"{LABEL_63}.xn--p1ai", f"{LABEL_63}.xn--p1ai"),
    (addresses.Hostname, "DB_01.", "db_01"),
    (addresses.Hostname, "1.2.3", "1.2.3"),
    (addresses.Email, "Team+x@Shop.Example", "Team+x@shop.example"),
    (addresses.HttpUrl, "HTTP://a:8080/x", "HTTP://a:8080/x"),
    (addresses.Endpoint, "kafka-1:9092,kafka-2:9092/topic", "kafka-1:9092,kafka-2:9092/topic"),
    (addresses.Endpoint, "https://h:8443/users/@me", "https://h:8443/users/@me"),
    (addresses.Endpoint, "jdbc:oracle:thin://db/x", "jdbc:oracle:thin://db/x"),
]

REFUSED: list[tuple[Any, Any, str]] = [
    (fields.Name, " \n", "must not be empty"),
    (fields.Name, "x" * 256, "at most 255 characters"),
    (fields.Name, "a\x00b", "control characters"),
    (fields.Name, "half a character: \ud83d", "control characters"),
    (fields.EntityName, "Upper", "metadata.name"),
    (fields.EntityName, " padded", "metadata.name"),
    (fields.EntityName, "a" * 64, "at most 63 characters"),
    (fields.Consumer, "team: ", "team:<name of a team>"),
    (fields.Consumer, "Customer Service", "team:<name of a team>"),
    (fields.Protocol, "HTTPS", "lower-case protocol"),
    (fields.Version, "1.2.3.4", "a version such as"),
    (fields.Version, "\u0661", "a version such as"),
    (fields.Retention, "seven years", "a number and a unit"),
    (fields.Frequency, "sometimes", "one of real-time, streaming, hourly"),
    (fields.IntegrationSla, "fast", "a text with a percentage"),
    (fields.Color, "#12345", "#RRGGBB"),
    (fields.Tags, ["A"], "lower-case letters"),
    (fields.Tags, ["a-"], "lower-case letters"),
    (fields.Tags, [str(number) for number in range(51)], "at most 50 items"),
    (fields.Confidence, 1.1, "less than or equal to 1"),
    (fields.Confidence, float("nan"), "finite"),
    (fields.Confidence, "1", "valid number"),
    (fields.Confidence, True, "valid number"),
    (fields.Count, 0, "greater than or equal to 1"),
    (fields.Quotas, {str(number): 1 for number in range(51)}, "at most 50 entries"),
    (fields.Quotas, {" ": 1}, "names of 1 to 63 characters"),
    (fields.Quotas, {"a\x00b": 1}, "no control characters"),
    (fields.Flag, "true", "valid boolean"),
    (fields.Timestamp, "2026-01-31T08:30:00+01:00", "2026-01-31T08:30:00Z"),
    (fields.Timestamp, "2026-02-30T08:30:00Z", "2026-01-31T08:30:00Z"),
    (fields.Date, "2026-02-30", "YYYY-MM-DD"),
    (fields.Date, "2026-1-3", "YYYY-MM-DD"),
    (addresses.DnsDomain, "localhost", "at least two labels"),
    (addresses.DnsDomain, "a..b", "at least two labels"),
    (addresses.DnsDomain, "-a.example", "at least two labels"),
    (addresses.DnsDomain, "10.0.0.1", "at least two labels"),
    (addresses.DnsDomain, "shop.e", "at least two labels"),
    (addresses.DnsDomain, f"a{LABEL_63}.example", "at least two labels"),
    (addresses.DnsDomain, ".".join([LABEL_63] * 4), "at most 253 characters"),
    (addresses.Hostname, "10.0.0.1", "no IP addresses"),
    (addresses.Hostname, "a..b", "a host name"),
    (addresses.Hostname, "_a", "a host name"),
    (addresses.Hostname, ".".join([LABEL_63] * 4), "at most 253 characters"),
    (addresses.Email, "user@localhost", "a bare e-mail address"),
    (addresses.Email, "A <a@b.example>", "a bare e-mail address"),
    (addresses.Email, "a..b@c.example", "a bare e-mail address"),
    (addresses.Email, f"{'a' * 65}@b.example", "before the @"),
    (addresses.HttpUrl, "ftp://a", "http or https"),
    (addresses.HttpUrl, "https://:80", "http or https"),
    (addresses.HttpUrl, "https://a:99999", "http or https"),
    (addresses.HttpUrl, "https://u:p@a", "Secret"),
    (addresses.Endpoint, "two words", "scheme://address"),
    (addresses.Endpoint, "amqp://u:p@h/v", "Secret"),
    (addresses.Endpoint, "amqp://u:p/w@h/v", "Secret"),
    (addresses.Endpoint, "jdbc:db2://h/d?user=u;PASSWORD=p", "Secret"),
]


@pytest.mark.parametrize(("field", "written", "canonical"), ACCEPTED)
def test_accepted(field: Any, written: Any, canonical: Any) -> None:
    assert TypeAdapter(field).validate_python(written) == canonical


@pytest.mark.parametrize(("field", "written", "message"), REFUSED)
def test_refused(field: Any, written: Any, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        TypeAdapter(field).validate_python(written)


def test_every_field_complaint_at_once_with_its_path() -> None:
    assert complaints(
        "ApplicationInterface",
        {
            "name": 1,
            "protocol": "https",
            "endpoint": "h",
            "status": "unknown",
            "tags": ["ok", "Not"],
            "rateLimits": {"burst": 0, "quotas": {"per_day": 0}, "x": 1},
            "exposed_by_app_id": "a",
        },
    ) == [
        "FORMAT spec.name: must be a text",
        (
            "REQUIRED spec.exposedByAppId: is required: metadata.name of the Application that "
            "exposes the interface."
        ),
        "RANGE spec.rateLimits.burst: must be at least 1",
        "RANGE spec.rateLimits.quotas.per_day: must be at least 1",
        "FORMAT spec.rateLimits.x: is not a field of this kind",
        "FORMAT spec.status: must be one of 'active', 'deprecated' or 'retired'",
        "FORMAT spec.tags[1]: must be lower-case letters, digits and inner . _ : - only",
        (
            "FORMAT spec.exposed_by_app_id: is not a field of this kind; legal are name, protocol, "
            "endpoint, specificationUrl, version, authenticationMethod, exposedByAppId, "
            "servesServiceIds, rateLimits, status, tags"
        ),
    ]


CROSS_FIELD: list[tuple[str, dict[str, Any], str]] = [
    (
        "Application",
        World.application("A", sunsetDate="2026-01-01"),
        (
            "CONSTRAINT_VIOLATED spec.sunsetDate: is only allowed while lifecycle is deprecated or "
            "retired"
        ),
    ),
    (
        "Integration",
        {"sourceAppId": "a", "targetAppId": "a", "protocol": "rest"},
        "SELF_RELATION spec.targetAppId: must name another Application than sourceAppId",
    ),
    (
        "Relation",
        World.relation("server/a", "connected_to", "server/a"),
        "SELF_RELATION spec.targetId: must not be the source itself",
    ),
    (
        "Relation",
        World.relation("application/a", "owns", "application/b"),
        (
            "RELATION_NOT_ALLOWED spec.relationType: must be one of depends_on, communicates_with, "
            "calls from application to application"
        ),
    ),
    (
        "Relation",
        World.relation("server/a", "owns", "application/b"),
        (
            "RELATION_NOT_ALLOWED spec.relationType: no relation leads from server to application; "
            f"legal are {in_words()}"
        ),
    ),
    (
        "Relation",
        World.relation(
            "application/a", "depends_on", "application/b", archimateRelationship="Access"
        ),
        (
            "ARCHIMATE_MISMATCH spec.archimateRelationship: must be Serving or Flow for depends_on "
            "from application to application"
        ),
    ),
    (
        "Relation",
        World.relation(
            "application/a",
            "calls",
            "application/b",
            effectiveFrom="2026-01-01T00:00:00.5Z",
            effectiveTo="2026-01-01T00:00:00Z",
        ),
        "RANGE spec.effectiveTo: must not be before effectiveFrom",
    ),
]


def test_field_names_are_texts() -> None:
    spec: dict[Any, Any] = {1: 2, "name": "Acme"}
    assert complaints("Organization", spec) == ["FORMAT spec[1]: must be named by a text"]


@pytest.mark.parametrize(("kind", "spec", "message"), CROSS_FIELD)
def test_fields_that_do_not_go_together(kind: str, spec: dict[str, Any], message: str) -> None:
    assert complaints(kind, spec) == [message]


@pytest.mark.parametrize(
    ("kind", "spec", "messages"),
    [
        (
            "Application",
            {"name": "A", "lifecycle": "active", "dataClassification": 1} | SUNSET,
            ["FORMAT spec.dataClassification", "REQUIRED spec.owner", SUNSET_ERROR],
        ),
        (
            "Application",
            {"name": "A", "owner": "t", "lifecycle": "gone", "dataClassification": "public"}
            | SUNSET,
            ["FORMAT spec.lifecycle"],
        ),
        (
            "Integration",
            {"sourceAppId": "a", "targetAppId": "a", "protocol": "pigeon", "colour": "red"},
            ["FORMAT spec.colour", "FORMAT spec.protocol", "SELF_RELATION spec.targetAppId"],
        ),
        (
            "Relation",
            World.relation("server/a", "calls", "server/a", confidence=2, style=None),
            [
                "RANGE spec.confidence",
                "RELATION_NOT_ALLOWED spec.relationType",
                "SELF_RELATION spec.targetId",
            ],
        ),
        (
            "Relation",
            World.relation("server/a", "calls", "server/a", targetType="view"),
            ["FORMAT spec.targetType"],
        ),
        ("Integration", {}, ["REQUIRED spec.protocol", *ENDS_MISSING]),
    ],
)
def test_fields_and_what_is_between_them_are_told_together(
    kind: str, spec: dict[str, Any], messages: list[str]
) -> None:
    assert sorted(line.split(":")[0] for line in complaints(kind, spec)) == sorted(messages)


def test_refused_values_appear_nowhere() -> None:
    secret = "s3cr3t-Value"
    spec = {
        "name": "O",
        "contacts": [f"{secret}@@x"],
        "domains": [f"{secret}/"],
        "parentId": secret,
    }
    for kind, raw in (
        ("Organization", spec),
        ("ApplicationInterface", {"endpoint": f"amqp://u:{secret}@h", "name": 1, "status": secret}),
    ):
        with pytest.raises(SpecInvalid) as caught:
            parse(by_kind(kind), raw)
        assert caught.value.__cause__ is None
        assert caught.value.__context__ is None
        assert secret not in str(caught.value)


def test_matrix_has_its_23_triples_and_every_one_passes() -> None:
    assert len(MATRIX) == 23
    for row in MATRIX:
        spec = World.relation(f"{row.source}/a", row.relation, f"{row.target}/b")
        for name in (None, *row.archimate):
            assert complaints("Relation", spec | {"archimateRelationship": name}) == []


def test_every_field_of_every_kind_is_described() -> None:
    for kind in KINDS.values():
        for name, info in kind.spec.model_fields.items():
            assert info.description, f"{kind.kind}.{name}"


def test_condition_reason_of_a_code() -> None:
    assert Code.CIRCULAR_REFERENCE.reason == "CircularReference"
