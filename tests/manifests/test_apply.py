"""``eatool apply`` from end to end."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from tests.manifests.documents import documents, manifest
from tests.store.stores import DATABASES, database_url

from eatool.domain.identity import EntityRef
from eatool.manifests.cli import apply
from eatool.registry.change import Change
from eatool.registry.opening import open_registry
from eatool.registry.outcome import Unchanged
from eatool.store.sql.engine import open_engine
from eatool.store.sql.log import SqlEventStore
from eatool.store.sql.migrate import current, upgrade

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def store(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'registry.db'}"


def run(store: str, *arguments: object) -> Result:
    return CliRunner().invoke(apply, ["--store", store, *map(str, arguments)])


def events(store: str) -> list[Any]:
    log = SqlEventStore(open_engine(store))
    try:
        return log.read_all(limit=10_000)
    finally:
        log.close()


@pytest.mark.parametrize("database", DATABASES)
def test_an_unsorted_directory_is_recorded_once(
    database: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    store = database_url(database, tmp_path, request)
    first = run(store, "-f", EXAMPLES / "landscape", "--actor", "jane")
    assert first.exit_code == 0, first.output
    assert "31 manifests: 31 recorded; 31 events" in first.output
    again = run(store, "-f", EXAMPLES / "landscape", "--actor", "joe")
    assert again.exit_code == 0
    assert "31 manifests: 31 unchanged; 0 events" in again.output
    recorded = events(store)
    assert len(recorded) == 31
    assert {event.actor for event in recorded} == {"jane"}
    assert {event.metadata["source"] for event in recorded} == {"import"}


def test_the_operator_finds_nothing_left_to_record(store: str, tmp_path: Path) -> None:
    """Another entrance, other uids and generations, the same manifests: no events."""
    from eatool.manifests.loader import load

    assert run(store, "-f", EXAMPLES / "landscape").exit_code == 0
    imported = events(store)
    manifests = load([str(EXAMPLES / "landscape")])

    def changes() -> list[Change]:
        return [
            Change(ref=each.ref, uid=f"cluster-{each.ref.name}", generation=1, spec=each.spec)
            for each in manifests
        ]

    async def operate(url: str) -> list[object]:
        async with open_registry(url) as opened:
            outcomes: dict[EntityRef, object] = {}
            for _ in range(6):  # watch order is alphabetical; what waits is tried again
                for change in changes():
                    outcomes[change.ref] = await opened.registry.apply(change)
            return list(outcomes.values())

    assert all(isinstance(outcome, Unchanged) for outcome in asyncio.run(operate(store)))
    assert events(store) == imported

    other = f"sqlite:///{tmp_path / 'operator.db'}"
    asyncio.run(operate(other))
    operated = events(other)
    facts = {(event.stream_id, event.version): (event.type, event.data) for event in operated}
    assert facts == {
        (event.stream_id, event.version): (event.type, event.data) for event in imported
    }
    again = run(other, "-f", EXAMPLES / "landscape")
    assert "31 unchanged; 0 events" in again.output


def test_refusals_name_file_field_and_reason_and_leave_the_rest(store: str) -> None:
    assert run(store, "-f", EXAMPLES / "landscape").exit_code == 0
    result = run(
        store,
        "-f",
        EXAMPLES / "edits" / "rejected-loop.yaml",
        "-f",
        EXAMPLES / "edits" / "good-retire-mainframe.yaml",
    )
    assert result.exit_code == 1
    assert "rejected-loop.yaml:1: spec.parentId: must not close a loop" in result.output
    assert "application/mainframe-tariffs recorded ApplicationLifecycleChanged.v1" in result.output
    assert "1 recorded, 1 refused; 3 events" in result.output
    (lifecycle, *_) = events(store)[-3:]
    assert lifecycle.metadata["approval_id"] == "EAB-2027-003"


def test_a_missing_reference_waits_and_fails_the_run(store: str, tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(manifest("Organization", "child", {"name": "Child", "parentId": "root"}))
    result = run(store, "-f", file, "--output", "json")
    assert result.exit_code == 1
    (child,) = json.loads(result.output)
    assert child["result"] == "waiting"
    assert child["errors"][0]["field"] == "spec.parentId"
    assert child["errors"][0]["code"] == "REFERENCE_NOT_FOUND"


def test_a_loop_of_new_manifests_is_refused_on_every_member(store: str, tmp_path: Path) -> None:
    file = tmp_path / "loop.yaml"
    file.write_text(
        documents(
            manifest("Organization", "a", {"name": "A", "parentId": "b"}),
            manifest("Organization", "b", {"name": "B", "parentId": "a"}),
            manifest("Organization", "c", {"name": "C"}),
        )
    )
    result = run(store, "-f", file, "--output", "json")
    outcomes = {each["name"]: each for each in json.loads(result.output)}
    assert outcomes["c"]["result"] == "recorded"
    for name in ("a", "b"):
        assert outcomes[name]["result"] == "refused"
        assert outcomes[name]["errors"][0]["code"] == "CIRCULAR_REFERENCE"


def test_a_name_that_another_manifest_gives_up_is_taken_over(store: str, tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(manifest("Organization", "z", {"name": "Sales"}))
    assert run(store, "-f", file).exit_code == 0
    file.write_text(
        documents(
            manifest("Organization", "a", {"name": "Sales"}),
            manifest("Organization", "z", {"name": "Marketing"}),
        )
    )
    result = run(store, "-f", file)
    assert result.exit_code == 0, result.output


def test_dry_run_says_the_same_and_records_nothing(store: str, tmp_path: Path) -> None:
    dry = run(store, "-f", EXAMPLES / "landscape", "--dry-run", "--output", "json")
    assert dry.exit_code == 0
    assert list(tmp_path.iterdir()) == []
    real = run(store, "-f", EXAMPLES / "landscape", "--output", "json")
    planned = {each["name"]: each for each in json.loads(dry.output)}
    for done in json.loads(real.output):
        plan = planned[done["name"]]
        assert plan["result"] == "would_record"
        assert [each["event_id"] for each in plan["events"]] == [
            each["event_id"] for each in done["events"]
        ]
    edit = run(store, "-f", EXAMPLES / "edits" / "good-retire-mainframe.yaml", "--dry-run")
    assert "1 would record; 3 events" in edit.output
    assert len(events(store)) == 31


def test_dry_run_leaves_an_older_schema_alone(store: str) -> None:
    engine = open_engine(store)
    upgrade(engine)
    with engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM alembic_version WHERE version_num LIKE 'relay%'")
    before = current(engine)
    result = run(store, "-f", EXAMPLES / "landscape", "--dry-run")
    assert result.exit_code == 1
    assert "the schema is of another release, run `eatool store migrate`" in result.output
    assert current(engine) == before
    engine.dispose()


def test_somebody_must_have_asked(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> str:
        raise KeyError("getpwuid(): uid not found: 54321")

    monkeypatch.setattr("getpass.getuser", nobody)
    refused = run(store, "-f", EXAMPLES / "landscape")
    assert refused.exit_code == 2
    assert "give --actor" in refused.output
    assert run(store, "-f", EXAMPLES / "landscape", "--actor", "ci").exit_code == 0


def test_deletion_goes_from_the_leaves(store: str) -> None:
    assert run(store, "-f", EXAMPLES / "landscape").exit_code == 0
    blocked = run(store, "--delete", "-f", EXAMPLES / "landscape" / "app-fare-engine.yaml")
    assert blocked.exit_code == 1
    assert "metadata.name: is still named by ApplicationInterface/" in blocked.output
    result = run(store, "--delete", "-f", EXAMPLES / "landscape", "--reason", "moved")
    assert result.exit_code == 0, result.output
    assert "31 recorded; 31 events" in result.output
    assert events(store)[-1].metadata["reason"] == "moved"
    assert "31 unchanged" in run(store, "--delete", "-f", EXAMPLES / "landscape").output
    again = run(store, "-f", EXAMPLES / "landscape")
    assert "31 recorded" in again.output


def test_what_only_holds_each_other_is_deleted_together(store: str, tmp_path: Path) -> None:
    def entity(name: str, *lineage: str) -> str:
        spec = {"name": name, "classification": "internal", "criticality": "low"}
        return manifest("DataEntity", name, {**spec, "lineage": list(lineage)})

    ring, outsider = tmp_path / "ring.yaml", tmp_path / "outsider.yaml"
    ring.write_text(documents(entity("a", "b"), entity("b", "a")))
    outsider.write_text(entity("c", "a"))
    assert run(store, "-f", ring, "-f", outsider).exit_code == 0
    held = run(store, "--delete", "-f", ring)
    assert held.exit_code == 1
    assert "2 refused" in held.output
    together = run(store, "--delete", "-f", ring, "-f", outsider)
    assert together.exit_code == 0, together.output
    assert "3 recorded" in together.output


def test_input_that_cannot_be_read_applies_nothing(store: str, tmp_path: Path) -> None:
    (tmp_path / "good.yaml").write_text(manifest("Organization", "a"))
    (tmp_path / "bad.yaml").write_text("kind: [\n")
    result = run(store, "-f", tmp_path)
    assert result.exit_code == 2
    assert "bad.yaml:2" in result.output
    assert not (tmp_path / "registry.db").exists()


def test_warnings_do_not_fail(store: str, tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(
        manifest(
            "DataEntity",
            "mart",
            {
                "name": "Mart",
                "classification": "internal",
                "criticality": "low",
                "lineage": ["elsewhere"],
            },
        )
    )
    result = run(store, "-f", file)
    assert result.exit_code == 0
    assert "warning: spec.lineage[0]: names DataEntity/elsewhere" in result.output


def test_two_servers_of_one_host_are_recorded_with_a_warning(store: str, tmp_path: Path) -> None:
    spec = {"hostname": "db.example", "environment": "prod", "criticality": "high"}
    file = tmp_path / "servers.yaml"
    file.write_text(documents(manifest("Server", "one", spec), manifest("Server", "two", spec)))
    result = run(store, "-f", file, "--output", "json")
    assert result.exit_code == 0, result.output
    report = json.loads(result.output)
    assert [each["result"] for each in report] == ["recorded", "recorded"]
    warned = [warning["message"] for each in report for warning in each["warnings"]]
    assert warned
    assert all("should be unique among the servers of one environment" in each for each in warned)
    again = run(store, "-f", file)
    assert again.output.count("warning: spec.hostname: should be unique") == 2
