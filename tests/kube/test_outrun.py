"""A view of an object that the log has outrun is looked at again, never recorded."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.registry.sites import SERVER, change, imagined, types

from eatool.registry.change import SeenNewer
from eatool.registry.outcome import Unchanged

OLDER = {**SERVER, "region": "old"}


async def test_an_older_generation_does_not_bring_an_old_spec_back() -> None:
    async with imagined() as (registry, _):
        await registry.apply(change("Server", "s", SERVER, generation=5))
        late = change("Server", "s", OLDER, generation=4)
        with pytest.raises(SeenNewer):
            await registry.apply(replace(late, tentative=True))
        again = replace(change("Server", "s", SERVER, generation=5), tentative=True)
        assert isinstance(await registry.apply(again), Unchanged)


async def test_a_late_deletion_of_the_former_object_spares_the_new_one() -> None:
    async with imagined() as (registry, _):
        await registry.apply(change("Server", "s", SERVER, uid="new", generation=1))
        late = change("Server", "s", uid="former", generation=9)
        with pytest.raises(SeenNewer):
            await registry.delete(replace(late, tentative=True))


async def test_a_view_that_was_confirmed_is_recorded() -> None:
    async with imagined() as (registry, _):
        await registry.apply(change("Server", "s", SERVER, generation=5))
        restored = change("Server", "s", OLDER, generation=4)
        assert types(await registry.apply(restored)) == ["ServerUpdated.v1"]
