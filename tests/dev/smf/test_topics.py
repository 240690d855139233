from __future__ import annotations

import pytest

from eatool.dev.smf.topics import is_valid_topic, matches

MATCHING = [
    ("a/b", "a/b"),
    ("animals/domestic/*", "animals/domestic/cats"),
    ("animals/*/cats/*", "animals/wild/cats/leopard"),
    ("animals/red*/wild", "animals/red/wild"),
    ("animals/red*/wild", "animals/reddish/wild"),
    ("animals/domestic/>", "animals/domestic/dogs"),
    ("animals/domestic/>", "animals/domestic/dogs/beagles"),
    (">", "a"),
    (">", "a/b"),
    ("*/>", "a/b"),
    ("a/*/>", "a/b/c/d"),
    ("animals/br*wn", "animals/br*wn"),
    ("a/>b", "a/>b"),
    ("a/>/b", "a/>/b"),
    ("#noexport/a/*", "a/b"),
    ("#P2P/*", "#P2P/x"),
    ("a.c", "a.c"),
    ("ü/*", "ü/ö"),
]
DIFFERENT = [
    ("a/b", "a/b/c"),
    ("a/b", "A/b"),
    ("animals/domestic/*", "animals/domestic/dogs/beagles"),
    ("animals/domestic/*", "animals/domestic"),
    ("animals/*/cats/*", "animals/domestic/cats/persian/grey"),
    ("animals/domestic/>", "animals/domestic"),
    ("animals/br*wn", "animals/brown"),
    ("animals/*bro", "animals/xbro"),
    ("a/*/c", "a//c"),
    ("a.c", "abc"),
    (">", "#P2P/x"),
    ("*/x", "#P2P/x"),
]


@pytest.mark.parametrize(("subscription", "topic"), MATCHING)
def test_matching(subscription: str, topic: str) -> None:
    assert matches(subscription, topic)


@pytest.mark.parametrize(("subscription", "topic"), DIFFERENT)
def test_different(subscription: str, topic: str) -> None:
    assert not matches(subscription, topic)


@pytest.mark.parametrize("topic", ["a", "a/b", "ä" * 125, "a" * 250, "/".join("a" * 125)])
def test_topics(topic: str) -> None:
    assert is_valid_topic(topic)


@pytest.mark.parametrize("topic", ["", "ä" * 126, "a" * 251, "/" * 128])
def test_no_topics(topic: str) -> None:
    assert not is_valid_topic(topic)
