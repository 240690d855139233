"""Rules as data: unique keys, state machines, changes that need approval.

They are declarations, so the reference documentation and the decision read the same source.
"""

from __future__ import annotations

import dataclasses
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any


def fold(value: object) -> str:
    """How values compare for uniqueness: NFC, case-folded; ``None`` is the empty text."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.isoformat()
    folded = unicodedata.normalize("NFC", str(value)).casefold()
    return unicodedata.normalize("NFC", folded)


@dataclass(frozen=True, slots=True)
class Key:
    """Folded values of some fields, by which entities of one kind and namespace are compared.

    Attributes:
        label: first part of the key; distinguishes the keys of one kind.
        fields: snake_case fields, the most general first; an absent value is a value (all roots
            of a hierarchy are siblings).
        field: the one a complaint points at.
        message: the complaint, without values.

    """

    label: str
    fields: tuple[str, ...]
    field: str
    message: str

    def key(self, spec: Any) -> str:
        """``name:parent/checkout team``; slashes in values are escaped, so no two keys merge."""
        parts = (fold(getattr(spec, name)) for name in self.fields)
        return f"{self.label}:" + "/".join(
            part.replace("~", "~0").replace("/", "~1") for part in parts
        )


@dataclass(frozen=True, slots=True)
class UniqueKey(Key):
    """A key that no two live entities of a kind hold in one namespace."""


@dataclass(frozen=True, slots=True)
class SharedKey(Key):
    """A key that several live entities may hold, as long as no two of them clash.

    Attributes:
        clash: whether an entity with this spec stands in the way of another one, given as its
            recorded fields by snake_case name.
        advisory: a clash is said, not refused.

    """

    clash: Callable[[Any, Mapping[str, object]], bool] = lambda _spec, _other: True
    advisory: bool = False


@dataclass(frozen=True, slots=True)
class StateMachine:
    """Legal transitions of one enum field.

    Attributes:
        field: snake_case field.
        transitions: from each state to the states that may follow; any state may be the first.
        overrides: transitions that ``eatool.io/override`` with this value opens, with a reason.

    """

    field: str
    transitions: Mapping[str, frozenset[str]]
    overrides: Mapping[str, frozenset[tuple[str, str]]] = dataclasses.field(default_factory=dict)

    def allows(self, old: str, new: str) -> bool:
        """Whether ``old`` to ``new`` needs no override."""
        return old == new or new in self.transitions[old]

    def override_for(self, old: str, new: str) -> str | None:
        """The override that opens ``old`` to ``new``, if there is one."""
        return next((name for name, pairs in self.overrides.items() if (old, new) in pairs), None)


@dataclass(frozen=True, slots=True)
class ApprovalRule:
    """A change that needs a reason or an approval id, where the policy of the kind says so.

    Attributes:
        what: the change in words: ``"changing dataClassification"``.
        field: snake_case field whose change it is; ``None`` = the deletion.
        reason, approval: what is needed.
        applies: of old and new value; the default is any change.

    """

    what: str
    field: str | None = None
    reason: bool = False
    approval: bool = False
    applies: Callable[[Any, Any], bool] = lambda old, new: bool(old != new)
