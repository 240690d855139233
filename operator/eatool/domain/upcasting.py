"""Reading events of older schema versions: pure steps from one version to the next, and back.

Stored events are never rewritten. A kind declares its steps next to its event classes::

    KIND = EntityKind(
        ...,
        upcasters=(Upcaster("ApplicationCreated", 1, _rename_owner),),
        downcasters=(Downcaster("ApplicationCreated", 2, _owner_as_it_was),),
    )

The chains are checked when the kinds are loaded: no duplicate, no hole, and the last upcaster must
reach the version of the class in this release. Steps go by exactly one, so there are no cycles.
Downcasters serve consumers that are pinned to an older version; they start at the version of the
class and reach down as far as they are declared.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from eatool.domain.events import JsonObject


class UnknownEventType(LookupError):
    """An event this release cannot read: its type, its schema version, or its content."""


class BrokenUpcasters(Exception):
    """The declared steps do not lead from version 1 to the version of the class."""


class BrokenDowncasters(Exception):
    """The declared steps do not start at the version of the class, or have a hole."""


@dataclass(frozen=True, slots=True)
class Upcaster:
    """One step: ``data`` of ``type`` at ``from_version`` to the same at ``from_version + 1``.

    ``step`` returns a new dictionary and leaves the one it was given as it is.
    """

    type: str
    from_version: int
    step: Callable[[JsonObject], JsonObject]


@dataclass(frozen=True, slots=True)
class Downcaster:
    """One step: ``data`` of ``type`` at ``from_version`` to the same at ``from_version - 1``.

    ``step`` returns a new dictionary and leaves the one it was given as it is. It may lose what
    the older version has no place for.
    """

    type: str
    from_version: int
    step: Callable[[JsonObject], JsonObject]


def split(versioned_type: str) -> tuple[str, int]:
    """``("ApplicationCreated", 1)`` for ``ApplicationCreated.v1``."""
    name, separator, version = versioned_type.rpartition(".v")
    if not (separator and name and version.isdecimal() and int(version) > 0):
        raise UnknownEventType(f"{versioned_type!r} is not written Type.vN")
    return name, int(version)


class UpcasterChain:
    """All steps of all kinds, checked against the versions of the classes of this release."""

    def __init__(self, steps: Iterable[Upcaster], newest: Mapping[str, int]) -> None:
        """``newest`` maps each event type to its current schema version."""
        self._newest = dict(newest)
        self._steps: dict[tuple[str, int], Callable[[JsonObject], JsonObject]] = {}
        for step in steps:
            source = f"{step.type}.v{step.from_version}"
            if (step.type, step.from_version) in self._steps:
                raise BrokenUpcasters(f"two steps read {source}")
            if not 0 < step.from_version < self._newest.get(step.type, 0):
                raise BrokenUpcasters(f"the step from {source} does not lead to a known version")
            self._steps[step.type, step.from_version] = step.step
        for name, version in self._newest.items():
            for older in range(1, version):
                if (name, older) not in self._steps:
                    raise BrokenUpcasters(f"no step reads {name}.v{older}")

    def upcast(self, versioned_type: str, data: JsonObject) -> tuple[str, JsonObject]:
        """The same event at the newest version; raises :class:`UnknownEventType`."""
        name, version = split(versioned_type)
        newest = self._newest.get(name)
        if newest is None:
            raise UnknownEventType(f"{versioned_type}: this release knows no event {name}")
        if version > newest:
            raise UnknownEventType(f"{versioned_type}: this release reads up to {name}.v{newest}")
        for older in range(version, newest):
            data = self._steps[name, older](data)
        return f"{name}.v{newest}", data


class DowncasterChain:
    """All steps of all kinds, checked against the versions of the classes of this release."""

    def __init__(self, steps: Iterable[Downcaster], newest: Mapping[str, int]) -> None:
        """``newest`` maps each event type to its current schema version."""
        self._newest = dict(newest)
        self._oldest = dict(newest)
        self._steps: dict[tuple[str, int], Callable[[JsonObject], JsonObject]] = {}
        for step in steps:
            source = f"{step.type}.v{step.from_version}"
            if (step.type, step.from_version) in self._steps:
                raise BrokenDowncasters(f"two steps read {source}")
            if not 1 < step.from_version <= self._newest.get(step.type, 0):
                raise BrokenDowncasters(f"the step from {source} does not start at a known version")
            self._steps[step.type, step.from_version] = step.step
            self._oldest[step.type] = min(self._oldest[step.type], step.from_version - 1)
        for name, oldest in self._oldest.items():
            for version in range(oldest + 1, self._newest[name] + 1):
                if (name, version) not in self._steps:
                    raise BrokenDowncasters(f"no step reads {name}.v{version}")

    def versions(self, name: str) -> range:
        """Versions an event type can be published in; raises :class:`UnknownEventType`."""
        if name not in self._newest:
            raise UnknownEventType(f"this release knows no event {name}")
        return range(self._oldest[name], self._newest[name] + 1)

    def downcast(
        self, versioned_type: str, data: JsonObject, to_version: int
    ) -> tuple[str, JsonObject]:
        """The same event at ``to_version``, or as it is when that is not newer.

        Raises :class:`UnknownEventType` when the steps do not lead there.
        """
        name, version = split(versioned_type)
        if version <= to_version:
            return versioned_type, data
        if version not in self.versions(name) or to_version not in self.versions(name):
            raise UnknownEventType(f"{versioned_type}: no downcaster reaches {name}.v{to_version}")
        for newer in range(version, to_version, -1):
            data = self._steps[name, newer](data)
        return f"{name}.v{to_version}", data
