"""Every generated file, as text by path."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from difflib import unified_diff
from pathlib import Path

import yaml

from eatool.domain.kind import EntityKind
from eatool.kube.schema.admission import actor_policy
from eatool.kube.schema.crd import custom_resource_definition
from eatool.kube.schema.platform import DECLARED, platform_crd
from eatool.kube.schema.platform_reference import resource_name, resource_page
from eatool.kube.schema.reference import index_page, kind_page, page_name
from eatool.kube.schema.structural import JsonObject
from eatool.kube.schema.yaml_text import HEADER, to_yaml
from eatool.publishing.declared import API_GROUP, API_VERSION

#: Below the CRDs, so that ``kubectl apply -f crds/`` also works on clusters without the policy API.
ADMISSION_FILE = "admission/actor-policy.yaml"

Files = Mapping[Path, str]


def crd_files(kinds: Sequence[EntityKind]) -> Files:
    """One CRD per file, named as controller-gen does, and the admission policy."""
    files = {
        Path(f"{kind.api_group}_{kind.plural}.yaml"): to_yaml([custom_resource_definition(kind)])
        for kind in kinds
    }
    files |= {
        Path(f"{API_GROUP}_{resource.plural}.yaml"): to_yaml([platform_crd(resource)])
        for resource in DECLARED
    }
    return {**files, Path(ADMISSION_FILE): to_yaml(actor_policy(kinds))}


def reference_files(kinds: Sequence[EntityKind], examples: Mapping[str, JsonObject]) -> Files:
    """One page per kind and an index; ``examples`` are manifests by kind."""
    pages = {
        Path(page_name(kind)): kind_page(kind, kinds, examples.get(kind.kind)) for kind in kinds
    }
    pages |= {
        Path(resource_name(resource)): resource_page(resource, examples.get(resource.kind))
        for resource in DECLARED
    }
    return {Path("README.md"): index_page(kinds), **pages}


def first_examples(directories: Iterable[Path]) -> Mapping[str, JsonObject]:
    """The first manifest of each kind below ``directories``, files in alphabetical order."""
    examples: dict[str, JsonObject] = {}
    for file in (path for each in directories for path in sorted(each.rglob("*.yaml"))):
        for document in yaml.load_all(file.read_text(), Loader=yaml.CSafeLoader):
            if isinstance(document, dict) and document.get("apiVersion") in _API_VERSIONS:
                examples.setdefault(document["kind"], document)
    return examples


_API_VERSIONS = (
    f"{EntityKind.api_group}/{EntityKind.api_version}",
    f"{API_GROUP}/{API_VERSION}",
)


def write(files: Files, directory: Path) -> None:
    """Make ``directory`` hold exactly ``files``, next to what was written by hand."""
    for path, text in files.items():
        target = directory / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    for path in _superfluous(files, directory):
        (directory / path).unlink()


def differences(files: Files, directory: Path) -> list[str]:
    """One complaint per file that is not as generated, each ending with its unified diff."""
    complaints = []
    for path, text in files.items():
        target = directory / path
        if not target.exists():
            complaints.append(f"missing: {target}")
        elif (found := target.read_text()) != text:
            diff = unified_diff(
                found.splitlines(), text.splitlines(), str(target), "generated", n=1, lineterm=""
            )
            complaints.append("\n".join((f"stale: {target}", *diff)))
    complaints.extend(f"superfluous: {directory / path}" for path in _superfluous(files, directory))
    return complaints


def _superfluous(files: Files, directory: Path) -> list[Path]:
    """Files generated earlier from a kind that is gone; hand-written ones have no header."""
    found = (path for path in sorted(directory.rglob("*")) if path.is_file())
    return [
        path.relative_to(directory)
        for path in found
        if path.relative_to(directory) not in files and HEADER in _first_line(path)
    ]


def _first_line(path: Path) -> str:
    with path.open(errors="replace") as lines:
        return lines.readline()
