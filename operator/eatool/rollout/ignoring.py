"""Differences between legacy table and registry that a named rule excuses."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from eatool.domain.kind import EntityKind
from eatool.legacy.rows import column_of
from eatool.rollout.declared import ParitySpec, When

#: Maps a text to what two texts have in common that differ only in the way meant.
_Common = Callable[[str], str]


def _without_blanks(text: str) -> str:
    return "".join(text.split())


_COMMON: Final[Mapping[When, _Common]] = {
    "CaseDiffers": str.casefold,
    "BlanksDiffer": _without_blanks,
}


@dataclass(frozen=True, slots=True)
class Rule:
    """Excuses differences of one field; ``when`` says which."""

    name: str
    when: When = "Always"

    def excuses(self, legacy: Any, read: Any) -> bool:
        """Whether these two different values may differ. Texts are compared inside lists, too."""
        if self.when in ("Always", "Unrecordable"):
            return self.when == "Always"
        if self.when == "EmptyOrAbsent":
            return _is_empty(legacy) and _is_empty(read)
        common = _COMMON[self.when]
        return bool(_mapped(legacy, common) == _mapped(read, common))


#: The one field of a rule that is not of the spec.
_NAME: Final = "metadata.name"

#: Rules by snake_case field of a kind, or ``metadata.name``.
Ignored = Mapping[str, Sequence[Rule]]


def rules_of(kind: EntityKind, parity: ParitySpec) -> Ignored:
    """The rules of a rollout of ``kind``, whose fields are named as in manifests."""
    names = {info.alias or name: name for name, info in kind.spec.model_fields.items()}
    found: defaultdict[str, list[Rule]] = defaultdict(list)
    for declared in parity.ignored:
        for field in declared.fields:
            found[names.get(field, field)].append(Rule(declared.name, declared.when or "Always"))
    return dict(found)


def excuse(
    ignored: Ignored,
    differing: Sequence[str],
    legacy: Mapping[str, Any],
    read: Mapping[str, Any],
) -> str | None:
    """Names of the rules that excuse all of ``differing`` together; ``None`` if something is left.

    ``legacy`` and ``read`` are fields by snake_case name.
    """
    used: set[str] = set()
    for field in differing:
        rules = ignored.get(field, ())
        fitting = [rule.name for rule in rules if rule.excuses(legacy.get(field), read.get(field))]
        if not fitting:
            return None
        used.add(fitting[0])
    return ", ".join(sorted(used)) or None


def accept(ignored: Ignored, complaints: Sequence[str]) -> str | None:
    """Names of the rules that accept a row with these complaints; ``None`` if one is left.

    Complaints are texts of :class:`~eatool.domain.errors.FieldError`: a path, a colon, a reason.
    """
    used: set[str] = set()
    for complaint in complaints:
        fitting = [
            rule.name
            for rule in ignored.get(_field_of(complaint), ())
            if rule.when == "Unrecordable"
        ]
        if not fitting:
            return None
        used.add(fitting[0])
    return ", ".join(sorted(used)) or None


def _field_of(complaint: str) -> str:
    """``rate_limits`` of ``spec.rateLimits.burst: must be ...``; ``metadata.name`` as it is."""
    path = complaint.partition(":")[0]
    return path if path == _NAME else re.split(r"[.\[]", column_of(path), maxsplit=1)[0]


def _is_empty(value: Any) -> bool:
    return value is None or (isinstance(value, str | list | tuple | Mapping) and not value)


def _mapped(value: Any, common: _Common) -> Any:
    if isinstance(value, str):
        return common(value)
    if isinstance(value, list | tuple):
        return [_mapped(each, common) for each in value]
    if isinstance(value, Mapping):
        return {name: _mapped(each, common) for name, each in value.items()}
    return value
