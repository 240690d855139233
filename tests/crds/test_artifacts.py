"""The generated files: complete, stable, and guarded by ``crds --check``."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result
from tests.crds.cases import LANDSCAPE

from eatool.domain.kind import EntityKind
from eatool.domain.kinds import KINDS
from eatool.kube.platform.resources import Resource
from eatool.kube.schema.artifacts import crd_files, reference_files
from eatool.kube.schema.cli import crds
from eatool.kube.schema.crd import custom_resource_definition
from eatool.kube.schema.platform import DECLARED, platform_crd
from eatool.kube.schema.yaml_text import HEADER, to_yaml
from eatool.publishing.declared import API_GROUP

ROOT = Path(__file__).parents[2]
ALL = tuple(KINDS.values())


def keywords(node: Any) -> set[str]:
    """Every key anywhere in a document."""
    if isinstance(node, dict):
        return set(node).union(*map(keywords, node.values()))
    if isinstance(node, list):
        return set().union(*map(keywords, node))
    return set()


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    assert generate(tmp_path).exit_code == 0
    return tmp_path


def generate(directory: Path, *options: str) -> Result:
    examples = directory / "examples"
    examples.mkdir(exist_ok=True)
    (examples / "all.yaml").write_text(yaml.safe_dump_all(LANDSCAPE))
    return CliRunner().invoke(
        crds,
        [
            f"--output-dir={directory / 'crds'}",
            f"--docs-dir={directory / 'docs'}",
            f"--examples-dir={examples}",
            *options,
        ],
    )


def test_what_is_committed_is_up_to_date(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    result = CliRunner().invoke(crds, ["--check"])

    assert result.exit_code == 0, result.output


def test_fresh_files_pass_the_check(directory: Path) -> None:
    result = generate(directory, "--check")

    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in (directory / "crds").glob("*.yaml")) == sorted(
        [f"eatool.io_{kind.plural}.yaml" for kind in ALL]
        + [f"{API_GROUP}_{resource.plural}.yaml" for resource in DECLARED]
    )
    assert (directory / "crds" / "admission" / "actor-policy.yaml").exists()


def test_the_check_names_what_differs_and_changes_nothing(directory: Path) -> None:
    stale = directory / "crds" / "eatool.io_servers.yaml"
    stale.write_text(stale.read_text().replace("scope: Namespaced", "scope: Cluster"))
    (directory / "docs" / "relation.md").unlink()
    (directory / "crds" / "eatool.io_views.yaml").write_text(f"# {HEADER}\n")
    (directory / "crds" / "kustomization.yaml").write_text("# by hand\n")

    result = generate(directory, "--check")

    assert result.exit_code == 1
    assert f"stale: {stale}" in result.output
    assert "-  scope: Cluster\n+  scope: Namespaced" in result.output
    assert "missing:" in result.output
    assert "relation.md" in result.output
    assert "superfluous:" in result.output
    assert "eatool.io_views.yaml" in result.output
    assert "kustomization" not in result.output
    assert "scope: Cluster" in stale.read_text()


def test_generating_repairs_and_leaves_hand_written_files(directory: Path) -> None:
    gone = directory / "crds" / "eatool.io_views.yaml"
    gone.write_text(f"# {HEADER}\n")
    kept = directory / "crds" / "kustomization.yaml"
    kept.write_text("# by hand\n")

    assert generate(directory).exit_code == 0

    assert kept.exists()
    assert not gone.exists()
    assert generate(directory, "--check").exit_code == 0


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.kind)
def test_no_default_but_that_of_the_status(kind: EntityKind) -> None:
    (version,) = custom_resource_definition(kind)["spec"]["versions"]
    properties = version["schema"]["openAPIV3Schema"]["properties"]

    assert "default" not in keywords(properties["spec"])
    assert properties["status"].pop("default") == {"observedGeneration": -1}
    assert "default" not in keywords(properties["status"])
    assert "x-kubernetes-preserve-unknown-fields" not in keywords(version)


def test_yaml_reads_back_as_it_was_and_is_readable() -> None:
    documents = [custom_resource_definition(kind) for kind in ALL]
    text = to_yaml(documents)

    assert list(yaml.safe_load_all(text)) == documents
    assert text == to_yaml(documents)
    assert text.startswith(f"# {HEADER}\n---\napiVersion: ")
    assert "&id" not in text
    assert "''" not in text, "no rule with doubled quotes"


@pytest.mark.parametrize("text", ["- a", "a: b", "it's: here", "x " * 60, "two\nlines\n", "'", ""])
def test_any_text_survives(text: str) -> None:
    assert list(yaml.safe_load_all(to_yaml([{"text": text}]))) == [{"text": text}]


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.kind)
def test_a_page_tells_everything_about_a_kind(kind: EntityKind) -> None:
    examples = {manifest["kind"]: manifest for manifest in LANDSCAPE}
    page = reference_files(ALL, examples)[Path(f"{kind.singular}.md")]

    for name in kind.spec.model_fields:
        assert f"| `{kind.spec.path_of(name).removeprefix('spec.')}` |" in page
    for event in kind.events:
        assert f"`{event.versioned_type()}`" in page
    for rule in kind.cel:
        assert rule.message.split("; ")[0] in page
    assert f"kind: {kind.kind}\n" in page, "an example"


@pytest.mark.parametrize("resource", DECLARED, ids=lambda resource: resource.kind)
def test_a_page_tells_everything_about_a_resource(resource: Resource) -> None:
    pages = reference_files(ALL, {})
    page = pages[Path(f"{resource.kind.lower()}.md")]
    (version,) = platform_crd(resource)["spec"]["versions"]
    properties = version["schema"]["openAPIV3Schema"]["properties"]

    for part in ("spec", "status"):
        for name in properties[part]["properties"]:
            assert f"| `{name}` |" in page
    for rule in resource.cel:
        assert rule.message.split("; ")[0] in page
    assert f"[{resource.kind}]({resource.kind.lower()}.md)" in pages[Path("README.md")]
    assert "default" not in keywords(properties["spec"])
    assert "x-kubernetes-preserve-unknown-fields" not in keywords(version)


def test_the_page_of_a_target_says_who_blocks_its_deletion() -> None:
    pages = reference_files(ALL, {})
    blockers = pages[Path("application.md")].partition("## Deletion")[2]

    for path in (
        "[ApplicationInterface](applicationinterface.md) `spec.exposedByAppId`",
        "[ApplicationService](applicationservice.md) `spec.consumers`",
        "[Integration](integration.md) `spec.targetAppId`",
        "[Relation](relation.md) `spec.sourceId`",
    ):
        assert path in blockers
    assert "nothing blocks" in pages[Path("relation.md")]


def test_the_files_are_the_same_whatever_the_order_of_the_kinds() -> None:
    assert crd_files(ALL) == crd_files(ALL[::-1])
