"""An old registry becomes events, and stays what it was."""

from __future__ import annotations

import csv
import json
import sqlite3
from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlalchemy import text
from tests.legacy.landscape import build, insert
from tests.legacy.registry import OldRegistry, filled, old_registry
from tests.store.stores import DATABASES

from eatool.cli import main
from eatool.domain.errors import SpecInvalid
from eatool.domain.kinds import KINDS
from eatool.legacy.rows import canonical
from eatool.legacy.writing import LegacyRows
from eatool.store.sql.engine import open_engine

SCALE = 0.06
KIND_OF = {kind.table: kind for kind in KINDS.values()}


@pytest.fixture(params=DATABASES)
def registry(request: pytest.FixtureRequest, tmp_path: Path) -> OldRegistry:
    old = old_registry(request.param, tmp_path, request, SCALE)
    assert old.run("adopt").exit_code == 0
    return old


@pytest.fixture
def small(request: pytest.FixtureRequest, tmp_path: Path) -> OldRegistry:
    """On SQLite, imported."""
    old = old_registry("sqlite", tmp_path, request, SCALE)
    old.run("adopt")
    old.run("import")
    return old


def test_every_sound_row_is_recorded_and_every_other_one_is_told(
    registry: OldRegistry, tmp_path: Path
) -> None:
    report = tmp_path / "refused.csv"
    result = registry.run("import", "--report", report, "--actor", "jane", "--reason", "go")
    assert result.exit_code == 1, result.output

    with report.open(encoding="utf-8") as file:
        complaints = list(csv.DictReader(file))
    codes: dict[tuple[str, str], set[str]] = {}
    for complaint in complaints:
        codes.setdefault((complaint["table"], complaint["id"]), set()).add(complaint["code"])
        assert complaint["legal"]
    assert codes.keys() == registry.built.refused.keys()
    assert all(code in codes[row] for row, code in registry.built.refused.items())

    events = registry.events()
    assert {event.metadata["source"] for event in events} == {"import"}
    assert {event.actor for event in events} == {"jane"}
    assert {event.metadata["reason"] for event in events} == {"go"}
    assert {event.version for event in events} == {1}
    recorded = registry.entities()
    engine = open_engine(registry.url)
    with engine.connect() as connection:
        for table, rows in registry.built.rows.items():
            kind = KIND_OF[table]
            stored = LegacyRows(connection).many(kind.aggregate_type, [row["id"] for row in rows])
            for row in rows:
                spec = recorded.pop(kind.ref("default", row["id"]), None)
                refused = (table, row["id"]) in registry.built.refused
                assert (spec is None) is refused
                if spec is not None:
                    assert canonical(kind, stored[row["id"]].values) == spec
    engine.dispose()
    assert not recorded


def test_a_second_import_records_nothing_and_tells_the_same(registry: OldRegistry) -> None:
    first = json.loads(registry.run("import", "-o", "json").output)
    events = registry.events()
    second = json.loads(registry.run("import", "-o", "json").output)
    assert registry.events() == events
    assert first["refused"] == second["refused"]
    for report, accepted in ((first, "created"), (second, "unchanged")):
        numbers = report["tables"]
        assert sum(each[accepted] + each["refused"] for each in numbers) == registry.built.total
        tidied = sum(each["canonicalised"] for each in numbers)
        assert tidied == len(registry.built.canonicalised)


def test_what_changed_in_the_registry_is_recorded_and_nothing_else(
    registry: OldRegistry,
) -> None:
    registry.run("import")
    before = registry.events()
    sound = [
        row["id"]
        for row in registry.built.rows["servers"]
        if ("servers", row["id"]) not in registry.built.refused
    ]
    changed, gone = sound[:2]
    healed = next(row for table, row in registry.built.refused if table == "servers")
    with registry.writing() as connection:
        connection.execute(
            text("UPDATE servers SET region = 'moon' WHERE id = :id"), {"id": changed}
        )
        connection.execute(
            text("UPDATE servers SET hostname = 'healed.shop.example' WHERE id = :id"),
            {"id": healed},
        )
        connection.execute(text("DELETE FROM relations WHERE target_id = :id"), {"id": gone})
        connection.execute(text("DELETE FROM servers WHERE id = :id"), {"id": gone})
        insert(
            connection,
            "servers",
            {"id": "srv-new", "hostname": "new", "environment": "dev", "criticality": "low"},
        )
    registry.run("import")
    new = registry.events()[len(before) :]
    told = {(event.ref.name, event.type) for event in new if event.ref.aggregate_type == "server"}
    assert told == {
        (changed, "ServerUpdated.v1"),
        (healed, "ServerCreated.v1"),
        ("srv-new", "ServerCreated.v1"),
        (gone, "ServerDeleted.v1"),
    }
    others = [event for event in new if event.ref.aggregate_type != "server"]
    assert {event.type for event in others} <= {"RelationDeleted.v1"}
    assert new.index(next(e for e in new if e.type == "ServerDeleted.v1")) == len(new) - 1


def test_a_row_that_others_still_name_cannot_be_ended(small: OldRegistry) -> None:
    named = next(
        event.data["entity"]["exposed_by_app_id"]
        for event in small.events()
        if event.type == "ApplicationInterfaceCreated.v1"
    )
    with small.writing() as connection:
        connection.execute(text("DELETE FROM applications WHERE id = :id"), {"id": named})
    found = json.loads(small.run("import", "-o", "json").output)
    (complaint,) = [
        each for each in found["refused"] if each["table"] == "applications" and each["id"] == named
    ]
    assert complaint["code"] == "DELETE_BLOCKED"
    assert complaint["field"] == "id"


