"""The document as the official validator and as a consumer's validator see it."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import orjson
import pytest
from click.testing import CliRunner
from jsonschema import Draft7Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT7
from tests.contract.conftest import METADATA, golden_events

from eatool.contract.asyncapi import document
from eatool.contract.cli import asyncapi
from eatool.contract.published import read_schemas
from eatool.domain.events import JsonObject
from eatool.domain.identity import EntityRef
from eatool.domain.kinds import KINDS, REGISTRY_EVENTS, event_types
from eatool.publishing.cloudevents import CloudEventsEncoder, ContentMode
from eatool.publishing.topics import TopicTemplate
from eatool.store.memory import MemoryEventStore
from eatool.store.port import Append, NewEvent

VALIDATOR = Path(__file__).parents[2] / "tools" / "asyncapi" / "validate"
NOT_THERE = 3

Validate = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def validate(tmp_path: Path) -> Validate:
    """Run the official validator on documents; loudly not run without Node.js."""

    def run(*documents: JsonObject) -> subprocess.CompletedProcess[str]:
        files = [tmp_path / f"{number}.json" for number in range(len(documents))]
        for file, each in zip(files, documents, strict=True):
            file.write_text(json.dumps(each))
        done = subprocess.run([VALIDATOR, *files], capture_output=True, text=True, check=False)
        if done.returncode == NOT_THERE:
            if os.environ.get("EATOOL_REQUIRE_ASYNCAPI") == "1":
                pytest.fail(done.stderr)
            pytest.skip(f"NOT RUN: {done.stderr.strip()}")
        return done

    return run


@pytest.fixture(scope="module")
def schemas() -> dict[str, JsonObject]:
    return read_schemas()


def test_the_official_validator_agrees(validate: Validate, schemas: dict[str, JsonObject]) -> None:
    done = validate(
        document(schemas),
        document(schemas, env="prod", modes=[ContentMode.BINARY]),
        document(schemas, template="{env}/{namespace}/{entity_type}/{event_type}/{event_version}"),
        document(schemas, template="all/{event_type}/{entity_id}"),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    # 3.1.0 only adds a transport that is not ours; fewer tools read it.
    assert {line for line in lines if "asyncapi-latest-version" not in line} == {
        line for line in lines if line.endswith(": valid")
    }
    assert len(lines) == 8


def test_the_official_validator_would_object(
    validate: Validate, schemas: dict[str, JsonObject]
) -> None:
    broken = document(schemas)
    broken["operations"]["application"]["bindings"]["mqtt"]["qos"] = 7
    broken["channels"]["server"]["messages"]["lost"] = {"$ref": "#/components/messages/lost"}
    done = validate(broken)
    assert done.returncode == 1
    assert "qos" in done.stdout
    assert "lost" in done.stdout


def consumer_complaints(described: JsonObject, pointer: str, value: object) -> list[str]:
    """What a consumer's validator says, which knows nothing but the document."""
    registry: Registry[Any] = Registry().with_resource(
        "urn:doc", Resource.from_contents(described, DRAFT7)
    )
    validator = Draft7Validator(
        {"$ref": f"urn:doc#/components/{pointer}"},
        registry=registry,
        format_checker=Draft7Validator.FORMAT_CHECKER,
    )
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(value)]


@pytest.mark.parametrize("mode", ContentMode)
def test_every_event_is_as_described(mode: ContentMode, schemas: dict[str, JsonObject]) -> None:
    described = document(schemas, modes=[mode])
    store, encode = MemoryEventStore(), CloudEventsEncoder(TopicTemplate(env="prod"), mode)
    newest = [(name, data) for name, data in golden_events() if name in event_types()]
    for number, (name, data) in enumerate(newest):
        kind, _ = event_types()[name]
        new = NewEvent(uuid4(), name, data, METADATA, "jane@example.com", uuid4(), uuid4())
        store.append(Append(f"{kind.aggregate_type}/shop/entity-{number}", 0, (new,)))
    for stored in store.read_stored():
        message = encode(stored)
        name = f"{stored.type}.{mode.value}"
        payload = orjson.loads(message.payload)
        assert consumer_complaints(described, f"messages/{name}/payload", payload) == []
        if mode is ContentMode.BINARY:
            trait = f"messageTraits/{mode.value}/headers"
            assert consumer_complaints(described, trait, dict(message.attributes)) == []
        else:
            payload["type"] += "0"
            assert consumer_complaints(described, f"messages/{name}/payload", payload) != []
        assert described["components"]["messageTraits"][mode.value]["contentType"] == (
            message.content_type
        )
    assert len(described["components"]["messages"]) == len(newest) + len(REGISTRY_EVENTS)


def test_channels_are_the_topics_of_the_relay(schemas: dict[str, JsonObject]) -> None:
    channels = document(schemas, env="prod")["channels"]
    assert len(channels) == len(KINDS) + 1  # that of rollouts
    template = TopicTemplate(env="prod")
    for name, (kind, event) in event_types().items():
        ref = EntityRef(kind.aggregate_type, "shop", "webshop")
        (address,) = (
            channel["address"]
            for channel in channels.values()
            if f"{name}.structured" in channel["messages"]
        )
        filled = address.format(event_type=event.__name__, entity_id="webshop")
        assert filled == template.topic(ref, name)


def test_parameters_are_those_of_the_address(schemas: dict[str, JsonObject]) -> None:
    (channel,) = document(schemas, template="a/{env}/{event_type}/{event_version}")[
        "channels"
    ].values()
    assert set(channel["parameters"]) == {"env", "event_type", "event_version"}
    assert channel["parameters"]["event_version"]["enum"] == ["v1"]
    names = {event.__name__ for _, event in event_types().values()} | REGISTRY_EVENTS.keys()
    assert set(channel["parameters"]["event_type"]["enum"]) == names


def test_the_command_prints_either_format() -> None:
    arguments = ["--environment", "prod", "--content-mode", "Structured"]
    as_yaml = CliRunner().invoke(asyncapi, arguments).output
    as_json = CliRunner().invoke(asyncapi, [*arguments, "--output", "json"]).output
    assert as_yaml.startswith("asyncapi: 3.0.0\n")
    channel = json.loads(as_json)["channels"]["server"]
    assert channel["address"] == "eatool/v1/prod/server/{event_type}/{entity_id}"
    assert channel["address"] in as_yaml


@pytest.mark.parametrize(
    ("option", "value", "legal"),
    [
        ("--content-mode", "CloudEvents", "'Structured', 'Binary', 'JSON'"),
        ("--environment", "production", "'dev', 'staging', 'prod'"),
    ],
)
def test_the_command_takes_the_values_of_an_eventbroker_and_of_the_settings(
    option: str, value: str, legal: str
) -> None:
    result = CliRunner().invoke(asyncapi, [option, value])
    assert result.exit_code == 2
    assert f"{value!r} is not one of {legal}" in result.output


def test_the_command_refuses_what_the_relay_refuses() -> None:
    result = CliRunner().invoke(asyncapi, ["--topic-template", "a/{colour}"])
    assert result.exit_code == 2
    assert "unknown placeholder {colour}" in result.output
