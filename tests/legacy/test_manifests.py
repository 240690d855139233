"""The custom resources of an old registry, and what becomes of them."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from jsonschema import Draft202012Validator
from sqlalchemy import text
from tests.legacy.registry import OldRegistry, old_registry
from tests.store.stores import DATABASES

from eatool.domain.kinds import KINDS
from eatool.legacy.manifests import manifest
from eatool.legacy.tables import LEGACY_TABLES
from eatool.manifests.cli import apply
from eatool.manifests.loader import Manifest, load
from eatool.registry.change import Change, SeenNewer
from eatool.registry.opening import open_registry
from eatool.registry.outcome import Outcome, Recorded, Unchanged

SCALE = 0.06
CRDS = Path(__file__).parents[2] / "crds"


@pytest.fixture(params=DATABASES)
def registry(request: pytest.FixtureRequest, tmp_path: Path) -> OldRegistry:
    old = old_registry(request.param, tmp_path, request, SCALE)
    old.run("adopt")
    old.run("import")
    return old


@pytest.fixture
def small(tmp_path: Path, request: pytest.FixtureRequest) -> OldRegistry:
    old = old_registry("sqlite", tmp_path, request, SCALE)
    old.run("adopt")
    old.run("import")
    return old


def written(old: OldRegistry, out: Path, *arguments: str) -> list[Manifest]:
    assert old.run("manifests", "--out", out, *arguments).exit_code == 0
    return load([str(out)], recursive=True)


def test_applying_what_was_imported_records_nothing(registry: OldRegistry, tmp_path: Path) -> None:
    out = tmp_path / "repository"
    found = written(registry, out, "--only-imported")
    assert len(found) == registry.built.total - len(registry.built.refused)
    before = registry.events()
    result = CliRunner().invoke(
        apply, ["--store", registry.url, "-R", "-f", str(out)], catch_exceptions=False
    )
    assert result.exit_code == 0, result.output
    assert f"{len(found)} manifests: {len(found)} unchanged; 0 events" in result.output
    assert registry.events() == before


def test_the_schemas_of_an_api_server_take_every_file(small: OldRegistry, tmp_path: Path) -> None:
    schemas = {}
    for kind in KINDS.values():
        crd = yaml.safe_load((CRDS / f"eatool.io_{kind.plural}.yaml").read_text())
        (version,) = crd["spec"]["versions"]
        properties = version["schema"]["openAPIV3Schema"]["properties"]
        schemas[kind.kind] = Draft202012Validator(properties["spec"])
    found = written(small, tmp_path / "out")
    assert {each.kind.kind for each in found} == schemas.keys()
    for each in found:
        schemas[each.kind.kind].validate(each.spec)


def test_an_object_of_a_cluster_takes_over_where_the_import_ended(
    small: OldRegistry, tmp_path: Path
) -> None:
    """Another uid is not another entity: nothing is recorded before something changes."""
    server = next(
        each
        for each in written(small, tmp_path / "out", "--only-imported")
        if each.kind.kind == "Server"
    )

    def change(generation: int, **spec: Any) -> Change:
        return Change(
            ref=server.ref,
            uid="uid-of-the-cluster",
            generation=generation,
            spec={**server.spec, **spec},
        )

    async def operate() -> list[Outcome]:
        async with open_registry(small.url) as opened:
            with pytest.raises(SeenNewer):
                await opened.registry.apply(
                    Change(ref=server.ref, uid="x", generation=1, spec=server.spec, tentative=True)
                )
            return [
                await opened.registry.apply(change(1)),
                await opened.registry.apply(change(2, region="moon")),
            ]

    adopted, changed = asyncio.run(operate())
    assert isinstance(adopted, Unchanged)
    assert isinstance(changed, Recorded)
    assert [event.type for event in changed.events] == ["ServerUpdated.v1"]
    assert changed.events[0].metadata["uid"] == "uid-of-the-cluster"
    # The row is as it was when it was imported: importing again takes nothing back.
    before = small.events()
    small.run("import")
    assert small.events() == before
    # And if it changes, the object says what holds.
    for statement in ("UPDATE servers SET region = 'mars'", "DELETE FROM servers"):
        with small.writing() as connection:
            connection.execute(text(f"{statement} WHERE id = :id"), {"id": server.ref.name})
        refused = json.loads(small.run("import", "-o", "json").output)["refused"]
        (complaint,) = [each for each in refused if each["id"] == server.ref.name]
        assert complaint["code"] == "ALREADY_EXISTS"
        assert small.events() == before


def test_an_entity_that_is_declared_as_the_row_says_is_taken_for_imported(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    old = old_registry("sqlite", tmp_path, request, SCALE)
    manifests = [each for each in written(old, tmp_path / "out") if each.kind.kind == "Server"]

    async def operate() -> None:
        async with open_registry(old.url) as opened:
            for each in manifests:
                change = Change(ref=each.ref, uid=f"of-{each.ref.name}", spec=each.spec)
                assert isinstance(await opened.registry.apply(change), Recorded)

    asyncio.run(operate())
    before = old.events()
    old.run("adopt")
    found = json.loads(old.run("import", "--kind", "servers", "-o", "json").output)
    assert old.events() == before
    (table,) = found["tables"]
    assert table["unchanged"] == len(manifests)
    assert not [each for each in found["refused"] if each["code"] == "ALREADY_EXISTS"]


def test_directories_sort_in_the_order_of_references(small: OldRegistry, tmp_path: Path) -> None:
    written(small, tmp_path / "out")
    seen: set[str] = set()
    for folder in sorted((tmp_path / "out").iterdir()):
        objects = [yaml.safe_load(file.read_text()) for file in folder.iterdir()]
        (kind,) = {each["kind"] for each in objects}
        assert all(
            file.name == f"{yaml.safe_load(file.read_text())['metadata']['name']}.yaml"
            for file in folder.iterdir()
        )
        declared = next(each for each in KINDS.values() if each.kind == kind)
        for mark in declared.references.values():
            if mark.aggregate_type not in {None, declared.aggregate_type}:
                assert mark.aggregate_type in seen
        seen.add(declared.aggregate_type)
    assert seen == set(KINDS)


def test_without_only_imported_every_row_that_can_be_an_object_is_written(
    small: OldRegistry, tmp_path: Path
) -> None:
    names = {each.ref.name for each in written(small, tmp_path / "all")}
    orphans = {
        row
        for (table, row), code in small.built.refused.items()
        if table == "relations" and code == "REFERENCE_NOT_FOUND"
    }
    assert orphans
    assert orphans <= names
    assert not orphans & {
        each.ref.name for each in written(small, tmp_path / "i", "--only-imported")
    }


def test_a_row_that_changed_since_is_written_as_it_is(small: OldRegistry, tmp_path: Path) -> None:
    with small.writing() as connection:
        connection.execute(text("UPDATE servers SET region = 'moon'"))
    servers = [each for each in written(small, tmp_path / "out") if each.kind.kind == "Server"]
    assert {each.spec["region"] for each in servers} == {"moon"}


def organization(**values: Any) -> str:
    fields = dict.fromkeys(LEGACY_TABLES["organization"].fields)
    row = {"id": "shop", **fields, "name": "Shop", **values}
    found = manifest(KINDS["organization"], row, namespace="team")
    assert found is not None
    return found


def test_a_corrected_value_has_a_comment() -> None:
    assert organization(name=" Shop ", contacts='["a@Shop.Example", "a@shop.example"]') == (
        "apiVersion: eatool.io/v1alpha1\n"
        "kind: Organization\n"
        "metadata:\n"
        "  name: shop\n"
        "  namespace: team\n"
        "spec:\n"
        '  # was " Shop "\n'
        "  name: Shop\n"
        '  # was ["a@Shop.Example","a@shop.example"]\n'
        "  contacts:\n"
        "  - a@shop.example\n"
    )
    assert "# was" in organization(name=" " + "N" * 200)
    assert max(map(len, organization(name=" " + "N" * 200).splitlines())) < 220


@pytest.mark.parametrize(
    "name",
    ["1e3", "0o17", "1_000", "on", "No", "null", "~", "2027-01-31", "a: b", "# c", "- d", "é",
     "two\nlines", "a\u2028b", "12:30", "=", "<<", "\\", "\"", "{x}", "*a", "0x1F", ".5"],
)  # fmt: skip
def test_any_text_is_a_text_to_every_reader(name: str) -> None:
    made = organization(name=name)
    assert yaml.safe_load(made)["spec"]["name"] == name
    assert yaml.load(made, Loader=yaml.BaseLoader)["spec"]["name"] == name
    if "\n" not in name:
        # Other readers guess other numbers and words: quotes leave nothing to guess.
        assert made.endswith('"\n')


def test_a_row_that_cannot_be_an_object_is_left_out(small: OldRegistry, tmp_path: Path) -> None:
    written(small, tmp_path / "out")
    files = {path.stem for path in (tmp_path / "out").glob("*/*.yaml")}
    bad = {row for (_, row), code in small.built.refused.items() if code in {"FORMAT", "RANGE"}}
    assert bad
    assert not bad & files
    assert not json.dumps(sorted(files)).count("/")
