"""A published schema is a promise: keeping it, breaking it, and what the command says."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest
from click.testing import CliRunner, Result
from tests.contract.conftest import Contract

import eatool.contract.cli
import eatool.contract.published
from eatool.contract.cli import asyncapi
from eatool.contract.published import changes, compare, generated_schemas
from eatool.domain.kinds import event_types
from eatool.domain.kinds.application import ApplicationCreated

NAME = "ApplicationCreated.v1"
ROOT = Path(__file__).parents[2]

Generated = dict[str, dict[str, Any]]


@pytest.fixture
def generated() -> Generated:
    return copy.deepcopy(generated_schemas())


def run(tmp_path: Path, *arguments: str) -> Result:
    places = ["--schemas-dir", str(tmp_path / "schemas"), "--file", str(tmp_path / "asyncapi.yaml")]
    return CliRunner().invoke(asyncapi, [*arguments, *places])


def test_this_release_keeps_what_was_published(contract: Contract) -> None:
    """Fails where a kind changed without a version; `eatool asyncapi --check` says what to do."""
    found = compare(contract.schemas, generated_schemas())
    assert (found.broken, found.missing) == ((), ())


def test_the_committed_document_is_up_to_date() -> None:
    result = CliRunner().invoke(
        asyncapi, ["--check", "--file", str(ROOT / "docs" / "asyncapi.yaml")]
    )
    assert result.exit_code == 0, result.output


def _required(schema: Any) -> None:
    schema["properties"]["entity"]["required"].remove("owner")


def _new_field(schema: Any) -> None:
    schema["properties"]["entity"]["properties"]["colour"] = {"type": "string"}


def _lost_field(schema: Any) -> None:
    del schema["properties"]["entity"]["properties"]["description"]


def _enum(schema: Any) -> None:
    schema["properties"]["entity"]["properties"]["lifecycle"]["enum"].append("zombie")


def _limit(schema: Any) -> None:
    schema["properties"]["entity"]["properties"]["tags"]["items"]["maxLength"] = 64


def _null(schema: Any) -> None:
    schema["properties"]["entity"]["properties"]["owner"]["type"] = ["string", "null"]


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (_required, "properties.entity.required:"),
        (_new_field, "properties.entity.properties.colour: is new"),
        (_lost_field, "properties.entity.properties.description: is gone"),
        (_enum, "properties.entity.properties.lifecycle.enum:"),
        (_limit, "properties.entity.properties.tags.items.maxLength: 63 -> 64"),
        (_null, 'properties.entity.properties.owner.type: "string" -> ["string", "null"]'),
    ],
)
def test_a_changed_schema_needs_a_version(
    contract: Contract, generated: Generated, change: Callable[[Any], None], line: str
) -> None:
    change(generated[NAME])
    (complaint,) = compare(contract.schemas, generated).broken
    assert complaint.startswith(f"{NAME}: schema changed\n  {line}")


def test_the_command_says_what_to_do_and_overwrites_nothing(
    tmp_path: Path, generated: Generated, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(tmp_path, "--update").exit_code == 0
    before = (tmp_path / "schemas" / f"{NAME}.json").read_text()
    _limit(generated[NAME])
    monkeypatch.setattr(eatool.contract.cli, "generated_schemas", lambda: generated)
    for action in ("--check", "--update"):
        result = run(tmp_path, action)
        assert result.exit_code == 1
        assert f"{NAME}: schema changed" in result.output
        assert "eatool/domain/kinds/application.py" in result.output
        assert "ApplicationCreated: schema_version: ClassVar[int] = 2" in result.output
        assert 'Upcaster("ApplicationCreated", 1, ...)' in result.output
    assert (tmp_path / "schemas" / f"{NAME}.json").read_text() == before


def test_a_change_of_many_types_is_told_once(generated: Generated) -> None:
    before = copy.deepcopy(generated)
    for name, (kind, _) in event_types().items():
        if kind.kind == "Application":
            _enum(generated[name])
    (complaint,) = compare(before, generated).broken
    assert complaint.count("properties.entity.properties.lifecycle.enum:") == 1
    assert complaint.count("Upcaster(") == 7


def test_what_has_no_version_may_only_grow(generated: Generated) -> None:
    before = copy.deepcopy(generated)
    generated["EventMetadata"]["properties"]["colour"] = {"type": "string"}
    assert compare(before, generated).broken == ()
    del generated["EventMetadata"]["properties"]["uid"]
    (complaint,) = compare(before, generated).broken
    assert complaint.startswith("EventMetadata: schema changed\n  properties.uid: is gone\n")
    assert "no version of its own" in complaint


def test_words_may_change(
    tmp_path: Path, generated: Generated, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(tmp_path, "--update").exit_code == 0
    assert run(tmp_path, "--check").output == "published schemas are kept\n"
    entity = generated[NAME]["properties"]["entity"]
    entity["description"] = entity["properties"]["owner"]["description"] = "In other words."
    monkeypatch.setattr(eatool.contract.cli, "generated_schemas", lambda: generated)
    result = run(tmp_path, "--check")
    assert result.exit_code == 0
    assert "descriptions differ" in result.output
    assert run(tmp_path, "--update").exit_code == 0
    assert "descriptions differ" not in run(tmp_path, "--check").output
    assert "In other words." in (tmp_path / "asyncapi.yaml").read_text()


def test_a_new_version_stands_beside_the_old(
    tmp_path: Path, generated: Generated, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(tmp_path, "--update").exit_code == 0

    class Second(ApplicationCreated):
        schema_version: ClassVar[int] = 2

    Second.__name__ = "ApplicationCreated"
    types = dict(event_types())
    kind, _ = types.pop(NAME)
    types["ApplicationCreated.v2"] = (kind, Second)
    schema = generated.pop(NAME)
    _new_field(schema)
    generated["ApplicationCreated.v2"] = {**schema, "title": "ApplicationCreated.v2"}
    monkeypatch.setattr(eatool.contract.cli, "generated_schemas", lambda: generated)
    monkeypatch.setattr(eatool.contract.published, "event_types", lambda: types)

    result = run(tmp_path, "--check")
    assert result.exit_code == 1
    assert "no schema yet: ApplicationCreated.v2" in result.output
    assert run(tmp_path, "--update").exit_code == 0
    assert run(tmp_path, "--check").exit_code == 0
    document = json.loads(run(tmp_path, "--output", "json").output)
    messages = document["channels"]["application"]["messages"]
    assert {f"{NAME}.structured", "ApplicationCreated.v2.structured"} <= set(messages)

    (tmp_path / "schemas" / f"{NAME}.json").unlink()
    assert f"{NAME}: its schema is gone" in run(tmp_path, "--check").output


def test_a_lost_type_is_noticed(tmp_path: Path) -> None:
    assert run(tmp_path, "--update").exit_code == 0
    (tmp_path / "schemas" / "GalaxyCreated.v1.json").write_text("{}")
    assert "GalaxyCreated.v1: no event of this release" in run(tmp_path, "--check").output


def test_a_stale_document_is_noticed(tmp_path: Path) -> None:
    assert run(tmp_path, "--update").exit_code == 0
    file = tmp_path / "asyncapi.yaml"
    file.write_text(file.read_text().replace("address: eatool/v1/", "address: eatool/v2/"))
    result = run(tmp_path, "--check")
    assert result.exit_code == 1
    assert "is stale; run `eatool asyncapi --update`" in result.output


OPEN = {"type": "object", "required": ["a"], "properties": {"a": {"type": "string"}}}


def test_open_objects_may_grow() -> None:
    grown = {**OPEN, "properties": {**OPEN["properties"], "b": {}}}  # type: ignore[dict-item]
    assert list(changes(OPEN, grown)) == []
    assert list(changes(grown, OPEN)) == ["  properties.b: is gone"]
    assert list(changes({**OPEN, "additionalProperties": False}, grown)) != []
    assert list(changes(OPEN, {**grown, "required": ["a", "b"]})) != []


def test_order_means_nothing_where_json_schema_says_so() -> None:
    assert list(changes({"enum": [1, None]}, {"enum": [None, 1]})) == []
    assert list(changes({"allOf": [{"title": "a"}]}, {"allOf": [{"title": "b"}]})) == []
    assert list(changes({"allOf": [{}]}, {"allOf": []})) != []
