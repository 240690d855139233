"""Settings refuse what cannot work, by the name of the variable and without quoting a secret."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from eatool.settings import Settings


def refused(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> str:
    monkeypatch.setenv(name, value)
    with pytest.raises(ValidationError) as caught:
        Settings()
    (complaint,) = caught.value.errors(include_input=False, include_url=False)
    assert f"EATOOL_{complaint['loc'][0]}".upper() == name
    return str(complaint["msg"])


@pytest.mark.parametrize(
    "name",
    [
        "EATOOL_POLICY_REQUIRE_REASON",
        "EATOOL_POLICY_REQUIRE_APPROVAL",
        "EATOOL_POLICY_STRICT_LIFECYCLE",
    ],
)
def test_a_policy_for_a_kind_that_does_not_exist(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    complaint = refused(monkeypatch, name, "application, Server")
    assert "unknown: Server;" in complaint
    assert "data_entity" in complaint


@pytest.mark.parametrize("name", ["EATOOL_NAMESPACES", "EATOOL_NAMESPACE"])
@pytest.mark.parametrize("value", ["team-*", "Team", "a,!b", "-a", "a" * 64])
def test_a_namespace_is_a_name_and_no_pattern(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    assert "not the name of a namespace" in refused(monkeypatch, name, value)


def test_an_unknown_scheme_is_named_and_the_password_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    complaint = refused(monkeypatch, "EATOOL_STORE_URL", "amqp://user:hunter2@host")
    assert "amqp" in complaint
    assert "hunter2" not in complaint


def test_lists_are_split_at_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EATOOL_NAMESPACES", " team-a, team-b ,")
    monkeypatch.setenv("EATOOL_POLICY_REQUIRE_REASON", "server,application")
    settings = Settings()
    assert settings.namespaces == ("team-a", "team-b")
    assert settings.policy_require_reason == {"server", "application"}
