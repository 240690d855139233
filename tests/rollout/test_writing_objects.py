"""When an object may go: its deletion is written where its kind is written, not only queued."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import pytest
from tests.kube.objects_for_tests import Body, server
from tests.kube.reconciling import reconciler_of

from eatool.domain.identity import EntityRef
from eatool.domain.kinds import by_kind
from eatool.kube.contract import FINALIZER
from eatool.kube.objects import Objects
from eatool.registry.change import Change
from eatool.registry.outcome import PhasedOutcome, Queued, WrittenToLegacy

REF = by_kind("Server").ref("default", "db-1")


class Answering:
    """A registry that answers one thing."""

    def __init__(self, outcome: PhasedOutcome) -> None:
        self._outcome = outcome

    async def delete(self, _change: Change) -> PhasedOutcome:
        return self._outcome


class Api:
    """One object on its way out."""

    def __init__(self, body: Body) -> None:
        self.body: Body | None = body

    async def get(self, ref: EntityRef) -> Body | None:
        return self.body

    async def set_finalizers(
        self, ref: EntityRef, resource_version: str, finalizers: Sequence[str]
    ) -> Body | None:
        assert list(finalizers) == []
        self.body = None
        return None

    async def set_status(self, ref: EntityRef, uid: str, status: dict[str, Any]) -> Body | None:
        assert self.body is not None
        self.body = {**self.body, "status": status}
        return self.body


@pytest.mark.parametrize(
    ("outcome", "gone"),
    [(WrittenToLegacy(3), True), (Queued(UUID("11111111-2222-3333-4444-555555555555")), False)],
)
async def test_the_finalizer_goes_when_the_deletion_is_written(
    outcome: PhasedOutcome, gone: bool
) -> None:
    body = server(deleted=True, finalizers=(FINALIZER,))
    api, objects = Api(body), Objects()
    reconciler = reconciler_of(Answering(outcome), api, objects)
    objects.observe(REF, body)
    await reconciler.process(REF)
    assert (api.body is None) is gone
    if api.body is not None:
        assert api.body["status"]["conditions"][0]["reason"] == "CommandQueued"