def test_the_duplicate_with_the_lowest_id_is_recorded(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    old = old_registry("sqlite", tmp_path, request, 0.01)
    row = {"classification": "public", "criticality": "low", "domain": "twins"}
    with old.writing() as connection:
        for index in range(99, 0, -1):
            insert(connection, "data_entities", {"id": f"twin-{index:02}", "name": "Twin ", **row})
    old.run("adopt")
    old.run("import", "--kind", "data_entity")
    twins = {ref.name for ref in old.entities() if ref.name.startswith("twin")}
    assert twins == {"twin-01"}


def test_a_dry_run_needs_no_adoption_and_changes_nothing(tmp_path: Path) -> None:
    file = tmp_path / "old.db"
    old = filled(f"sqlite:///{file}", SCALE)
    before = file.read_bytes()
    rehearsed = old.run("import", "--dry-run", "-o", "json")
    assert rehearsed.exit_code == 1
    assert file.read_bytes() == before
    refused = old.run("import")
    assert refused.exit_code == 2
    assert "table servers is not adopted" in refused.output
    assert refused.output.endswith("run `eatool legacy adopt` first, so that no write is missed\n")
    old.run("adopt")
    assert json.loads(old.run("import", "-o", "json").output) == json.loads(rehearsed.output)


def test_a_table_that_lacks_columns_is_told_with_what_to_do(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'old.db'}"
    with sqlite3.connect(tmp_path / "old.db") as connection:
        connection.execute("CREATE TABLE servers (id TEXT PRIMARY KEY, hostname TEXT)")
    connection.close()
    for command in (["import"], ["import", "--dry-run"], ["adopt"]):
        refused = CliRunner().invoke(main, ["legacy", *command, "--store", url])
        assert refused.exit_code in (1, 2)
        assert "table servers has no column environment, region" in refused.output
        assert "every field of a kind needs its column" in refused.output
        assert "adopt" not in refused.output.partition("Error: ")[2], "it could not be adopted"


def test_a_list_that_is_no_json_is_told(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    old = old_registry("sqlite", tmp_path, request, 0.01)
    row = {"hostname": "a.example", "environment": "dev", "criticality": "low"}
    with old.writing() as connection:
        insert(connection, "servers", {"id": "odd", **row})
        connection.execute(text("UPDATE servers SET tags = 'a, b' WHERE id = 'odd'"))
    found = json.loads(old.run("import", "--dry-run", "-o", "json").output)["refused"]
    assert [each["legal"] for each in found if each["id"] == "odd"] == [
        "must be a list, written as JSON"
    ]


def test_a_row_without_a_key_is_told(small: OldRegistry) -> None:
    with small.writing() as connection:
        insert(connection, "servers", {"id": None, "hostname": "nameless"})
    found = json.loads(small.run("import", "-o", "json").output)["refused"]
    assert [
        each for each in found if each["table"] == "servers" and each["code"] == "REQUIRED"
    ] == [{"table": "servers", "id": "", "field": "id", "code": "REQUIRED", "legal": "is required"}]


def test_the_report_tells_columns_of_the_registry(small: OldRegistry, tmp_path: Path) -> None:
    file = tmp_path / "refused.json"
    small.run("import", "--report", file)
    fields = {(each["table"], each["field"]) for each in json.loads(file.read_text())["refused"]}
    assert ("application_interfaces", "rate_limits.burst") in fields
    assert ("organizations", "domains[0]") in fields
    assert ("applications", "id") in fields
    assert small.run("import", "--report", tmp_path / "refused.txt").exit_code == 2
    assert small.run("import", "--namespace", "Not/A.Name").exit_code == 2


def test_status_tells_how_far_each_table_is(registry: OldRegistry) -> None:
    with registry.writing() as connection:
        connection.execute(text("UPDATE servers SET region = 'moon'"))
    registry.run("import")
    rows = {row["table"]: row for row in json.loads(registry.run("status", "-o", "json").output)}
    servers = rows["servers"]
    total = len(registry.built.rows["servers"])
    refused = sum(table == "servers" for table, _ in registry.built.refused)
    assert servers == {
        "table": "servers",
        "rows": total,
        "adopted": True,
        "imported": total - refused,
        "refused": refused,
        "pending": total,
    }
    assert rows["applications"]["pending"] == 0
    assert "servers" in registry.run("status").output
    with registry.writing() as connection:
        for table, row_id in registry.built.refused:
            if table == "servers":
                connection.execute(text("DELETE FROM servers WHERE id = :id"), {"id": row_id})
    registry.run("import")
    registry.run("release", "--kind", "server")
    rows = {row["table"]: row for row in json.loads(registry.run("status", "-o", "json").output)}
    assert not rows["servers"]["adopted"]
    assert rows["servers"]["refused"] == 0


def test_the_refused_rows_of_the_fixture_are_refused_by_the_domain_too() -> None:
    """The fixture's expectations must not come from the code under test alone."""
    built = build(scale=SCALE)
    for table, rows in built.rows.items():
        for row in rows:
            code = built.refused.get((table, row["id"]))
            if code is None:
                canonical(KIND_OF[table], row)
            elif code == "REQUIRED":
                with pytest.raises(SpecInvalid):
                    canonical(KIND_OF[table], row)
