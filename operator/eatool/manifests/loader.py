"""Read manifests from files, directories and standard input, in no particular order.

The whole input is read before anything is applied, and every problem found is reported with
``file:line``, so that one run shows all there is to fix.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from yaml.constructor import ConstructorError
from yaml.nodes import CollectionNode, MappingNode, Node, ScalarNode, SequenceNode

from eatool.domain.events import JsonObject
from eatool.domain.fields import NAME_MAX
from eatool.domain.identity import EntityRef
from eatool.domain.kind import EntityKind
from eatool.domain.kinds import KINDS

_SUFFIXES = frozenset({".yaml", ".yml", ".json"})
_LABEL = r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?"
_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_KINDS = {kind.kind: kind for kind in KINDS.values()}
_API_VERSION = f"{EntityKind.api_group}/{EntityKind.api_version}"


@dataclass(frozen=True, slots=True)
class Manifest:
    """One object as written; ``spec`` is raw, ``origin`` is ``file:line``."""

    kind: EntityKind
    ref: EntityRef
    spec: JsonObject
    origin: str
    annotations: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LoadError:
    """One problem of the input; ``origin`` is ``file:line``, or a file that cannot be read."""

    origin: str
    message: str

    def __str__(self) -> str:
        return f"{self.origin}: {self.message}"


class ManifestsInvalid(Exception):
    """The input cannot be applied; carries every problem found, in order of reading."""

    def __init__(self, errors: Sequence[LoadError]) -> None:
        super().__init__("\n".join(map(str, errors)))
        self.errors = tuple(errors)


class _WrongShape(Exception):
    """A document that is not a manifest of this registry."""


class _Loader(yaml.SafeLoader):
    """YAML as the Kubernetes API reads it: dates stay strings."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - the name and shape are PyYAML's
        first: [(tag, regexp) for tag, regexp in resolvers if tag != "tag:yaml.org,2002:timestamp"]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_scalar(self, node: Any) -> str:
        text = str(super().construct_scalar(node))
        try:
            # JSON escapes what lies beyond 16 bits as a pair of surrogates.
            return text.encode("utf-16", "surrogatepass").decode("utf-16")
        except UnicodeDecodeError:
            raise ConstructorError(None, None, "is not Unicode text", node.start_mark) from None


def load(
    paths: Sequence[str],
    *,
    namespace: str = "default",
    recursive: bool = False,
) -> list[Manifest]:
    """Read every manifest under ``paths`` (files, directories, ``-`` for standard input).

    Args:
        paths: what ``kubectl apply -f`` would take.
        namespace: for manifests that name none.
        recursive: descend into directories.

    Raises:
        ManifestsInvalid: with all problems at once; nothing of the input should be applied.

    """
    manifests: list[Manifest] = []
    errors: list[LoadError] = []
    for source in _sources(paths, recursive=recursive, errors=errors):
        for origin, document in _documents(*source, errors=errors):
            found = _manifest(document, origin, namespace)
            if isinstance(found, LoadError):
                errors.append(found)
            else:
                manifests.append(found)
    errors.extend(_duplicates(manifests))
    if errors:
        raise ManifestsInvalid(errors)
    return manifests


def _sources(
    paths: Sequence[str], *, recursive: bool, errors: list[LoadError]
) -> Iterator[tuple[str, str]]:
    """Name and text of every input."""
    for given in paths:
        root = Path(given)
        if given != "-" and root.is_dir():
            pattern = "**/*" if recursive else "*"
            files = sorted(f for f in root.glob(pattern) if f.suffix in _SUFFIXES and f.is_file())
            if not files:
                errors.append(LoadError(given, "no .yaml, .yml or .json file in this directory"))
        else:
            files = [root]
        for file in files:
            name = "<stdin>" if given == "-" else str(file)
            try:
                yield name, sys.stdin.read() if given == "-" else file.read_text(encoding="utf-8")
            except OSError as error:
                errors.append(LoadError(name, error.strerror or str(error)))
            except UnicodeDecodeError:
                errors.append(LoadError(name, "is not UTF-8 text"))


