"""The stored form is for ever: these values must never change."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from hashlib import sha256
from uuid import UUID

import pytest

from eatool.store.encoding import GENESIS, StoredEvent, category_of, partition_of

GOLDEN = StoredEvent(
    position=1,
    stream_id="application/shop/webshop",
    version=1,
    event_id=UUID("aa4c6a07-2e3f-5ff4-bf0d-2bf6caeb4a61"),
    type="ApplicationCreated.v1",
    data='{"changes":{},"entity":{"name":"Wébshop","owner":null}}',
    metadata="{}",
    actor="jane@example.org",
    correlation_id=UUID("00000000-0000-0000-0000-000000000001"),
    causation_id=None,
    recorded_at=datetime(2026, 1, 31, 12, tzinfo=UTC),
    partition=13,
    previous_hash=GENESIS,
    hash=b"",
)


def test_the_documented_hash() -> None:
    envelope = [
        1,
        "2026-01-31T12:00:00.000000+00:00",
        "application/shop/webshop",
        1,
        "aa4c6a07-2e3f-5ff4-bf0d-2bf6caeb4a61",
        "ApplicationCreated.v1",
        "jane@example.org",
        "00000000-0000-0000-0000-000000000001",
        None,
        13,
    ]
    parts = [
        json.dumps(envelope, separators=(",", ":"), ensure_ascii=False),
        GOLDEN.data,
        GOLDEN.metadata,
    ]
    expected = sha256(bytes(32) + "\n".join(parts).encode()).hexdigest()
    assert GOLDEN.expected_hash(GENESIS).hex() == expected
    assert expected == "7190de4698fcabe441d351ded828a76e32c7cf0e03fb9df5247658165c558015"


@pytest.mark.parametrize(
    ("stream", "partition"),
    [("application/shop/webshop", 6), ("organization/shop/root", 49), ("relation/ns/é", 0)],
)
def test_partitions_are_stable(stream: str, partition: int) -> None:
    assert partition_of(stream) == partition


def test_the_category_is_everything_before_the_name() -> None:
    assert category_of("application/shop/webshop") == "application/shop"
