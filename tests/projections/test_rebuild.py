"""The log alone yields the read tables; what differs is found to the field, and healed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from tests.domain.memory_landscape import MemoryLandscape
from tests.projections.databases import opened, sqlite
from tests.projections.histories import History, histories
from tests.projections.samples import server_append
from tests.projections.test_read_models import PROPERTY, record
from tests.store.stores import DATABASES

from eatool.domain.kinds import KINDS
from eatool.projections import checkpoints, comparison, rebuild, shadow
from eatool.projections.cli import projections
from eatool.projections.comparison import FieldDifference
from eatool.projections.queries import Entities
from eatool.projections.tables import PROJECTION
from eatool.store.sql.log import SqlEventStore

SERVERS = 7
FIXED = "namespace, uid, version, updated_at, position, event_id, generation"


@pytest.fixture(params=DATABASES)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'log.db'}"
    return str(request.getfixturevalue("postgres_url"))


@pytest.fixture
def store(url: str) -> Iterator[SqlEventStore]:
    """Seven servers, one of them deleted."""
    with opened(url) as store:
        for number in range(SERVERS):
            landscape, ref = MemoryLandscape(), KINDS["server"].ref("default", f"s{number}")
            for region in ("north", "south") if number else ("north", None):
                store.append(server_append(ref, landscape, region=region))
        yield store


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks, pages and statements smaller than the sample, so that there are several."""
    monkeypatch.setattr(comparison, "CHUNK", 3)
    monkeypatch.setattr(shadow, "_PAGE", 4)
    monkeypatch.setattr(shadow, "_HELD", 2)
    monkeypatch.setattr(shadow, "_WRITTEN", 2)
    monkeypatch.setattr(rebuild, "_HEALED", 2)


def corrupt(store: SqlEventStore, statement: str) -> None:
    with store.engine.begin() as connection:
        connection.exec_driver_sql(statement)


def the(report: rebuild.Report, kind: str = "server") -> rebuild.TableReport:
    return next(table for table in report.tables if table.aggregate_type == kind)


@PROPERTY
@given(histories())
def test_any_history_is_rebuilt(history: History) -> None:
    with sqlite() as store:
        record(store, history.appends)
        report = rebuild.verify(store)
        assert report.sound
        assert sum(table.counts.rows for table in report.tables) == len(set(history.refs))


def test_a_sound_table_is_said_to_be(store: SqlEventStore) -> None:
    told: list[tuple[str, int, int]] = []
    report = rebuild.verify(store, progress=lambda *step: told.append(step))
    assert report.sound
    assert report.events == 2 * SERVERS
    server = the(report)
    assert (server.position, server.counts.rows, server.counts.chunks) == (14, 7, 3)
    assert ("reading the log", 14, 14) in told
    assert told[-1] == ("comparing tables", 9, 9)


def test_one_wrong_field_of_one_row_is_found_and_healed(store: SqlEventStore) -> None:
    before = Entities(store.engine).list("server", include_deleted=True)
    corrupt(store, "UPDATE read_servers SET region = 'wrong' WHERE id = 's4'")
    server = the(rebuild.verify(store))
    (found,) = server.differences
    assert (found.key, found.what) == (("default", "s4"), "differs")
    assert found.fields == (FieldDifference("region", "wrong", "south"),)
    assert server.counts.differing_chunks == 1

    report = rebuild.rebuild(store)
    assert report.sound
    assert report.healed == 1
    assert [len(table.differences) for table in report.found if table.differences] == [1]
    assert Entities(store.engine).list("server", include_deleted=True) == before


