"""One JSON object per record, whoever logs, and nothing in it that does not belong there."""

from __future__ import annotations

import asyncio
import io
import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import kopf
import pytest
import structlog
from kopf._core.actions.loggers import ObjectLogger

from eatool.store.sql.engine import open_engine
from eatool.store.sql.migrate import is_at_head, upgrade
from eatool.telemetry import logs
from eatool.telemetry.redaction import WITHHELD, kopf_message, without_passwords

SECRET = "s3cret-spec-value"


class Lines(io.StringIO):
    """What was logged, parsed."""

    def records(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.getvalue().splitlines()]

    def last(self) -> dict[str, Any]:
        return self.records()[-1]


@pytest.fixture
def out() -> Iterator[Lines]:
    """Debug logging as JSON; the previous handlers come back afterwards."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = Lines()
    logs.configure("debug", "json", stream=stream)
    yield stream
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def test_our_records(out: Lines) -> None:
    structlog.get_logger("eatool.somewhere").info("Recorded", version=3)
    record = out.last()
    stamp = record.pop("timestamp")
    assert stamp.endswith("Z")
    assert abs((datetime.now(UTC) - datetime.fromisoformat(stamp)).total_seconds()) < 60
    assert record == {
        "level": "info",
        "message": "Recorded",
        "logger": "eatool.somewhere",
        "version": 3,
    }


def test_a_record_of_the_standard_library_may_name_its_change_and_nothing_else(out: Lines) -> None:
    extra = {"correlation_id": "c", "spec": SECRET}
    logging.getLogger("eatool.somewhere").info("appended", extra=extra)
    record = out.last()
    assert record["correlation_id"] == "c"
    assert SECRET not in str(record)


def test_records_of_the_standard_library_look_the_same(out: Lines) -> None:
    logging.getLogger("somebody").warning("took %d tries", 3)
    assert {**out.last(), "timestamp": ""} == {
        "timestamp": "",
        "level": "warning",
        "message": "took 3 tries",
        "logger": "somebody",
    }


def test_keys_come_in_a_fixed_order(out: Lines) -> None:
    with logs.bound(correlation_id="c", object={"kind": "Server"}):
        structlog.get_logger("x").info("hello", zebra=1)
    assert list(out.last()) == [
        "timestamp",
        "level",
        "message",
        "logger",
        "object",
        "correlation_id",
        "zebra",
    ]


async def test_bound_values_follow_the_task_and_end_with_the_block(out: Lines) -> None:
    async def child() -> None:
        structlog.get_logger("x").info("from the child")

    with logs.bound(correlation_id="c-1"):
        await asyncio.create_task(child())
        logging.getLogger("library").info("in the block")
    structlog.get_logger("x").info("after")
    ids = [
        record.get("correlation_id") for record in out.records() if record["logger"] != "asyncio"
    ]
    assert ids == ["c-1", "c-1", None]


def test_reference_takes_the_identity_only() -> None:
    body = {
        "kind": "Server",
        "metadata": {"name": "s", "namespace": "n", "uid": "u", "labels": {"a": SECRET}},
        "spec": {"name": SECRET},
    }
    assert logs.reference(body) == {"kind": "Server", "namespace": "n", "name": "s", "uid": "u"}


def test_the_level_is_a_threshold() -> None:
    stream = Lines()
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        logs.configure("warning", "json", stream=stream)
        structlog.get_logger("x").info("not this")
        structlog.get_logger("x").warning("this")
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
        structlog.reset_defaults()
    assert [record["message"] for record in stream.records()] == ["this"]


def test_looking_at_the_schema_says_nothing(out: Lines, tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 'log.db'}")
    upgrade(engine)
    (told,) = out.records()
    assert told["message"].startswith("Schema migrated from [] to ")
    upgrade(engine)
    assert is_at_head(engine), "readiness asks every few seconds"
    engine.dispose()
    assert len(out.records()) == 1


def test_an_unknown_exception_says_where_but_not_what(out: Lines) -> None:
    try:
        try:
            int(SECRET)
        except ValueError as error:
            raise RuntimeError(SECRET) from error
    except RuntimeError:
        structlog.get_logger("x").exception("It broke")
    assert SECRET not in out.getvalue()
    logged = out.last()["error"]
    assert logged["type"] == "RuntimeError"
    assert logged["causes"] == ["ValueError"]
    assert logged["frames"][-1].endswith("test_an_unknown_exception_says_where_but_not_what")


def test_a_fault_of_the_network_says_what(out: Lines) -> None:
    try:
        raise ConnectionRefusedError(111, "Connect call failed ('127.0.0.1', 5432)")
    except OSError:
        logging.getLogger("library").exception("Lost")
    assert "5432" in out.last()["error"]["message"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("mqtts://ann:pw@broker:8883", "mqtts://ann:***@broker:8883"),
        ("a postgresql+psycopg://u:p%40w@db/x b", "a postgresql+psycopg://u:***@db/x b"),
        ("amqp://:only@host", "amqp://:***@host"),
        ("http://host:8080/path@x", "http://host:8080/path@x"),
        ("no url: at@all", "no url: at@all"),
    ],
)
def test_passwords_in_urls(text: str, expected: str) -> None:
    assert without_passwords(text) == expected


def test_passwords_are_taken_out_of_messages_and_values(out: Lines) -> None:
    structlog.get_logger("x").info("to mqtt://u:hunter2@h", url="mqtt://u:hunter2@h")
    logging.getLogger("y").info("to %s", "mqtt://u:hunter2@h")
    assert "hunter2" not in out.getvalue()
    assert out.getvalue().count("u:***@h") == 3


def test_kopf_says_which_object_it_is_about(out: Lines) -> None:
    body = kopf.Body(
        {
            "apiVersion": "eatool.io/v1alpha1",
            "kind": "Server",
            "metadata": {"name": "s", "namespace": "n", "uid": "u"},
        }
    )
    ObjectLogger(body=body, settings=kopf.OperatorSettings()).info("Handler 'x' succeeded.")
    assert out.last()["object"] == {"kind": "Server", "namespace": "n", "name": "s", "uid": "u"}
    assert out.last()["message"] == "Handler 'x' succeeded."
    assert "settings" not in out.last()


OBJECTS = "kopf.objects"


@pytest.mark.parametrize(
    ("logger", "text", "expected"),
    [
        (OBJECTS, f"Creation is in progress: {{'spec': '{SECRET}'}}", "Creation is in progress: "),
        (OBJECTS, f"Updating diff: (('change', ('a',), '{SECRET}'),)", "Updating diff: "),
        (OBJECTS, f"Handler 'x' failed temporarily: {SECRET}", "Handler 'x' failed temporarily: "),
        ("kopf", f"Somebody logs {{'a': '{SECRET}'}}", "Somebody logs "),
        (
            "kopf._cogs.clients.api",
            f"Request attempt #1/9 failed; will retry: PATCH https://h/x -> E('{SECRET}')",
            "Request attempt #1/9 failed; will retry: PATCH https://h/x -> E ",
        ),
    ],
)
def test_data_is_cut_off(logger: str, text: str, expected: str) -> None:
    assert kopf_message(logger, text) == expected + WITHHELD


@pytest.mark.parametrize(
    ("logger", "text"),
    [
        (OBJECTS, "Creation is processed: 1 succeeded; 0 failed."),
        (OBJECTS, "Something has changed, but we are not interested (the essence is the same)."),
        ("kopf._core.reactor.observation", "Unresolved resources cannot be served: {'servers'}"),
        (
            "kopf._core.reactor.running",
            "OS signals are ignored: running not in the main thread.",
        ),
    ],
)
def test_what_is_harmless_stays(logger: str, text: str) -> None:
    assert kopf_message(logger, text) == text


def test_the_console_is_for_people() -> None:
    stream = io.StringIO()
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        logs.configure("info", "console", stream=stream)
        with logs.bound(object={"kind": "Server", "namespace": "n", "name": "s", "uid": "u"}):
            try:
                int(SECRET)
            except ValueError:
                structlog.get_logger("x").exception("It broke")
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
        structlog.reset_defaults()
    line = stream.getvalue()
    assert "It broke" in line
    assert "object=Server/n/s" in line
    assert "ValueError at " in line
    assert SECRET not in line
