"""The API requests about the registry's kinds."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from eatool.domain.identity import EntityRef
from eatool.domain.kind import EntityKind
from eatool.domain.kinds import KINDS
from eatool.kube.requests import Body, Place, Requests


class EntityApi(Requests):
    """Finalizers, status and listings of the registry's kinds."""

    async def set_finalizers(
        self, ref: EntityRef, resource_version: str, finalizers: Sequence[str]
    ) -> Body | None:
        """Replace the finalizers of exactly this version of the object.

        Returns the object after it, or ``None`` when it is gone; raises ``ApiConflict``.
        """
        metadata = {"resourceVersion": resource_version, "finalizers": list(finalizers)}
        return await self._merge(_place_of(ref), ref.name, {"metadata": metadata})

    async def set_status(self, ref: EntityRef, uid: str, status: Body) -> Body | None:
        """Replace the status of exactly this object, whatever its version.

        Returns the object after it, or ``None`` when it is gone; raises ``ApiConflict`` when
        another object has its name by now.
        """
        return await self._replace_status(_place_of(ref), ref.name, uid, status)

    async def get(self, ref: EntityRef) -> Body | None:
        """The object as it is now (a consistent read); ``None`` when there is none.

        A listing of one: the operator needs no right beyond those of its watches.
        """
        page = await self._listed(_place_of(ref), field_selector=f"metadata.name={ref.name}")
        return next(iter(page["items"]), None)

    def list(self, kind: EntityKind, namespace: str | None) -> AsyncIterator[Body]:
        """Every object of a kind, in pages of one consistent snapshot."""
        return self._pages(_place(kind, namespace))


def _place(kind: EntityKind, namespace: str | None) -> Place:
    return Place(kind.api_group, kind.api_version, kind.plural, namespace)


def _place_of(ref: EntityRef) -> Place:
    return _place(KINDS[ref.aggregate_type], ref.namespace)
