"""Every problem of the input is found in one go and placed at file:line."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from tests.manifests.documents import documents, manifest

from eatool.manifests.loader import LoadError, ManifestsInvalid, load


def errors_of(*paths: object) -> list[LoadError]:
    with pytest.raises(ManifestsInvalid) as caught:
        load([str(path) for path in paths])
    return list(caught.value.errors)


def test_reads_directories_files_and_standard_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "folder"
    (folder / "deeper").mkdir(parents=True)
    (folder / "a.yaml").write_text(
        documents(manifest("Organization", "a"), manifest("Organization", "b"))
    )
    (folder / "notes.md").write_text("not: a manifest")
    (folder / "deeper" / "c.json").write_text(
        '{"apiVersion": "eatool.io/v1alpha1", "kind": "Server", "metadata": {"name": "c"}, '
        '"spec": {}}'
    )
    (tmp_path / "d.yml").write_text(manifest("Organization", "d", namespace="team"))
    monkeypatch.setattr("sys.stdin", io.StringIO(manifest("Organization", "e")))
    paths = [str(folder), str(tmp_path / "d.yml"), "-"]
    assert [each.ref.name for each in load(paths[:1])] == ["a", "b"]
    found = load(paths, namespace="other", recursive=True)
    assert [(each.ref.namespace, each.ref.name) for each in found] == [
        ("other", "a"),
        ("other", "b"),
        ("other", "c"),
        ("team", "d"),
        ("other", "e"),
    ]
    assert found[1].origin.endswith("a.yaml:8")


def test_items_of_a_list_are_manifests(tmp_path: Path) -> None:
    file = tmp_path / "list.yaml"
    file.write_text(
        "apiVersion: v1\nkind: List\nitems:\n"
        "- {apiVersion: eatool.io/v1alpha1, kind: Organization, metadata: {name: a}, spec: {}}\n"
        "- {apiVersion: eatool.io/v1alpha1, kind: Organization, metadata: {name: b}, spec: {}}\n"
    )
    assert [each.origin for each in load([str(file)])] == [f"{file}:4", f"{file}:5"]


def test_json_may_have_tabs_and_escaped_pairs(tmp_path: Path) -> None:
    spec = {"name": "\N{ROCKET} launch", "description": "a\tb"}
    written = {
        "apiVersion": "eatool.io/v1alpha1",
        "kind": "BusinessCapability",
        "metadata": {"name": "a", "namespace": None},
        "spec": spec,
    }
    file = tmp_path / "a.json"
    file.write_text(json.dumps(written, indent="\t"))
    (found,) = load([str(file)])
    assert (found.spec, found.ref.namespace) == (spec, "default")


def test_anchors_and_merges_repeat_no_key(tmp_path: Path) -> None:
    head = "apiVersion: eatool.io/v1alpha1, kind: Server"
    file = tmp_path / "a.yaml"
    file.write_text(
        "kind: List\nitems:\n"
        f"- {{{head}, metadata: {{name: a}}, spec: &a {{hostname: a, environment: dev}}}}\n"
        f"- {{{head}, metadata: {{name: b}}, spec: &b {{<<: *a, hostname: b}}}}\n"
        f"- {{{head}, metadata: {{name: c}}, spec: *b}}\n"
    )
    assert [each.spec["hostname"] for each in load([str(file)])] == ["a", "b", "b"]


def test_empty_documents_are_no_manifests(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("# comment\n---\n" + manifest("Organization", "a") + "---\n---\n")
    assert len(load([str(file)])) == 1


def test_dates_stay_text_as_the_api_server_reads_them(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(manifest("Application", "a").replace("name: a\n", "sunsetDate: 2026-09-30\n"))
    file.write_text(
        "apiVersion: eatool.io/v1alpha1\nkind: Application\nmetadata: {name: a}\n"
        "spec: {sunsetDate: 2026-09-30, criticality: high}\n"
    )
    assert load([str(file)])[0].spec == {"sunsetDate": "2026-09-30", "criticality": "high"}


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("a: [1\nb: 2\n", 2, "expected ',' or ']'"),
        ("a: 1\nb: 2\na: 3\n", 3, "'a' is given twice"),
        ("? [a]\n: 1\n", 1, "found unhashable key"),
        ("a:\n  ? {b: c}\n  : 1\n", 2, "found unhashable key"),
        ("x:\n  b: {c: 1,\n  c: 2}\n", 3, "'c' is given twice"),
        ("kind: List\nitems: text\n", 2, "items of a List must be a list"),
        ("apiVersion: eatool.io/v1alpha1\nkind: [Server]\n", 1, "kind must be one of"),
        ("[" * 5000, 1, "is nested too deeply"),
        ('a: "\\ud83d"\n', 1, "is not Unicode text"),
        (manifest("Organization", "a..b"), 1, "metadata.name"),
        (manifest("Organization", "a.-b"), 1, "metadata.name"),
        ("just text\n", 1, "is not a manifest"),
        ("apiVersion: v1\nkind: Pod\n", 1, "apiVersion must be eatool.io/v1alpha1, not 'v1'"),
        ("\n\napiVersion: eatool.io/v1alpha1\nkind: Pod\n", 3, "kind must be one of Application,"),
        (manifest("Organization", "Upper"), 1, "metadata.name must be 1 to 63 lower-case"),
        (manifest("Organization", "a/b"), 1, "metadata.name"),
        (manifest("Organization", "x" * 64), 1, "metadata.name"),
        (manifest("Organization", "a", namespace="B"), 1, "metadata.namespace"),
        (manifest("Organization", "a", annotations={"a": 1}), 1, "metadata.annotations"),
        (
            "apiVersion: eatool.io/v1alpha1\nkind: Server\nmetadata: {name: a}\n",
            1,
            "spec must be a mapping",
        ),
        ("apiVersion: eatool.io/v1alpha1\nkind: Server\nspec: {}\n", 1, "metadata must be"),
        ("a: \x00\n", 1, "special characters are not allowed"),
        ("!!python/object:os.system {}\n", 1, "could not determine a constructor"),
    ],
)
def test_problems_are_placed(tmp_path: Path, text: str, line: int, message: str) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text(text)
    (error,) = errors_of(file)
    assert error.origin == f"{file}:{line}"
    assert message in error.message


def test_all_problems_are_found_at_once(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(
        documents(manifest("Nonsense", "a"), manifest("Organization", "b"), "x: 1\n")
    )
    (tmp_path / "b.yaml").write_text(manifest("Organization", "b"))
    (tmp_path / "c.yaml").write_bytes(b"\xff\xfe\x00")
    messages = [str(error) for error in errors_of(tmp_path, tmp_path / "missing.yaml")]
    assert len(messages) == 5
    assert "is not UTF-8 text" in messages[2]
    assert "missing.yaml: No such file or directory" in messages[3]
    assert "Organization default/b is already given at" in messages[4]


def test_a_directory_without_manifests_is_a_mistake(tmp_path: Path) -> None:
    (error,) = errors_of(tmp_path)
    assert "no .yaml, .yml or .json file" in error.message
