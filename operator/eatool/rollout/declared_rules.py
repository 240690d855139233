"""Rules of ``EventSourcingRollout`` that the API server checks beyond the types."""

from __future__ import annotations

from typing import Final

from eatool.domain.kind import CelRule, EntityKind
from eatool.domain.kinds import KINDS

_EACH_STEP = "!has(self.transitions) || self.transitions.all(t, "


def _in_criteria(rule: str) -> str:
    """``rule`` over every criterion ``c`` of the spec."""
    return (
        f"({_EACH_STEP}!has(t.criteria) || t.criteria.all(c, {rule}))) && "
        f"(!has(self.rollback) || !has(self.rollback.criteria) || "
        f"self.rollback.criteria.all(c, {rule}))"
    )


def _fields_of(kind: EntityKind) -> str:
    names = (info.alias or name for name, info in kind.spec.model_fields.items())
    return f"'{kind.kind}': [" + ", ".join(f"'{name}'" for name in names) + "]"


_FIELDS: Final = "{" + ", ".join(map(_fields_of, KINDS.values())) + "}"

#: On ``spec``.
ROLLOUT_CEL: Final[tuple[CelRule, ...]] = (
    CelRule("self.entityKind == oldSelf.entityKind", "entityKind is immutable", ".entityKind"),
    CelRule(
        f"{_EACH_STEP}self.transitions.exists_one(u, u.to == t.to))",
        "transitions must name each phase once",
        ".transitions",
    ),
    CelRule(
        f"{_EACH_STEP}t.to != 'Retired' || !has(t.autoPromote) || !t.autoPromote)",
        "autoPromote must be false into Retired: it takes the legacy table out of service",
        ".transitions",
    ),
    CelRule(
        f"({_EACH_STEP}!has(t.criteria) || "
        "t.criteria.all(c, t.criteria.exists_one(d, d.name == c.name)))) && "
        "(!has(self.rollback) || !has(self.rollback.criteria) || self.rollback.criteria.all(c, "
        "self.rollback.criteria.exists_one(d, d.name == c.name)))",
        "criteria of one list must have different names",
        ".transitions",
    ),
    CelRule(
        _in_criteria("(c.metric == 'PromQL') == has(c.promQL)"),
        "promQL is for criteria of metric PromQL, which need it",
        ".transitions",
    ),
    CelRule(
        "has(self.prometheus) || (" + _in_criteria("c.metric != 'PromQL'") + ")",
        "criteria of metric PromQL need prometheus.url",
        ".prometheus",
    ),
    CelRule(
        _in_criteria("!has(c.window) || duration(c.window) <= duration('24h')"),
        "window must be at most 24h",
        ".transitions",
    ),
    CelRule(
        f"{_EACH_STEP}!has(t.gates) || t.gates.all(g, g.name != 'promote' && g.name != 'held' && "
        "t.gates.exists_one(h, h.name == g.name)))",
        "gates of one transition must have different names; promote and held are taken",
        ".transitions",
    ),
    CelRule(
        f"{_EACH_STEP}!has(t.gates) || t.gates.all(g, g.type == 'Window' ? "
        "has(g.opens) && has(g.closes) : "
        "!has(g.opens) && !has(g.closes) && !has(g.days) && !has(g.timeZone)))",
        "opens, closes, days and timeZone are for gates of type Window, which need the first two",
        ".transitions",
    ),
    CelRule(
        f"{_EACH_STEP}!has(t.gates) || t.gates.all(g, g.type == 'DependsOn' ? "
        "has(g.entityKind) && has(g.minPhase) && g.entityKind != self.entityKind : "
        "!has(g.entityKind) && !has(g.minPhase)))",
        "entityKind and minPhase are for gates of type DependsOn, which need both, of another kind",
        ".transitions",
    ),
    CelRule(
        "!has(self.parity) || !has(self.parity.ignored) || "
        f"self.parity.ignored.all(i, i.fields.all(f, f in {_FIELDS}[self.entityKind] || "
        "(f == 'metadata.name' && has(i.when) && i.when == 'Unrecordable')))",
        "parity.ignored.fields must be fields of the kind's spec, named as in its manifests; "
        "metadata.name with when Unrecordable",
        ".parity",
    ),
)

#: What it checks on the object itself: names make rollouts unique by kind.
ROLLOUT_NAME_CEL: Final = CelRule(
    "self.metadata.name == self.spec.entityKind.lowerAscii()",
    "metadata.name must be the kind in lower case: there is one rollout of each",
)
