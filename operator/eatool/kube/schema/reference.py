"""The reference pages: what a user may write, what is checked where, and what it leads to.

Everything comes from the declaration of the kind and its generated schema, so a page cannot say
anything that the API server or the operator does not do.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from eatool.domain.fields import NAME_MAX
from eatool.domain.kind import EntityKind, Ref
from eatool.domain.rules import SharedKey, StateMachine
from eatool.kube.platform.resources import CATEGORY as PLATFORM_CATEGORY
from eatool.kube.schema.crd import CATEGORY, root_rules, spec_schema
from eatool.kube.schema.fields import fields_of
from eatool.kube.schema.markdown import MARK, bullets, code, example_section, table
from eatool.kube.schema.platform import DECLARED
from eatool.kube.schema.status import status_schema
from eatool.kube.schema.structural import JsonObject, prose
from eatool.publishing.declared import API_GROUP, API_VERSION
from eatool.registry.annotations import APPROVAL, OVERRIDE, REASON

_INDEX_INTRODUCTION = f"""\
Group `eatool.io`, version `v1alpha1`, all namespaced. The namespace is the boundary of a registry:
names, references and hierarchies never cross it. `kubectl get {CATEGORY}` lists everything,
`kubectl explain` shows these texts, and what is a column can be selected (from Kubernetes 1.31 on):
`kubectl get applications --field-selector spec.lifecycle=deprecated`."""

_PLATFORM_INTRODUCTION = f"""\
Group `{API_GROUP}`, version `{API_VERSION}`, all in the namespace of the operator; no other
namespace is looked at. `kubectl get {PLATFORM_CATEGORY}` lists everything."""


def page_name(kind: EntityKind) -> str:
    """File name of a kind's page, ``applicationservice.md``."""
    return f"{kind.singular}.md"


def kind_page(kind: EntityKind, kinds: Sequence[EntityKind], example: JsonObject | None) -> str:
    """The page of one kind; ``example`` is a manifest of it."""
    sections = (
        MARK,
        f"# {kind.kind}",
        prose(kind.spec.__doc__ or kind.description),
        _facts(kind),
        example_section(example),
        _fields(kind, kinds),
        _checked_at_apply(kind),
        _checked_by_operator(kind),
        _warned_of(kind),
        _transitions(kind.state_machines),
        _events(kind),
        _deletion(kind, kinds),
    )
    return "\n\n".join(section for section in sections if section) + "\n"


def index_page(kinds: Sequence[EntityKind]) -> str:
    """The list of kinds, and the status that all of them share."""
    rows = [
        (
            f"[{kind.kind}]({page_name(kind)})",
            code(*kind.short_names),
            kind.layer,
            prose(kind.description),
        )
        for kind in kinds
    ]
    status = status_schema({"type": "object"})
    return (
        "\n\n".join(
            (
                MARK,
                "# Reference",
                _INDEX_INTRODUCTION,
                table(("Kind", "Short", "Layer", "What it is"), rows),
                "## Status",
                "The same for every kind, written by the operator, never read back by it.",
                table(
                    ("Field", "Type", "Meaning"),
                    (
                        (code(field.path), field.type, field.description)
                        for field in fields_of(status)
                    ),
                ),
                "## Operating the platform",
                _PLATFORM_INTRODUCTION,
                table(
                    ("Kind", "Short", "What it is"),
                    (
                        (
                            f"[{resource.kind}]({resource.kind.lower()}.md)",
                            code(*resource.short_names),
                            prose(resource.spec.__doc__ or "").partition(". ")[0].rstrip(".") + ".",
                        )
                        for resource in DECLARED
                    ),
                ),
            )
        )
        + "\n"
    )


def _facts(kind: EntityKind) -> str:
    archimate = f"{kind.archimate_element}, {kind.layer} layer" if kind.archimate_element else None
    rows = (
        ("API", f"`{kind.api_group}/{kind.api_version}`, namespaced"),
        ("Resource", code(kind.plural, *kind.short_names)),
        ("ArchiMate", archimate or f"none, {kind.layer} layer"),
        ("Event stream", f"`{kind.aggregate_type}/{{namespace}}/{{name}}`"),
    )
    return table(("", ""), rows)


def _fields(kind: EntityKind, kinds: Sequence[EntityKind]) -> str:
    by_type = {other.aggregate_type: other for other in kinds}
    references = {
        kind.spec.path_of(name).removeprefix("spec."): ref for name, ref in kind.references.items()
    }
    rows = []
    for field in fields_of(spec_schema(kind)):
        legal = field.legal
        if ref := references.get(field.path):
            legal = _target(kind, ref, by_type)
        rows.append(
            (
                code(field.path),
                field.type,
                "yes" if field.required else "",
                legal,
                field.description,
            )
        )
    head = "## Fields of `spec`\n\nLists are sets: order and repetition mean nothing.\n\n"
    return head + table(("Field", "Type", "Required", "Legal", "Meaning"), rows)


