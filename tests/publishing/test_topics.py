from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from eatool.domain.identity import EntityRef
from eatool.publishing.topics import (
    MQTT_LIMITS,
    SOLACE_LIMITS,
    TopicLimits,
    TopicTemplate,
    TopicTemplateError,
    TopicTooLong,
    decode_level,
    encode_level,
)

REF = EntityRef("application", "shop", "webshop")


@given(st.text())
@example("a/b+c#d*e>f%g\0h")
@example("$share")
@example("%2F")
def test_levels_survive_the_round_trip_and_stay_one_level(value: str) -> None:
    level = encode_level(value)
    assert decode_level(level) == value
    assert not set(level) & set("/+#*>\0")
    assert not level.startswith("$")
    level.encode()
    without_dots = encode_level(value, dots=True)
    assert decode_level(without_dots) == value
    assert not set(without_dots) & set("/+#*>\0.")


def test_kubernetes_names_pass_unchanged() -> None:
    assert encode_level("my-app.v2") == "my-app.v2"


def test_dots_in_values_are_encoded_when_asked_for() -> None:
    template = TopicTemplate("e/{env}/{entity_id}", env="a.b", encode_dots=True)
    assert template.topic(EntityRef("t", "n", "web.shop"), "E.v1") == "e/a%2Eb/web%2Eshop"
    with pytest.raises(TopicTemplateError, match=r"'r/2026\.11/\{entity_id\}' has a dot"):
        TopicTemplate("{entity_id}", prefix="r/2026.11", encode_dots=True)


def test_default_template() -> None:
    topic = TopicTemplate(env="prod").topic(REF, "ApplicationCreated.v1")
    assert topic == "eatool/v1/prod/application/ApplicationCreated/webshop"


def test_every_placeholder_is_filled_and_sanitised() -> None:
    template = TopicTemplate("{env}/{namespace}/{event_version}/{entity_id}", env="a/b")
    assert template.topic(EntityRef("t", "n+s", "x#y"), "E.v2") == "a%2Fb/n%2Bs/v2/x%23y"


@pytest.mark.parametrize(
    ("template", "complaint"),
    [
        ("a/{kind}/{entity_id}", r"unknown placeholder \{kind\}; legal: \{entity_id\}"),
        ("a/{entity_id!r}", "unknown placeholder"),
        ("a/{entity_id:>9}", "unknown placeholder"),
        ("a/{}", "unknown placeholder"),
        ("a/{entity_id", "legal placeholders"),
        ("a/}}/{entity_id}", "braces"),
        ("a/+/{entity_id}", r"'\+' is a wildcard"),
        ("a/#/{entity_id}", "'#' is a wildcard"),
        ("a/>/{entity_id}", "'>' is a wildcard"),
        ("a/b/{env}", "every event the same topic"),
        ("a//{entity_id}", "empty level"),
        ("/{entity_id}", "empty level"),
        ("$SYS/{entity_id}", "broker's own"),
    ],
)
def test_bad_templates_say_what_is_wrong(template: str, complaint: str) -> None:
    with pytest.raises(TopicTemplateError, match=complaint):
        TopicTemplate(template)


def test_environment_must_be_given() -> None:
    with pytest.raises(TopicTemplateError, match="env"):
        TopicTemplate(env="")


def test_braces_in_the_environment_are_no_placeholders() -> None:
    template = TopicTemplate("{env}/{entity_id}", env="a{b}{entity_id}")
    assert template.topic(REF, "E.v1") == "a{b}{entity_id}/webshop"


def test_length_is_counted_in_bytes() -> None:
    template = TopicTemplate("{entity_id}")
    assert len(template.topic(EntityRef("t", "n", "x" * 65_535), "E.v1")) == 65_535
    with pytest.raises(TopicTooLong, match="65536 bytes"):
        template.topic(EntityRef("t", "n", "ü" * 32_768), "E.v1")


def test_solace_takes_250_bytes() -> None:
    template = TopicTemplate("{entity_id}", limits=SOLACE_LIMITS)
    assert len(template.topic(EntityRef("t", "n", "x" * 250), "E.v1")) == 250
    with pytest.raises(TopicTooLong, match="topic is 252 bytes long, the limit is 250"):
        template.topic(EntityRef("t", "n", "ü" * 126), "E.v1")


def test_solace_takes_128_levels() -> None:
    TopicTemplate("a/" * 127 + "{entity_id}", limits=TopicLimits(65_535, 128))
    with pytest.raises(TopicTemplateError, match="129 levels, the limit is 128"):
        TopicTemplate("a/" * 128 + "{entity_id}", limits=TopicLimits(65_535, 128))


def test_a_template_that_never_fits_is_refused() -> None:
    with pytest.raises(TopicTemplateError, match="takes 251 bytes without its values"):
        TopicTemplate("x" * 250 + "/{entity_id}", limits=SOLACE_LIMITS)
    TopicTemplate("x" * 250 + "/{entity_id}", limits=MQTT_LIMITS)


def test_a_prefix_comes_before_everything() -> None:
    topic = TopicTemplate(env="prod", prefix="replay/2026-11").topic(REF, "ApplicationCreated.v1")
    assert topic == "replay/2026-11/eatool/v1/prod/application/ApplicationCreated/webshop"


@pytest.mark.parametrize("prefix", ["a/{env}", "a//b", "a/", "/a", "$a", "a/#"])
def test_bad_prefixes_are_refused(prefix: str) -> None:
    with pytest.raises(TopicTemplateError):
        TopicTemplate(prefix=prefix)
