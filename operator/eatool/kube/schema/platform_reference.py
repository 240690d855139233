"""The reference pages of the platform group, from the models and the generated schemas."""

from __future__ import annotations

from eatool.kube.platform.resources import Resource
from eatool.kube.schema.fields import fields_of
from eatool.kube.schema.markdown import MARK, bullets, code, example_section, table
from eatool.kube.schema.platform import platform_spec, platform_status
from eatool.kube.schema.structural import JsonObject, prose


def resource_name(resource: Resource) -> str:
    """File name of a resource's page, ``eventbroker.md``."""
    return f"{resource.kind.lower()}.md"


def resource_page(resource: Resource, example: JsonObject | None) -> str:
    """The page of one resource; ``example`` is a manifest of it."""
    facts = (
        ("API", f"`{resource.api_version}`, {_PLACES[resource.scope]}"),
        ("Resource", code(resource.plural, *resource.short_names)),
    )
    spec = (
        (
            code(field.path),
            field.type,
            "yes" if field.required else "",
            field.legal,
            field.description,
        )
        for field in fields_of(platform_spec(resource))
    )
    status = (
        (code(field.path), field.type, field.description)
        for field in fields_of(platform_status(resource))
    )
    rules = [
        f"metadata.name must have at most {resource.name_max} characters",
        *(rule.message for rule in (*resource.rules, *resource.cel)),
    ]
    sections = (
        MARK,
        f"# {resource.kind}",
        prose(resource.spec.__doc__ or ""),
        table(("", ""), facts),
        example_section(example),
        "## Fields of `spec`",
        table(("Field", "Type", "Required", "Legal", "Meaning"), spec),
        "## Checked by the API server",
        bullets(rules),
        "## Fields of `status`",
        table(("Field", "Type", "Meaning"), status),
    )
    return "\n\n".join(section for section in sections if section) + "\n"


_PLACES = {
    "Namespaced": "namespaced: the operator's own namespace",
    "Cluster": "of the whole cluster",
}