@pytest.mark.parametrize(
    "damage",
    [
        "DELETE FROM read_servers",
        "DELETE FROM read_servers WHERE id IN ('s0', 's6')",
        f"INSERT INTO read_servers ({FIXED}, id) SELECT {FIXED}, id || 'x' FROM read_servers",
        "UPDATE read_servers SET position = 999999, version = 77, deleted_at = updated_at",
        "UPDATE read_servers SET created_at = NULL WHERE id = 's3'",
    ],
)
def test_whatever_is_wrong_is_healed(store: SqlEventStore, damage: str) -> None:
    before = Entities(store.engine).list("server", include_deleted=True)
    corrupt(store, damage)
    assert not rebuild.verify(store).sound
    assert rebuild.rebuild(store).sound
    assert Entities(store.engine).list("server", include_deleted=True) == before


def test_only_the_kinds_asked_for_are_touched(store: SqlEventStore) -> None:
    corrupt(store, "UPDATE read_servers SET region = 'wrong'")
    report = rebuild.rebuild(store, ["application"])
    assert [table.aggregate_type for table in report.tables] == ["application"]
    assert not rebuild.verify(store, ["server"]).sound


def test_a_kind_that_is_followed_is_compared_at_its_checkpoint(store: SqlEventStore) -> None:
    late = KINDS["server"].ref("default", "late")
    with store.engine.begin() as connection:
        checkpoints.begin(connection, PROJECTION, ["server"], 14)
    store.append(server_append(late))
    corrupt(store, "DELETE FROM read_servers WHERE id = 'late'")  # not projected yet
    report = rebuild.verify(store)
    assert report.sound
    assert (the(report).position, the(report, "application").position) == (14, 15)


def test_what_changes_between_comparison_and_repair_is_left_alone(
    store: SqlEventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    ref, landscape = KINDS["server"].ref("default", "new"), MemoryLandscape()
    store.append(server_append(ref, landscape, region="north"))
    corrupt(store, "UPDATE read_servers SET region = 'wrong' WHERE id = 'new'")
    heal = rebuild._Work.heal

    def append_meanwhile(work: rebuild._Work, reports: list[rebuild.TableReport]) -> None:
        monkeypatch.undo()
        store.append(server_append(ref, landscape, region="east"))
        heal(work, reports)

    monkeypatch.setattr(rebuild._Work, "heal", append_meanwhile)
    report = rebuild.rebuild(store)
    assert report.sound
    assert report.healed == 0
    newest = Entities(store.engine).get(ref)
    assert newest is not None
    assert (newest.fields["region"], newest.version) == ("east", 2)


def test_appends_go_on_meanwhile(store: SqlEventStore) -> None:
    late = [KINDS["server"].ref("default", f"late{number}") for number in range(100)]
    told: list[int] = []

    def append(_what: str, done: int, _total: int) -> None:
        told.append(done)
        store.append(server_append(late.pop()))

    report = rebuild.verify(store, progress=append)
    assert report.sound
    assert the(report).position == 14
    assert store.head().position == 14 + len(told)


def test_nothing_is_left_behind(store: SqlEventStore, url: str) -> None:
    for _ in range(2):
        assert rebuild.verify(store).sound
    with opened(url) as again:
        assert rebuild.verify(again).sound


def invoke(*arguments: str) -> Result:
    return CliRunner(env={"COLUMNS": "200"}).invoke(projections, arguments)


def test_command_line(store: SqlEventStore, url: str) -> None:
    assert invoke("verify", "--store", url).exit_code == 0
    corrupt(store, "UPDATE read_servers SET region = '[wrong]' WHERE id = 's4'")
    found = invoke("verify", "--store", url, "--kind", "server")
    assert found.exit_code == 1
    assert "server/default/s4" in found.output
    assert "[wrong]" in found.output
    healed = invoke("rebuild", "--store", url, "-o", "json")
    assert healed.exit_code == 0
    facts = json.loads(healed.stdout)
    assert (facts["sound"], facts["healed"]) == (True, 1)
    (one,) = [each for each in facts["tables"] if each["aggregate_type"] == "server"]
    assert one["found"] == [
        {
            "entity": "server/default/s4",
            "what": "differs",
            "fields": {"region": {"live": "[wrong]", "rebuilt": "south"}},
        }
    ]
    assert invoke("verify", "--store", url, "--kind", "nothing").exit_code == 2