def _documents(name: str, text: str, *, errors: list[LoadError]) -> Iterator[tuple[str, object]]:
    """Every document with its ``file:line``; items of a ``List`` count as documents."""
    if name.endswith(".json"):
        text = text.replace("\t", " ")  # YAML, unlike JSON, takes no tabs between tokens
    try:
        loader = _Loader(text)
        try:
            while loader.check_node():
                items = _items(loader.get_node())
                # On nodes as written: constructing copies what "<<" merges into them.
                repeated = [_repeated_key(item) for item in items]
                for item, problem in zip(items, repeated, strict=True):
                    origin = f"{name}:{item.start_mark.line + 1}"
                    try:
                        if problem is not None:
                            raise problem
                        document = loader.construct_document(item)
                    except ConstructorError as error:
                        errors.append(_yaml_error(name, error))
                    else:
                        if document is not None:
                            yield origin, document
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        errors.append(_yaml_error(name, error))
    except RecursionError:
        errors.append(LoadError(f"{name}:1", "is nested too deeply"))
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        errors.append(LoadError(f"{name}:{line}", error.reason))


def _yaml_error(name: str, error: yaml.MarkedYAMLError) -> LoadError:
    mark = error.problem_mark or error.context_mark
    return LoadError(f"{name}:{mark.line + 1 if mark else 1}", error.problem or "is not YAML")


def _items(node: Node | None) -> Sequence[Node]:
    if node is None:
        return []
    if not isinstance(node, MappingNode):
        return [node]
    fields = {key.value: value for key, value in node.value if isinstance(key, ScalarNode)}
    kind, items = fields.get("kind"), fields.get("items")
    if kind is None or kind.value != "List" or items is None:
        return [node]
    if not isinstance(items, SequenceNode):
        raise ConstructorError(None, None, "items of a List must be a list", items.start_mark)
    found: Sequence[Node] = items.value
    return found


def _repeated_key(root: Node) -> ConstructorError | None:
    nodes, seen = [root], set()
    while nodes:
        node = nodes.pop()
        if not isinstance(node, CollectionNode) or id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, SequenceNode):
            nodes.extend(node.value)
            continue
        keys: set[str] = set()
        for key, value in node.value:
            nodes.append(value)
            if not isinstance(key, ScalarNode):
                continue
            if key.value in keys:
                problem = f"key {key.value!r} is given twice"
                return ConstructorError(None, None, problem, key.start_mark)
            keys.add(key.value)
    return None


def _manifest(document: object, origin: str, namespace: str) -> Manifest | LoadError:
    try:
        return _read_manifest(document, origin, namespace)
    except _WrongShape as wrong:
        return LoadError(origin, str(wrong))


def _read_manifest(document: object, origin: str, namespace: str) -> Manifest:
    if not isinstance(document, dict):
        raise _WrongShape("is not a manifest (a mapping with apiVersion, kind, metadata, spec)")
    if document.get("apiVersion") != _API_VERSION:
        given = document.get("apiVersion")
        raise _WrongShape(f"apiVersion must be {_API_VERSION}, not {given!r}")
    kind = _KINDS.get(str(document.get("kind")))
    if kind is None:
        legal = ", ".join(sorted(_KINDS))
        raise _WrongShape(f"kind must be one of {legal}, not {document.get('kind')!r}")
    metadata = document.get("metadata")
    if not isinstance(metadata, dict):
        raise _WrongShape("metadata must be a mapping with a name")
    ref = kind.ref(
        _name("namespace", metadata.get("namespace") or namespace),
        _name("name", metadata.get("name")),
    )
    spec, annotations = document.get("spec"), metadata.get("annotations") or {}
    if not isinstance(spec, dict):
        raise _WrongShape("spec must be a mapping")
    if not isinstance(annotations, dict) or not all(
        isinstance(value, str) for value in annotations.values()
    ):
        raise _WrongShape("metadata.annotations must map strings to strings")
    return Manifest(kind, ref, spec, origin, annotations)


def _name(field_name: str, value: object) -> str:
    if not isinstance(value, str) or not _NAME.fullmatch(value) or len(value) > NAME_MAX:
        raise _WrongShape(
            f"metadata.{field_name} must be 1 to {NAME_MAX} lower-case letters, digits, inner '-' "
            "and '.', each part between dots beginning and ending with a letter or digit"
        )
    return value


def _duplicates(manifests: Sequence[Manifest]) -> Iterator[LoadError]:
    first: dict[EntityRef, Manifest] = {}
    for manifest in manifests:
        known = first.setdefault(manifest.ref, manifest)
        if known is not manifest:
            yield LoadError(
                manifest.origin,
                f"{manifest.kind.kind} {manifest.ref.namespace}/{manifest.ref.name} "
                f"is already given at {known.origin}",
            )