def _target(kind: EntityKind, ref: Ref, by_type: dict[str, EntityKind]) -> str:
    if ref.aggregate_type is not None:
        target = by_type[ref.aggregate_type]
        what = f"`metadata.name` of [{target.kind}]({page_name(target)})"
    else:
        type_path = kind.spec.path_of(ref.type_field or "").removeprefix("spec.")
        what = f"`metadata.name` of an entity of the kind in `{type_path}`"
    if ref.literal_prefix:
        what += f", or `{ref.literal_prefix}` and free text"
    return what + (" (waits until it exists)" if ref.hard else " (only a warning if missing)")


def _checked_at_apply(kind: EntityKind) -> str:
    rules = [
        f"metadata.name must have at most {NAME_MAX} characters",
        *(rule.message for rule in (*root_rules(kind), *kind.cel)),
    ]
    return (
        "## Checked by the API server\n\n"
        "Besides types and legal values; a manifest that breaks a rule is refused at "
        "`kubectl apply`.\n\n" + bullets(rules)
    )


def _checked_by_operator(kind: EntityKind) -> str:
    rules = [
        f"{kind.spec.path_of(unique.field)} {unique.message} (`AlreadyExists`)"
        for unique in (*kind.unique, *kind.shared)
        if not (isinstance(unique, SharedKey) and unique.advisory)
    ]
    if kind.parent_field:
        rules.append(
            f"{kind.spec.path_of(kind.parent_field)} must not close a loop (`CircularReference`)"
        )
    for approval in kind.approvals:
        needs = [
            name
            for name, needed in ((REASON, approval.reason), (APPROVAL, approval.approval))
            if needed
        ]
        annotations = " and ".join(code(name) for name in needs)
        rules.append(f"{approval.what} needs {annotations} (only where the policy asks for it)")
    if not rules:
        return ""
    return (
        "## Checked by the operator\n\n"
        "A spec that breaks a rule stays in the cluster but is not recorded; "
        "the condition `Stalled` carries the reason.\n\n" + bullets(rules)
    )


def _warned_of(kind: EntityKind) -> str:
    advice = [
        f"{kind.spec.path_of(shared.field)} {shared.message}"
        for shared in kind.shared
        if shared.advisory
    ]
    if not advice:
        return ""
    return (
        "## Warned of\n\nRecorded all the same; the `status.warnings` of each of them says so."
        "\n\n" + bullets(advice)
    )


def _transitions(machines: Iterable[StateMachine]) -> str:
    return "\n\n".join(
        f"### Transitions of `{machine.field}`\n\n"
        "Only where the policy is strict; any state may be the first.\n\n"
        + table(("From", "To"), (_transition(machine, old) for old in machine.transitions))
        for machine in machines
    )


def _transition(machine: StateMachine, old: str) -> tuple[str, str]:
    targets = [code(new) for new in sorted(machine.transitions[old])]
    targets += [
        f"`{new}` with `{OVERRIDE}: {override}` and a reason"
        for override, pairs in machine.overrides.items()
        for before, new in sorted(pairs)
        if before == old
    ]
    return code(old), ", ".join(targets) or "none"


def _events(kind: EntityKind) -> str:
    fields_by_event: dict[Any, list[str]] = {}
    for name, event in kind.marked.items():
        fields_by_event.setdefault(event, []).append(kind.spec.path_of(name))
    rows = (
        (
            code(event.versioned_type()),
            prose(event.__doc__ or ""),
            code(*fields_by_event.get(event, ())),
        )
        for event in kind.events
    )
    return "## Events\n\n" + table(("Type", "Meaning", "Field"), rows)


def _deletion(kind: EntityKind, kinds: Sequence[EntityKind]) -> str:
    blockers = [
        f"[{other.kind}]({page_name(other)}) `{other.spec.path_of(name)}`"
        for other in kinds
        for name, ref in other.references.items()
        if _may_name(other, ref, kind)
    ]
    if not blockers:
        return "## Deletion\n\nNothing refers to it, so nothing blocks its deletion."
    return (
        f"## Deletion\n\nBlocked (`DeleteBlocked`) while another object names the {kind.kind} in:"
        f"\n\n{bullets(blockers)}"
    )


def _may_name(referrer: EntityKind, ref: Ref, target: EntityKind) -> bool:
    if ref.aggregate_type is not None:
        return ref.aggregate_type == target.aggregate_type
    type_path = referrer.spec.path_of(ref.type_field or "").removeprefix("spec.")
    legal = spec_schema(referrer)["properties"][type_path].get("enum", ())
    return target.aggregate_type in legal
