"""A kind is one file: with one more beside the nine, everything else is there by itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

import eatool

PACKAGE = Path(eatool.__file__).parent
TENTH = Path(__file__).parent / "tenth"


def with_one_more_file(folder: Path) -> Path:
    """The package as it is, by links, and one file in it that is new."""
    root = folder / "path"
    kinds = root / "eatool" / "domain" / "kinds"
    kinds.mkdir(parents=True)
    for real, copied in (
        (PACKAGE, root / "eatool"),
        (PACKAGE / "domain", root / "eatool" / "domain"),
        (PACKAGE / "domain" / "kinds", kinds),
    ):
        for each in real.iterdir():
            if each.name != "__pycache__" and not (copied / each.name).exists():
                (copied / each.name).symlink_to(each)
    (kinds / "view.py").symlink_to(TENTH / "view.py")
    return root


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("tenth")
    command = [sys.executable, str(TENTH / "use.py"), f"sqlite:///{folder / 'log.db'}", str(folder)]
    environment = {**os.environ, "PYTHONPATH": str(with_one_more_file(folder))}
    answer = subprocess.run(
        command, env=environment, cwd=folder, capture_output=True, text=True, check=False
    )
    assert answer.returncode == 0, answer.stderr
    result: dict[str, Any] = json.loads(answer.stdout)
    return result


def test_it_is_discovered_among_the_others(found: dict[str, Any]) -> None:
    assert len(found["kinds"]) == 10
    assert found["kinds"] == sorted(found["kinds"])
    assert "view" in found["kinds"]


def test_its_crd_is_generated(found: dict[str, Any]) -> None:
    crd = yaml.safe_load(found["crds"]["eatool.io_views.yaml"])
    assert crd["spec"]["names"]["kind"] == "View"
    (version,) = crd["spec"]["versions"]
    spec = version["schema"]["openAPIV3Schema"]["properties"]["spec"]
    assert spec["properties"]["audience"]["enum"] == ["architects", "management"]
    assert spec["required"] == ["name", "audience"]
    assert "Audience" in {column["name"] for column in version["additionalPrinterColumns"]}
    assert "views" in found["crds"]["admission/actor-policy.yaml"], "its actors are stamped"
    assert "For whom it is drawn." in found["page"]


def test_it_is_watched_published_measured_and_described(found: dict[str, Any]) -> None:
    types = ["ViewAudienceChanged.v1", "ViewCreated.v1", "ViewDeleted.v1", "ViewUpdated.v1"]
    assert found["watched"]
    assert found["topic"] == "eatool/v1/dev/view/ViewCreated/overview"
    assert found["event_labels"] == types
    assert found["reference_labels"] == ["application"]
    assert found["schemas"] == types


def test_it_is_decided_by_the_rules_of_its_declaration(found: dict[str, Any]) -> None:
    def of(step: str) -> tuple[str, list[str], list[tuple[str, str]]]:
        told = found[step]
        types = [event["type"] for event in told["events"]]
        return told["result"], types, [(each["field"], each["code"]) for each in told["errors"]]

    assert of("early") == ("waiting", [], [("spec.shows[0]", "REFERENCE_NOT_FOUND")])
    assert of("created") == ("recorded", ["ViewCreated.v1"], [])
    assert of("again") == ("unchanged", [], [])
    assert of("changed") == ("recorded", ["ViewAudienceChanged.v1"], [])
    assert of("clash") == ("refused", [], [("spec.name", "ALREADY_EXISTS")])
    assert of("bad") == ("refused", [], [("spec.audience", "FORMAT")])
    assert of("blocked") == ("refused", [], [("metadata.name", "DELETE_BLOCKED")])
    assert of("deleted") == ("recorded", ["ViewDeleted.v1"], [])
    versions = [(event["version"], event["type"]) for event in found["history"]]
    assert versions == [
        (1, "ViewCreated.v1"),
        (2, "ViewAudienceChanged.v1"),
        (3, "ViewDeleted.v1"),
    ]


def test_its_read_table_holds_what_the_log_says(found: dict[str, Any]) -> None:
    (row,) = found["row"]
    assert row["spec"] == {
        "name": "Overview",
        "audience": "management",
        "shows": ["shop"],
        "tags": [],
    }
    assert found["verified"]["sound"]
    (table,) = found["verified"]["tables"]
    assert (table["table"], table["rows"]) == ("read_views", 1)
