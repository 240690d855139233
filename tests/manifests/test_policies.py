"""``eatool apply`` obeys the switches of the site, as the operator does."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from tests.manifests.documents import manifest
from tests.registry.sites import APPLICATION

from eatool.manifests.cli import apply
from eatool.store.sql.engine import open_engine
from eatool.store.sql.log import SqlEventStore


@pytest.fixture(autouse=True)
def _switches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EATOOL_POLICY_REQUIRE_REASON", "application")
    monkeypatch.setenv("EATOOL_POLICY_REQUIRE_APPROVAL", "application")
    monkeypatch.setenv("EATOOL_POLICY_STRICT_LIFECYCLE", "application")


class Directory:
    """One manifest, applied to one store."""

    def __init__(self, path: Path) -> None:
        self._file = path / "shop.yaml"
        self.store = f"sqlite:///{path / 'registry.db'}"

    def run(self, *options: str, lifecycle: str = "active", **annotations: str) -> Result:
        """``annotations`` by their name with underscores."""
        named = {f"eatool.io/{key.replace('_', '-')}": text for key, text in annotations.items()}
        spec = APPLICATION | {"lifecycle": lifecycle}
        self._file.write_text(manifest("Application", "shop", spec, annotations=named))
        return CliRunner().invoke(apply, ["--store", self.store, "-f", str(self._file), *options])

    def reasons(self) -> list[str | None]:
        log = SqlEventStore(open_engine(self.store))
        try:
            return [event.metadata.get("reason") for event in log.read_all(limit=100)]
        finally:
            log.close()


@pytest.fixture
def directory(tmp_path: Path) -> Directory:
    return Directory(tmp_path)


def test_a_deletion_needs_a_reason_and_an_approval(directory: Directory) -> None:
    assert directory.run(reason="new", approval_id="ARB-1").exit_code == 0
    for options in ([], ["--dry-run"]):
        refused = directory.run("--delete", *options, reason="new", approval_id="ARB-1")
        assert refused.exit_code == 1
        assert "needs a reason" in refused.output
        assert "needs an approval" in refused.output
        assert "what is there counted for an earlier change" in refused.output
    given = directory.run("--delete", "--reason", "sold", approval_id="ARB-2")
    assert given.exit_code == 0, given.output
    assert directory.reasons() == ["new", "sold"]


def test_a_reason_on_the_command_line_counts_for_each_run(directory: Directory) -> None:
    for lifecycle in ("planned", "active", "deprecated"):
        assert directory.run("--reason", "bulk", lifecycle=lifecycle).exit_code == 0
    assert directory.reasons() == ["bulk"] * 3


def test_state_machines_are_strict(directory: Directory) -> None:
    directory.run(lifecycle="deprecated")
    refused = directory.run()
    assert refused.exit_code == 1
    assert "must not go from deprecated to active" in refused.output
    override = {"override": "reactivate"}
    assert directory.run("--dry-run", "--reason", "needed", **override).exit_code == 0
    assert directory.run(**override).exit_code == 1
    assert directory.run("--reason", "needed", **override).exit_code == 0


def test_without_the_switches_everything_passes(
    directory: Directory, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("REQUIRE_REASON", "REQUIRE_APPROVAL", "STRICT_LIFECYCLE"):
        monkeypatch.delenv(f"EATOOL_POLICY_{name}")
    for arguments in ([], ["--delete"]):
        assert directory.run(*arguments, lifecycle="retired").exit_code == 0
