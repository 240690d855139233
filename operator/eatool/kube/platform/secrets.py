"""The Secrets that brokers name, and no others, as long as nothing says they changed."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Protocol

Data = Mapping[str, bytes]


class SecretApi(Protocol):
    """Where Secrets are read; :class:`~eatool.kube.platform.api.PlatformApi` in production."""

    async def secret(self, name: str) -> Data | None:
        """Data of a Secret; ``None`` when there is none."""
        ...


class Secrets:
    """Read when asked for, kept until a watch event or a resync says otherwise."""

    def __init__(self, api: SecretApi) -> None:
        self._api = api
        self._known: dict[str, Data | None] = {}

    async def of(self, names: Collection[str]) -> dict[str, Data]:
        """Data by name; what does not exist is left out. Raises what the API says."""
        found = {}
        for name in sorted(names):
            if name not in self._known:
                self._known[name] = await self._api.secret(name)
            data = self._known[name]
            if data is not None:
                found[name] = data
        return found

    def changed(self, name: str) -> bool:
        """Read it again when it is next asked for; whether anybody ever asked."""
        if name not in self._known:
            return False
        del self._known[name]
        return True

    def distrust(self) -> None:
        """Read all of them again."""
        self._known.clear()
